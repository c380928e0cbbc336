"""The commands for studies: ``fedrisk check``, ``fedrisk run``, ``fedrisk show``."""

import math
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

out = Console()
err = Console(stderr=True)


class Engine(StrEnum):
    """Where a study runs."""

    IN_PROCESS = "in-process"
    FLOWER = "flower"


StudyFile = Annotated[Path, typer.Argument(help="Study file (TOML).")]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Override a key of the study, for example privacy.epsilon=3."
    ),
]
Institutions = Annotated[
    Path | None,
    typer.Option(
        "--institutions", help="Folder of the institution files; default: institutions/ beside the study."
    ),
]


def check(study_file: StudyFile, overrides: Overrides = None, institutions: Institutions = None) -> None:
    """Look before you run: tables, dictionaries and policies, what the study would cost and whether it can gain."""
    from fedrisk.engine.check import check_study
    from fedrisk.institution import find_institutions
    from fedrisk.study import load_study

    study = load_study(study_file, overrides or [])
    report = check_study(study, find_institutions(study_file, study.members, institutions))
    table = Table("institution", "role", "rows", "columns", title=f"study {study.name}", title_justify="left")
    for line in report.institutions:
        table.add_row(line.name, line.role, f"{line.rows:,}", str(line.features))
    out.print(table)
    for line in report.institutions:
        for finding in line.findings:
            style = "red" if line.broken and not finding.startswith(("note", "warning")) else "dim"
            out.print(f"{line.name}: {finding}", style=style, markup=False, highlight=False, soft_wrap=True)
    price = Table("release", "mu", "noise, in enterprises", title="what it would cost", title_justify="left")
    for name, mu, noise in report.releases:
        price.add_row(name, "–" if math.isinf(mu) else f"{mu:.4f}", noise)
    out.print(price)
    for sentence in report.sentences:
        out.print(sentence)
    if report.broken:
        err.print("[bold red]This study would be refused[/]; see the findings above.")
        raise typer.Exit(1)


def run(
    study_file: StudyFile,
    folder: Annotated[Path, typer.Option("--out", help="Folder for the results.")],
    overrides: Overrides = None,
    institutions: Institutions = None,
    engine: Annotated[
        Engine,
        typer.Option(help="in-process (quick), or flower: the same app on Flower's simulation engine."),
    ] = Engine.IN_PROCESS,
    research_seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Repeatable noise and exact figures: NO PRIVACY. Only where every policy says research = true.",
        ),
    ] = None,
    beside: Annotated[
        bool | None,
        typer.Option(
            "--beside/--alone",
            help="For a network: run DP logistic regression and the scorecard on the same rows as well, each charged as "
            "a study of its own. Default: in research runs only.",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with a training of this study that was stopped within a day."),
    ] = False,
) -> None:
    """Run a study on this machine, every institution a Flower node: in this process, or on Flower's simulation."""
    from fedrisk.engine.beside import companions, run_beside
    from fedrisk.engine.in_process import run_local
    from fedrisk.engine.simulation import run_simulation
    from fedrisk.institution import find_institutions
    from fedrisk.report.html import write_report
    from fedrisk.report.text import summary
    from fedrisk.server.results import prepare
    from fedrisk.study import load_study

    study = load_study(study_file, overrides or [])
    prepare(folder)
    paths = find_institutions(study_file, study.members, institutions)
    if research_seed is not None:
        out.print("[bold white on red] research run: no privacy [/]")
    start = time.monotonic()

    def progress(number: int, action: str, what: str) -> None:
        out.print(
            f"[dim]{time.monotonic() - start:6.1f} s[/]  exchange {number:2d}  {action:<10} {what}",
            highlight=False,
        )

    if engine is Engine.FLOWER:
        if overrides or institutions or resume:
            raise typer.BadParameter(
                "--set, --institutions and --resume are for the in-process engine; write a study file"
            )
        out.print("running on Flower's simulation engine; this takes a minute")
        results = run_simulation(study_file, folder, research_seed=research_seed)
    else:
        results = run_local(study, paths, research_seed=research_seed, progress=progress, resume=resume)
    results.metrics["seconds"] = round(time.monotonic() - start, 2)
    if engine is Engine.IN_PROCESS and (beside if beside is not None else research_seed is not None):
        for heading in companions(study):
            out.print(f"[dim]beside it, on the same rows: {heading}[/]")
        run_beside(results, study, lambda other: run_local(other, paths, research_seed=research_seed))
    results.save(folder)
    report = write_report(results, folder)
    out.print(summary(results))
    model = "scorecard.json" if results.card is not None else "network.npz"
    out.print(f"results in {folder}: metrics.json, {model}, {report.name}", markup=False)
    if study.banks:
        out.print("each bank's scores, own models and own figures are in its own store", highlight=False)


def show(folder: Annotated[Path, typer.Argument(help="Folder of a finished run (--out).")]) -> None:
    """Show the results of a finished study, and write its report anew."""
    from fedrisk.report.html import write_report
    from fedrisk.report.text import summary
    from fedrisk.server.results import Results

    results = Results.load(folder)
    out.print(summary(results))
    out.print(f"report: {write_report(results, folder)}", markup=False)
