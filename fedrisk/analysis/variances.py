"""Variances of cells from noisy counts, sums and sums of squares, with profile-likelihood intervals.

With values z between -1 and 1 a cell has the count n, the sum s and the sum of squares t, each with normal noise. A
pair (mean m, variance w) is consistent with the truth where s - m n = 0 and t - 2 m s + (m^2 - w) n = 0: two linear
forms of the three numbers, so their noise is normal with known covariance, whatever n is (the same idea as Fieller's
for a ratio). The distance of the released numbers from a pair is the likelihood ratio; of a variance, its least over
all means. A variance is inside where this distance is less than ``q`` (a chi-squared with one degree of freedom).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedrisk.analysis.intervals import Interval

Floats = NDArray[np.float64]

_MEANS = 33
"""Means that are tried for each variance, within four standard errors of the cell's own."""

_HALVINGS = 20
_CHUNK = 2_000


@dataclass(frozen=True)
class Moments:
    """Noisy count, sum and sum of squares of cells, with the variances of their noise; and the draw's probability."""

    count: Floats
    total: Floats
    squares: Floats
    noise: tuple[Floats, Floats, Floats]
    included: float = 1.0

    def part(self, place: slice | NDArray[np.int64]) -> "Moments":
        """Some of the cells."""
        noise = tuple(v[place] for v in self.noise)
        return Moments(
            self.count[place],
            self.total[place],
            self.squares[place],
            (noise[0], noise[1], noise[2]),
            self.included,
        )


def variance(moments: Moments, q: float) -> Interval:
    """Variances of values between -1 and 1, between 0 and 1."""
    parts = [_variance(moments.part(slice(k, k + _CHUNK)), q) for k in range(0, len(moments.count), _CHUNK)]
    names = ("estimate", "error", "low", "high", "bounded")
    return Interval(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in names})


def _variance(m: Moments, q: float) -> Interval:
    of_count, of_total, of_squares = m.noise
    n = np.where(m.count > 0, m.count, np.nan)
    middle = np.clip(m.total / n, -1, 1)
    estimate = np.clip(m.squares / n - middle**2, 0, 1 - middle**2)
    drawn = np.maximum(m.count, 0) * (1 - m.included)
    error_of_mean = np.sqrt(of_total + middle**2 * of_count + drawn * estimate) / n
    # Also means beyond the bounds: a nuisance that is held at its bound would make intervals too short.
    means = (m.total / n)[:, None] + error_of_mean[:, None] * np.linspace(-4, 4, _MEANS)
    spread = of_squares + 4 * middle**2 * of_total + (middle**2 - estimate) ** 2 * of_count
    spread = spread + drawn * estimate * np.maximum((1 + np.abs(middle)) ** 2 - estimate, 0)
    with np.errstate(invalid="ignore"):
        known = (m.count > 0) & (m.count**2 > q**2 * of_count)
        agrees = _distance(m, means, estimate) <= q**2 + 1e-12
    low, high = _ends(m, means, estimate, q)
    inside = known & agrees
    return Interval(
        estimate=np.where(m.count > 0, estimate, np.nan),
        error=np.where(m.count > 0, np.sqrt(spread) / np.where(m.count > 0, m.count, 1.0), np.inf),
        low=np.where(inside, low, np.where(known, estimate, 0.0)),
        high=np.where(inside, high, np.where(known, estimate, 1.0)),
        bounded=inside,
    )


def _ends(m: Moments, means: Floats, inside: Floats, q: float) -> tuple[Floats, Floats]:
    """Where variances below and above one that agrees with the numbers begin to contradict them; both at once."""
    cells = np.tile(np.arange(len(inside)), 2)
    outside = np.repeat([0.0, 1.0], len(inside))
    low, high = _end(m.part(cells), means[cells], inside[cells], outside, q).reshape(2, -1)
    return low, high


def _end(m: Moments, means: Floats, inside: Floats, outside: Floats, q: float) -> Floats:
    there = _distance(m, means, outside) <= q**2
    near, far = inside.copy(), outside.copy()
    for _ in range(_HALVINGS):
        half = (near + far) / 2
        agrees = _distance(m, means, half) <= q**2
        near, far = np.where(agrees, half, near), np.where(agrees, far, half)
    return np.where(there, outside, near)


def _distance(m: Moments, means: Floats, variance: Floats) -> Floats:
    """Squared distance of the numbers from each cell's variance: the least over the means, which are (cells, means)."""
    n, s, t = (v[:, None] for v in (m.count, m.total, m.squares))
    vn, vs, vt = (v[:, None] for v in m.noise)
    w = np.broadcast_to(variance[:, None], means.shape)
    drawn = np.maximum(n, 0) * (1 - m.included)
    first = s - means * n
    second = t - 2 * means * s + (means**2 - w) * n
    # No more than 1 - m^2 of variance is possible with that mean.
    of_first = vs + means**2 * vn + drawn * w
    of_second = vt + 4 * means**2 * vs + (means**2 - w) ** 2 * vn
    of_second = of_second + drawn * w * np.maximum((1 + np.abs(means)) ** 2 - w, 0)
    both = -2 * means * vs - means * (means**2 - w) * vn
    with np.errstate(divide="ignore", invalid="ignore"):
        determinant = of_first * of_second - both**2
        distance = (of_second * first**2 - 2 * both * first * second + of_first * second**2) / determinant
    exact = np.abs(first) + np.abs(second) < 1e-9 * np.maximum(np.abs(n), 1.0)
    distance = np.where(np.isfinite(distance), distance, np.where(exact, 0.0, np.inf))
    return np.asarray(distance.min(1))
