"""Which cells say less than their noise: one rule, the same at every level and wherever figures are shown.

*Totals* (counts, sums) have nothing that was known of them beforehand, so their noise is held against the number
itself: a cell says something where it can be told from 0, and a sum where its count can, too, if the study has a
surer count. That is where its standard error is less than about half of it; official statistics do not publish
estimates with a relative standard error above a third to a half (Statistics Canada, ABS).

*Means, shares and variances* lie between public bounds, so that much was known beforehand. A cell says something
where its interval is at most a tenth of the range between them; or where it is at most half of the range and half of
its width is not more than the estimate itself. *Quantiles*: where the interval is at most a third of the public bins.
All of these only where the number of values in the cell can be told from 0: a ratio over a count that may be 0 is
none.

"Can be told from 0" is asked of all cells of a table at once, by the step-up rule of Benjamini & Hochberg (1995).
Asked one by one, 30 of 1,200 empty cells would show a figure; asked together, on average at most one in forty of the
cells that are told from 0 is empty (of sums of either sign: one in twenty has a sum of 0).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from fedrisk.analysis.intervals import Interval

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

FALSE_RATE = 0.05
"""Of cells that are told from 0, two-sided; half of it where a number is never negative."""

FINE, COARSE = 0.1, 0.5
"""Parts of the public range."""

BINS = 1 / 3
"""Part of the public bins."""


def told_from_zero(total: Floats, variance: Floats, *, signed: bool = False) -> Bools:
    """Cells of one table whose total is told from 0; with no noise at all, all that are not 0.

    >>> told_from_zero(np.array([50.0, 1.0, -9.0]), np.array([4.0, 4.0, 4.0])).tolist()
    [True, False, False]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(
            variance > 0, total / np.sqrt(variance), np.where(total == 0, 0.0, np.sign(total) * np.inf)
        )
    chance = 2 * ndtr(-np.abs(z)) if signed else ndtr(-z)
    rate = FALSE_RATE if signed else FALSE_RATE / 2
    order = np.sort(chance)
    passed = np.flatnonzero(order <= rate * np.arange(1, len(order) + 1) / max(len(order), 1))
    return np.asarray(chance <= (order[passed[-1]] if len(passed) else -1.0))


def within_range(found: Interval, least: float, most: float) -> Bools:
    """Cells of means, shares or variances whose interval says more than the public bounds do."""
    whole = most - least
    if whole <= 0:
        return found.bounded.copy()
    width = found.high - found.low
    with np.errstate(invalid="ignore"):
        larger = width / 2 <= np.abs(found.estimate)
    return found.bounded & ((width <= FINE * whole) | ((width <= COARSE * whole) & larger))


def within_bins(found: Interval, edges: Floats) -> Bools:
    """Cells of quantiles whose interval is at most a third of the public bins, or one."""
    first, last = np.searchsorted(edges, found.low), np.searchsorted(edges, found.high)
    most = max(1.0, BINS * (len(edges) - 1))
    return found.bounded & (last - first <= most)
