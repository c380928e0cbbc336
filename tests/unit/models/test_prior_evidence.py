"""The moment's covariance under priors, its inverse, and the evidence for them, against the formulas written out."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from fedrisk.models.prior_evidence import RIDGE, Covers, Equations, weights_by_prior
from fedrisk.models.weight_priors import Candidate, candidate_priors

FIRST = np.array([True, False, False, True, False])


@pytest.fixture
def equations():
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(9, len(FIRST)))
    noise = rng.uniform(0.0, 0.2, (len(FIRST),) * 2)
    return Equations(
        rows.T @ rows, noise + noise.T, rng.normal(0, 5, len(FIRST)), np.diag(rng.uniform(0, 1, 5)), FIRST
    )


def written_out(e, prior):
    variance = prior.variance(FIRST)
    noise = np.diag(e.gram_noise @ (prior.mean**2 + variance) + RIDGE)
    return (e.design * variance) @ e.design + e.design + e.moment_noise + noise


def test_factor_and_inverse_are_those_of_the_covariance(equations):
    """Whichever prior was asked for before."""
    covers = Covers(equations)
    for prior in candidate_priors(FIRST)[::7]:
        lower = np.tril(covers.factor(prior)[0])
        np.testing.assert_allclose(lower @ lower.T, written_out(equations, prior), rtol=1e-12)
        np.testing.assert_allclose(
            covers.inverse(prior) @ written_out(equations, prior), np.eye(len(FIRST)), atol=1e-10
        )


def test_evidence_is_the_density_of_the_moment(equations):
    priors = [Candidate(0.04, 0.0, np.zeros(5)), Candidate(1.0, 0.25, 0.5 * FIRST, 0.7)]
    share, means = weights_by_prior(equations, Covers(equations), priors)
    density = [
        np.exp(p.belief)
        * multivariate_normal.pdf(equations.moment, equations.design @ p.mean, written_out(equations, p))
        for p in priors
    ]
    np.testing.assert_allclose(share, np.array(density) / sum(density), rtol=1e-9)
    for prior, mean in zip(priors, means, strict=True):
        off = np.linalg.solve(written_out(equations, prior), equations.moment - equations.design @ prior.mean)
        want = prior.mean + prior.variance(FIRST) * (equations.design @ off)
        np.testing.assert_allclose(mean, want, rtol=1e-9, atol=1e-12)
