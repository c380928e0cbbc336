"""The commands for studies: ``fedrisk run``, ``fedrisk show``."""

import contextlib
import shlex
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedrisk.attempt_id import short
from fedrisk.cli import output
from fedrisk.cli.common import AsJson, Institutions, Overrides, StudyFile
from fedrisk.cli.output import err, out, tell
from fedrisk.language import _

if TYPE_CHECKING:
    from fedrisk.engine.look_up import BankKept
    from fedrisk.server.results import Results


class Engine(StrEnum):
    """Where a study runs."""

    IN_PROCESS = "in-process"
    FLOWER = "flower"
    DEPLOYMENT = "deployment"


EngineOption = Annotated[
    Engine,
    typer.Option(
        help="in-process (quick); flower: the same app on Flower's simulation engine; deployment: over the hub that "
        "serves on this machine, once its members have agreed (see --hub)."
    ),
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
Again = Annotated[
    bool,
    typer.Option(
        "--again",
        help="Run and charge a study that was run before, and overwrite the results in --out.",
    ),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Go on with a run of this study that was stopped within a day; nothing is charged twice.",
    ),
]

HubOption = Annotated[
    Path | None,
    typer.Option(
        "--hub",
        envvar="FEDRISK_HUB",
        help="With --engine deployment: the hub's folder, for example /srv/hub.",
    ),
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
    again: Again = False,
    hub: HubOption = None,
) -> None:
    """Run a study: on this machine, every institution a Flower node, or with --engine deployment over a hub."""
    if engine is Engine.DEPLOYMENT:
        if institutions or resume or baselines:
            raise typer.BadParameter(
                "--institutions, --resume and --baselines are for one machine; see fedrisk hub resume"
            )
        if hub is None:
            raise typer.BadParameter("--engine deployment needs --hub, the hub's folder on this machine")
        from fedrisk.cli.hub_serve import propose_and_wait

        propose_and_wait(hub, study_file, folder, overrides or [], research_seed=research_seed, again=again)
        return
    from fedrisk import api
    from fedrisk.cli.progress import Progress
    from fedrisk.report.text import main_figures, summary

    if engine is Engine.FLOWER and (overrides or institutions or resume):
        raise typer.BadParameter(
            "--set, --institutions and --resume are for the in-process engine; write a study file"
        )
    if research_seed is not None:
        err.print(_("[bold white on red] research run: no privacy [/]"))
    if engine is Engine.FLOWER:
        output.note(_("running on Flower's simulation engine; this takes a minute"), style=None)
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
            again=again,
            report=progress.exchange,
        )
    kept = api.kept_by_banks(results, study_file, institutions=institutions)
    # All is done and saved: a screen that is closed, or lacks a character, is no failure of the run.
    with contextlib.suppress(OSError, UnicodeError, SystemExit):
        out.print((summary if output.screen.verbose else main_figures)(results))
    with contextlib.suppress(OSError, UnicodeError, SystemExit):
        _print_end(results, folder, kept)
    lacking = [k for k in kept if k.rows is None]
    if lacking:
        from fedrisk.errors import StoreError

        raise StoreError(_no_scores(results.attempt, lacking))


def _print_end(results: "Results", folder: Path, kept: "Sequence[BankKept]") -> None:
    """What there is, each of it looked up."""
    from fedrisk.releases.statistics import CSV, PARQUET
    from fedrisk.server.results import METRICS

    names = (METRICS, results.model_file, CSV, PARQUET, "release_record.npz", "report.html")
    files = ", ".join(name for name in names if (folder / name).is_file())
    tell(_("run {attempt} of study {study}", attempt=results.attempt, study=results.study))
    tell(_("results in {folder}: {files}", folder=folder, files=files))
    tell(_("all tables: fedrisk show {folder}", folder=shlex.quote(str(folder))))
    for bank in kept:
        if bank.rows is None:
            continue
        models = _("; own models: {models}", models=", ".join(bank.models)) if bank.models else ""
        tell(_("scores at {bank}: {rows:,} rows{models}", bank=bank.bank, rows=bank.rows, models=models))
        file = shlex.quote(str(bank.file))
        if bank.owed:
            fetch = f"fedrisk results {file} fetch {short(results.attempt)}"
            tell(_("  own models and figures are missing; at no charge: {fetch}", fetch=fetch))
        if bank.failed:
            failed = ", ".join(f"{name} ({code})" for name, code in bank.failed.items())
            tell(_("  not made: {failed}; why: fedrisk results {file} show", failed=failed, file=file))


def _no_scores(attempt: str, banks: "Sequence[BankKept]") -> str:
    """What to do where scores are not in a bank's store."""
    lines = [_("the study is finished and charged, and its results are saved; but scores are missing:")]
    for bank in banks:
        file = shlex.quote(str(bank.file))
        fetch = f"fedrisk results {file} fetch {short(attempt)}"
        remedy = _("{fetch} makes them, at no charge, once the store can be written", fetch=fetch)
        other = _("its store cannot be read; see that it can, and look again with fedrisk results")
        lines.append(f"{bank.bank}: {remedy if bank.owed else f'{other} {file}'}")
    return "\n".join(lines)


def _figures(results: "Results") -> dict[str, object]:
    """Figures of a statistics study as rows; nothing of others."""
    from fedrisk.analysis.result_files import plain_rows
    from fedrisk.report.statistics_view import figures_of

    found = figures_of(results)
    return {} if found is None else {"statistics": plain_rows(found)}


def show(
    folder: Annotated[
        Path, typer.Argument(help="Folder of a finished run (its --out), for example results/may.")
    ],
    as_json: AsJson = False,
) -> None:
    """Show the results of a finished study, and write its report again (not with --json)."""
    from fedrisk.api import load_results
    from fedrisk.report.html import write_report
    from fedrisk.report.text import summary

    results = load_results(folder)
    if as_json:
        output.tell_json({**results.to_dict(), **_figures(results)})
        return
    out.print(summary(results))
    tell(_("report: {results}", results=write_report(results, folder)))
