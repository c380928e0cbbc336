"""How often the intervals of a statistics study hold the truth: many draws of noise on realistic and on nasty cells.

    python benchmarks/statistics/coverage.py [--draws 1000] [--seed 1] [--included 1 .7]

Writes coverage.json beside this file, or what was asked for of it; exit code 1 where an interval covers less often than it says.
"""

import argparse
import json
import math
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

from fedrisk.analysis.intervals import reach
from fedrisk.analysis.measures import QUANTILES, columns_of
from fedrisk.analysis.sums import statistics
from fedrisk.releases.record import ReleasedBlock, ReleasedSums, ReleaseRecord
from fedrisk.releases.statistics import (
    MEAN_COUNT,
    RELEASE,
    UNKNOWN,
    VARIANCE_WEIGHTS,
    Axis,
    CellTable,
    Layout,
    Measure,
    block_name,
)
from fedrisk.study import NO_PRIVACY

SIZES = (0, 0, 0, 1, 2, 5, 10, 20, 40, 80, 160, 320, 640, 1280, 5000)
"""Enterprises of the cells, one size after the other."""

MU = 1.0
LEVEL = 0.95
CLASSES = (("none", 0, 1), ("1-20", 1, 21), ("21-200", 21, 201), ("more", 201, 1 << 62))
CUTS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)


def layout_of(included: float = 1.0) -> Layout:
    """County by sector, by county, and all; measures of every kind, each with the same part of the budget."""
    county = Axis(name="county", column="registry.county", categories=(*"abcdefghi", UNKNOWN))
    groups = (0, 0, 0, 0, 1, 1, 1, 2, 2, 3)
    prefecture = Axis(
        name="prefecture", column="registry.county", categories=(*"xyz", UNKNOWN), groups=groups
    )
    sector = Axis(name="sector", column="registry.sector", categories=("farm", "shop", UNKNOWN))
    measures = [
        Measure(name="count", kind="count"),
        Measure(name="sales", kind="sum", column="tax.sales", low=0.0, high=100.0),
        Measure(name="change", kind="sum", column="tax.change", low=-1.0, high=1.0),
        Measure(name="mean_sales", kind="mean", column="tax.sales", low=0.0, high=100.0),
        Measure(name="mean_change", kind="mean", column="tax.change", low=-1.0, high=1.0),
        Measure(name="rare", kind="share", column="tax.rare", values=("1",)),
        Measure(name="half", kind="share", column="tax.half", values=("1",)),
        Measure(name="variance_sales", kind="variance", column="tax.sales", low=0.0, high=100.0),
        Measure(name="variance_change", kind="variance", column="tax.change", low=-1.0, high=1.0),
        Measure(name="quantiles", kind="quantiles", column="tax.sales", low=0.0, high=100.0, cuts=CUTS),
    ]
    measures = [Measure(**{**vars(m), "share": 1 / len(measures)}) for m in measures]
    tables = (
        CellTable(name="county_sector", axes=("county", "sector"), share=0.6),
        CellTable(name="county", axes=("county",), share=0.2),
        CellTable(name="all", axes=(), share=0.2),
    )
    return Layout(
        owner="registry",
        axes=(county, prefecture, sector),
        tables=tables,
        measures=tuple(measures),
        included=included,
        joined=included < 1,
    )


