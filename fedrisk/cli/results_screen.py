"""What ``fedrisk results`` and ``fedrisk own`` show of an institution's own results, as tables for a terminal."""

from collections.abc import Mapping
from typing import Any

from rich.markup import escape

from fedrisk.cli.output import out, plain_table, tell
from fedrisk.clients.node import Node
from fedrisk.clients.own_results import Entry
from fedrisk.language import _, either
from fedrisk.language_patterns import retold
from fedrisk.report.text import number, own_sentences, signed
from fedrisk.report.words import word

SHOWN = ("scorecard", "recalibrated", "alone", "personal", "champion")
"""Models of which tables are shown, in this order."""


def show_head(node: Node, entry: Entry) -> None:
    """Which attempt this is about."""
    tell(
        _(
            "{name}, attempt {attempt}, study {study} ({recipe})",
            name=node.name,
            attempt=entry.attempt,
            study=entry.study,
            recipe=entry.recipe,
        )
    )
    if entry.research:
        tell(_("research run: no privacy"), "bold white on red")


def show_figures(figures: dict[str, Any]) -> None:
    """The verdict of the hold-out, or AUC by model alone; and what could not be made, with its reason."""
    verdict = figures.get("verdict")
    if verdict is None:
        _plain(figures)
    else:
        _verdict(verdict)
    for name, why in (figures.get("absent") or {}).items():
        tell(
            _(
                "not made: {name} ({code}): {reason}",
                name=name,
                code=why["code"],
                reason=retold(why["reason"]),
            ),
            "yellow",
        )


def _plain(figures: dict[str, Any]) -> None:
    """AUC by model: of trainings, and where the hold-out has too few labels for a comparison."""
    for name, value in figures.items():
        if name not in ("verdict", "tables", "absent"):
            shown = value if isinstance(value, str) else number(value)
            tell(f"  {name}: {shown}")


def _verdict(verdict: dict[str, Any]) -> None:
    defaults, others = verdict["defaults"], verdict["others"]
    numbers = ("AUC", "±", "log loss", "less own", "from", "to")
    title = _("own hold-out: {defaults:,} defaults, {others:,} others", defaults=defaults, others=others)
    table = plain_table(title, "model", *numbers, right=numbers)
    for name, figures in verdict["models"].items():
        beside = verdict["against_own"].get(name, {}).get("auc")
        shown = ("", "", "") if beside is None else [signed(beside[k]) for k in ("value", "low", "high")]
        main = (number(figures["auc"]), number(figures["auc_error"]), number(figures["log_loss"], 4))
        table.add_row(word("model", name), *main, *shown)
    out.print(table)
    first, *others_said = own_sentences(verdict)
    tell(first, "bold")
    for line in others_said:
        tell(line)


def show_tables(figures: Mapping[str, Any], summary: dict[str, Any], reasons: list[dict[str, Any]]) -> None:
    """Scores and reasons, and what each model is good for on the bank's own hold-out (models/gains)."""
    _scores(summary)
    _reasons(reasons)
    tables = figures.get("tables") or {}
    models = [name for name in SHOWN if name in tables]
    if models:
        _quality(tables, models)
        _gains(tables, models)
        _cutoffs(tables, models)


def _scores(summary: dict[str, Any]) -> None:
    parts = ", ".join(f"{count:,} {word('split', name)}" for name, count in summary["split"].items())
    numbers = ("mean", "least", "5%", "25%", "half", "75%", "95%", "most")
    table = plain_table(
        _("scores of {rows:,} customers ({parts})", rows=summary["rows"], parts=parts),
        "",
        *numbers,
        right=numbers,
    )
    for name, found in summary.items():
        if name in ("rows", "split"):
            continue
        values = [found["mean"], *found["quantiles"]]
        shown = [f"{v:.0f}" if name == "score" else f"{v:.3f}" for v in values]
        table.add_row(_figure(name), *shown)
    out.print(table)


def _figure(name: str) -> str:
    """What a line of figures is of: score, probability, or the probability by a model."""
    if name in ("score", "probability"):
        return word("column", name)
    return word("model_short", name.replace("_probability", ""))


def _reasons(reasons: list[dict[str, Any]]) -> None:
    if not reasons:
        return
    title = _("reasons: where customers have fewer points than the average enterprise")
    numbers = ("first reason", "below", "points")
    table = plain_table(title, "column", "meaning", *numbers, right=numbers)
    counted = [row for row in reasons if row["first"] or row["below_average"]]
    for row in counted:
        points = f"{row['mean_points']:.1f}".replace("-", "−")
        counts = (f"{row['first']:,}", f"{row['below_average']:,}")
        table.add_row(
            escape(word("reason", row["column"])),
            "" if row["meaning"] == row["column"] else escape(row["meaning"]),
            *counts,
            points,
        )
    out.print(table)
    rest = len(reasons) - len(counted)
    if rest:
        tell(
            either("{count} more column is nobody's reason", "{count} more columns are nobody's reason", rest)
        )


def _quality(tables: dict[str, Any], models: list[str]) -> None:
    table = plain_table("on the own hold-out", "model", "AUC", "KS", "Gini", right=("AUC", "KS", "Gini"))
    for name in models:
        found = tables[name]
        table.add_row(word("model", name), *(f"{found[k]:.3f}" for k in ("auc", "ks", "gini")))
    out.print(table)


def _gains(tables: dict[str, Any], models: list[str]) -> None:
    """Share of all defaults that the riskiest tenths hold, model by model, and their lift."""
    columns = ("riskiest", *(word("model_short", name) for name in models))
    title = _("gains: of all defaults, how many the riskiest tenths hold (and lift of each)")
    table = plain_table(title, *columns, right=columns)
    for k in range(max(len(tables[name]["gains"]) for name in models)):
        cells = []
        for name in models:
            rows = tables[name]["gains"]
            cells.append(f"{rows[k]['caught']:.0%} ({rows[k]['lift']:.1f})" if k < len(rows) else "")
        table.add_row(_("{k}. tenth", k=k + 1), *cells)
    out.print(table)


def _cutoffs(tables: dict[str, Any], models: list[str]) -> None:
    """Default rate of those approved, by the share of customers that is approved at most."""
    scored = "score" in tables[models[0]]["cutoffs"][0]
    columns = (
        "at most",
        *(word("model_short", name) for name in models),
        *([_("least score")] if scored else []),
    )
    title = _("cut-offs: default rate of those approved (share of all defaults kept out)")
    table = plain_table(title, *columns, right=columns)
    for k in range(len(tables[models[0]]["cutoffs"])):
        rows = [tables[name]["cutoffs"][k] for name in models]
        cells = [f"{row['default_rate']:.1%} ({row['kept_out']:.0%})" for row in rows]
        score = [str(rows[0]["score"])] if scored else []
        table.add_row(f"{rows[0]['wanted']:.0%}", *cells, *score)
    out.print(table)
