"""The population stability index of two histograms: corrected, with its interval, and whether it is clearly large.

For shares p before and q now, PSI = sum of (q - p) ln(q / p), the symmetric Kullback-Leibler divergence (Lewis 1994;
Siddiqi 2017); of a column it is called CSI. By chance alone it is larger than 0: without any change, n m / (n + m) PSI
of n and m enterprises follows about a chi-squared distribution with one degree of freedom less than there are bins
(Yurdakul 2018). What sampling and privacy noise add is taken off here, and the interval and the test have both. This is
the one place of the index: pages, the comparison of studies, models at work and the monthly watch take it from here.

Enterprises that are in both histograms tend to fall into the same bin twice. Shares then differ by less than those of
two samples: the covariance of both is taken off their variance, where it is known (`Overlap`). Where it is not, the two
are taken as samples of their own, which errs on the safe side: false alarms are rarer than stated.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import chdtr, chdtrc, chndtr, ndtr
from scipy.stats import ncx2

from fedrisk.analysis.homogeneity import Histogram, Homogeneity, added, homogeneity, prepared_groups

Floats = NDArray[np.float64]

STABLE, MOVED = 0.1, 0.25
"""Customary bounds of the index (Siddiqi 2017): stable below the first, moved above the second."""

LEAST_BIN = 3.0
"""Standard errors that a bin has to hold for the stability index; weaker ones are joined."""

MOST_WEAK = 0.5
"""Part of all enterprises that may be in such bins; beyond it, those that seem strong are so by their noise."""


@dataclass(frozen=True, kw_only=True)
class Stability:
    """The population stability index less what noise and sampling add to it, with its interval. bins: that it is of."""

    index: float
    low: float
    high: float
    bins: int

    @property
    def verdict(self) -> str:
        """``stable``, ``shifting`` or ``moved`` by customary bounds, ``unclear`` where the interval holds several."""
        if self.high <= STABLE:
            return "stable"
        if self.low > MOVED:
            return "moved"
        if self.low > STABLE and self.high <= MOVED:
            return "shifting"
        return "unclear"


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """Enterprises that are in both histograms, by bin before (rows) and bin now (columns): counts, (bins, bins)."""

    counts: Floats

    def joined(self, groups: NDArray[np.intp], count: int) -> "Overlap":
        """The same of bins that were joined to groups."""
        into = np.zeros((count, len(groups)))
        into[groups, np.arange(len(groups))] = 1.0
        return Overlap(counts=into @ self.counts @ into.T)


def exact(shares: ArrayLike) -> Histogram:
    """Shares of bins that are taken as they are, as a histogram: without sampling and without noise.

    A bin that nobody was in has LEAST_SHARE: what comes into it, such as a new category, would else be joined with
    another bin and never be seen.
    """
    return Histogram.of(np.maximum(np.asarray(shares, np.float64), LEAST_SHARE) * _VERY_MANY, 0.0)


LEAST_SHARE = 1e-3
_VERY_MANY = 1e12
MOST_EXACT = 1e9
"""Degrees and non-centrality together up to which a chi-squared is taken from exact series."""

_LEAST = 1e-300


def stability(
    before: Histogram, now: Histogram, *, most: int | None = None, overlap: Overlap | None = None
) -> Stability | None:
    """The index of two histograms over the same bins, with its interval of 95 %; None where noise leaves none.

    most: bins, of ordered ones; more are joined with their neighbours. overlap: of enterprises in both.

    >>> found = stability(Histogram.of(np.array([5e6, 5e6]), 0.0), Histogram.of(np.array([8e6, 2e6]), 0.0))
    >>> round(found.index, 3), found.verdict
    (0.416, 'moved')
    """
    found = distance(before, now, most=most, overlap=overlap)
    return None if found is None else found.stability()


def stability_of(old: Histogram, new: Histogram, found: Homogeneity, level: float = 0.95) -> Stability | None:
    """The index of histograms that were prepared and tested already (homogeneity). None as of `stability`."""
    apart = _tested(old, new, found, None)
    return None if apart is None else apart.stability(level)


def distance(
    before: Histogram, now: Histogram, *, most: int | None = None, overlap: Overlap | None = None
) -> "Distance | None":
    """The index as counted with its distribution, for interval and test; arguments and None as of `stability`."""
    groups, count = prepared_groups(before, now, most)
    a, b = before.joined(groups, count), now.joined(groups, count)
    found = homogeneity(a, b)
    if found is None:
        return None
    return _tested(a, b, found, None if overlap is None else overlap.joined(groups, count))


@dataclass(frozen=True, kw_only=True)
class Distance:
    """The index as counted, and what chance does.

    value: as counted. weights: the index is about a sum of squares of independent normal numbers with these weights,
    (bins,), and their sum is what chance adds on the average.
    """

    value: float
    weights: Floats

    def chance(self, bound: float) -> float:
        """Chance of so large an index, or a larger one, if the true one is ``bound`` or less; of no change where 0.

        Four cumulants of the sum of squares are those of a non-central chi-squared (Liu, Tang & Zhang 2009). What the
        bound allows lies in the direction of the greatest weight, where it makes large values most likely.
        """
        if self.weights.sum() <= 0:
            return 1.0 if self.value <= bound else 0.0
        return self._above(self.value, bound)

    def nameable(self, bound: float, level: float, power: float = 0.8) -> float:
        """The least true index of which `chance` at this bound is ``level`` or less, with a chance of ``power``.

        So what a test at this level sees at these numbers of enterprises: smaller changes it may well pass over. What
        makes the index large lies in the direction of the greatest weight here too, where it varies most.
        """
        if self.weights.sum() <= 0:
            return bound
        critical = _where(lambda value: level - self._above(value, bound), bound, float(self.weights.sum()))
        return _where(lambda index: self._above(critical, index) - power, bound, float(self.weights.sum()))

    def _above(self, value: float, index: float) -> float:
        """Chance of an index of ``value`` or more as counted, where the true one is ``index``."""
        w = self.weights
        c1, c2, c3, c4 = (float((w**k).sum()) + k * float(w.max()) ** (k - 1) * index for k in (1, 2, 3, 4))
        skew, peak = c3 / c2**1.5, c4 / c2**2
        if skew**2 > peak * (1 + 1e-12):
            a = 1 / (skew - math.sqrt(skew**2 - peak))
            centre = skew * a**3 - a**2
            degrees = a**2 - 2 * centre
        else:
            a, centre, degrees = 1 / skew, 0.0, 1 / skew**2
        at = (value - c1) / math.sqrt(c2) * a + degrees + centre
        return _upper_tail(at, degrees, centre)

    def stability(self, level: float = 0.95) -> Stability:
        """The index less what chance adds, with its interval (a chi-squared of the same mean and variance)."""
        mean, bins = float(self.weights.sum()), len(self.weights)
        if mean <= 0:
            return Stability(index=self.value, low=self.value, high=self.value, bins=bins)
        square = float((self.weights**2).sum())
        scale, degrees = square / mean, mean**2 / square
        tail, value = (1 - level) / 2, self.value / scale
        low = scale * _noncentral(value, degrees, 1 - tail)
        # Where less was found than chance makes, the upper end stays that of an index of 0 (CLs; Read 2002).
        high = scale * _noncentral(value, degrees, tail * float(chdtr(degrees, value)))
        return Stability(index=max(self.value - mean, 0.0), low=low, high=high, bins=bins)


def _tested(old: Histogram, new: Histogram, found: Homogeneity, overlap: Overlap | None) -> Distance | None:
    """The index and its distribution, of bins that hold more than their noise; None where fewer than two are left.

    It is about the square of the shares' difference, weighted with the reciprocal shares: its weights are the
    eigenvalues of W S, with S the covariance of that difference. Weak bins are joined, since shares near 0 have no
    logarithm.
    """
    groups = _strong(old, new, found)
    if groups is None:
        return None
    count = int(groups.max()) + 1
    old, new = old.joined(groups, count), new.joined(groups, count)
    pooled = added(found.pooled, groups, count)
    shares = pooled / pooled.sum()
    floor = 0.1 * shares
    p, q = np.maximum(old.counts / old.total, floor), np.maximum(new.counts / new.total, floor)
    spread = _covariance(shares, old, pooled) + _covariance(shares, new, found.ratio * pooled)
    if overlap is not None:
        spread = spread - _shared(overlap.joined(groups, count), old, new)
    root = 1 / np.sqrt(shares)
    weights = np.linalg.eigvalsh(root[:, None] * (spread + spread.T) / 2 * root)
    value = float(((q - p) * np.log(q / p)).sum())
    return Distance(value=value, weights=np.where(weights > 1e-9 * max(weights[-1], _LEAST), weights, 0.0))


def _shared(overlap: Overlap, old: Histogram, new: Histogram) -> Floats:
    """What enterprises in both take off the variance of the shares' difference, (bins, bins); never more than it is."""
    both = overlap.counts
    n = float(both.sum())
    if n <= 0:
        return np.zeros_like(both)
    apart = both - np.outer(both.sum(1), both.sum(0)) / n
    return np.asarray((apart + apart.T) / (old.total * new.total), np.float64)


