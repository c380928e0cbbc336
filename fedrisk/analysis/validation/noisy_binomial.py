"""The binomial test and its interval where the counts carry Gaussian noise of a known variance.

Without noise: the tail of the binomial, and Jeffreys's posterior, Beta(D + 1/2, N - D + 1/2). With noise, the residual
r = D - N p plus noise is a binomial number convolved with a normal one; its tail is summed over the binomial. An event
that the noise makes half as likely counts half, so that it goes over into the mid-p test as the noise vanishes, which
Jeffreys's interval is very near to (Brown, Cai & DasGupta 2001). A posterior of noisy counts would need a prior of the
counts: where noise is larger than the counts, that prior alone would reject.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri
from scipy.stats import beta, binom

Floats = NDArray[np.float64]

REACH = 9.0
"""Standard deviations of the binomial over which its tail is summed."""

MOST_TERMS = 4000
"""Terms of that sum; beyond it the normal distribution is as good."""

LEAST_RATE = 1e-12
"""Rates are looked for between this and 1 less this."""


def jeffreys_test(defaults: float, size: float, pd: float) -> float:
    """Posterior chance that the true rate is ``pd`` or less, from exact counts: small where ``pd`` is too low.

    The test of the ECB's instructions on validation reporting (2019, calibration) with Jeffreys's prior.

    >>> round(jeffreys_test(0, 100, 0.01), 3), round(jeffreys_test(5, 100, 0.01), 4)
    (0.844, 0.0014)
    """
    return float(beta.cdf(pd, defaults + 0.5, size - defaults + 0.5))


def jeffreys_interval(defaults: float, size: float, level: float) -> tuple[float, float]:
    """Equal-tailed interval of the rate from exact counts; it reaches 0 without defaults, and 1 without others.

    >>> low, high = jeffreys_interval(0, 10, 0.95)
    >>> low, round(high, 3)
    (0.0, 0.217)
    """
    tail = (1 - level) / 2
    low, high = beta.ppf([tail, 1 - tail], defaults + 0.5, size - defaults + 0.5)
    return 0.0 if defaults <= 0 else float(low), 1.0 if defaults >= size else float(high)


def upper_tail(residual: float, size: float, pd: float, noise: float) -> float:
    """Chance of such a residual or a larger one, if ``pd`` were right.

    residual: defaults less size * pd. noise: its variance by noise; 0 for exact counts, where this is the binomial
    test.

    >>> round(upper_tail(5 - 1, 100, 0.01, 0.0), 4), round(1 - 0.9966, 4)
    (0.0034, 0.0034)
    """
    if noise <= 0:
        n = max(round(size), 0)
        return float(binom.sf(round(residual + n * pd) - 1, n, pd))
    return _summed(residual, size, pd, noise, 1)


def lower_tail(residual: float, size: float, pd: float, noise: float) -> float:
    """Chance of such a residual or a smaller one, if ``pd`` were right; arguments as of `upper_tail`."""
    if noise <= 0:
        n = max(round(size), 0)
        return float(binom.cdf(round(residual + n * pd), n, pd))
    # Summed for itself: of a tail far below rounding, one less the other would leave rounding alone.
    return _summed(residual, size, pd, noise, -1)


def _summed(residual: float, size: float, pd: float, noise: float, side: int) -> float:
    """A tail of the convolution; side: 1 for the upper one, -1 for the lower one."""
    n = max(round(size), 0)
    sd = math.sqrt(n * pd * (1 - pd))
    if 2 * REACH * sd > MOST_TERMS:
        return float(ndtr(-side * residual / math.hypot(sd, math.sqrt(noise))))
    low = max(0, math.floor(n * pd - REACH * sd) - 1)
    high = min(n, math.ceil(n * pd + REACH * sd) + 10)
    d = np.arange(low, high + 1)
    return float(binom.pmf(d, n, pd) @ ndtr(side * (d - n * pd - residual) / math.sqrt(noise)))


def upper_bound(defaults: float, size: float, noise: float, confidence: float) -> float:
    """Highest rate that the counts do not contradict, one-sided (Clopper & Pearson 1934; with noise convolved).

    noise: variance of the noise of ``defaults``, and of that of the others, which is assumed to be the same. Where
    noise made so few defaults that they contradict a rate of 0 as well, chances are taken in proportion to that at 0
    (CLs, Read 2002), so that the bound is never 0 by luck.

    >>> round(upper_bound(0, 100, 0.0, 0.9), 4)
    0.0228
    """
    return 1.0 if size < 1 else bound(lambda rate: _below(defaults, size, rate, noise), confidence)


def bound(below: Callable[[float], float], confidence: float) -> float:
    """The rate at which the chance ``below`` of so few defaults is 1 - confidence of what it is at a rate of 0."""
    least = (1 - confidence) * below(LEAST_RATE)

    def beyond(rate: float) -> float:
        return below(rate) - least

    high = 1 - LEAST_RATE
    return 1.0 if beyond(high) >= 0 else float(brentq(beyond, LEAST_RATE, high, xtol=1e-10))


def interval(defaults: float, size: float, noise: float, level: float) -> tuple[float, float]:
    """Equal-tailed interval of a rate from counts with noise, by turning the test round; within 0 and 1.

    noise: as of `upper_bound`. Without noise it is Jeffreys's.
    """
    if noise <= 0:
        return jeffreys_interval(defaults, size, level)
    if size < 1:
        return 0.0, 1.0
    tail = (1 - level) / 2
    high = upper_bound(defaults, size, noise, 1 - tail)

    def beyond(rate: float) -> float:
        return _below(defaults, size, rate, noise) - (1 - tail)

    if beyond(LEAST_RATE) <= 0:
        return 0.0, high
    low = 1.0 if beyond(1 - LEAST_RATE) >= 0 else float(brentq(beyond, LEAST_RATE, 1 - LEAST_RATE))
    return min(low, high), high


def _below(defaults: float, size: float, rate: float, noise: float) -> float:
    spread = noise * ((1 - rate) ** 2 + rate**2)
    return lower_tail(defaults - size * rate, size, rate, spread)


def normal_quantile(confidence: float) -> float:
    """Standard deviations that a one-sided confidence reaches.

    >>> round(normal_quantile(0.95), 3)
    1.645
    """
    return float(ndtri(confidence))
