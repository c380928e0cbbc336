"""``fedrisk report operator``: the report of a run for whoever ran it, as ``fedrisk run`` writes it, once more."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedrisk.cli.common import run_or_folder
from fedrisk.cli.output import tell
from fedrisk.cli.report import Out, page_file, report_app

if TYPE_CHECKING:
    from fedrisk.server.results import Results


@report_app.command("operator")
def operator(
    run: Annotated[
        str,
        typer.Argument(
            help="A run of this machine's hub (attempt, or the beginning of it), for example 1f3a9c02, or a folder of "
            "results, for example results/may."
        ),
    ],
    path: Out = None,
) -> None:
    """For the operator: did the study work, who took part, what was gained, what is left of budgets, how it went.

    From released numbers and what members said of themselves; no bank's own figures are in it.
    """
    from fedrisk.report.html import render
    from fedrisk.report.page import write_page

    results, begun, folder = _found(run)
    name = f"report_{results.study}_{results.attempt[:8]}.html" if folder is None else "report.html"
    tell(str(write_page(page_file(path, name, folder), render(results, begun))))


def _found(name: str) -> "tuple[Results, str | None, Path | None]":
    """Results of a folder or a run, when the run began where that is known, and the folder."""
    from fedrisk.errors import ConfigError
    from fedrisk.server.hub import Hub
    from fedrisk.server.runs import Runs

    results, run = run_or_folder(name)
    if run is not None:
        return results, run.begun, None
    try:
        return results, Runs(Hub.default()).find(results.attempt).begun, Path(name)
    except ConfigError:
        # Of another machine's hub, or forgotten here.
        return results, None, Path(name)
