"""Checks of calibration with their traffic lights, and of what is deducted: bounds and margins."""

import math
from collections.abc import Sequence
from typing import TypedDict

from fedrisk.analysis.score_counts import ScoreCounts
from fedrisk.analysis.validation import noisy_binomial as nb
from fedrisk.analysis.validation.calibration_tests import (
    GradeTest,
    Tested,
    fitted_line,
    hosmer_lemeshow,
    in_the_large,
    line,
    slope,
    spiegelhalter,
)
from fedrisk.analysis.validation.check import Basis, Check, Light, by_p
from fedrisk.analysis.validation.conservatism import LogOddsErrors, Margin
from fedrisk.analysis.validation.evidence import Evidence
from fedrisk.analysis.validation.grade_counts import GradeCounts, residuals
from fedrisk.analysis.validation.low_default import FEW, Bounds, near
from fedrisk.analysis.validation.rules import ValidationRules
from fedrisk.metrics import CalibrationFit

POWER = 0.8
"""Of cases in which a test finds what `least_found` says."""


def basis_of(counts: ScoreCounts) -> Basis:
    """What counts are: a bank's own rows, or released."""
    return "rows" if counts.exact else "released"


def checks(
    evidence: Evidence, grades: GradeCounts, tests: Sequence[GradeTest], rules: ValidationRules
) -> tuple[CalibrationFit | None, list[Check]]:
    """The line of calibration, and all checks of calibration."""
    now, fit = evidence.now, fitted_line(evidence.now)
    found = [_under(now, tests, rules.level), _over(now, tests, rules.level), _portfolio(now, rules.level)]
    low = any(c.light in ("yellow", "red") for c in found if c.code != "grades_over")
    whole: list[tuple[str, Tested | None]] = [
        ("in_the_large", in_the_large(now)),
        ("hosmer_lemeshow", hosmer_lemeshow(grades)),
        ("spiegelhalter", spiegelhalter(now)),
        ("line", line(now)),
        ("slope", slope(now)),
    ]
    for code, tested in whole:
        values = _values(code, now, fit)
        found.append(
            Check(
                code=code,
                group="calibration",
                light=_either_way(tested, rules.level, low=low),
                rule="either_way" if tested is not None else "too_few",
                basis=basis_of(now),
                noise="variance",
                statistic=None if tested is None else tested.statistic,
                degrees=0 if tested is None else tested.degrees,
                p=None if tested is None else tested.p,
                level=rules.level,
                **totals(now),
                values=values,
            )
        )
    return fit, found


def _values(code: str, now: ScoreCounts, fit: CalibrationFit | None) -> dict[str, float]:
    if code == "in_the_large":
        return {"expected": totals(now)["defaults"] - float(residuals(now).value.sum())}
    return {"slope": fit.slope, "error": fit.slope_error} if fit is not None and code == "slope" else {}


def _either_way(tested: Tested | None, level: float, *, low: bool) -> Light:
    """Light of a test that does not say in which direction: red only where probabilities are too low somewhere."""
    light = by_p(None if tested is None else tested.p, level)
    return "yellow" if light == "red" and not low else light


class Totals(TypedDict):
    """Customers and defaults of a sample, as counted."""

    customers: float
    defaults: float


def totals(counts: ScoreCounts) -> Totals:
    """Customers and defaults of a sample, as counted."""
    defaults = float(counts.positives.sum())
    return {"customers": defaults + float(counts.negatives.sum()), "defaults": defaults}


def _under(now: ScoreCounts, tests: Sequence[GradeTest], level: float) -> Check:
    """Whether some grade's probability is too low."""
    there = [(t.grade, t.holm) for t in tests if t.holm is not None]
    least = min((p for _, p in there), default=None)
    return Check(
        code="grades_under",
        group="calibration",
        light=by_p(least, level),
        rule="grades_holm" if there else "too_few",
        basis=basis_of(now),
        noise="convolved",
        p=least,
        level=level,
        **totals(now),
        values={
            "grades": len(there),
            "named": [grade for grade, p in there if p <= level],
            "clear": [grade for grade, p in there if p <= level / 5],
        },
    )


def _over(now: ScoreCounts, tests: Sequence[GradeTest], level: float) -> Check:
    """Whether some grade's probability is too high: prudent, and dear for customers."""
    from fedrisk.analysis.drift import holm

    there = [t for t in tests if t.over is not None]
    adjusted = holm([t.over for t in there if t.over is not None])
    named = [t.grade for t, p in zip(there, adjusted, strict=True) if p <= level]
    return Check(
        code="grades_over",
        group="calibration",
        light="none" if not there else "yellow" if named else "green",
        rule="grades_over" if there else "too_few",
        basis=basis_of(now),
        noise="convolved",
        p=min(adjusted, default=None),
        level=level,
        **totals(now),
        values={"grades": len(there), "named": named},
    )


