"""The scorecard's estimator: from two releases of noisy sums to log-odds contributions per bin.

Release A, label counts per bin, gives a smooth log-odds curve for each feature. Curves of correlated features
must not simply be added, so release B gives the Gram matrix of *shape rows*: per feature, its curve and up to
three smooth modes orthogonal to it. Only entries between different features are released; entries within a
feature, and the label moment, follow from the counts. With h = rate (1 - rate) the joint discriminant solves
h G d = b (Fisher 1936), under a prior that every feature keeps about the same share c of its curve. The share
c and the prior's spreads are averaged by their evidence, so that a low budget falls back to shrunken naive
Bayes and a high budget becomes the discriminant.

With fewer than ten defaults per feature the Gram matrix would drown in noise: the same budget then buys a
second count of the stronger half of the features instead.

An enterprise that a holder does not know is one event, not one for each of the holder's columns. Every column of a
holder has a last bin for it, whose counts say the same in all columns, so that their mean is better than each. From it
follow the counts of a further feature of the holder, whether it knows the enterprise (`with_known`), at no cost in
privacy. The columns' curves are about known enterprises only and zero for the others.

All inputs here are released numbers; `shape_rows` has what an institution computes on rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag, cho_factor, cho_solve

from fedrisk.errors import ConfigError
from fedrisk.models.binning import Bins
from fedrisk.models.semidefinite import semidefinite
from fedrisk.models.smoothing import Smooth, prior_precision, shared_beliefs, shift_modes, smooth_log_odds
from fedrisk.models.weight_priors import SLOPE, Candidate, agrees, candidate_priors, known_weights

Floats = NDArray[np.float64]

FEW = 10.0
"""Defaults per feature below which release B is a second count."""

BEND = 0.5
"""Scale of the modes, in steps of the random walk."""

RATES = (1e-4, 0.9)
"""Bounds of a default rate that is read from noisy counts."""

EMPTY = 2.0
"""Noise, in standard deviations, that the enterprises in a bin have to exceed for the bin to say something."""

APART = 1e-3
"""By how much the prior spreads of a feature's bins differ, so that no two modes are equally strong."""

LIKELY = 1e-6
"""Share of the evidence from which a candidate prior counts in the weights' errors."""


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


@dataclass(frozen=True)
class Curves:
    """What release A says about each feature by itself.

    Attributes:
        rate: default rate.
        total: number of enterprises, estimated from the counts.
        curve: per feature, log-odds shift per bin, with mean zero under ``weight``.
        tau: the random walk's step, (features,).
        weight: per feature, share of enterprises per bin.
        spread: variance of the curve over enterprises, (features,).
        ordered: number of ordered bins of each feature.
        apart: number of a feature's bins with levels of their own, behind those of values: special codes and missing.
        unknown: whether a feature's last bin is of enterprises that its holder does not know, where it is zero.
        covariance: per feature, how the curve would vary with other noise and other enterprises, (bins, bins).
        freedom: effective number of parameters of each curve, (features,).
        joint: per feature, its part of a card that is known from elsewhere, (bins,), or None; empty where no card is.
    """

    rate: float
    total: float
    curve: tuple[Floats, ...]
    tau: Floats
    weight: tuple[Floats, ...]
    spread: Floats
    ordered: tuple[int, ...]
    apart: tuple[int, ...]
    unknown: tuple[bool, ...] = ()
    covariance: tuple[Floats, ...] = ()
    freedom: Floats = field(default_factory=lambda: np.zeros(0))
    joint: tuple[Floats | None, ...] = ()


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


