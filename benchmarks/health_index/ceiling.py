"""What holders' columns could say of latent health without privacy: boosting fitted to health itself. See README.md.

    OMP_NUM_THREADS=1 python benchmarks/health_index/ceiling.py PROVINCES c22 d8

Nobody could fit it: no institution knows the latent health. Fitted on half of the enterprises of the development month
that have a loan, and read on the other half.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
from against_truth import rank
from province import HOLDERS
from sklearn.ensemble import HistGradientBoostingRegressor

from fedrisk.institution import load_institution

HERE = Path(__file__).parent


def main() -> None:
    """Both ceilings of every province; ceiling.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="+")
    given = parser.parse_args()
    found = []
    for name in given.names:
        found.append({"province": name, **ceilings(given.folder / name, HOLDERS[name[0]])})
        print(found[-1], flush=True)
    (HERE / "ceiling.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def ceilings(folder: Path, holders: list[str]) -> dict[str, float]:
    """Rank correlation with health of what is fitted to health, and to liquidity, and of histories alone."""
    os.environ["MONTH"] = "development"
    truth = pd.read_parquet(folder / "truth" / "development.parquet").set_index("id")
    loans = [c for c in truth if c.startswith("loan_")]
    truth = truth[truth[loans].any(axis=1)]
    parts, moving = [], []
    for holder in holders:
        one = load_institution(folder / "institutions" / f"{holder}.toml")
        table = one.read()
        columns = [c.name for c in one.dictionary.columns if c.feature]
        moving += [f"{holder}.{name}" for name in one.dictionary.computed]
        frame = table.frame[columns].set_axis(np.asarray(table.ids), axis=0)
        for column in frame.select_dtypes(exclude="number"):
            frame[column] = pd.factorize(frame[column])[0]
        parts.append(frame.astype(float).reindex(truth.index).add_prefix(f"{holder}."))
    x = pd.concat(parts, axis=1)
    first = np.random.default_rng(1).random(len(x)) < 0.5

    def reached(columns: list[str], target: str) -> float:
        made = HistGradientBoostingRegressor(max_iter=200, max_depth=3, random_state=1)
        made.fit(x.loc[first, columns], truth.loc[first, target])
        return rank(made.predict(x.loc[~first, columns]), truth.loc[~first, "health"].to_numpy())

    return {
        "health": reached(list(x), "health"),
        "liquidity": reached(list(x), "liquidity"),
        "histories": reached(moving, "health"),
    }


if __name__ == "__main__":
    main()
