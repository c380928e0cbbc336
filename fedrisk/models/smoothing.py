"""Smooth log-odds curves from noisy counts: what makes low budgets and low default rates work.

Per bin the released counts are n1 (defaults) and n0 (others), each with Gaussian noise of known variance v.
With n = n1 + n0 the model is n1 ~ Normal(m, v + m), m = rate n exp(f). Here f is the logarithm of the bin's
relative risk, which at low rates is its log-odds shift; at high rates it bends as the linear discriminant
needs it. The noise of n enters m too, but m and n1 then share noise, and v + m stays an upper bound of the
residual's variance up to rates of one. The curve f has a Gaussian prior: a random walk of step tau over
ordered bins (Wahba 1978; Rue & Held 2005, Gaussian Markov random fields), and exchangeable shrinkage for
categories, for special codes and for the missing bin. Where the dictionary states a direction, the steps are
skew-normal (Azzalini 1985): against the direction they are AGAINST times smaller than along it, so that the curve
turns only where the counts insist. f is the mode of the posterior by iteratively reweighted least squares;
tau maximises the Laplace approximation of the evidence (MacKay 1992).

Everything here works on released numbers, so it can be repeated at no privacy cost.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

Floats = NDArray[np.float64]

STEPS = (0.03, 0.06, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Candidate steps of the random walk."""

LEVEL = 0.13
"""Prior precision of every bin's level: log-odds are within about +-5 of the mean."""

MISSING_SPREAD = 0.7
"""Prior standard deviation of the log-odds shift of the missing bin, and of each special code's."""


AGAINST = 2.0
"""How much smaller steps against a stated direction are than steps along it."""


@dataclass(frozen=True)
class Smooth:
    """A smoothed curve.

    Attributes:
        shift: log-odds shift per bin, relative to the mean rate.
        tau: the chosen step of the random walk.
        evidence: its log evidence.
        covariance: how the shift would vary with other noise and other rows, (size, size): the sandwich estimate of a
            penalised fit (Huber 1967; Gray 1992), with the choice of the step. What the prior pulls is not in it.
        freedom: effective number of parameters (Hastie & Tibshirani 1990): how far the curve follows its own counts.
    """

    shift: Floats
    tau: float
    evidence: float
    covariance: Floats
    freedom: float = 0.0


def prior_precision(size: int, ordered: int, tau: float, apart: int) -> Floats:
    """Precision matrix of the prior over a feature's bins, shape (size, size).

    The first `ordered` bins are a random walk of step tau; the others are exchangeable, categories with
    spread tau, the last `apart` bins (special codes and missing) each with a fixed spread.

    >>> prior_precision(2, 2, 1.0, apart=0).round(2).tolist()
    [[1.13, -1.0], [-1.0, 1.13]]
    """
    out = np.eye(size) * LEVEL
    if ordered > 1:
        steps = np.diff(np.eye(ordered), axis=0)
        out[:ordered, :ordered] += steps.T @ steps / tau**2
    free = np.arange(ordered, size)
    out[free, free] += 1 / tau**2
    own = np.arange(size - apart, size)
    out[own, own] = LEVEL + 1 / MISSING_SPREAD**2
    return out


def residuals(
    n1: Floats, n0: Floats, variance: float, rate: float, shift: Floats
) -> tuple[Floats, Floats, Floats]:
    """Residual, its variance and the model's mean (also its slope in the shift) per bin.

    Broadcasts over leading axes of `shift`.
    """
    mean = np.maximum(n1 + n0, 1.0) * rate * np.exp(shift)
    return n1 - mean, variance + mean, mean