def fit_curves(
    counts: LabelCounts,
    bins: Sequence[Bins],
    beforehand: Sequence[Floats | None] | None = None,
    joint: Sequence[Floats | None] | None = None,
) -> Curves:
    """Smooth log-odds curve of every feature; zero in bins that hold no more enterprises than their noise.

    beforehand: curves known from elsewhere (models/prior), (bins,) each or None where none is. joint: parts of a card
    that is known from elsewhere, likewise, which `posterior_weights` takes into account.

    Raises:
        ConfigError: the counts do not have the shape of the bins.
    """
    if len(bins) != len(counts.n1) or any(b.size != len(a) for b, a in zip(bins, counts.n1, strict=True)):
        raise ConfigError("label counts do not have one number per bin of every feature")
    total = counts.positives + counts.negatives
    rate = float(np.clip(counts.positives / total, *RATES))
    everybody = (1.0, rate)
    known = {b.feature.institution: _known(counts, j) for j, b in enumerate(bins) if not b.feature.is_column}
    share, rates = zip(
        *(known.get(b.feature.institution, everybody) if b.feature.is_column else everybody for b in bins),
        strict=True,
    )
    fits = _smoothed(counts, bins, rates, [None] * len(bins) if beforehand is None else beforehand)
    parts = [_curve(counts, j, b, share[j], fits[j]) for j, b in enumerate(bins)]
    curve, weight = tuple(f.curve for f in parts), tuple(f.weight for f in parts)
    spread = np.array([float(w @ c**2) for w, c in zip(weight, curve, strict=True)])
    return Curves(
        rate=rate,
        total=total,
        curve=curve,
        tau=np.array([f.tau for f in parts]),
        weight=weight,
        spread=spread,
        ordered=tuple(b.ordered for b in bins),
        apart=tuple(b.apart for b in bins),
        unknown=tuple(b.unknown and b.feature.is_column for b in bins),
        covariance=tuple(f.covariance for f in parts),
        freedom=np.array([f.freedom for f in parts]),
        joint=() if joint is None else tuple(joint),
    )


def _smoothed(
    counts: LabelCounts, bins: Sequence[Bins], rates: Sequence[float], beforehand: Sequence[Floats | None]
) -> list[Smooth]:
    """Smooth shifts of every feature. rates: default rate among the enterprises that each is about."""
    fits: dict[int, Smooth] = {}
    modes = {}
    for j, (b, known) in enumerate(zip(bins, beforehand, strict=True)):
        inside = _inside(b)
        noisy = counts.n1[j][inside], counts.n0[j][inside], counts.variance_of(j)[inside], rates[j]
        f = b.feature
        if known is None:
            fits[j] = smooth_log_odds(
                *noisy, ordered=b.ordered, apart=b.apart, direction=f.leaning, strength=f.strength
            )
        else:
            modes[j] = shift_modes(*noisy, ordered=b.ordered, apart=b.apart, known=known[inside])
    for (j, mode), belief in zip(modes.items(), shared_beliefs([*modes.values()]), strict=True):
        fits[j] = mode.averaged(belief)
    return [fits[j] for j in range(len(bins))]


def _inside(b: Bins) -> slice:
    """Bins of the enterprises that a feature's curve is about."""
    return slice(0, b.known if b.unknown and b.feature.is_column else b.size)


def _known(counts: LabelCounts, place: int) -> tuple[float, float]:
    """Share of enterprises that a holder knows, and the default rate among them; place: of its feature "known"."""
    n1, n0 = counts.n1[place], counts.n0[place]
    total = n1[0] + n0[0]
    share = float(np.clip(total / max(total + n1[1] + n0[1], 1.0), 1e-3, 1.0))
    return share, float(np.clip(n1[0] / max(total, 1.0), *RATES))


class _Curve(NamedTuple):
    """One feature's curve, the shares of its bins, its random walk's step, its covariance and number of parameters."""

    curve: Floats
    weight: Floats
    tau: float
    covariance: Floats
    freedom: float


def _curve(counts: LabelCounts, j: int, b: Bins, known: float, fit: Smooth) -> _Curve:
    """A feature's curve from its smooth shifts. known: share of the enterprises that it is about."""
    of_known = b.unknown and b.feature.is_column
    inside = _inside(b)
    n1, n0, variance = counts.n1[j][inside], counts.n0[j][inside], counts.variance_of(j)[inside]
    filled = np.maximum(n1 + n0, 1.0)
    share = filled / filled.sum()
    # A bin by itself (a category, missing) with no more in it than noise says nothing.
    said = (np.arange(len(n1)) < b.ordered) | (n1 + n0 > np.maximum(EMPTY * np.sqrt(2 * variance), 0.5))
    middle = share * said / max(float((share * said).sum()), 1e-12)
    curve = np.where(said, fit.shift - float(middle @ fit.shift), 0.0)
    covariance = centred(fit.covariance, middle) * np.outer(said, said)
    if not of_known:
        return _Curve(curve, share, fit.tau, covariance, fit.freedom)
    weight, whole = np.append(share * known, 1 - known), np.pad(covariance, (0, 1))
    return _Curve(np.append(curve, 0.0), weight, fit.tau, whole, fit.freedom)


