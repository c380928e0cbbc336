"""Which loans of a month are to be looked at, and why: one alert for each event, not one a month.

Three signs are looked for. A score *fell* by so many points against the best of the last months of the same model;
the *probability* of default is at or above a threshold; a *warning* model's score is at or below its own. The first
month with a sign begins an event, and raises the one alert of that event, which names all signs of that month. Signs
that come later in the same event are noted with it and raise nothing.

An event is over after so many months in a row in which the loan was clear, months without a score left out. Clear is
more than no sign, so that a score that trembles about a threshold raises no second alert (hysteresis; alarm floods
and their remedies: ISA 18.2-2016): the probability is below 0.8 of its threshold, the warning score is 10 points above
its own, and a score that fell has made up half of what is counted as a fall. It is over as well after as many months
in a row in which the enterprise had no active loan: a later loan is another story. Scores of another model cannot be
compared: after a change of models a fall is looked for among that model's months alone, and of an event's end the
other rules decide. Where a person has closed an alert and its event is not over, a further fall from the best score
since is a new event.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal

from fedrisk.secure.keystream import encode_fields
from fedrisk.watching.compared_months import Compared, Loan
from fedrisk.watching.history import Kept
from fedrisk.watching.month import Month
from fedrisk.watching.moved import Moved, what_moved

Rule = Literal["fall", "probability", "warning"]

BACK: Final = 0.5
"""Part of a fall that a score has to make up before its event may be over."""

BELOW: Final = 0.8
"""Part of the threshold below which a probability is clear."""

ABOVE: Final = 10
"""Points above its threshold from which on a warning score is clear; 20 points double the odds."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What raises alerts; a rule that is None raises none.

    fall: points, against the best of the last ``months``. probability: at or above. warning: score at or below.
    recovery: clear months in a row after which an event is over. warns: name of the model that ``warning`` is of.
    false_alarms: rate that its study stated for it; None where the bank's file says the threshold. without: why there
    is no ``warning``, as a code (month_rules), where one was to be expected.
    """

    fall: int | None = 40
    months: int = 3
    probability: float | None = None
    warning: int | None = None
    recovery: int = 3
    warns: str = ""
    false_alarms: float | None = None
    without: str = ""

    def limits(self, signs: Sequence[Rule]) -> dict[str, Any]:
        """What these signs passed: for an alert, so that it says by itself which limit it is about.

        >>> Rules(fall=40, warning=456, warns="early", false_alarms=0.05).limits(("warning",))
        {'warning': 456, 'warning_model': 'early', 'false_alarms': 0.05}
        """
        out: dict[str, Any] = {}
        if "fall" in signs:
            out |= {"fall": self.fall, "months": self.months}
        if "probability" in signs:
            out["probability"] = self.probability
        if "warning" in signs:
            out |= {"warning": self.warning, "warning_model": self.warns, "false_alarms": self.false_alarms}
        return out


@dataclass(frozen=True, kw_only=True)
class Alert:
    """One alert about one loan.

    Attributes:
        id: 32 hexadecimal digits that follow from bank, watch, enterprise and month: the same alert has the same id.
        enterprise: its id, as the bank writes it. month: as 2026-05.
        rules: all signs of the month that raised it. model: which gave the score.
        score, probability: of the month. before: the best score of the last months, None where there is none to compare
            with; since: its month; points: score - before.
        warning: score of the warning model, where there is one; it may be the watched model itself.
        limits: what the signs passed, as `Rules.limits`; empty in records of earlier versions.
        stock: whether all its signs were looked for for the first time in that month, as in the first of a watch: the
            loan was past a limit already, and nothing need have happened to it in that month.
        reasons: those of the answer. moved: own columns in another bin than in the month ``since``. external: points by
            which what others know changed since then.
    """

    id: str
    enterprise: str
    month: str
    rules: tuple[Rule, ...]
    model: str
    score: int
    probability: float
    before: int | None = None
    since: str | None = None
    points: int | None = None
    warning: int | None = None
    limits: Mapping[str, Any] = field(default_factory=dict)
    stock: bool = False
    reasons: tuple[str, ...] = ()
    moved: tuple[Moved, ...] = ()
    external: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Alert":
        """Inverse of `to_dict`."""
        made = {
            "rules": tuple(content["rules"]),
            "reasons": tuple(content["reasons"]),
            "moved": tuple(Moved(**one) for one in content["moved"]),
        }
        return cls(**{**content, **made})


@dataclass(frozen=True, kw_only=True)
class Event:
    """An event that is not over.

    alert: id of its alert. rules: all signs so far. model, before: of the score it is held against; None where no fall
    is among the signs. clear: months in a row that it was clear. away: months in a row without an active loan. closed:
    month in which a person closed its alert.
    """

    alert: str
    rules: tuple[Rule, ...]
    model: str
    before: int | None = None
    clear: int = 0
    away: int = 0
    closed: str | None = None

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Event":
        """Inverse of `dataclasses.asdict` through JSON."""
        return cls(**{**content, "rules": tuple(content["rules"])})


@dataclass(frozen=True)
class Found:
    """What a month brings.

    alerts: new ones. more: signs that came to events that were there, by alert. over: alerts whose event is over.
    events: those that are not over after the month, by enterprise.
    """

    alerts: Sequence[Alert] = ()
    more: Mapping[str, tuple[Rule, ...]] = field(default_factory=dict)
    over: Sequence[str] = ()
    events: Mapping[str, Event] = field(default_factory=dict)


def alert_id(bank: str, watch: str, enterprise: str, month: Month) -> str:
    """Under which an alert is known everywhere: SHA-256 of what it is about, 32 hexadecimal digits.

    >>> alert_id("alfa", "demo", "91369988AB0E24NC00", Month(2026, 5))[:8]
    '30f5ae82'
    """
    raw = encode_fields(
        b"fedrisk alert v1", *(part.encode() for part in (bank, watch, enterprise, str(month)))
    )
    return hashlib.sha256(raw).hexdigest()[:32]


def new_alerts(
    kept: Kept,
    month: Month,
    rules: Rules,
    events: Mapping[str, Event],
    *,
    bank: str,
    watch: str,
    first: Collection[Rule] = (),
) -> Found:
    """What a month that is kept brings; it follows from what is kept and given alone.

    events: by enterprise, those that were not over before the month. bank, watch: their names, for the alerts' ids.
    first: signs that are looked for for the first time.
    """
    compared = Compared.of(kept, month, rules.months)
    signs = _signs(compared, rules)
    left, over = _away(events, compared, rules)
    alerts: list[Alert] = []
    more: dict[str, tuple[Rule, ...]] = {}
    for enterprise in compared.listed({*signs, *events}):
        loan, found = compared.loan(enterprise), signs.get(enterprise, ())
        event = events.get(enterprise)
        if event is not None and not _fell_anew(event, loan, compared, rules):
            after, came = _after(event, loan, found, rules)
            if came:
                more[event.alert] = came
            if after.clear >= rules.recovery:
                over.append(event.alert)
                del left[enterprise]
            else:
                left[enterprise] = after
        elif event is not None or found:
            alert = _alert(alert_id(bank, watch, enterprise, month), loan, found, month, rules, first)
            alerts.append(alert)
            left[enterprise] = Event(
                alert=alert.id,
                rules=found,
                model=loan.model,
                before=alert.before if "fall" in found else None,
            )
            if event is not None:
                over.append(event.alert)
    return Found(what_moved(kept, month, alerts), more, over, left)


def _signs(compared: Compared, rules: Rules) -> dict[str, tuple[Rule, ...]]:
    """Signs of the month by enterprise, of those that have any."""
    now = compared.now
    found: dict[str, tuple[Rule, ...]] = {}
    signs: list[tuple[Rule, Any]] = []
    if rules.fall is not None:
        signs.append(("fall", now["before"] - now["score"] >= rules.fall))
    if rules.probability is not None:
        signs.append(("probability", now["probability"] >= rules.probability))
    if rules.warning is not None:
        signs.append(("warning", now["warning"] <= rules.warning))
    for name, sign in signs:
        for enterprise in now.index[sign.to_numpy()]:
            found[enterprise] = (*found.get(enterprise, ()), name)
    return found


def _away(
    events: Mapping[str, Event], compared: Compared, rules: Rules
) -> tuple[dict[str, Event], list[str]]:
    """Events that go on though the loan may be away, and alerts of those that are over because it stayed away."""
    left: dict[str, Event] = {}
    over = []
    for enterprise, event in events.items():
        away = 0 if enterprise in compared.everybody else event.away + 1
        if away >= rules.recovery:
            over.append(event.alert)
        else:
            left[enterprise] = replace(event, away=away)
    return left, over


def _after(event: Event, loan: Loan, found: tuple[Rule, ...], rules: Rules) -> tuple[Event, tuple[Rule, ...]]:
    """The event after a month, and signs that are new in it."""
    came = tuple(rule for rule in found if rule not in event.rules)
    before = event.before
    if "fall" in came:
        before = loan.before
    clear = event.clear + 1 if not found and _is_clear(event, loan, rules) else 0
    if (
        not found
        and clear
        and "warning" in event.rules
        and rules.warning is not None
        and loan.warning is None
    ):
        # Without a score of the warning model nobody knows whether it would still warn.
        clear = event.clear
    model = loan.model if "fall" in came else event.model
    return replace(event, rules=(*event.rules, *came), before=before, model=model, clear=clear, away=0), came


def _is_clear(event: Event, loan: Loan, rules: Rules) -> bool:
    """Whether a loan without any sign is well beyond every threshold."""
    if rules.probability is not None and loan.probability >= BELOW * rules.probability:
        return False
    if rules.warning is not None and loan.warning is not None and loan.warning < rules.warning + ABOVE:
        return False
    if rules.fall is None or event.before is None or event.model != loan.model:
        return True
    return loan.score >= event.before - BACK * rules.fall


def _fell_anew(event: Event, loan: Loan, compared: Compared, rules: Rules) -> bool:
    """Whether the score fell once more since a person closed the alert of an event that goes on."""
    if event.closed is None or rules.fall is None:
        return False
    best = compared.best_since(loan.enterprise, Month.parse(event.closed))
    return best is not None and best - loan.score >= rules.fall


def _alert(
    id: str, loan: Loan, found: tuple[Rule, ...], month: Month, rules: Rules, first: Collection[Rule]
) -> Alert:
    return Alert(
        id=id,
        enterprise=loan.enterprise,
        month=str(month),
        rules=found,
        model=loan.model,
        score=loan.score,
        probability=loan.probability,
        before=loan.before,
        since=loan.since,
        points=None if loan.before is None else loan.score - loan.before,
        warning=None if rules.warning is None else loan.warning,
        limits=rules.limits(found),
        stock=bool(found) and set(found) <= set(first),
        reasons=loan.reasons,
        external=loan.external,
    )
