"""``fedrisk check``: would a study be refused, what would it cost, what to expect; the verdict last."""

from pathlib import Path
from typing import Annotated

import typer

from fedrisk.cli.common import AsJson, Institutions, Overrides, StudyFile

Alone = Annotated[
    Path | None,
    typer.Option(
        "--institution",
        metavar="FILE",
        help="One member looks for itself, by its own file alone, for example institutions/bank.toml.",
    ),
]
ResearchSeed = Annotated[
    int | None,
    typer.Option(min=0, help="Check it as a research run, which has NO PRIVACY; for example 1."),
]


Quick = Annotated[
    bool,
    typer.Option(
        "--quick", help="Without the AUC to be expected, whose simulated studies take some seconds."
    ),
]


def check(
    study_file: StudyFile,
    overrides: Overrides = None,
    institutions: Institutions = None,
    institution: Alone = None,
    research_seed: ResearchSeed = None,
    quick: Quick = False,
    as_json: AsJson = False,
) -> None:
    """Look before you run: would anybody refuse, is all as declared, what would it cost, can it gain? Spends nothing.

    The last line is the verdict; exit code 1 where the study would be refused. With --verbose every note stands in
    full, instead of like ones on one line.
    """
    from fedrisk.api import check as check_study
    from fedrisk.cli.check_screen import show

    found = check_study(
        study_file,
        overrides or [],
        institutions=institutions,
        alone=institution,
        research_seed=research_seed,
        foresee=not quick,
    )
    show(found, as_json=as_json)
