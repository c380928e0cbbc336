"""Whether two noisy histograms are of one distribution, and how far apart they are: with the noise taken into account.

Released counts x of a histogram are numbers of enterprises, about Poisson with means l, plus normal noise of known
variance s^2. If nothing changed but the number of enterprises, the means of the new one are t times those of the old
one. So

    Q(t) = sum over bins of (x_new - t x_old)^2 / (s_new^2 + t l + t^2 (s_old^2 + l))

is chi-squared with one degree of freedom less than there are bins once t is chosen to make it least (a functional
relationship between two variables with errors of known variance; the least Q is the likelihood ratio). Without noise
it is Pearson's test of homogeneity. With much noise the least Q is smaller than that distribution, never larger,
however weak the signal: it is a root of the same eigenvalue problem as the subset Anderson-Rubin statistic, whose
size holds with these degrees of freedom for any strength (Guggenberger, Kleibergen, Mavroeidis & Chen 2012). Ratios
of noisy numbers, which are far from normal when totals are small, do not enter. The l are estimated from both
histograms together, in the direction that is uncorrelated with x_new - t x_old, and are never below 0.

Enterprises that are in both histograms make sampling errors of both alike: what is compared then differs by less than
is allowed for, and the test finds less than it could. It never finds more for that.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import chdtr, chndtr
from scipy.stats import chi2

Floats = NDArray[np.float64]

LEAST_TOTAL = 4.0
"""Standard deviations of its noise by which the total of a histogram has to be above 0, or nothing can be said."""

LEAST_BIN = 3.0
"""Standard errors that a bin has to hold for the stability index; weaker ones are joined."""

MOST_WEAK = 0.5
"""Part of all enterprises that may be in such bins; beyond it, those that seem strong are so by their noise."""

LEAST_VARIANCE = 5.0
"""Noise and expected enterprises of a bin together, below which it is joined with others: as Cochran (1954) joins cells
of few, since a variance that is itself a guess from a few enterprises makes the statistic larger."""

MOST_GROUPS = 12
"""Groups to which the many cells of an edge histogram are joined."""

_STEPS, _REACH = 81, 2.5
"""Factors t that are tried, on a logarithmic scale about the ratio of totals; twice, the second time near the best."""


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Noisy counts of bins, (bins,), and the variance of the noise in each."""

    counts: Floats
    noise: Floats

    @classmethod
    def of(cls, counts: Floats, noise: float | Floats) -> "Histogram":
        """With one variance for all bins, or one for each."""
        counts = np.asarray(counts, np.float64)
        return cls(counts=counts, noise=np.broadcast_to(np.asarray(noise, np.float64), counts.shape).copy())

    @property
    def total(self) -> float:
        """All enterprises."""
        return float(self.counts.sum())

    @property
    def says(self) -> bool:
        """Whether the total can be told from nothing."""
        return self.total > max(LEAST_TOTAL * math.sqrt(self.noise.sum()), 0.0)

    def joined(self, groups: NDArray[np.intp], count: int) -> "Histogram":
        """Bins added up by group."""
        return Histogram(counts=_added(self.counts, groups, count), noise=_added(self.noise, groups, count))


def _added(values: Floats, groups: NDArray[np.intp], count: int) -> Floats:
    return np.asarray(np.bincount(groups, weights=values, minlength=count), np.float64)


@dataclass(frozen=True, kw_only=True)
class Homogeneity:
    """statistic: the least Q. degrees: of freedom. p: chance of as much or more if nothing changed. ratio: the t.

    pooled: enterprises of each bin in the old histogram, from both, (bins,).
    """

    statistic: float
    degrees: int
    p: float
    ratio: float
    pooled: Floats


@dataclass(frozen=True, kw_only=True)
class Stability:
    """The population stability index less what noise and sampling add to it, with its interval. bins: that it is of."""

    index: float
    low: float
    high: float
    bins: int


def homogeneity(old: Histogram, new: Histogram) -> Homogeneity | None:
    """Whether both are of one distribution; None where a total is too small beside its noise to say anything."""
    if len(old.counts) < 2 or not (old.says and new.says):
        return None
    middle, reach = math.log(new.total / old.total), _REACH
    for _ in range(2):
        t = np.exp(middle + np.linspace(-reach, reach, _STEPS))[:, None]
        pooled = _pooled(old, new, t)
        least = _distance(old, new, t, pooled)
        best = int(least.argmin())
        middle, reach = float(np.log(t[best, 0])), 2 * reach / (_STEPS - 1)
    degrees = len(old.counts) - 1
    return Homogeneity(
        statistic=float(least[best]),
        degrees=degrees,
        p=float(chi2.sf(least[best], degrees)),
        ratio=float(t[best, 0]),
        pooled=pooled[best],
    )


