"""What each feature of a scorecard tells: information value, and points by bin, with intervals.

The information value of a feature (Siddiqi 2017; Jeffreys' divergence of its two distributions) is the sum over bins of
d ln(p1 / p0), d = p1 - p0, p1 and p0 the shares of defaults and of others in the bin. It equals the sum of d^2 / L, L the
logarithmic mean of p1 and p0. Noise and sampling make the expectation of d^2 too large by d's variance, which is known
and subtracted. L comes from the card's own smooth curves, which noise hardly moves.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fedrisk.analysis.card_sums import CardSums, curves_of
from fedrisk.analysis.curves import LEVEL, Band, Estimate
from fedrisk.analysis.intervals import reach
from fedrisk.models.estimator import Curves, LabelCounts
from fedrisk.models.scorecard import Scorecard
from fedrisk.releases.record import ReleaseRecord

Floats = NDArray[np.float64]


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
    if record.find("counts") is None or "bins" not in record.release("counts").about:
        return ()
    sums = CardSums.released(record)
    columns = [b for b in sums.bins if b.feature.is_column]
    curves = curves_of(sums.counts, sums.bins)
    place = [j for j, b in enumerate(sums.bins) if b.feature.is_column]
    found = [
        InformationValue(
            institution=b.feature.institution,
            column=b.feature.column,
            value=_value(sums.counts, curves, k, j),
        )
        for k, (b, j) in enumerate(zip(columns, place, strict=True))
    ]
    return tuple(sorted(found, key=lambda v: -v.value.value))


def _value(counts: LabelCounts, curves: Curves, k: int, j: int) -> Estimate:
    """Information value of column k, which is feature j of the curves."""
    n1, n0, noise = counts.n1[k], counts.n0[k], float(counts.variance[k])
    log_odds = math.log(curves.rate / (1 - curves.rate)) + curves.curve[j]
    share = np.maximum(curves.weight[j], 1e-6)
    p1, p0 = (v / v.sum() for v in (share / (1 + np.exp(-log_odds)), share / (1 + np.exp(log_odds))))
    total1, total0 = counts.positives, counts.negatives
    mean = logarithmic_mean(p1, p0)
    d = n1 / total1 - n0 / total0
    covariance = _covariance(p1, total1, noise) + _covariance(p0, total0, noise)
    return quadratic(d, covariance, 1 / mean)


def quadratic(d: Floats, covariance: Floats, weight: Floats) -> Estimate:
    """Sum of weight times the square of the mean of d, whose variance is subtracted, with its interval."""
    value = float(weight @ (d**2 - np.diag(covariance)))
    spread = weight[:, None] * covariance * weight
    second = max(float(2 * (spread * covariance).sum()), 0.0)
    # Of the square of the mean, again less what variance adds.
    first = max(4 * float(d @ spread @ d) - 2 * second, 0.0)
    error = math.sqrt(first + second)
    half = reach(LEVEL) * error
    return Estimate(
        value=max(value, 0.0), low=max(value - half, 0.0), high=max(value + half, 0.0), error=error
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


def stability(
    expected: ArrayLike, actual: ArrayLike, *, expected_variance: float = 0.0, actual_variance: float = 0.0
) -> Estimate | None:
    """PSI of two histograms over the same bins with noise of those variances; None where noise hides a total.

    The same divergence as the information value, of the two distributions; variance of sampling and of noise is
    subtracted and in the interval.
    """
    a, b = np.asarray(expected, float), np.asarray(actual, float)
    noise = (2 * math.sqrt(expected_variance * len(a)), 2 * math.sqrt(actual_variance * len(b)))
    if a.sum() <= noise[0] or b.sum() <= noise[1]:
        return None
    both = [
        np.maximum(v, max(1e-4 * v.sum(), math.sqrt(w)))
        for v, w in ((a, expected_variance), (b, actual_variance))
    ]
    p, q = (v / v.sum() for v in both)
    covariance = _covariance(p, float(a.sum()), expected_variance) + _covariance(
        q, float(b.sum()), actual_variance
    )
    return quadratic(a / a.sum() - b / b.sum(), covariance, 1 / logarithmic_mean(p, q))
