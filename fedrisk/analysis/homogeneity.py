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
from scipy.stats import chi2

Floats = NDArray[np.float64]

LEAST_TOTAL = 4.0
"""Standard deviations of its noise by which the total of a histogram has to be above 0, or nothing can be said."""

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
        return Histogram(counts=added(self.counts, groups, count), noise=added(self.noise, groups, count))


def added(values: Floats, groups: NDArray[np.intp], count: int) -> Floats:
    """Values of bins added up by group, (count,)."""
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


def homogeneity(old: Histogram, new: Histogram) -> Homogeneity | None:
    """Whether both are of one distribution; None where a total is too small beside its noise to say anything."""
    if len(old.counts) < 2 or not (old.says and new.says):
        return None
    if not (old.noise.any() or new.noise.any()):
        return _exact(old.counts, new.counts)
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


def _exact(old: Floats, new: Floats) -> Homogeneity:
    """Without noise, where the best t is known: Q is the sum of (new - t old)^2 / (t (old + new)) over the bins."""
    both = old + new
    there = both > 0
    a, b, c = (float((v[there] / both[there]).sum()) for v in (old**2, new * old, new**2))
    t = math.sqrt(c / a)
    least = max(c / t - 2 * b + t * a, 0.0)
    degrees = len(old) - 1
    p = float(chi2.sf(least, degrees))
    return Homogeneity(statistic=least, degrees=degrees, p=p, ratio=t, pooled=both / (1 + t))


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
    groups, count = prepared_groups(old, new, most)
    return old.joined(groups, count), new.joined(groups, count)


def prepared_groups(old: Histogram, new: Histogram, most: int | None = None) -> tuple[NDArray[np.intp], int]:
    """The group of each bin, (bins,), by which `prepared` joins them, and how many groups there are."""
    groups = np.arange(len(old.counts))
    if not (old.says and new.says):
        return groups, len(groups)
    if most is not None and len(groups) > most:
        groups = _coarse(old, new, most)
    count = int(groups.max()) + 1
    last = _of_many(old.joined(groups, count), new.joined(groups, count))
    groups = last[groups]
    return groups, int(groups.max()) + 1


def _of_many(old: Histogram, new: Histogram) -> NDArray[np.intp]:
    """The group of each bin, so that each holds LEAST_VARIANCE; bins as they are where all do, or none does."""
    t = new.total / old.total
    pooled = _pooled(old, new, np.array([[t]]))[0]
    few = np.minimum(old.noise + pooled, new.noise + t * pooled) < LEAST_VARIANCE
    if not few.any() or few.all():
        return np.arange(len(pooled))
    groups = np.zeros(len(pooled), np.intp)
    groups[~few] = np.arange(int((~few).sum()))
    sizes = old.noise + pooled
    together = float(sizes[few].sum()) >= LEAST_VARIANCE
    many = np.flatnonzero(~few)
    groups[few] = len(many) if together else groups[many[sizes[many].argmin()]]
    return groups


def _coarse(old: Histogram, new: Histogram, most: int) -> NDArray[np.intp]:
    """Groups of neighbouring bins of about equal weight, at most so many."""
    t = np.array([[new.total / old.total]])
    below = np.cumsum(_pooled(old, new, t)[0])
    groups = np.minimum((below / below[-1] * most * (1 - 1e-12)).astype(np.intp), most - 1)
    return np.asarray(np.unique(groups, return_inverse=True)[1], np.intp)