def smooth_log_odds(
    n1: Floats,
    n0: Floats,
    variance: float,
    rate: float,
    *,
    ordered: int,
    apart: int = 0,
    direction: int = 0,
    steps: tuple[float, ...] = STEPS,
) -> Smooth:
    """Posterior mode of the log-odds shift per bin, its scale chosen by the evidence.

    Args:
        n1: noisy counts of defaults, shape (size,).
        n0: noisy counts of others, shape (size,).
        variance: noise variance of each count.
        rate: mean default rate, inside (0, 1).
        ordered: number of ordered bins, which come first; 0 for categories.
        apart: number of last bins with levels of their own: special codes and missing.
        direction: 1 where the risk is expected to rise over the ordered bins, -1 where to fall, 0 for neither.
        steps: candidate values of tau.
    """
    n1, n0 = np.asarray(n1, dtype=np.float64), np.asarray(n0, dtype=np.float64)
    prior = np.stack([prior_precision(len(n1), ordered, tau, apart) for tau in steps])
    skew = _leanings(len(n1), ordered, direction, steps)
    shift = np.zeros((len(steps), len(n1)))
    for _ in range(60):
        residual, spread, slope = residuals(n1, n0, variance, rate, shift)
        _, push, hessian = _posterior(prior, slope**2 / spread, shift, skew)
        gradient = residual * slope / spread - np.einsum("tij,tj->ti", prior, shift) + push
        move = np.clip(np.linalg.solve(hessian, gradient[..., None])[..., 0], -0.7, 0.7)
        shift += move
        if np.abs(move).max() < 1e-9:
            break
    residual, spread, slope = residuals(n1, n0, variance, rate, shift)
    leaning, _, hessian = _posterior(prior, slope**2 / spread, shift, skew)
    evidence = (
        -0.5 * (residual**2 / spread + np.log(spread)).sum(-1)
        - 0.5 * np.einsum("ti,tij,tj->t", shift, prior, shift)
        + leaning
        + 0.5 * np.linalg.slogdet(prior)[1]
        - 0.5 * np.linalg.slogdet(hessian)[1]
    )
    best = int(np.argmax(evidence))
    information = slope**2 / spread
    covariance = _spread(shift, best, evidence, hessian, information)
    freedom = float(np.diag(np.linalg.inv(hessian[best])) @ information[best])
    return Smooth(shift[best], float(steps[best]), float(evidence[best]), covariance, freedom)


def _spread(shift: Floats, best: int, evidence: Floats, hessian: Floats, information: Floats) -> Floats:
    """Covariance of the mode over other noise and other rows, averaged over the steps by their evidence.

    With one step: the data's information between two inverse Hessians. Another step could as well have been chosen,
    which adds what its curve differs by.
    """
    share = np.exp(evidence - evidence[best])
    share /= share.sum()
    inverse = np.linalg.inv(hessian)
    each = (inverse * information[:, None, :]) @ inverse
    apart = shift - shift[best]
    out: Floats = np.einsum("t,tij->ij", share, each) + (apart.T * share) @ apart
    return out


def _leanings(size: int, ordered: int, direction: int, steps: tuple[float, ...]) -> Floats:
    """Turns shifts into steps along the direction, in units of a step against it: (steps, ordered - 1, size)."""
    rows = max(ordered - 1, 0) if direction else 0
    differences = np.diff(np.eye(size)[: rows + 1], axis=0)
    return np.stack([direction * AGAINST / tau * differences for tau in steps])


def _posterior(
    prior: Floats, information: Floats, shift: Floats, skew: Floats
) -> tuple[Floats, Floats, Floats]:
    """Log density and gradient of the direction's factor 2 Phi(u) for each step, and the whole negative Hessian."""
    diagonal = np.arange(shift.shape[1])
    hessian = prior.copy()
    hessian[:, diagonal, diagonal] += information
    u = np.einsum("tki,ti->tk", skew, shift)
    mills = np.exp(-0.5 * u**2 - 0.5 * np.log(2 * np.pi) - log_ndtr(u))
    hessian += np.einsum("tki,tk,tkj->tij", skew, mills * (mills + u), skew)
    return (log_ndtr(u) + np.log(2)).sum(-1), np.einsum("tki,tk->ti", skew, mills), hessian
