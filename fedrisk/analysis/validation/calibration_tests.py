"""Whether probabilities of default are right: by grade, over all grades, in the large, and in their spread.

By grade: Jeffreys and binomial test, and the normal one, each that the grade's probability is not too low; Holm
(1979) keeps the chance of any false alarm among the grades. Over all: Hosmer & Lemeshow (1980) on groups that were
not fitted, so with as many degrees of freedom as groups; Spiegelhalter (1986); defaults in the large; slope and line
of the log-odds (Cox 1958) as score tests. Every statistic is a sum of residuals over its variance by sampling and
noise together (grade_counts), so that its distribution does not depend on the noise.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import chi2

from fedrisk.analysis.drift import holm
from fedrisk.analysis.score_counts import ScoreCounts
from fedrisk.analysis.validation import noisy_binomial as nb
from fedrisk.analysis.validation.grade_counts import GradeCounts, Residuals, residuals
from fedrisk.metrics import CalibrationFit, calibration_fit

Floats = NDArray[np.float64]

LEAST_EXPECTED = 5.0
"""Variance of a group's residual, sampling and noise together, below which it is joined with its neighbour."""


@dataclass(frozen=True, kw_only=True)
class GradeTest:
    """One grade. Chances are small where the probability of default is too low; None where nobody is in the grade.

    size, defaults: as counted. pd: mean predicted. rate, low, high: observed, with its interval. jeffreys, binomial,
    normal: one-sided p-values; jeffreys is None on counts with noise (noisy_binomial says why). holm: of the first of
    them that is there, adjusted for all grades. over: chance of so few defaults, small where it is too high.
    """

    grade: str
    size: float
    defaults: float
    pd: float
    rate: float
    low: float
    high: float
    jeffreys: float | None
    binomial: float | None
    normal: float | None
    holm: float | None
    over: float | None


@dataclass(frozen=True, kw_only=True)
class Tested:
    """One statistic over all grades. degrees: of freedom; 0 where it is a normal number."""

    statistic: float
    degrees: int
    p: float


def grade_tests(grades: GradeCounts, level: float) -> tuple[GradeTest, ...]:
    """Tests of every grade; ``level`` is that of the interval."""
    rows = [_grade(grades, k, level) for k in range(len(grades.names))]
    there = [k for k, row in enumerate(rows) if row.binomial is not None]
    first = [rows[k].binomial if rows[k].jeffreys is None else rows[k].jeffreys for k in there]
    adjusted = dict(zip(there, holm([p for p in first if p is not None]), strict=True))
    return tuple(GradeTest(**{**vars(row), "holm": adjusted.get(k)}) for k, row in enumerate(rows))


def _grade(grades: GradeCounts, k: int, level: float) -> GradeTest:
    size, defaults, pd, noise = (
        float(v[k]) for v in (grades.size, grades.defaults, grades.pd, grades.count_noise)
    )
    r, spread = float(grades.residual[k]), float(grades.noise[k])
    tests: dict[str, float | None] = dict.fromkeys(("jeffreys", "binomial", "normal", "holm", "over"))
    low, high = 0.0, 1.0
    if grades.tested[k]:
        low, high = nb.interval(defaults, size, noise, 1 - level)
        # The variance of a grade's residual is that of its cells, as near as one binomial has it.
        whole = defaults - size * pd if grades.exact else r
        tests["jeffreys"] = nb.jeffreys_test(defaults, size, pd) if grades.exact else None
        tests["binomial"] = nb.upper_tail(whole, size, pd, spread)
        tests["over"] = nb.lower_tail(whole, size, pd, spread)
        tests["normal"] = float(ndtr(-r / math.sqrt(max(grades.sampling[k] + spread, 1e-12))))
    return GradeTest(
        grade=grades.names[k],
        size=size,
        defaults=defaults,
        pd=pd,
        rate=float(grades.rate[k]),
        low=low,
        high=high,
        **tests,
    )


