"""What each feature of a scorecard tells: information value, and points by bin, with intervals.

The information value of a feature (Siddiqi 2017; Jeffreys' divergence of its two distributions) is the sum over bins of
d ln(p1 / p0), d = p1 - p0, p1 and p0 the shares of defaults and of others in the bin. It equals the sum of d^2 / L, L
the logarithmic mean of p1 and p0. Noise and sampling make the expectation of d^2 too large by d's variance, which is
known and subtracted. L comes from the card's own smooth curves, which noise hardly moves.

A bin that few enterprises fall into would bring more noise than it tells. So bins are merged, neighbours with
neighbours and the rare ones of categories, as far as both errors together are least: the noise that is left, and what
merging hides of a middling column. What it hides by the curves is added to the value again, and to its error.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fedrisk.analysis.card_sums import CardSums, curves_of
from fedrisk.analysis.curves import LEVEL, Band, Estimate
from fedrisk.analysis.intervals import reach
from fedrisk.models.binning import Bins
from fedrisk.models.curves import Curves
from fedrisk.models.label_counts import LabelCounts
from fedrisk.models.scorecard import Scorecard
from fedrisk.releases.record import ReleaseRecord

Floats = NDArray[np.float64]

LEAST_SHARE = 1e-6
"""Least share of enterprises that a bin is taken to have."""

MERGED = tuple(float(v) for v in np.geomspace(0.5, 0.002, 16))
"""Least shares of enterprises in a group, of which the best is taken."""

TYPICAL = 0.1
"""Information value of a middling column. Of one that rises evenly, g groups hide 1 / g^2."""


@dataclass(frozen=True, kw_only=True)
class InformationValue:
    """Of one feature. institution: its role; column: its name. value: not below 0 in its interval."""

    institution: str
    column: str
    value: Estimate


@dataclass(frozen=True, kw_only=True)
class FeaturePoints:
    """Points of one feature by bin, (bins,) each, with the interval of LEVEL; equal to the points where none is known.

    labels: readable text of each bin (English, as in the card). average: mean points over enterprises.
    """

    institution: str
    column: str
    labels: tuple[str, ...]
    points: Band
    average: float


def information_values(record: ReleaseRecord) -> tuple[InformationValue, ...]:
    """Of every column of a scorecard study, by its label counts, the highest first; none for another recipe."""
    if not has_counts(record):
        return ()
    return column_values(CardSums.released(record))


def has_counts(record: ReleaseRecord) -> bool:
    """Whether a record has label counts by bin, as scorecard studies release them."""
    released = record.find("counts")
    return released is not None and "bins" in released.about


def column_values(sums: CardSums) -> tuple[InformationValue, ...]:
    """The same from the label counts themselves."""
    columns = [b for b in sums.bins if b.feature.is_column]
    curves = curves_of(sums.counts, sums.bins)
    place = [j for j, b in enumerate(sums.bins) if b.feature.is_column]
    found = [
        InformationValue(
            institution=b.feature.institution,
            column=b.feature.column,
            value=_value(sums.counts, curves, k, b, j),
        )
        for k, (b, j) in enumerate(zip(columns, place, strict=True))
    ]
    return tuple(sorted(found, key=lambda v: -v.value.value))


def _value(counts: LabelCounts, curves: Curves, k: int, b: Bins, j: int) -> Estimate:
    """Information value of column k with bins b, which is feature j of the curves."""
    noise = float(counts.variance[k])
    log_odds = math.log(curves.rate / (1 - curves.rate)) + curves.curve[j]
    weight = np.maximum(curves.weight[j], LEAST_SHARE)
    p1, p0 = (v / v.sum() for v in (weight / (1 + np.exp(-log_odds)), weight / (1 + np.exp(log_odds))))
    d = counts.n1[k] / counts.positives - counts.n0[k] / counts.negatives
    covariance = _covariance(p1, counts.positives, noise) + _covariance(p0, counts.negatives, noise)
    if noise > 0:
        d, covariance = _summing_to_zero(d, covariance)
    into = _merging(p1, p0, b.ordered, covariance)
    q1, q0 = into @ p1, into @ p0
    lost = divergence(p1, p0) - divergence(q1, q0)
    hidden = max(divergence(p1, p0), TYPICAL) / len(into) ** 2 if len(into) < len(p1) else 0.0
    found = quadratic(
        into @ d, into @ covariance @ into.T, 1 / logarithmic_mean(q1, q0), math.hypot(lost, hidden / 2)
    )
    low = found.low + lost if found.low > 0 else 0.0
    return replace(found, value=found.value + lost, low=low, high=found.high + lost)


def _summing_to_zero(d: Floats, covariance: Floats) -> tuple[Floats, Floats]:
    """Differences that have noise, given that their true sum is zero: the totals are known from all columns."""
    along, total = covariance.sum(1), covariance.sum()
    return d - along * d.sum() / total, covariance - np.outer(along, along) / total


def _merging(p1: Floats, p0: Floats, ordered: int, covariance: Floats) -> Floats:
    """The bins that are taken as one, as of `merged`: at least two groups, where there are two bins.

    By noise and smooth curves alone: a choice by the counts would favour high values or low ones.
    """
    best: tuple[float, Floats] | None = None
    typical = max(divergence(p1, p0), TYPICAL)
    for least in MERGED:
        into = merged((p1 + p0) / 2, ordered, least)
        weight = 1 / logarithmic_mean(into @ p1, into @ p0)
        spread = weight[:, None] * (into @ covariance @ into.T)
        noise = 2 * float((spread * spread.T).sum()) + 4 * typical * float(np.diag(spread).mean())
        error = math.sqrt(max(noise, 0.0) + (typical / len(into) ** 2) ** 2) + (len(into) == 1)
        if best is None or error < best[0]:
            best = error, into
    assert best is not None
    return best[1]


def merged(share: Floats, ordered: int, least: float) -> Floats:
    """Which bins are taken as one, (groups, bins) of zeros and ones, so that all groups but one have this share.

    ordered: how many bins come in an order, first; only neighbours of them are merged, and others with one another.
    What is too small for a group joins the last one.

    >>> merged(np.array([0.3, 0.1, 0.3, 0.3]), 4, 0.35)
    array([[1., 1., 0., 0.],
           [0., 0., 1., 1.]])
    """
    group, groups, size = np.zeros(len(share), int), 0, 0.0
    for place, i in enumerate(
        [*range(ordered), *sorted(range(ordered, len(share)), key=lambda i: -share[i])]
    ):
        if place == ordered and size and groups:
            # What is left of the ordered bins joins the last group of them.
            group[group == groups] = groups - 1
            size = 0.0
        group[i], size = groups, size + share[i]
        if size >= least:
            groups, size = groups + 1, 0.0
    if size and groups:
        group[group == groups] = groups - 1
    out: Floats = (group[None] == np.unique(group)[:, None]).astype(float)
    return out


def divergence(p: Floats, q: Floats) -> float:
    """Jeffreys' divergence of two distributions above zero: the information value.

    >>> round(divergence(np.array([0.25, 0.75]), np.array([0.5, 0.5])), 6)
    0.274653
    """
    return float(((p - q) * np.log(p / q)).sum())


def quadratic(d: Floats, covariance: Floats, weight: Floats, hidden: float = 0.0) -> Estimate:
    """Sum of weight times the square of the mean of d, with its interval; d's variance is subtracted.

    The variance of the sum grows with the sum itself, from what d's alone gives it. So the upper end is the greatest
    sum that is not contradicted, by its own variance: a sum that came out small by chance has no small interval. The
    lower end goes by the variance at the value. hidden: a further error.
    """
    value = float(weight @ (d**2 - np.diag(covariance)))
    spread = weight[:, None] * covariance * weight
    alone = 2 * float((spread * covariance).sum()) + hidden**2
    raw = float(weight @ d**2)
    rise = 4 * float(d @ spread @ d) / raw if raw > 0 else 4 * float(np.diag(spread / weight).max())
    q = reach(LEVEL)
    middle = value + q**2 * rise / 2
    half = math.sqrt(max(middle**2 - value**2 + q**2 * alone, 0.0))
    error = math.sqrt(max(alone + rise * max(value, 0.0), 0.0))
    return Estimate(
        value=max(value, 0.0), low=max(value - q * error, 0.0), high=max(middle + half, 0.0), error=error
    )


def logarithmic_mean(a: Floats, b: Floats) -> Floats:
    """(a - b) / ln(a / b), and a where both are equal; a and b above 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        out: Floats = np.where(np.abs(a - b) < 1e-9 * a, a, (a - b) / np.log(a / b))
    return out


