"""``fedrisk dictionary``: draft the dictionary of a table, confirm what was drafted, declare single columns by hand."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from fedrisk.cli.common import AsJson, Force, Horizon, IdColumn, LabelColumn, Negative, Positive, Query
from fedrisk.cli.output import alert, out, tell, tell_json
from fedrisk.language import _
from fedrisk.user import user_name

if TYPE_CHECKING:
    from fedrisk.data.dictionary_file import Entry

dictionary_app = typer.Typer(
    no_args_is_help=True, help="Draft a data dictionary from a table, confirm it, declare columns by hand."
)

DictionaryFile = Annotated[
    Path, typer.Argument(help="File with the dictionary, for example institutions/bank_a.toml.")
]
By = Annotated[
    str | None,
    typer.Option("--by", help="Who confirms. Default: the user of this session, for example li.wei."),
]


@dictionary_app.command()
def draft(
    table: Annotated[str, typer.Argument(help="CSV, Parquet or a database URL, for example data/loans.csv.")],
    to: Annotated[
        Path | None,
        typer.Option("--to", help="New file for it; without, it is printed, for example loans.toml."),
    ] = None,
    institution: Annotated[
        Path | None,
        typer.Option(
            "--institution",
            help="Institution file whose dictionary it becomes (--force where it has one), "
            "for example institutions/bank_a.toml.",
        ),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            help="bank (with a label) or holder, for example holder; default: what the institution is, or bank."
        ),
    ] = None,
    query: Query = None,
    id_column: IdColumn = None,
    label: LabelColumn = None,
    positive: Positive = None,
    negative: Negative = None,
    horizon: Horizon = None,
    force: Force = False,
) -> None:
    """Propose kinds, bounds, bins, codes and the label from a table. Example: fedrisk dictionary draft loans.csv."""
    from fedrisk.cli.drafting import Hints, drafted, show_draft
    from fedrisk.cli.starting_files import write_new

    if to is not None and institution is not None:
        raise typer.BadParameter("--to and --institution exclude each other")
    if kind not in (None, "bank", "holder"):
        raise typer.BadParameter(f"--kind {kind}: choose bank or holder")
    text = None if institution is None else _institution_text(institution, force)
    hints = Hints(id=id_column, label=label, positive=positive, negative=negative, horizon=horizon)
    role = kind or ("bank" if text is None else _kind_of(text))
    found, written, settings = drafted(table, query, "bank" if role == "bank" else "holder", hints)
    if institution is not None and text is not None:
        from fedrisk.cli.starting_files import rewrite
        from fedrisk.data.dictionary_file import replaced

        rewrite(institution, replaced(text, written, settings))
        show_draft(found, institution)
    elif to is not None:
        write_new(to, written, force=force)
        show_draft(found, to)
    else:
        typer.echo(written, nl=False)
        show_draft(found, None, alert)


def _institution_text(file: Path, force: bool) -> str:
    """The text of an institution file; ConfigError where it has a dictionary of its own."""
    from fedrisk.cli.starting_files import read_text
    from fedrisk.data.dictionary_file import entries
    from fedrisk.errors import ConfigError

    text = read_text(file)
    try:
        there = entries(text)
    except ConfigError:
        return text
    if not force and any(not e.drafted for e in there):
        raise ConfigError(
            f"{file} has a dictionary of its own, of {len(there)} entries; --force puts the draft in its place"
        )
    return text


def _kind_of(text: str) -> str:
    import tomllib

    return str(tomllib.loads(text).get("kind", "bank"))


@dictionary_app.command()
def confirm(
    file: DictionaryFile,
    column: Annotated[
        list[str] | None,
        typer.Option("--column", help='A column to confirm, repeatable, or "label", for example sales.'),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Confirm all that is left.")] = False,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Show what was drafted and nobody has confirmed; with --column or --all, confirm it.

    Example: fedrisk dictionary confirm institutions/bank_a.toml --all.
    """
    from fedrisk.cli.starting_files import read_text, rewrite
    from fedrisk.data.dictionary_file import confirmed, entries

    if everything and column:
        raise typer.BadParameter("--all and --column exclude each other")
    text = read_text(file)
    before = entries(text)
    if everything or column:
        text = confirmed(text, None if everything else column, by=by or user_name(), day=_today())
        rewrite(file, text)
    left = [e for e in entries(text) if e.drafted]
    if as_json:
        tell_json([{"name": e.name, **e.settings} for e in left])
        return
    if not (everything or column):
        _show(left)
    done = sum(e.drafted for e in before) - len(left)
    said = _("{done} confirmed, ", done=done) if everything or column else ""
    tell(_("{said}{left} to confirm in {file}", said=said, left=len(left), file=file))
    if left:
        hint = _(
            "confirm them with --all, or one by one with --column; correct one: fedrisk dictionary declare"
        )
        alert(hint)


def _show(left: "list[Entry]") -> None:
    table = Table(_("column"), _("kind"), _("what becomes public"))
    for entry in left:
        given = {
            k: v
            for k, v in entry.settings.items()
            if k not in ("name", "kind", "source", "missing_values", "column")
        }
        public = ", ".join(f"{k} {_value(v)}" for k, v in given.items() if v not in ("", None))
        table.add_row(entry.name, str(entry.settings.get("kind", "label")), public)
    if left:
        out.print(table)


def _value(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    if isinstance(value, dict):
        return " ".join(f"{k} ({v})" for k, v in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)


@dictionary_app.command()
def declare(
    file: DictionaryFile,
    column: Annotated[
        str,
        typer.Argument(
            help='Column, or "label"; a column that is not there is added, for example months_open.'
        ),
    ],
    settings: Annotated[
        list[str],
        typer.Argument(
            metavar="KEY=VALUE...",
            help='Keys with TOML values; KEY= takes one away, for example high=120 \'special={"-9"="no record"}\'.',
        ),
    ],
    by: By = None,
) -> None:
    """Set keys of a column by hand, which confirms it; fedrisk keys dictionary lists them.

    Example: fedrisk dictionary declare institutions/bank_a.toml months_open low=0 high=120.
    """
    from fedrisk.cli.starting_files import read_text, rewrite
    from fedrisk.data.dictionary_file import declared, entries

    text = declared(read_text(file), column, _settings(settings), by=by or user_name(), day=_today())
    rewrite(file, text)
    left = sum(e.drafted for e in entries(text))
    tell(_("{column} is declared; {left} to confirm in {file}", column=column, left=left, file=file))


def _settings(given: list[str]) -> dict[str, Any]:
    import tomllib

    found: dict[str, Any] = {}
    for item in given:
        key, equals, text = item.partition("=")
        if not equals or not key.strip().isidentifier():
            raise typer.BadParameter(f'"{item}" is not of the form KEY=VALUE; for example high=120')
        try:
            found[key.strip()] = tomllib.loads(f"value = {text.strip()}")["value"] if text.strip() else None
        except tomllib.TOMLDecodeError:
            found[key.strip()] = text.strip()
    return found


def _today() -> str:
    return datetime.now(UTC).date().isoformat()
