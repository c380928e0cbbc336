"""``fedrisk budget``: what was spent of an institution's privacy budget, and acts that change it."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from fedrisk.cli.common import AsJson, InstitutionFile, ShowFirst, look
from fedrisk.cli.output import alert, out, tell, tell_json
from fedrisk.language import N_, _
from fedrisk.language_patterns import retold

if TYPE_CHECKING:
    from fedrisk.clients.node import Node
    from fedrisk.privacy.ledger.report import BudgetReport

budget_app = typer.Typer(
    cls=ShowFirst, help="The privacy budget: spent, reserved, left, for life.", no_args_is_help=True
)


@budget_app.command("show")
def budget_show(institution: InstitutionFile, as_json: AsJson = False) -> None:
    """What was spent, what is reserved, what is left and the lifetime figure, by study and by purpose."""
    node = look(institution)
    report = node.ledger.report()
    if as_json:
        tell_json({"institution": node.name, **report.to_dict()})
        return
    _print_budget(node, report)


@budget_app.command("grant")
def budget_grant(
    institution: InstitutionFile,
    reason: Annotated[str, typer.Option(help="Why, for example 'one more refit'; recorded for good.")],
    who: Annotated[str, typer.Option(help="Who decides, for example 'A. Officer'; recorded for good.")],
    epsilon: Annotated[
        float | None,
        typer.Option(help="By how much the cap's epsilon rises, at delta 1e-6; for example 1 makes 4 to 5."),
    ] = None,
    study: Annotated[
        float | None,
        typer.Option(
            help="In place of --epsilon: as much as one more study of this epsilon needs, for example 1."
        ),
    ] = None,
) -> None:
    """Raise the cap of the current period by an act that is recorded and cannot be taken back."""
    from fedrisk.clients.node import Node
    from fedrisk.errors import ConfigError
    from fedrisk.privacy.accounting import mu_for
    from fedrisk.privacy.ledger.caps import DELTA
    from fedrisk.privacy.ledger.plain import grant_for_study, left_in_words

    if (epsilon is None) == (study is None):
        raise typer.BadParameter(
            "a grant needs either --epsilon or --study, and not both", param_hint="--epsilon"
        )
    node = Node.open(institution)
    before = node.ledger.report()
    if study is not None:
        needed = grant_for_study(before.spent.mu, before.cap.mu, mu_for(study, DELTA))
        if not needed:
            raise ConfigError(f"a study of epsilon {study:g} fits already; see fedrisk budget show")
        after = node.ledger.grant(mu=needed, reason=reason, who=who)
    else:
        after = node.ledger.grant(epsilon=epsilon, reason=reason, who=who)
    tell(
        _(
            "granted: the cap was epsilon {epsilon:.2f} and is {epsilon2:.2f}; left was {mu} and is {mu2}",
            epsilon=before.cap.epsilon,
            epsilon2=after.cap.epsilon,
            mu=retold(left_in_words(before.left.mu)),
            mu2=retold(left_in_words(after.left.mu)),
        )
    )
    _print_budget(node, after)


@budget_app.command("restore")
def budget_restore(
    institution: InstitutionFile,
    reason: Annotated[
        str, typer.Option(help="What happened to the ledger, for example 'disk lost'; recorded for good.")
    ],
    who: Annotated[str, typer.Option(help="Who decides, for example 'A. Officer'; recorded for good.")],
) -> None:
    """Go on after the ledger was lost or changed: all that the audit trail has is charged again."""
    from fedrisk.clients.node import Node
    from fedrisk.clients.restore import restore_ledger

    node = Node.open(institution)
    with node.store.one_at_a_time():
        done = restore_ledger(node, reason=reason, who=who)
    alert(
        _(
            "recorded; releases charged again from the audit trail: {charged}. What is in neither of the two is "
            "not charged: lower the cap for it",
            charged=done.charged,
        ),
        "bold red",
    )
    if done.kept is not None:
        kept = _(
            "the ledger did not hold and is kept as {kept}; grants that were in it have to be made again",
            kept=done.kept,
        )
        alert(kept, "bold red")
    _print_budget(node, node.ledger.report())


def _print_budget(node: "Node", report: "BudgetReport") -> None:
    from fedrisk.privacy.ledger.plain import epsilon_down, percent_used

    period = (
        _("for life")
        if report.period_start is None
        else _(
            "{period_start} to {period_end}", period_start=report.period_start, period_end=report.period_end
        )
    )
    tell(_("privacy budget of {name}, {period}, epsilon at delta 1e-6", name=node.name, period=period))
    used = percent_used(report.spent.mu, report.cap.mu)
    full = round(used / 2)
    bar = "#" * full + "." * (50 - full)
    tell(f"[{bar}] " + _("{used} % used, {left} % left", used=used, left=100 - used))
    table = Table("", "epsilon", "mu", show_header=True)
    for label, title in _AMOUNTS:
        amount = getattr(report, label)
        epsilon = epsilon_down(amount.mu) if label == "left" else amount.epsilon
        table.add_row(_(title), f"{epsilon:.2f}", f"{amount.mu:.4f}")
        if label == "cap" and report.granted.mu:
            table.add_row(_("  of it granted"), f"{report.granted_epsilon:.2f}", "")
    out.print(table)
    for title, parts in ((_("study"), report.by_study), (_("purpose"), report.by_purpose)):
        if parts:
            table = Table(title, _("spent, epsilon"), _("cap"), _("left"))
            for key, part in parts.items():
                cap = "–" if part.cap is None else f"{part.cap.epsilon:.2f}"
                left = "–" if part.left is None else f"{epsilon_down(part.left.mu):.2f}"
                table.add_row(key, f"{part.spent.epsilon:.2f}", cap, left)
            out.print(table)
    for line in _room(node, report):
        tell(line)
    tell(
        _(
            "{entries} releases, {research} of them in research runs without privacy. Shares are of mu squared, "
            "which adds up; epsilon does not. A cap a period is no lifetime guarantee.",
            entries=report.entries,
            research=report.research,
        )
    )


_AMOUNTS = (
    ("cap", N_("cap")),
    ("spent", N_("spent")),
    ("reserved", N_("  of it reserved")),
    ("left", N_("left")),
    ("lifetime", N_("spent for life")),
)


def _room(node: "Node", report: "BudgetReport") -> list[str]:
    """How many studies still fit, of epsilon 1 and of the most that the policy takes, and what one more would need."""
    from fedrisk.privacy.accounting import mu_for
    from fedrisk.privacy.ledger.caps import DELTA
    from fedrisk.privacy.ledger.plain import grant_up, studies_in_words, studies_left

    lines = []
    for epsilon in sorted({1.0, node.institution.policy.max_epsilon}):
        each = mu_for(epsilon, DELTA)
        number = studies_left(report.spent.mu, report.cap.mu, each)
        line = _("{number} of epsilon {epsilon:g}", number=retold(studies_in_words(number)), epsilon=epsilon)
        if number == 0:
            needed = grant_up(report.spent.mu, report.cap.mu, each)
            line += _("; one more needs a grant of epsilon {needed:.2f}", needed=needed)
        lines.append(line)
    return lines
