"""Expected errors of statistics studies, from public sizes, against the errors that come out.

Each setting is a kind of measure, a shape of values, and a number of enterprises in 40 cells whose sizes are those of a
broken stick. The error that comes out is the root mean square of (estimate - truth) over cells within a fifth of the
average size; the ratio of the expected error to it is 1 where the expectation is right. Beside it stands how many cells
said less than their noise, and how many were expected to. Run it as

    python benchmarks/statistics/expectation.py

and it prints the table of README.md and writes expectation.json beside itself.
"""

import argparse
import json
import math
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd

from fedrisk.analysis.estimates import computed
from fedrisk.privacy.accounting import mu_for
from fedrisk.recipes.statistics.columns import plain_matrix
from fedrisk.recipes.statistics.expectation import expected
from fedrisk.releases.record import ReleasedBlock, ReleasedSums, ReleaseRecord
from fedrisk.releases.release import Block, Release
from fedrisk.releases.statistics import UNKNOWN, Axis, CellTable, Layout, Measure

CELLS, DRAWS = 40, 12
AXIS = Axis(name="county", column="tax.county", categories=(*(f"c{k}" for k in range(CELLS)), UNKNOWN))
TABLE = CellTable(name="county", axes=("county",))
CUTS = tuple(float(c) for c in np.linspace(0, 100, 17)[1:-1])

MEASURES = {
    "count": Measure(name="m", kind="count"),
    "sum": Measure(name="m", kind="sum", column="tax.x", low=0, high=100),
    "mean": Measure(name="m", kind="mean", column="tax.x", low=0, high=100),
    "share": Measure(name="m", kind="share", column="tax.x", flag=True),
    "variance": Measure(name="m", kind="variance", column="tax.x", low=0, high=100),
    "quantiles": Measure(name="m", kind="quantiles", column="tax.x", low=0, high=100, cuts=CUTS),
}


def values(rng: np.random.Generator, shape: str, kind: str, rows: int) -> Any:
    """Values of one cell's enterprises: each cell has a level of its own."""
    if kind == "share":
        return (rng.random(rows) < (rng.uniform(0, 1) if shape == "even" else 0.04)).astype(float)
    if shape == "even":
        middle = rng.uniform(20, 80)
        return np.clip(middle + rng.uniform(-40, 40, rows), 0, 100)
    return np.clip(np.exp(rng.normal(rng.normal(1.5, 0.3), 1.0, rows)), 0, 100)


def truth(kind: str, x: Any) -> float:
    """The figure of a cell without noise."""
    return {
        "count": lambda: float(len(x)),
        "sum": lambda: float(x.sum()),
        "mean": lambda: float(x.mean()),
        "share": lambda: float(x.mean()),
        "variance": lambda: float(x.var()),
        "quantiles": lambda: float(np.quantile(x, 0.5)),
    }[kind]()


def once(rng: np.random.Generator, kind: str, shape: str, rows: int, epsilon: float) -> dict[str, float]:
    """Expected and actual error, expected and actual silent cells, of one study."""
    measure, sigma = MEASURES[kind], 1 / mu_for(epsilon, 1e-6)
    layout = Layout(owner="tax", axes=(AXIS,), tables=(TABLE,), measures=(measure,))
    block = Block(
        name="county|m", left="tax", right="tax", shape=(CELLS + 1, measure.columns), sigma={"tax": sigma}
    )
    release = Release(
        name="statistics", population="all", mu=1.0, ring="uint64", scale_bits=0, blocks=(block,)
    )
    (said,) = expected(layout, release, rows)
    sizes = np.maximum(rng.multinomial(rows, rng.dirichlet(np.ones(CELLS))), 1)
    cells = [values(rng, shape, kind, n) for n in sizes]
    exact = np.stack([plain_matrix(measure, pd.DataFrame({"x": x})).sum(0) for x in cells])
    exact = np.concatenate([exact, np.zeros((1, measure.columns))])
    total = exact + rng.normal(0, sigma, exact.shape)
    released = ReleasedSums(
        name="statistics",
        population="all",
        mu=1.0,
        blocks=(ReleasedBlock(name="county|m", left="tax", right="tax", total=total, variance=sigma**2),),
        about={"layout": layout.to_dict()},
    )
    record = ReleaseRecord(study={}, study_digest="", attempt="a", research=False, releases=(released,))
    frame = computed(record).frame
    if kind == "quantiles":
        frame = frame[np.isclose(frame["quantile"], 0.5)]
    frame = frame.iloc[:CELLS]
    apart = frame["estimate"].to_numpy() - np.array([truth(kind, x) for x in cells])
    average = (np.abs(sizes / said.rows - 1) < 0.2) & np.isfinite(apart)
    return {
        "expected": said.error,
        "squares": float((apart[average] ** 2).sum()),
        "cells": int(average.sum()),
        "silent": said.silent,
        "was_silent": int((~frame["says"]).sum()),
    }


def main() -> None:
    out = []
    print(
        "| measure | values | enterprises | epsilon | expected / actual error | silent cells: expected, actual (of 40) |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    for kind in MEASURES:
        for shape in ("even", "skewed"):
            for rows, epsilon in ((40_000, 1.0), (40_000, 0.2), (4_000, 1.0)):
                rng = np.random.default_rng([rows, int(10 * epsilon), len(kind), len(shape)])
                found = [once(rng, kind, shape, rows, epsilon) for _ in range(DRAWS)]
                cells = sum(f["cells"] for f in found)
                actual = math.sqrt(sum(f["squares"] for f in found) / max(cells, 1))
                row = {
                    "kind": kind,
                    "values": shape,
                    "rows": rows,
                    "epsilon": epsilon,
                    "ratio": found[0]["expected"] / actual,
                    "cells": cells,
                    "silent": found[0]["silent"],
                    "was_silent": sum(f["was_silent"] for f in found) / DRAWS,
                }
                out.append(row)
                print(
                    f"| {kind} | {shape} | {rows:,} | {epsilon:g} | {row['ratio']:.2f} | "
                    f"{row['silent']:.0f}, {row['was_silent']:.0f} |",
                    flush=True,
                )
    ratios = np.array([row["ratio"] for row in out])
    print(
        f"\nratio: median {np.median(ratios):.2f}, nine of ten between {np.quantile(ratios, 0.05):.2f} and "
        f"{np.quantile(ratios, 0.95):.2f}"
    )
    Path(__file__).with_name("expectation.json").write_text(
        json.dumps(out, indent=1) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    main()