def centred(covariance: Floats, weight: Floats) -> Floats:
    """Covariance of a curve after its mean under ``weight`` is taken off.

    >>> centred(np.eye(2), np.full(2, 0.5)).tolist()
    [[0.5, -0.5], [-0.5, 0.5]]
    """
    centre = np.eye(len(weight)) - weight
    out: Floats = centre @ covariance @ centre.T
    return out


def shape_bases(curves: Curves, modes: int = 3) -> tuple[Floats, ...]:
    """Columns of the shape rows: per feature its scaled curve, then smooth modes orthogonal to it.

    The modes are the leading eigenvectors of the curve's prior covariance, in the metric of the bin weights,
    orthogonal to the constant and to the curve; each is scaled by its prior standard deviation. Bins that are alike,
    such as empty categories, would have modes of one eigenvalue, of which each machine may find others; spreads that
    fall by APART from the first bin to the last tell them apart.

    Returns:
        One array (bins, k) per feature, 1 <= k <= 1 + modes.
    """
    out = []
    for j, whole in enumerate(curves.curve):
        outside = int(bool(curves.unknown) and curves.unknown[j])
        size = len(whole) - outside
        curve, weight = whole[:size], curves.weight[j][:size] / curves.weight[j][:size].sum()
        columns = [SLOPE * curve]
        if size > 2 and modes > 0:
            root = np.sqrt(weight)
            precision = prior_precision(size, curves.ordered[j], 1.0, curves.apart[j])
            kernel = np.linalg.inv(precision) * (BEND * max(float(curves.tau[j]), 0.2)) ** 2
            spread = np.linspace(1.0, 1.0 - APART, size)
            kernel = kernel * np.outer(spread, spread)
            q = np.linalg.qr(np.c_[root, root * curve])[0]
            rest = np.eye(size) - q @ q.T
            value, vector = np.linalg.eigh(rest @ (root[:, None] * kernel * root) @ rest)
            for k in range(size - 1, size - 1 - min(modes, size - 2), -1):
                if value[k] > 0.01 * value[-1]:
                    columns.append(vector[:, k] * np.sqrt(value[k]) / root)
        out.append(np.pad(np.stack(columns, 1), ((0, outside), (0, 0))))
    return tuple(out)


def radii(
    bases: Sequence[Floats], curves: Curves, owner: Sequence[str], clip: float = 1.2
) -> dict[str, float]:
    """Clipping radius of every institution's block of the shape rows: clip times its root mean square norm.

    It is a function of released numbers, hence public. Institutions are in the order of their first feature.

    >>> curve, half, one = (np.array([-1.0, 1.0]),), (np.full(2, 0.5),), np.ones(1)
    >>> curves = Curves(0.1, 100.0, curve, one, half, one, (2,), (0,))
    >>> radii((np.array([[-3.0], [3.0]]),), curves, ["tax"], clip=1.0)
    {'tax': 3.0}
    """
    if not len(bases) == len(owner) == len(curves.weight):
        raise ConfigError("radii: bases and owner must have one entry per feature")
    square: dict[str, float] = {}
    for base, weight, name in zip(bases, curves.weight, owner, strict=True):
        square[name] = square.get(name, 0.0) + float(weight @ (base**2).sum(1))
    return {name: clip * math.sqrt(max(value, 1e-12)) for name, value in square.items()}


@dataclass(frozen=True)
class Weights:
    """Weights of all shape columns after release B, and the contributions that they make.

    Attributes:
        contributions: per feature, log-odds per bin, with mean zero under the bin weights.
        mean: the weights, (M,), averaged over the candidate priors.
        covariance: how they would vary with other noise and other enterprises, (M, M), at the same curves: the moment's
            covariance through the linear map from moment to mean (delta method).
        freedom: effective number of parameters of the weights and of the curves that they weigh.
    """

    contributions: tuple[Floats, ...]
    mean: Floats
    covariance: Floats
    freedom: float = 0.0