def _portfolio(now: ScoreCounts, level: float) -> Check:
    """Jeffreys test of all grades together."""
    found, counted = residuals(now), totals(now)
    size, total = counted["customers"], float(found.value.sum())
    pd = float(found.size @ found.pd) / max(float(found.size.sum()), 1e-12)
    if now.exact:
        p = nb.jeffreys_test(counted["defaults"], size, pd)
    else:
        p = nb.upper_tail(total, float(found.size.sum()), pd, float(found.noise.sum()))
    return Check(
        code="portfolio",
        group="calibration",
        light=by_p(p, level),
        rule="by_p",
        basis=basis_of(now),
        noise="convolved",
        p=p,
        level=level,
        **counted,
        values={
            "expected": counted["defaults"] - total,
            "pd": pd,
            "found": least_found(
                float(found.size @ found.pd), float(found.sampling.sum()), float(found.noise.sum()), level
            ),
        },
    )


def least_found(expected: float, sampling: float, noise: float, level: float) -> float | None:
    """How many times as many defaults as expected the portfolio's test finds in POWER of cases; None for none expected.

    sampling, noise: variances of the defaults, if probabilities were right. Sampling rises with the defaults.

    >>> round(least_found(400.0, 380.0, 0.0, 0.05), 2), round(least_found(20.0, 19.0, 0.0, 0.05), 2)
    (1.12, 1.59)
    """
    if expected <= 0:
        return None
    times, limit = 1.0, nb.normal_quantile(1 - level) * math.sqrt(sampling + noise)
    for _ in range(50):
        times = 1 + (limit + nb.normal_quantile(POWER) * math.sqrt(times * sampling + noise)) / expected
    return times


def deductions(
    evidence: Evidence,
    grades: GradeCounts,
    tests: Sequence[GradeTest],
    margin: Sequence[Margin],
    bounds: Sequence[Bounds],
    errors: LogOddsErrors,
) -> list[Check]:
    """Checks of low-default bounds and margins."""
    return [_few(evidence, grades, tests, margin, bounds), _covered(evidence, tests, margin, errors)]


def _few(
    evidence: Evidence,
    grades: GradeCounts,
    tests: Sequence[GradeTest],
    margin: Sequence[Margin],
    bounds: Sequence[Bounds],
) -> Check:
    """Grades with few defaults: whether probabilities with margins reach the least of the bounds.

    A bound is of a grade and riskier ones together, so that their mean is held against it: the grade's own probability
    lies below it also where all are right.
    """
    least = min(bounds, key=lambda b: b.confidence)
    few = [k for k, t in enumerate(tests) if t.defaults < FEW]
    tested = [k for k in few if tests[k].binomial is not None]
    below = [tests[k].grade for k in tested if _together(grades, margin, near(grades, k)) < least.near[k]]
    return Check(
        code="low_default",
        group="low_default",
        light="none" if few and not tested else "yellow" if below else "green",
        rule="too_few" if few and not tested else "low_default",
        basis=basis_of(evidence.now),
        noise="convolved",
        **totals(evidence.now),
        values={"few": [tests[k].grade for k in few], "below": below, "confidence": least.confidence},
    )


def _together(grades: GradeCounts, margin: Sequence[Margin], which: slice) -> float:
    """Mean probability with margins over the customers of some grades."""
    size = [max(float(v), 0.0) for v in grades.size[which]]
    return sum(n * m.final for n, m in zip(size, margin[which], strict=True)) / max(sum(size), 1e-12)


def _covered(
    evidence: Evidence, tests: Sequence[GradeTest], margin: Sequence[Margin], errors: LogOddsErrors
) -> Check:
    """Whether what was observed lies clearly above a probability with its margin."""
    above = [
        t.grade for t, m in zip(tests, margin, strict=True) if t.binomial is not None and t.low > m.final
    ]
    tested = any(t.binomial is not None for t in tests)
    shares = [m.by_noise / m.estimation for m in margin if m.estimation > 0]
    return Check(
        code="margin",
        group="conservatism",
        light="red" if above else "green" if tested else "none",
        rule="margin" if tested else "too_few",
        basis="rows_and_released" if evidence.exact else "released",
        noise="inside",
        **totals(evidence.now),
        values={"above": above, "by_noise": max(shares, default=0.0), "known": errors.known},
    )
