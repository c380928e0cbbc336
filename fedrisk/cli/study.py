"""The commands for studies: ``fedrisk run``, ``fedrisk show``."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fedrisk.cli import output
from fedrisk.cli.output import Overrides, StudyFile, err, out


class Engine(StrEnum):
    """Where a study runs."""

    IN_PROCESS = "in-process"
    FLOWER = "flower"


Institutions = Annotated[
    Path | None,
    typer.Option(
        "--institutions",
        help="Folder of the institution files, for example banks; default: institutions/ beside the study.",
    ),
]
EngineOption = Annotated[
    Engine, typer.Option(help="in-process (quick), or flower: the same app on Flower's simulation engine.")
]
ResearchSeed = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Repeatable noise and exact figures: NO PRIVACY. Where every policy says research = true; for example 1.",
    ),
]
Baselines = Annotated[
    bool | None,
    typer.Option(
        "--baselines/--no-baselines",
        help="For a network: run DP logistic regression and the scorecard on the same rows as well, each charged as a "
        "study of its own. Default: in research runs only.",
    ),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with a training of this study that was stopped within a day.")
]


def run(
    study_file: StudyFile,
    folder: Annotated[Path, typer.Option("--out", help="Folder for the results, for example results/may.")],
    overrides: Overrides = None,
    institutions: Institutions = None,
    engine: EngineOption = Engine.IN_PROCESS,
    research_seed: ResearchSeed = None,
    baselines: Baselines = None,
    resume: Resume = False,
) -> None:
    """Run a study on this machine, every institution a Flower node: in this process, or on Flower's simulation."""
    from fedrisk import api
    from fedrisk.cli.progress import Progress
    from fedrisk.report.text import summary

    if engine is Engine.FLOWER and (overrides or institutions or resume):
        raise typer.BadParameter(
            "--set, --institutions and --resume are for the in-process engine; write a study file"
        )
    if research_seed is not None:
        err.print("[bold white on red] research run: no privacy [/]")
    if engine is Engine.FLOWER:
        output.note("running on Flower's simulation engine; this takes a minute", style=None)
    with Progress().watching() as progress:
        results = api.run(
            study_file,
            overrides or [],
            out=folder,
            institutions=institutions,
            engine="flower" if engine is Engine.FLOWER else "in-process",
            research_seed=research_seed,
            baselines=baselines,
            resume=resume,
            report=progress.exchange,
        )
    out.print(summary(results))
    files = f"metrics.json, {results.model_file}, release_record.npz, report.html"
    out.print(f"results in {folder}: {files}", markup=False)
    if results.evaluated:
        out.print(
            "each bank's scores, own models and own figures are in its own store: fedrisk own",
            highlight=False,
        )


def show(
    folder: Annotated[
        Path, typer.Argument(help="Folder of a finished run (its --out), for example results/may.")
    ],
) -> None:
    """Show the results of a finished study, and write its report again."""
    from fedrisk.api import load_results
    from fedrisk.report.html import write_report
    from fedrisk.report.text import summary

    results = load_results(folder)
    out.print(summary(results))
    out.print(f"report: {write_report(results, folder)}", markup=False)
