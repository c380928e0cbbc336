"""Weights of a scorecard's shape columns by logistic regression, from the same two releases as the linear step.

The likelihood of a logistic regression knows rows only by two things: what labels and columns add up to, which the
counts say exactly, and how columns are distributed, which the second release says in part. With rows drawn from a
distribution that fits the releases (models/joint_bins), the equations

    E[psi (sigma(level + psi d) - rate)] = psi' (y - rate)

are solved by Newton's method, as in iteratively reweighted least squares (McCullagh & Nelder 1989). Every step is a
linear one: a design and a moment, given to the same average over candidate priors as the linear step has
(models/estimator), with the noise of the releases in them. What the drawn rows' second moment lacks goes in at their
mean weight.

The linear step takes a row with a probability near one for as far from its mark as one near nothing. That costs where a
label is strong. Where no probability comes near one, both say the same, and the linear step needs no distribution: so
studies of warnings use this one, and all others the linear one (benchmarks/warnings).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedrisk.models.curves import Curves
from fedrisk.models.estimator import moment_equations
from fedrisk.models.joint_bins import DrawnRows, drawn_rows, second_moment
from fedrisk.models.label_counts import LabelCounts
from fedrisk.models.prior_evidence import Covers, Equations, weights_by_prior
from fedrisk.models.rate_level import at_rate
from fedrisk.models.semidefinite import semidefinite
from fedrisk.models.weight_priors import Candidate, candidate_priors

Floats = NDArray[np.float64]

STEPS = 6
"""Most steps between the first and the last."""

SETTLED = 0.01
"""Change of the scores, in proportion to their spread, from which on steps end."""

FARTHEST = 0.7
"""Most that one step changes the scores, in proportion."""

ALWAYS = 0.3
"""Least share of the matrix's noise that is counted: correlations hold some of it as well."""

FEWER = 9
"""One of so many candidate priors is tried for the start, from which Newton's steps lead away."""


def logistic_equations(
    bases: Sequence[Floats],
    counts: LabelCounts,
    curves: Curves,
    gram: Floats,
    gram_variance: Floats,
    owner: Sequence[str],
) -> Equations:
    """The linear equations of the last step, which `estimator.weights_from` solves, and about which errors are stated.

    Args:
        bases, counts, curves, gram, gram_variance: as of `estimator.posterior_weights`.
        owner: institution of each feature.
    """
    linear = moment_equations(bases, counts, curves, gram, gram_variance)
    rows = drawn_rows(curves, bases, owner, (gram + gram.T) / 2, gram_variance)
    noise = linear.gram_noise * np.maximum(rows.kept, ALWAYS)
    return _solved(linear._replace(gram_noise=noise), rows, curves, linear)


def _solved(e: Equations, rows: DrawnRows, curves: Curves, linear: Equations) -> Equations:
    """The equations of the step at which the scores no longer change."""
    every = candidate_priors(e.first, e.known)
    mean, _ = _averaged(linear, every[::FEWER])
    mean, likely = mean / 2, every
    level, before, share = math.log(curves.rate / (1 - curves.rate)), math.inf, 1.0
    for step in range(STEPS):
        level, equations = _step(e, rows, curves, mean, level)
        found, shares = _averaged(equations, likely)
        if not step:
            likely = [p for p, s in zip(every, shares, strict=True) if s > 1e-3]
        change = float(np.std(rows.shapes @ (found - mean))) / max(float(np.std(rows.shapes @ mean)), 1e-9)
        share = max(share / 2, 0.2) if change > 0.7 * before else share
        before = change
        mean = mean + min(share, FARTHEST / max(change, 1e-9)) * (found - mean)
        if change < SETTLED:
            break
    return _step(e, rows, curves, mean, level)[1]


def _averaged(e: Equations, candidates: Sequence[Candidate]) -> tuple[Floats, Floats]:
    """Weights averaged over candidate priors by their evidence, (M,), and each one's share of it, (K,)."""
    share, means = weights_by_prior(e, Covers(e), candidates)
    return share @ means, share


def _step(
    e: Equations, rows: DrawnRows, curves: Curves, mean: Floats, level: float
) -> tuple[float, Equations]:
    """Newton's linear equations about weights ``mean``, and the level at which the mean probability is the rate."""
    rate, score = curves.rate, rows.shapes @ mean
    level, p = at_rate(score, rate, rows.weight, level)
    weight = rows.weight * p * (1 - p)
    at = float(weight.sum())
    middle = weight @ rows.shapes
    design = second_moment(rows.shapes, weight) - np.outer(middle, middle) / at + at * rows.lacking
    design = curves.total * semidefinite(design)
    expected = (rows.weight * (p - rate)) @ rows.shapes + at * rows.lacking @ mean
    # Means of columns by class are known: what drawn rows miss of them goes in at the class's mean probability.
    half = len(p) // 2
    for c, part in enumerate((slice(0, half), slice(half, None))):
        missed = rows.means[c] - rows.shapes[part].mean(0)
        expected += float(rows.weight[part].sum()) * (float(p[part].mean()) - rate) * missed
    moment = e.moment - curves.total * expected + design @ mean
    return level, e._replace(design=design, moment=moment)
