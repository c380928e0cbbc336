"""False alarms and power of ``fedrisk drift``, over simulated pairs of statistics studies.

A pair is two months of one population: cells of counties by sectors, and four measures (count, a mean, a share, quantiles)
at one epsilon together. A part of the enterprises is in both months. Run it as

    python benchmarks/statistics/drift.py [--pairs 2000]

and it prints the tables of README.md and writes drift.json beside itself.
"""

import argparse
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from fedrisk.analysis.drift import drift
from fedrisk.privacy.accounting import mu_for
from fedrisk.releases.record import ReleasedBlock, ReleasedSums, ReleaseRecord
from fedrisk.releases.statistics import MEAN_COUNT, UNKNOWN, Axis, CellTable, Layout, Measure, block_name

COUNTIES, SECTORS = 12, 4
RATE = 0.05
Ints = NDArray[np.int64]


def axis(name: str, size: int) -> Axis:
    return Axis(name=name, column=f"power.{name}", categories=(*(f"{name}{k}" for k in range(size)), UNKNOWN))


LAYOUT = Layout(
    owner="power",
    axes=(axis("county", COUNTIES), axis("sector", SECTORS)),
    tables=(CellTable(name="county, sector", axes=("county", "sector")),),
    measures=tuple(
        Measure(name=name, kind=kind, share=0.25, column=None if kind == "count" else f"power.{name}", **more)
        for name, kind, more in (
            ("count", "count", {}),
            ("growth", "mean", {"low": -1.0, "high": 1.0}),
            ("late", "share", {"flag": True}),
            ("load", "quantiles", {"low": 0.0, "high": 8.0, "cuts": tuple(float(k) for k in range(1, 8))}),
        )
    ),
)
CELLS = (COUNTIES + 1) * (SECTORS + 1)


class Month:
    """Exact sums of one month's enterprises, by measure."""

    def __init__(self, sizes: Ints, late: Ints, growth: NDArray[np.float64], load: Ints) -> None:
        self.sums = {
            "count": sizes[:, None].astype(float),
            "late": np.stack([late, sizes - late], 1).astype(float),
            "growth": np.stack([MEAN_COUNT * sizes, math.sqrt(1 - MEAN_COUNT**2) * growth], 1),
            "load": load.astype(float),
        }

    def __add__(self, other: "Month") -> "Month":
        out = Month.__new__(Month)
        out.sums = {name: self.sums[name] + other.sums[name] for name in self.sums}
        return out


def draw(rng: np.random.Generator, rows: float, shares: Any, late: Any, growth: Any) -> Month:
    """Enterprises of a month: a Poisson number of them, each with a cell, and values whose chances are of the cell."""
    sizes = rng.multinomial(rng.poisson(rows), shares)
    # Sums of many values between growth - .5 and growth + .5; their law beyond mean and variance does not matter here.
    total = sizes * growth + rng.normal(size=CELLS) * np.sqrt(sizes / 12)
    loads = np.stack([rng.multinomial(n, np.full(8, 1 / 8)) for n in sizes])
    return Month(sizes, rng.binomial(sizes, late), total, loads)


def record(rng: np.random.Generator, month: Month, epsilon: float) -> ReleaseRecord:
    """The month as it is released at this epsilon, delta 1e-6."""
    sigma = 1 / (mu_for(epsilon, 1e-6) * math.sqrt(0.25))
    table = LAYOUT.tables[0]
    blocks = tuple(
        ReleasedBlock(
            name=block_name(table, m),
            left="power",
            right="power",
            total=month.sums[m.name] + rng.normal(0, sigma, month.sums[m.name].shape),
            variance=sigma**2,
        )
        for m in LAYOUT.measures
    )
    released = ReleasedSums(
        name="statistics", population="all", mu=1.0, blocks=blocks, about={"layout": LAYOUT.to_dict()}
    )
    attempt = f"{rng.integers(1 << 60):032x}"
    return ReleaseRecord(study={}, study_digest="", attempt=attempt, research=False, releases=(released,))


