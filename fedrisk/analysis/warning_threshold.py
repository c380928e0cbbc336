"""The threshold of a warning model at a stated rate of false alarms, from the private evaluation histogram.

The histogram counts enterprises of the hold-out with and without the outcome by score, with noise of known variance.
The threshold is the highest end of a bin at which the estimated rate of false alarms and one standard error of its
noise are at most the stated rate: noise alone puts the rate of the hold-out above it about one time in six. Rates are
made to rise with the threshold first (pooling adjacent violators, Barlow et al. 1972), since noisy counts may be below
zero. How far the true rate of all such enterprises may lie from it the interval of 95 % says, in which the draw of the
hold-out is as well (Wilson 1927 with the noise, analysis/curves).
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fedrisk.analysis.curves import Estimate, share_of
from fedrisk.analysis.score_counts import ScoreCounts
from fedrisk.models.warning_point import Interval, WarningPoint

Floats = NDArray[np.float64]

NOISE = 1.0
"""Standard errors of noise that the rate at a threshold keeps from the stated one."""


OTHER_RATES = (0.25, 0.5, 1.0, 1.5, 2.0)
"""Rates of false alarms that are shown beside the stated one, as parts of it: bins are narrow up to twice of it."""


def threshold_of(counts: ScoreCounts, stated: float) -> WarningPoint | None:
    """The threshold of counts by score, exact or as a study released them; None as of :func:`warning_point`."""
    return warning_point(counts.positives, counts.negatives, counts.variance, _highest(counts), stated)


def other_thresholds(counts: ScoreCounts, stated: float) -> list[WarningPoint]:
    """Thresholds that other rates of false alarms would have had, the stated one's among them, lowest score first.

    They follow from the same counts. A rate without a threshold is left out, and so is one whose threshold a lower rate
    has as well.
    """
    found: dict[int, WarningPoint] = {}
    for part in OTHER_RATES:
        point = threshold_of(counts, min(part * stated, 0.999))
        if point is not None and (point.score not in found or part == 1.0):
            found[point.score] = point
    return [found[score] for score in sorted(found)]


def right_of(counts: ScoreCounts, point: WarningPoint) -> Interval:
    """Share of those with the outcome among all that are warned of; 0 to 1 where noise leaves nothing to say.

    It depends on how many have the outcome: of such enterprises as the hold-out has.
    """
    warned = _highest(counts) <= point.score
    bad, good = (float(np.asarray(v, np.float64)[warned].sum()) for v in (counts.positives, counts.negatives))
    bins = int(warned.sum())
    return _interval(share_of(bad, good, counts.variance, bins, bins))


def warned_of(counts: ScoreCounts, point: WarningPoint) -> Interval:
    """Share of all enterprises that are warned of."""
    warned = _highest(counts) <= point.score
    every = np.asarray(counts.positives, np.float64) + np.asarray(counts.negatives, np.float64)
    part, bins = float(every[warned].sum()), int(warned.sum())
    rest = float(every.sum()) - part
    return _interval(share_of(part, rest, 2 * counts.variance, bins, len(every) - bins))


def _highest(counts: ScoreCounts) -> Floats:
    """Whole score that each bin reaches up to, (k,); infinite in an open one."""
    # Exact counts are of one score each; else a score at an edge belongs to the safer bin.
    inside = np.array_equal(counts.low, counts.high)
    return np.asarray(counts.high if inside else np.ceil(counts.high) - 1, np.float64)


def warning_point(
    positives: ArrayLike, negatives: ArrayLike, variance: float, highest: ArrayLike, stated: float
) -> WarningPoint | None:
    """The threshold; None where noise leaves no threshold that keeps the rate, or nobody of a class.

    Args:
        positives: counts of the outcome by score bin, in order of rising risk, (k,), possibly noisy.
        negatives: of the others, likewise.
        variance: of the noise of each count.
        highest: whole score in each bin, likewise, (k,); infinite in an open one.
        stated: rate of false alarms, between 0 and 1.

    >>> point = warning_point([10, 10, 80], [900, 50, 50], 0.0, [np.inf, 549, 499], 0.052)
    >>> point.score, round(point.false_alarms.value, 3), round(point.recall.value, 3)
    (499, 0.05, 0.8)
    """
    bad, good = (np.asarray(v, np.float64)[::-1] for v in (positives, negatives))
    ends = np.asarray(highest, np.float64)[::-1]
    # Whether enough have the outcome decides nothing here: a threshold that is told only where noise has made many of
    # them would go with a recall that is too low. Its interval is all of 0 to 1 where noise drowns them.
    if not (good.sum() > 2 * math.sqrt(variance * len(good)) and bad.sum() > 0):
        return None
    # The rate that is told is the one as counted, which noise may leave above the one that was made to rise.
    counted = np.cumsum(good)[:-1] / good.sum()
    risen = np.maximum(_rising(good) + NOISE * _noise(good, variance), counted)
    kept = np.flatnonzero(risen <= stated + 1e-12)
    if not len(kept):
        return None
    at = int(kept[-1]) + 1
    return WarningPoint(
        stated=stated,
        score=int(ends[at - 1]),
        false_alarms=_interval(_share(good, at, variance)),
        recall=_interval(_share(bad, at, variance)),
        warned=_share(bad + good, at, 2 * variance).value,
    )


def _rising(good: Floats) -> Floats:
    """Share of the class in the 1, 2, ..., k - 1 riskiest bins, made to rise, (k - 1,)."""
    from scipy.optimize import isotonic_regression

    found: Floats = isotonic_regression(np.cumsum(good)[:-1] / good.sum()).x
    return found


def _noise(good: Floats, variance: float) -> Floats:
    """Standard errors of these shares by noise, (k - 1,)."""
    k, total = len(good), float(good.sum())
    share, many = np.clip(np.cumsum(good)[:-1] / total, 0, 1), np.arange(1, k)
    return np.sqrt(variance * (many * (1 - share) ** 2 + (k - many) * share**2)) / total


def _share(counts: Floats, at: int, variance: float) -> Estimate:
    """Share of the class in so many riskiest bins."""
    part = float(counts[:at].sum())
    return share_of(part, float(counts.sum()) - part, variance, at, len(counts) - at)


def _interval(found: Estimate) -> Interval:
    # Of counts that noise has made none there is no share.
    value = found.value if math.isfinite(found.value) else 0.0
    return Interval(value=value, low=min(found.low, value), high=max(found.high, value))
