"""``fedrisk results BANK``: what an institution keeps for itself of its studies, and ``fedrisk own``, the last of them.

They read the institution's own store and nothing of anybody else; nothing of it leaves.
"""

import shlex
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedrisk.attempt_id import short
from fedrisk.cli.common import AsJson, InstitutionFile
from fedrisk.cli.output import alert, out, plain_table, tell, tell_json
from fedrisk.language import _, about

if TYPE_CHECKING:
    from fedrisk.clients.node import Node
    from fedrisk.clients.own_results import Entry, Said


class What(StrEnum):
    """What to do with an institution's results."""

    LIST = "list"
    SHOW = "show"
    EXPORT = "export"
    FETCH = "fetch"


def results(
    institution: InstitutionFile,
    what: Annotated[
        What,
        typer.Argument(
            metavar="[list|show|export|fetch]",
            help="list: all attempts. show: figures of one. export: its scores as a file. fetch: make scores that "
            "could not be written once more, at no charge.",
        ),
    ] = What.LIST,
    attempt: Annotated[
        str | None,
        typer.Argument(
            help="Attempt, or the beginning of its id, for example 1f3a9c02; default: the last with scores."
        ),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option("--to", help="For export: a .csv or .parquet file, for example scores.csv."),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option("--columns", help="For export: which columns, for example id,score,reason_1."),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="For export: overwrite the file.")] = False,
    as_json: AsJson = False,
) -> None:
    """A bank's own results: scores, reasons, its own models beside the consortium's card; nothing of it leaves."""
    from fedrisk.clients import own_results
    from fedrisk.clients.node import Node

    if (to is not None) != (what is What.EXPORT):
        raise typer.BadParameter("export needs --to FILE, and only export takes it", param_hint="--to")
    node = Node.load(institution)
    if what is What.LIST:
        _list(node, own_results.entries(node), institution, as_json)
    elif what is What.FETCH:
        _fetch(node, attempt, institution, as_json)
    elif to is not None:
        entry = own_results.find(node, attempt)
        chosen = tuple(c.strip() for c in (columns or "").split(",") if c.strip())
        rows, written = own_results.export(node, entry, to, chosen, again=again, said=reason_words())
        said = {"file": str(to), "attempt": entry.attempt, "rows": rows, "columns": list(written)}
        words = _(
            "{rows:,} rows of attempt {attempt} in {to}: {written}",
            rows=rows,
            attempt=entry.attempt,
            to=to,
            written=", ".join(written),
        )
        _say(said, words, as_json)
    else:
        entry = own_results.find(node, attempt)
        _show(node, entry, as_json)
        _say_owed(entry, institution)


