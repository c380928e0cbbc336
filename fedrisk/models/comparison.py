"""Are two scores of the same enterprises equally good? Paired differences with their errors.

Two models that are evaluated on the same rows err on the same rows, so a difference is known better than either figure.
AUC: the covariance of DeLong, DeLong & Clarke-Pearson (1988), by midranks as Sun & Xu (2014) compute it. Log loss: the
mean of the differences row by row. Both errors are those of sampling enterprises; the models are taken as they are.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fedrisk.errors import DataError

Floats = NDArray[np.float64]

Z = 1.6449
"""Half width of an interval in standard errors: nine of ten intervals hold the truth, one in twenty lies above it."""

LEAST_PROBABILITY = 1e-6
"""Probabilities nearer to 0 or 1 count as this near, so that one row cannot make a log loss infinite."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One model's figure less another's, with its standard error and the interval that holds it nine times in ten."""

    value: float
    error: float

    @property
    def low(self) -> float:
        """Lower end."""
        return self.value - Z * self.error

    @property
    def high(self) -> float:
        """Upper end."""
        return self.value + Z * self.error

    def to_dict(self) -> dict[str, float]:
        """As plain numbers."""
        return {"value": self.value, "error": self.error, "low": self.low, "high": self.high}


def challenger_verdict(auc: Difference, log_loss: Difference) -> str:
    """``better``, ``worse`` or ``alike``, of challenger less champion: by the AUC's interval, else by the log loss's.

    >>> challenger_verdict(Difference(value=0.02, error=0.01), Difference(value=0.0, error=0.1))
    'better'
    >>> challenger_verdict(Difference(value=0.0, error=0.01), Difference(value=0.3, error=0.1))
    'worse'
    """
    if auc.low > 0 or (auc.high >= 0 and log_loss.high < 0):
        return "better"
    if auc.high < 0 or log_loss.low > 0:
        return "worse"
    return "alike"


def auc_covariance(label: ArrayLike, risks: Mapping[str, ArrayLike]) -> tuple[Floats, Floats]:
    """AUC of several scores of the same rows, (m,), and the covariance of their errors, (m, m).

    label: (n,) of 0 and 1, two of each at least. risks: (n,) each, rising with the probability of default; ties count
    one half.

    >>> area, cover = auc_covariance([0, 0, 1, 1], {"a": [0.1, 0.4, 0.35, 0.8]})
    >>> area.tolist(), cover.tolist()
    ([0.75], [[0.125]])

    Raises:
        DataError: labels are not 0 and 1, a class has fewer than two rows, or lengths differ.
    """
    y = np.asarray(label, dtype=np.float64)
    ones = y == 1
    if y.ndim != 1 or not np.isin(y, (0.0, 1.0)).all() or min(ones.sum(), (~ones).sum()) < 2:
        raise DataError("labels must be 0 and 1, and each must occur twice at least to know an error")
    above, below = [], []
    for risk in risks.values():
        r = np.asarray(risk, dtype=np.float64)
        if r.shape != y.shape or not np.isfinite(r).all():
            raise DataError("every score must be finite, and there must be one for each label")
        ranks = _ranks(r)
        # For each default the share of others that it outranks, and for each other the share of defaults above it.
        above.append((ranks[ones] - _ranks(r[ones])) / (~ones).sum())
        below.append(1 - (ranks[~ones] - _ranks(r[~ones])) / ones.sum())
    v1, v0 = np.stack(above), np.stack(below)
    cover = np.atleast_2d(np.cov(v1)) / v1.shape[1] + np.atleast_2d(np.cov(v0)) / v0.shape[1]
    return v1.mean(1), np.asarray(cover, dtype=np.float64)


def auc_difference(label: ArrayLike, one: ArrayLike, other: ArrayLike) -> Difference:
    """AUC of ``one`` less that of ``other`` on the same rows; errors as :func:`auc_covariance`.

    >>> auc_difference([0, 0, 1, 1], [1, 2, 3, 4], [1, 3, 2, 4]).value
    0.25
    """
    area, cover = auc_covariance(label, {"one": one, "other": other})
    variance = float(cover[0, 0] + cover[1, 1] - 2 * cover[0, 1])
    return Difference(value=float(area[0] - area[1]), error=math.sqrt(max(variance, 0.0)))


def log_loss(label: ArrayLike, probability: ArrayLike) -> Floats:
    """Log loss of each row, (n,)."""
    y = np.asarray(label, dtype=np.float64)
    p = np.clip(np.asarray(probability, dtype=np.float64), LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    return np.asarray(-(y * np.log(p) + (1 - y) * np.log1p(-p)), dtype=np.float64)


def log_loss_difference(label: ArrayLike, one: ArrayLike, other: ArrayLike) -> Difference:
    """Mean log loss of ``one`` less that of ``other`` on the same rows: below 0 where ``one`` is better.

    >>> round(log_loss_difference([0, 1, 1], [0.5] * 3, [0.5] * 3).value, 6)
    0.0
    """
    gap = log_loss(label, one) - log_loss(label, other)
    if len(gap) < 2:
        raise DataError("two rows at least are needed to know an error")
    return Difference(value=float(gap.mean()), error=float(gap.std(ddof=1)) / math.sqrt(len(gap)))


def _ranks(values: Floats) -> Floats:
    """Rank of each value from 1 on, ties their mean (``scipy.stats.rankdata``, which is 22 MB more).

    >>> _ranks(np.array([0.2, 0.1, 0.2])).tolist()
    [2.5, 1.0, 2.5]
    """
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    out: Floats = (np.cumsum(count) - (count - 1) / 2)[place]
    return out
