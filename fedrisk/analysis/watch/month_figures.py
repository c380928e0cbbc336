"""All figures of one month of a watch, for its page and for programs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fedrisk.analysis.plain import plain_values
from fedrisk.analysis.watch.back_testing import BackTest, Cohort
from fedrisk.analysis.watch.challenge import Agreement, Contest
from fedrisk.analysis.watch.drift_alarms import Drifted, DriftRules
from fedrisk.analysis.watch.portfolio import Migrations, MonthRisk, Unscored
from fedrisk.analysis.watch.warned import Warned

SCHEMA, VERSION = "fedrisk.watch_month", 1


@dataclass(frozen=True, kw_only=True)
class MonthFigures:
    """One month of a watch at a bank; everything of it stays there.

    Attributes:
        bank, watch, month: which. model: id, name and version that gave the scores.
        course: each month up to this one that the same model scored, a year at most, the oldest first.
        migrations: since the month before; None in the first month.
        unscored: loans without a score.
        new, standing, closed: alerts that this month raised, that stand open from before, and that were closed or over
            in it; as `watching.alert_book.Standing.to_dict`.
        label: what the model foretells: ``name``, and where the bank's dictionary says it ``horizon``, ``meaning`` and
            ``meaning_zh``. signs: by which rules the month raised alerts (`watching.alerts.Rules`), or None.
        drift: scores and own columns by month, the oldest first. rules: when drift is an alarm. development: what they
            are held against, as a code: ``own_rows``, ``released`` (shares that the study released), ``first_month``
            (the first that is kept) or ``none``; by name of score or column.
        cohorts: months with outcomes. back_test: of the newest that is matured, or of the newest with any.
        warned: the same months' warnings with their outcomes, where the model warns by a threshold of its own label.
        agreement, contest: challenger beside champion. challenger: its id, name and version.
    """

    bank: str
    watch: str
    month: str
    model: Mapping[str, Any]
    course: tuple[MonthRisk, ...]
    grades: tuple[str, ...]
    migrations: Migrations | None = None
    unscored: Unscored = field(default_factory=Unscored)
    new: tuple[Mapping[str, Any], ...] = ()
    standing: tuple[Mapping[str, Any], ...] = ()
    closed: tuple[Mapping[str, Any], ...] = ()
    label: Mapping[str, str] = field(default_factory=dict)
    signs: Mapping[str, Any] | None = None
    drift: Mapping[str, tuple[Drifted, ...]] = field(default_factory=dict)
    rules: DriftRules = field(default_factory=DriftRules)
    development: Mapping[str, str] = field(default_factory=dict)
    cohorts: tuple[Cohort, ...] = ()
    back_test: BackTest | None = None
    warned: tuple[Warned, ...] = ()
    challenger: Mapping[str, Any] | None = None
    agreement: Agreement | None = None
    contest: Contest | None = None

    @property
    def risk(self) -> MonthRisk:
        """Of this month."""
        return self.course[-1]

    @property
    def stock(self) -> tuple[Mapping[str, Any], ...]:
        """New alerts of loans that were above a limit when it was looked for for the first time."""
        return tuple(alert for alert in self.new if alert.get("stock"))

    @property
    def lately(self) -> tuple[Mapping[str, Any], ...]:
        """The other new alerts: of what happened in the month."""
        return tuple(alert for alert in self.new if not alert.get("stock"))

    @property
    def warnings(self) -> Warned | None:
        """Warnings of the month that the back-test is of."""
        month = None if self.back_test is None else self.back_test.cohort.month
        return next((one for one in self.warned if one.month == month), None)

    @property
    def drifted(self) -> tuple[Drifted, ...]:
        """Scores and columns that this month raises a drift alarm about."""
        return tuple(d for d in self.drift.get(self.month, ()) if d.alarms)

    def to_dict(self) -> dict[str, Any]:
        """As plain values, with schema and version; numbers that are not there are None."""
        plain: dict[str, Any] = plain_values(
            {
                "schema": SCHEMA,
                "version": VERSION,
                "bank": self.bank,
                "watch": self.watch,
                "month": self.month,
                "model": self.model,
                "grades": self.grades,
                "course": [m.to_dict() for m in self.course],
                "migrations": None if self.migrations is None else self.migrations.to_dict(),
                "unscored": vars(self.unscored),
                "label": self.label,
                "signs": self.signs,
                "alerts": {"new": self.new, "open": self.standing, "closed": self.closed},
                "drift": {m: [d.to_dict() for d in each] for m, each in self.drift.items()},
                "drift_rules": vars(self.rules),
                "development": self.development,
                "cohorts": [vars(c) | {"auc": _measured(c)} for c in self.cohorts],
                "back_test": None if self.back_test is None else self.back_test.to_dict(),
                "warned": [one.to_dict() for one in self.warned],
                "challenger": self.challenger,
                "agreement": None if self.agreement is None else self.agreement.to_dict(),
                "contest": None if self.contest is None else self.contest.to_dict(),
            }
        )
        return plain


def _measured(cohort: Cohort) -> dict[str, float] | None:
    return None if cohort.auc is None else vars(cohort.auc)
