"""An institution's own commands: what was spent, what is allowed, what was used, and what left.

They read the institution's own file and store and nothing of anybody else.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from click import Context
from rich.console import Console
from rich.table import Table
from typer.core import TyperGroup

if TYPE_CHECKING:
    from fedrisk.privacy.ledger.report import BudgetReport

out = Console()


class _ShowFirst(TyperGroup):
    """``budget FILE`` is ``budget show FILE``: a first word that is no command of the group is an argument."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            args = ["show", *args]
        return super().parse_args(ctx, args)


budget_app = typer.Typer(
    cls=_ShowFirst, help="The privacy budget: spent, reserved, left, for life.", no_args_is_help=True
)
policy_app = typer.Typer(help="The policy: what this institution allows.", no_args_is_help=True)
audit_app = typer.Typer(
    help="The audit trail: show, verify, export, answer for contradictions.", no_args_is_help=True
)

InstitutionFile = Annotated[Path, typer.Argument(help="The institution's own file (TOML).")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]


@budget_app.command("show")
def budget_show(institution: InstitutionFile, as_json: AsJson = False) -> None:
    """What was spent, what is reserved, what is left and the lifetime figure, by study and by purpose."""
    from fedrisk.clients.node import Node

    node = Node.load(institution)
    report = node.ledger.report()
    if as_json:
        typer.echo(json.dumps({"institution": node.name, **report.to_dict()}, indent=1))
        return
    _print_budget(node.name, report)


@budget_app.command("grant")
def budget_grant(
    institution: InstitutionFile,
    epsilon: Annotated[float, typer.Option(help="What to add to the cap of this period, at delta 1e-6.")],
    reason: Annotated[str, typer.Option(help="Why; recorded for good.")],
    who: Annotated[str, typer.Option(help="Who decides; recorded for good.")],
) -> None:
    """Raise the cap of the current period by an act that is recorded and cannot be taken back."""
    from fedrisk.clients.node import Node

    node = Node.load(institution)
    _print_budget(node.name, node.ledger.grant(epsilon=epsilon, reason=reason, who=who))


@budget_app.command("restore")
def budget_restore(
    institution: InstitutionFile,
    reason: Annotated[str, typer.Option(help="What happened to the ledger; recorded for good.")],
    who: Annotated[str, typer.Option(help="Who decides; recorded for good.")],
) -> None:
    """Go on after the latest ledger was lost, with an older copy or a new one. Charges since then are NOT in it."""
    from fedrisk.clients.node import Node
    from fedrisk.privacy.ledger.ledger import Ledger

    node = Node.load(institution)
    path = node.store.path / "ledger.sqlite"
    ledger = Ledger.acknowledge_restore(path, node.institution.policy.caps, reason=reason, who=who)
    out.print("recorded; charge by hand what was released since the copy was made", style="bold red")
    _print_budget(node.name, ledger.report())


@policy_app.command("check")
def policy_check(
    institution: InstitutionFile,
    study_file: Annotated[Path, typer.Argument(help="Study file (TOML).")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the study.")
    ] = None,
) -> None:
    """Would this study be allowed here, what would it cost, and what would be left; exit code 1 where refused."""
    from fedrisk.clients.node import Node
    from fedrisk.recipes import load_study, recipe_of

    node, study = Node.load(institution), load_study(study_file, overrides or [])
    study.role_of(node.name)
    broken = node.institution.policy.broken(study, institution=node.name, research=False)
    mu = recipe_of(study).plan(study, ()).price[node.name]
    left = node.ledger.left(study=study.name, purpose=study.purpose)
    if mu > left * (1 + 1e-9):
        broken.append(f"it asks mu {mu:.3f} and {left:.3f} is left; see fedrisk budget show")
    after = max(left**2 - mu**2, 0.0) ** 0.5
    delta = study.privacy.delta
    out.print(
        f"{node.name}, study {study.name}: costs epsilon {study.privacy.epsilon:g} (mu {mu:.3f}); left now "
        f"{_epsilon(left, delta)}, after it {_epsilon(after, delta)} at delta {delta:g}",
        highlight=False,
        soft_wrap=True,
    )
    for rule in broken:
        out.print(f"  refused: {rule}", style="red", markup=False, highlight=False, soft_wrap=True)
    if broken:
        raise typer.Exit(1)
    out.print("allowed", style="green")


