"""``fedrisk results BANK``: what an institution keeps for itself of its studies, and ``fedrisk own``, the last of them.

They read the institution's own store and nothing of anybody else; nothing of it leaves.
"""

import shlex
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from fedrisk.cli.output import AsJson, InstitutionFile, err, out, tell_json

if TYPE_CHECKING:
    from fedrisk.clients.node import Node
    from fedrisk.clients.own_results import Entry


class What(StrEnum):
    """What to do with an institution's results."""

    LIST = "list"
    SHOW = "show"
    EXPORT = "export"
    FETCH = "fetch"


SHOWN = ("scorecard", "recalibrated", "alone", "personal", "champion")
"""Models of which tables are shown, in this order."""


def results(
    institution: InstitutionFile,
    what: Annotated[
        What,
        typer.Argument(
            help="list: all attempts. show: figures of one. export: its scores as a file. fetch: make scores that "
            "could not be written once more, at no charge."
        ),
    ] = What.LIST,
    attempt: Annotated[
        str | None,
        typer.Argument(
            help="Attempt, or the beginning of its id, for example 1f3a9c02; default: the last with scores."
        ),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option("--to", help="For export: a .csv or .parquet file, for example scores.csv."),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option("--columns", help="For export: which columns, for example id,score,reason_1."),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="For export: overwrite the file.")] = False,
    as_json: AsJson = False,
) -> None:
    """A bank's own results: scores, reasons, its own models beside the consortium's card; nothing of it leaves."""
    from fedrisk.clients import own_results
    from fedrisk.clients.node import Node

    if (to is not None) != (what is What.EXPORT):
        raise typer.BadParameter("export needs --to FILE, and only export takes it", param_hint="--to")
    node = Node.load(institution)
    if what is What.LIST:
        _list(node, own_results.entries(node), institution, as_json)
    elif what is What.FETCH:
        _fetch(node, attempt, institution, as_json)
    elif to is not None:
        entry = own_results.find(node, attempt)
        chosen = tuple(c.strip() for c in (columns or "").split(",") if c.strip())
        rows, written = own_results.export(node, entry, to, chosen, again=again)
        said = {"file": str(to), "attempt": entry.attempt, "rows": rows, "columns": list(written)}
        words = f"{rows:,} rows of attempt {entry.attempt} in {to}: {', '.join(written)}"
        _say(said, words, as_json)
    else:
        entry = own_results.find(node, attempt)
        _show(node, entry, as_json)
        _say_owed(entry, institution)


