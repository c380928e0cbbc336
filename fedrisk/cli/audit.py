"""``fedrisk audit``: an institution's trail of what came and went, and the trails of several beside each other."""

from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from fedrisk.cli.common import AsJson, InstitutionFile, look
from fedrisk.cli.output import about_use, alert, out, tell, tell_json
from fedrisk.errors import ConfigError, NothingYet, StoreError
from fedrisk.language import _
from fedrisk.language_patterns import retold

if TYPE_CHECKING:
    from fedrisk.audit.entry import AuditEntry
    from fedrisk.engine.handed_over import Compared

audit_app = typer.Typer(
    help="The audit trail: show, verify, export, restore, answer for contradictions.", no_args_is_help=True
)


@audit_app.command("show")
def audit_show(
    institution: InstitutionFile,
    attempt: Annotated[
        str | None,
        typer.Option(
            help="Only entries of this attempt at a study; its first characters do, for example --attempt 3fa9."
        ),
    ] = None,
    last: Annotated[
        int, typer.Option(min=1, help="How many entries, counted from the end, for example 100.")
    ] = 40,
    as_json: AsJson = False,
) -> None:
    """The last entries of the trail, under the study, purpose, consent and attempt that they belong to."""
    from collections import deque

    node = look(institution)
    every = (e for e in node.trail.entries() if attempt is None or e.attempt.startswith(attempt))
    entries = list(deque(every, maxlen=last))
    if attempt is not None and not entries:
        raise ConfigError(
            f"{node.name} has no entry of an attempt that begins with {attempt}; see fedrisk audit show"
        )
    if as_json:
        tell_json([e.to_dict() for e in entries])
        return
    for (day, study, purpose, consent, name), of_one in groupby(entries, key=_heading):
        if not (study or name):
            tell(_("{day}  between studies", day=day))
            out.print(_entries_table(list(of_one)))
            continue
        tell(f"{day}  {about_use(study, purpose, consent)}")
        tell(_("            attempt {name}", name=name or "–"))
        out.print(_entries_table(list(of_one)))


def _heading(entry: "AuditEntry") -> tuple[str, str, str, str, str]:
    return entry.time[:10], entry.study, entry.purpose, entry.consent or "", entry.attempt


def _entries_table(entries: list["AuditEntry"]) -> Table:
    """Entries of one attempt and day, within 80 columns."""
    from fedrisk.report.words import word

    table = Table(show_header=False, box=None, pad_edge=False)
    for width in (6, 8, 9, 10, 8, 8, None):
        table.add_column(justify="right" if width == 6 else "left", width=width, overflow="fold")
    for e in entries:
        price = (
            ""
            if e.spend is None
            else (_("no privacy") if e.spend["research"] else _("mu {mu:.4f}", mu=e.spend["mu"]))
        )
        what = ", ".join(part for part in (e.code or word("kind", e.kind), e.note, price) if part)
        size = f"{e.bytes / 1000:,.1f}k" if e.bytes else ""
        table.add_row(
            *map(escape, (str(e.index), e.time[11:19], e.event, e.action, e.counterparty, size, what))
        )
    return table


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
    as_json: AsJson = False,
) -> None:
    """Check the whole trail, the ledger, and each against the other; exit code 1 where they do not hold."""
    from fedrisk.audit.signed_head import read_signed_head
    from fedrisk.audit.verify import verify
    from fedrisk.clients.books import audit_books

    node = look(institution)
    kept = [read_signed_head(path) for path in head or []]
    notes: tuple[str, ...] = ()
    if node.store.unused:
        raise NothingYet(f"there is nothing to verify at {node.name} yet; the first study begins its trail")
    node.store.refuse_lost_trail()
    if node.trail_path.exists():
        # Signature by signature, whatever was verified before; the books name no entry of their own.
        *former, present = node.store.identities
        found = verify(node.trail_path, present, kept, node.name, former=former)
        notes = found.notes
        if not found.ok and as_json:
            tell_json({"institution": node.name, "holds": False, **asdict(found)})
            raise typer.Exit(1)
        for note in () if as_json else notes:
            tell(_("note: {note}", note=retold(note)))
        if not found.ok:
            where = (
                ""
                if found.first_broken is None
                else _("entry {first_broken}: ", first_broken=found.first_broken)
            )
            tell(_("broken: {where}{why}", where=where, why=retold(found.why)), "red")
            raise typer.Exit(1)
    books = audit_books(node)
    if as_json:
        figures = {"entries": books.entries, "charges": books.charges, "unentered": len(books.unentered)}
        tell_json({"institution": node.name, "holds": True, **figures, "notes": notes})
        return
    tell(_("{name}: {entries} entries hold", name=node.name, entries=books.entries), "green")
    if node.institution.has_table:
        tell(
            _(
                "{name}: {charges} charges of the ledger hold, and are those of the trail",
                name=node.name,
                charges=books.charges,
            ),
            "green",
        )
    if books.unentered:
        tell(
            _(
                "note: charges that are not in the trail yet: {unentered}, of a process that was killed or is "
                "still at it; they are entered with the next study",
                unentered=len(books.unentered),
            )
        )