def _covariance(shares: Floats, of: Histogram, expected: Floats) -> Floats:
    """Of a histogram's shares, (bins, bins): its noise and its sampling, with the total divided out."""
    away = np.eye(len(shares)) - shares[:, None]
    return np.asarray((away * (of.noise + expected)) @ away.T / of.total**2, np.float64)


def _where(above: Callable[[float], float], least: float, step: float) -> float:
    """Where a function that rises from below 0 is 0, from ``least`` on; ``least`` where it is 0 or more there."""
    if above(least) >= 0:
        return least
    while above(least + step) < 0:
        step *= 2
    return float(brentq(above, least, least + step, xtol=2e-3 * (least + step)))


def _noncentral(value: float, degrees: float, below: float) -> float:
    """The non-centrality at which a value is the quantile ``below``; 0 where it is so small already."""

    def apart(centre: float) -> float:
        return float(chndtr(value, degrees, centre) if centre else chdtr(degrees, value)) - below

    if apart(0.0) <= 0:
        return 0.0
    upper = max(4 * value, 10.0)
    while apart(upper) > 0:
        upper *= 2
    return float(brentq(apart, 0.0, upper, xtol=1e-5 * upper))


def _strong(old: Histogram, new: Histogram, found: Homogeneity) -> NDArray[np.intp] | None:
    """Groups of bins of which each holds more than its noise; bins that do not are one group, or with the least one."""
    pooled, t = found.pooled, found.ratio
    error = np.sqrt(np.maximum(old.noise + pooled, (new.noise + t * pooled) / t**2))
    weak = (pooled < LEAST_BIN * error) | (pooled <= 0)
    strong = np.flatnonzero(~weak)
    if len(strong) < 2 or pooled[weak].sum() > MOST_WEAK * pooled.sum():
        return None
    groups = np.zeros(len(pooled), np.intp)
    groups[strong] = np.arange(len(strong))
    if not weak.any():
        return groups
    rest = float(pooled[weak].sum())
    own = rest > 0 and rest >= LEAST_BIN * math.sqrt(float((error[weak] ** 2).sum()))
    groups[weak] = len(strong) if own else groups[strong[pooled[strong].argmin()]]
    return groups


def _upper_tail(at: float, degrees: float, centre: float) -> float:
    """Chance that a non-central chi-squared is above ``at``.

    From MOST_EXACT on it is normal (Johnson, Kotz & Balakrishnan 1995, 29.8), there to within 2 in 1,000 of chances as
    small as 1 in a million; exact series lose their digits from about 1e11 on, and their chances are then too small.
    """
    if at <= 0:
        return 1.0
    if max(degrees + centre, at) > MOST_EXACT:
        return float(ndtr((degrees + centre - at) / math.sqrt(2 * (degrees + 2 * centre))))
    if not centre:
        return float(chdtrc(degrees, at))
    try:
        return float(ncx2.sf(at, degrees, centre))
    except OverflowError:
        # Of scipy's series, far below the mean alone.
        return 1.0
