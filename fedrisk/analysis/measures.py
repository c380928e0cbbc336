"""One measure in one table: estimates with intervals in its units, and which cells say less than their noise."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedrisk.analysis import intervals, marking
from fedrisk.analysis.intervals import Interval
from fedrisk.analysis.sums import Statistics
from fedrisk.analysis.variances import Moments, variance
from fedrisk.releases.statistics import MEAN_COUNT, VARIANCE_WEIGHTS, CellTable, Measure

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Quantiles that are read from public bins."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """Estimates of all cells of a table: of a measure, or of one quantile of it (else NaN)."""

    quantile: float
    found: Interval
    says: Bools


def columns_of(sums: Statistics, table: CellTable, measure: Measure, q: float) -> tuple[Column, ...]:
    """Estimates of a measure in a table, with intervals of ``q`` standard deviations to each side."""
    make = {
        "count": _count,
        "sum": _sum,
        "mean": _mean,
        "share": _share,
        "variance": _variance,
        "quantiles": _quantiles,
    }[measure.kind]
    return make(sums, table, measure, q)


def values_in(sums: Statistics, table: CellTable, measure: Measure) -> tuple[Floats, Floats] | None:
    """Noisy numbers of drawn enterprises with a value, and their variances; None where nothing counts them."""
    own = sums.of(table, measure)
    if measure.kind == "sum":
        return None
    if measure.kind in ("share", "quantiles"):
        return own.total.sum(1), own.variance * own.total.shape[1]
    weight = {"count": 1.0, "mean": MEAN_COUNT, "variance": VARIANCE_WEIGHTS[0]}[measure.kind]
    return own.total[:, 0] / weight, own.variance / weight**2


def _one(found: Interval, says: Bools) -> tuple[Column, ...]:
    return (Column(quantile=math.nan, found=found, says=says),)


def _count(sums: Statistics, table: CellTable, measure: Measure, q: float) -> tuple[Column, ...]:
    own = sums.of(table, measure)
    y = own.total[:, 0]
    found = intervals.total(y, own.variance, q, sums.layout.included)
    # Without noise a 0 is one.
    return _one(found, marking.told_from_zero(y, own.variance) | (own.variance == 0))


def _sum(sums: Statistics, table: CellTable, measure: Measure, q: float) -> tuple[Column, ...]:
    own, included = sums.of(table, measure), sums.layout.included
    y, (low, high) = own.total[:, 0], bounds(measure)
    bound = max(abs(low), abs(high))
    if low >= 0:
        found = intervals.total(y, own.variance, q, included)
    elif high <= 0:
        found = _mirrored(intervals.total(-y, own.variance, q, included))
    else:
        found = intervals.signed_total(y, own.variance, q, included, _rows(sums, table, measure, q))
    signed = low < 0 < high
    told = marking.told_from_zero(-y if high <= 0 else y, own.variance, signed=signed)
    counted = _counted(sums, table, measure)
    # A sum is no more than as many bounds as there are enterprises: where these are known better, they are asked too.
    if counted is not None and (counted[1] <= own.variance).all():
        told &= marking.told_from_zero(*counted)
    return _one(found.moved(0.0, bound), (told | (own.variance == 0)) & found.bounded)


def _mirrored(found: Interval) -> Interval:
    return Interval(
        estimate=-found.estimate,
        error=found.error,
        low=-found.high,
        high=-found.low,
        bounded=found.bounded,
    )


def _rows(sums: Statistics, table: CellTable, measure: Measure, q: float) -> Floats | None:
    """Drawn enterprises that may have a value, at the upper end of their noise; None where nothing counts them."""
    known = _counted(sums, table, measure)
    return None if known is None else known[0] + q * np.sqrt(known[1])


def _counted(sums: Statistics, table: CellTable, measure: Measure) -> tuple[Floats, Floats] | None:
    """Noisy numbers of enterprises that may have a value, and variances; the surest that some measure counts."""
    found = [
        values_in(sums, table, other)
        for other in sums.layout.measures
        if other.kind == "count" or other.column == measure.column
    ]
    return min((f for f in found if f is not None), key=lambda f: float(f[1].sum()), default=None)


def _mean(sums: Statistics, table: CellTable, measure: Measure, q: float) -> tuple[Column, ...]:
    own, (low, high) = sums.of(table, measure), bounds(measure)
    weight = math.sqrt(1 - MEAN_COUNT**2)
    count, total = own.total[:, 0] / MEAN_COUNT, own.total[:, 1] / weight
    noise = own.variance / MEAN_COUNT**2, own.variance / weight**2
    found = intervals.mean(count, total, noise, q, sums.layout.included)
    found = found.moved((low + high) / 2, (high - low) / 2)
    return _one(found, marking.told_from_zero(count, noise[0]) & marking.within_range(found, low, high))


def _share(sums: Statistics, table: CellTable, measure: Measure, q: float) -> tuple[Column, ...]:
    own = sums.of(table, measure)
    found = intervals.share(own.total[:, 0], own.total[:, 1], own.variance, q, sums.layout.included)
    told = marking.told_from_zero(own.total.sum(1), 2 * own.variance)
    return _one(found, told & marking.within_range(found, 0.0, 1.0))


def _variance(sums: Statistics, table: CellTable, measure: Measure, q: float) -> tuple[Column, ...]:
    own, (low, high) = sums.of(table, measure), bounds(measure)
    a, b, c = VARIANCE_WEIGHTS
    moments = Moments(
        own.total[:, 0] / a,
        own.total[:, 1] / b,
        own.total[:, 2] / c,
        (own.variance / a**2, own.variance / b**2, own.variance / c**2),
        sums.layout.included,
    )
    most = ((high - low) / 2) ** 2
    found = variance(moments, q).moved(0.0, most)
    told = marking.told_from_zero(moments.count, moments.noise[0])
    return _one(found, told & marking.within_range(found, 0.0, most))


def _quantiles(sums: Statistics, table: CellTable, measure: Measure, q: float) -> tuple[Column, ...]:
    own = sums.of(table, measure)
    low, high = bounds(measure)
    edges = np.array([low, *measure.cuts, high])
    told = marking.told_from_zero(own.total.sum(1), own.variance * own.total.shape[1])
    found = intervals.quantiles(own.total, own.variance, q, sums.layout.included, edges, QUANTILES)
    return tuple(
        Column(quantile=p, found=one, says=told & marking.within_bins(one, edges)) for p, one in found.items()
    )


def bounds(measure: Measure) -> tuple[float, float]:
    """Public bounds of a measure's values; where a measure of bins has none, its outermost cuts."""
    low = measure.low if measure.low is not None else min(measure.cuts, default=0.0)
    high = measure.high if measure.high is not None else max(measure.cuts, default=1.0)
    return low, high