def fit_weights(
    bases: Sequence[Floats], counts: LabelCounts, curves: Curves, gram: Floats, gram_variance: Floats
) -> tuple[Floats, ...]:
    """Log-odds contributions per feature and bin: those of :func:`posterior_weights`."""
    return posterior_weights(bases, counts, curves, gram, gram_variance).contributions


def posterior_weights(
    bases: Sequence[Floats], counts: LabelCounts, curves: Curves, gram: Floats, gram_variance: Floats
) -> Weights:
    """Weights of the shape columns from release A and the Gram matrix of release B.

    Args:
        bases: from `shape_bases`, M columns in all.
        counts: release A.
        curves: from `fit_curves`, for the same counts.
        gram: noisy Psi' Psi, shape (M, M), symmetric; entries within a feature are ignored.
        gram_variance: noise variance of each entry, shape (M, M); entries within a feature are ignored.
    """
    return weights_from(moment_equations(bases, counts, curves, gram, gram_variance), bases, curves)


def weights_from(e: Equations, bases: Sequence[Floats], curves: Curves) -> Weights:
    """Weights of the shape columns by their equations, and the contributions that they make."""
    mean, _, covariance, freedom = average_weights(e)
    if len(curves.freedom):
        freedom += SLOPE * float(mean[e.first] @ curves.freedom)
    return Weights(weighed(bases, curves, mean), mean, covariance, freedom)


def weighed(bases: Sequence[Floats], curves: Curves, weights: Floats) -> tuple[Floats, ...]:
    """Contributions that weights of all shape columns make, with mean zero under the bin weights, (bins,) each."""
    at = _offsets(bases)
    parts = [b @ weights[i:k] for b, i, k in zip(bases, at, at[1:], strict=False)]
    return tuple(p - float(w @ p) for p, w in zip(parts, curves.weight, strict=True))


class Equations(NamedTuple):
    """moment = design d + noise, for the weights d of all M shape columns; all in sums over the training rows.

    design: h times the Gram matrix, (M, M); also the covariance that sampling gives the moment. gram_noise: variance of
    its entries, (M, M). moment: of labels and columns, (M,). moment_noise: covariance that the counts' noise gives it.
    first: (M,), which columns are the curves themselves. known: weights that a card from elsewhere would have, (M,);
    None where no card is known.
    """

    design: Floats
    gram_noise: Floats
    moment: Floats
    moment_noise: Floats
    first: NDArray[np.bool_]
    known: Floats | None = None

    @property
    def moment_cost(self) -> Floats:
        """What a squared weight adds to the noise of the moment, in units of its variance, (M,)."""
        own = np.maximum(np.diag(self.design + self.moment_noise), 1e-9)
        cost: Floats = (self.gram_noise / own[:, None]).sum(0)
        return cost


def moment_equations(
    bases: Sequence[Floats], counts: LabelCounts, curves: Curves, gram: Floats, gram_variance: Floats
) -> Equations:
    """The equations that :func:`posterior_weights` solves; arguments as there."""
    at = _offsets(bases)
    gram = complete_gram(bases, curves, gram)
    noise = np.array(gram_variance, dtype=np.float64)
    if noise.shape != gram.shape:
        raise ConfigError(f"gram_variance has shape {noise.shape}, must be {gram.shape}")
    for a, b in pairwise(at):
        noise[a:b, a:b] = 0.0
    rate, h = curves.rate, curves.rate * (1 - curves.rate)
    moment = np.concatenate(
        [b.T @ (n1 * (1 - rate) - n0 * rate) for b, n1, n0 in zip(bases, counts.n1, counts.n0, strict=True)]
    )
    spread = (1 - rate) ** 2 + rate**2
    moment_noise = block_diag(*[_moment_noise(b, counts, j) * spread for j, b in enumerate(bases)])
    first = np.zeros(at[-1], dtype=bool)
    first[at[:-1]] = True
    out = Equations(gram * h, noise * h**2, moment, moment_noise, first)
    if not curves.joint:
        return out
    known = known_weights(bases, curves.joint, [w * curves.total * h for w in curves.weight], out.moment_cost)
    return out._replace(known=known) if agrees(known, moment, out.design + moment_noise) else out


