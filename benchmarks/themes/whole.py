"""Whole research runs of default_credit with one number and with themes, on the hold-outs of benchmarks/default_credit.

FEDRISK_DATA=... OMP_NUM_THREADS=1 python benchmarks/themes/whole.py --jobs 4
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from fedrisk.engine.in_process import run_local
from fedrisk.institution import find_institutions
from fedrisk.recipes import load_study

HERE = Path(__file__).resolve().parent
CONFIGS = HERE.parent.parent / "configs"
STUDIES = ("default_credit", "default_credit_themes")
HOLDOUTS = (101, 102, 103)
NOISE = (1, 2, 3)
EPSILONS = (1, 3)


def run(what: tuple[int, int, int, str]) -> dict[str, Any]:
    """One research run, in a home of its own."""
    epsilon, noise, holdout, name = what
    with tempfile.TemporaryDirectory() as home:
        os.environ["FEDRISK_HOME"] = home
        file = CONFIGS / f"{name}.toml"
        study = load_study(file, [f"privacy.epsilon={epsilon}", f"holdout.seed={holdout}"])
        found = run_local(study, find_institutions(file, study.members), research_seed=noise).to_dict()
    figures = {"scorecard": found["auc"], "champion": found["bank_champion_auc"], "seconds": found["seconds"]}
    return {"study": name, "epsilon": epsilon, "holdout": holdout, "noise": noise, **figures}


def summary(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Means by epsilon and study, and the gain of themes with its error over hold-outs and noise seeds."""
    table = pd.DataFrame(rows)
    one, themes = (table[table["study"] == s].set_index(["epsilon", "holdout", "noise"]) for s in STUDIES)
    gain = (themes["champion"] - one["champion"]).groupby("epsilon")
    means = table.groupby(["study", "epsilon"])[["scorecard", "champion", "seconds"]].mean().unstack(0)
    return means.assign(gain=gain.mean(), error=gain.sem())


def main() -> None:
    """Run all, write whole.json, and print the means."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--epsilons", type=int, nargs="+", default=EPSILONS)
    parser.add_argument("--noise", type=int, nargs="+", default=NOISE)
    asked = parser.parse_args()
    rows = []
    with ProcessPoolExecutor(asked.jobs) as pool:
        for row in pool.map(run, list(product(asked.epsilons, asked.noise, HOLDOUTS, STUDIES))):
            rows.append(row)
            print({k: v if isinstance(v, str | int) else round(v, 4) for k, v in row.items()}, flush=True)
            (HERE / "whole.json").write_text(json.dumps(rows, indent=0))
    print(summary(rows).round(4).to_string())


if __name__ == "__main__":
    main()
