"""``fedrisk card export``: a card for a bank's own systems, as SQL, PMML, ONNX or plain Python."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fedrisk.cli.card import card_app
from fedrisk.cli.common import AsJson, Force
from fedrisk.cli.output import alert, tell, tell_json
from fedrisk.language import _


class As(StrEnum):
    """Form of the exported file."""

    SQL = "sql"
    PMML = "pmml"
    ONNX = "onnx"
    PYTHON = "python"


class DialectOption(StrEnum):
    """Kind of database."""

    POSTGRESQL = "postgresql"
    ORACLE = "oracle"
    HIVE = "hive"


@card_app.command("export")
def card_export(
    card: Annotated[
        Path,
        typer.Argument(
            help="A card's file, the folder with a study's results, or an institution's own file, which exports its "
            "own part of its last study, for example results, results/scorecard.json or institutions/bank.toml.",
            show_default=False,
        ),
    ],
    as_: Annotated[
        As,
        typer.Option("--as", help="Form of the file, for example --as pmml.", show_default=False),
    ],
    to: Annotated[
        Path, typer.Option("--out", help="File to write, for example card.sql.", show_default=False)
    ],
    dialect: Annotated[
        DialectOption, typer.Option(help="For sql: the kind of database, for example --dialect oracle.")
    ] = DialectOption.POSTGRESQL,
    part: Annotated[
        str | None,
        typer.Option(
            help="bank: the banks' columns, with the holders' points as an input. A holder's name: its own columns. "
            "whole: all columns, for simulations. For example tax_office. Default: bank, or the institution's own part."
        ),
    ] = None,
    attempt: Annotated[
        str | None,
        typer.Option(
            help="With an institution's file: which attempt at a study, or the beginning of its id, for example "
            "1f3a9c02; default: the last one."
        ),
    ] = None,
    table: Annotated[
        str, typer.Option(help="For sql: the table or view with the columns, for example risk.customers.")
    ] = "customers",
    key: Annotated[
        list[str] | None,
        typer.Option(help="For sql: a column that is passed on, repeatable, for example uscc. Default: id."),
    ] = None,
    reasons: Annotated[
        int, typer.Option(min=0, help="How many reasons the result has, for example 4; 0 for none.")
    ] = 4,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Write a card for other systems; it scores there as it does here. The file holds the card and nothing else."""
    from fedrisk.engine.exported_card import find_exported
    from fedrisk.errors import ConfigError
    from fedrisk.exports.about import About
    from fedrisk.exports.export import export_card
    from fedrisk.files import write_atomic

    if to.exists() and not force:
        raise ConfigError(f"{to} is there already; name another file, or say --force to write over it")
    found, chosen = find_exported(card, part, attempt)
    content = export_card(
        found,
        as_.value,
        part=chosen,
        dialect=dialect.value,
        table=table,
        keys=key or ["id"],
        reasons=reasons,
        file=to.name,
    )
    write_atomic(to, content)
    about = About.of(found, chosen)
    if as_json:
        tell_json({"file": str(to), "form": as_.value, **about.facts()})
        return
    tell(
        _(
            "{file}: {part} of the card of study {study}, digest {digest}",
            file=to,
            part=chosen,
            study=about.study,
            digest=about.digest[:12],
        )
    )
    if about.notice:
        alert(_("notice: {notice}", notice=about.notice), "yellow")