def own(
    institution: InstitutionFile,
    attempt: Annotated[
        str | None,
        typer.Option(help="Which attempt at a study, for example 1f3a9c02; default: the last one."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """At a bank: which model to use, by its own hold-out. The same as ``results FILE show``, without its tables."""
    from fedrisk.cli.results_screen import show_figures, show_head
    from fedrisk.clients import own_results
    from fedrisk.clients.node import Node

    node = Node.load(institution)
    entry = own_results.find(node, attempt)
    figures = own_results.figures(node, entry)
    if as_json:
        tell_json({"institution": node.name, "attempt": entry.attempt, "owed": entry.owed, **figures})
        return
    show_head(node, entry)
    with about(own_results.label_named(node, entry)):
        show_figures(figures)
    _say_owed(entry, institution)


def reason_words() -> "Said":
    """In which words reasons are told: those of the language that is spoken."""
    from fedrisk.clients.own_results import Said
    from fedrisk.language import language
    from fedrisk.models.scorecard import EXTERNAL
    from fedrisk.report.words import word

    return Said(language=language(), external=word("reason_meaning", EXTERNAL))


def _say(content: Any, words: str, as_json: bool) -> None:
    if as_json:
        tell_json(content)
        return
    tell(words)


def _list(node: "Node", entries: "list[Entry]", file: Path, as_json: bool) -> None:
    if as_json:
        tell_json({"institution": node.name, "attempts": [e.to_dict() for e in entries]})
        return
    columns = ("attempt", "when", "study", "rows scored", "own models")
    title = _("{name}: attempts at studies", name=node.name)
    table = plain_table(title, *columns, right=("rows scored",), whole=("attempt", "when"))
    for entry in entries:
        rows = "–" if entry.rows is None else f"{entry.rows:,}"
        study = _("{study} (research)", study=entry.study or "?") if entry.research else entry.study or "?"
        table.add_row(short(entry.attempt), entry.when[:16].replace("T", " "), study, rows, _models(entry))
    out.print(table)
    for entry in entries:
        _say_owed(entry, file)


def _say_owed(entry: "Entry", file: Path) -> None:
    """What is missing of an attempt and can be made."""
    if not entry.owed:
        return
    name, where = short(entry.attempt), shlex.quote(str(file))
    if entry.rows is not None:
        alert(
            _(
                "own models and figures of {name} are not there yet. A node that serves makes them by itself; without "
                "one, at no charge: fedrisk results {file} fetch {name}",
                name=name,
                file=where,
            ),
            "yellow",
        )
        return
    alert(
        _(
            "the scores of {name} are not there; make them from what the attempt kept, at no charge: fedrisk "
            "results {file} fetch {name}",
            name=name,
            file=where,
        ),
        "yellow",
    )


def _models(entry: "Entry") -> str:
    """The bank's own models that are there, and what could not be made, as codes."""
    there = ", ".join(entry.models) or "–"
    failed = ", ".join(f"{name} ({code})" for name, code in entry.failed.items())
    return _("{there}; not made: {failed}", there=there, failed=failed) if failed else there


def _fetch(node: "Node", attempt: str | None, file: Path, as_json: bool) -> None:
    from fedrisk.clients import own_results
    from fedrisk.errors import ConfigError
    from fedrisk.recipes import recipe_named

    if attempt is None:
        owed = [e.attempt for e in own_results.entries(node) if e.owed]
        if len(owed) != 1:
            raise ConfigError(
                f"{len(owed)} attempts at {node.name} keep what results can be made from"
                + (
                    f"; name one: {', '.join(map(short, owed))}"
                    if owed
                    else ": all have theirs, or ended before"
                )
            )
        (attempt,) = owed
    attempt = own_results.find(node, attempt).attempt
    entry = own_results.fetch(node, attempt, recipe_named(own_results.recipe_name(node, attempt)))
    rows = _("nothing to score") if entry.rows is None else _("{rows:,} rows scored", rows=entry.rows)
    words = _(
        "{rows} of attempt {attempt}, at no charge; own models: {entry}",
        rows=rows,
        attempt=entry.attempt,
        entry=_models(entry),
    )
    _say(entry.to_dict(), words, as_json)


def _show(node: "Node", entry: "Entry", as_json: bool) -> None:
    from fedrisk.cli.results_screen import show_figures, show_head, show_tables
    from fedrisk.clients import own_results
    from fedrisk.clients.warning_state import why_no_threshold
    from fedrisk.report.warning_words import missing_line, warning_line

    figures = own_results.figures(node, entry)
    summary = own_results.summary(node, entry)
    reasons = own_results.reason_counts(node, entry, reason_words())
    warning = own_results.warning_of(node, entry)
    missing = None if warning is not None else why_no_threshold(node, entry.attempt)
    if as_json:
        content = {
            "institution": node.name,
            "attempt": entry.attempt,
            "entry": entry.to_dict(),
            "scores": summary,
            "reasons": reasons,
            "warning": None if warning is None else warning.to_dict(),
            "no_warning": None if missing is None else missing[0],
            **figures,
        }
        tell_json(content)
        return
    show_head(node, entry)
    with about(own_results.label_named(node, entry)):
        show_figures(figures)
        if warning is not None:
            tell(warning_line(warning), "bold")
        if missing is not None:
            tell(missing_line(*missing), "yellow")
        show_tables(figures, summary, reasons)
