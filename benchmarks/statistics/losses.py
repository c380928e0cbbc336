"""Loss sharing: exact to the fen, and intervals and quantiles at their rates.

Run: ``python benchmarks/statistics/losses.py [--cases 10000] [--provinces 400] [--out FILE]``.

1. Shares of so many random sets of rules and losses: do they add up to the loss in every one, to the last fen?
2. So many provinces, each drawn anew: loans of six sectors and three grades (tests/support/lent_books.py), released at
   epsilon 1, and a year of losses in which each loan defaults or not, with one factor for all. Nothing was chosen on them.
   How often is the exact expected loss inside the interval by the noise, the loss that came inside the interval of losses
   to come, the claims on the pool at most its 90 and 99 % quantiles, and the loss that came inside the back-test's?
   Loans of a cell differ in size and in probability of default, which the model knows nothing of.

3. The same on so many simulated provinces (sim_institutions, 6,000 enterprises, three banks): what banks expect and what
   they lost, by sector, from their tables. Defaults there do not follow the model: banks misjudge risks, and common
   shocks are smaller than the stated correlation says, so losses that came should be inside more often than stated.

Rates are given with 95 % intervals (Wilson 1927).
"""

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from fedrisk.analysis.estimates import computed
from fedrisk.analysis.loss_backtest import back_test
from fedrisk.analysis.loss_book import make_book
from fedrisk.analysis.loss_distribution import draw
from fedrisk.analysis.loss_rules import LossRules
from fedrisk.analysis.loss_sharing import share_losses
from fedrisk.analysis.loss_split import split_exactly
from fedrisk.releases.statistics import UNKNOWN
from sim_institutions.files import write
from sim_institutions.geography import SECTORS as SECTORS_OF_PROVINCE
from support.lent_books import BOUNDS, GRADE_RISK, GRADES, LOSS_GIVEN_DEFAULT, SECTORS, record
from support.loss_rules import random_case

CORRELATION = 0.12
NAMES = ("guarantor", "reguarantor", "bank", "government")
SHARES = dict(zip(NAMES, (0.4, 0.3, 0.2, 0.1), strict=True))
PROVINCE = {"exposure": 500_000.0, "expected_loss": 100_000.0, "matured_loss": 500_000.0}
PROVINCE_LOST = 0.51
Sums = dict[str, NDArray[np.float64]]


def rules(way: str) -> LossRules:
    """plain: one segment, 4321. layered, simulated: by sector, with a deductible and a stop."""
    layers: list[dict[str, Any]] = [{"shares": SHARES}]
    plain: dict[str, Any] = {"name": way, "rest": "bank", "parties": [{"name": n} for n in NAMES]}
    segment: dict[str, Any] = {"name": "all"}
    if way != "plain":
        layers.insert(0, {"up_to": 0.005, "shares": {"bank": 1.0}})
        segment["by"] = ["sector"]
        plain["stop"] = {"rate": 0.05}
    plain["segments"] = [{**segment, "layers": layers}]
    plain["pool"] = {"size": 1e7, "pays": ["government"]}
    plain["figures"] = {"enterprises": "loans", "matured_loss": "matured_loss"}
    lost = PROVINCE_LOST if way == "simulated" else LOSS_GIVEN_DEFAULT
    plain["model"] = {"asset_correlation": CORRELATION, "loss_given_default": lost}
    return LossRules.model_validate(plain)


