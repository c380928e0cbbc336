"""``fedrisk report sweep``: the page of a sweep once more, from its results."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedrisk.cli.report import report_app

if TYPE_CHECKING:
    import pandas as pd

    from fedrisk.lab.sweep import Sweep


@report_app.command("sweep")
def sweep(
    folder: Annotated[
        Path,
        typer.Argument(
            help="Folder that `fedrisk bench` wrote, or of results.parquet alone, for example build/sweep.",
            show_default=False,
        ),
    ],
) -> None:
    """The page of a sweep (index.html), written again from its results, for example in another language.

    Nothing is run. The page stands beside results.parquet, has no script and opens without a network.
    """
    from fedrisk.cli.output import tell
    from fedrisk.language import _
    from fedrisk.report.sweep_page import write_sweep_page

    written = write_sweep_page(folder, _rows(folder), _sweep(folder))
    tell(_("written: {path}", path=written))


def _rows(folder: Path) -> "pd.DataFrame":
    """The results; ConfigError where there are none, or they are no sweep's."""
    from dataclasses import fields

    import pandas as pd

    from fedrisk.errors import ConfigError
    from fedrisk.lab.cell import Row
    from fedrisk.lab.sweep_folder import RESULTS

    file = folder / RESULTS
    try:
        rows = pd.read_parquet(file)
    except (OSError, ValueError):
        raise ConfigError(
            f"{folder} has no {RESULTS} that can be read; name a folder that fedrisk bench wrote, or run it again"
        ) from None
    if missing := [field.name for field in fields(Row) if field.name not in rows]:
        raise ConfigError(
            f"{file} lacks {', '.join(missing)}; it is no sweep's, or of another version: run fedrisk bench again"
        )
    return rows


def _sweep(folder: Path) -> "Sweep | None":
    """What the sweep's folder says it is of; None where it says nothing that this version reads."""
    import json

    from pydantic import ValidationError

    from fedrisk.lab.sweep import Sweep

    try:
        return Sweep.model_validate(json.loads((folder / "sweep.json").read_bytes())["sweep"])
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return None
