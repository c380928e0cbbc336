"""Label counts of a scorecard's features: release A of the estimator (models/estimator), alone and taken together.

An enterprise that a holder does not know is one event, not one for each of the holder's columns. Every column of a
holder has a last bin for it, whose counts say the same in all columns, so that their mean is better than each. From it
follow the counts of a further feature of the holder, whether it knows the enterprise (`with_known`), at no cost in
privacy.

With fewer than ten defaults per feature a Gram matrix would drown in noise: the same budget then buys a second count
of the stronger half of the features instead (`few_positives`, `combine_counts`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedrisk.errors import ConfigError
from fedrisk.models.binning import Bins

Floats = NDArray[np.float64]

RATES = (1e-4, 0.9)
"""Bounds of a default rate that is read from noisy counts."""

FEW = 10.0
"""Defaults per feature below which release B is a second count."""


@dataclass(frozen=True)
class LabelCounts:
    """Release A: noisy counts of defaults (n1) and others (n0) per feature and bin.

    Attributes:
        n1: counts of defaults, one array of shape (bins,) per feature.
        n0: counts of others, likewise.
        variance: noise variance of each count of a feature, shape (features,); zero without noise.
        known_rate_error: standard error of the default rate by noise, where features' variances do not say it: some of
            them are made up of others' counts, or come from several studies.
        by_bin: noise variance of each count, (bins,) per feature, where bins were added up; ``variance`` is then their
            mean. Empty where all counts of a feature have the same.

    Raises:
        ConfigError: the shapes do not fit.
    """

    n1: tuple[Floats, ...]
    n0: tuple[Floats, ...]
    variance: Floats
    known_rate_error: float | None = None
    by_bin: tuple[Floats, ...] = ()

    def __post_init__(self) -> None:
        if not self.n1 or not len(self.n1) == len(self.n0) == len(self.variance):
            raise ConfigError(
                "label counts: n1, n0 and variance must have one entry per feature, at least one"
            )
        if any(a.shape != b.shape or a.ndim != 1 for a, b in zip(self.n1, self.n0, strict=True)):
            raise ConfigError("label counts: n1 and n0 of a feature must be vectors of the same length")
        if not (np.isfinite(self.variance).all() and (np.asarray(self.variance) >= 0).all()):
            raise ConfigError("label counts: variances must be finite and not negative")
        if self.by_bin and [v.shape for v in self.by_bin] != [a.shape for a in self.n1]:
            raise ConfigError("label counts: by_bin must have one variance per bin of every feature")

    def variance_of(self, feature: int) -> Floats:
        """Noise variance of each count of a feature, (bins,)."""
        if self.by_bin:
            return self.by_bin[feature]
        return np.full(len(self.n1[feature]), float(self.variance[feature]))

    def _precision(self, feature: int) -> float:
        """Of the sum of a feature's counts."""
        if self.by_bin:
            return 1 / max(float(self.by_bin[feature].sum()), 1e-9)
        return 1 / (max(float(self.variance[feature]), 1e-9) * len(self.n1[feature]))

    @property
    def positives(self) -> float:
        """Number of defaults, averaged over features by the precision of their sums; at least 1."""
        return self._total(self.n1)

    @property
    def negatives(self) -> float:
        """Number of others, averaged in the same way; at least 1."""
        return self._total(self.n0)

    @property
    def rate_error(self) -> float:
        """Standard error of the default rate by the counts' noise, features averaged as in `positives`."""
        if self.known_rate_error is not None:
            return self.known_rate_error
        precision = sum(self._precision(j) for j in range(len(self.n1)))
        rows = self.positives + self.negatives
        rate = self.positives / rows
        return math.sqrt(((1 - rate) ** 2 + rate**2) / precision) / rows

    def _total(self, parts: tuple[Floats, ...]) -> float:
        precision = [self._precision(j) for j in range(len(parts))]
        return max(float(np.average([a.sum() for a in parts], weights=precision)), 1.0)


def with_known(counts: LabelCounts, bins: Sequence[Bins]) -> LabelCounts:
    """Counts of all features from those of the columns: where ``bins`` has a feature "known", they are made up.

    Args:
        counts: of the columns, in the order of ``bins`` without features of kind "known".
        bins: of all features; "known" after the columns of its institution.
    """
    n1, n0, variance = list(counts.n1), list(counts.n0), [float(v) for v in counts.variance]
    by_bin = list(counts.by_bin)
    for place, b in enumerate(bins):
        if b.feature.is_column:
            continue
        institution = b.feature.institution
        own = [j for j, a in enumerate(bins[:place]) if a.feature.institution == institution]
        unknown = [np.mean([part[j][-1] for j in own]) for part in (n1, n0)]
        totals = counts.positives, counts.negatives
        one, zero = (np.array([t - u, u]) for t, u in zip(totals, unknown, strict=True))
        n1.insert(place, one)
        n0.insert(place, zero)
        # Where some columns were counted twice, their noise is less.
        each = [float(by_bin[j][-1]) if by_bin else variance[j] for j in own]
        variance.insert(place, float(np.mean(each)) / len(own))
        if counts.by_bin:
            by_bin.insert(place, np.full(2, variance[place]))
    # What is made up of the columns' counts says nothing of the rate that they have not said.
    return LabelCounts(tuple(n1), tuple(n0), np.array(variance), counts.rate_error, tuple(by_bin))


def few_positives(positives: float, features: int, least: float = FEW) -> bool:
    """True if release B should be a second count instead of a Gram matrix.

    >>> few_positives(155, 95), few_positives(4600, 23)
    (True, False)
    """
    return positives < least * features


def combine_counts(first: LabelCounts, second: LabelCounts, chosen: Sequence[int]) -> LabelCounts:
    """Both counts of the chosen features, weighted by their precision; the other features unchanged.

    Args:
        first: counts of all features.
        second: counts of the chosen features only, in the order of ``chosen``.
        chosen: positions of the features that were counted again.
    """
    if len(set(chosen)) != len(chosen) or len(chosen) != len(second.n1):
        raise ConfigError("combine_counts: chosen must name each recounted feature once")
    n1, n0, variance = list(first.n1), list(first.n0), np.array(first.variance, dtype=np.float64)
    for k, j in enumerate(chosen):
        a, b = 1 / max(first.variance[j], 1e-12), 1 / max(second.variance[k], 1e-12)
        n1[j] = (first.n1[j] * a + second.n1[k] * b) / (a + b)
        n0[j] = (first.n0[j] * a + second.n0[k] * b) / (a + b)
        variance[j] = 1 / (a + b)
    return LabelCounts(tuple(n1), tuple(n0), variance)
