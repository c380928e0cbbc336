"""Smooth log-odds curves from noisy counts: what makes low budgets and low default rates work.

Per bin the released counts are n1 (defaults) and n0 (others), each with Gaussian noise of known variance v.
With n = n1 + n0 the model is n1 ~ Normal(m, v + m), m = rate n exp(f). Here f is the logarithm of the bin's
relative risk, which at low rates is its log-odds shift; at high rates it bends as the linear discriminant
needs it. The noise of n enters m too, but m and n1 then share noise, and v + m stays an upper bound of the
residual's variance up to rates of one. The curve f has a Gaussian prior: a random walk of step tau over
ordered bins (Wahba 1978; Rue & Held 2005, Gaussian Markov random fields), and exchangeable shrinkage for
categories, for special codes and for the missing bin. Where the dictionary states a direction, the steps are
skew-normal (Azzalini 1985): against the direction they are AGAINST times smaller than along it, so that the curve
turns only where the counts insist. Where it states a strength, steps that make a curve of about that information value
are likelier than others. f is the mode of the posterior by iteratively reweighted least squares;
tau maximises the Laplace approximation of the evidence (MacKay 1992).

Where a curve is known from elsewhere, f is a share of it plus the random walk, without the skew. What the shares are
like is learnt from all features together (empirical Bayes; Efron 2010): each share's frequency is estimated from the
evidence of every feature, so that a source which is wrong for many features loses its weight for the others too. The
curve is then the mean over shares and steps, each with its own posterior mode, weighted by evidence and frequency.

Everything here works on released numbers, so it can be repeated at no privacy cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

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

SHARES = (-1.0, -0.5, 0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
"""Candidate shares of a known curve. Negative ones, so that one that is the wrong way round is seen as such."""

KNOWN_STEPS = STEPS[::2]
"""Candidate steps beside a known curve; all of STEPS give the same within .0003 of AUC, in twice the time."""

FEATURES = 3.0
"""Weight, in features, of the belief beforehand that all shares are equally frequent."""

VALUE = {"weak": 0.2, "medium": 0.42, "strong": 0.63}
"""Standard deviation of a curve's log-odds over enterprises by the strength that a dictionary declares: the root of an
information value of .04, .18 and .4, inside the bands of Siddiqi (2006), whose borders are .1 and .3."""

MOST_KNOWN = 3.0
"""Largest log-odds shift of a known curve that is used, either way."""

DOUBT = 0.7
"""Standard deviation of the logarithm of a declared strength."""


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
    n1: Floats, n0: Floats, variance: float | Floats, rate: float, shift: Floats
) -> tuple[Floats, Floats, Floats]:
    """Residual, its variance and the model's mean (also its slope in the shift) per bin.

    Broadcasts over leading axes of `shift`.
    """
    mean = np.maximum(n1 + n0, 1.0) * rate * np.exp(shift)
    return n1 - mean, variance + mean, mean


@dataclass(frozen=True)
class Modes:
    """Posterior modes of one feature's shift under every candidate: share of a known curve and step.

    share, tau: of each candidate, (candidates,). shift: (candidates, size). evidence: log evidence, (candidates,).
    inverse: inverse Hessian at the mode, (candidates, size, size). information: of the counts, (candidates, size).
    """

    share: Floats
    tau: Floats
    shift: Floats
    evidence: Floats
    inverse: Floats
    information: Floats

    def likeliest(self) -> Smooth:
        """The mode of the candidate with the most evidence."""
        best = int(np.argmax(self.evidence))
        freedom = float(np.diag(self.inverse[best]) @ self.information[best])
        covariance = self._covariance(self.shift[best])[0]
        return Smooth(
            self.shift[best], float(self.tau[best]), float(self.evidence[best]), covariance, freedom
        )

    def averaged(self, belief: Floats) -> Smooth:
        """The mean over all candidates. belief: log weight of each beforehand, (candidates,)."""
        weighed = replace(self, evidence=self.evidence + belief)
        likely, best = weighed.likely, float(weighed.evidence.max())
        shift = likely @ self.shift
        covariance, between = weighed._covariance(shift)
        own = np.einsum("t,tii,ti->", likely, self.inverse, self.information)
        # A mean follows its data by its whole posterior covariance, of which a part lies between the candidates.
        freedom = float(own + np.diag(between) @ (likely @ self.information))
        return Smooth(shift, float(np.exp(likely @ np.log(self.tau))), best, covariance, freedom)

    @property
    def likely(self) -> Floats:
        """Share of the evidence of each candidate, (candidates,)."""
        out = np.exp(self.evidence - self.evidence.max())
        shares: Floats = out / out.sum()
        return shares

    def _covariance(self, shift: Floats) -> tuple[Floats, Floats]:
        """Covariance of a shift over other noise and other rows, averaged over the candidates by their evidence.

        With one candidate: the data's information between two inverse Hessians. Another candidate could as well have
        been chosen, which adds what its curve differs by; that part is the second.
        """
        likely = self.likely
        each = (self.inverse * self.information[:, None, :]) @ self.inverse
        apart = self.shift - shift
        between: Floats = (apart.T * likely) @ apart
        return np.einsum("t,tij->ij", likely, each) + between, between


def smooth_log_odds(
    n1: Floats,
    n0: Floats,
    variance: float | Floats,
    rate: float,
    *,
    ordered: int,
    apart: int = 0,
    direction: int = 0,
    strength: str | None = None,
    steps: tuple[float, ...] = STEPS,
) -> Smooth:
    """Posterior mode of the log-odds shift per bin, its scale chosen by the evidence.

    Args:
        n1: noisy counts of defaults, shape (size,).
        n0: noisy counts of others, shape (size,).
        variance: noise variance of each count, or of all, shape (size,).
        rate: mean default rate, inside (0, 1).
        ordered: number of ordered bins, which come first; 0 for categories.
        apart: number of last bins with levels of their own: special codes and missing.
        direction: 1 where the risk is expected to rise over the ordered bins, -1 where to fall, 0 for neither.
        strength: "weak", "medium" or "strong" where one is declared, else the evidence alone finds the scale.
        steps: candidate values of tau.
    """
    modes = shift_modes(
        n1, n0, variance, rate, ordered=ordered, apart=apart, direction=direction, steps=steps
    )
    believed = step_belief(strength, ordered, len(modes.shift[0]) - apart, direction, steps)
    return replace(modes, evidence=modes.evidence + believed).likeliest()


def shift_modes(
    n1: Floats,
    n0: Floats,
    variance: float | Floats,
    rate: float,
    *,
    ordered: int,
    apart: int = 0,
    direction: int = 0,
    known: Floats | None = None,
    steps: tuple[float, ...] | None = None,
) -> Modes:
    """Posterior modes of the log-odds shift per bin under every candidate; arguments as in `smooth_log_odds`.

    known: a curve that is known from elsewhere, (size,), of which SHARES are candidates; a direction then says nothing
    further. steps: candidate values of tau; None for STEPS, or KNOWN_STEPS beside a known curve.
    """
    steps = steps or (STEPS if known is None else KNOWN_STEPS)
    n1, n0 = np.asarray(n1, dtype=np.float64), np.asarray(n0, dtype=np.float64)
    shares = (0.0,) if known is None else SHARES
    share = np.repeat(np.array(shares), len(steps))
    tau = np.tile(np.array(steps), len(shares))
    prior = np.tile(
        np.stack([prior_precision(len(n1), ordered, t, apart) for t in steps]), (len(shares), 1, 1)
    )
    skew = _leanings(len(n1), ordered, direction if known is None else 0, tuple(tau))
    middle = np.outer(share, np.zeros(len(n1)) if known is None else np.clip(known, -MOST_KNOWN, MOST_KNOWN))
    walk = np.zeros_like(middle)
    for _ in range(60):
        residual, spread, slope = residuals(n1, n0, variance, rate, middle + walk)
        _, push, hessian = _posterior(prior, slope**2 / spread, walk, skew)
        gradient = residual * slope / spread - np.einsum("tij,tj->ti", prior, walk) + push
        move = np.clip(np.linalg.solve(hessian, gradient[..., None])[..., 0], -0.7, 0.7)
        walk += move
        if np.abs(move).max() < 1e-9:
            break
    residual, spread, slope = residuals(n1, n0, variance, rate, middle + walk)
    information = slope**2 / spread
    leaning, _, hessian = _posterior(prior, information, walk, skew)
    evidence = (
        -0.5 * (residual**2 / spread + np.log(spread)).sum(-1)
        - 0.5 * np.einsum("ti,tij,tj->t", walk, prior, walk)
        + leaning
        + 0.5 * np.linalg.slogdet(prior)[1]
        - 0.5 * np.linalg.slogdet(hessian)[1]
    )
    shift, inverse = middle + walk, np.asarray(np.linalg.inv(hessian), dtype=np.float64)
    return Modes(share, tau, shift, evidence, inverse, information)


def step_belief(
    strength: str | None, ordered: int, levels: int, direction: int, steps: tuple[float, ...]
) -> Floats:
    """Log weight of each step by a declared strength, (steps,): log-normal about the step that makes such a curve.

    A walk of k bins has a variance of tau^2 (k^2 - 1) / (6 k) about its mean; steps along a direction are .8 tau on
    average, which alone makes .64 tau^2 (k^2 - 1) / 12. Categories differ by tau.
    """
    if strength is None or levels < 2:
        return np.zeros(len(steps))
    k = ordered
    made = 1.0 if k < 2 else 0.64 * (k**2 - 1) / 12 if direction else (k**2 - 1) / (6 * k)
    wanted = VALUE[strength] / np.sqrt(made)
    out: Floats = -0.5 * (np.log(np.array(steps) / wanted) / DOUBT) ** 2
    return out


def shared_beliefs(features: Sequence[Modes]) -> list[Floats]:
    """Log weights of all candidates of every feature, from the frequency of shares and steps over all of them.

    Expectation and maximisation over the features (Dempster, Laird & Rubin 1977), from equal frequencies, which also
    count as FEATURES further features. All have the same candidates.
    """
    if not features:
        return []
    shares, steps = (np.unique(v, return_inverse=True)[1] for v in (features[0].share, features[0].tau))
    evidence = np.stack([m.evidence for m in features])
    belief = np.zeros_like(features[0].evidence)
    for _ in range(40):
        likely = np.exp(evidence + belief - (evidence + belief).max(1, keepdims=True))
        total = (likely / likely.sum(1, keepdims=True)).sum(0)
        belief = np.zeros_like(total)
        for kind in (shares, steps):
            count = np.bincount(kind, total)
            often = count + FEATURES / len(count)
            belief = belief + np.log(often / often.sum())[kind]
    return [belief] * len(features)


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