def hosmer_lemeshow(grades: GradeCounts) -> Tested | None:
    """Sum of squared residuals over their variances, by grade; None where fewer than two groups are left.

    Neighbouring grades are joined until the variance of each group, of defaults and noise, is LEAST_EXPECTED at least.
    """
    r, variance = [0.0], [0.0]
    for value, spread in zip(grades.residual, grades.sampling + grades.noise, strict=True):
        if variance[-1] >= LEAST_EXPECTED:
            r.append(0.0)
            variance.append(0.0)
        r[-1] += float(value)
        variance[-1] += float(spread)
    if len(r) > 1 and variance[-1] < LEAST_EXPECTED:
        last, spread = r.pop(), variance.pop()
        r[-1], variance[-1] = r[-1] + last, variance[-1] + spread
    if len(r) < 2:
        return None
    value = float(sum(a * a / b for a, b in zip(r, variance, strict=True)))
    return Tested(statistic=value, degrees=len(r), p=float(chi2.sf(value, len(r))))


def spiegelhalter(counts: ScoreCounts) -> Tested:
    """Spiegelhalter's Z: the Brier score against what it would be if all probabilities were right, two-sided."""
    found = residuals(counts)
    weight = 1 - 2 * found.pd
    return _normal(float(weight @ found.value), float((weight**2) @ found.variance))


def in_the_large(counts: ScoreCounts) -> Tested:
    """Defaults against expected defaults, two-sided."""
    found = residuals(counts)
    return _normal(float(found.value.sum()), float(found.variance.sum()))


def _normal(total: float, variance: float) -> Tested:
    z = total / math.sqrt(max(variance, 1e-12))
    return Tested(statistic=z, degrees=0, p=float(2 * ndtr(-abs(z))))


def line(counts: ScoreCounts) -> Tested | None:
    """Whether log-odds are those stated, against any other straight line (level and slope together)."""
    score, information = _score(counts, 0.0)
    if np.linalg.cond(information) > 1e10:
        return None
    value = float(score @ np.linalg.solve(information, score))
    return Tested(statistic=value, degrees=2, p=float(chi2.sf(value, 2)))


def slope(counts: ScoreCounts) -> Tested | None:
    """Whether the slope of the log-odds is 1, whatever their level; two-sided.

    The level is fitted under that; the score of the slope is taken in the direction that the level has no part in.
    """
    level = 0.0
    for _ in range(50):
        score, information = _score(counts, level)
        step = float(np.clip(score[0] / max(information[0, 0], 1e-12), -1.0, 1.0))
        level += step
        if abs(step) < 1e-9:
            break
    score, information = _score(counts, level)
    free = information[1, 1] - information[0, 1] ** 2 / max(information[0, 0], 1e-12)
    if not free > 1e-9:
        return None
    return _normal(float(score[1] - information[0, 1] / information[0, 0] * score[0]), float(free))


def _score(counts: ScoreCounts, level: float) -> tuple[Floats, Floats]:
    """Score of level and slope, (2,), and its covariance, (2, 2), at that level and slope 1."""
    found = residuals(counts, level)
    stated = residuals(counts).pd if level else found.pd
    x = np.log(stated / (1 - stated))
    basis = np.column_stack([np.ones(len(x)), x - float(_weights(found) @ x)])
    pull = found.sampling / np.maximum(found.variance, 1e-12)
    return basis.T @ (pull * found.value), (basis.T * (pull**2 * found.variance)) @ basis


def _weights(found: Residuals) -> Floats:
    return found.sampling / max(float(found.sampling.sum()), 1e-12)


def fitted_line(counts: ScoreCounts) -> CalibrationFit | None:
    """Mean probability, observed rate and slope with their errors (metrics.calibration_fit); None without labels."""
    probability = residuals(counts).pd
    return calibration_fit(counts.positives, counts.negatives, probability, counts.variance)