def _distance(old: Histogram, new: Histogram, t: Floats, pooled: Floats) -> Floats:
    """Q for each t, (t,). A bin without noise in which nobody is adds nothing."""
    variance = new.noise + t * pooled + t**2 * (old.noise + pooled)
    apart = (new.counts - t * old.counts) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = np.where(variance > 0, apart / variance, 0.0)
    return np.asarray(parts.sum(1), np.float64)


def _pooled(old: Histogram, new: Histogram, t: Floats) -> Floats:
    """Means of the old counts if the new ones are t times as large, (t, bins), by the weights of least variance."""
    pooled = np.maximum((old.counts + new.counts) / (1 + t), 0.0)
    for _ in range(3):
        a, b = old.noise + pooled, new.noise + t * pooled
        with np.errstate(divide="ignore", invalid="ignore"):
            weighted = (old.counts * b + t * new.counts * a) / (b + t**2 * a)
        pooled = np.where(b + t**2 * a > 0, np.maximum(weighted, 0.0), 0.0)
    return pooled


def prepared(old: Histogram, new: Histogram, most: int | None = None) -> tuple[Histogram, Histogram]:
    """Both histograms with bins joined, so that the distribution of the statistic holds. most: bins, of ordered ones.

    What is joined follows from both histograms together, in the direction that says nothing of their difference.
    """
    if not (old.says and new.says):
        return old, new
    if most is not None:
        old, new = _coarse(old, new, most)
    t = new.total / old.total
    pooled = _pooled(old, new, np.array([[t]]))[0]
    few = np.minimum(old.noise + pooled, new.noise + t * pooled) < LEAST_VARIANCE
    if not few.any() or few.all():
        return old, new
    groups = np.zeros(len(pooled), np.intp)
    groups[~few] = np.arange(int((~few).sum()))
    sizes = old.noise + pooled
    together = float(sizes[few].sum()) >= LEAST_VARIANCE
    many = np.flatnonzero(~few)
    groups[few] = len(many) if together else groups[many[sizes[many].argmin()]]
    count = int(groups.max()) + 1
    return old.joined(groups, count), new.joined(groups, count)


def _coarse(old: Histogram, new: Histogram, most: int) -> tuple[Histogram, Histogram]:
    """Both histograms with neighbouring bins joined to groups of about equal weight, where there are more than most."""
    if len(old.counts) <= most:
        return old, new
    t = np.array([[new.total / old.total]])
    below = np.cumsum(_pooled(old, new, t)[0])
    groups = np.minimum((below / below[-1] * most * (1 - 1e-12)).astype(np.intp), most - 1)
    _, groups = np.unique(groups, return_inverse=True)
    count = int(groups.max()) + 1
    return old.joined(groups, count), new.joined(groups, count)


def stability(old: Histogram, new: Histogram, found: Homogeneity, level: float = 0.95) -> Stability | None:
    """The population stability index, sum of (q - p) log(q / p) over bins, corrected and with its interval.

    Noise and sampling alone make it larger than 0 by the trace of W S, with S the covariance of the shares' difference
    and W the reciprocal shares; that is taken off. The interval inverts a non-central chi-squared of the same mean and
    variance (Satterthwaite 1946). Bins that hold little more than their noise are joined, since shares near 0 have no
    logarithm; None where fewer than two are left.
    """
    groups = _strong(old, new, found)
    if groups is None:
        return None
    count = int(groups.max()) + 1
    old, new = old.joined(groups, count), new.joined(groups, count)
    pooled = _added(found.pooled, groups, count)
    shares = pooled / pooled.sum()
    floor = 0.1 * shares
    p, q = np.maximum(old.counts / old.total, floor), np.maximum(new.counts / new.total, floor)
    naive = float(((q - p) * np.log(q / p)).sum())
    spread = _covariance(shares, old, pooled) + _covariance(shares, new, found.ratio * pooled)
    weighted = spread / shares[:, None]
    mean, square = float(np.trace(weighted)), float((weighted @ weighted).trace())
    if mean <= 0:
        return Stability(index=naive, low=naive, high=naive, bins=count)
    scale, degrees = square / mean, mean**2 / square
    tail, value = (1 - level) / 2, naive / scale
    low = scale * _noncentral(value, degrees, 1 - tail)
    # Where less was found than chance makes, the upper end stays that of an index of 0 (CLs; Read 2002), and is not 0.
    high = scale * _noncentral(value, degrees, tail * float(chdtr(degrees, value)))
    return Stability(index=max(naive - mean, 0.0), low=low, high=high, bins=count)


def _covariance(shares: Floats, of: Histogram, expected: Floats) -> Floats:
    """Of a histogram's shares, (bins, bins): its noise and its sampling, with the total divided out."""
    away = np.eye(len(shares)) - shares[:, None]
    return np.asarray((away * (of.noise + expected)) @ away.T / of.total**2, np.float64)


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
