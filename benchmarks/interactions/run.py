"""What pairs close of the gap between an additive model and boosting, at the same price of the study.

    OMP_NUM_THREADS=1 python benchmarks/interactions/run.py [--jobs N] [--folder DIR]

Provinces are simulated where --folder does not have them yet; default_credit needs FEDRISK_DATA. Prints a table and
writes results.json next to this file.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from pair_study import ROOT, emulate, with_pairs
from portfolios import Portfolio, at_epsilon, from_config
from sklearn.ensemble import HistGradientBoostingClassifier

from fedrisk.metrics import auc

SEEDS = (101, 102, 103)
NOISE = (1, 2, 3, 4, 5, 6)
EPSILONS = (3.0, 1.0, math.inf)
SHARE = 0.1
SETS = {
    "interactions": ("interactions", 60_000),
    "demo": ("demo", 30_000),
}


def simulated(profile: str, enterprises: int, seed: int, folder: Path) -> Path:
    """Folder of a province, simulated where it is not there."""
    out = folder / f"{profile}_{seed}"
    if not (out / "study.toml").exists():
        command = [sys.executable, "-m", "sim_institutions", "--profile", profile, "--no-histories"]
        command += [
            "--enterprises",
            str(enterprises),
            "--seed",
            str(seed),
            "--out",
            str(out),
            "--workers",
            "1",
        ]
        subprocess.run(command, check=True, cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return out


@cache
def portfolio(kind: str, seed: int, folder: Path) -> Portfolio:
    """A set; default_credit is one, and its seed the hold-out's."""
    if kind == "default_credit":
        return from_config(ROOT / "configs" / "default_credit.toml")
    return from_config(simulated(*SETS[kind], seed, folder) / "study.toml")


def one(job: tuple[str, int, float, int, Path]) -> dict[str, Any]:
    """AUC of a card, and of a card with pairs at the same price, on the hold-out of one study."""
    kind, seed, epsilon, noise, folder = job
    data = at_epsilon(portfolio(kind, seed, folder), epsilon)
    start = time.process_time()
    card = emulate(data, holdout=seed, noise=noise)
    middle = time.process_time()
    paired = with_pairs(data, holdout=seed, noise=noise, share=SHARE)
    end = time.process_time()
    held, label = card.held, data.label[card.held]
    return {
        "set": kind,
        "seed": seed,
        "epsilon": "none" if math.isinf(epsilon) else epsilon,
        "noise": noise,
        "card": auc(label, card.probability[held]),
        "with_pairs": auc(label, paired.log_odds[held]),
        "same_card_without": auc(label, paired.without[held]),
        "pairs": len(paired.pairs),
        "seconds_card": middle - start,
        "seconds_with_pairs": end - middle,
    }


def boosted(job: tuple[str, int, Path]) -> dict[str, Any]:
    """AUC without privacy on everybody's columns: boosting, and boosting whose trees use one column each."""
    kind, seed, folder = job
    data = at_epsilon(portfolio(kind, seed, folder), math.inf)
    card = emulate(data, holdout=seed, noise=1)
    x = np.stack(data.codes(card.bins), axis=1).astype(float)
    label, out = data.label, {"set": kind, "seed": seed}
    for name, constraint in (("boosting", None), ("additive", "no_interactions")):
        model = HistGradientBoostingClassifier(
            max_iter=150,
            learning_rate=0.07,
            max_leaf_nodes=12,
            min_samples_leaf=60,
            early_stopping=False,
            interaction_cst=constraint,
        ).fit(x[card.train], label[card.train])
        out[name] = auc(label[card.held], model.decision_function(x[card.held]))
    return out


def main() -> None:
    """All studies, the table, results.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("provinces"))
    parser.add_argument("--sets", nargs="*", default=[*SETS, "default_credit"])
    given = parser.parse_args()
    sets = [s for s in given.sets if s != "default_credit" or "FEDRISK_DATA" in os.environ]
    for kind in sets:
        for seed in SEEDS:
            portfolio(kind, seed, given.folder)
    models = [(kind, seed, given.folder) for kind in sets for seed in SEEDS]
    jobs = [
        (kind, seed, epsilon, noise, given.folder)
        for kind in sets
        for seed in SEEDS
        for epsilon in EPSILONS
        for noise in (NOISE if math.isfinite(epsilon) else NOISE[:1])
    ]
    with ProcessPoolExecutor(given.jobs) as pool:
        studies, without = [], []
        for row in pool.map(one, jobs):
            studies.append(row)
            print(json.dumps(row), file=sys.stderr, flush=True)
        for row in pool.map(boosted, models):
            without.append(row)
            print(json.dumps(row), file=sys.stderr, flush=True)
    results = {"studies": studies, "models": without, "summary": summary(studies, without)}
    path = Path(__file__).with_name("results.json")
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    for line in results["summary"]:
        print(json.dumps(line))


def summary(studies: list[dict[str, Any]], models: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means by set and epsilon, with the standard error over provinces or hold-outs of the gain."""
    out = []
    for kind, epsilon in dict.fromkeys((s["set"], s["epsilon"]) for s in studies):
        rows = [s for s in studies if (s["set"], s["epsilon"]) == (kind, epsilon)]
        of = [m for m in models if m["set"] == kind]
        boosting, additive = (float(np.mean([m[name] for m in of])) for name in ("boosting", "additive"))
        mean = {k: float(np.mean([r[k] for r in rows])) for k in ("card", "with_pairs", "pairs")}
        by_seed = [
            float(np.mean([r["with_pairs"] - r["card"] for r in rows if r["seed"] == seed])) for seed in SEEDS
        ]
        gain = float(np.mean(by_seed))
        out.append(
            {
                "set": kind,
                "epsilon": epsilon,
                **{k: round(v, 4) for k, v in mean.items()},
                "gain": round(gain, 4),
                "error": round(float(np.std(by_seed, ddof=1) / math.sqrt(len(by_seed))), 4),
                "additive": round(additive, 4),
                "boosting": round(boosting, 4),
                "share_of_gap": round(gain / (boosting - additive), 2),
                "slower": round(
                    float(
                        np.mean([r["seconds_with_pairs"] for r in rows])
                        / np.mean([r["seconds_card"] for r in rows])
                    ),
                    2,
                ),
            }
        )
    return out


if __name__ == "__main__":
    main()
