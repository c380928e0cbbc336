"""A bank's own models against boosting on its own rows: six lenders, two sets cut among banks, studies with holders.

The study is emulated (benchmarks/calibration), the banks' side is the product's own code. Usage, from the root of the
repository, with FEDRISK_DATA set (the demo: ``python -m sim_institutions --research --out PATH``, DEMO=PATH):

    python benchmarks/own_models/run.py sba default_cut demo_cut default three demo
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from banks import banks_of
from emulation import Portfolio, emulate
from portfolios import ROOT, at_epsilon, from_config, horizontal
from scipy.stats import rankdata

from fedrisk.alignment.matching import HOLD_OUT, TRAINING
from fedrisk.models import champion
from fedrisk.recipes.scorecard.own_models import own_models

HERE = Path(__file__).resolve().parent
EPSILONS = (1.0, 3.0, float("inf"))
HOLDOUTS = (1, 2, 3)
NOISES = (1, 2)
COMPARED = ("champion", "personal", "best", "scorecard")


def portfolio(name: str) -> Portfolio:
    """The portfolio of a set by name; three banks of unequal size in the cut of default_credit."""
    if name == "default_cut":
        data = portfolio("default")
        shares = np.random.default_rng(5).choice(["one", "two", "three"], len(data), p=[0.2, 0.3, 0.5])
        return horizontal(data, shares)
    if name == "demo_cut":
        return horizontal(portfolio("demo"))
    files = {
        "default": ROOT / "configs/default_credit.toml",
        "three": ROOT / "configs/default_credit_three.toml",
        "sba": ROOT / "configs/sba.toml",
        "demo": Path(os.environ.get("DEMO", "demo")) / "study.toml",
    }
    return from_config(files[name])


def settings(data: Portfolio) -> list[tuple[float, int, int]]:
    """Epsilon, hold-out and noise seed; one seed where there is no noise."""
    return [(e, h, z) for e in EPSILONS for h in HOLDOUTS for z in (NOISES if np.isfinite(e) else NOISES[:1])]


def remembered(fit: Callable[..., Any]) -> Callable[..., Any]:
    """Boosting on a bank's own rows is the same at each epsilon and noise: fitted once."""
    found: dict[tuple[int, ...], Any] = {}

    def one(x: pd.DataFrame, y: np.ndarray, told: Any = None, **options: Any) -> Any:
        if told is not None:
            return fit(x, y, told, **options)
        key = (x.shape[1], *map(int, x.index), int(y.sum()))
        if key not in found:
            found[key] = fit(x, y, None, **options)
        return found[key]

    return one


def difference(label: np.ndarray, one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """AUC of one less the other's, and its standard error over rows (DeLong, DeLong & Clarke-Pearson 1988)."""
    bad = label == 1

    def placements(risk: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ranks = rankdata(risk)
        above = (ranks[bad] - rankdata(risk[bad])) / (~bad).sum()
        return above, 1 - (ranks[~bad] - rankdata(risk[~bad])) / bad.sum()

    (a1, a0), (b1, b0) = placements(one), placements(other)
    d1, d0 = a1 - b1, a0 - b0
    return float(d1.mean()), float(np.sqrt(d1.var(ddof=1) / len(d1) + d0.var(ddof=1) / len(d0)))


def run(name: str, chosen: list[tuple[float, int, int]] | None = None) -> list[dict[str, Any]]:
    """One row for each setting and bank."""
    data, rows = portfolio(name), []
    for epsilon, holdout, noise in chosen or settings(data):
        at = at_epsilon(data, epsilon)
        study = emulate(at, holdout=holdout, noise=noise)
        for bank, scored in banks_of(at, study):
            fit, test = scored.use == TRAINING, scored.use == HOLD_OUT
            several = len(at.study.banks) > 1
            failures: list[str] = []
            began = time.process_time()
            found = own_models(
                study.card,
                scored,
                fit,
                len(study.train),
                several=several,
                failed=lambda model, error, kept=failures: kept.append(f"{model}: {error!r}"),
            )
            row = {"set": name, "epsilon": str(epsilon), "holdout": holdout, "noise": noise, "bank": bank}
            row |= {"seconds": time.process_time() - began, "failures": failures, "weights": found.weights}
            risk = {**found.probability, "scorecard": -scored.total}
            truth, alone = scored.label[test], found.probability["alone"][test]
            row["alone"] = difference(truth, alone, np.zeros(len(truth)))[0] + 0.5
            for model in COMPARED:
                if model in risk:
                    row[model], row[f"{model}_error"] = difference(truth, risk[model][test], alone)
            rows.append(row)
        print(name, epsilon, holdout, noise, flush=True)
    return rows


def summary(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Means over hold-outs and noise by set, epsilon and bank; the error is of rows, that of one hold-out."""
    table = pd.DataFrame(rows).drop(columns=["failures", "weights", "holdout", "noise"])
    return table.groupby(["set", "epsilon", "bank"]).mean()


def main() -> None:
    """Run the sets that are named, write results.json anew with them, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", nargs="+", help="for example sba")
    champion.fit_champion = remembered(champion.fit_champion)
    file = HERE / "results.json"
    for name in parser.parse_args().sets:
        rows = run(name)
        before = json.loads(file.read_text()) if file.exists() else []
        kept = [r for r in before if r["set"] != name]
        file.write_text(json.dumps(kept + rows, indent=0))
        print(summary(rows).round(4).to_string())


if __name__ == "__main__":
    main()