def meter(
    institution: InstitutionFile,
    csv: Annotated[bool, typer.Option("--csv", help="As CSV, for a spreadsheet.")] = False,
) -> None:
    """What was used, by counterparty, purpose and month: requests, releases, price, rows, scores, bytes."""
    from fedrisk.audit.usage import to_csv, usage_rows
    from fedrisk.clients.node import Node

    node = Node.load(institution)
    rows = usage_rows(node.trail.entries())
    if csv:
        typer.echo(to_csv(rows), nl=False)
        return
    heads = (
        "month",
        "with",
        "purpose",
        "asked",
        "released",
        "refused",
        "mu",
        "rows",
        "scores",
        "MB in",
        "MB out",
    )
    table = Table(*heads, title=f"use of {node.name}", title_justify="left", box=None, pad_edge=False)
    for row in rows:
        table.add_row(
            *(
                row.month,
                row.counterparty,
                row.purpose,
                str(row.requests),
                str(row.releases),
                str(row.refusals),
            ),
            *(f"{row.mu:.3f}", f"{row.rows:,}", f"{row.scores:,}"),
            *(f"{row.bytes_in / 1e6:.1f}", f"{row.bytes_out / 1e6:.1f}"),
        )
    out.print(table, width=120)


def quota(
    institution: InstitutionFile,
    name: Annotated[str, typer.Argument(help="Which institution's quota.")],
    epoch: Annotated[str, typer.Option(help="The epoch, as the studies name it (alignment.epoch).")] = "1",
    size: Annotated[
        int | None, typer.Option(min=1, help="The new agreed size; left out, it is only shown.")
    ] = None,
) -> None:
    """At the key authority: how many ids an institution may have evaluated in an epoch; raise it with --size."""
    from fedrisk.clients.attempt import epoch_tag
    from fedrisk.clients.node import Node

    node = Node.load(institution)
    fingerprint, tag, account = node.store.fingerprint(name), epoch_tag(node.name, epoch), node.store.quota
    if size is not None:
        account.redeclare(fingerprint, tag, size)
    agreed = account.size(fingerprint, tag)
    used = account.used(fingerprint, tag)
    shown = "none agreed yet" if agreed is None else f"{used:,} of {agreed:,} used"
    out.print(f"{name}, epoch {epoch}: {shown}", highlight=False)


@audit_app.command("show")
def audit_show(
    institution: InstitutionFile,
    attempt: Annotated[str | None, typer.Option(help="Only entries of this attempt at a study.")] = None,
    last: Annotated[int, typer.Option(min=1, help="How many entries, counted from the end.")] = 40,
) -> None:
    """The last entries of the trail."""
    from collections import deque

    from fedrisk.clients.node import Node
    from fedrisk.report.words import word

    node = Node.load(institution)
    node_entries = node.trail.entries() if attempt is None else node.trail.entries(attempt=attempt)
    for e in deque(node_entries, maxlen=last):
        price = (
            "" if e.spend is None else ("no privacy" if e.spend["research"] else f"mu {e.spend['mu']:.4f}")
        )
        what = " ".join(part for part in (e.code or word("kind", e.kind), e.note, price) if part)
        line = f"{e.index:>6}  {e.time[:19]}  {e.event:<9} {e.action:<10} {e.counterparty:<16} {e.bytes:>11,}  {what}"
        out.print(line.rstrip(), markup=False, highlight=False, soft_wrap=True)


