"""Intervals of the figures of attacks: so wide that all attacks together raise a false alarm once in a thousand runs.

A figure counts as broken where the lower end of its interval lies above chance or claim. That happens to a sound
product with probability (1 - CONFIDENCE) / 2 for each figure, and with up to 40 figures .001 for all of them together
(Bonferroni).
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

CONFIDENCE = 0.99995
"""Of each figure's interval, both ends together."""


def share(hits: float, trials: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Exact interval of a probability from independent tries (Clopper & Pearson 1934).

    >>> [round(end, 3) for end in share(8, 16, 0.95)]
    [0.247, 0.753]
    """
    tail = (1 - confidence) / 2
    low = 0.0 if hits <= 0 else float(stats.beta.ppf(tail, hits, trials - hits + 1))
    high = 1.0 if hits >= trials else float(stats.beta.ppf(1 - tail, hits + 1, trials - hits))
    return low, high


def deviation(draws: ArrayLike, confidence: float = CONFIDENCE) -> tuple[float, float, float]:
    """Standard deviation of Gaussian draws of mean zero, with its interval by chi-square: (estimate, low, high)."""
    values = np.asarray(draws, np.float64).ravel()
    square, tail = float(values @ values), (1 - confidence) / 2
    low, high = (math.sqrt(square / stats.chi2.ppf(q, len(values))) for q in (1 - tail, tail))
    return math.sqrt(square / len(values)), low, high


def uneven(counts: NDArray[np.integer], confidence: float = CONFIDENCE) -> tuple[float, float, float]:
    """Bits by which the digits counted are short of uniform ones, for each digit: (estimate, low, high).

    By the likelihood-ratio statistic, which is 2 n ln 2 times this and has a chi-square distribution where the digits
    are uniform (Wilks 1938); its mean there is taken off the estimate.
    """
    n, cells = int(counts.sum()), len(counts)
    expected = n / cells
    there = counts[counts > 0].astype(float)
    statistic = 2 * float((there * np.log(there / expected)).sum())
    unit = 2 * n * math.log(2)
    reach = float(stats.chi2.ppf(1 - (1 - confidence) / 2, cells - 1))
    estimate = max(0.0, statistic - (cells - 1)) / unit
    return estimate, max(0.0, statistic - reach) / unit, (statistic + reach) / unit


def told_apart(one: Sequence[float], other: Sequence[float]) -> int:
    """How many of paired observations are greater in the second: ties count for half, rounded down.

    >>> told_apart([1, 1, 1, 1], [2, 2, 1, 1])
    3
    """
    difference = np.asarray(other, float) - np.asarray(one, float)
    return int(((difference > 0).sum() * 2 + (difference == 0).sum()) // 2)
