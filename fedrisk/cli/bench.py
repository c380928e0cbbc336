"""``fedrisk bench``: a sweep of studies with baselines on the same rows, for research on privacy and accuracy."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedrisk.cli.common import AsJson
from fedrisk.cli.output import alert, note, tell, tell_json
from fedrisk.language import _

if TYPE_CHECKING:
    from fedrisk.lab.sweep_run import Outcome


def bench(
    sweep_file: Annotated[
        Path,
        typer.Argument(
            help="The sweep's file (TOML): data sets, epsilons, seeds and so on; for example benchmarks/smoke.toml.",
            show_default=False,
        ),
    ],
    folder: Annotated[
        Path,
        typer.Option(
            "--out",
            help="Folder for results.parquet, index.html and one file for each cell, for example build/sweep. The "
            "same folder again goes on where the sweep was.",
        ),
    ],
    processes: Annotated[
        int | None,
        typer.Option(
            min=1, max=256, help="Cells at work at a time, for example 2; default: one for each core."
        ),
    ] = None,
    keep: Annotated[
        bool,
        typer.Option("--keep", help="Leave the tables, stores and splits of all cells in the folder's work."),
    ] = False,
    again: Annotated[
        bool,
        typer.Option(
            "--again",
            help="Make all cells anew, and put this sweep in the place of another one that the folder holds.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run a sweep: studies over data sets, recipes, epsilons and seeds, and baselines on the same rows. NO PRIVACY.

    Each cell is a research run with stores of its own and exact figures, for public or simulated data only. A sweep
    that was stopped or killed goes on with the same command. Exit code 1 where cells failed: the others are there.
    """
    from fedrisk.cli.bench_screen import SweepProgress, show
    from fedrisk.lab.sweep import load_sweep
    from fedrisk.lab.sweep_folder import RESULTS
    from fedrisk.lab.sweep_run import run_sweep

    sweep = load_sweep(sweep_file)
    with SweepProgress(silent=as_json).watching() as progress:
        found = run_sweep(
            sweep, sweep_file, folder, processes=processes, keep=keep, again=again, report=progress.told
        )
    page = _page(found, folder)
    if as_json:
        tell_json(_plain(found, page))
    else:
        show(found)
        tell(_("written: {path}", path=folder / RESULTS))
        if page is not None:
            tell(_("written: {path}", path=page))
    for name, packages in found.without.items():
        note(
            _(
                "baseline {name} is left out: it needs {packages}, which is not installed",
                name=name,
                packages=", ".join(packages),
            )
        )
    if found.failed or found.failed_baselines:
        alert(
            _(
                "{failed} of {cells} cells and {baselines} baselines failed; {log} says why, and the same command "
                "tries them once more",
                failed=len(found.failed),
                cells=len(found.cells),
                baselines=found.failed_baselines,
                log=folder / "errors.log",
            ),
            style="yellow",
        )
        raise typer.Exit(1)


def _page(found: "Outcome", folder: Path) -> Path | None:
    """The page, where there is anything to show; a warning where it cannot be made: the results are there."""
    from fedrisk.errors import LeftUndone, code_of
    from fedrisk.report.sweep_page import write_sweep_page

    if not found.rows["auc"].notna().any():
        return None
    try:
        return write_sweep_page(folder, found.rows, found.sweep)
    except Exception as error:
        warnings.warn(
            f"the page could not be written ({code_of(error)}); the results are in {folder}, and "
            f"`fedrisk report sweep {folder}` writes it again",
            LeftUndone,
            stacklevel=2,
        )
        return None


def _plain(found: "Outcome", page: Path | None) -> dict[str, Any]:
    from fedrisk.lab.sweep_folder import RESULTS

    return {
        "sweep": found.sweep.name,
        "digest": found.sweep.digest,
        "notice": "research run: no privacy",
        "cells": len(found.cells),
        "there_before": found.there,
        "failed": [
            {"cell": c.digest, "data_set": c.data_set, "recipe": c.recipe, "error": found.failed[c.digest]}
            for c in found.cells
            if c.digest in found.failed
        ],
        "failed_baselines": found.failed_baselines,
        "left_out": {name: list(packages) for name, packages in found.without.items()},
        "rows": len(found.rows),
        "seconds": round(found.seconds, 2),
        "results": str(found.folder / RESULTS),
        "page": None if page is None else str(page),
    }
