"""Score bins of the evaluation of a warning model: fine where its threshold will lie.

A rate of false alarms of five in a hundred is far out in the scores of enterprises without the outcome, where bins that
serve the whole curve are wide: the threshold can only lie at the end of one. Three quarters of the bins therefore part
the scores between a hundredth of the stated rate and twice it, by the card's own released spread. So far out because
scores are not normal: of a strong card, the place where one in twenty without the outcome lies was a whole standard
deviation further out than a normal distribution has it. Which share, and how many bins, was found by experiment
(benchmarks/warnings).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from fedrisk.models.scorecard import Scorecard

Floats = NDArray[np.float64]

FINE = 0.75
"""Share of the bins between the two rates."""

BELOW, ABOVE = 100.0, 2.0
"""The fine bins lie between the stated rate over the first, and the stated rate times the second."""

MOST_RATE = 0.7
_RISKY = 0.5
_GRID = 20_001


def warning_bins(card: Scorecard, k: int, rate: float) -> Floats:
    """Inner edges of k score bins, (k - 1,), rising in the score; rate: of false alarms, between 0 and 1.

    From released numbers alone. Those between the rate over BELOW and the rate times ABOVE are even; the others are
    quantiles of an even mixture of both classes, half as many per share on the risky side, where each adds its noise to
    the rate.
    """
    low, high, within = card.classes()
    many = max(round(FINE * k), 2)
    ends = ndtri(rate / BELOW), ndtri(min(rate * ABOVE, MOST_RATE))
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
