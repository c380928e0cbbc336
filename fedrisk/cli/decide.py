"""``fedrisk decide``: a bank's table of decisions as people read it, and what it would advise for one case."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedrisk.cli.common import AsJson
from fedrisk.cli.output import note, out, plain_table, tell, tell_json
from fedrisk.language import _

if TYPE_CHECKING:
    from fedrisk.serving.decision_table import Decisions, GradeRule, Product
    from fedrisk.serving.decisions import Advice

decide_app = typer.Typer(
    help="A bank's table of decisions: advice about limit, rate and reasons.", no_args_is_help=True
)

TableFile = Annotated[
    Path, typer.Argument(help="The table (TOML), for example configs/decisions.toml.", show_default=False)
]


@decide_app.command("check")
def decide_check(
    file: TableFile,
    institution: Annotated[
        Path | None,
        typer.Option(
            help="The bank's file, whose columns are looked for among the reasons, for example institutions/bank.toml."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the table as people read it; exit code 3 where it breaks a rule, 1 where a column lacks its words."""
    from fedrisk.serving.decision_table import load_decisions

    table = load_decisions(file)
    lacking = [] if institution is None else _without_words(table, institution)
    if as_json:
        tell_json({"table": table.model_dump(), "without_words": lacking})
    else:
        for product in table.products:
            _show(table, product)
        _show_rest(table)
    if lacking:
        note(
            _(
                "[reasons] has no words for {lacking}; an applicant would be told the column's name",
                lacking=", ".join(lacking),
            ),
            style="yellow",
        )
        raise typer.Exit(1)


