"""What the releases of a scorecard study say of its moment: draws, with what is noise and what is sampling told apart.

The estimator takes the weights d of the shape columns as normal under each of its candidate priors, and the released
moment as design d + sampling + privacy noise (models/estimator). Under one prior the weights given the release are
normal; what exact sums of the same enterprises would have said is normal too, about the same mean. So a draw of the
weights is that mean, plus what the noise may have moved it by, plus what other enterprises might:

    noise     P D S^-1 N T^-1 D P,     sampling     P - P D T^-1 D P,     T = D P D + D,     S = T + N

with prior variances P, design D and the noise N of the moment. Priors are drawn by their evidence, as the estimator
averages them. A moment that is expected for such weights is D d: noise that the prior does not believe is out of it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from fedrisk.models.prior_evidence import RIDGE, Covers, Equations, weights_by_prior
from fedrisk.models.weight_priors import Candidate, candidate_priors

Floats = NDArray[np.float64]

LIKELY = 1e-3
"""Share of the evidence from which on a candidate prior is drawn."""


@dataclass(frozen=True, kw_only=True)
class MomentDraws:
    """Moments of labels and shape columns, in sums over the training rows.

    mean: (M,), as the releases let it expect. noise: (M, K), as exact sums of the same enterprises may have let it
    expect. all: (M, K), as it may be, with other enterprises too.
    """

    mean: Floats
    noise: Floats
    all: Floats


def moment_draws(equations: Equations, draws: int, rng: np.random.Generator) -> MomentDraws:
    """Draws of the moment given the releases; rng: for repeatable arithmetic, no privacy hangs on it."""
    e = equations
    covers = Covers(e)
    priors, likely, means = likely_priors(e, covers)
    noise = np.empty((len(e.moment), draws))
    every = np.empty_like(noise)
    which = rng.choice(len(priors), draws, p=likely)
    for k, prior in enumerate(priors):
        at = np.flatnonzero(which == k)
        if not len(at):
            continue
        by_noise, by_sampling = _spreads(e, covers, prior)
        moved = means[k][:, None] + _normal(by_noise, len(at), rng)
        noise[:, at] = moved
        every[:, at] = moved + _normal(by_sampling, len(at), rng)
    mean = likely @ means
    return MomentDraws(mean=e.design @ mean, noise=e.design @ noise, all=e.design @ every)


def likely_priors(e: Equations, covers: Covers) -> tuple[list[Candidate], Floats, Floats]:
    """Candidate priors that the moment leaves likely, their shares of the evidence, (K,), and the weights, (K, M)."""
    priors = candidate_priors(e.first, e.known)
    share, means = weights_by_prior(e, covers, priors)
    kept = np.flatnonzero(share > LIKELY)
    return [priors[k] for k in kept], share[kept] / share[kept].sum(), means[kept]


def _spreads(e: Equations, covers: Covers, candidate: Candidate) -> tuple[Floats, Floats]:
    """Covariance of the weights that noise brings, and that sampling brings, (M, M) each, under one prior."""
    prior = candidate.variance(e.first)
    noise = e.moment_noise + np.diag(e.gram_noise @ (candidate.mean**2 + prior))
    exact = (e.design * prior) @ e.design + e.design
    exact[np.diag_indices_from(exact)] += RIDGE
    reach = e.design * prior
    without = cho_solve(cho_factor(exact, lower=True), reach)
    return cho_solve(covers.factor(candidate), reach).T @ noise @ without, np.diag(prior) - reach.T @ without


def _normal(covariance: Floats, draws: int, rng: np.random.Generator) -> Floats:
    value, vector = np.linalg.eigh((covariance + covariance.T) / 2)
    out: Floats = (vector * np.sqrt(np.maximum(value, 0.0))) @ rng.normal(size=(len(value), draws))
    return out
