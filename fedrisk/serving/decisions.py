"""What a bank's own table advises for one applicant: accept, refer to a person, or decline; limit, rate and reasons.

Advice, never more: nothing in fedrisk acts on it, and risk control stays at the bank. Two rules hold for every table. A
higher probability of default never gets a better decision, a higher limit or a lower rate, all else being equal; and
whatever is not known is looked at by a person, not decided: only a grade declines.

The rate is funding and operating cost, expected loss and margin, less a green discount, kept between the product's
floor and cap. Its parts are whole hundredths of a per cent and add up to it.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from fedrisk.errors import ConfigError, DataError
from fedrisk.serving.decision_table import (
    ACCEPT,
    DECLINE,
    POINTS,
    REFER,
    RULES,
    Decision,
    Decisions,
    GradeRule,
    Product,
    expected_loss,
    in_points,
    load_decisions,
)
from fedrisk.toml_file import near_name

__all__ = ["NOTICE", "RULES", "Advice", "Case", "Decisions", "RatePart", "advise", "load_decisions"]

NOTICE = "Advice to a person of the bank, from the bank's own table. Nothing is decided by it."

_OF_THE_SCORE = {"grade", "limit", "amount", "cap"}
"""Rules for which the reasons of the score are reasons too."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One applicant, as the bank knows it.

    Attributes:
        product: name of a product in the table.
        probability: of default; None where there is no score.
        amount: what is asked for; None where only a limit is wanted. months: the term; None takes the product's least.
        turnover: of a year, in the product's currency.
        missing, old: members that do not know the enterprise, and that know it from old data; None where withheld.
        green: whether the loan system flags it as green.
        measures: sums across institutions by name, such as exposure at other banks.
        reasons: of the score, largest shortfall first (`Scorecard.reasons`).
    """

    product: str
    probability: float | None
    amount: float | None = None
    months: int | None = None
    turnover: float | None = None
    missing: int | None = 0
    old: int | None = 0
    green: bool = False
    measures: Mapping[str, float] = field(default_factory=dict)
    reasons: Sequence[str] = ()


@dataclass(frozen=True)
class RatePart:
    """A part of a rate, as a share of the amount a year.

    name: funding, operating, expected_loss, margin, green (below zero), or what the floor adds or the cap takes.
    """

    name: str
    rate: float


@dataclass(frozen=True, kw_only=True)
class Advice:
    """What the table advises.

    Attributes:
        decision: ``accept``, ``refer`` (to a person) or ``decline``.
        rule: code of `RULES` that decided; rules: all that spoke for it, the deciding one first.
        grade: "" without a score.
        limit: in whole units of the currency; None where nothing is offered.
        rate: a year; None where nothing is offered. parts: add up to it.
        reasons: principal reasons, in the bank's words, for a decision that is not ``accept``.
        notice: that it is advice.
    """

    product: str
    currency: str
    decision: Decision
    rule: str
    rules: tuple[str, ...]
    grade: str
    limit: int | None
    months: int
    rate: float | None
    parts: tuple[RatePart, ...]
    reasons: tuple[str, ...]
    notice: str = NOTICE

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary for JSON."""
        return asdict(self)


def advise(table: Decisions, case: Case) -> Advice:
    """What the table advises for this applicant.

    Raises:
        ConfigError: the table has no such product.
        DataError: a number is not finite, or out of its range.
    """
    product = _product(table, case.product)
    _check(case)
    months = product.least_months if case.months is None else case.months
    if case.probability is None:
        return _advice(table, case, product, _Found(REFER, ("no_score",), months=months))
    grade = table.grade(case.probability)
    rule, unknown = product.rule(grade.name), tuple(_data_rules(table, case))
    if rule.decision == DECLINE:
        decision: Decision = REFER if unknown else DECLINE
        return _advice(table, case, product, _Found(decision, (*unknown, "grade"), grade.name, months=months))
    limit, (rate, parts) = _limit(case, product, rule), _rate(table, case, product, rule, months)
    by_grade = ("grade",) if rule.decision == REFER else ()
    rules = (*unknown, *by_grade, *_offer_rules(case, product, rule, months, limit, rate))
    found = _Found(REFER if rules else ACCEPT, rules or ("grade",), grade.name, limit, months, rate, parts)
    return _advice(table, case, product, found)


# --- inside -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Found:
    decision: Decision
    rules: tuple[str, ...]
    grade: str = ""
    limit: int | None = None
    months: int = 0
    rate: int | None = None
    parts: tuple[tuple[str, int], ...] = ()


def _advice(table: Decisions, case: Case, product: Product, found: _Found) -> Advice:
    return Advice(
        product=product.name,
        currency=product.currency,
        decision=found.decision,
        rule=found.rules[0],
        rules=found.rules,
        grade=found.grade,
        limit=found.limit,
        months=found.months,
        rate=None if found.rate is None else found.rate / POINTS,
        parts=tuple(RatePart(name, points / POINTS) for name, points in found.parts),
        reasons=_reasons(table, case, found),
    )


