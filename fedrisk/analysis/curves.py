"""Curves of a risk score with their intervals: ROC, KS, gains, lift, calibration, score distribution and cut-offs.

All are of counts by score (score_counts.py), exact or with noise of known variance. Intervals are of 95 % and contain
the sampling of enterprises and the noise. Noisy counts are never clipped before they are added up: sums and shares of
them are unbiased, those of clipped ones are not.

A share r of noisy counts, a of a + b, is inside its interval where a - r (a + b) is less than 1.96 of its standard
deviations at r from zero. Without noise this is the score interval (Wilson 1927), without sampling Fieller's (1954).

Sources: variance of the area under the ROC curve (DeLong, DeLong & Clarke-Pearson 1988), to which that of the noise is
added; gains, lift, cut-offs and KS as in credit practice (Siddiqi 2017).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedrisk import metrics
from fedrisk.analysis.intervals import reach
from fedrisk.analysis.score_counts import Axis, ScoreCounts
from fedrisk.metrics import Measured

Floats = NDArray[np.float64]

LEVEL = 0.95
"""Of all intervals: each alone contains the truth so often."""

MOST_POINTS = 100
"""Points of a curve from rows; figures such as the AUC are of all rows."""


NOISY_BINS = 12
"""Most bins of a distribution of scores with noise."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """One number with the interval of LEVEL and its standard error, both with sampling and noise."""

    value: float
    low: float
    high: float
    error: float


@dataclass(frozen=True, kw_only=True)
class Band:
    """Numbers with an interval of LEVEL for each, (k,) each."""

    value: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, kw_only=True)
class Roc:
    """ROC curve. Points from (0, 0) to (1, 1), (k + 1,) each.

    false_positive: share of others refused. true_positive: share of defaults refused at that share of others. auc: area
    under it. exact: whether it stands on rows, without noise.
    """

    false_positive: Floats
    true_positive: Band
    auc: Estimate
    exact: bool


@dataclass(frozen=True, kw_only=True)
class Ks:
    """Two cumulative distributions of risk, (k + 1,) each, from the safest on, and where they are furthest apart.

    position: share of all enterprises so far, (k + 1,). bad, good: cumulated shares of defaults and of others. value:
    their largest distance. at: its index in the arrays. cut: end of the bin there, in units of ``axis``.
    """

    position: Floats
    bad: Floats
    good: Floats
    value: Estimate
    at: int
    cut: float
    axis: Axis


@dataclass(frozen=True, kw_only=True)
class Gains:
    """Gains and lift, by share of enterprises with the highest risk, (k + 1,) each; the first is the share 0.

    captured: share of all defaults among them. lift: captured over share; its first value repeats the second.
    base: default rate.
    """

    share: Floats
    captured: Band
    lift: Band
    base: float


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Groups in order of rising risk, (g,) each: mean predicted and observed default rate, and (noisy) size."""

    predicted: Floats
    observed: Band
    count: Floats


@dataclass(frozen=True, kw_only=True)
class ScoreDistribution:
    """Share of defaults and of others in each score bin, (k,) each, bins from left to right on ``axis``.

    low, high: ends of bins, -inf and inf where open.
    """

    low: Floats
    high: Floats
    bad: Band
    good: Band
    axis: Axis


@dataclass(frozen=True, kw_only=True)
class Cutoff:
    """What a cut would do. cut: scores from it on are approved (risks up to it, where ``axis`` is none of a score).

    approved: share of all enterprises. bad_approved, bad_refused: default rate among either. kept_out: share of all
    defaults that would be refused.
    """

    cut: float
    approved: Estimate
    bad_approved: Estimate
    bad_refused: Estimate
    kept_out: Estimate


def roc(counts: ScoreCounts) -> Roc | None:
    """ROC curve with pointwise band, and its area; None where there are not clearly defaults and others."""
    if not counts.usable:
        return None
    whole, some = counts, counts.grouped(MOST_POINTS)
    tpr, fpr = _shares_above(some.positives, counts.variance), _shares_above(some.negatives, counts.variance)
    rising, across = _rising(tpr.value), _rising(fpr.value)
    # At a given share of others, the threshold's own error moves along the curve.
    slope = np.gradient(rising, np.maximum(across, 0) + np.arange(len(across)) * 1e-9)
    slope = np.clip(np.nan_to_num(slope), 0, 50)
    return Roc(
        false_positive=across,
        true_positive=Band(
            value=rising,
            low=np.clip(rising - np.hypot(tpr.value - tpr.low, slope * (fpr.value - fpr.low)), 0, 1),
            high=np.clip(rising + np.hypot(tpr.high - tpr.value, slope * (fpr.high - fpr.value)), 0, 1),
        ),
        auc=area(whole),
        exact=counts.exact,
    )


def area(counts: ScoreCounts) -> Estimate:
    """AUC of counts that are usable, ties one half, with the variance of DeLong et al. (1988) and that of noise."""
    return estimate_of(metrics.area(counts.positives, counts.negatives, counts.variance))


