"""A whole validation: every check of one model on one sample, with the tables behind it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.analysis.plain import plain_values
from fedrisk.analysis.validation import calibration_checks, sample_checks
from fedrisk.analysis.validation.calibration_tests import GradeTest, grade_tests
from fedrisk.analysis.validation.check import Check, Light, worst
from fedrisk.analysis.validation.concentration import Concentration
from fedrisk.analysis.validation.conservatism import LogOddsErrors, Margin, margins
from fedrisk.analysis.validation.evidence import Evidence, point_variance
from fedrisk.analysis.validation.grade_counts import GradeCounts, by_grade
from fedrisk.analysis.validation.low_default import Bounds, bounds
from fedrisk.analysis.validation.master_scale import MasterScale
from fedrisk.analysis.validation.overrides import Overrides
from fedrisk.analysis.validation.rules import ValidationRules
from fedrisk.analysis.validation.stability_tests import Shift
from fedrisk.metrics import CalibrationFit, Measured
from fedrisk.models.scorecard import Scorecard

SCHEMA, VERSION = "fedrisk.validation", 1
"""Name and version of the form of ``validation.json``."""


@dataclass(frozen=True, kw_only=True)
class Pack:
    """Everything that a validator reads.

    checks: in the order of the page. grades: by grade of ``scale``, as are ``margins`` and ``bounds``. line: mean
    probability, rate and slope. figures: AUC and KS, now and in development. shifts: of score and grades, and of
    columns. whole: the bank's columns against all banks'. concentration: now and in development.
    """

    evidence: Evidence
    rules: ValidationRules
    scale: MasterScale
    checks: tuple[Check, ...]
    grades: tuple[GradeTest, ...]
    margins: tuple[Margin, ...]
    bounds: tuple[Bounds, ...]
    line: CalibrationFit | None
    figures: Mapping[str, Measured] = field(default_factory=dict)
    shifts: tuple[Shift, ...] = ()
    columns: tuple[Shift, ...] = ()
    whole: tuple[Shift, ...] = ()
    periods: tuple[sample_checks.Period, ...] = ()
    concentration: Mapping[str, Concentration] = field(default_factory=dict)
    overrides: Overrides | None = None
    calibration_known: bool = False

    @property
    def light(self) -> Light:
        """The worst of all checks."""
        return worst([c.light for c in self.checks])

    def to_dict(self) -> dict[str, Any]:
        """As plain values, with schema and version; numbers that are not there are None."""
        plain: dict[str, Any] = plain_values(
            {
                "schema": SCHEMA,
                "version": VERSION,
                "light": self.light,
                "model": self.evidence.model,
                "sample": self.evidence.sample,
                "basis": "rows" if self.evidence.own else "released",
                "facts": dict(self.evidence.facts),
                "rules": self.rules.model_dump(mode="json", exclude={"scale"}),
                "scale": [
                    {"grade": n, "from": a, "to": b}
                    for n, (a, b) in zip(self.scale.names, self.scale.spans(), strict=True)
                ],
                "checks": [{**asdict(c), "noise": c.correction} for c in self.checks],
                "grades": [asdict(g) for g in self.grades],
                "calibration_line": None if self.line is None else asdict(self.line),
                "figures": {
                    n: {**asdict(m), "error": m.error, "interval": m.interval(1 - self.rules.level)}
                    for n, m in self.figures.items()
                },
                "shifts": [asdict(s) for s in self.shifts],
                "columns": [asdict(s) for s in self.columns],
                "against_all_banks": [asdict(s) for s in self.whole],
                "periods": [asdict(p) for p in self.periods],
                "concentration": {n: asdict(c) for n, c in self.concentration.items()},
                "overrides": None if self.overrides is None else asdict(self.overrides),
                "low_default": [asdict(b) for b in self.bounds],
                "margins": [asdict(m) for m in self.margins],
                "calibration_errors_known": self.calibration_known,
            }
        )
        return plain


def validate(evidence: Evidence, rules: ValidationRules) -> Pack:
    """All checks of the evidence against the rules."""
    scale = rules.scale.scale()
    grades = by_grade(evidence.now, scale)
    before = None if evidence.before is None else by_grade(evidence.before, scale)
    tests = grade_tests(grades, rules.level)
    errors = log_odds_errors(evidence, grades, scale)
    margin = margins(grades, errors, rules.conservatism)
    bound = tuple(bounds(grades, c, rules.low_default.correlation) for c in rules.low_default.confidence)
    line, checks = calibration_checks.checks(evidence, grades, tests, rules)
    sample = sample_checks.checks(evidence, grades, before, rules)
    further = calibration_checks.deductions(evidence, grades, tests, margin, bound, errors)
    return Pack(
        evidence=evidence,
        rules=rules,
        scale=scale,
        checks=tuple(_standing(c, evidence) for c in (*checks, *sample.checks, *further)),
        grades=tests,
        margins=margin,
        bounds=bound,
        line=line,
        figures=sample.figures,
        shifts=sample.shifts,
        columns=sample.columns,
        whole=sample.whole,
        periods=sample.periods,
        concentration=sample.concentration,
        overrides=evidence.overrides,
        calibration_known=errors.known,
    )


def _standing(check: Check, evidence: Evidence) -> Check:
    """A check as it stands: released exact counts, of research runs, are no bank's rows and carry no noise."""
    released = not evidence.own and check.basis in ("rows", "rows_and_released")
    quiet = evidence.exact and not evidence.own
    return replace(
        check,
        basis="released" if released else check.basis,
        noise="none" if quiet else check.noise,
    )


def log_odds_errors(evidence: Evidence, grades: GradeCounts, scale: MasterScale) -> LogOddsErrors:
    """Errors of each grade's log-odds: of calibration where it is known, else of the card's rate; of points."""
    size, points = len(grades.names), np.sqrt(point_variance(evidence, scale))
    card, known = evidence.card, evidence.calibration
    nothing = np.zeros(size)
    if card is None:
        return LogOddsErrors(calibration=nothing, noise=nothing, points=points, known=False)
    if known is None or card.calibration is None:
        of_rate = np.full(size, card.rate_error / (card.rate * (1 - card.rate)))
        return LogOddsErrors(calibration=nothing, noise=of_rate, points=points, known=False)
    sampling, noise = known.of(_first_stated(card, grades.pd))
    return LogOddsErrors(calibration=sampling, noise=noise, points=points)


def _first_stated(card: Scorecard, pd: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-odds that the card stated before its calibration, for probabilities after it; by the line that fits best."""
    if card.calibration is None:
        return np.log(pd / (1 - pd))
    level, slope = card.calibration.line
    return np.asarray(card.calibration.centre + (np.log(pd / (1 - pd)) - level) / slope)