@decide_app.command("try")
def decide_try(
    file: TableFile,
    product: Annotated[str, typer.Option(help="Product of the table, for example working_capital.")],
    probability: Annotated[
        float | None,
        typer.Option(help="Probability of default, for example 0.03; without it there is no score."),
    ] = None,
    amount: Annotated[float | None, typer.Option(help="Amount asked for, for example 300000.")] = None,
    months: Annotated[
        int | None, typer.Option(help="Term in months, for example 12; default: the product's shortest.")
    ] = None,
    turnover: Annotated[float | None, typer.Option(help="Turnover of a year, for example 4000000.")] = None,
    missing: Annotated[int, typer.Option(help="Members that do not know the enterprise, for example 1.")] = 0,
    old: Annotated[int, typer.Option(help="Members that know it from old data only, for example 1.")] = 0,
    green: Annotated[bool, typer.Option("--green", help="The loan system flags it as green.")] = False,
    measure: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A measure, repeatable, for example total_exposure=500000."),
    ] = None,
    reason: Annotated[
        list[str] | None,
        typer.Option(help="A reason of the score, repeatable, the strongest first, for example limit_used."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """What the table would advise for one case: decision, limit, rate in its parts, reasons."""
    from fedrisk.serving.decisions import Case, advise, load_decisions

    table = load_decisions(file)
    case = Case(
        product=product,
        probability=probability,
        amount=amount,
        months=months,
        turnover=turnover,
        missing=missing,
        old=old,
        green=green,
        measures=dict(_measures(measure or [])),
        reasons=tuple(reason or ()),
    )
    advice = advise(table, case)
    if as_json:
        tell_json(advice.to_dict())
        return
    for line in lines_of(table, advice):
        tell(line)


def lines_of(table: "Decisions", advice: "Advice") -> Iterator[str]:
    """The advice as people read it, its notice last."""
    from fedrisk.serving.decisions import RULES

    def words(code: str) -> str:
        return table.rules.get(code, RULES[code])

    grade = _("grade {grade}", grade=advice.grade) if advice.grade else _("no grade")
    yield _(
        "{decision}: {product}, {grade}, {months} months",
        decision=advice.decision.upper(),
        product=advice.product,
        grade=grade,
        months=advice.months,
    )
    yield _("by: {rules}", rules="; ".join(words(code) for code in advice.rules))
    if advice.limit is not None:
        yield _("limit: {limit:,} {currency}", limit=advice.limit, currency=advice.currency)
    if advice.rate is not None:
        parts = " ".join(
            f"{'-' if p.rate < 0 else '+'} {p.name} {percent(abs(p.rate))}" for p in advice.parts
        )
        yield _(
            "rate: {rate} a year = {parts}",
            rate=percent(advice.rate),
            parts=parts.removeprefix("+ "),
        )
    if advice.reasons:
        yield _("reasons to be told:")
        yield from (f"  {number}. {text}" for number, text in enumerate(advice.reasons, 1))
    yield advice.notice


def percent(rate: float) -> str:
    """A rate as people write it.

    >>> percent(0.0435)
    '4.35 %'
    """
    return f"{100 * rate:.2f} %"


def _measures(given: list[str]) -> Iterator[tuple[str, float]]:
    for text in given:
        name, equals, value = text.partition("=")
        try:
            if not (name and equals):
                raise ValueError
            yield name.strip(), float(value)
        except ValueError:
            raise typer.BadParameter("write NAME=VALUE, for example total_exposure=500000") from None


def _without_words(table: "Decisions", institution: Path) -> list[str]:
    """Features of the bank, and "external data", for which the table has no words."""
    from fedrisk.institution import load_institution
    from fedrisk.models.scorecard import EXTERNAL

    dictionary = load_institution(institution).described()
    columns = [] if dictionary is None else [c.name for c in dictionary.features]
    return [name for name in (*columns, EXTERNAL) if name not in table.reasons]


def _show(table: "Decisions", product: "Product") -> None:
    from fedrisk.serving.decision_table import POINTS, expected_loss, in_points

    shown = plain_table(
        _(
            "{name}: {least:,} to {most:,} {currency}, {least_months} to {most_months} months",
            name=product.name,
            least=product.least,
            most=product.most,
            currency=product.currency,
            least_months=product.least_months,
            most_months=product.most_months,
        ),
        *("grade", "probability", "advice", "limit", "of turnover", "margin", "rate from", "rate to"),
        right=("limit", "of turnover", "margin", "rate from", "rate to"),
        whole=("probability", "limit", "rate from", "rate to"),
    )
    low = 0.0
    cost = in_points(product.funding) + in_points(product.operating)
    for grade, rule in zip(table.grades, product.grades, strict=True):
        ends = [
            _bounded(
                product,
                cost
                + expected_loss(p, product.lgd, product.least_months, table.pd_months)
                + in_points(rule.margin or 0),
            )
            / POINTS
            for p in (low, grade.up_to)
        ]
        shown.add_row(
            grade.name,
            _("{low:g} to {up_to:g} %", low=100 * low, up_to=100 * grade.up_to),
            rule.decision,
            *_offer(rule, ends),
        )
        low = grade.up_to
    out.print(shown)
    tell(
        _(
            "  rate: funding {funding}, operating {operating}, loss in a default {lgd:g} %, floor {floor}, cap "
            "{cap}{product}",
            funding=percent(product.funding),
            operating=percent(product.operating),
            lgd=100 * product.lgd,
            floor=percent(product.floor),
            cap=percent(product.cap),
            product=_green(product),
        )
    )
    if product.exposure is not None:
        tell(_("  {exposure} is taken off the limit by turnover", exposure=product.exposure))
    tell("")


def _bounded(product: "Product", points: int) -> int:
    from fedrisk.serving.decision_table import in_points

    return min(max(points, in_points(product.floor)), in_points(product.cap))


def _offer(rule: "GradeRule", ends: list[float]) -> tuple[str, ...]:
    if rule.most is None or rule.margin is None:
        return ("",) * 5
    share = "" if rule.share is None else f"{100 * rule.share:g} %"
    return (f"{rule.most:,}", share, percent(rule.margin), *(percent(e) for e in ends))


def _green(product: "Product") -> str:
    if product.green is None:
        return ""
    whom = (
        _("those that are flagged")
        if product.green.measure is None
        else _("{measure} up to {at_most:g}", measure=product.green.measure, at_most=product.green.at_most)
    )
    return _(", green {discount} off for {whom}", discount=percent(product.green.discount), whom=whom)


def _show_rest(table: "Decisions") -> None:
    from fedrisk.serving.decisions import NOTICE

    counts: list[tuple[str, Any]] = [
        (_("do not know the enterprise"), table.refer.missing),
        (_("know it from old data only"), table.refer.old),
    ]
    for what, least in counts:
        if least:
            tell(_("a person looks where {least} member(s) or more {what}", least=least, what=what))
    if table.refer.withheld:
        tell(_("a person looks where members may not tell this"))
    tell(
        _(
            "the probability counts defaults within {pd_months} months; rates are those of the shortest term",
            pd_months=table.pd_months,
        )
    )
    tell(f"{NOTICE}")
