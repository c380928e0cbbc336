"""Intervals of totals, means and shares from noisy sums: those values that the released numbers do not contradict.

Each is found by turning a test round. A value is inside where the released numbers are less than ``reach`` standard
deviations from what they would be at that value. So the rate at which intervals cover does not rest on an approximation
of a ratio by a straight line, also where its denominator is little more than noise (Fieller 1954).

In studies that draw enterprises with probability ``included``, released sums are of those that were drawn; the draw's
variance is added (Wilson 1927 for counts). Where it depends on what was not released, such as the spread of values, it
gets its greatest possible value, and intervals cover more often than their rate says.

All arrays are by cell. Released numbers are in the units of releases/statistics.COLUMNS.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Estimates of cells, with their intervals.

    bounded: False where the interval is the whole of the public range, or no value agrees with the numbers.
    """

    estimate: Floats
    error: Floats
    low: Floats
    high: Floats
    bounded: Bools

    def moved(self, middle: float, half: float) -> "Interval":
        """The same in other units: middle + half * value."""
        return Interval(
            estimate=middle + half * self.estimate,
            error=half * self.error,
            low=middle + half * self.low,
            high=middle + half * self.high,
            bounded=self.bounded,
        )


def reach(level: float) -> float:
    """Standard deviations to each side at a level.

    >>> round(reach(0.95), 3)
    1.96
    """
    return NormalDist().inv_cdf((1 + level) / 2)


def total(y: Floats, variance: Floats, q: float, included: float) -> Interval:
    """Totals of values between 0 and 1: counts, and sums of values that are never negative, in units of the bound.

    A total T of the population was drawn with variance at most T p (1 - p), p ``included``: each x is at most 1, so the
    sum of x^2 is at most T; of a count it is T.
    """
    p = included
    middle = 2 * p * y + q**2 * p * (1 - p)
    root = np.sqrt(np.maximum(middle**2 - 4 * p**2 * (y**2 - q**2 * variance), 0.0))
    low, high = ((middle + s * root) / (2 * p**2) for s in (-1, 1))
    return Interval(
        estimate=y / p,
        error=np.sqrt(variance + np.maximum(y, 0) * (1 - p)) / p,
        low=np.maximum(low, 0.0),
        high=np.maximum(high, 0.0),
        bounded=np.ones(len(y), dtype=bool),
    )


def signed_total(y: Floats, variance: Floats, q: float, included: float, rows: Floats | None) -> Interval:
    """Totals of values between -1 and 1. rows: how many drawn enterprises may add to each cell; None is not known.

    Without them nothing bounds the draw's variance, and no cell has an interval where enterprises were drawn.
    """
    bounded = np.full(len(y), included == 1 or rows is not None)
    drawn = np.zeros(len(y)) if rows is None else np.maximum(rows, 0) * (1 - included)
    error = np.where(bounded, np.sqrt(variance + drawn) / included, np.inf)
    estimate = y / included
    return Interval(
        estimate=estimate, error=error, low=estimate - q * error, high=estimate + q * error, bounded=bounded
    )


def mean(count: Floats, total: Floats, noise: tuple[Floats, Floats], q: float, included: float) -> Interval:
    """Means of values between -1 and 1. noise: variances of count and total.

    The draw adds at most n (1 - p) (1 - R^2) to the variance of total - R count: no values between -1 and 1 with the
    mean R are spread further.
    """
    drawn = np.maximum(count, 0) * (1 - included)
    of_count, of_total = noise
    a = count**2 - q**2 * (of_count - drawn)
    c = total**2 - q**2 * (of_total + drawn)
    estimate = _ratio(total, count, -1.0, 1.0)
    spread = of_total + estimate**2 * of_count + drawn * (1 - estimate**2)
    return _solved(estimate, np.sqrt(spread), count, (a, count * total, c), (-1.0, 1.0))


def share(ones: Floats, others: Floats, variance: Floats, q: float, included: float) -> Interval:
    """Shares of ones among ones and others, whose noise has the same variance."""
    count = ones + others
    drawn = np.maximum(count, 0) * (1 - included)
    a = count**2 - q**2 * (2 * variance - drawn)
    b = ones * count + q**2 * (drawn - 2 * variance) / 2
    c = ones**2 - q**2 * variance
    estimate = _ratio(ones, count, 0.0, 1.0)
    spread = variance * ((1 - estimate) ** 2 + estimate**2) + drawn * estimate * (1 - estimate)
    return _solved(estimate, np.sqrt(spread), count, (a, b, c), (0.0, 1.0))


