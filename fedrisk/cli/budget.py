"""``fedrisk budget``: what was spent of an institution's privacy budget, and acts that change it."""

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from fedrisk.cli.output import AsJson, InstitutionFile, ShowFirst, look, out

if TYPE_CHECKING:
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
        typer.echo(json.dumps({"institution": node.name, **report.to_dict()}, indent=1))
        return
    _print_budget(node.name, report)


@budget_app.command("grant")
def budget_grant(
    institution: InstitutionFile,
    epsilon: Annotated[
        float, typer.Option(help="What to add to the cap of this period, at delta 1e-6, for example 1.")
    ],
    reason: Annotated[str, typer.Option(help="Why, for example 'one more refit'; recorded for good.")],
    who: Annotated[str, typer.Option(help="Who decides, for example 'A. Officer'; recorded for good.")],
) -> None:
    """Raise the cap of the current period by an act that is recorded and cannot be taken back."""
    from fedrisk.clients.node import Node

    node = Node.open(institution)
    _print_budget(node.name, node.ledger.grant(epsilon=epsilon, reason=reason, who=who))


@budget_app.command("restore")
def budget_restore(
    institution: InstitutionFile,
    reason: Annotated[
        str, typer.Option(help="What happened to the ledger, for example 'disk lost'; recorded for good.")
    ],
    who: Annotated[str, typer.Option(help="Who decides, for example 'A. Officer'; recorded for good.")],
) -> None:
    """Go on after the latest ledger was lost, with an older copy or a new one. Charges since then are NOT in it."""
    from fedrisk.clients.node import Node
    from fedrisk.privacy.ledger.ledger import Ledger

    node = Node.open(institution)
    path = node.store.path / "ledger.sqlite"
    ledger = Ledger.acknowledge_restore(path, node.institution.policy.caps, reason=reason, who=who)
    out.print("recorded; charge by hand what was released since the copy was made", style="bold red")
    _print_budget(node.name, ledger.report())


def _print_budget(name: str, report: "BudgetReport") -> None:
    period = "for life" if report.period_start is None else f"{report.period_start} to {report.period_end}"
    out.print(f"privacy budget of {name}, {period}, epsilon at delta 1e-6", highlight=False)
    share = (report.spent.mu / report.cap.mu) ** 2 if report.cap.mu else 1.0
    full = round(50 * min(share, 1.0))
    out.print(f"[{'#' * full}{'.' * (50 - full)}] {share:.0%} of the cap used", markup=False, highlight=False)
    table = Table("", "epsilon", "mu", show_header=True)
    for label in ("cap", "granted", "spent", "reserved", "left", "lifetime"):
        amount = getattr(report, label)
        table.add_row(label, f"{amount.epsilon:.2f}", f"{amount.mu:.4f}")
    out.print(table)
    for title, parts in (("study", report.by_study), ("purpose", report.by_purpose)):
        if parts:
            table = Table(title, "spent, epsilon", "cap", "left")
            for key, part in parts.items():
                limits = ("–" if a is None else f"{a.epsilon:.2f}" for a in (part.cap, part.left))
                table.add_row(key, f"{part.spent.epsilon:.2f}", *limits)
            out.print(table)
    out.print(
        f"{report.entries} releases, {report.research} of them in research runs without privacy. Squares of mu add "
        "up; a cap a period is no lifetime guarantee.",
        highlight=False,
        soft_wrap=True,
    )
