"""``fedrisk report``: what one reader needs of a study, as a page: operator, bank, data holder, validator, public."""

from pathlib import Path
from typing import Annotated

import typer

report_app = typer.Typer(
    help="Pages for people: a study as its operator, a bank, a data holder or a validator needs it.",
    no_args_is_help=True,
)

Out = Annotated[
    Path | None,
    typer.Option(
        "--out", help="File or folder to write to, for example reports/may.html.", show_default=False
    ),
]


def page_file(path: Path | None, name: str, folder: Path | None = None) -> Path:
    """Where a page goes: the file, or in the folder, that was named; else into ``folder``, or here.

    >>> page_file(Path("may.html"), "x.html").name, str(page_file(Path("reports"), "x.html"))
    ('may.html', 'reports/x.html')
    """
    if path is None:
        return Path(name) if folder is None else folder / name
    return path if path.suffix.lower() in (".html", ".htm") else path / name
