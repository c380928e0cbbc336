"""``fedrisk own``: what a bank keeps for itself of a study, and which model it should use.

It reads the institution's own store and nothing of anybody else; nothing of it leaves.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from fedrisk.cli.output import AsJson, InstitutionFile, out, tell_json

if TYPE_CHECKING:
    from fedrisk.clients.node import Node

FIGURES = "own_figures.json"
AGAIN = "put it back from its copy, or name another attempt with --attempt"


def own(
    institution: InstitutionFile,
    attempt: Annotated[
        str | None,
        typer.Option(
            help="Which attempt at a study, for example bf3cee51d42228b73634ce413d53a452; default: the last one."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """At a bank: its own figures of a study, the consortium's card against its own models, and which one to use."""
    from fedrisk.clients.node import Node
    from fedrisk.files import read_json

    node = Node.load(institution)
    folder = _folder(node, attempt)
    figures = read_json(folder / FIGURES, AGAIN)
    if as_json:
        tell_json({"institution": node.name, "attempt": folder.name, **figures})
        return
    out.print(
        f"{node.name}, attempt {folder.name}, {_study(folder)}", markup=False, highlight=False, soft_wrap=True
    )
    verdict = figures.get("verdict")
    if verdict is None:
        _print_plain(figures)
        return
    _print_verdict(verdict)


def _folder(node: "Node", attempt: str | None) -> Path:
    """Folder of the attempt, or of the last one that left figures; ConfigError where there is none."""
    from fedrisk.errors import ConfigError

    found = sorted((node.store.path / "results").glob(f"*/{FIGURES}"), key=lambda path: path.stat().st_mtime)
    named = [path.parent for path in found if attempt in (None, path.parent.name)]
    if not named:
        what = "no study" if attempt is None else "nothing of that attempt"
        raise ConfigError(f"{node.name} keeps figures of {what}; they are there once a study has ended")
    return named[-1]


def _study(folder: Path) -> str:
    from fedrisk.files import read_json

    card = folder / "scorecard.json"
    if not card.exists():
        return "a training"
    return f"study {read_json(card, AGAIN).get('study', '')}"


def _print_plain(figures: dict[str, Any]) -> None:
    """AUC by model: of trainings, and where the hold-out has too few labels for a comparison."""
    from fedrisk.report.text import number

    for name, value in figures.items():
        shown = value if isinstance(value, str) else number(value)
        if name != "verdict":
            out.print(f"  {name}: {shown}", markup=False, highlight=False)


def _print_verdict(verdict: dict[str, Any]) -> None:
    from fedrisk.report.text import number, own_sentences, signed
    from fedrisk.report.words import word

    defaults, others = verdict["defaults"], verdict["others"]
    title = f"own hold-out: {defaults:,} defaults, {others:,} others"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in ("model", "AUC", "±", "log loss", "less own", "from", "to"):
        named = column == "model"
        table.add_column(column, justify="left" if named else "right", no_wrap=not named)
    for name, figures in verdict["models"].items():
        beside = verdict["against_own"].get(name, {}).get("auc")
        shown = ("", "", "") if beside is None else [signed(beside[k]) for k in ("value", "low", "high")]
        main = (number(figures["auc"]), number(figures["auc_error"]), number(figures["log_loss"], 4))
        table.add_row(word("model", name), *main, *shown)
    out.print(table)
    first, *others_said = own_sentences(verdict)
    out.print(first, style="bold", markup=False, highlight=False, soft_wrap=True)
    for line in others_said:
        out.print(line, markup=False, highlight=False, soft_wrap=True)