@audit_app.command("verify")
def audit_verify(
    institution: InstitutionFile,
    head: Annotated[
        list[Path] | None,
        typer.Option("--head", "--checkpoint", help="Signed heads that others kept of this institution."),
    ] = None,
) -> None:
    """Check the whole trail; exit code 1, with the first broken entry, where it does not hold."""
    from fedrisk.audit.signed_head import SignedHead
    from fedrisk.audit.verify import verify
    from fedrisk.clients.node import Node

    node = Node.load(institution)
    kept = [SignedHead.from_json(path.read_text(encoding="utf-8")) for path in head or []]
    found = verify(node.store.path / "audit.jsonl", node.store.identity.public, kept, node.name)
    for note in found.notes:
        out.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)
    if not found.ok:
        where = "" if found.first_broken is None else f"entry {found.first_broken}: "
        out.print(f"broken: {where}{found.why}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1)
    out.print(f"{node.name}: {found.entries} entries hold", style="green")


@audit_app.command("export")
def audit_export(
    institution: InstitutionFile,
    to: Annotated[Path, typer.Option("--to", help="Folder for the trail, a signed head and the public key.")],
) -> None:
    """Hand the trail over: entries, a fresh signed head, and the key to check them with."""
    from fedrisk.clients.node import Node
    from fedrisk.clients.witness import own_head

    node = Node.load(institution)
    point = own_head(node)
    to.mkdir(parents=True, exist_ok=True)
    lines = (node.store.path / "audit.jsonl").read_bytes().splitlines(keepends=True)[: point.count]
    (to / f"{node.name}.jsonl").write_bytes(b"".join(lines))
    (to / f"{node.name}.head.json").write_text(point.to_json(), encoding="utf-8")
    (to / f"{node.name}.public").write_text(node.store.identity.public.hex() + "\n", encoding="utf-8")
    out.print(f"{point.count} entries in {to}", markup=False)


@audit_app.command("answer")
def audit_answer(
    institution: InstitutionFile,
    peer: Annotated[
        str, typer.Argument(help="Whose heads contradict each other; the own name after a loss here.")
    ],
    reason: Annotated[str, typer.Option(help="What happened and what was compared; recorded for good.")],
    who: Annotated[
        str | None, typer.Option(help="Who answers; the name of the login where left out.")
    ] = None,
) -> None:
    """Answer for signed heads that contradict each other, so that studies with PEER are taken again."""
    from fedrisk.clients.node import Node
    from fedrisk.clients.witness import answer

    node = Node.load(institution)
    with node.store.one_at_a_time():
        answer(node, peer, reason=reason, who=who)
    out.print(f"recorded in the trail of {node.name}; the heads are kept as evidence", markup=False)
    if peer == node.name:
        out.print("charge by hand what was released since the copy was made", style="bold red")


@audit_app.command("compare")
def audit_compare(
    folder: Annotated[
        Path, typer.Argument(help="Folder with exported trails (NAME.jsonl, .head.json, .public).")
    ],
) -> None:
    """For whoever was handed trails: check each with its key and signed head, and compare what they say of each other.

    Exit code 1 where one does not hold or two disagree. Compare the printed keys with the pinned ones.
    """
    from fedrisk.audit.crosscheck import crosscheck
    from fedrisk.audit.signed_head import SignedHead
    from fedrisk.audit.verify import read, verify
    from fedrisk.engine.in_process import disagreement_finding
    from fedrisk.report.words import sentence

    trails, broken = {}, False
    for path in sorted(folder.glob("*.jsonl")):
        name = path.stem
        key = bytes.fromhex((folder / f"{name}.public").read_text(encoding="ascii").strip())
        point = SignedHead.from_json((folder / f"{name}.head.json").read_text(encoding="utf-8"))
        found = verify(path, key, [point], name)
        held = f"{found.entries} entries hold" if found.ok else f"broken at {found.first_broken}: {found.why}"
        out.print(f"{name}: {held}; key {key.hex()}", markup=False, highlight=False, soft_wrap=True)
        broken = broken or not found.ok
        trails[name] = list(read(path))
    attempts = sorted({entry.attempt for entries in trails.values() for entry in entries if entry.attempt})
    for attempt in attempts:
        for found_one in crosscheck(trails, attempt):
            broken = True
            words = sentence(disagreement_finding(found_one))
            out.print(f"{attempt}: {words}", style="red", markup=False, highlight=False, soft_wrap=True)
    out.print(f"{len(trails)} trails, {len(attempts)} attempts compared")
    if broken or not trails:
        raise typer.Exit(1)


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


def _epsilon(mu: float, delta: float) -> str:
    from fedrisk.privacy.accounting import epsilon_for

    return f"epsilon {epsilon_for(mu, delta):.2f}" if mu > 0 else "nothing"
