"""Gaussian differential privacy: one number, mu, for the price of a release.

A release is mu-GDP when telling whether an enterprise took part is at least as hard as telling N(0, 1) from
N(mu, 1) by one draw (Dong, Roth & Su 2022, Gaussian differential privacy). A sum of L2 sensitivity s with
Gaussian noise of deviation sigma is mu = s / sigma. Prices add as squares, mu^2 = mu_1^2 + mu_2^2 + ...

The sum of squares also holds when a later release, its noise and its price are chosen after seeing the
earlier ones, so long as every price is fixed before its noise is drawn and the sum is stopped at a bound that
was fixed beforehand: a fully adaptive filter for Gaussian DP loses nothing (Smith & Thakurta 2022). The
ledger is that filter.

Mu and the usual (epsilon, delta) are two views of one curve, converted exactly (Balle & Wang 2018, theorem
8):

    delta(epsilon) = Phi(mu / 2 - epsilon / mu) - exp(epsilon) Phi(-mu / 2 - epsilon / mu)

**Integer noise.** Noise is drawn on the integers of a ring, from the discrete Gaussian (Canonne, Kamath &
Steinke 2020), which is slightly less private than the continuous one of the same sigma. The hockey-stick
divergence, summed directly, says by how much: shifted by an integer k it lies under the curve of mu = (k /
sigma)(1 + c / sigma^2) with c = .0419 at sigma 4 and c -> 1/24 from above as sigma grows. We charge c = 1/20.
A vector whose coordinates are shifted by k_1, k_2, ... is then the composition of its coordinates, so the
same factor holds for its L2 norm. The tests of this module and ``benchmarks/noise`` repeat the sums.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

from scipy.special import erfcx, log_ndtr, ndtr

from fedrisk.errors import ConfigError

EPSILON_MAX = 100.0
"""Largest finite epsilon: beyond it only the explicit ``math.inf``, which is no privacy and says so."""

SIGMA_MIN = 4.0
"""Least noise of one contributor, in ring units, for which the price of discreteness was verified."""

LABEL_IN_COUNTS = math.sqrt(2.0)
"""What a flipped label costs, in prices of a record made zero, where labels are counted: one cell for another."""

LABEL_IN_VECTORS = 2.0
"""The same where a label turns a whole vector round, such as a clipped gradient, or is a value that is summed."""

_DISCRETENESS = 1.0 / 20.0
_SQRT_HALF = math.sqrt(0.5)
_LOG_TWO_PI = math.log(2.0 * math.pi)
_LOG_SQRT_HALF_PI = 0.5 * math.log(0.5 * math.pi)


def delta_for(mu: float, epsilon: float) -> float:
    """The least delta for which a mu-GDP release is (epsilon, delta)-DP; exact (Balle & Wang 2018).

    ``epsilon`` may be zero; ``mu`` zero gives 0 and infinity gives 1. Stable for any epsilon and for delta
    far below 1e-300, where it returns 0: the two terms of the formula share the factor phi(mu/2 -
    epsilon/mu), and what is left is a difference of Mills ratios instead of one of nearly equal
    probabilities.

    >>> round(delta_for(1.0, 1.0), 6)
    0.126937
    """
    _check_mu(mu)
    if not epsilon >= 0.0:
        raise ConfigError(f"epsilon is {epsilon}; it must be 0 or more")
    if mu == 0.0 or epsilon == math.inf:
        return 1.0 if mu == math.inf else 0.0
    if mu == math.inf:
        return 1.0
    return math.exp(_log_delta(mu, epsilon))


@lru_cache(maxsize=1024)
def epsilon_for(mu: float, delta: float) -> float:
    """The least epsilon for which a mu-GDP release is (epsilon, delta)-DP; infinite for infinite ``mu``.

    Relative error below 1e-9. Zero where delta alone already covers the release.

    >>> [round(epsilon_for(mu, 1e-6), 2) for mu in (0.124, 0.237, 0.648, 1.532)]
    [0.5, 1.0, 3.0, 8.0]
    """
    _check_mu(mu)
    _check_delta(delta)
    if mu == math.inf:
        return math.inf
    if mu == 0.0 or 2.0 * ndtr(0.5 * mu) - 1.0 <= delta:
        return 0.0
    target = math.log(delta)
    # delta <= Phi(mu/2 - epsilon/mu) <= exp(-(epsilon/mu - mu/2)^2 / 2) bounds epsilon from above.
    top = 0.5 * mu * mu + mu * math.sqrt(-2.0 * target)
    # The rounding of the early return may leave the root a hair below zero.
    if _log_delta(mu, 0.0) <= target:
        return 0.0
    return _root(lambda e: _log_delta(mu, e) - target, 0.0, top)


@lru_cache(maxsize=256)
def mu_for(epsilon: float, delta: float) -> float:
    """The largest mu that is (epsilon, delta)-DP: what a study of that budget may spend.

    Infinite epsilon, the explicit "no privacy", gives infinite mu. Relative error below 1e-9.

    >>> [round(mu_for(epsilon, 1e-6), 3) for epsilon in (0.5, 1, 3, 8)]
    [0.124, 0.237, 0.648, 1.532]
    """
    if not epsilon >= 0.0:
        raise ConfigError(f"epsilon is {epsilon}; it must be 0 or more")
    _check_delta(delta)
    if epsilon == math.inf:
        return math.inf
    target = math.log(delta)
    # The root within a factor of two first: far from it the logarithm falls off a cliff.
    high = 1.0
    while _log_delta(high, epsilon) < target:
        high *= 2.0
    while _log_delta(0.5 * high, epsilon) >= target:
        high *= 0.5
    return _root(lambda m: _log_delta(m, epsilon) - target, 0.5 * high, high)


def compose(mus: Iterable[float]) -> float:
    """The price of several releases together: the root of the sum of squares, adaptive choice included.

    >>> compose([3.0, 4.0])
    5.0
    """
    prices = list(mus)
    for mu in prices:
        _check_mu(mu)
    return math.hypot(*prices)


def discreteness(mu: float, sigma_ring: float) -> float:
    """The price of integer noise: ``mu (1 + 1 / (20 sigma^2))``, ``sigma_ring`` in units of the ring.

    ConfigError below ``SIGMA_MIN``: there the sum is to be scaled up before it is quantised.
    """
    _check_mu(mu)
    _check_sigma(sigma_ring)
    return mu * (1.0 + _DISCRETENESS / sigma_ring**2)


def sigma_for(sensitivity: float, mu: float) -> float:
    """The deviation, in ring units, at which a release of that L2 ``sensitivity`` costs ``mu`` in all.

    Solves ``discreteness(sensitivity / sigma, sigma) = mu``; rounding goes to more noise, never to less, so
    the price computed from the result never exceeds ``mu``. ``sensitivity`` is in ring units.

    >>> sigma = sigma_for(100.0, 1.0)
    >>> round(sigma, 6), discreteness(100.0 / sigma, sigma)
    (100.0005, 1.0)
    """
    if not 0.0 < sensitivity < math.inf:
        raise ConfigError(f"sensitivity is {sensitivity}; it must be positive and finite")
    if not 0.0 < mu < math.inf:
        raise ConfigError(f"mu is {mu}; noise exists for a positive, finite mu only")
    plain = sensitivity / mu
    sigma = plain
    # A contraction with factor 1 / (10 sigma^2), at most 1/160 where the answer is accepted.
    for _ in range(64):
        following = plain * (1.0 + _DISCRETENESS / max(sigma, 1.0) ** 2)
        if following == sigma:
            break
        sigma = following
    _check_sigma(sigma)
    while discreteness(sensitivity / sigma, sigma) > mu:
        sigma = math.nextafter(sigma, math.inf)
    return sigma


def contributor_sigma(sigma: float, banks: int, tolerated: int = 1) -> float:
    """What each of several banks adds so that the others' noise suffices: ``sigma / sqrt(banks - 1 - t)``.

    A bank that looks at the sum knows the noise that it added, and ``tolerated`` colluders share theirs with
    it; the remaining ``banks - 1 - tolerated`` must add up to ``sigma``. ``banks`` is the smallest number
    that may be left after drop-outs. With too few banks each adds the whole ``sigma``. All in ring units.

    ConfigError where a contribution falls below ``SIGMA_MIN``. Above it a sum of discrete Gaussians differs
    from one discrete Gaussian of the summed variance by a factor within 1 +- 1e-60 (Kairouz, Liu & Steinke
    2021, theorem 1), so no further price is due.

    >>> contributor_sigma(20.0, 2), contributor_sigma(20.0, 6)
    (20.0, 10.0)
    """
    if banks < 1:
        raise ConfigError(f"banks is {banks}; it must be 1 or more")
    if tolerated < 0:
        raise ConfigError(f"tolerated is {tolerated}; it must be 0 or more colluders")
    share = sigma / math.sqrt(max(1, banks - 1 - tolerated))
    _check_sigma(share)
    return share


@dataclass(frozen=True, kw_only=True)
class EpsilonByRelation:
    """One price, read as epsilon at ``delta`` for three different things to hide about an enterprise.

    ``zeroed``: its whole contribution (mu, the unit of all accounts); ``label_flipped``: a default where
    there was none (sqrt 2 mu in a scorecard, 2 mu elsewhere); ``replaced``: one enterprise instead of another (2 mu).
    """

    mu: float
    delta: float
    zeroed: float
    label_flipped: float
    replaced: float


def epsilon_by_relation(mu: float, delta: float, *, label: float) -> EpsilonByRelation:
    """The epsilons of ``mu`` under the three adjacencies that the documentation promises.

    label: LABEL_IN_COUNTS where it is proved that labels are counted alone, as in scorecards; else LABEL_IN_VECTORS.
    There is no default, as the smaller one would promise too much where it is forgotten.

    >>> r = epsilon_by_relation(mu_for(1.0, 1e-6), 1e-6, label=LABEL_IN_COUNTS)
    >>> round(r.zeroed, 2), round(r.label_flipped, 2), round(r.replaced, 2)
    (1.0, 1.45, 2.12)
    """
    return EpsilonByRelation(
        mu=mu,
        delta=delta,
        zeroed=epsilon_for(mu, delta),
        label_flipped=epsilon_for(label * mu, delta),
        replaced=epsilon_for(2.0 * mu, delta),
    )


def check_epsilon_delta(epsilon: float, delta: float, enterprises: int) -> None:
    """Refuse a budget that promises nothing: ConfigError names the parameter, the bound and the remedy.

    ``epsilon`` in (0, 100], or ``math.inf`` as the explicit choice of no privacy; ``delta`` in (0, 1) and at
    most .1 / ``enterprises``, since a delta of 1 / n is met by publishing one enterprise in full.
    """
    if math.isnan(epsilon) or epsilon <= 0.0:
        raise ConfigError(f"epsilon is {epsilon}; it must be above 0 and at most {EPSILON_MAX:g}")
    if EPSILON_MAX < epsilon < math.inf:
        raise ConfigError(
            f"epsilon is {epsilon}; at most {EPSILON_MAX:g} means anything. "
            "Lower it, or write inf for a research run without privacy"
        )
    _check_delta(delta)
    if enterprises < 1:
        raise ConfigError(f"enterprises is {enterprises}; it must be 1 or more")
    bound = 0.1 / enterprises
    if delta > bound:
        raise ConfigError(
            f"delta is {delta:g}; with {enterprises} enterprises it must be at most .1 / enterprises = "
            f"{bound:.3g}. Lower delta"
        )


def _log_delta(mu: float, epsilon: float) -> float:
    """Logarithm of delta(epsilon) for finite positive ``mu``; minus infinity where no digits are left."""
    t = epsilon / mu
    near, far = t - 0.5 * mu, t + 0.5 * mu
    if near < -1.0:
        # The first term is above .84: no cancellation to fear, but the Mills ratio of ``near`` may overflow.
        second = float(log_ndtr(-far)) + epsilon
        return math.log(float(ndtr(-near)) - math.exp(second))
    # exp(epsilon) phi(far) = phi(near), hence delta = phi(near) (M(near) - M(far)), M(x) = Phi(-x) / phi(x).
    gap = float(erfcx(near * _SQRT_HALF)) - float(erfcx(far * _SQRT_HALF))
    if gap <= 0.0:
        return -math.inf
    return -0.5 * (near * near + _LOG_TWO_PI) + _LOG_SQRT_HALF_PI + math.log(gap)


def _check_mu(mu: float) -> None:
    if not mu >= 0.0:
        raise ConfigError(f"mu is {mu}; it must be 0 or more")


def _check_delta(delta: float) -> None:
    if not 0.0 < delta < 1.0:
        raise ConfigError(f"delta is {delta}; it must lie strictly between 0 and 1, 1e-6 by default")


def _check_sigma(sigma_ring: float) -> None:
    if not SIGMA_MIN <= sigma_ring < math.inf:
        raise ConfigError(
            f"sigma is {sigma_ring:.4g} ring units for one contributor; the price of integer noise "
            f"holds from {SIGMA_MIN:g} up. Scale up: multiply the values by a power of two before quantising"
        )


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """A root between two bounds, to twelve digits."""
    # A third of the memory of a process that accounts for nothing, as one that serves scores.
    from scipy.optimize import brentq

    return float(brentq(function, low, high, xtol=1e-300, rtol=1e-12))
