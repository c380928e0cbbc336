"""``fedrisk report card``: the model card of a study, and the record of it for a registry of deployments."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedrisk.cli.common import run_or_folder
from fedrisk.cli.output import note
from fedrisk.cli.report import Out, report_app

if TYPE_CHECKING:
    from fedrisk.models.edited_card import EditedCard
    from fedrisk.server.results import Results


@report_app.command("card")
def card(
    run: Annotated[
        str,
        typer.Argument(
            help="A run of this hub (attempt, or its first letters) or a folder of results, for example results/may.",
            show_default=False,
        ),
    ],
    out: Out = None,
    curator: Annotated[
        str | None,
        typer.Option(
            "--curator",
            help='Who answers for the deployment, for the registry, for example "Consortium of Jiangxi banks". Without '
            "it no institution is named there.",
            show_default=False,
        ),
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(
            "--region", help='What the data are about, for the registry, for example "Jiangxi, China".'
        ),
    ] = None,
    edited: Annotated[
        str | None,
        typer.Option(
            "--edited",
            help="Folder of the card after edits (fedrisk card edit), where it is that one that is used, for example "
            "results/may_edited.",
            show_default=False,
        ),
    ] = None,
    record_only: Annotated[
        bool,
        typer.Option(
            "--record-only",
            help="Write deployment.json alone, also of a study without a score, for example of statistics.",
        ),
    ] = False,
) -> None:
    """The model card of a study (model_card.html and .json), and deployment.json for a registry of DP deployments.

    All of it is what the hub knows from released numbers and public words: whoever may have the model may have its
    card. deployment.json is in the form of the Differential Privacy Deployments Registry, as a draft for a person to
    complete.
    """
    from fedrisk.language import _
    from fedrisk.report.deployment import write_deployment
    from fedrisk.report.model_card_page import write_card

    results, folder = _results(run)
    folder = out or folder
    written = [] if record_only else write_card(results, folder, _edited(edited))
    if record_only or not results.research:
        written.append(write_deployment(results, folder, curator=curator, region=region))
    for path in written:
        note(_("written: {path}", path=path))


def _edited(said: str | None) -> "EditedCard | None":
    """An edited card with its history; ConfigError where there is none."""
    if said is None:
        return None
    from fedrisk.engine.card_files import find_card
    from fedrisk.errors import ConfigError

    found = find_card(said).edited
    if found is None:
        raise ConfigError(f"{said} has no edited card; name the folder that fedrisk card edit wrote")
    return found


def _results(said: str) -> "tuple[Results, Path]":
    """Results of a run, and where its card goes if nobody says."""
    results, run = run_or_folder(said)
    return results, Path(said) if run is None else Path(f"{run.study}_card")
