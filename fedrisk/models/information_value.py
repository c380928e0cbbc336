"""Information value of a column: how far defaults and others lie apart in its bins, from counts exact or noisy.

IV = sum over bins of (g - b) ln(g / b), with g and b the shares of others and of defaults in a bin (Siddiqi 2017).
Below .02 a column says nothing, from .3 on it is strong. Of counts the sum is too large on average, by what their
noise and the sampling of enterprises do to a curved function: to second order each share adds half its variance times
the second derivative, which is taken off. The standard error is that of the first order (delta method). Bins with few
enterprises or much noise make both useless, so they are counted together with their neighbours first.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

LEAST = 5.0
"""Fewest defaults, and others, of a bin."""

CLEAR = 3.0
"""How many standard deviations of its noise a count has to be above 0."""


@dataclass(frozen=True, kw_only=True)
class InformationValue:
    """value: at least 0. error: its standard error, with that of the noise. bins: as they were counted in the end."""

    value: float
    error: float
    bins: int


def information_value(
    defaults: ArrayLike, others: ArrayLike, variance: float = 0.0, ordered: int | None = None
) -> InformationValue | None:
    """The information value of a column's counts; None where fewer than two bins are left that say something.

    Args:
        defaults: by bin, (k,), with their noise.
        others: likewise.
        variance: of the noise of each count.
        ordered: how many of the bins, the first ones, have an order; those go together with a neighbour, others with
            the largest bin. All by default.

    >>> found = information_value([300, 100], [3000, 6000])
    >>> round(found.value, 2), round(found.error, 2)
    (0.72, 0.09)
    """
    ones, zeros = (np.asarray(v, dtype=np.float64) for v in (defaults, others))
    ones, zeros, cells = _grouped(ones, zeros, variance, len(ones) if ordered is None else ordered)
    if len(ones) < 2 or min(ones.min(), zeros.min()) <= 0:
        return None
    (b, spread_b), (g, spread_g) = (_shares(v, variance * cells) for v in (ones, zeros))
    plain = float(((g - b) * np.log(g / b)).sum())
    bias = 0.5 * float((spread_b * (1 / b + g / b**2) + spread_g * (1 / g + b / g**2)).sum())
    along_b, along_g = -np.log(g / b) + 1 - g / b, np.log(g / b) + 1 - b / g
    square = _square(along_b, b, ones, variance * cells) + _square(along_g, g, zeros, variance * cells)
    return InformationValue(value=max(plain - bias, 0.0), error=math.sqrt(square), bins=len(b))


def _shares(counts: Floats, noise: Floats) -> tuple[Floats, Floats]:
    """Shares of bins and the variance of each: sampling and noise, with the noise of the total."""
    total = counts.sum()
    share = counts / total
    sampling = share * (1 - share) / total
    spread = ((1 - 2 * share) * noise + share**2 * noise.sum()) / total**2
    return share, sampling + spread


def _square(along: Floats, share: Floats, counts: Floats, noise: Floats) -> float:
    """Variance of a sum over shares of which each moves the result so much: sampling (multinomial) and noise."""
    total, centred = float(counts.sum()), along - float(along @ share)
    return float((centred**2 * share).sum()) / total + float((centred**2 * noise).sum()) / total**2


def _grouped(ones: Floats, zeros: Floats, variance: float, ordered: int) -> tuple[Floats, Floats, Floats]:
    """Counts with bins that say too little added to others, and how many cells each has become."""
    bins = [[float(a), float(b), 1.0, k < ordered] for k, (a, b) in enumerate(zip(ones, zeros, strict=True))]
    while len(bins) > 1:
        short = [_room(one, variance) for one in bins]
        at = int(np.argmin(short))
        if short[at] >= 0:
            break
        low = bins.pop(at)
        near = [k for k in (at - 1, at) if 0 <= k < len(bins) and bins[k][3]] if low[3] else []
        into = (
            min(near, key=lambda k: bins[k][0]) if near else int(np.argmax([one[0] + one[1] for one in bins]))
        )
        for place in (0, 1, 2):
            bins[into][place] += low[place]
    found = np.array([one[:3] for one in bins], dtype=np.float64)
    return found[:, 0], found[:, 1], found[:, 2]


def _room(one: list[float], variance: float) -> float:
    """How far a bin's smaller count is above what is asked of it."""
    return min(one[0], one[1]) - max(LEAST, CLEAR * math.sqrt(variance * one[2]))
