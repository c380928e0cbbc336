"""Upper bounds of default probabilities where there are few defaults.

Most prudent estimation (Pluto & Tasche 2005, "Thinking positively"): a grade is at most as risky as all grades from
it to the riskiest together, so that its bound is that of their defaults. Beside it the approach of Benjamin, Cathcart
& Ryan (2006, "Low default portfolios: a proposal for conservative estimation"): one bound for all grades together, to
which the model's own probabilities are scaled. Where only some grades have few defaults, a grade is taken together
with as few riskier ones as have enough: the bound is then not that of the whole portfolio. Defaults may depend on
each other by one common factor (Vasicek 2002). Noise of the counts is convolved (noisy_binomial).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from fedrisk.analysis.validation.grade_counts import GradeCounts
from fedrisk.analysis.validation.noisy_binomial import bound, lower_tail, upper_bound

Floats = NDArray[np.float64]

FEW = 20.0
"""Defaults of a grade below which it counts as one with few."""

NODES = 40
"""States of the common factor over which is averaged."""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Upper bounds by grade at one confidence, (g,).

    near: of the grade and as many riskier ones next to it as make FEW defaults. prudent, scaled: the two approaches,
    never falling towards risk. central: of all grades together, one number.
    """

    confidence: float
    near: tuple[float, ...]
    prudent: tuple[float, ...]
    scaled: tuple[float, ...]
    central: float


def bounds(grades: GradeCounts, confidence: float, correlation: float = 0.0) -> Bounds:
    """Bounds of every grade at a one-sided confidence. correlation: of assets, 0 where defaults are independent."""

    def of(which: slice) -> float:
        noise = float(grades.count_noise[which].sum())
        counted = float(grades.defaults[which].sum()), float(grades.size[which].sum())
        return common_bound(*counted, noise, confidence, correlation)

    places = range(len(grades.names))
    prudent = np.maximum.accumulate([of(slice(k, None)) for k in places])
    central = of(slice(0, None))
    size = np.maximum(grades.size, 0.0)
    mean = float(size @ grades.pd) / max(float(size.sum()), 1e-12)
    scaled = np.minimum(grades.pd * central / max(mean, 1e-12), 1.0)
    return Bounds(
        confidence=confidence,
        near=tuple(of(near(grades, k)) for k in places),
        prudent=tuple(float(v) for v in prudent),
        scaled=tuple(float(v) for v in np.maximum.accumulate(scaled)),
        central=central,
    )


def near(grades: GradeCounts, k: int) -> slice:
    """Grade k and as many riskier ones next to it as make FEW defaults; with noise, clearly so many."""
    counted = np.cumsum(grades.defaults[k:]) - 2 * np.sqrt(np.cumsum(grades.count_noise[k:]))
    enough = np.flatnonzero(counted >= FEW)
    return slice(k, k + 1 + int(enough[0]) if len(enough) else len(grades.names))


def common_bound(defaults: float, size: float, noise: float, confidence: float, correlation: float) -> float:
    """Highest rate that the counts do not contradict, where a common factor lets defaults come together.

    >>> round(common_bound(0, 100, 0.0, 0.9, 0.0), 4) < common_bound(0, 100, 0.0, 0.9, 0.12)
    True
    """
    if correlation <= 0 or size < 1:
        return upper_bound(defaults, size, noise, confidence)
    factor, weight = np.polynomial.hermite_e.hermegauss(NODES)
    weight = weight / weight.sum()

    def below(rate: float) -> float:
        state = ndtr((ndtri(rate) - math.sqrt(correlation) * factor) / math.sqrt(1 - correlation))
        tails = [
            lower_tail(defaults - size * p, size, p, noise * ((1 - p) ** 2 + p**2)) for p in state.tolist()
        ]
        return float(weight @ tails)

    return bound(below, confidence)
