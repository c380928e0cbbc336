"""What several commands share: arguments and options, groups with a default command, the node behind a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from click import Context
from typer.core import TyperGroup

from fedrisk.cli.output import note
from fedrisk.language import _

if TYPE_CHECKING:
    from fedrisk.clients.node import Node
    from fedrisk.server.results import Results
    from fedrisk.server.runs import Run

InstitutionFile = Annotated[
    Path,
    typer.Argument(
        help="The institution's own file (TOML), for example institutions/bank.toml.", show_default=False
    ),
]
StudyFile = Annotated[
    Path, typer.Argument(help="The study's file (TOML), for example study.toml.", show_default=False)
]
PageLanguage = Annotated[
    str | None,
    typer.Option("--language", help="Language of the page: en or zh, for example zh.", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON, for programs, in place of tables.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a key of the study, for example privacy.epsilon=3; may be given several times.",
        show_default=False,
    ),
]
Institutions = Annotated[
    Path | None,
    typer.Option(
        "--institutions",
        help="Folder of the institution files, for example banks; default: institutions/ beside the study.",
    ),
]
Query = Annotated[
    str | None, typer.Option(help='What to read of a database, for example "SELECT * FROM loans".')
]
IdColumn = Annotated[
    str | None, typer.Option("--id", help="Column with the enterprise ids, if known, for example uscc.")
]
LabelColumn = Annotated[
    str | None, typer.Option("--label", help="Column with the outcome, if known, for example defaulted.")
]
Positive = Annotated[
    list[str] | None,
    typer.Option("--positive", help="Value that means default, repeatable, for example CHGOFF."),
]
Negative = Annotated[
    list[str] | None,
    typer.Option("--negative", help="Value that means no default, repeatable, for example PIF."),
]
Horizon = Annotated[
    str | None, typer.Option(help='What default means, for example "90 days past due within 12 months".')
]
Force = Annotated[bool, typer.Option("--force", help="Write over a file that is there.")]


class ShowFirst(TyperGroup):
    """``budget FILE`` is ``budget show FILE``: a first word that is no command of the group is an argument."""

    first = "show"
    """The command that is meant then."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Puts "show" before such a word."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            args = [self.first, *args]
        return super().parse_args(ctx, args)


def look(institution: Path) -> "Node":
    """The node behind an institution's file, to read from; a note where no study has used its store yet.

    Makes nothing. Errors as in ``Node.load``.
    """
    from fedrisk.clients.node import Node

    node = Node.load(institution)
    if node.store.unused:
        note(
            _(
                "note: nothing here yet: no study has run at {name}, and its store {path} is made by the first one",
                name=node.name,
                path=node.store.path,
            )
        )
    return node


def run_or_folder(said: str) -> "tuple[Results, Run | None]":
    """Results of a folder, or of a run of this machine's hub with its entry; ConfigError where there is neither."""
    from fedrisk.api import load_results
    from fedrisk.server.hub import Hub
    from fedrisk.server.runs import Runs

    if Path(said).is_dir():
        return load_results(said), None
    runs = Runs(Hub.default())
    run = runs.find(said)
    return runs.results(run), run
