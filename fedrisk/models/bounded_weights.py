"""Weights of a scorecard that keep to forced signs and shapes, all of them solved again together.

What the releases say of the weights of the shape columns is a posterior of mean m and covariance C (models/estimator,
models/moment_posterior). A sign or a shape is a set of linear inequalities A d >= 0. The weights that keep to it are
those nearest to m in the metric of C, so that columns which go together with a bounded one take over what it no longer
says. It is least distance programming: with d = m + C^(1/2) y, the smallest y with A C^(1/2) y >= -A m, by
non-negative least squares (Lawson & Hanson 1974, chapter 23).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.optimize import nnls

from fedrisk.models.binning import Bins
from fedrisk.models.curves import Curves
from fedrisk.models.estimator import Weights, weighed
from fedrisk.models.moment_posterior import likely_priors
from fedrisk.models.prior_evidence import Covers, Equations
from fedrisk.models.semidefinite import symmetric_root

Floats = NDArray[np.float64]

RIDGE = 1e-9
"""Share of the mean variance that is added to each weight's: what no prior moves can still be bounded."""


@dataclass(frozen=True)
class Bound:
    """A forced direction. feature: its place. way: 1 where the risk rises, -1 where it falls. steps: in every step."""

    feature: int
    way: int
    steps: bool


def bound_rows(bound: Bound, bins: Bins, weight: Floats) -> Floats:
    """Rows whose products with the feature's contributions may not be negative, (rows, bins).

    A step is the difference of neighbours. The sign on the whole is that of the slope of the straight line that fits
    the ordered bins best, by their number and weighted by their enterprises.
    """
    k = bins.ordered
    out = np.zeros((k - 1 if bound.steps else 1, bins.size))
    if bound.steps:
        out[:, :k] = np.diff(np.eye(k), axis=0)
    else:
        share = np.maximum(weight[:k], 1e-12)
        out[0, :k] = share * (np.arange(k) - share @ np.arange(k) / share.sum())
    return bound.way * out


def bounded_weights(
    weights: Weights,
    equations: Equations,
    bases: Sequence[Floats],
    curves: Curves,
    bins: Sequence[Bins],
    bounds: Sequence[Bound],
) -> Weights:
    """The weights nearest to ``weights`` that keep to all bounds; as they are where they do already.

    weights, equations, bases, curves: as of `estimator.posterior_weights`. Errors stay those without bounds, which are
    rather too large.
    """
    at = [0, *np.cumsum([b.shape[1] for b in bases]).tolist()]
    rows = []
    for bound in bounds:
        j = bound.feature
        row = bound_rows(bound, bins[j], curves.weight[j]) @ bases[j]
        whole = np.zeros((len(row), at[-1]))
        whole[:, at[j] : at[j + 1]] = row
        rows.append(whole)
    matrix = np.concatenate(rows) if rows else np.zeros((0, at[-1]))
    matrix = matrix / np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-12)
    if not len(matrix) or (matrix @ weights.mean >= 0).all():
        return weights
    root = symmetric_root(posterior_covariance(equations))
    mean = weights.mean + root @ least_distance(matrix @ root, -matrix @ weights.mean)
    return replace(weights, mean=mean, contributions=weighed(bases, curves, mean))


def bounded_curves(
    contributions: Sequence[Floats], curves: Curves, bins: Sequence[Bins], bounds: Sequence[Bound]
) -> tuple[Floats, ...]:
    """Contributions that are the curves themselves, nearest to those given within the bounds, by their enterprises.

    Steps are looked after by `directions.make_monotone`; of a curve that slopes the wrong way its line is taken off.
    """
    out = list(contributions)
    for bound in bounds:
        j = bound.feature
        row = bound_rows(bound, bins[j], curves.weight[j])
        if not bound.steps and float(row[0] @ out[j]) < 0:
            weight = np.maximum(curves.weight[j], 1e-12)
            line = row[0] / weight
            out[j] = out[j] - line * float(row[0] @ out[j]) / float(row[0] @ line)
    return tuple(out)


def posterior_covariance(e: Equations) -> Floats:
    """Covariance of the weights given the releases, averaged over the candidate priors by their evidence, (M, M)."""
    covers = Covers(e)
    priors, likely, means = likely_priors(e, covers)
    mean = likely @ means
    out = np.zeros_like(e.design)
    for candidate, share, own in zip(priors, likely, means, strict=True):
        prior, factor = candidate.variance(e.first), covers.factor(candidate)
        reach = solve_triangular(factor[0], e.design * prior, lower=True)
        out += share * (np.diag(prior) - reach.T @ reach + np.outer(own - mean, own - mean))
    return out + RIDGE * float(np.trace(out)) / len(out) * np.eye(len(out))


def least_distance(matrix: Floats, least: Floats) -> Floats:
    """The shortest y with ``matrix @ y >= least``, (n,).

    >>> least_distance(np.array([[1.0, 1.0]]), np.array([2.0])).round(9).tolist()
    [1.0, 1.0]
    """
    stacked = np.vstack([matrix.T, least])
    target = np.r_[np.zeros(matrix.shape[1]), 1.0]
    dual, _ = nnls(stacked, target, maxiter=50 * len(least) + 100)
    rest = stacked @ dual - target
    out: Floats = -rest[:-1] / rest[-1]
    return out
