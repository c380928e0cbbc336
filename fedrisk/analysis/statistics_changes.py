"""Two statistics studies of the same cells and measures, compared."""

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from fedrisk.analysis.changes import NOISE, Change, Compared, of_ratios, of_shares
from fedrisk.analysis.homogeneity import Histogram
from fedrisk.analysis.ratio_change import Cells
from fedrisk.analysis.sums import Sums, layout_in, read
from fedrisk.errors import ConfigError
from fedrisk.releases.record import ReleasedSums, ReleaseRecord
from fedrisk.releases.statistics import (
    MEAN_COUNT,
    RELEASE,
    VARIANCE_WEIGHTS,
    CellTable,
    Layout,
    Measure,
)

Floats = NDArray[np.float64]

SIGNED = "signed_sum"
"""Code: the sampling of a sum of values of both signs cannot be bounded; its mean can be compared."""


def compare(old: ReleaseRecord, new: ReleaseRecord) -> Compared:
    """All tables and measures of both; ConfigError where their layouts differ."""
    before, after = old.release(RELEASE), new.release(RELEASE)
    layout = _same_layout(before, after)
    changes, silent = list[Change](), dict[str, str]()
    for name, change in _all(layout, before, after):
        if isinstance(change, Change):
            changes.append(change)
        else:
            silent[name] = change
    notes = ["sampling", "overlap"]
    kinds = {m.kind for m in layout.measures}
    notes += ["mean_bound"] if kinds & {"mean", "variance"} else []
    notes += ["variance"] if "variance" in kinds else []
    return Compared(changes=tuple(changes), silent=silent, notes=tuple(notes))


def _same_layout(old: ReleasedSums, new: ReleasedSums) -> Layout:
    """The layout of both, budgets apart: shares of mu may differ."""
    first, second = (layout_in(r) for r in (old, new))
    for what, of in _PARTS.items():
        if of(first) != of(second):
            raise ConfigError(
                f"the two studies have different {what}, and only the same can be compared; ask the same question again"
            )
    return second


def _meaning(measure: Measure) -> tuple[object, ...]:
    return (measure.kind, measure.column, measure.low, measure.high, measure.cuts, measure.values)


_PARTS: Mapping[str, Callable[[Layout], object]] = {
    "cells": lambda layout: (layout.owner, layout.axes, layout.joined),
    "tables": lambda layout: {t.name: t.axes for t in layout.tables},
    "measures": lambda layout: {m.name: _meaning(m) for m in layout.measures},
}


def _all(layout: Layout, old: ReleasedSums, new: ReleasedSums) -> list[tuple[str, Change | str]]:
    out: list[tuple[str, Change | str]] = []
    for measure in layout.measures:
        if measure.kind in ("count", "sum"):
            out += _spread(layout, measure, old, new)
            continue
        for table in layout.tables:
            name = measure.name if len(layout.tables) == 1 else f"{measure.name} by {table.name}"
            pair = read(old, layout, table, measure), read(new, layout, table, measure)
            out.append((name, _measured(name, layout, table, measure, pair) or NOISE))
    return out


def _measured(
    name: str, layout: Layout, table: CellTable, measure: Measure, pair: tuple[Sums, Sums]
) -> Change | None:
    """How values are spread, of quantiles; means or shares of cells, of the others."""
    if measure.kind == "quantiles":
        a, b = (Histogram.of(x.total.sum(0), float(x.variance.sum())) for x in pair)
        return of_shares(name, a, b)
    old, new = (_cells(measure, x) for x in pair)
    low = 0.0 if measure.kind == "share" else -1.0
    labels, scale = _labels(layout, table), _scale(measure)
    return of_ratios(name, old, new, labels, low=low, scale=scale, included=layout.included)


def _spread(
    layout: Layout, measure: Measure, old: ReleasedSums, new: ReleasedSums
) -> list[tuple[str, Change | str]]:
    """How a count or a sum is spread over the categories of each axis, and over the cells of each table.

    The numbers of a sum are at most as variable as those of a count: values are parts of the bound, 0 to 1.
    """
    if measure.kind == "sum" and (measure.low or 0.0) < 0:
        return [(measure.name, SIGNED)]
    out: list[tuple[str, Change | str]] = []
    for axes, table in _margins(layout).items():
        if not axes:
            continue
        name = f"{measure.name} by {', '.join(axes)}"
        pair = [_margin(layout, table, axes, read(r, layout, table, measure)) for r in (old, new)]
        unit = 1.0 if measure.kind == "count" else abs(measure.high or 1.0)
        out.append((name, of_shares(name, pair[0], pair[1], unit=unit) or NOISE))
    return out


def _margins(layout: Layout) -> dict[tuple[str, ...], CellTable]:
    """Axes, one by one and as tables have them, with the table in which their cells have the least noise."""
    out: dict[tuple[str, ...], CellTable] = {}
    for table in layout.tables:
        for axes in dict.fromkeys([*((axis,) for axis in table.axes), table.axes]):
            best = out.get(axes)
            if best is None or _noise(layout, table, axes) < _noise(layout, best, axes):
                out[axes] = table
    return out


def _noise(layout: Layout, table: CellTable, axes: tuple[str, ...]) -> float:
    joined = layout.cells(table) / math.prod(len(layout.axis(a).categories) for a in axes)
    return joined / table.share


def _margin(layout: Layout, table: CellTable, axes: tuple[str, ...], block: Sums) -> Histogram:
    shape = layout.shape(table)
    away = tuple(k for k, axis in enumerate(table.axes) if axis not in axes)
    counts = block.total[:, 0].reshape(shape).sum(axis=away)
    joined = math.prod(shape[k] for k in away)
    return Histogram.of(np.asarray(counts.ravel(), np.float64), float(block.variance[0]) * joined)


def _cells(measure: Measure, block: Sums) -> Cells:
    """Counts of values and their sums, between -1 and 1 of a mean."""
    x, v = block.total, block.variance
    if measure.kind == "share":
        return Cells.of_share(x[:, 0], x[:, 1], float(v[0]))
    weights = (
        VARIANCE_WEIGHTS[:2] if measure.kind == "variance" else (MEAN_COUNT, math.sqrt(1 - MEAN_COUNT**2))
    )
    a, b = weights
    return Cells(
        count=x[:, 0] / a, total=x[:, 1] / b, of_count=v / a**2, of_total=v / b**2, together=np.zeros(len(v))
    )


def _scale(measure: Measure) -> tuple[float, float]:
    if measure.kind == "share" or measure.low is None or measure.high is None:
        return 0.0, 1.0
    return (measure.low + measure.high) / 2, (measure.high - measure.low) / 2


def _labels(layout: Layout, table: CellTable) -> list[str]:
    places = np.indices(layout.shape(table)).reshape(len(table.axes), -1).T if table.axes else [()]
    return [
        ", ".join(layout.axis(a).categories[k] for a, k in zip(table.axes, place, strict=True)) or "all"
        for place in places
    ]
