"""A statistics study on the screen, with rich."""

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from fedrisk.language import _
from fedrisk.report.statistics_view import MeasureView, Row, StatisticsView, TableView, figures_of, view
from fedrisk.report.words import word
from fedrisk.server.results import Results

MOST_ROWS = 12
"""Rows of a table on the screen: the largest figures; the report and the file have more."""


def statistics_view(results: Results) -> StatisticsView | None:
    """A statistics study as texts; None of others."""
    found = figures_of(results)
    return None if found is None else view(found, results.display_names)


def head_rows(shown: StatisticsView) -> list[tuple[str, str]]:
    """What was asked, and what came of it."""
    rows = [
        (_("asked"), shown.asked),
        (_("of"), shown.population),
        (
            _("figures"),
            _(
                "{figures:,} of {figures2:,}, each with its {level} interval",
                figures=shown.figures - shown.silent,
                figures2=shown.figures,
                level=shown.level,
            ),
        ),
    ]
    if shown.silent:
        rows.append((_("not shown"), _("{silent:,}, which say less than their noise", silent=shown.silent)))
    if shown.included is not None:
        rows.append(
            (
                _("counted with probability"),
                _("{included}; totals are divided by it", included=shown.included),
            )
        )
    if not shown.consistent:
        rows.append((_("tables"), word("statistics", "not_consistent")))
    return rows


def tables(shown: StatisticsView) -> list[RenderableType]:
    """A table for each measure and each table of cells."""
    return [part for measure in shown.measures for table in measure.tables for part in _table(measure, table)]


def _table(measure: MeasureView, table: TableView) -> list[RenderableType]:
    title = Text(f"\n{measure.name}: {measure.what}, {table.by}", style="italic")
    out = Table(box=None, pad_edge=False)
    out.add_column("", overflow="fold")
    for column in table.columns:
        out.add_column(Text(column), justify="right")
        if not measure.box:
            out.add_column(word("column", "interval"), justify="right")
    for row in table.rows[:MOST_ROWS]:
        out.add_row(Text(row.label), *_cells(measure, row))
    more = table.shown - MOST_ROWS
    said = [_("{more:,} more in statistics.csv", more=more)] if more > 0 else []
    if table.silent:
        said.append(
            _(
                "{cells:,} of {cells2:,} cells say less than their noise",
                cells=table.cells - table.shown,
                cells2=table.cells,
            )
        )
    parts: list[RenderableType] = [title, *([out] if table.rows else [])]
    return [*parts, Text("; ".join(said), style="dim")] if said else parts


def _cells(measure: MeasureView, row: Row) -> list[str]:
    if measure.box:
        return ["noise" if f is None else f"{f.estimate} ({f.interval})" for f in row.figures]
    return [text for f in row.shown for text in (f.estimate, f.interval)]
