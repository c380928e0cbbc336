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
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit, logit, ndtr, ndtri

from fedrisk.errors import ConfigError
from fedrisk.metrics import label_residuals

Floats = NDArray[np.float64]

SAMPLE = 4096
"""Size of the artificial sample of each class."""

ROUNDS = 120
"""Most Newton steps of a fit."""

CALM = 20
"""Steps after which a calibration takes half of each: where noise is large, whole ones may go to and fro for ever."""

LONGEST = 0.5
"""Longest Newton step in any weight."""

SHORT = 1e-6
"""Step from which on the likelihood, which has as many digits as numbers have, no longer tells what a step brings."""

LEAST_SLOPE = 0.05
"""Least slope of a calibration in either tail."""

STEEPEST = 3.0
"""Greatest change of the log density from one bin to the next."""

PRIOR = (2.0, 0.5, 0.7)
"""Standard deviations of the normal prior of level, slope and bend: about the stated log-odds, 1 and 0."""

WITHIN = 21
"""Points at which a bin's mean probability is worked out."""


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
    weight = np.r_[np.full(len(ones), rate / len(ones)), np.full(len(zeros), (1 - rate) / len(zeros))]
    # About the mean of the scores, where intercept and slope hardly pull at each other.
    scores = np.r_[ones, zeros]
    mean = float(weight @ scores)
    x = np.c_[np.ones(len(scores)), scores - mean]
    y = np.r_[np.ones(len(ones)), np.zeros(len(zeros))]
    w = np.array([math.log(rate / (1 - rate)), 1.0])
    for _ in range(ROUNDS):
        p = expit(x @ w)
        hessian = (x.T * (weight * np.maximum(p * (1 - p), 1e-12))) @ x + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, x.T @ (weight * (y - p)))
        step *= min(1.0, LONGEST / max(float(np.abs(step).max()), 1e-300))
        # Where scores are wide, a whole step may lead past the maximum, and the next one further back, for ever.
        here = _likelihood(x @ w, y, weight)
        while np.abs(step).max() > SHORT and _likelihood(x @ (w + step), y, weight) < here:
            step /= 2
        w = w + step
        if np.abs(step).max() < 1e-10:
            break
    return float(w[0] - w[1] * mean), float(w[1])


def _likelihood(log_odds: Floats, y: Floats, weight: Floats) -> float:
    """Mean log-likelihood of labels."""
    return float(weight @ (y * log_odds - np.logaddexp(0.0, log_odds)))


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
        """True log-odds of stated ones, in their shape; each is the same whatever others there are.

        No matrix product: that of one row may have another last digit than that of many.
        """
        line, bent = np.moveaxis(curve(stated, self.centre), -1, 0)
        out: Floats = self.level + line * self.slope + bent * self.bend
        return out

    @property
    def straight(self) -> bool:
        """Whether there is no curvature."""
        return self.bend == 0.0

    def shifted(self, by: float) -> "Calibration":
        """The calibration whose log-odds are all higher by so much."""
        level, slope = self.line
        return replace(self, level=self.level + by, line=(level + by, slope))


def curve(stated: Floats, centre: float) -> Floats:
    """The two functions that a calibration weighs, (n, 2): L - centre, and softplus of it, zero at the centre."""
    x = np.asarray(stated, dtype=np.float64) - centre
    return np.stack([x, np.logaddexp(0.0, x) - math.log(2)], -1)


@dataclass(frozen=True)
class ScoreCounts:
    """A noisy histogram of training rows by the log-odds that a card states, in evenly spaced bins.

    Attributes:
        positives: noisy counts of defaults, (bins,).
        negatives: noisy counts of others, (bins,).
        variance: of the noise of each count.
        middles: stated log-odds in the middle of each bin, (bins,), rising or falling evenly.
        rate: default rate, from the label counts, which know it better than the histogram does.
        rate_error: standard error of the rate by the noise of the label counts.
        flattery: sum over the rows of the covariance of label and stated log-odds; see `Scorecard`.

    Raises:
        ConfigError: shapes differ, or a number is not finite.
    """

    positives: Floats
    negatives: Floats
    variance: float
    middles: Floats
    rate: float
    rate_error: float
    flattery: float = 0.0

    def __post_init__(self) -> None:
        shapes = {np.shape(v) for v in (self.positives, self.negatives, self.middles)}
        numbers = np.r_[np.ravel(self.positives), np.ravel(self.negatives), np.ravel(self.middles)]
        if (
            len(shapes) > 1
            or np.ndim(self.middles) != 1
            or len(self.middles) < 3
            or not np.isfinite(numbers).all()
        ):
            raise ConfigError(
                "calibration: finite counts and log-odds are needed, one of each for three bins at least"
            )

    def stated(self) -> Floats:
        """Stated log-odds of each bin, (bins,): of the mean probability in it.

        Within a bin the density is log-linear between its neighbours' counts, where these stand out of their noise;
        a probability is convex in the log-odds, so that at low rates the mean is not that of the middle.
        """
        count = self.positives + self.negatives
        step = self.middles[1] - self.middles[0]
        slope = np.zeros(len(count))
        clear = np.minimum(count[2:], count[:-2]) > 4 * math.sqrt(2 * self.variance) + 5
        log = np.log(np.maximum(count, 1.0))
        slope[1:-1] = np.where(clear, np.clip((log[2:] - log[:-2]) / 2, -STEEPEST, STEEPEST), 0.0)
        place = np.linspace(-0.5, 0.5, WITHIN)
        density = np.exp(slope[:, None] * place)
        p = (density * expit(self.middles[:, None] + step * place)).sum(1) / density.sum(1)
        return np.asarray(logit(p), dtype=np.float64)


