"""Intervals of the figures of the hub's attacks: so wide that a sound product fails one in a thousand whole runs.

A figure counts as broken where the lower end of its interval lies above chance or claim. That happens to a sound
product with probability (1 - CONFIDENCE) / 2 for each figure, and all of them share one chance (Bonferroni).
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from fedrisk.attacks import coin_games
from fedrisk.attacks.attack import Estimate
from fedrisk.attacks.coin_games import FAMILY

FIGURES = 40
"""Estimates of the attacks of and around the hub, at most; certain figures (a lie got through) need no share."""

CONFIDENCE = 1 - 2 * FAMILY / FIGURES
"""Of each figure's interval, half of the rest on either side."""


def share(hits: int, trials: int, confidence: float = CONFIDENCE) -> Estimate:
    """A probability from independent tries, with its exact interval (Clopper & Pearson 1934).

    >>> found = share(8, 16, 0.95)
    >>> round(found.low, 3), round(found.high, 3)
    (0.247, 0.753)
    """
    return coin_games.share(hits, trials, confidence)


def deviation(draws: ArrayLike, confidence: float = CONFIDENCE) -> Estimate:
    """Standard deviation of Gaussian draws of mean zero, with its interval by chi-square."""
    values = np.asarray(draws, np.float64).ravel()
    square, tail = float(values @ values), (1 - confidence) / 2
    low, high = (math.sqrt(square / stats.chi2.ppf(q, len(values))) for q in (1 - tail, tail))
    return Estimate(math.sqrt(square / len(values)), low, high, len(values))


def uneven(counts: NDArray[np.integer], confidence: float = CONFIDENCE) -> Estimate:
    """Bits by which the digits counted are short of uniform ones, for each digit.

    By the likelihood-ratio statistic, which is 2 n ln 2 times this and has a chi-square distribution where the digits
    are uniform (Wilks 1938); its mean there is taken off the estimate.

    >>> uneven(np.array([1000, 1000])).low, round(uneven(np.array([2000, 0])).value, 3)
    (0.0, 1.0)
    """
    n, cells = int(counts.sum()), len(counts)
    there = counts[counts > 0].astype(float)
    statistic = 2 * float((there * np.log(there * cells / n)).sum())
    unit = 2 * n * math.log(2)
    reach = float(stats.chi2.ppf(1 - (1 - confidence) / 2, cells - 1))
    value = max(0.0, statistic - (cells - 1)) / unit
    return Estimate(value, max(0.0, statistic - reach) / unit, (statistic + reach) / unit, n)