def _reasons(table: Decisions, case: Case, found: _Found) -> tuple[str, ...]:
    """Principal reasons of a decision that is not ``accept``: what was not known first, then those of the score."""
    if found.decision == ACCEPT:
        return ()
    said = [table.rules.get(rule, RULES[rule]) for rule in found.rules if rule != "grade"]
    if found.grade != table.grades[0].name and _OF_THE_SCORE & set(found.rules):
        said += [table.wording(reason) for reason in case.reasons]
    said = said or [table.rules.get("grade", RULES["grade"])]
    return tuple(dict.fromkeys(said))[: table.most_reasons]


def _data_rules(table: Decisions, case: Case) -> Iterator[str]:
    """What is not known of the enterprise, for which a person looks whatever the grade."""
    refer, withheld = table.refer, False
    for name, least, count in (("missing", refer.missing, case.missing), ("old", refer.old, case.old)):
        withheld |= count is None and least > 0
        if count is not None and 0 < least <= count:
            yield name
    if withheld and refer.withheld:
        yield "withheld"


def _limit(case: Case, product: Product, rule: GradeRule) -> int | None:
    """The limit, rounded down; None where it follows from what is not known."""
    most = float(rule.most or 0)
    if rule.share is not None:
        if case.turnover is None:
            return None
        owed = 0.0 if product.exposure is None else case.measures.get(product.exposure)
        if owed is None:
            return None
        # Rounded, so that a share of a whole amount is not a unit less by the error of a float.
        most = min(most, max(round(rule.share * case.turnover - owed, 6), 0.0))
    return math.floor(most / product.step) * product.step


def _rate(
    table: Decisions, case: Case, product: Product, rule: GradeRule, months: int
) -> tuple[int | None, tuple[tuple[str, int], ...]]:
    """Rate and its parts in hundredths of a per cent; None where the term is not offered, or cost is above the cap."""
    if case.probability is None or not product.least_months <= months <= product.most_months:
        return None, ()
    parts = [
        ("funding", in_points(product.funding)),
        ("operating", in_points(product.operating)),
        ("expected_loss", expected_loss(case.probability, product.lgd, months, table.pd_months)),
    ]
    floor, cap = in_points(product.floor), in_points(product.cap)
    if sum(points for _, points in parts) > cap:
        return None, ()
    parts.append(("margin", in_points(rule.margin or 0.0)))
    if _is_green(case, product):
        parts.append(("green", -in_points(product.green.discount if product.green else 0.0)))
    total = sum(points for _, points in parts)
    bounded = min(max(total, floor), cap)
    if bounded != total:
        parts.append(("floor" if bounded > total else "cap", bounded - total))
    return bounded, tuple(parts)


def _is_green(case: Case, product: Product) -> bool:
    green = product.green
    if green is None:
        return False
    if green.measure is None or green.at_most is None:
        return case.green
    value = case.measures.get(green.measure)
    return value is not None and value <= green.at_most


def _offer_rules(
    case: Case, product: Product, rule: GradeRule, months: int, limit: int | None, rate: int | None
) -> Iterator[str]:
    """Why what follows from the grade cannot be offered as it was asked for."""
    if not product.least_months <= months <= product.most_months:
        yield "term"
    elif rate is None:
        yield "cap"
    if limit is None:
        yield "turnover" if case.turnover is None else "exposure"
    elif limit < max(product.least, 1):
        yield "limit"
    elif case.amount is not None and not product.least <= case.amount <= limit:
        yield "amount"


def _product(table: Decisions, name: str) -> Product:
    for product in table.products:
        if product.name == name:
            return product
    known = [product.name for product in table.products]
    near = near_name(name, known)
    raise ConfigError(
        "the table of decisions has no such product; "
        + (f'did you mean "{near}"?' if near else f"it has {', '.join(known)}")
    )


def _check(case: Case) -> None:
    """DataError, which repeats no value, where a number cannot be."""
    amounts = {"amount": case.amount, "turnover": case.turnover, "missing": case.missing, "old": case.old}
    wrong = [n for n, v in amounts.items() if v is not None and not (math.isfinite(v) and 0 <= v <= 1e15)]
    if case.probability is not None and not 0 <= case.probability <= 1:
        wrong.append("probability")
    if case.months is not None and not 1 <= case.months <= 1200:
        wrong.append("months")
    wrong += [f"measure {name}" for name, value in case.measures.items() if not math.isfinite(value)]
    if wrong:
        raise DataError(
            f"{', '.join(wrong)}: not a finite number in range; amounts are from 0, a probability is from 0 to 1"
        )
