"""``fedrisk audit``: an institution's trail of what came and went, and the trails of several beside each other."""

from pathlib import Path
from typing import Annotated

import typer

from fedrisk.cli.output import InstitutionFile, look, out

audit_app = typer.Typer(
    help="The audit trail: show, verify, export, answer for contradictions.", no_args_is_help=True
)


@audit_app.command("show")
def audit_show(
    institution: InstitutionFile,
    attempt: Annotated[
        str | None,
        typer.Option(
            help="Only entries of this attempt at a study, for example bf3cee51d42228b73634ce413d53a452."
        ),
    ] = None,
    last: Annotated[
        int, typer.Option(min=1, help="How many entries, counted from the end, for example 100.")
    ] = 40,
) -> None:
    """The last entries of the trail."""
    from collections import deque

    from fedrisk.report.words import word

    node = look(institution)
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
        typer.Option(
            "--head",
            "--checkpoint",
            help="A signed head that another kept of this institution, for example bank.head.json.",
        ),
    ] = None,
) -> None:
    """Check the whole trail; exit code 1, with the first broken entry, where it does not hold."""
    from fedrisk.audit.signed_head import SignedHead
    from fedrisk.audit.verify import verify

    node = look(institution)
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
    to: Annotated[
        Path,
        typer.Option(
            "--to", help="Folder for the trail, a signed head and the public key, for example handed."
        ),
    ],
) -> None:
    """Hand the trail over: entries, a fresh signed head, and the key to check them with."""
    from fedrisk.clients.witness import own_head

    node = look(institution)
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
        str,
        typer.Argument(
            help="Whose heads contradict each other, for example tax; the own name after a loss here."
        ),
    ],
    reason: Annotated[
        str,
        typer.Option(help="What happened and what was compared, for example 'disk lost'; recorded for good."),
    ],
    who: Annotated[
        str | None,
        typer.Option(help="Who answers, for example 'A. Officer'; the name of the login where left out."),
    ] = None,
) -> None:
    """Answer for signed heads that contradict each other, so that studies with PEER are taken again."""
    from fedrisk.clients.node import Node
    from fedrisk.clients.witness import answer

    node = Node.open(institution)
    with node.store.one_at_a_time():
        answer(node, peer, reason=reason, who=who)
    out.print(f"recorded in the trail of {node.name}; the heads are kept as evidence", markup=False)
    if peer == node.name:
        out.print("charge by hand what was released since the copy was made", style="bold red")


@audit_app.command("compare")
def audit_compare(
    folder: Annotated[
        Path,
        typer.Argument(
            help="Folder with exported trails (NAME.jsonl, .head.json, .public), for example handed."
        ),
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
