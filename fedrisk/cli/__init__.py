"""The commands.

``check``, ``run``, ``show`` for studies; ``own``, ``budget``, ``policy``, ``meter``, ``audit``, ``quota`` for
institutions.

What a command needs is imported inside it: worker processes import these files again when they start.
"""

import logging
import sys
import warnings
from typing import TextIO

import typer
from rich.markup import escape

from fedrisk.cli import study, usage
from fedrisk.cli.audit import audit_app
from fedrisk.cli.budget import budget_app
from fedrisk.cli.check import check
from fedrisk.cli.output import err
from fedrisk.cli.own import own
from fedrisk.cli.policy import policy_app
from fedrisk.errors import FedriskError
from fedrisk.renamed import OldWord

app = typer.Typer(
    name="fedrisk",
    help="Privacy-preserving federated risk modelling: data are available but not visible.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for _command in (check, study.run, study.show, own, usage.meter, usage.quota):
    app.command()(_command)
app.add_typer(budget_app, name="budget")
app.add_typer(policy_app, name="policy")
app.add_typer(audit_app, name="audit")


def _note(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Show a warning as a note, without the place in the code that raised it."""
    if issubclass(category, OldWord):
        err.print(f"note: {message}", markup=False, highlight=False, soft_wrap=True)


def main() -> None:
    """Entry point: an error that fedrisk raises on purpose is a message and exit code 1, not a traceback."""
    logging.getLogger("flwr").setLevel(logging.WARNING)
    warnings.showwarning = _note
    try:
        app()  # exits with 0, or with 1 where a command says so, or with 2 where it was called wrongly
    except FedriskError as error:
        err.print(f"[bold red]error[/] ({error.code}): {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(1)
