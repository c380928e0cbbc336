"""Score bins of the evaluation of a warning model: fine where its threshold will lie.

A rate of false alarms of five in a hundred is far out in the scores of enterprises without the outcome, where bins that
serve the whole curve are wide: the threshold can only lie at the end of one. Half of the bins therefore part the scores
between a third of the stated rate and three times it, by the card's own released spread. Which share, and how many
bins, was found by experiment (benchmarks/warnings).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from fedrisk.models.scorecard import Scorecard

Floats = NDArray[np.float64]

FINE = 0.5
"""Share of the bins between the two rates."""

AROUND = 3.0
"""The fine bins lie between the stated rate over this, and the stated rate times it."""

MOST_RATE = 0.7
_RISKY = 0.5
_GRID = 20_001


def warning_bins(card: Scorecard, k: int, rate: float) -> Floats:
    """Inner edges of k score bins, (k - 1,), rising in the score; rate: of false alarms, between 0 and 1.

    From released numbers alone. Those between a third of the rate and three times it are even; the others are quantiles
    of an even mixture of both classes, half as many per share on the risky side, where each adds its noise to the rate.
    """
    low, high, within = card.classes()
    many = max(round(FINE * k), 2)
    ends = ndtri(rate / AROUND), ndtri(min(rate * AROUND, MOST_RATE))
    fine = high + within * np.linspace(*ends, many)
    grid = np.linspace(min(low, fine[0]) - 8 * within, max(high, fine[-1]) + 8 * within, _GRID)
    share = (ndtr((grid - low) / within) + ndtr((grid - high) / within)) / 2
    first, last = np.interp((fine[0], fine[-1]), grid, share)
    rest = k - 1 - many
    below = round(_RISKY * rest * first / (first + 1 - last))
    above = rest - below
    risky = np.interp(first * np.arange(1, below + 1) / (below + 1), share, grid)
    safe = np.interp(last + (1 - last) * np.arange(1, above + 1) / (above + 1), share, grid)
    return np.concatenate([risky, fine, safe])