@audit_app.command("restore")
def audit_restore(
    institution: InstitutionFile,
    reason: Annotated[
        str, typer.Option(help="What happened to the trail; recorded for good. Example: --reason 'disk'")
    ],
    who: Annotated[str, typer.Option(help="Who decides; recorded for good. Example: --who 'A. Person'")],
) -> None:
    """Begin the trail anew after it was changed or lost, where there is no copy; what is left is kept as evidence."""
    from fedrisk.clients.node import Node
    from fedrisk.clients.restore import restore_trail

    node = Node.open(institution)
    with node.store.one_at_a_time():
        folder = restore_trail(node, reason=reason, who=who)
    alert(
        _(
            "recorded; what was there is kept in {folder}. Institutions that keep heads of it refuse studies with "
            "{name} until they have answered ('fedrisk audit answer FILE {name} --reason TEXT'); tell them what "
            "happened",
            folder=folder,
            name=node.name,
        )
    )


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
    lines = node.trail_path.read_bytes().splitlines(keepends=True)[: point.count]
    try:
        to.mkdir(parents=True, exist_ok=True)
        (to / f"{node.name}.jsonl").write_bytes(b"".join(lines))
        (to / f"{node.name}.head.json").write_text(point.to_json(), encoding="utf-8")
        # The present key first, then earlier ones, which the trail itself leads from.
        *former, present = node.store.identities
        lines_of = [f"{key.hex()}\n" for key in (present, *former)]
        (to / f"{node.name}.public").write_text("".join(lines_of), encoding="utf-8")
    except OSError as error:
        raise StoreError(
            f"{error.filename or to} cannot be written: {error.strerror}; name another folder"
        ) from None
    tell(_("{count} entries in {to}", count=point.count, to=to))


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
    tell(_("recorded in the trail of {name}; the heads are kept as evidence", name=node.name))
    if peer == node.name:
        tell(
            _(
                "what the trail has is charged again; charge by hand (lower the cap) what was released since the copy"
            ),
            "bold red",
        )


@audit_app.command("compare")
def audit_compare(
    folder: Annotated[
        Path,
        typer.Argument(
            help="Folder with exported trails (NAME.jsonl, .head.json, .public), or with a run's results and "
            "the tables that its members signed (disclosures.json), for example handed or results/may."
        ),
    ],
    institution: Annotated[
        Path | None,
        typer.Option(
            "--institution",
            metavar="FILE",
            help="An institution's file, with whose pinned keys the others' are compared, for example bank.toml.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """For whoever was handed trails or signed tables: check each with its key, and compare what they say of each other.

    Exit code 1 where one does not hold or two disagree. Compare the printed keys with the pinned ones, or name an
    institution's file whose pins they are held against.
    """
    from fedrisk.engine.handed_over import compare
    from fedrisk.report.words import sentence

    node = None if institution is None else look(institution)
    found = compare(folder, None if node is None else node.store.pins)
    differ = [(attempt, sentence(one)) for attempt, one in found.disagreements]
    broken = [sentence(one) for one in found.broken]
    if as_json:
        tell_json(
            {
                "trails": {
                    name: {"key": t.key, "holds": t.result.ok, **asdict(t.result)}
                    for name, t in found.trails.items()
                },
                "tables": [
                    {"institution": t.institution, "attempt": t.attempt, "key": t.key, "lines": len(t.lines)}
                    for t in found.tables
                ],
                "attempts": found.attempts,
                "broken": broken,
                "disagreements": [list(one) for one in differ],
                "absent": [list(one) for one in found.absent],
            }
        )
    else:
        _tell_compared(found, broken, differ)
    if not found.ok:
        raise typer.Exit(1)


def _tell_compared(found: "Compared", broken: list[str], differ: list[tuple[str, str]]) -> None:
    """What was found, for people."""
    for name, trail in found.trails.items():
        why = _(
            "broken at {first_broken}: {why}",
            first_broken=trail.result.first_broken,
            why=retold(trail.result.why),
        )
        tell(
            _(
                "{name}: {entries}; key {key}",
                name=name,
                entries=_("{entries} entries hold", entries=trail.result.entries) if trail.result.ok else why,
                key=trail.key,
            )
        )
    for table in found.tables:
        tell(
            _(
                "{institution}: table of attempt {attempt} holds, {lines} lines; key {key}",
                institution=table.institution,
                attempt=table.attempt,
                lines=len(table.lines),
                key=table.key,
            )
        )
    for words in broken:
        tell(words, "red")
    for attempt, words in differ:
        tell(f"{attempt}: {words}", "red")
    for attempt, name in found.absent:
        tell(
            _(
                "{attempt}: neither table nor trail of {name} is here, and others name it",
                attempt=attempt,
                name=name,
            )
        )
    tables = _(", {tables} signed tables", tables=len(found.tables)) if found.tables else ""
    tell(
        _(
            "{trails} trails{tables}, {attempts} attempts compared",
            trails=len(found.trails),
            tables=tables,
            attempts=len(found.attempts),
        )
    )