def ks(counts: ScoreCounts) -> Ks | None:
    """Largest distance of the cumulative distributions; None where there are not clearly defaults and others.

    Its interval takes off by how much the largest of many distances is too large (metrics.distance).
    """
    if not counts.usable:
        return None
    n1, n0, v = counts.positives, counts.negatives, counts.variance
    bad, good = (np.r_[0.0, np.cumsum(n)] / n.sum() for n in (n1, n0))
    position = np.r_[0.0, np.cumsum(n1 + n0)] / (n1 + n0).sum()
    found, at = metrics.distance(n1, n0, v, counts.probability)
    # Of very many distinct scores, as many as a picture shows.
    shown = np.unique(np.r_[np.linspace(0, len(n1), MOST_POINTS + 1).round().astype(int), at])
    shown = shown if len(n1) > MOST_POINTS else np.arange(len(n1) + 1)
    ends = counts.low if counts.axis == "score" else counts.high
    return Ks(
        position=_rising(position[shown]),
        bad=_rising(bad[shown]),
        good=_rising(good[shown]),
        value=estimate_of(found),
        at=int(np.searchsorted(shown, at)),
        cut=float(ends[max(at - 1, 0)]),
        axis=counts.axis,
    )


def gains(counts: ScoreCounts) -> Gains | None:
    """Gains and lift with pointwise bands; None where there are not clearly defaults and others."""
    if not counts.usable:
        return None
    some = counts.grouped(MOST_POINTS)
    n = some.positives + some.negatives
    found = _shares_above(some.positives, counts.variance)
    share = _rising(np.r_[0.0, np.cumsum(n[::-1])] / n.sum())
    captured = Band(value=_rising(found.value), low=found.low, high=found.high)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = [
            np.where(share > 0, v / share, np.nan) for v in (captured.value, captured.low, captured.high)
        ]
    for v in values:
        v[0] = v[1]
    return Gains(
        share=share,
        captured=captured,
        lift=Band(value=values[0], low=values[1], high=values[2]),
        base=float(counts.positives.sum() / n.sum()),
    )


def calibration(counts: ScoreCounts, groups: int = 12) -> Calibration | None:
    """Observed against predicted default rates, in about equally large groups; None without probabilities."""
    if counts.probability is None or not counts.usable:
        return None
    n1, n0, v = counts.positives, counts.negatives, counts.variance
    n = np.maximum(n1 + n0, 0)
    place = np.minimum(((np.cumsum(n) - n / 2) / n.sum() * groups).astype(int), groups - 1)
    a, b, size, expected, bins = (
        np.bincount(place, w, groups).astype(float)
        for w in (n1, n0, n, n * counts.probability, np.ones(len(n)))
    )
    there = (size > 0) & (a + b > 0)
    a, b, size, expected, bins = (w[there] for w in (a, b, size, expected, bins))
    return Calibration(predicted=expected / size, observed=share_band(a, b, v, bins, bins), count=a + b)


