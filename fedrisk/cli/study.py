"""The commands for studies: ``fedrisk check``, ``fedrisk run``, ``fedrisk show``."""

import contextlib
import math
import time
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from fedrisk.cli.output import Overrides, StudyFile, err, out

if TYPE_CHECKING:
    from fedrisk.engine.look_up import BankKept
    from fedrisk.server.exchange import Report
    from fedrisk.server.results import Results


class Engine(StrEnum):
    """Where a study runs."""

    IN_PROCESS = "in-process"
    FLOWER = "flower"


Institutions = Annotated[
    Path | None,
    typer.Option(
        "--institutions", help="Folder of the institution files; default: institutions/ beside the study."
    ),
]
EngineOption = Annotated[
    Engine, typer.Option(help="in-process (quick), or flower: the same app on Flower's simulation engine.")
]
ResearchSeed = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Repeatable noise and exact figures: NO PRIVACY. Only where every policy says research = true.",
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
Again = Annotated[
    bool,
    typer.Option(
        "--again",
        help="Run and charge a study that was run before, and overwrite the results in --out.",
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
    folder: Annotated[Path, typer.Option("--out", help="Folder for the results.")],
    overrides: Overrides = None,
    institutions: Institutions = None,
    engine: EngineOption = Engine.IN_PROCESS,
    research_seed: ResearchSeed = None,
    baselines: Baselines = None,
    resume: Resume = False,
    again: Again = False,
) -> None:
    """Run a study on this machine, every institution a Flower node: in this process, or on Flower's simulation."""
    from fedrisk import api
    from fedrisk.report.text import summary

    if engine is Engine.FLOWER and (overrides or institutions or resume):
        raise typer.BadParameter(
            "--set, --institutions and --resume are for the in-process engine; write a study file"
        )
    if research_seed is not None:
        out.print("[bold white on red] research run: no privacy [/]")
    if engine is Engine.FLOWER:
        out.print("running on Flower's simulation engine; this takes a minute")
    results = api.run(
        study_file,
        overrides or [],
        out=folder,
        institutions=institutions,
        engine="flower" if engine is Engine.FLOWER else "in-process",
        research_seed=research_seed,
        baselines=baselines,
        resume=resume,
        again=again,
        report=_progress(time.monotonic()),
    )
    kept = api.kept_by_banks(results, study_file, institutions=institutions)
    # All is done and saved: a screen that is closed, or lacks a character, is no failure of the run.
    with contextlib.suppress(OSError, UnicodeError, SystemExit):
        out.print(summary(results))
    with contextlib.suppress(OSError, UnicodeError, SystemExit):
        _print_end(results, folder, kept)
    lacking = [k for k in kept if k.rows is None]
    if lacking:
        from fedrisk.errors import StoreError

        raise StoreError(_no_scores(results.attempt, lacking))


def _print_end(results: "Results", folder: Path, kept: "Sequence[BankKept]") -> None:
    """What there is, each of it looked up."""
    from fedrisk.server.results import METRICS

    names = (METRICS, results.model_file, "release_record.npz", "report.html")
    files = ", ".join(name for name in names if (folder / name).is_file())
    plain: dict[str, Any] = {"markup": False, "highlight": False, "soft_wrap": True}
    out.print(f"run {results.attempt} of study {results.study}", **plain)
    out.print(f"results in {folder}: {files}", **plain)
    for bank in kept:
        if bank.rows is None:
            continue
        models = f"; own models: {', '.join(bank.models)}" if bank.models else ""
        out.print(f"scores at {bank.bank}: {bank.rows:,} rows{models}", **plain)
        if bank.failed:
            failed = ", ".join(f"{name} ({code})" for name, code in bank.failed.items())
            out.print(f"  not made: {failed}; why: fedrisk results {bank.file} show", **plain)


def _no_scores(attempt: str, banks: "Sequence[BankKept]") -> str:
    """What to do where scores are not in a bank's store."""
    lines = ["the study is finished and charged, and its results are saved; but scores are missing:"]
    for bank in banks:
        fetch = f"fedrisk results {bank.file} fetch {attempt[:8]}"
        remedy = f"{fetch} makes them, at no charge, once the store can be written"
        other = "its store cannot be read; see that it can, and look again with fedrisk results"
        lines.append(f"{bank.bank}: {remedy if bank.owed else f'{other} {bank.file}'}")
    return "\n".join(lines)


def _progress(start: float) -> "Report":
    """Prints a line before each exchange, with the seconds since ``start``."""

    def line(number: int, action: str, what: str) -> None:
        out.print(
            f"[dim]{time.monotonic() - start:6.1f} s[/]  exchange {number:2d}  {action:<10} {what}",
            highlight=False,
        )

    return line


def show(folder: Annotated[Path, typer.Argument(help="Folder of a finished run (--out).")]) -> None:
    """Show the results of a finished study, and write its report again."""
    from fedrisk.api import load_results
    from fedrisk.report.html import write_report
    from fedrisk.report.text import summary

    results = load_results(folder)
    out.print(summary(results))
    out.print(f"report: {write_report(results, folder)}", markup=False)
