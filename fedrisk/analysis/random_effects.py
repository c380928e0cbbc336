"""Variances between groups where each figure's own error is known, and robust middles.

DerSimonian & Laird (1986) subtract known errors from an observed spread; Paule & Mandel (1982) choose the variance at
which squared residuals are as large as they should be. Here the *median* of the absolute residuals has to be what it is
for a normal variable, so that shocks among the figures hardly count. Middles are Huber's (1964), by reweighting.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

Floats = NDArray[np.float64]

MIDDLE = 0.6744897501960817
"""Median of the absolute value of a standard normal variable."""

CUT, CUT_SQUARE = 3.0, 0.995
"""Residuals are cut at so many standard deviations; mean of the square of a standard normal variable that is."""

HUBER = 1.5
"""Residuals of more standard deviations count as so many; 96 % as precise as a mean where nothing is wrong."""


def excess_variance(residuals: Floats, errors: Floats, share: Floats | float = 1.0) -> float:
    """The variance w at which residuals have the variances errors + share * w, by the median; 0 where they need none.

    residuals, errors: of one shape; NaN are passed over. Fewer than five residuals give 0.

    >>> rng = np.random.default_rng(1)
    >>> errors = np.full(4000, 4.0)
    >>> round(excess_variance(rng.normal(0, 5 ** .5, 4000), errors), 1)
    1.0
    """
    share = np.broadcast_to(share, residuals.shape)
    fine = np.isfinite(residuals) & np.isfinite(errors)
    squares, errors, share = residuals[fine] ** 2, errors[fine], share[fine]
    if len(squares) < 5:
        return 0.0

    def scaled(w: float) -> Floats:
        return np.asarray(squares / np.maximum(errors + share * w, 1e-300))

    def middle(w: float) -> float:
        return float(np.median(scaled(w))) - MIDDLE**2

    def cut(w: float) -> float:
        return float(np.minimum(scaled(w), CUT**2).mean()) - CUT_SQUARE

    high = max(float(squares.mean()), 1e-300) / float(share.min())
    # Of figures that mostly stay as they are (rare events, small cells) the median is 0: half the cut mean is a floor.
    found = max(_root(middle, high), 0.5 * _root(cut, high))
    return found if found > 0 or errors.any() else 0.5 * high


def weighted_median(values: Floats, weights: Floats) -> Floats:
    """(rows,) the lower weighted median of each row of (rows, values); 0 where it has none. NaN are passed over.

    >>> weighted_median(np.array([[1.0, 2.0, 9.0], [1.0, 2.0, np.nan]]), np.array([[1.0, 1, 3], [3, 1, 1]])).tolist()
    [9.0, 1.0]
    """
    weights = np.where(np.isfinite(values) & np.isfinite(weights), weights, 0.0)
    order = np.argsort(values, axis=1)
    reached = np.cumsum(np.take_along_axis(weights, order, axis=1), axis=1)
    place = (reached < 0.5 * reached[:, -1:]).sum(axis=1)
    found = np.take_along_axis(np.take_along_axis(values, order, axis=1), place[:, None], axis=1)[:, 0]
    return np.where(reached[:, -1] > 0, found, 0.0)


def huber_weights(values: Floats, variance: Floats, use: NDArray[np.bool_]) -> Floats:
    """Weights (adding up to 1 over the second axis from the last) of Huber's middle; zeros where nothing is used.

    values, variance: (..., r, c), variance of each value about the middle; use: (..., r, c).
    """
    held, variance = np.where(use, values, np.nan), np.where(use, variance, 1.0)
    weight = np.where(use, 1.0 / np.maximum(variance, 1e-300), 0.0)
    some = use.any(axis=-2, keepdims=True)
    middle = np.where(some, np.nanmedian(np.where(some, held, 0.0), axis=-2, keepdims=True), 0.0)
    root = np.sqrt(np.maximum(variance, 1e-300))
    norm = weight
    for _ in range(6):
        far = np.abs(np.where(use, held - middle, 0.0)) / root
        norm = weight * np.minimum(1.0, HUBER / np.maximum(far, 1e-300))
        norm = norm / np.maximum(norm.sum(axis=-2, keepdims=True), 1e-300)
        middle = np.where(use, norm * held, 0.0).sum(axis=-2, keepdims=True)
    return norm


def _root(function: Callable[[float], float], high: float) -> float:
    """Where a falling function crosses 0; 0 where it is not positive there."""
    if function(0.0) <= 0:
        return 0.0
    while function(high) > 0:
        high *= 2
    return float(brentq(function, 0.0, high, rtol=1e-6, xtol=1e-300))