def province(rng: np.random.Generator, loans: int) -> Sums:
    """Exact sums by cell of one province, with a year of losses, loan by loan."""
    shape = (len(SECTORS) + 1, len(GRADES) + 1)
    sums = {name: np.zeros(shape) for name in ("loans", "exposure", "expected_loss", "matured_loss")}
    factor = rng.normal()
    for s in range(len(SECTORS)):
        for g, grade in enumerate(GRADES):
            count = int(rng.integers(loans // 2, 3 * loans // 2))
            exposure = np.minimum(rng.lognormal(13.0, 0.8, count), BOUNDS["exposure"])
            chance = np.minimum(GRADE_RISK[grade] * rng.uniform(0.7, 1.4) * rng.lognormal(0, 0.3, count), 0.5)
            assets = math.sqrt(CORRELATION) * factor + math.sqrt(1 - CORRELATION) * rng.normal(size=count)
            lost = exposure * LOSS_GIVEN_DEFAULT * (assets < ndtri(chance))
            sums["loans"][s, g] = count
            sums["exposure"][s, g] = exposure.sum()
            sums["expected_loss"][s, g] = (exposure * chance * LOSS_GIVEN_DEFAULT).sum()
            sums["matured_loss"][s, g] = lost.sum()
    return {name: values.ravel() for name, values in sums.items()}


def simulated(seed: int) -> Sums:
    """Exact sums by sector of the three banks of a simulated province, values cut to their public bounds."""
    with tempfile.TemporaryDirectory() as folder:
        write(6_000, seed, Path(folder), "demo", workers=1)
        files = sorted((Path(folder) / "data").glob("*_bank.parquet"))
        columns = ["sector", *PROVINCE]
        loans = pd.concat(pd.read_parquet(file, columns=columns) for file in files)
    loans["loans"] = 1.0
    for name, bound in PROVINCE.items():
        loans[name] = loans[name].astype(float).clip(0.0, bound)
    cells = loans.groupby(loans["sector"].astype(object).fillna(UNKNOWN))[["loans", *PROVINCE]].sum()
    whole = cells.reindex([*SECTORS_OF_PROVINCE, UNKNOWN], fill_value=0.0)
    return {name: whole[name].to_numpy() for name in whole.columns}


def one(way: str, seed: int, loans: int) -> dict[str, list[bool]]:
    """What held in one province, by what was asked."""
    rng, made = np.random.default_rng((seed, loans)), rules(way)
    how: dict[str, Any] = {}
    if way == "simulated":
        how = {"cells": {"sector": SECTORS_OF_PROVINCE}, "bounds": PROVINCE}
    exact = simulated(seed) if way == "simulated" else province(rng, loans)
    found = computed(record(exact, rng, **how))
    lent = make_book(found, [made])
    shares = share_losses(lent, made, draw(lent, made))
    true = make_book(computed(record(exact, rng, noise=False, **how)), [made])
    expected, came = _true_shares(true, made), true.sums["matured_loss"].figure
    borne = _borne(true, made, came)
    tested = back_test([lent], ["now"], made)
    assert shares.pool is not None and tested is not None
    total = float(true.sums["expected_loss"].figure.sum())
    parties = list(zip(shares.parties, expected, borne, strict=True))
    return {
        "total: expected loss in its interval (95 %)": [shares.total.low <= total <= shares.total.high],
        "parties: expected loss in its interval (95 %)": [p.low <= e <= p.high for p, e, _ in parties],
        "total: loss that came in its interval (95 %)": [
            shares.total.least <= came.sum() <= shares.total.most
        ],
        "parties: loss that came in its interval (95 %)": [p.least <= b <= p.most for p, _, b in parties],
        "pool: claims at most the 90 % quantile": [borne[3] <= shares.pool.quantiles[0]],
        "pool: claims at most the 99 % quantile": [borne[3] <= shares.pool.quantiles[1]],
        "back-test: totals in their intervals (95 %)": [r.inside for r in tested.rows if r.what == "total"],
        "back-test: segments in their intervals (95 %)": [
            r.inside for r in tested.rows if r.what == "segment"
        ],
    }


def _true_shares(true: Any, made: LossRules) -> list[int]:
    """Expected losses of parties from exact sums: no noise, many draws of the factor."""
    return [
        p.expected
        for p in share_losses(true, made, draw(true, made, noise_draws=16, factor_draws=512, seed=1)).parties
    ]


def _borne(true: Any, made: LossRules, came: NDArray[np.float64]) -> list[int]:
    which = [part.place for part in true.parts[0]]
    losses = np.array([[round(float(x)) for x in came]], object)
    exposures = np.array([round(float(x)) for x in true.sums["exposure"].figure], object)
    return [int(x) for x in split_exactly(made, which, losses, exposures).parts.sum(axis=1)[0]]


def exactness(cases: int) -> int:
    """In how many random cases shares do not add up to the last fen, or are negative."""
    wrong = 0
    for seed in range(cases):
        made, which, losses, exposures = random_case(np.random.default_rng(1_000_000 + seed))
        parts = split_exactly(made, which, losses, exposures).parts
        wrong += bool((parts.sum(axis=2) != losses).any() or (parts < 0).any())
    return wrong


def wilson(inside: int, count: int) -> tuple[float, float]:
    """95 % interval of a rate."""
    z, rate = 1.959964, inside / count
    middle = (rate + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(rate * (1 - rate) / count + z * z / (4 * count * count))
    return round(middle - half, 4), round(middle + half, 4)


def main() -> None:
    """Print all figures, and write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--provinces", type=int, default=400)
    parser.add_argument("--loans", type=int, default=4_000, help="of a cell, on average")
    parser.add_argument("--ways", nargs="*", default=["plain", "layered", "simulated"])
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    start = time.perf_counter()
    told: dict[str, Any] = {"cases": given.cases, "wrong": exactness(given.cases)}
    print(f"{told['wrong']} of {given.cases} random cases do not add up, {time.perf_counter() - start:.0f} s")
    for way in given.ways:
        held: dict[str, list[bool]] = {}
        for seed in range(given.provinces):
            for what, inside in one(way, seed, given.loans).items():
                held.setdefault(what, []).extend(map(bool, inside))
            if seed + 1 == given.provinces or (seed + 1) % 25 == 0:
                print(f"{way}, {seed + 1} provinces, {time.perf_counter() - start:.0f} s", flush=True)
                told[way] = {what: counted(inside) for what, inside in held.items()}
                if given.out is not None:
                    given.out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        for what, found in told[way].items():
            print(
                f"{what:52} {found['inside']:6} of {found['of']:6} = {found['rate']:.3f} {found['interval']}"
            )


def counted(inside: Sequence[bool]) -> dict[str, Any]:
    """How many held, and the rate with its interval."""
    count = sum(inside)
    interval = wilson(count, len(inside))
    return {"inside": count, "of": len(inside), "rate": round(count / len(inside), 4), "interval": interval}


if __name__ == "__main__":
    main()