def _ratio(above: Floats, below: Floats, low: float, high: float) -> Floats:
    """The ratio within its bounds; NaN where there is nothing to divide by."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below > 0, np.clip(above / below, low, high), np.nan)


def _solved(
    estimate: Floats,
    deviation: Floats,
    count: Floats,
    quadratic: tuple[Floats, Floats, Floats],
    bounds: tuple[float, float],
) -> Interval:
    """Values R with a R^2 - 2 b R + c <= 0, within the bounds; all of them where a <= 0 (the count may be 0)."""
    a, b, c = quadratic
    least, most = bounds
    known = (a > 0) & (count > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        root = np.sqrt(np.maximum(b**2 - a * c, 0.0))
        low, high = (b - root) / a, (b + root) / a
        error = np.where(count > 0, deviation / count, np.inf)
    apart = (low > most) | (high < least)
    return Interval(
        estimate=estimate,
        error=error,
        low=np.where(known, np.clip(low, least, most), least),
        high=np.where(known, np.clip(high, least, most), most),
        bounded=known & ~apart,
    )


def quantiles(
    bins: Floats,
    variance: Floats,
    q: float,
    included: float,
    edges: Floats,
    wanted: tuple[float, ...],
) -> Mapping[float, Interval]:
    """Quantiles from noisy counts in public bins, (cells, bins); intervals end at edges of bins.

    Of the bin k that holds the p-quantile, the cumulated count C_k is at least p N and C_(k-1) is less. Each of the
    two is tested at half of the rate, and the bins that pass both are inside. The estimate follows the cumulated
    counts, made to rise (isotonic regression, Barlow et al. 1972), straight within a bin. edges: (bins + 1,) with
    both ends; those of the interval are among them.
    """
    cells, size = bins.shape
    cumulated = bins.cumsum(1)
    count = cumulated[:, -1:]
    rising = np.stack([_rising(row) for row in cumulated]) if cells else cumulated
    out = {}
    for p in wanted:
        below = np.arange(1, size + 1)
        spread = variance[:, None] * ((1 - p) ** 2 * below + p**2 * (size - below))
        spread = spread + np.maximum(count, 0) * (1 - included) * p * (1 - p)
        distance = cumulated - p * count
        reached = distance >= -q * np.sqrt(spread)
        reached[:, -1] = True
        not_before = np.ones_like(reached)
        not_before[:, 1:] = (distance < q * np.sqrt(spread))[:, :-1]
        inside = reached & not_before
        some = inside.any(1)
        first = np.where(some, inside.argmax(1), 0)
        last = np.where(some, size - 1 - inside[:, ::-1].argmax(1), size - 1)
        low, high = edges[first], edges[last + 1]
        out[p] = Interval(
            estimate=_at(rising, p, edges),
            error=(high - low) / (2 * q),
            low=low,
            high=high,
            bounded=some & ((first > 0) | (last < size - 1)) & (count[:, 0] > 0),
        )
    return out


def _at(rising: Floats, p: float, edges: Floats) -> Floats:
    """Where the rising cumulated counts reach the part p of their end."""
    out = np.full(len(rising), np.nan)
    for k, row in enumerate(rising):
        if row[-1] > 0:
            place = int(np.searchsorted(row, p * row[-1]))
            before = row[place - 1] if place else 0.0
            part = (p * row[-1] - before) / max(row[place] - before, 1e-12)
            out[k] = edges[place] + part * (edges[place + 1] - edges[place])
    return out


def _rising(values: Floats) -> Floats:
    """Isotonic regression by pooling adjacent violators, not below 0."""
    means, sizes = list[float](), list[int]()
    for value in values.tolist():
        means.append(value)
        sizes.append(1)
        while len(means) > 1 and means[-2] > means[-1]:
            last, n = means.pop(), sizes.pop()
            means[-1] = (means[-1] * sizes[-1] + last * n) / (sizes[-1] + n)
            sizes[-1] += n
    return np.asarray(np.maximum(np.repeat(means, sizes), 0.0))
