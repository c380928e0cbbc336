"""The interval of a default rate where defaults come together, as in a bad year: one common factor (Vasicek 2002).

Binomial intervals, such as Jeffreys's, take defaults as independent given the rate. They cover the rate of the *year*
that was observed. Where a rate over good and bad years is meant, a year's shock moves all loans at once, and such
intervals are too short, the more so the more loans there are. Here a loan defaults where a normal number, which has a
correlation with all others', is below a threshold; both ends are the rates that the defaults no longer contradict, as
in Jeffreys's interval (mid-p), averaged over the common factor.
"""

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri
from scipy.stats import binom

from fedrisk.analysis.validation.noisy_binomial import jeffreys_interval

Floats = NDArray[np.float64]

STATES, REACH = 601, 8.0
"""States of the common factor over which is averaged, evenly so many standard deviations to both sides of 0. Where
there are many loans, chances of a state are nearly 0 or 1, and few states would leave a step between two of them."""

LEAST = 1e-9


def shock_interval(defaults: float, size: float, level: float, correlation: float) -> tuple[float, float]:
    """Equal-tailed interval of the rate over good and bad years; Jeffreys's where ``correlation`` is 0.

    defaults, size: exact counts of one year. correlation: of assets, 0 to below 1.

    >>> low, high = shock_interval(20, 1000, 0.95, 0.05)
    >>> alone = shock_interval(20, 1000, 0.95, 0.0)
    >>> bool(low < alone[0] and high > alone[1])
    True
    """
    if correlation <= 0 or size < 1:
        return jeffreys_interval(defaults, size, level)
    tail = (1 - level) / 2

    def above(rate: float) -> float:
        """Chance of as many defaults or more."""
        return _midp(defaults, size, rate, correlation) - tail

    def below(rate: float) -> float:
        return 1 - _midp(defaults, size, rate, correlation) - tail

    low = 0.0 if defaults <= 0 else float(brentq(above, LEAST, 1 - LEAST, xtol=1e-9))
    high = 1.0 if defaults >= size else float(brentq(below, LEAST, 1 - LEAST, xtol=1e-9))
    return low, high


def _midp(defaults: float, size: float, rate: float, correlation: float) -> float:
    """Chance of more defaults, and half of that of as many."""
    factor, weight = _states()
    state = ndtr((ndtri(rate) - math.sqrt(correlation) * factor) / math.sqrt(1 - correlation))
    each = binom.sf(defaults, size, state) + 0.5 * binom.pmf(defaults, size, state)
    return float(weight @ each)


@cache
def _states() -> tuple[Floats, Floats]:
    """States of the common factor and their chances."""
    factor = np.linspace(-REACH, REACH, STATES)
    weight = np.exp(-(factor**2) / 2)
    return factor, weight / weight.sum()
