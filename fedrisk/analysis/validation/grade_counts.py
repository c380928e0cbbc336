"""Customers and defaults by grade, with what sampling and released noise add to them.

In a cell (a score, or a bin of a released histogram) with n1 defaults, n0 others and probability p, the residual
r = (1 - p) n1 - p n0 has mean 0 where p is right, whatever noise the counts carry. Its variance is n p (1 - p) by
sampling and v ((1 - p)^2 + p^2) by noise of variance v in each count. Residuals add up over the cells of a grade.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedrisk.analysis.score_counts import ScoreCounts
from fedrisk.analysis.validation.master_scale import MasterScale
from fedrisk.errors import ConfigError

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Residuals:
    """By cell, (k,): r, its variance by sampling and by noise, and customers n, never below 0."""

    value: Floats
    sampling: Floats
    noise: Floats
    size: Floats
    pd: Floats

    @property
    def variance(self) -> Floats:
        """By both."""
        return self.sampling + self.noise


def residuals(counts: ScoreCounts, shift: float = 0.0) -> Residuals:
    """Residuals of all cells, if log-odds of default were those stated plus ``shift``.

    Customers are estimated in the direction that is uncorrelated with r: else a cell whose noise happens to make r
    large would be given a wrong variance by the same noise. ConfigError where the counts have no probabilities.
    """
    p = probabilities(counts)
    if shift:
        odds = np.exp(shift) * p / (1 - p)
        p = odds / (1 + odds)
    n1, n0, v = counts.positives, counts.negatives, counts.variance
    r, noise = (1 - p) * n1 - p * n0, v * ((1 - p) ** 2 + p**2)
    size = np.maximum(n1 + n0, 0.0)
    for _ in range(2 if v else 0):
        size = np.maximum(n1 + n0 - v * (1 - 2 * p) / (noise + size * p * (1 - p)) * r, 0.0)
    return Residuals(value=r, sampling=size * p * (1 - p), noise=noise, size=size, pd=p)


def probabilities(counts: ScoreCounts) -> Floats:
    """Predicted probabilities of the cells, kept apart from 0 and 1; ConfigError where there are none."""
    if counts.probability is None:
        raise ConfigError(
            "counts without predicted probabilities cannot be validated; give the scorecard as well"
        )
    return np.asarray(np.clip(np.asarray(counts.probability, float), 1e-9, 1 - 1e-9))


@dataclass(frozen=True, kw_only=True)
class GradeCounts:
    """By grade, (g,), in the order of the scale.

    size, defaults: as counted, with noise also below 0. pd: mean predicted probability, by which a grade is tested; the
    middle of the grade's span where nobody is in it. residual: defaults less expected ones. sampling, noise: variances
    of the residual. count_noise: variance of the noise of ``defaults``. cells: how many cells a grade is made of.
    exact: whether there is no noise.
    """

    names: tuple[str, ...]
    size: Floats
    defaults: Floats
    pd: Floats
    residual: Floats
    sampling: Floats
    noise: Floats
    count_noise: Floats
    cells: NDArray[np.intp]
    exact: bool

    @property
    def rate(self) -> Floats:
        """Default rates; NaN where fewer than one customer was counted. With noise also outside 0 and 1."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.size >= 1, self.defaults / self.size, np.nan)

    @property
    def tested(self) -> NDArray[np.bool_]:
        """Which grades have customers: more than twice the noise of their number."""
        least = 2 * np.sqrt(2 * self.count_noise)
        return np.asarray((self.cells > 0) & (self.size > np.maximum(least, 0.5)))


def by_grade(counts: ScoreCounts, scale: MasterScale) -> GradeCounts:
    """Counts of the grades of a scale. A bin of a released histogram belongs to the grade of its mean probability."""
    found, code = residuals(counts), scale.codes(probabilities(counts))

    def added(values: Floats) -> Floats:
        return np.asarray(np.bincount(code, values, scale.size), np.float64)

    cells = np.bincount(code, minlength=scale.size)
    weight = added(found.size)
    middles = np.array([np.sqrt(max(a, 1e-4) * b) for a, b in scale.spans()])
    with np.errstate(divide="ignore", invalid="ignore"):
        plain = np.where(cells > 0, added(found.pd) / cells, middles)
        pd = np.where(weight > 0, added(found.size * found.pd) / weight, plain)
    return GradeCounts(
        names=scale.names,
        size=added(counts.positives + counts.negatives),
        defaults=added(counts.positives),
        pd=pd,
        residual=added(found.value),
        sampling=added(found.sampling),
        noise=added(found.noise),
        count_noise=np.asarray(counts.variance * cells, np.float64),
        cells=cells,
        exact=counts.exact,
    )
