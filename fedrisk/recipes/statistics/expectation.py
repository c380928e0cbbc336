"""Before a study, from public sizes: how far off will figures be, and how many cells say less than their noise?

The noise of every sum is known beforehand; how many enterprises a cell has, and what values they have, is not. So the
expected error is that of a cell of average size, under assumptions that hold on the whole and in no cell exactly:

- a cell has as many enterprises as all rows by all cells, those of the unknown category left out;
- values lie anywhere between their public bounds with equal chance, and so does a cell's mean or share;
- sizes of cells are spread as the parts of a stick that is broken at random (exponential), as those of counties and
  sectors are, about; it says how many cells are small.

Errors are one standard error, with the privacy noise and, where enterprises are drawn, the draw. Several tables of one
study make each other more exact afterwards; that is not counted on. benchmarks/statistics/expectation.py holds the
expected errors against those that come out.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from fedrisk.findings import Finding
from fedrisk.releases.release import Release
from fedrisk.releases.statistics import MEAN_COUNT, VARIANCE_WEIGHTS, CellTable, Layout, Measure, block_name

REACH = 1.96
"""Standard deviations to each side of an interval."""

_SQUARE = 1 / 3
"""Mean square of a value that lies anywhere between -1 and 1."""


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What to expect of one measure in one table.

    cells: of the table, those of unknown categories left out. rows: enterprises of an average cell (in a drawn study,
    all of them). error: standard error there, in the measure's unit (of a share, as a part of 1). least: enterprises
    from which on a cell says anything; of a sum, where values are half of the bound. silent: how many cells are likely
    to say less than their noise. amount: sum from which on a cell says anything, whatever the values; None of others.
    """

    table: str
    measure: str
    kind: str
    unit: str | None
    cells: int
    rows: float
    error: float
    least: float
    silent: float
    amount: float | None = None

    @property
    def from_words(self) -> str:
        """From where on a cell says something; of a sum the sum, as nobody knows how small its values are."""
        if self.amount is not None:
            return f"a sum of about {in_unit(self.amount, self.kind, self.unit)}"
        return f"{self.least:,.0f} enterprises"


def expected(layout: Layout, release: Release, rows: int) -> tuple[Expected, ...]:
    """For every table and measure of a study. rows: enterprises that are counted, before a draw."""
    out = []
    for table in layout.tables:
        cells = known_cells(layout, table)
        for measure in layout.measures:
            sigma = math.sqrt(release.variance(block_name(table, measure)))
            size = max(rows / cells, 1e-9)
            least = least_rows(measure, sigma) / layout.included
            out.append(
                Expected(
                    table=table.name,
                    measure=measure.name,
                    kind=measure.kind,
                    unit=measure.unit,
                    cells=cells,
                    rows=size,
                    error=standard_error(measure, sigma, size, layout.included),
                    least=least,
                    silent=cells * -math.expm1(-least / size),
                    amount=REACH * _bound(measure) * sigma / layout.included
                    if measure.kind == "sum"
                    else None,
                )
            )
    return tuple(out)


def known_cells(layout: Layout, table: CellTable) -> int:
    """Cells of a table without those of unknown categories."""
    return math.prod(len(layout.axis(name).categories) - 1 for name in table.axes)


def standard_error(measure: Measure, sigma: float, rows: float, included: float = 1.0) -> float:
    """Expected standard error of a measure in a cell.

    sigma: noise of each number, in plain units of releases/statistics. rows: of the cell, before each is drawn with
    probability ``included``.

    >>> round(standard_error(Measure(name="n", kind="count"), 12.0, 500), 1)
    12.0
    """
    noise = _NOISE[measure.kind](measure, sigma, rows * included)
    drawn = _DRAWN[measure.kind](measure, rows) * (1 - included) / included
    if measure.kind in ("count", "sum"):
        noise /= included
    return math.sqrt(noise**2 + drawn)


def least_rows(measure: Measure, sigma: float) -> float:
    """Enterprises from which on a cell says more than its noise, by the rule of analysis/marking.

    Of a count the number itself, and of a sum where values are half of the bound, can be told from 0. Of the others the
    interval is half of the public range.
    """
    return (
        sigma
        * {
            "count": REACH,
            "sum": 2 * REACH,
            "mean": 2 * REACH * _MEAN_SPREAD,
            "share": 4 * REACH * _SHARE_SPREAD,
            "variance": 4 * REACH * _VARIANCE_SPREAD,
            "quantiles": 2 * REACH * math.sqrt(measure.columns),
        }[measure.kind]
    )


