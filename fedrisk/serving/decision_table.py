"""A bank's table of decisions (TOML): grades, and for each product what is advised, how much and at which rate.

It is the bank's own and leaves its machine for nobody. Rates are shares of the amount a year, in whole hundredths of a
per cent (0.0435 is 4.35 %), so that the parts of a rate add up exactly. A table whose offers would get better as the
risk gets worse, or whose rates would lie below cost, is refused when it is read.
"""

import math
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from fedrisk.file_rules import checked
from fedrisk.study_sections import Name
from fedrisk.toml_file import load_toml

Decision = Literal["accept", "refer", "decline"]
ACCEPT: Final = "accept"
REFER: Final = "refer"
DECLINE: Final = "decline"
ORDER: Mapping[Decision, int] = {ACCEPT: 0, REFER: 1, DECLINE: 2}
"""From the best for an applicant to the worst."""

RULES: Mapping[str, str] = {
    "grade": "the grade of the probability of default",
    "no_score": "there is no score",
    "missing": "members of the model do not know the enterprise",
    "old": "members of the model know the enterprise from old data only",
    "withheld": "members may not tell how complete and how old their data are",
    "term": "the term is not one of the product's",
    "turnover": "turnover is not known, and the limit follows from it",
    "exposure": "exposure at other banks is not known, and the limit follows from it",
    "limit": "the limit is below the product's least amount",
    "amount": "the amount is above the limit, or below the product's least amount",
    "cap": "cost and expected loss are above the highest rate",
}
"""By code, the rules by which a table advises, in words; a bank may put its own into [rules]."""

POINTS = 10_000
"""Hundredths of a per cent in one."""


def _whole_points(rate: float) -> float:
    if abs(rate * POINTS - round(rate * POINTS)) > 1e-6:
        raise ValueError(
            f"is {rate:g}, and must be a whole number of hundredths of a per cent, such as 0.0435"
        )
    return rate


