"""Equations of the weights, and what each candidate prior makes of them: weights, and the evidence for the prior.

moment = design d + sampling + privacy noise, for the weights d of all M shape columns. A prior says one variance of the
weights of curves and one of those of modes (models/weight_priors), so that the moment's covariance under it is

    curves D1 D1' + modes D2 D2' + design + noise,

with D1 and D2 the columns of the design that are curves, and modes. These two products are worked out once for all
priors: a prior then costs a Cholesky factor, a sixth of what the product costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.linalg.lapack import dpotri

from fedrisk.models.weight_priors import Candidate

Floats = NDArray[np.float64]

RIDGE = 1e-6
"""Variance that every entry of the moment has at least."""


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


class Covers:
    """The moment's covariance under candidate priors of the same equations."""

    def __init__(self, e: Equations) -> None:
        self._gram_noise = e.gram_noise
        curves, modes = e.design[:, e.first], e.design[:, ~e.first]
        self._curves, self._modes = curves @ curves.T, modes @ modes.T
        self._first, self._always = e.first, e.design + e.moment_noise
        self._last: tuple[tuple[float, float], Floats] | None = None

    def factor(self, prior: Candidate) -> tuple[Floats, bool]:
        """Cholesky factor of it, as `scipy.linalg.cho_factor` gives it with ``lower``."""
        noise = self._gram_noise @ (prior.mean**2 + prior.variance(self._first)) + RIDGE
        whole = self._without_noise(prior).copy()
        whole[np.diag_indices_from(whole)] += noise
        # Symmetric, so that its transpose is the same in the order that LAPACK takes without a copy.
        factor: tuple[Floats, bool] = cho_factor(whole.T, lower=True, overwrite_a=True)
        return factor

    def inverse(self, prior: Candidate) -> Floats:
        """Inverse of it, (M, M)."""
        found, _ = dpotri(self.factor(prior)[0], lower=1, overwrite_c=1)
        out: Floats = np.tril(found)
        return out + np.tril(out, -1).T

    def _without_noise(self, prior: Candidate) -> Floats:
        """All but the matrix's noise, which priors that follow on each other often have in common."""
        key = (prior.curves, prior.modes)
        if self._last is None or self._last[0] != key:
            whole = prior.curves * self._curves
            whole += self._always
            if prior.modes:
                whole += prior.modes * self._modes
            self._last = key, whole
        return self._last[1]


def weights_by_prior(e: Equations, covers: Covers, candidates: Sequence[Candidate]) -> tuple[Floats, Floats]:
    """Each candidate's share of the evidence, (K,), and the weights under it, (K, M); covers: of the same equations."""
    evidences, means = [], []
    for prior in candidates:
        factor = covers.factor(prior)
        residual = e.moment - e.design @ prior.mean
        solved = cho_solve(factor, residual)
        evidences.append(
            -0.5 * float(residual @ solved) - float(np.log(np.diag(factor[0])).sum()) + prior.belief
        )
        means.append(prior.mean + prior.variance(e.first) * (e.design @ solved))
    share = np.exp(np.array(evidences) - max(evidences))
    return share / share.sum(), np.array(means)
