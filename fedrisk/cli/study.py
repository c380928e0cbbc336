"""The commands for studies: ``fedrisk check``, ``fedrisk run``, ``fedrisk show``."""

import math
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

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


def check(study_file: StudyFile, overrides: Overrides = None, institutions: Institutions = None) -> None:
    """Look before you run: tables, dictionaries and policies, what the study would cost and whether it can gain."""
    from fedrisk.api import check as check_study
    from fedrisk.report.words import sentence, word

    found = check_study(study_file, overrides or [], institutions=institutions)
    table = Table(
        "institution", "role", "rows", "columns", title=f"study {found.study}", title_justify="left"
    )
    for line in found.institutions:
        table.add_row(line.name, line.role, f"{line.rows:,}", str(line.features))
    out.print(table)
    for line in found.institutions:
        for finding in (*line.findings, *(f"note: {sentence(note)}" for note in line.notes)):
            style = "red" if line.broken and not finding.startswith(("note", "warning")) else "dim"
            out.print(f"{line.name}: {finding}", style=style, markup=False, highlight=False, soft_wrap=True)
    if found.plan is not None:
        price = Table(
            "release", "mu", "noise, in enterprises", title="what it would cost", title_justify="left"
        )
        for planned in found.plan.planned:
            mu = "–" if math.isinf(planned.mu) else f"{planned.mu:.4f}"
            price.add_row(word("release", planned.name), mu, _noise(planned.deviation))
        out.print(price)
    for expectation in found.expectations:
        out.print(sentence(expectation))
    if found.broken:
        err.print("[bold red]This study would be refused[/]; see the findings above.")
        raise typer.Exit(1)


def _noise(deviation: tuple[float, float] | None) -> str:
    """Noise of a planned release in words."""
    if deviation is None:
        return "follows from earlier releases"
    low, high = deviation
    if high == 0:
        return "none"
    if high < 10:
        return f"± {high:.3g}"
    return f"± {low:.0f}" if round(low) == round(high) else f"± {low:.0f} to {high:.0f}"


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
