"""What ``fedrisk query`` shows: prices, expected errors, and the figures that were asked for."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from rich.table import Table

from fedrisk.cli.output import plain_table
from fedrisk.clients.assessment import Assessment
from fedrisk.language import N_, _
from fedrisk.language_patterns import retold
from fedrisk.privacy.ledger.plain import left_in_words, studies_in_words
from fedrisk.recipes.statistics.asked import Shown
from fedrisk.recipes.statistics.expectation import Expected, in_unit, silent_cells
from fedrisk.releases.statistics import FIGURES
from fedrisk.report.statistics_view import amount
from fedrisk.study import Study

SILENT = N_("less than its noise")
"""Stands in place of a figure that says less than its noise."""


def price_table(prices: Mapping[str, Assessment], study: Study) -> Table:
    """What each institution pays, and what it has left."""
    privacy = study.privacy
    columns = ("institution", "mu", "left now", "left after", "like it after")
    table = plain_table(
        _(
            "price: epsilon {epsilon:g} at delta {delta:g}, per enterprise and institution",
            epsilon=privacy.epsilon,
            delta=privacy.delta,
        ),
        *columns,
        right=("mu",),
    )
    for name, found in prices.items():
        paid = "–" if math.isinf(found.mu) else f"{found.mu:.3f}"
        table.add_row(
            study.display_names.get(name, name),
            paid,
            retold(left_in_words(found.left, found.delta)),
            retold(left_in_words(found.after, found.delta)),
            retold(studies_in_words(found.further)),
        )
    return table


def expectation_table(expected: Sequence[Expected], rows: int) -> Table:
    """What errors to expect, in an average cell."""
    cells, by = expected[0].cells, expected[0].table
    title = _(
        "expected, by {by}: {rows:,} enterprises in {cells:,} cells, {rows2:,.0f} in an average one",
        by=by,
        rows=rows,
        cells=cells,
        rows2=expected[0].rows,
    )
    columns = ("error in that cell", "cells say something from", "silent cells")
    table = plain_table(title, "figure", *columns, right=columns, whole=("figure",))
    for e in expected:
        least, error = e.from_words, f"± {in_unit(e.error, e.kind, e.unit)}"
        table.add_row(e.measure, error, least, _("about {silent:,.0f}", silent=e.silent))
    return table


def silent_words(expected: Sequence[Expected]) -> str:
    """How many figures are likely to be nothing but noise."""
    cells, silent = sum(e.cells for e in expected), silent_cells(expected)
    if silent < 0.5:
        return _("all {cells:,} figures are likely to say more than their noise", cells=cells)
    more = _("; ask by coarser categories, or pay more") if silent > cells / 3 else ""
    return _(
        "about {silent:,.0f} of {cells:,} figures are likely to say less than their noise, and are not shown{more}",
        silent=silent,
        cells=cells,
        more=more,
    )


def picked(frame: pd.DataFrame, shown: Shown) -> pd.DataFrame:
    """The rows that were asked for: of WHERE's categories and of the quantiles that were named."""
    keep = frame["table"] == shown.table
    for axis, categories in shown.keep.items():
        keep &= frame[axis].isin(categories)
    for measure, levels in shown.quantiles.items():
        near = frame["quantile"].map(lambda q, levels=levels: any(abs(q - p) < 1e-9 for p in levels))
        keep &= (frame["measure"] != measure) | near
    return frame[keep]


def estimates_table(frame: pd.DataFrame, axes: Sequence[str], level: float, study: str) -> Table:
    """Figures with their errors and intervals; a cell that says less than its noise has none."""
    figures = ("estimate", "±", _("{level:.0%} interval", level=level))
    several = bool(frame["measure"].nunique() > 1 or frame["quantile"].notna().any())
    head = [*axes, *(["figure"] if several else []), *figures, "unit"]
    measure = "" if several else f": {_figure(frame.iloc[0])}" if len(frame) else ""
    whole = [*figures, *(["figure"] if several else [])]
    table = plain_table(
        _("study {study}{measure}", study=study, measure=measure), *head, right=figures, whole=whole
    )
    for row in frame.to_dict("records"):
        table.add_row(*_cells(row, axes, several))
    return table


def _cells(row: Mapping[Any, Any], axes: Sequence[str], several: bool) -> list[str]:
    head = [*(str(row[a]) for a in axes), *([_figure(row)] if several else [])]
    unit = str(row["unit"] or "") if isinstance(row["unit"], str) else ""
    if not row["says"]:
        return [*head, _(SILENT), "", "", unit]
    kind, error = row["kind"], row["standard_error"]
    estimate, own, low, high = (
        amount(row[k], kind, error) for k in ("estimate", "standard_error", "low", "high")
    )
    return [*head, estimate, own, _("{low} to {high}", low=low, high=high), unit]


def _figure(row: Any) -> str:
    quantile = row["quantile"]
    named = str(row["measure"])
    return named if quantile is None or math.isnan(quantile) else f"{named}, {quantile:.0%}"


def figures_of(frame: pd.DataFrame, axes: Sequence[str]) -> pd.DataFrame:
    """The columns that programs get of the rows that were asked for."""
    return frame[[*axes, "measure", "kind", "quantile", *FIGURES, "standard_error", "says", "unit"]]