def score_distribution(counts: ScoreCounts, most: int = 30) -> ScoreDistribution | None:
    """Share of defaults and of others by score bin; None where there are not clearly defaults and others.

    Exact counts by value are in equally wide bins with round ends, at most so many.
    """
    if not counts.usable:
        return None
    some = counts
    if counts.exact:
        some = _evenly(counts, most) if np.array_equal(counts.low, counts.high) else counts.grouped(most)
    n1, n0, first = some.positives, some.negatives, np.arange(len(some.positives))
    if not counts.exact:
        # Neighbours together, so that noise leaves a shape to be seen.
        first = np.arange(0, len(n1), -(-len(n1) // NOISY_BINS))
    cells = np.diff(np.r_[first, len(n1)]).astype(float)
    turned = slice(None, None, -1 if some.axis == "score" else 1)
    bands = []
    for n in (n1, n0):
        part = np.add.reduceat(n, first)
        found = share_band(part, n.sum() - part, counts.variance, cells, len(n) - cells)
        bands.append(Band(value=found.value[turned], low=found.low[turned], high=found.high[turned]))
    return ScoreDistribution(
        low=np.minimum.reduceat(some.low, first)[turned],
        high=np.maximum.reduceat(some.high, first)[turned],
        bad=bands[0],
        good=bands[1],
        axis=some.axis,
    )


def _evenly(counts: ScoreCounts, most: int) -> ScoreCounts:
    """Exact counts in equally wide bins with round ends, empty ones too; as they are where all are one value."""
    least, span = float(counts.low.min()), float(np.ptp(counts.low))
    if not span > 0:
        return counts
    # One bin may be needed beyond those that the span fills.
    step = round_step(span / max(most - 1, 1))
    first = math.floor(least / step)
    place = np.floor(counts.low / step + 1e-9).astype(int) - first
    k = int(place.max()) + 1
    turned = slice(None, None, -1 if counts.axis == "score" else 1)
    n1, n0, low = (
        np.asarray(v, np.float64)
        for v in (
            np.bincount(place, counts.positives, k),
            np.bincount(place, counts.negatives, k),
            step * (first + np.arange(k)),
        )
    )
    return ScoreCounts(
        positives=n1[turned],
        negatives=n0[turned],
        variance=0.0,
        low=low[turned],
        high=np.asarray(low + step, np.float64)[turned],
        axis=counts.axis,
    )


def round_step(least: float) -> float:
    """The least of 1, 2, 5, 10, 20, 50 and so on, and .5, .2, .1 and so on, that is not below a number above 0.

    >>> round_step(11.3), round_step(0.034)
    (20.0, 0.05)
    """
    unit = 10.0 ** math.floor(math.log10(least))
    return next(float(f"{m * unit:.12g}") for m in (1, 2, 5, 10) if m * unit >= least * (1 - 1e-9))


def cutoffs(counts: ScoreCounts, rows: int = 12) -> tuple[Cutoff, ...]:
    """At most so many cuts, from few refused to many; none where there are not clearly defaults and others."""
    if not counts.usable:
        return ()
    some = counts.grouped(MOST_POINTS)
    n1, n0, v, k = some.positives, some.negatives, counts.variance, len(some.positives)
    share = np.cumsum(n1 + n0) / (n1 + n0).sum()
    ends = some.low if some.axis == "score" else some.high
    wanted = np.linspace(0.98, 0.2, rows)
    places = sorted({int(np.argmin(np.abs(share[:-1] - w))) for w in wanted}, reverse=True)
    out = []
    for j in places:
        a1, a0 = n1[: j + 1].sum(), n0[: j + 1].sum()
        r1, r0 = n1[j + 1 :].sum(), n0[j + 1 :].sum()
        m, left = j + 1, k - j - 1
        out.append(
            Cutoff(
                cut=float(ends[j]),
                approved=share_of(a1 + a0, r1 + r0, v, 2 * m, 2 * left),
                bad_approved=share_of(a1, a0, v, m, m),
                bad_refused=share_of(r1, r0, v, left, left),
                kept_out=share_of(r1, a1, v, left, m),
            )
        )
    return tuple(out)


def share_of(part: float, rest: float, variance: float, cells: float, others: float) -> Estimate:
    """The share part / (part + rest) of sums of ``cells`` and of ``others`` counts, whose noise has that variance."""
    a, b, m1, m0 = (np.array([x], float) for x in (part, rest, cells, others))
    found = share_band(a, b, variance, m1, m0)
    n = max(part + rest, 1e-300)
    r = min(max(part / n, 0.0), 1.0)
    error = math.sqrt(variance * (cells * (1 - r) ** 2 + others * r**2) + max(n, 0.0) * r * (1 - r)) / n
    return Estimate(
        value=float(found.value[0]), low=float(found.low[0]), high=float(found.high[0]), error=error
    )


def share_band(part: Floats, rest: Floats, variance: float, cells: Floats, others: Floats) -> Band:
    """The same for arrays, (k,) each; [0, 1] where the noise leaves nothing to say."""
    n, q = part + rest, reach(LEVEL)
    drawn = np.maximum(n, 0.0)
    a = n**2 + q**2 * (drawn - variance * (cells + others))
    b = part * n + q**2 * (drawn / 2 - variance * cells)
    c = part**2 - q**2 * variance * cells
    known = (a > 0) & (n > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        root = np.sqrt(np.maximum(b**2 - a * c, 0.0))
        value = np.where(n > 0, np.clip(part / n, 0, 1), np.nan)
        low, high = np.clip((b - root) / a, 0, 1), np.clip((b + root) / a, 0, 1)
    return Band(value=value, low=np.where(known, low, 0.0), high=np.where(known, high, 1.0))


def _shares_above(n: Floats, variance: float) -> Band:
    """Shares in the 0, 1, ..., k riskiest bins, (k + 1,), unclipped, with intervals."""
    k = len(n)
    above = np.r_[0.0, np.cumsum(n[::-1])]
    many = np.arange(k + 1.0)
    band = share_band(above, n.sum() - above, variance, many, k - many)
    value = above / n.sum()
    low, high = np.minimum(band.low, value), np.maximum(band.high, value)
    low[[0, -1]], high[[0, -1]] = value[[0, -1]], value[[0, -1]]
    return Band(value=value, low=low, high=high)


def _rising(values: Floats) -> Floats:
    """The nearest curve from 0 to 1 that never falls (pooling adjacent violators, Barlow et al. 1972)."""
    from scipy.optimize import isotonic_regression

    out: Floats = np.clip(isotonic_regression(np.clip(values, 0, 1)).x, 0, 1)
    out[0], out[-1] = 0.0, 1.0
    return out


def estimate_of(found: Measured) -> Estimate:
    """A figure between 0 and 1 with its interval, which stands about the value less what it is too large by."""
    low, high = found.interval(LEVEL)
    return Estimate(value=found.value, low=low, high=high, error=found.error)
