"""What the commands share: where they print, arguments that many of them take, and groups with a default command."""

from pathlib import Path
from typing import Annotated

import typer
from click import Context
from rich.console import Console
from typer.core import TyperGroup

out = Console()
err = Console(stderr=True)

InstitutionFile = Annotated[Path, typer.Argument(help="The institution's own file (TOML).")]
StudyFile = Annotated[Path, typer.Argument(help="Study file (TOML).")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Override a key of the study, for example privacy.epsilon=3."
    ),
]


class ShowFirst(TyperGroup):
    """``budget FILE`` is ``budget show FILE``: a first word that is no command of the group is an argument."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Puts "show" before such a word."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            args = ["show", *args]
        return super().parse_args(ctx, args)
