"""The commands.

``check``, ``run``, ``show``, ``runs``, ``compare`` for studies; ``results``, ``own``, ``budget``, ``policy``,
``meter``, ``audit``, ``quota`` for institutions.

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
from fedrisk.cli.output import err
from fedrisk.cli.policy import policy_app
from fedrisk.cli.results import own, results
from fedrisk.cli.runs import compare, runs_app
from fedrisk.errors import FedriskError, LeftUndone
from fedrisk.renamed import OldWord

app = typer.Typer(
    name="fedrisk",
    help="Privacy-preserving federated risk modelling: data are available but not visible.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for _command in (study.check, study.run, study.show, compare, results, own, usage.meter, usage.quota):
    app.command()(_command)
app.add_typer(runs_app, name="runs")
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
    elif issubclass(category, LeftUndone):
        err.print(f"warning: {message}", style="yellow", markup=False, highlight=False, soft_wrap=True)


def main() -> None:
    """Entry point: an error that fedrisk raises on purpose is a message and exit code 1, not a traceback."""
    logging.getLogger("flwr").setLevel(logging.WARNING)
    warnings.showwarning = _note
    try:
        app()  # exits with 0, or with 1 where a command says so, or with 2 where it was called wrongly
    except FedriskError as error:
        err.print(f"[bold red]error[/] ({error.code}): {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(1)