def findings(layout: Layout, release: Release, rows: int) -> tuple[Finding, ...]:
    """The same for ``fedrisk check``, a finding for each table and measure."""
    out = []
    for e in expected(layout, release, rows):
        values = {
            "table": e.table,
            "measure": e.measure,
            "cells": e.cells,
            "rows": e.rows,
            "error": in_unit(e.error, e.kind, e.unit),
            "least": e.least,
            "from": e.from_words,
            "silent": e.silent,
        }
        out.append(Finding("statistics_sum_error" if e.kind == "sum" else "statistics_error", values))
    return tuple(out)


def in_unit(error: float, kind: str, unit: str | None) -> str:
    """An error with its unit, in words.

    >>> in_unit(0.0123, "share", None), in_unit(1234.5, "mean", "yuan"), in_unit(12.0, "count", None)
    ('1.23 percentage points', '1,230 yuan', '12 enterprises')
    """
    if kind == "share":
        return f"{_digits(100 * error)} percentage points"
    if kind == "count":
        return f"{_digits(error)} enterprises"
    named = f" {unit}" if unit else ""
    return f"{_digits(error)}{named}{' squared' if kind == 'variance' and unit else ''}"


def _digits(value: float) -> str:
    """Three digits, without an exponent."""
    if not math.isfinite(value) or value == 0:
        return f"{value:g}"
    places = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{round(value, 2 - math.floor(math.log10(abs(value)))):,.{min(places, 12)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


# --- noise of each kind, one standard deviation in the measure's unit ------------------------------------------


def _half(measure: Measure) -> float:
    return ((measure.high or 0.0) - (measure.low or 0.0)) / 2


def _bound(measure: Measure) -> float:
    return max(abs(measure.low or 0.0), abs(measure.high or 0.0))


def _variance_spread() -> float:
    """By the straight line through (count, sum, squares), with a mean square of 1/3 and a squared mean of 1/9."""
    a, b, c = VARIANCE_WEIGHTS
    mean2 = _SQUARE / 3
    return math.sqrt(1 / c**2 + 4 * mean2 / b**2 + (_SQUARE - 2 * mean2) ** 2 / a**2)


_MEAN_SPREAD = math.sqrt(1 / (1 - MEAN_COUNT**2) + _SQUARE / MEAN_COUNT**2)
_SHARE_SPREAD = math.sqrt(2 / 3)
"""(1 - p)^2 + p^2 is 2/3 on average."""
_VARIANCE_SPREAD = _variance_spread()


def _mean_noise(measure: Measure, sigma: float, rows: float) -> float:
    return _half(measure) * sigma / rows * _MEAN_SPREAD


def _share_noise(_: Measure, sigma: float, rows: float) -> float:
    return sigma / rows * _SHARE_SPREAD


def _variance_noise(measure: Measure, sigma: float, rows: float) -> float:
    return _half(measure) ** 2 * sigma / rows * _VARIANCE_SPREAD


def _quantile_noise(measure: Measure, sigma: float, rows: float) -> float:
    """Of the median, among bins that hold equal parts and are as wide as the middle one."""
    widths = sorted(b - a for a, b in pairwise(measure.cuts)) or [2 * _half(measure)]
    bins = measure.columns
    return widths[len(widths) // 2] * bins * math.sqrt(bins) / 2 * sigma / rows


_NOISE: Mapping[str, Callable[[Measure, float, float], float]] = {
    "count": lambda _, sigma, rows: sigma,
    "sum": lambda measure, sigma, rows: _bound(measure) * sigma,
    "mean": _mean_noise,
    "share": _share_noise,
    "variance": _variance_noise,
    "quantiles": _quantile_noise,
}

_DRAWN: Mapping[str, Callable[[Measure, float], float]] = {
    "count": lambda _, rows: rows,
    "sum": lambda measure, rows: rows * _bound(measure) ** 2 * _SQUARE,
    "mean": lambda measure, rows: _half(measure) ** 2 * _SQUARE / rows,
    "share": lambda _, rows: 1 / 6 / rows,
    "variance": lambda measure, rows: _half(measure) ** 4 * 4 / 45 / rows,
    "quantiles": lambda measure, rows: _half(measure) ** 2 / rows,
}
"""Variance that a draw adds, but for (1 - p) / p."""


def silent_cells(found: Sequence[Expected]) -> float:
    """How many cells of all tables and measures are likely to say less than their noise."""
    return sum(e.silent for e in found)