Text = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Rate = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), AfterValidator(_whole_points)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Amount = Annotated[int, Field(ge=0, le=10**15)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Grade(_Part):
    """A grade. up_to: highest probability of default in it; those below belong to the grades before it."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+-]{1,8}$")]
    up_to: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]


class Refer(_Part):
    """When a person looks, whatever the grade.

    missing, old: from so many members on that do not know the enterprise, or know it from old data; 0 takes neither
    into account. withheld: whether a person looks where members may not tell how many these are.
    """

    missing: Annotated[int, Field(ge=0)] = 1
    old: Annotated[int, Field(ge=0)] = 1
    withheld: bool = False


class Green(_Part):
    """A discount on the rate.

    measure, at_most: for enterprises whose measure is no more than that; without them, for those that the loan system
    flags.
    """

    discount: Rate
    measure: str | None = None
    at_most: Annotated[float, Field(allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _both(self) -> "Green":
        if (self.measure is None) != (self.at_most is None):
            raise ValueError("green: name measure and at_most together, or neither")
        return self


class GradeRule(_Part):
    """What is advised for one grade.

    most: highest limit. share: the limit as a share of a year's turnover, where one is wanted. margin: of the rate. A
    grade that is declined has none of them.
    """

    grade: str
    decision: Decision
    most: Amount | None = None
    share: Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)] | None = None
    margin: Rate | None = None

    @model_validator(mode="after")
    def _whole(self) -> "GradeRule":
        offered = (self.most, self.share, self.margin)
        if self.decision == DECLINE and any(v is not None for v in offered):
            raise ValueError(f"grade {self.grade} is declined; remove its most, share and margin")
        if self.decision != DECLINE and (self.most is None or self.margin is None):
            raise ValueError(
                f"grade {self.grade} needs most and margin; a person to whom it is referred sees them"
            )
        return self


class Product(_Part):
    """One product.

    Attributes:
        name, currency: as the loan system names it; ISO 4217.
        least, most, step: amounts, and to which whole amounts limits are rounded down.
        least_months, most_months: terms.
        lgd: share of the amount that is lost in a default.
        funding, operating: cost a year, as rates. floor, cap: lowest and highest rate; the cap is what the law allows.
        green: discount. exposure: name of a measure, such as what the enterprise owes other banks, that is taken off
            the limit that follows from turnover.
        grades: one rule for each grade.
    """

    name: Name
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
    least: Amount = 0
    most: Annotated[int, Field(ge=1, le=10**15)]
    step: Annotated[int, Field(ge=1)] = 1
    least_months: Annotated[int, Field(ge=1, le=600)] = 12
    most_months: Annotated[int, Field(ge=1, le=600)] = 12
    lgd: Share
    funding: Rate
    operating: Rate
    floor: Rate = 0.0
    cap: Rate
    green: Green | None = None
    exposure: str | None = None
    grades: Annotated[tuple[GradeRule, ...], Field(min_length=1)]

    def rule(self, grade: str) -> GradeRule:
        """The rule of a grade that the table has."""
        return next(rule for rule in self.grades if rule.grade == grade)


class Decisions(_Part):
    """A whole table.

    pd_months: within how many months the probability counts a default, as the model's label says. most_reasons: how
    many principal reasons are told (commentary on Regulation B of the United States, 12 CFR 1002.9: more than four are
    of little help). reasons: words for each of the bank's columns and for "external data". rules: the bank's own words
    for rules (`RULES`).
    """

    pd_months: Annotated[int, Field(ge=1, le=120)] = 12
    most_reasons: Annotated[int, Field(ge=1, le=4)] = 4
    grades: Annotated[tuple[Grade, ...], Field(min_length=1, max_length=50)]
    refer: Refer = Refer()
    reasons: dict[Annotated[str, StringConstraints(max_length=200)], Text] = Field(default_factory=dict)
    rules: dict[str, Text] = Field(default_factory=dict)
    products: Annotated[tuple[Product, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _consistent(self) -> "Decisions":
        faults = _grade_faults(self.grades)
        names = [p.name for p in self.products]
        faults += [f"product {n} is there twice" for n in sorted({n for n in names if names.count(n) > 1})]
        faults += [
            f"rules: {code} is no rule; rules are {', '.join(RULES)}"
            for code in self.rules
            if code not in RULES
        ]
        if not faults:
            faults = [f"product {p.name}: {f}" for p in self.products for f in _product_faults(self, p)]
        if faults:
            raise ValueError("\n".join(faults))
        return self

    def grade(self, probability: float) -> Grade:
        """The grade of a probability of default, in [0, 1]."""
        return next(g for g in self.grades if probability <= g.up_to)

    def wording(self, reason: str) -> str:
        """Words for a reason; a column without words stands for itself.

        reason: a column, also with the meaning of a special code, such as "months (no record)".
        """
        if reason in self.reasons:
            return self.reasons[reason]
        column, bracket, meaning = reason.partition(" (")
        return self.reasons.get(column, column) + bracket + meaning


def load_decisions(path: str | Path) -> Decisions:
    """Read a table; ConfigError names the file and every rule that it breaks."""
    content: dict[str, Any] = load_toml(Path(path), what="table of decisions")
    return checked(Decisions, content, where=f"table of decisions {path}")


def in_points(rate: float) -> int:
    """A rate of the table in hundredths of a per cent.

    >>> in_points(0.0435)
    435
    """
    return round(rate * POINTS)


def expected_loss(probability: float, lgd: float, months: int, pd_months: int) -> int:
    """Loss to be expected a year, in hundredths of a per cent of the amount, rounded up.

    The probability counts defaults within ``pd_months``; over the term they are taken to come at the same rate all the
    time, and to cost ``lgd`` of the whole amount: lgd (1 - (1 - p)^(months / pd_months)) / years.

    >>> expected_loss(0.03, 0.45, 12, 12), expected_loss(0.03, 0.45, 24, 12)
    (135, 133)
    """
    lost = 1.0 - (1.0 - probability) ** (months / pd_months)
    return math.ceil(round(float(POINTS * lgd * lost * 12 / months), 6))


# --- rules of a table ---------------------------------------------------------------------------------------


def _grade_faults(grades: tuple[Grade, ...]) -> list[str]:
    names = [g.name for g in grades]
    faults = [
        f"grade {n} is there twice; name each once" for n in sorted({n for n in names if names.count(n) > 1})
    ]
    faults += [
        f"grade {b.name} goes up to {b.up_to:g} and {a.name} before it up to {a.up_to:g}: they overlap; list grades "
        "from the best to the worst, each with a higher up_to"
        for a, b in pairwise(grades)
        if b.up_to <= a.up_to
    ]
    if not faults and grades[-1].up_to < 1:
        faults.append(
            f"the last grade {names[-1]} goes up to {grades[-1].up_to:g}, and probabilities above that would have no "
            "grade; give it up_to = 1"
        )
    return faults


def _product_faults(table: Decisions, product: Product) -> list[str]:
    order, ruled = [g.name for g in table.grades], [r.grade for r in product.grades]
    if ruled != order:
        lacking, more = [n for n in order if n not in ruled], [n for n in ruled if n not in order]
        what = (
            f"lacks {', '.join(lacking)}"
            if lacking
            else f"has {', '.join(more)}, which is no grade"
            if more
            else ""
        )
        return [
            f"grades {what or 'stand in another order'}; give one rule for each of {', '.join(order)}, in order"
        ]
    return [*_range_faults(product), *_order_faults(product), *_price_faults(table, product)]


def _range_faults(product: Product) -> list[str]:
    faults = []
    if product.least > product.most:
        faults.append(f"least {product.least} is above most {product.most}; put them in order")
    if product.least_months > product.most_months:
        faults.append("least_months is above most_months; put them in order")
    if product.floor > product.cap:
        faults.append(f"floor {product.floor:g} is above cap {product.cap:g}; put them in order")
    for rule in product.grades:
        if rule.most is not None and not max(product.least, 1) <= rule.most <= product.most:
            faults.append(
                f"grade {rule.grade}: most {rule.most} is not between the product's least {product.least} and most "
                f"{product.most}"
            )
    if product.exposure is not None and all(r.share is None for r in product.grades):
        faults.append("exposure is taken off a limit that follows from turnover, and no grade has a share")
    return faults


def _order_faults(product: Product) -> list[str]:
    """What a worse grade would get and a better one not."""
    faults = []
    for a, b in pairwise(product.grades):
        pair = f"grade {b.grade} after {a.grade}"
        if ORDER[b.decision] < ORDER[a.decision]:
            faults.append(
                f"{pair}: {b.decision} is better than {a.decision}; a worse grade gets no better decision"
            )
        if b.most is not None and a.most is not None and b.most > a.most:
            faults.append(f"{pair}: most {b.most} is above {a.most}; a worse grade gets no higher limit")
        if a.share is not None and b.decision != DECLINE and (b.share is None or b.share > a.share):
            faults.append(
                f"{pair}: a share of at most {a.share:g} is needed; a worse grade gets no higher limit"
            )
        if b.margin is not None and a.margin is not None and b.margin < a.margin:
            faults.append(
                f"{pair}: margin {b.margin:g} is below {a.margin:g}; a worse grade gets no lower rate"
            )
    return faults


def _price_faults(table: Decisions, product: Product) -> list[str]:
    """Rates that would lie below cost."""
    faults = []
    cost = in_points(product.funding) + in_points(product.operating)
    discount = in_points(product.green.discount) if product.green else 0
    for grade, rule in zip(table.grades, product.grades, strict=True):
        if rule.margin is not None and discount > in_points(rule.margin):
            faults.append(
                f"grade {rule.grade}: the green discount is above its margin {rule.margin:g}; the rate would be below "
                "cost"
            )
        terms = {product.least_months, product.most_months}
        worst = max(expected_loss(grade.up_to, product.lgd, months, table.pd_months) for months in terms)
        if rule.decision == ACCEPT and cost + worst > in_points(product.cap):
            faults.append(
                f"grade {rule.grade} is accepted up to a probability of {grade.up_to:g}, where funding, operating cost "
                f"and expected loss are {(cost + worst) / POINTS:g}, above the cap {product.cap:g}: the rate would be "
                "below cost; refer it, or split the grade"
            )
    return faults
