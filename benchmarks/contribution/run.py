"""Do contributions from released sums rank institutions as retraining does, and do their intervals hold?

    OMP_NUM_THREADS=1 python benchmarks/contribution/run.py [--provinces 20] [--enterprises 110000] [--noises 1]

Provinces are appended to provinces.jsonl, so that a run that was stopped goes on; figures go to results.json. Seeds 101
and on: nothing was chosen on them (the method was chosen on seeds 71 and 72).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent)]

from lab import province, record, retrain  # noqa: E402

from fedrisk.analysis.card_value import MEASURES  # noqa: E402
from fedrisk.analysis.contribution import Contributions, contributions  # noqa: E402
from fedrisk.analysis.shapley import shapley_values  # noqa: E402

FIRST = 101
LOGISTIC = 2
"""Provinces on which a logistic regression is fitted for every subset as well, which takes most of the time."""


def plain(found: Contributions) -> dict[str, Any]:
    """Figures of institutions by measure."""
    out: dict[str, Any] = {
        m: [
            [getattr(p.worth[m], k) for k in ("value", "low", "high", "noise", "sampling")]
            for p in found.institutions
        ]
        for m in MEASURES
    }
    columns = [[p.worth["deviance"].value, p.worth["deviance"].noise] for p in found.columns]
    return out | {"columns": columns, "whole": [found.whole[m].value for m in MEASURES]}


def one(seed: int, profile: str, enterprises: int, noises: int) -> dict[str, Any]:
    """One province: retraining, figures without noise, and figures by noise seed."""
    started = time.process_time()
    data = province(seed, profile, enterprises)
    exact = record(data, holdout=seed, noise=None)
    subsets = retrain(data, exact, seed, logistic=seed < FIRST + LOGISTIC)
    retrained = {kind: shapley_values(v).T.tolist() for kind, v in subsets.items()}
    return {
        "profile": profile,
        "seed": seed,
        "enterprises": enterprises,
        "roles": list(data.study.roles),
        "rate": float(data.label.mean()),
        "retrained": retrained,
        "retrained_whole": {kind: v[-1].tolist() for kind, v in subsets.items()},
        "exact": plain(contributions(exact)),
        "noisy": [
            plain(contributions(record(data, holdout=seed, noise=1000 * seed + k))) for k in range(noises)
        ],
        "processor_seconds": round(time.process_time() - started, 1),
    }


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Rank correlations and coverage over provinces."""
    out: dict[str, Any] = {"provinces": len(rows), "noisy_studies": sum(len(r["noisy"]) for r in rows)}
    for m, measure in enumerate(MEASURES):
        found: dict[str, Any] = {}
        for kind in ("card", "logistic"):
            with_it = [r for r in rows if kind in r["retrained"]]
            per = [_rank(n[measure], r["retrained"][kind][m]) for r in with_it for n in r["noisy"]]
            bound = [_rank(r["exact"][measure], r["retrained"][kind][m]) for r in with_it]
            found[kind] = {
                "provinces": len(with_it),
                "spearman_mean": float(np.mean(per)),
                "standard_error": float(np.std(per, ddof=1) / np.sqrt(len(per))) if len(per) > 1 else None,
                "spearman_least": float(np.min(per)),
                "without_noise": float(np.mean(bound)),
            }
        found["between_references"] = float(
            np.mean(
                [
                    spearmanr(r["retrained"]["card"][m], r["retrained"]["logistic"][m])[0]
                    for r in rows
                    if "logistic" in r["retrained"]
                ]
            )
        )
        found |= _coverage(rows, measure, m)
        out[measure] = found
    return out


def _rank(figures: list[list[float]], truth: list[float]) -> float:
    return float(spearmanr([f[0] for f in figures], truth)[0])


def _coverage(rows: list[dict[str, Any]], measure: str, m: int) -> dict[str, float]:
    """Shares of intervals that hold what exact sums say, and what retraining says; mean error of the whole."""
    by_noise, by_retraining, whole = [], [], []
    for r in rows:
        exact, truth = r["exact"][measure], r["retrained"]["card"][m]
        for n in r["noisy"]:
            whole.append(n["whole"][m] / r["retrained_whole"]["card"][m])
            for (value, low, high, noise, _), (bare, *_), true in zip(n[measure], exact, truth, strict=True):
                by_noise.append(abs(value - bare) <= 1.96 * noise)
                by_retraining.append(low <= true <= high)
    return {
        "noise_interval_covers_exact_sums": float(np.mean(by_noise)),
        "interval_covers_retraining": float(np.mean(by_retraining)),
        "whole_by_retrained": float(np.mean(whole)),
    }


def main() -> None:
    """Provinces that are missing, then the figures; status 1 where a rank correlation of deviance is below .9."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--provinces", type=int, default=20)
    parser.add_argument("--profile", default="wide")
    parser.add_argument("--enterprises", type=int, default=110_000)
    parser.add_argument("--noises", type=int, default=1)
    given = parser.parse_args()
    path = HERE / "provinces.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    done = {(r["profile"], r["seed"]) for r in rows}
    for seed in range(FIRST, FIRST + given.provinces):
        if (given.profile, seed) in done:
            continue
        rows.append(one(seed, given.profile, given.enterprises, given.noises))
        with path.open("a") as file:
            file.write(json.dumps(rows[-1]) + "\n")
        print(seed, rows[-1]["processor_seconds"], flush=True)
    mine = {p: summary([r for r in rows if r["profile"] == p]) for p in sorted({r["profile"] for r in rows})}
    (HERE / "results.json").write_text(json.dumps(mine, indent=1) + "\n")
    print(json.dumps(mine, indent=1))
    sys.exit(mine[given.profile]["deviance"]["card"]["spearman_mean"] < 0.9)


if __name__ == "__main__":
    main()
