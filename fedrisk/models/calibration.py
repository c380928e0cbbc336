"""Calibration of a scorecard from released numbers: first from the sums, then from a histogram of training rows.

**First**, before anything is scored. The mean of a logistic function depends on the shape of the score's
distribution, and a sum of many features that agree with each other has a long tail on the side of default. The
released numbers hold the distribution of each feature within both classes (label counts) and the variance of the sum
(Gram matrix). A one-factor Gaussian copula (Li 2000; Vasicek 2002) connects them: features depend on one common
factor just so strongly that the variance of the sum is the released one. On three splits of a card portfolio this
leaves .006 of the bias of .016 that a normal score leaves in the mean probability. Slope and intercept are those of
a logistic regression on the two artificial samples.

**Then**, once the card scores. How features go together in the tail no matrix of products says, and noise in the
curves makes a card bolder than it may be: on public portfolios the first calibration leaves slopes of .65 to .9. So a
small noisy histogram of score bin by label, of training rows, is released, and a logistic calibration is fitted to it
(Cox 1958; Platt 1999), with one term of curvature where the evidence (MacKay 1992) asks for it: the slope goes
smoothly from one value in the safe tail to another in the risky tail, as in beta calibration (Kull, Silva Filho &
Flach 2017) about a centre of its own. The hold-out has no part in it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, ndtr, ndtri

from fedrisk.errors import ConfigError

Floats = NDArray[np.float64]

SAMPLE = 4096
"""Size of the artificial sample of each class."""

ROUNDS = 60
"""Most Newton steps of a fit."""

LONGEST = 0.5
"""Longest Newton step in any weight."""

LEAST_SLOPE = 0.05
"""Least slope of a calibration in either tail."""


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


def logistic_fit(rate: float, ones: Floats, zeros: Floats) -> tuple[float, float]:
    """(intercept, slope) of the logistic regression of class on score, with a share ``rate`` of defaults.

    >>> ones, zeros = np.array([0.5, 0.5]), np.array([-0.5, -0.5])
    >>> intercept, slope = logistic_fit(0.5, np.r_[ones, -1.0], np.r_[zeros, 1.0])
    >>> round(intercept, 6), round(slope, 3)
    (0.0, 0.0)

    Raises:
        ConfigError: the rate is outside (0, 1).
    """
    if not 0 < rate < 1:
        raise ConfigError(f"rate is {rate}, must lie between 0 and 1")
    x = np.c_[np.ones(len(ones) + len(zeros)), np.r_[ones, zeros]]
    weight = np.r_[np.full(len(ones), rate / len(ones)), np.full(len(zeros), (1 - rate) / len(zeros))]
    y = np.r_[np.ones(len(ones)), np.zeros(len(zeros))]
    w = np.array([math.log(rate / (1 - rate)), 1.0])
    for _ in range(ROUNDS):
        p = expit(x @ w)
        hessian = (x.T * (weight * np.maximum(p * (1 - p), 1e-12))) @ x + 1e-9 * np.eye(2)
        step = np.clip(np.linalg.solve(hessian, x.T @ (weight * (y - p))), -LONGEST, LONGEST)
        w = w + step
        if np.abs(step).max() < 1e-10:
            break
    return float(w[0]), float(w[1])


@dataclass(frozen=True)
class Calibration:
    """How stated log-odds become true ones: level + slope (L - centre) + bend (softplus(L - centre) - log 2).

    Attributes:
        centre: stated log-odds about which the slope changes.
        level: true log-odds there.
        slope: slope in the safe tail.
        bend: slope in the risky tail less ``slope``; 0 for a straight line.
        line: (level, slope) of the straight line that fits best, by which points are scaled.
    """

    centre: float
    level: float
    slope: float
    bend: float
    line: tuple[float, float]

    def log_odds(self, stated: Floats) -> Floats:
        """True log-odds of stated ones, in their shape."""
        out: Floats = self.level + np.asarray(curve(stated, self.centre)) @ np.array([self.slope, self.bend])
        return out

    @property
    def straight(self) -> bool:
        """Whether there is no curvature."""
        return self.bend == 0.0


def curve(stated: Floats, centre: float) -> Floats:
    """The two functions that a calibration weighs, (n, 2): L - centre, and softplus of it, zero at the centre."""
    x = np.asarray(stated, dtype=np.float64) - centre
    return np.stack([x, np.logaddexp(0.0, x) - math.log(2)], -1)


def fit_calibration(
    positives: Floats, negatives: Floats, variance: float, stated: Floats, centre: float
) -> Calibration:
    """Calibration from noisy counts of training rows.

    In every bin, (1 - p) n1 - p n0 has mean zero whatever noise the counts carry, and a variance of sampling and noise;
    the squares of these residuals over their variances are minimised together with a normal prior (level within about
    2, slope about 1 within about 1/2). Slopes of both tails are kept above LEAST_SLOPE, so that a higher risk never
    gets a lower probability.

    Args:
        positives: noisy counts of defaults by score bin, (bins,).
        negatives: of others, (bins,).
        variance: of the noise of each count.
        stated: log-odds that the card states in each bin, (bins,).
        centre: about which the slope may change.

    Raises:
        ConfigError: shapes differ, or a number is not finite.
    """
    n1, n0, x = (np.asarray(v, dtype=np.float64) for v in (positives, negatives, stated))
    if not (n1.shape == n0.shape == x.shape and x.ndim == 1 and np.isfinite([n1, n0, x]).all()):
        raise ConfigError("calibration: counts and stated log-odds must be finite, one of each per score bin")
    basis = np.column_stack([np.ones(len(x)), curve(x, centre)])
    line, evidence = _posterior(basis[:, :2], n1, n0, variance, centre)
    bent, more = _posterior(basis, n1, n0, variance, centre)
    straight = max(float(line[1]), LEAST_SLOPE)
    best = (float(line[0]), straight)
    if not more > evidence or min(bent[1], bent[1] + bent[2]) < LEAST_SLOPE:
        return Calibration(centre, best[0], straight, 0.0, best)
    return Calibration(centre, float(bent[0]), float(bent[1]), float(bent[2]), best)


def _posterior(basis: Floats, n1: Floats, n0: Floats, variance: float, centre: float) -> tuple[Floats, float]:
    """Posterior mode of the weights of the basis, and its log evidence by Laplace's approximation."""
    size = basis.shape[1]
    mean, precision = np.array([centre, 1.0, 0.0])[:size], 1 / np.array([2.0, 0.5, 0.7])[:size] ** 2
    count = np.maximum(n1 + n0, 1.0)
    w = mean.copy()
    for k in range(ROUNDS + 1):
        p = expit(basis @ w)
        residual, slope = (1 - p) * n1 - p * n0, count * p * (1 - p)
        spread = variance * ((1 - p) ** 2 + p**2) + slope + 1e-9
        hessian = (basis.T * (slope**2 / spread)) @ basis + np.diag(precision)
        step = np.linalg.solve(hessian, basis.T @ (slope * residual / spread) - precision * (w - mean))
        if k == ROUNDS or np.abs(step).max() < 1e-10:
            break
        w = w + np.clip(step, -LONGEST, LONGEST)
    fit = (residual**2 / spread + np.log(spread)).sum() + (precision * (w - mean) ** 2).sum()
    evidence = -0.5 * (fit - np.log(precision).sum() + np.linalg.slogdet(hessian)[1])
    return w, float(evidence)
