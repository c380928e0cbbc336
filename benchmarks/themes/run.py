"""The external score by theme: what a bank's champion gains by it, and what the bank can infer. See README.md.

    FEDRISK_DATA=... PROVINCES=DIR OMP_NUM_THREADS=1 python benchmarks/themes/run.py two three p101 p102 p103 --jobs 4

PROVINCES: a folder with provinces by name, made by ``python -m sim_institutions --enterprises 30000 --seed 101 --out
DIR/p101``. Each hold-out with its noise is a task of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from bank_side import (
    HERE,
    Given,
    columns_of_holders,
    entropy,
    information,
    scored_banks,
    with_themes,
)
from emulation import Emulated, Portfolio, emulate
from portfolios import ROOT, at_epsilon, from_config
from sklearn.ensemble import HistGradientBoostingClassifier

from fedrisk.alignment.matching import HOLD_OUT, TRAINING
from fedrisk.metrics import auc
from fedrisk.models import champion
from fedrisk.models.calibration import logistic_fit
from fedrisk.privacy.policy import Policy
from fedrisk.recipes.scorecard.own_models import own_models

HOLDOUTS = (101, 102, 103)
NOISE = (1, 2)
EPSILON = 1.0

ARREARS = ["PAY_0", "PAY_2", "PAY_3", "PAY_4", "PAY_5"]
PERSON = ["LIMIT_BAL", "SEX", "EDUCATION", "MARRIAGE", "AGE"]
TWO_THEMES = {"arrears": ARREARS, "person": PERSON}
THREE_THEMES = {"recent": ARREARS[:3], "account": [*ARREARS[3:], "LIMIT_BAL"], "person": PERSON[1:]}


def _of_partner(themes: dict[str, list[str]]) -> dict[str, list[str]]:
    return {name: [f"card_partner.{c}" for c in columns] for name, columns in themes.items()}


def variants(name: str) -> dict[str, tuple[Any, Policy]]:
    """Themes and the holders' policy by name; ``one`` is today's single number."""
    points = {"scores": "points", "score_themes": True}
    out: dict[str, tuple[Any, Policy]] = {"one": (None, Policy(scores="points"))}
    if name == "two":
        for called, themes in (("two themes", TWO_THEMES), ("three themes", THREE_THEMES)):
            for values in (512, 4096, 65536):
                out[f"{called}, {values}"] = (_of_partner(themes), Policy(**points, score_values=values))
        return out
    out["one"] = (None, Policy())
    out["bands"] = ("holders", Policy(score_themes=True))
    for values in (32, 512):
        out[f"points, {values}"] = ("holders", Policy(**points, score_values=values))
    return out


@cache
def portfolio(name: str) -> Portfolio:
    """The portfolio of a set by name."""
    files = {
        "two": ROOT / "configs/default_credit.toml",
        "three": ROOT / "configs/default_credit_three.toml",
    }
    return at_epsilon(
        from_config(files.get(name) or Path(os.environ["PROVINCES"]) / name / "study.toml"), EPSILON
    )


def told(data: Portfolio, study: Emulated, given: Given) -> dict[str, Any]:
    """Bits of what is given, and of each of the holders' columns in the number that it is in, on all rows."""
    numbers = given.raw
    columns = columns_of_holders(data, study)
    inside = {f"{h}.{c}": one.name for one in given.sums for h, cs in one.columns.items() for c in cs}
    bits = {name: information(numbers[inside[name]], column) for name, column in columns.items()}
    whole = {name: entropy(column) for name, column in columns.items()}
    most = max(bits, key=lambda name: bits[name])
    return {
        "numbers": len(numbers),
        "values": int(np.prod([len(np.unique(v)) for v in numbers.values()], dtype=float)),
        "bits": entropy(list(numbers.values())),
        "bits_of_columns": sum(bits.values()),
        "all_of_columns": sum(whole.values()),
        "most_column": most,
        "most_bits": bits[most],
        "most_of": whole[most],
    }