def _covariance(share: Floats, total: float, noise: float) -> Floats:
    """Of shares of noisy counts, drawn and with noise of that variance."""
    drawn = (np.diag(share) - np.outer(share, share)) / total
    out: Floats = drawn + noise * np.eye(len(share)) / total**2
    return out


def feature_points(card: Scorecard) -> tuple[FeaturePoints, ...]:
    """Points of every feature with their errors, in the card's order."""
    out = []
    for j, b in enumerate(card.bins):
        value = np.array(card.points[j], float)
        half = reach(LEVEL) * np.array(card.errors[j]) if card.errors is not None else np.zeros(len(value))
        out.append(
            FeaturePoints(
                institution=b.feature.institution,
                column=b.feature.column,
                labels=tuple(b.labels()),
                points=Band(value=value, low=value - half, high=value + half),
                average=float(card.averages[j]),
            )
        )
    return tuple(out)


def counted_value(ones: ArrayLike, zeros: ArrayLike) -> Estimate | None:
    """Information value of exact counts of defaults and of others by bin; None where either are nobody."""
    a, b = np.asarray(ones, float), np.asarray(zeros, float)
    if a.sum() <= 0 or b.sum() <= 0:
        return None
    p, q = (np.maximum(v, 1e-4 * v.sum()) / np.maximum(v, 1e-4 * v.sum()).sum() for v in (a, b))
    covariance = _covariance(p, float(a.sum()), 0.0) + _covariance(q, float(b.sum()), 0.0)
    return quadratic(a / a.sum() - b / b.sum(), covariance, 1 / logarithmic_mean(p, q))
