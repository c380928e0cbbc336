"""``fedrisk report``: what one reader needs of a study, as a page: operator, bank, data holder, validator, public."""

from pathlib import Path
from typing import Annotated

import typer

report_app = typer.Typer(
    help="Pages for people: a study as its operator, a bank, a data holder or a validator needs it.",
    no_args_is_help=True,
)

Out = Annotated[
    Path | None,
    typer.Option(
        "--out", help="File or folder to write to, for example reports/may.html.", show_default=False
    ),
]
