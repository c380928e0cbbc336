"""``fedrisk runs``: what was run on this machine; ``fedrisk compare``: two runs side by side."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from fedrisk.attempt_id import short
from fedrisk.cli.common import AsJson, run_or_folder
from fedrisk.cli.output import alert, out, plain_table, screen, tell, tell_json
from fedrisk.language import _, either

if TYPE_CHECKING:
    from fedrisk.server.compare import Comparison, Side
    from fedrisk.server.runs import Run

runs_app = typer.Typer(
    help="Runs of this machine's hub: list, show, and results written again at no charge.",
    invoke_without_command=True,
)

Attempt = Annotated[
    str, typer.Argument(help="Attempt of a run, or the beginning of its id, for example 1f3a9c02.")
]


LEAST = {
    "run": 8,
    "begun": 10,
    "study": 5,
    "state": 4,
    "epsilon": 2,
    "AUC": 5,
    "results": 4,
}
"""Columns of the table of runs, with the letters that a line of each holds at least, on a screen of 50 columns."""

NARROW = 70
"""Below this many columns each column of the table has its least width: else the last would vanish."""


@runs_app.callback()
def runs(context: typer.Context, as_json: AsJson = False) -> None:
    """All runs, the newest last; with their state, epsilon, AUC and folder of results."""
    if context.invoked_subcommand is not None:
        return
    found = _runs().all()
    if as_json:
        tell_json([run.to_dict() for run in found])
        return
    if not found:
        tell(_("no runs in {path}", path=_runs().path))
        return
    out.print(table_of(found))


def table_of(found: "Sequence[Run]") -> Table:
    """A line for each run."""
    table = plain_table("runs", *LEAST, right=("epsilon", "AUC"), least=LEAST)
    if out.width < NARROW:
        for column, least in zip(table.columns, LEAST.values(), strict=True):
            column.width = least
    for run in found:
        table.add_row(
            short(run.attempt), run.begun[:16].replace("T", " "), run.study, _state(run), *_cells(run)
        )
    return table


@runs_app.command("show")
def show(attempt: Attempt, as_json: AsJson = False) -> None:
    """One run: its entry, and its results as they were kept at the hub. With --verbose all tables."""
    from fedrisk.report.text import main_figures, summary

    registry = _runs()
    run = registry.find(attempt)
    if as_json:
        kept = registry.results(run).to_dict() if run.can_export else None
        tell_json({"run": run.to_dict(), "results": kept})
        return
    tell(_("run {attempt} of study {study}", attempt=run.attempt, study=run.study), "bold")
    for line in about(run, f"fedrisk runs export {short(run.attempt)} --out FOLDER"):
        tell(line)
    if run.can_export:
        out.print((summary if screen.verbose else main_figures)(registry.results(run)))


@runs_app.command("export")
def export(
    attempt: Attempt,
    folder: Annotated[Path, typer.Option("--out", help="Folder for the results, for example results/again.")],
    again: Annotated[
        bool, typer.Option("--again", help="Overwrite the results of another run in that folder.")
    ] = False,
) -> None:
    """Write the results and the report of a run to a folder once more; nothing is charged."""
    from fedrisk.report.html import write_report
    from fedrisk.server.results import prepare
    from fedrisk.server.runs import save

    registry = _runs()
    run = registry.find(attempt)
    results = registry.results(run)
    prepare(folder, again=again)
    save(results, folder, registry)
    write_report(results, folder)
    tell(_("results of run {attempt} in {folder}", attempt=run.attempt, folder=folder))
    if run.results == "before_evaluation":
        alert(
            _(
                "warning: this run ended before its hold-out was evaluated; model and released numbers are whole"
            ),
            "yellow",
        )


def compare(
    one: Annotated[
        str,
        typer.Argument(
            help="A run (attempt, or the beginning of it), for example 1f3a9c02, or a folder of results."
        ),
    ],
    other: Annotated[str, typer.Argument(help="The other one, for example results/epsilon3.")],
    as_json: AsJson = False,
) -> None:
    """Two runs side by side: what differs in their studies, and their figures with standard errors."""
    from fedrisk.server.compare import compare as compared

    found = compared(_side(one), _side(other))
    if as_json:
        tell_json(found.to_dict())
        return
    _print_keys(found)
    _print_figures(found)


def _runs() -> Any:
    from fedrisk.server.hub import Hub
    from fedrisk.server.runs import Runs

    return Runs(Hub.default())


def _state(run: "Run") -> str:
    from fedrisk.report.words import word

    state = word("state", run.state)
    if run.code is not None:
        state += f" ({run.code})"
    return _("{state}, research", state=state) if run.research else state


def _cells(run: "Run") -> tuple[str, str, str]:
    """Epsilon, AUC with its error, and where results lie."""
    epsilon = "–" if run.epsilon is None else f"{run.epsilon:g}"
    auc = "–" if run.auc is None else f"{run.auc:.3f}"
    if run.auc is not None and run.auc_standard_error is not None:
        auc += f" ± {run.auc_standard_error:.3f}"
    return epsilon, auc, _where(run)


def _where(run: "Run") -> str:
    """Folder of the results where they are still those of the run; else that the hub keeps them."""
    from fedrisk.server.runs import lies_in

    if run.out is not None and lies_in(run, Path(run.out)):
        path = Path(run.out)
        return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
    return {"none": "–", "before_evaluation": _("at the hub, no evaluation"), "whole": _("at the hub")}[
        run.results
    ]


def about(run: "Run", export: str) -> list[str]:
    """What the entry of a run says, in lines; ``export``: the command that writes its results once more."""
    charged = ", ".join(run.charged) or _("nobody")
    if run.state not in ("finished", "running"):
        # A debit whose answer never came is known to the member's ledger alone.
        charged += _(", as far as the hub heard (fedrisk budget FILE is what counts)")
    lines = [
        _("begun {begun}, {run}", begun=run.begun[:19], run=_state(run))
        + ("" if run.ended is None else f" {run.ended[:19]}"),
        _(
            "recipe {recipe}, engine {engine}, study digest {digest}",
            recipe=run.recipe,
            engine=run.engine,
            digest=run.digest[:16],
        ),
        either(
            "{count} exchange; charged: {charged}",
            "{count} exchanges; charged: {charged}",
            run.exchanges,
            charged=charged,
        ),
        _("results: {run}", run=_where(run)),
    ]
    if run.goes_on:
        lines.append(
            _(
                "it can go on where it was stopped, within a day, and what was charged is not charged again: the "
                "same command with --resume, or on a hub fedrisk hub resume"
            )
        )
    if run.can_export:
        lines.append(_("to write them once more, at no charge: {export}", export=export))
    return lines


def _side(name: str) -> "Side":
    """A run by its attempt or its folder; ConfigError where there is neither."""
    from fedrisk.server.compare import Side

    results, run = run_or_folder(name)
    if run is None:
        content = None if results.record is None else results.record.study
        return Side(name=name, results=results, content=content)
    return Side(name=short(run.attempt), results=results, content=run.content or None)


def _print_keys(found: "Comparison") -> None:
    if found.same_study is None:
        tell(_("what the studies say is not known: a release record is missing"))
        return
    if found.same_study:
        tell(_("the same study"))
        return
    table = plain_table("what differs in the studies", "key", found.one, found.other)
    for key in found.keys:
        table.add_row(key.key, _value(key.one), _value(key.other))
    out.print(table)


def _value(value: Any) -> str:
    return "–" if value is None else json.dumps(value, ensure_ascii=False)


WHOLE = ("training", "holdout", "exchanges")


def _print_figures(found: "Comparison") -> None:
    from fedrisk.report.text import signed
    from fedrisk.report.words import word

    numbers = (found.one, found.other, "difference")
    table = plain_table("figures", "figure", *numbers, "", right=numbers)
    for figure in found.figures:
        digits = 0 if figure.code in WHOLE else 3
        difference = "–" if figure.difference is None else signed(figure.difference, digits)
        if figure.error is not None:
            difference += f" ± {figure.error:.3f}"
        judged = {None: "", True: _("more than noise"), False: _("within noise")}[figure.more_than_noise]
        table.add_row(
            word("figure", figure.code),
            _with_error(figure.one, figure.one_error, digits),
            _with_error(figure.other, figure.other_error, digits),
            difference,
            judged,
        )
    out.print(table)


def _with_error(value: float | None, error: float | None, digits: int) -> str:
    if value is None:
        return "–"
    shown = f"{value:,.{digits}f}"
    return shown if error is None else f"{shown} ± {error:.3f}"
