"""``fedrisk report bank``: a bank's own report of a study, from its own store, for its owner alone."""

from pathlib import Path
from typing import Annotated

import typer

from fedrisk.attempt_id import short
from fedrisk.cli.common import AsJson, InstitutionFile
from fedrisk.cli.output import note, tell, tell_json
from fedrisk.cli.report import Out, page_file, report_app
from fedrisk.language import _, about


@report_app.command("bank")
def bank(
    institution: InstitutionFile,
    attempt: Annotated[
        str | None,
        typer.Argument(
            help="Attempt, or the beginning of its id, for example 1f3a9c02; default: the last with scores.",
            show_default=False,
        ),
    ] = None,
    path: Out = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Whose figures are in the foreground: scorecard, recalibrated, champion, personal, alone (of a "
            "network: shared, personal, local), for example champion; default: the one to use.",
            show_default=False,
        ),
    ] = None,
    approve: Annotated[
        float,
        typer.Option(
            help="Share of customers approved at which it is said first what the model would change, for example 0.7."
        ),
    ] = 0.8,
    results: Annotated[
        Path | None,
        typer.Option(
            "--results",
            help="Results of the run that the operator handed over, folder or release record: figures of all banks "
            "together, with their noise, come beside the bank's own. For example results/may.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """At a bank: is the consortium's model better than its own, what would it change, and where are its limits.

    Exact figures of the bank's own customers. The page is written for its owner alone and stays at the bank.
    """
    from fedrisk.cli.results import reason_words
    from fedrisk.clients import own_results
    from fedrisk.clients.node import Node
    from fedrisk.clients.own_rows import own_rows
    from fedrisk.clients.warning_state import why_no_threshold
    from fedrisk.report.bank import bank_figures, bank_page
    from fedrisk.report.page import write_page

    node = Node.load(institution)
    entry = own_results.find(node, attempt)
    record = None
    if results is not None:
        from fedrisk.releases.record import ReleaseRecord

        record = ReleaseRecord.load(results)
    rows = own_rows(node, entry, reason_words())
    figures = bank_figures(rows, model, approve)
    if as_json:
        tell_json(figures.to_dict())
        return
    missing = why_no_threshold(node, entry.attempt) if rows.warning is None else None
    with about(own_results.label_named(node, entry)):
        page = bank_page(rows, approve=approve, record=record, figures=figures, no_warning=missing)
    tell(str(write_page(page_file(path, f"report_{node.name}_{short(entry.attempt)}.html"), page)))
    note(_("exact figures of the bank's own customers: readable for its owner alone; leave it at the bank"))