def pooled(data: Portfolio, study: Emulated) -> dict[str, float]:
    """AUC of boosting with all columns of all rows, without privacy."""
    parts = []
    for role, frame in data.frames.items():
        columns = [f.column for f in data.features if f.institution == role]
        x = frame[columns].reset_index(drop=True).add_prefix(f"{role}.")
        known = data.known.get(role)
        parts.append(x if known is None else x.where(pd.Series(known)))
    x = pd.concat(parts, axis=1)
    x = x.apply(lambda c: c if pd.api.types.is_numeric_dtype(c) else c.astype("category").cat.codes)
    model = HistGradientBoostingClassifier(random_state=0).fit(x.iloc[study.train], data.label[study.train])
    risk = model.predict_proba(x.iloc[study.held])[:, 1]
    bank = data.bank[study.held]
    return {str(b): auc(data.label[study.held][bank == b], risk[bank == b]) for b in np.unique(bank)}


def remembered() -> None:
    """Boosting on a bank's own rows is the same for all variants of a task: fitted once."""
    fit, found = champion.fit_champion, {}

    def one(x: pd.DataFrame, y: np.ndarray, said: Any = None, **options: Any) -> Any:
        if said is not None:
            return fit(x, y, said, **options)
        key = (x.shape, int(x.index[0]), int(x.index[-1]), int(y.sum()))
        if key not in found:
            found[key] = fit(x, y, None, **options)
        return found[key]

    champion.fit_champion = one


def task(what: tuple[str, int, int]) -> list[dict[str, Any]]:
    """All variants of one set, hold-out and noise: a row for each bank."""
    name, holdout, noise = what
    data, rows = portfolio(name), []
    study = emulate(data, holdout=holdout, noise=noise)
    best = pooled(data, study)
    remembered()
    for variant, (themes, policy) in variants(name).items():
        at = with_themes(data, themes)
        given = Given(at, study, policy)
        bits = told(at, study, given)
        for bank, scored in scored_banks(at, study, given):
            fit, test = scored.use == TRAINING, scored.use == HOLD_OUT
            began, failures = time.process_time(), []
            found = own_models(
                study.card,
                scored,
                fit,
                len(study.train),
                several=len(at.study.banks) > 1,
                failed=lambda model, error, kept=failures: kept.append(f"{model}: {error!r}"),
            )
            truth = scored.label[test]
            stated = np.clip(study.card.probability(scored.total[test]), 1e-6, 1 - 1e-6)
            log_odds = np.log(stated / (1 - stated))
            _, slope = logistic_fit(float(truth.mean()), log_odds[truth == 1], log_odds[truth == 0])
            rows.append(
                {"set": name, "holdout": holdout, "noise": noise, "variant": variant, "bank": bank}
                | bits
                | {"card": auc(truth, -scored.total[test]), "slope": slope, "pooled": best[bank]}
                | {m: auc(truth, p[test]) for m, p in found.probability.items()}
                | {"seconds": time.process_time() - began, "failures": failures}
            )
    return rows


def summary(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Means over hold-outs, noise and banks by set and variant; champion less that of one number, with its error.

    The error is that of the mean over hold-outs and noise seeds, after banks were averaged.
    """
    table = pd.DataFrame(rows)
    means = table.drop(columns=["failures", "most_column", "bank"]).groupby(
        ["set", "variant", "holdout", "noise"], sort=False
    )
    each = means.mean().reset_index()
    one = each[each["variant"] == "one"][["set", "holdout", "noise", "champion"]]
    beside = each.merge(one, on=["set", "holdout", "noise"], suffixes=("", "_one"))
    each = beside.assign(gain=beside["champion"] - beside.pop("champion_one"))
    grouped = each.drop(columns=["holdout", "noise"]).groupby(["set", "variant"], sort=False)
    out = grouped.mean()
    out["error"] = grouped["gain"].sem()
    return out


def main() -> None:
    """Run the sets that are named, write results.json anew with them, and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("sets", nargs="+")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--holdouts", type=int, nargs="+", default=HOLDOUTS)
    parser.add_argument("--noise", type=int, nargs="+", default=NOISE)
    asked = parser.parse_args()
    tasks = list(product(asked.sets, asked.holdouts, asked.noise))
    file = HERE / "results.json"
    before = json.loads(file.read_text()) if file.exists() else []
    kept = [r for r in before if (r["set"], r["holdout"], r["noise"]) not in set(tasks)]
    rows: list[dict[str, Any]] = []
    with ProcessPoolExecutor(asked.jobs) as pool:
        for found in pool.map(task, tasks):
            rows += found
            file.write_text(json.dumps(kept + rows, indent=0))
            print(found[0]["set"], found[0]["holdout"], found[0]["noise"], flush=True)
    print(summary(kept + rows).round(4).to_string())


if __name__ == "__main__":
    main()