def fit_calibration(rows: ScoreCounts, centre: float) -> Calibration:
    """Calibration from a noisy histogram of training rows.

    In every bin, (1 - p) n1 - p n0 has mean zero whatever noise the counts carry, and a variance of sampling and noise;
    so has n (rate - p), summed over bins. Generalised least squares of these residuals, together with a normal prior
    (level within about 2, slope about 1 within about 1/2). The card was fitted to these very rows; what that makes
    of the residuals is taken off them first, so that the calibration is one for other rows (Efron 2004 on the
    covariance penalty; van Houwelingen & le Cessie 1990 on the slope). Slopes of both tails are kept above
    LEAST_SLOPE, so that a higher risk never gets a lower probability. The curvature is taken where its evidence is
    larger.

    Args:
        rows: the histogram.
        centre: stated log-odds about which the slope may change.
    """
    basis = np.column_stack([np.ones(len(rows.middles)), curve(rows.stated(), centre)])
    line, evidence = _posterior(basis[:, :2], rows, centre)
    bent, more = _posterior(basis, rows, centre)
    straight = max(float(line[1]), LEAST_SLOPE)
    best = (float(line[0]), straight)
    if not more > evidence or min(bent[1], bent[1] + bent[2]) < LEAST_SLOPE:
        return Calibration(centre, best[0], straight, 0.0, best)
    return Calibration(centre, float(bent[0]), float(bent[1]), float(bent[2]), best)


def _posterior(basis: Floats, rows: ScoreCounts, centre: float) -> tuple[Floats, float]:
    """Posterior mode of the weights of the basis, and its log evidence by Laplace's approximation."""
    size = basis.shape[1]
    mean, precision = np.array([centre, 1.0, 0.0])[:size], 1 / np.array(PRIOR)[:size] ** 2
    w = mean.copy()
    for k in range(ROUNDS + 1):
        residual, slope, cover = residuals(expit(basis @ w), rows)
        design = np.vstack([slope[:, None] * basis, slope @ basis])
        factor = cho_factor(cover, lower=True)
        solved = cho_solve(factor, np.column_stack([residual, design]))
        hessian = design.T @ solved[:, 1:] + np.diag(precision)
        step = np.linalg.solve(hessian, design.T @ solved[:, 0] - precision * (w - mean))
        if k == ROUNDS or np.abs(step).max() < 1e-10:
            break
        w = w + np.clip(step, -LONGEST, LONGEST) * (1.0 if k < CALM else 0.5)
    fit = residual @ solved[:, 0] + 2 * np.log(np.diag(factor[0])).sum() + precision @ (w - mean) ** 2
    evidence = -0.5 * (fit - np.log(precision).sum() + np.linalg.slogdet(hessian)[1])
    return w, float(evidence)


def residuals(p: Floats, rows: ScoreCounts) -> tuple[Floats, Floats, Floats]:
    """Residuals of all bins and of the rate, (bins + 1,); slope of each bin's in the log-odds; their covariance."""
    n1, n0 = np.asarray(rows.positives, dtype=np.float64), np.asarray(rows.negatives, dtype=np.float64)
    count = np.maximum(n1 + n0, 1.0)
    by_bin, slope, spread = label_residuals(n1, n0, count, p, rows.variance)
    off = rows.rate - p
    far = (rows.middles - float(slope @ rows.middles) / float(slope.sum())) * slope
    flattered = rows.flattery * far / max(float(far @ rows.middles), 1e-9)
    residual = np.append(by_bin - flattered, float(count @ off))
    cover = np.zeros((len(p) + 1,) * 2)
    np.fill_diagonal(cover[:-1, :-1], spread)
    # Sampling is in both kinds of residuals, noise of the histogram nearly in the first alone.
    cover[-1, :-1] = cover[:-1, -1] = slope + rows.variance * (1 - 2 * p) * off
    of_rate = (rows.rate_error * count.sum()) ** 2
    cover[-1, -1] = of_rate + float(slope.sum()) + 2 * rows.variance * float(off @ off) + 1e-6
    return residual, slope, cover
