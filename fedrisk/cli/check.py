"""``fedrisk check``: would a study be refused, what would it cost, what to expect; the verdict last."""

from pathlib import Path
from typing import Annotated

import typer

from fedrisk.cli.output import Overrides, StudyFile, out

Institutions = Annotated[
    Path | None,
    typer.Option(
        "--institutions",
        help="Folder of the institution files, for example banks; default: institutions/ beside the study.",
    ),
]
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
    typer.Option(
        min=0, help="Check it as a research run with this seed, for example 1, which has NO PRIVACY."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Everything as JSON, for example for a pipeline.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Every note in full, instead of like ones on one line.")
]


def check(
    study_file: StudyFile,
    overrides: Overrides = None,
    institutions: Institutions = None,
    institution: Alone = None,
    research_seed: ResearchSeed = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Look before you run: would anybody refuse, is all as declared, what would it cost, can it gain? Spends nothing.

    The last line is the verdict; exit code 1 where the study would be refused.
    """
    from fedrisk.api import check as check_study
    from fedrisk.cli.check_screen import plain, screen

    found = check_study(
        study_file,
        overrides or [],
        institutions=institutions,
        alone=institution,
        research_seed=research_seed,
    )
    if as_json:
        out.print_json(data=plain(found))
    else:
        out.print(screen(found, verbose=verbose))
    if found.broken:
        raise typer.Exit(1)
