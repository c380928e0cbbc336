"""Whether ratios of cells (means, shares) are what they were: from noisy numerators and denominators of two releases.

A cell has a denominator n (enterprises with a value) and a numerator y (ones of a share, the sum of values between -1
and 1 of a mean). If its ratio r did not change, y - r n is 0 on average in both releases, for any n; its variance is
that of the noise and, at most, n (1 - r)(r - low) of sampling, low being 0 of a share and -1 of a mean. The least sum
of both squares over all r is chi-squared with one degree of freedom at most (the subset Anderson-Rubin statistic with
two equations; Guggenberger, Kleibergen, Mavroeidis & Chen 2012), also where n is little more than noise, where a
quotient has no normal distribution at all (Fieller 1954). Cells have independent noise, so their statistics add up.

The sampling variance of a share is exact. That of a mean is the greatest that values with this mean can have, as
nothing about their spread was released: the test is then conservative, the more so the closer values lie together.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from fedrisk.analysis.homogeneity import LEAST_VARIANCE

Floats = NDArray[np.float64]

_STEPS = 41
"""Ratios that are tried, three times: each time between the neighbours of the best."""


@dataclass(frozen=True, kw_only=True)
class Cells:
    """Of one release, (cells,): denominator and numerator, and variances of their noise.

    together: covariance of the two noises, 0 where they are independent.
    """

    count: Floats
    total: Floats
    of_count: Floats
    of_total: Floats
    together: Floats

    def together_all(self) -> "Cells":
        """All cells as one."""
        return Cells(**{name: np.array([values.sum()]) for name, values in vars(self).items()})

    @classmethod
    def of_share(cls, ones: Floats, others: Floats, noise: float) -> "Cells":
        """Ones and others with independent noise of the same variance: the count has both, and shares that of ones."""
        v = np.full(len(ones), float(noise))
        return cls(
            count=ones + others, total=np.asarray(ones, np.float64), of_count=2 * v, of_total=v, together=v
        )


@dataclass(frozen=True, kw_only=True)
class RatioChange:
    """statistic: sum over cells. degrees: cells. p: of all cells together.

    by_cell: chance of each cell alone, (cells,); NaN where it is too small. old, new: ratios of all cells together.
    """

    statistic: float
    degrees: int
    p: float
    by_cell: Floats
    old: float
    new: float


def ratio_change(old: Cells, new: Cells, low: float = 0.0) -> RatioChange:
    """Whether the ratio of any cell changed. low: least of a value, 0 of a share and -1 of a mean; the most is 1.

    Cells with so few enterprises and so little noise that their variance is a guess add nothing, and count for nothing.
    """
    enough = _enough(old, new, low)
    middle, half = (1 + low) / 2, (1 - low) / 2
    centre = np.zeros(len(old.count))
    reach = np.pi / 2 * (1 - 1e-6)
    least = np.full(len(old.count), np.inf)
    for _ in range(3):
        # Every ratio is tried, also such as no cell can have: noise alone may lie nearest to one of these.
        angle = centre[:, None] + reach * np.linspace(-1.0, 1.0, _STEPS)
        r = middle + half * np.tan(np.clip(angle, -1.5707, 1.5707))
        apart = _squares(old, r, low) + _squares(new, r, low)
        best = apart.argmin(1)
        centre, least = angle[np.arange(len(r)), best], np.minimum(least, apart.min(1))
        reach = 2 * reach / (_STEPS - 1)
    by_cell = np.where(enough, chi2.sf(least, 1), np.nan)
    statistic, degrees = float(least[enough].sum()), int(enough.sum())
    return RatioChange(
        statistic=statistic,
        degrees=degrees,
        p=float(chi2.sf(statistic, degrees)) if degrees else float("nan"),
        by_cell=np.asarray(by_cell, np.float64),
        old=_whole(old, low),
        new=_whole(new, low),
    )


def _enough(old: Cells, new: Cells, low: float) -> NDArray[np.bool_]:
    """Whether noise and enterprises on both sides of a cell's ratio are no fewer than a test needs (Cochran 1954)."""
    out = np.ones(len(old.count), np.bool_)
    above, below = (old.total + new.total) / 2, (old.count + new.count) / 2
    sides = (above - low * below, below - above)
    for one in (old, new):
        for side in sides:
            out &= np.minimum(one.of_total, one.of_count) + np.maximum(side, 0.0) >= LEAST_VARIANCE
    return out


def _squares(cells: Cells, r: Floats, low: float) -> Floats:
    """(y - r n)^2 by its variance, for each ratio of each cell."""
    count, total = cells.count[:, None], cells.total[:, None]
    noise = cells.of_total[:, None] - 2 * r * cells.together[:, None] + r**2 * cells.of_count[:, None]
    variance = noise + np.maximum(count, 0.0) * np.maximum((1 - r) * (r - low), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = (total - r * count) ** 2 / variance
    exact = np.where(np.abs(total - r * count) > 1e-9, np.inf, 0.0)
    return np.asarray(np.where(variance > 0, parts, exact), np.float64)


def _whole(cells: Cells, low: float) -> float:
    count = float(cells.count.sum())
    return float(np.clip(cells.total.sum() / count, low, 1.0)) if count > 0 else float("nan")
