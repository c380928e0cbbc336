"""Bounds and edges in numbers that look public: 1, 2 or 5 times a power of ten, around robust quantiles.

A bound is no smallest or largest value: it lies outside the range that all but a thousandth of the rows fill, so that
one enterprise more or less hardly ever moves it. That proves nothing, which is why a person confirms it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

COUNT_EDGES = (0.5, 1.5, 2.5, 4.5, 9.5, 19.5, 49.5, 99.5, 199.5, 499.5)
"""Public edges for counts of things: few are told apart one by one, many by their size."""


def up(x: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is at least ``x`` (positive).

    >>> up(0.031), up(1), up(237_000)
    (0.05, 1.0, 500000.0)
    """
    power = math.floor(math.log10(x))
    for k in (power, power + 1):
        for first in (1, 2, 5):
            candidate = float(f"{first}e{k}")
            if candidate >= x:
                return candidate
    return float(f"1e{power + 2}")


def outward(low: float, high: float) -> tuple[float, float]:
    """Round bounds that hold [low, high]; they begin or end at zero where that is near in comparison.

    >>> outward(3, 870), outward(-40, 12), outward(1969, 2010), outward(0, 0)
    ((0.0, 1000.0), (-50.0, 50.0), (1960.0, 2010.0), (0.0, 1.0))
    """
    if high < 0:
        back = outward(-high, -low)
        return -back[1] + 0.0, -back[0] + 0.0
    if low < 0:
        below, above = up(-low), up(high) if high > 0 else 0.0
        # Two ends of about one size are one number: what is owed can be as much as what is held.
        return (
            (-max(below, above), max(below, above)) if below <= 10 * above <= 100 * below else (-below, above)
        )
    if high == 0:
        return 0.0, 1.0
    if low == 0 or high / low > 3:
        return 0.0, up(high)
    return steps(low, high)


def steps(low: float, high: float) -> tuple[float, float]:
    """Bounds around [low, high] that are whole steps of a power of ten no larger than their distance.

    >>> steps(0.573, 0.641), steps(7, 7)
    ((0.57, 0.65), (0.0, 10.0))
    """
    wide = high - low
    k = math.floor(math.log10(wide)) if wide > 0 else math.floor(math.log10(abs(high) or 1.0)) + 1
    step = float(f"1e{k}")
    first, last = math.floor(low / step), math.ceil(high / step)
    if first == last:
        last += 1
    return float(f"{first}e{k}"), float(f"{last}e{k}")


def quantile(values: Floats, counts: npt.NDArray[np.int64], share: float) -> float:
    """The value that the share of the rows does not exceed; ``values`` sorted, each with its rows.

    >>> quantile(np.array([1.0, 2.0, 9.0]), np.array([5, 4, 1]), 0.9)
    2.0
    """
    reached = np.cumsum(counts)
    place = int(np.searchsorted(reached, share * reached[-1] - 1e-9))
    return float(values[min(place, len(values) - 1)])


def code_edges(values: Sequence[float], counts: Sequence[int], least: int) -> tuple[float, ...]:
    """Edges half a step above whole codes; codes at the ends with fewer rows together than ``least`` share a bin.

    >>> code_edges([-2, -1, 0, 1, 2, 3, 8], [40, 60, 150, 30, 25, 9, 2], 20)
    (-1.5, -0.5, 0.5, 1.5)
    """
    edges, below, above = [], 0, int(sum(counts))
    for value, count in zip(values[:-1], counts[:-1], strict=True):
        below, above = below + count, above - count
        if below >= least and above >= least:
            edges.append(value + 0.5)
            below = 0
    return tuple(edges)
