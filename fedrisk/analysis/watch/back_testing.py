"""What was predicted against what became of the loans: by grade, in the large, and how well risks were ranked.

A loan is scored every month and has one outcome, so that the same default stands in up to a year's months. Months are
therefore never added up: a back-test is of the loans of *one* month whose outcomes are known, and the course over
months shows each by itself. Defaults become known before repayments: a month counts as matured once nearly all its
outcomes are known, or else the rate of those that are known would be too high.

By grade: Jeffreys's interval and test (ECB 2019) with Holm (1979) over the grades, as in a validation. They take
defaults as independent. Beside them stands the interval with common shocks (analysis/watch/common_shocks).
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fedrisk.analysis.score_counts import ScoreCounts, counts_of_rows
from fedrisk.analysis.validation.calibration_tests import GradeTest, Tested, grade_tests, in_the_large
from fedrisk.analysis.validation.discrimination import Fallen, area, fallen
from fedrisk.analysis.validation.grade_counts import by_grade
from fedrisk.analysis.validation.master_scale import DEFAULT_SCALE, MasterScale
from fedrisk.analysis.watch.common_shocks import shock_interval
from fedrisk.metrics import Measured

Floats = NDArray[np.float64]

FEW = 20
"""Defaults below which a month's figures are said to stand on few."""


@dataclass(frozen=True, kw_only=True)
class BackTestRules:
    """How outcomes are tested.

    level: of tests, and 1 - level of intervals. correlation: of assets, for the interval with common shocks; 0.03 is
    the limit for high probabilities of Basel's formula for other retail exposures (CRE31), in which loans to small
    firms may be: the least that it has. known: part of a month's outcomes from which on it counts as matured.
    """

    level: float = 0.05
    correlation: float = 0.03
    known: float = 0.95


@dataclass(frozen=True, kw_only=True)
class Cohort:
    """Loans of one month. known: with an outcome. expected: defaults among those by the model's probabilities."""

    month: str
    loans: int
    known: int
    defaults: int
    expected: float
    matured: bool
    auc: Measured | None = None


@dataclass(frozen=True, kw_only=True)
class BackTest:
    """One month's loans with their outcomes.

    grades: tests of each grade; shocks: interval of each grade's rate with common shocks. large: of all defaults.
    auc: now; before: in development, with its own error, whatever it stands on; fall: from there to here, None where
    one of them is not known. few: whether there are fewer than FEW defaults.
    """

    cohort: Cohort
    level: float
    correlation: float
    grades: tuple[GradeTest, ...] = ()
    shocks: tuple[tuple[float, float], ...] = ()
    large: Tested | None = None
    interval: tuple[float, float] | None = None
    before: Measured | None = None
    fall: Fallen | None = None

    @property
    def few(self) -> bool:
        """Whether it stands on few defaults."""
        return self.cohort.defaults < FEW

    @property
    def too_low(self) -> tuple[str, ...]:
        """Grades whose probability the defaults contradict, at the level over all grades."""
        return tuple(g.grade for g in self.grades if g.holm is not None and g.holm <= self.level)

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {**asdict(self), "few": self.few, "too_low": list(self.too_low)}


def cohort(month: str, probability: ArrayLike, outcome: ArrayLike, rules: BackTestRules) -> Cohort:
    """Loans of a month. probability: (n,) of those with a score. outcome: (n,), NaN where none is known."""
    p, y = np.asarray(probability, np.float64), np.asarray(outcome, np.float64)
    known = ~np.isnan(y)
    matured = bool(len(y)) and known.mean() >= rules.known
    return Cohort(
        month=month,
        loans=len(y),
        known=int(known.sum()),
        defaults=int(y[known].sum()),
        expected=float(p[known].sum()),
        matured=bool(matured),
        auc=area(counts_of_rows(y[known], p[known], axis="probability")) if known.any() else None,
    )


def back_test(
    month: str,
    probability: ArrayLike,
    outcome: ArrayLike,
    *,
    scale: MasterScale = DEFAULT_SCALE,
    development: Measured | None = None,
    rules: BackTestRules | None = None,
) -> BackTest:
    """All figures of one month. development: its AUC there, with the error of what it stands on.

    Arguments as of `cohort`; development and rules may be left out.
    """
    rules = rules or BackTestRules()
    found = cohort(month, probability, outcome, rules)
    p, y = np.asarray(probability, np.float64), np.asarray(outcome, np.float64)
    known = ~np.isnan(y)
    whole: dict[str, Any] = {"cohort": found, "level": rules.level, "correlation": rules.correlation}
    whole["before"] = development
    if not known.any():
        return BackTest(**whole)
    counts: ScoreCounts = counts_of_rows(y[known], p[known], axis="probability")
    tests = grade_tests(by_grade(counts, scale), rules.level)
    return BackTest(
        **whole,
        grades=tests,
        shocks=tuple(
            shock_interval(t.defaults, t.size, 1 - rules.level, rules.correlation) if t.size else (0.0, 1.0)
            for t in tests
        ),
        large=in_the_large(counts),
        interval=shock_interval(found.defaults, found.known, 1 - rules.level, 0.0),
        fall=None if development is None or found.auc is None else fallen(development, found.auc),
    )
