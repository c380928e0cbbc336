"""``fedrisk report holder``: a data holder's own report of a study, from its own store."""

from typing import Annotated

import typer

from fedrisk.cli.common import InstitutionFile, look
from fedrisk.cli.output import note, tell
from fedrisk.cli.report import Out, page_file, report_app


@report_app.command("holder")
def holder(
    institution: InstitutionFile,
    attempt: Annotated[
        str | None,
        typer.Argument(
            help="Attempt, or the beginning of its id, for example 1f3a9c02; default: the last.",
            show_default=False,
        ),
    ] = None,
    path: Out = None,
) -> None:
    """At a data holder: what its columns were worth, what left, what it cost, what is left, and who may use what.

    From its own store and what the study released to all members. A bank gets it too, as a provider of columns; its
    figures of customers are in report bank.
    """
    from fedrisk.attempt_id import short
    from fedrisk.clients.member_study import last_attempt, member_study
    from fedrisk.language import _
    from fedrisk.report.holder import holder_page
    from fedrisk.report.page import write_page

    node = look(institution)
    found = member_study(node, last_attempt(node, attempt))
    file = page_file(path, f"report_{node.name}_{short(found.attempt)}.html")
    tell(str(write_page(file, holder_page(found))))
    note(_("it says what this institution's policy and budget are: readable for its owner alone"))