class Rows:
    """Enterprises: place of each in county by sector, and its columns; a tenth has no value."""

    def __init__(self, layout: Layout, rng: np.random.Generator) -> None:
        cells = layout.cells(layout.tables[0])
        self.cell = np.repeat(np.arange(cells), [SIZES[k % len(SIZES)] for k in range(cells)])
        n = len(self.cell)
        columns = {
            # Heavy tails, cut at the bound.
            "tax.sales": np.minimum(rng.lognormal(0.0, 1.7, n), 100.0),
            "tax.change": np.clip(rng.normal(-0.03, 0.08, n), -1, 1),
            "tax.rare": (rng.random(n) < 0.004).astype(float),
            "tax.half": (rng.random(n) < 0.45).astype(float),
        }
        self.columns = {name: np.where(rng.random(n) < 0.1, np.nan, v) for name, v in columns.items()}

    def matrix(self, measure: Measure) -> np.ndarray:
        """What each row adds to its cell's numbers."""
        n = len(self.cell)
        if measure.kind == "count":
            return np.ones((n, 1))
        x = self.columns[measure.column or ""]
        known = ~np.isnan(x)
        out = np.zeros((n, measure.columns))
        if measure.kind == "share":
            out[:, 0], out[:, 1] = x == 1, known & (x != 1)
            return out
        if measure.kind == "quantiles":
            out[known, np.searchsorted(measure.cuts, x[known], side="right")] = 1
            return out
        low, high = measure.low or 0.0, measure.high or 1.0
        if measure.kind == "sum":
            return np.where(known, x / max(abs(low), abs(high)), 0)[:, None]
        z = np.where(known, (2 * x - low - high) / (high - low), 0.0)
        if measure.kind == "mean":
            return np.stack([MEAN_COUNT * known, math.sqrt(1 - MEAN_COUNT**2) * z], 1)
        a, b, c = VARIANCE_WEIGHTS
        return np.stack([a * known, b * z, c * z**2], 1)

    def sums(self, layout: Layout, drawn: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """Exact numbers of each block, of the rows that were drawn."""
        place = {
            "county_sector": self.cell,
            "county": self.cell // 3,
            "prefecture": np.array(layout.axis("prefecture").groups)[self.cell // 3],
            "all": np.zeros_like(self.cell),
        }
        place["prefecture, sector"] = place["prefecture"] * 3 + self.cell % 3
        out = {}
        for measure in layout.measures:
            rows = self.matrix(measure)
            rows = rows if drawn is None else rows * drawn[:, None]
            for table in layout.tables:
                total = [np.bincount(place[table.name], r, layout.cells(table)) for r in rows.T]
                out[block_name(table, measure)] = np.stack(total, 1)
        self.place = place
        return out

    def truth(self, measure: Measure, table: CellTable, cells: int) -> np.ndarray:
        """(cells, quantiles or 1): what the estimates are of; NaN where no enterprise has a value."""
        place = self.place[table.name]
        if measure.kind == "count":
            return np.bincount(place, minlength=cells).astype(float)[:, None]
        x = self.columns[measure.column or ""]
        parts = [x[(place == k) & ~np.isnan(x)] for k in range(cells)]
        if measure.kind == "sum":
            return np.array([p.sum() for p in parts])[:, None]
        if measure.kind == "quantiles":
            return np.array([[_quantile(p, q) for q in QUANTILES] for p in parts])
        make = {"mean": np.mean, "share": np.mean, "variance": np.var}[measure.kind]
        return np.array([make(p) if len(p) else np.nan for p in parts])[:, None]


def _quantile(values: np.ndarray, p: float) -> float:
    return float(np.sort(values)[max(math.ceil(p * len(values)) - 1, 0)]) if len(values) else math.nan


def record_of(
    layout: Layout, sums: dict[str, np.ndarray], rng: np.random.Generator, mu: float = MU
) -> ReleaseRecord:
    """A record with noise as a study of that budget has it."""
    sensitivity = math.sqrt(2) if layout.joined else 1.0
    blocks = []
    for table in layout.tables:
        for measure in layout.measures:
            name = block_name(table, measure)
            sigma = 0.0 if math.isinf(mu) else sensitivity / (mu * math.sqrt(table.share * measure.share))
            total = sums[name] + (sigma * rng.standard_normal(sums[name].shape) if sigma else 0.0)
            blocks.append(
                ReleasedBlock(name=name, left="tax", right="registry", total=total, variance=sigma**2)
            )
    released = ReleasedSums(
        name=RELEASE, population="all", mu=mu, blocks=tuple(blocks), about={"layout": layout.to_dict()}
    )
    return ReleaseRecord(
        study={"name": "coverage"},
        study_digest="0" * 64,
        attempt="0" * 32,
        research=True,
        notice=NO_PRIVACY,
        releases=(released,),
    )


COUNTED = ("held", "asked", "shown", "shown_held", "missed_squared", "cells", "draws")


def experiment(draws: int, seed: int, included: float = 1.0) -> dict[str, dict[str, dict[str, float]]]:
    """By measure and class of cells: intervals that hold the truth, intervals, figures shown, of these that hold it.

    missed_squared: sum over draws of the squared number of misses beyond the expected: cells of one draw err together.
    """
    rng = np.random.default_rng(seed)
    layout = layout_of(included)
    rows, q = Rows(layout, rng), reach(LEVEL)
    exact = rows.sums(layout)
    found: dict[str, dict[str, dict[str, float]]] = defaultdict(
        lambda: defaultdict(lambda: dict.fromkeys(COUNTED, 0.0))
    )
    truths = {}
    for _ in range(draws):
        sums = exact if included == 1 else rows.sums(layout, rng.random(len(rows.cell)) < included)
        said = statistics(record_of(layout, sums, rng))
        for measure in layout.measures:
            one = defaultdict(lambda: dict.fromkeys(COUNTED, 0.0))
            for table in said.tables:
                cells = layout.cells(table)
                size = np.bincount(rows.place[table.name], minlength=cells)
                key = measure.name, table.name
                if key not in truths:
                    truths[key] = rows.truth(measure, table, cells)
                for k, column in enumerate(columns_of(said, table, measure, q)):
                    _note(one, size, truths[key][:, k], column)
            for name, counted in one.items():
                counted["draws"] = 1.0
                counted["missed_squared"] = (counted["held"] - LEVEL * counted["asked"]) ** 2
                for what, value in counted.items():
                    found[measure.name][name][what] += value
    return found


def _note(out: dict[str, dict[str, float]], size: np.ndarray, truth: np.ndarray, column) -> None:
    inside = (column.found.low <= truth + 1e-9) & (truth - 1e-9 <= column.found.high)
    for name, low, high in CLASSES:
        here = (size >= low) & (size < high)
        asked, shown = here & ~np.isnan(truth), here & column.says
        held = {
            "held": inside & asked,
            "asked": asked,
            "shown": shown,
            "shown_held": shown & inside,
            "cells": here,
        }
        for what, cells in held.items():
            out[name][what] += float(cells.sum())


def covers(counted: dict[str, float]) -> bool:
    """Whether intervals hold the truth at their rate, as far as so many draws can tell.

    A rate that is met fails this with a chance of 1 in 4,000 (3.5 standard deviations of the mean, one side), of few
    draws somewhat more.
    """
    return LEVEL * counted["asked"] - counted["held"] <= 3.5 * error_of(counted)


def error_of(counted: dict[str, float]) -> float:
    """Standard error of the number of intervals that hold: from draw to draw, and not less than of cells by themselves."""
    short = LEVEL * counted["asked"] - counted["held"]
    between = counted["missed_squared"] - short**2 / max(counted["draws"], 1)
    return math.sqrt(max(between, LEVEL * (1 - LEVEL) * counted["asked"]))


def main() -> int:
    """All kinds, without and with a draw of enterprises."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--included", type=float, nargs="+", default=[1.0, 0.7])
    asked = parser.parse_args()
    file = Path(__file__).with_name("coverage.json")
    result, fine = json.loads(file.read_text()) if file.exists() else {}, True
    for included in asked.included:
        found = experiment(asked.draws, asked.seed, included)
        for measure, classes in found.items():
            for name, counted in classes.items():
                line = _line(counted)
                met = covers(counted)
                fine &= met
                result[f"{measure}, included {included}, {name} enterprises"] = line
                print(f"{measure:16} {included} {name:7}", line, "" if met else "TOO LOW", flush=True)
            shown, right = (sum(c[k] for c in classes.values()) for k in ("shown", "shown_held"))
            result[f"{measure}, included {included}, all that are shown"] = round(right / shown, 4)
    file.write_text(json.dumps(result, indent=1) + "\n")
    return 0 if fine else 1


def _line(counted: dict[str, float]) -> dict[str, float | None]:
    of, shown, cells = counted["asked"], counted["shown"], counted["cells"]
    draws = max(counted["draws"], 1)
    return {
        "covered": round(counted["held"] / of, 4) if of else None,
        "error": round(error_of(counted) / of, 4) if of else None,
        "draws": round(draws),
        "cells": round(cells / draws),
        "shown": round(shown / cells, 4) if cells else None,
        "shown_and_covered": round(counted["shown_held"] / shown, 4) if shown else None,
    }


if __name__ == "__main__":
    sys.exit(main())
