"""The scorecard's estimator: from two releases of noisy sums to log-odds contributions per bin.

Release A, label counts per bin (models/label_counts), gives a smooth log-odds curve for each feature (models/curves).
Curves of correlated features must not simply be added, so release B gives the Gram matrix of *shape rows*: per
feature, its curve and up to three smooth modes orthogonal to it. Only entries between different features are
released; entries within a feature, and the label moment, follow from the counts. With h = rate (1 - rate) the joint
discriminant solves h G d = b (Fisher 1936), under a prior that every feature keeps about the same share c of its
curve. The share c and the prior's spreads are averaged by their evidence, so that a low budget falls back to shrunken
naive Bayes and a high budget becomes the discriminant.

All inputs here are released numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag

from fedrisk.errors import ConfigError
from fedrisk.models.curves import Curves
from fedrisk.models.label_counts import LabelCounts
from fedrisk.models.prior_evidence import Covers, Equations, weights_by_prior
from fedrisk.models.semidefinite import semidefinite
from fedrisk.models.weight_priors import SLOPE, agrees, candidate_priors, known_weights

Floats = NDArray[np.float64]

LIKELY = 1e-6
"""Share of the evidence from which a candidate prior counts in the weights' errors."""


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
    mean, covariance, freedom = average_weights(e)
    if len(curves.freedom):
        freedom += SLOPE * float(mean[e.first] @ curves.freedom)
    return Weights(weighed(bases, curves, mean), mean, covariance, freedom)


def weighed(bases: Sequence[Floats], curves: Curves, weights: Floats) -> tuple[Floats, ...]:
    """Contributions that weights of all shape columns make, with mean zero under the bin weights, (bins,) each."""
    at = _offsets(bases)
    parts = [b @ weights[i:k] for b, i, k in zip(bases, at, at[1:], strict=False)]
    return tuple(p - float(w @ p) for p, w in zip(parts, curves.weight, strict=True))


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
    """Weights averaged over candidate priors, (M,), and what their errors follow from.

    covariance: (M, M). freedom: effective number of parameters, the trace of what fits the moment (Hastie & Tibshirani
    1990).
    """

    mean: Floats
    covariance: Floats
    freedom: float


def average_weights(e: Equations) -> Averaged:
    """Weights of all shape columns, averaged over the candidate priors by their evidence, and their covariance."""
    candidates, covers = candidate_priors(e.first, e.known), Covers(e)
    share, means = weights_by_prior(e, covers, candidates)
    mean = share @ means
    # The sum of share * prior * design @ inverse, with the prior's two numbers taken out of the product.
    curves, modes = np.zeros_like(e.design), np.zeros_like(e.design)
    for candidate, likely in zip(candidates, share, strict=True):
        if likely > LIKELY:
            inverse = covers.inverse(candidate)
            curves += likely * candidate.curves * inverse
            modes += likely * candidate.modes * inverse
    gain = np.where(e.first[:, None], e.design @ curves, e.design @ modes)
    noise = e.design + e.moment_noise + np.diag(e.gram_noise @ mean**2)
    return Averaged(mean, covariance=gain @ noise @ gain.T, freedom=float((gain * e.design.T).sum()))


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


def _offsets(bases: Sequence[Floats]) -> list[int]:
    return [0, *np.cumsum([b.shape[1] for b in bases]).tolist()]