def pair(
    rng: np.random.Generator,
    rows: int,
    epsilon: float,
    overlap: float,
    plant: Callable[..., Any] | None = None,
) -> set[str]:
    """Names of the comparisons that changed, by Holm at the stated rate."""
    shares = rng.dirichlet(np.full(CELLS, 1.0))
    late, growth = rng.uniform(0.02, 0.3, CELLS), rng.uniform(-0.3, 0.3, CELLS)
    both = draw(rng, overlap * rows, shares, late, growth)
    old = both + draw(rng, (1 - overlap) * rows, shares, late, growth)
    if plant is not None:
        shares, late, growth = plant(shares.copy(), late.copy(), growth.copy())
    new = both + draw(rng, (1 - overlap) * rows, shares, late, growth)
    found = drift(record(rng, old, epsilon), record(rng, new, epsilon), rate=RATE)
    return {one.change.name for one in found.found}


SETTINGS = (
    (20_000, 1.0, 0.0),
    (2_000, 1.0, 0.0),
    (20_000, 0.2, 0.0),
    (20_000, 1.0, 0.5),
    (20_000, 1.0, 0.9),
    (200_000, 1.0, 0.0),
)
"""Enterprises of a month, epsilon, and the part of them that is in both months."""


def false_alarms(pairs: int) -> list[dict[str, Any]]:
    out = []
    for rows, epsilon, overlap in SETTINGS:
        rng = np.random.default_rng([rows, int(10 * epsilon), int(10 * overlap)])
        # The first has all pairs; the others say whether the rate depends on size, noise and overlap.
        tried = pairs if not out else max(20, pairs // 8)
        alarms = sum(bool(pair(rng, rows, epsilon, overlap)) for _ in range(tried))
        rate = alarms / tried
        error = 1.96 * math.sqrt(max(rate * (1 - rate), 1 / tried) / tried)
        out.append(
            {
                "rows": rows,
                "epsilon": epsilon,
                "overlap": overlap,
                "pairs": tried,
                "rate": rate,
                "error": error,
            }
        )
        print(
            f"| {rows:,} | {epsilon:g} | {overlap:.0%} | {tried:,} | {rate:.4f} ± {error:.4f} |", flush=True
        )
    return out


def moved(part: float) -> Callable[..., Any]:
    """A part of the enterprises of the first three counties is in the next three."""

    def plant(shares: Any, late: Any, growth: Any) -> Any:
        grid = shares.reshape(COUNTIES + 1, SECTORS + 1)
        gone = part * grid[:3]
        grid[:3] -= gone
        grid[3:6] += gone
        return grid.ravel(), late, growth

    return plant


def worse(points: float) -> Callable[..., Any]:
    """The share rises everywhere."""
    return lambda shares, late, growth: (shares, late + points, growth)


def slower(by: float) -> Callable[..., Any]:
    """The mean falls everywhere."""
    return lambda shares, late, growth: (shares, late, growth - by)


PLANTED = {
    "10 % of three counties' enterprises move": (moved(0.1), "count"),
    "30 % of three counties' enterprises move": (moved(0.3), "count"),
    "share + 1 point": (worse(0.01), "late"),
    "share + 3 points": (worse(0.03), "late"),
    "mean - .02 of -1 to 1": (slower(0.02), "growth"),
    "mean - .1 of -1 to 1": (slower(0.1), "growth"),
}


def power(pairs: int) -> list[dict[str, Any]]:
    out = []
    for name, (plant, about) in PLANTED.items():
        for rows in (20_000, 200_000):
            for epsilon in (0.2, 1.0):
                rng = np.random.default_rng([rows, int(10 * epsilon), len(name)])
                hits = sum(
                    any(f.startswith(about) for f in pair(rng, rows, epsilon, 0.0, plant))
                    for _ in range(pairs)
                )
                out.append({"planted": name, "rows": rows, "epsilon": epsilon, "power": hits / pairs})
                print(f"| {name} | {rows:,} | {epsilon:g} | {hits / pairs:.2f} |", flush=True)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=2000, help="pairs of each row of false alarms")
    asked = parser.parse_args()
    print(
        "| enterprises | epsilon | in both | pairs | false alarms at .05 |\n| --- | --- | --- | --- | --- |"
    )
    alarms = false_alarms(asked.pairs)
    print("\n| planted | enterprises | epsilon | found |\n| --- | --- | --- | --- |")
    found = power(max(20, asked.pairs // 50))
    results = {"pairs": asked.pairs, "false_alarms": alarms, "power": found}
    Path(__file__).with_name("drift.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