def _moment_noise(base: Floats, counts: LabelCounts, feature: int) -> Floats:
    """Covariance that noise of one kind of counts gives a feature's part of the moment, in units of labels."""
    if counts.by_bin:
        return base.T @ (counts.by_bin[feature][:, None] * base)
    out: Floats = base.T @ base * counts.variance[feature]
    return out


class Averaged(NamedTuple):
    """Weights averaged over candidate priors, (M,), each prior's share of the evidence, and what errors follow from.

    covariance: (M, M). freedom: effective number of parameters, the trace of what fits the moment (Hastie & Tibshirani
    1990).
    """

    mean: Floats
    share: Floats
    covariance: Floats
    freedom: float


def average_weights(e: Equations, candidates: Sequence[Candidate] | None = None) -> Averaged:
    """Weights of all shape columns, averaged over the candidate priors by their evidence, and their covariance."""
    candidates = candidate_priors(e.first, e.known) if candidates is None else candidates
    evidences, means = [], []
    for prior, expected, belief in candidates:
        factor = cover(e.design, e.gram_noise, e.moment_noise, prior, expected)
        residual = e.moment - e.design @ expected
        solved = cho_solve(factor, residual)
        evidences.append(-0.5 * float(residual @ solved) - float(np.log(np.diag(factor[0])).sum()) + belief)
        means.append(expected + prior * (e.design @ solved))
    share = np.exp(np.array(evidences) - max(evidences))
    share /= share.sum()
    mean = share @ np.array(means)
    gain = np.zeros_like(e.design)
    for (prior, expected, _), likely in zip(candidates, share, strict=True):
        if likely > LIKELY:
            factor = cover(e.design, e.gram_noise, e.moment_noise, prior, expected)
            gain += likely * cho_solve(factor, e.design * prior).T
    noise = e.design + e.moment_noise + np.diag(e.gram_noise @ mean**2)
    return Averaged(mean, share, gain @ noise @ gain.T, float((gain * e.design.T).sum()))


def cover(
    design: Floats, gram_noise: Floats, moment_noise: Floats, prior: Floats, expected: Floats
) -> tuple[Floats, bool]:
    """Cholesky factor of the moment's covariance under one prior."""
    noise = np.diag(gram_noise @ (expected**2 + prior) + 1e-6)
    factor: tuple[Floats, bool] = cho_factor(
        (design * prior) @ design + design + moment_noise + noise, lower=True
    )
    return factor


def complete_gram(bases: Sequence[Floats], curves: Curves, gram: Floats) -> Floats:
    """The released Gram matrix with entries within a feature from the counts, made positive semidefinite."""
    at = _offsets(bases)
    out = np.array(gram, dtype=np.float64)
    if out.shape != (at[-1], at[-1]):
        raise ConfigError(f"gram has shape {out.shape}, must be {(at[-1], at[-1])}: one row per shape column")
    out = (out + out.T) / 2
    for base, weight, a, b in zip(bases, curves.weight, at, at[1:], strict=False):
        out[a:b, a:b] = (base.T * (weight * curves.total)) @ base
    return semidefinite(out)


def few_positives(positives: float, features: int, least: float = FEW) -> bool:
    """True if release B should be a second count instead of a Gram matrix.

    >>> few_positives(155, 95), few_positives(4600, 23)
    (True, False)
    """
    return positives < least * features


def stronger_half(
    curves: Curves, among: Sequence[int], share: float = 0.5, least: int = 4
) -> tuple[int, ...]:
    """The columns to count again: those ``among`` whose curves vary most over enterprises, strongest first.

    Their positions among the columns.
    """
    spread = curves.spread[list(among)]
    chosen = max(min(least, len(spread)), int(share * len(spread)))
    return tuple(int(j) for j in np.argsort(-spread, kind="stable")[:chosen])


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


def _offsets(bases: Sequence[Floats]) -> list[int]:
    return [0, *np.cumsum([b.shape[1] for b in bases]).tolist()]