def own(
    institution: InstitutionFile,
    attempt: Annotated[
        str | None,
        typer.Option(help="Which attempt at a study, for example 1f3a9c02; default: the last one."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """At a bank: which model to use, by its own hold-out. The same as ``results FILE show``, without its tables."""
    from fedrisk.clients import own_results
    from fedrisk.clients.node import Node

    node = Node.load(institution)
    entry = own_results.find(node, attempt)
    figures = own_results.figures(node, entry)
    if as_json:
        tell_json({"institution": node.name, "attempt": entry.attempt, **figures})
        return
    _head(node, entry)
    _figures(figures)


def _say(content: Any, words: str, as_json: bool) -> None:
    if as_json:
        tell_json(content)
        return
    out.print(words, markup=False, highlight=False, soft_wrap=True)


def _list(node: "Node", entries: "list[Entry]", file: Path, as_json: bool) -> None:
    if as_json:
        tell_json({"institution": node.name, "attempts": [e.to_dict() for e in entries]})
        return
    table = Table(title=f"{node.name}: attempts at studies", title_justify="left", box=None, pad_edge=False)
    for column in ("attempt", "when", "study", "rows scored", "own models"):
        right = column == "rows scored"
        table.add_column(column, justify="right" if right else "left", no_wrap=column in ("attempt", "when"))
    for entry in entries:
        rows = "–" if entry.rows is None else f"{entry.rows:,}"
        study = f"{entry.study or '?'} (research)" if entry.research else entry.study or "?"
        table.add_row(entry.attempt[:8], entry.when[:16].replace("T", " "), study, rows, _models(entry))
    out.print(table)
    for entry in entries:
        _say_owed(entry, file)


def _say_owed(entry: "Entry", file: Path) -> None:
    """What is missing of an attempt and can be made."""
    if not entry.owed:
        return
    what = "scores" if entry.rows is None else "own models and figures"
    err.print(
        f"the {what} of {entry.attempt[:8]} are not there; make them from what the attempt kept, at no charge: "
        f"fedrisk results {shlex.quote(str(file))} fetch {entry.attempt[:8]}",
        style="yellow",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _models(entry: "Entry") -> str:
    """The bank's own models that are there, and what could not be made, as codes."""
    there = ", ".join(entry.models) or "–"
    failed = ", ".join(f"{name} ({code})" for name, code in entry.failed.items())
    return f"{there}; not made: {failed}" if failed else there


def _fetch(node: "Node", attempt: str | None, file: Path, as_json: bool) -> None:
    from fedrisk.clients import own_results
    from fedrisk.errors import ConfigError
    from fedrisk.recipes import recipe_named

    if attempt is None:
        owed = [e.attempt for e in own_results.entries(node) if e.owed]
        if len(owed) != 1:
            raise ConfigError(
                f"{len(owed)} attempts at {node.name} keep what results can be made from"
                + (
                    f"; name one: {', '.join(a[:8] for a in owed)}"
                    if owed
                    else ": all have theirs, or ended before"
                )
            )
        (attempt,) = owed
    attempt = own_results.find(node, attempt).attempt
    entry = own_results.fetch(node, attempt, recipe_named(own_results.recipe_name(node, attempt)))
    rows = "nothing to score" if entry.rows is None else f"{entry.rows:,} rows scored"
    words = f"{rows} of attempt {entry.attempt}, at no charge; own models: {_models(entry)}"
    _say(entry.to_dict(), words, as_json)


def _show(node: "Node", entry: "Entry", as_json: bool) -> None:
    from fedrisk.clients import own_results

    figures = own_results.figures(node, entry)
    summary, reasons = own_results.summary(node, entry), own_results.reason_counts(node, entry)
    if as_json:
        content = {
            "institution": node.name,
            "attempt": entry.attempt,
            "entry": entry.to_dict(),
            "scores": summary,
            "reasons": reasons,
            **figures,
        }
        tell_json(content)
        return
    _head(node, entry)
    _figures(figures)
    _scores(summary)
    _reasons(reasons)
    tables = figures.get("tables") or {}
    models = [name for name in SHOWN if name in tables]
    if models:
        _quality(tables, models)
        _gains(tables, models)
        _cutoffs(tables, models)


def _head(node: "Node", entry: "Entry") -> None:
    out.print(
        f"{node.name}, attempt {entry.attempt}, study {entry.study} ({entry.recipe})",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    if entry.research:
        out.print("research run: no privacy", style="bold white on red")


def _figures(figures: dict[str, Any]) -> None:
    """The verdict of the hold-out, or AUC by model alone; and what could not be made, with its reason."""
    verdict = figures.get("verdict")
    if verdict is None:
        _plain(figures)
    else:
        _verdict(verdict)
    for name, why in (figures.get("absent") or {}).items():
        out.print(
            f"not made: {name} ({why['code']}): {why['reason']}",
            style="yellow",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


def _plain(figures: dict[str, Any]) -> None:
    """AUC by model: of trainings, and where the hold-out has too few labels for a comparison."""
    from fedrisk.report.text import number

    for name, value in figures.items():
        if name not in ("verdict", "tables", "absent"):
            shown = value if isinstance(value, str) else number(value)
            out.print(f"  {name}: {shown}", markup=False, highlight=False)


def _verdict(verdict: dict[str, Any]) -> None:
    from fedrisk.report.text import number, own_sentences, signed
    from fedrisk.report.words import word

    defaults, others = verdict["defaults"], verdict["others"]
    table = _table(f"own hold-out: {defaults:,} defaults, {others:,} others")
    for column in ("model", "AUC", "±", "log loss", "less own", "from", "to"):
        _column(table, column, left=column == "model")
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


def _scores(summary: dict[str, Any]) -> None:
    parts = ", ".join(f"{count:,} {name}" for name, count in summary["split"].items())
    table = _table(f"scores of {summary['rows']:,} customers ({parts})")
    for column in ("", "mean", "least", "5%", "25%", "half", "75%", "95%", "most"):
        _column(table, column, left=not column)
    for name, found in summary.items():
        if name in ("rows", "split"):
            continue
        values = [found["mean"], *found["quantiles"]]
        shown = [f"{v:.0f}" if name == "score" else f"{v:.3f}" for v in values]
        table.add_row(name.replace("_probability", ""), *shown)
    out.print(table)


def _reasons(reasons: list[dict[str, Any]]) -> None:
    if not reasons:
        return
    table = _table("reasons: where customers have fewer points than the average enterprise")
    for column in ("column", "meaning", "first reason", "below", "points"):
        _column(table, column, left=column in ("column", "meaning"))
    for row in reasons:
        points = f"{row['mean_points']:.1f}".replace("-", "−")
        table.add_row(row["column"], row["meaning"], f"{row['first']:,}", f"{row['below_average']:,}", points)
    out.print(table)


def _quality(tables: dict[str, Any], models: list[str]) -> None:
    from fedrisk.report.words import word

    table = _table("on the own hold-out")
    for column in ("model", "AUC", "KS", "Gini"):
        _column(table, column, left=column == "model")
    for name in models:
        found = tables[name]
        table.add_row(word("model", name), *(f"{found[k]:.3f}" for k in ("auc", "ks", "gini")))
    out.print(table)


def _gains(tables: dict[str, Any], models: list[str]) -> None:
    """Share of all defaults that the riskiest tenths hold, model by model, and their lift."""
    from fedrisk.report.words import word

    table = _table("gains: of all defaults, how many the riskiest tenths hold (and lift of each)")
    _column(table, "riskiest")
    for name in models:
        _column(table, word("model_short", name))
    for k in range(max(len(tables[name]["gains"]) for name in models)):
        cells = []
        for name in models:
            rows = tables[name]["gains"]
            cells.append(f"{rows[k]['caught']:.0%} ({rows[k]['lift']:.1f})" if k < len(rows) else "")
        table.add_row(f"{k + 1}. tenth", *cells)
    out.print(table)


def _cutoffs(tables: dict[str, Any], models: list[str]) -> None:
    """Default rate of those approved, by the share of customers that is approved at most."""
    from fedrisk.report.words import word

    table = _table("cut-offs: default rate of those approved (share of all defaults kept out)")
    _column(table, "at most")
    for name in models:
        _column(table, word("model_short", name))
    if "score" in tables[models[0]]["cutoffs"][0]:
        _column(table, "least score")
    for k in range(len(tables[models[0]]["cutoffs"])):
        rows = [tables[name]["cutoffs"][k] for name in models]
        cells = [f"{row['default_rate']:.1%} ({row['kept_out']:.0%})" for row in rows]
        score = [str(rows[0]["score"])] if "score" in rows[0] else []
        table.add_row(f"{rows[0]['wanted']:.0%}", *cells, *score)
    out.print(table)


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=None, pad_edge=False)


def _column(table: Table, name: str, *, left: bool = False) -> None:
    table.add_column(name, justify="left" if left else "right")
