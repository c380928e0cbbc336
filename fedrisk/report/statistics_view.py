"""A statistics study as people read it: measures, tables and rows with figures as texts; for page and screen alike.

Figures that say less than their noise have none here either: they come from analysis/estimates without.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fedrisk.analysis.estimates import Estimates, estimates
from fedrisk.language import _, listed, of_kind
from fedrisk.releases.record import ReleaseRecord
from fedrisk.releases.statistics import RELEASE, UNKNOWN, CellTable, Layout, Measure
from fedrisk.report.words import together, word
from fedrisk.server.results import Results

MOST_ROWS = 300
"""Rows of a table that people are shown at most; all are in the file."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure: estimate and interval as texts, and where they lie in a box of 100 units."""

    estimate: str
    interval: str
    place: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Row:
    """One cell: its categories, and its figures (several of quantiles; None where one says less than its noise)."""

    label: str
    figures: tuple[Figure | None, ...]

    @property
    def shown(self) -> tuple[Figure, ...]:
        """Figures that are there."""
        return tuple(f for f in self.figures if f is not None)


@dataclass(frozen=True, kw_only=True)
class TableView:
    """One table of one measure: rows in falling order, and cells that say less than their noise; the first of both.

    shown: how many cells have a figure.
    columns: headings of the figures. first: whether it is the first one of the study. derived: made of cells of a
    released table. least, most: ends of the box of the bars, as texts; zero: where 0 lies in it.
    """

    name: str
    by: str
    cells: int
    columns: tuple[str, ...]
    rows: tuple[Row, ...] = ()
    shown: int = 0
    silent: tuple[str, ...] = ()
    least: str = ""
    most: str = ""
    zero: float = 0.0
    first: bool = False
    derived: bool = False


@dataclass(frozen=True, kw_only=True)
class MeasureView:
    """One measure: what it is of, in words, and its tables: the study's first one, then the smallest."""

    name: str
    what: str
    about: str
    box: bool = False
    tables: tuple[TableView, ...] = ()


@dataclass(frozen=True, kw_only=True)
class StatisticsView:
    """All of a study: what was asked, in words; how many figures there are, and how many say less than their noise."""

    asked: str
    population: str
    cells: int
    figures: int
    silent: int
    level: str
    included: str | None
    consistent: bool
    several: bool
    measures: tuple[MeasureView, ...] = field(default=(), repr=False)


_LAST: list[tuple[ReleaseRecord, Estimates]] = []
"""The figures that were read last: page, screen and JSON of one study ask for the same ones."""


def figures_of(results: Results) -> Estimates | None:
    """The figures of a statistics study; None of others."""
    record = results.record
    if record is None or record.find(RELEASE) is None:
        return None
    if not (_LAST and _LAST[0][0] is record):
        _LAST[:] = [(record, estimates(record))]
    return _LAST[0][1]


def view(found: Estimates, names: Mapping[str, str] | None = None) -> StatisticsView:
    """Estimates as texts. names: display names of institutions."""
    layout, names = found.layout, names or {}
    # The first table is what was asked; then the smallest.
    order = sorted(found.tables, key=lambda t: (t != layout.tables[0], layout.cells(t)))
    parts = dict[tuple[str, str], list[Mapping[str, Any]]]()
    for row in found.frame.to_dict("records"):
        parts.setdefault((row["table"], row["measure"]), []).append({str(k): v for k, v in row.items()})
    measures = tuple(
        MeasureView(
            name=measure.name,
            what=_what(measure, names),
            about=_about(measure),
            box=measure.kind == "quantiles",
            tables=tuple(_table(found, t, measure, parts[t.name, measure.name]) for t in order),
        )
        for measure in layout.measures
    )
    return StatisticsView(
        asked=_asked(layout, names),
        population=word(
            "statistics", "joined" if layout.joined else "local", owner=_owner(layout.owner, names)
        ),
        cells=sum(layout.cells(t) for t in found.tables),
        figures=len(found.frame),
        silent=found.withheld,
        level=f"{found.level:.0%}" if round(found.level, 2) == found.level else f"{found.level:.1%}",
        included=None if layout.included == 1 else f"{layout.included:.0%}",
        consistent=found.consistent,
        several=len(found.tables) > 1,
        measures=measures,
    )


def _owner(role: str, names: Mapping[str, str]) -> str:
    return word("statistics", "banks") if role == "bank" else names.get(role, role)


def _column(name: str, names: Mapping[str, str]) -> str:
    owner, _dot, column = name.partition(".")
    return _("{column} ({owner})", column=column, owner=_owner(owner, names))


def _what(measure: Measure, names: Mapping[str, str]) -> str:
    """As in: mean of load_growth (power_utility)."""
    if measure.column is None:
        return word("statistics", "count")
    if measure.kind == "share" and not measure.values:
        return word("statistics", "share_of_ones", column=_column(measure.column, names))
    values = listed(measure.values)
    return word("statistics", measure.kind, column=_column(measure.column, names), values=values)


def _asked(layout: Layout, names: Mapping[str, str]) -> str:
    measures = listed(dict.fromkeys(_what(m, names) for m in layout.measures))
    by = of_kind("list", "; ").join(dict.fromkeys(_by(t) for t in layout.tables))
    return _("{measures}: {by}", measures=measures[:1].upper() + measures[1:], by=by)


def _by(table: CellTable) -> str:
    return _("by {axes}", axes=together(table.axes)) if table.axes else word("statistics", "all")


def _about(measure: Measure) -> str:
    """What the figures are of: who has a value, and to which bounds values are cut."""
    said = word("statistics", f"about_{measure.kind}")
    if measure.low is None or measure.high is None or measure.kind in ("count", "share"):
        return said
    unit = f" {measure.unit}" if measure.unit else ""
    ends = _bound(measure.low), _bound(measure.high)
    return f"{said} {word('statistics', 'clipped', low=ends[0], high=ends[1] + unit)}"


def _bound(value: float) -> str:
    text = f"{value:,.0f}" if value == round(value) else f"{value:,.6g}"
    return text.replace("-", "−")


def _table(
    found: Estimates, table: CellTable, measure: Measure, own: Sequence[Mapping[str, Any]]
) -> TableView:
    """A measure in a table; own: its rows of the frame, cell by cell."""
    quantiles = list(dict.fromkeys(r["quantile"] for r in own)) if measure.kind == "quantiles" else [math.nan]
    box = _box([r for r in own if r["says"]])
    shown = list[tuple[float, int]]()
    silent = list[int]()
    for k in range(0, len(own), len(quantiles)):
        places = [r["estimate"] for r in own[k : k + len(quantiles)] if r["says"]]
        if places:
            shown.append((-places[len(places) // 2], k))
        else:
            silent.append(k)

    def label(k: int) -> str:
        return " · ".join(category_words(own[k][axis]) for axis in table.axes) or of_kind("cells", "all")

    def row(k: int) -> Row:
        cell = own[k : k + len(quantiles)]
        return Row(label=label(k), figures=tuple(_figure(r, measure, box) for r in cell))

    return TableView(
        name=table.name,
        by=_by(table),
        cells=found.layout.cells(table),
        columns=tuple(_heading(q, measure) for q in quantiles),
        rows=tuple(row(k) for _, k in sorted(shown)[:MOST_ROWS]),
        shown=len(shown),
        silent=tuple(label(k) for k in silent[:MOST_ROWS]),
        least=amount(box[0], measure.kind, (box[1] - box[0]) / 10),
        most=amount(box[1], measure.kind, (box[1] - box[0]) / 10),
        zero=_place(0.0, box),
        first=table == found.layout.tables[0],
        derived=table not in found.layout.tables,
    )


def _heading(quantile: float, measure: Measure) -> str:
    unit = f", {measure.unit}" if measure.unit and measure.kind != "share" else ""
    if math.isnan(quantile):
        return word("measure", measure.kind) + unit
    return (_("median") if quantile == 0.5 else f"{quantile:.0%}") + unit


def category_words(name: str) -> str:
    """What people read in place of a category: its name, or a word for enterprises without one."""
    return _("(unknown)") if name == UNKNOWN else name


def _figure(row: Mapping[str, Any], measure: Measure, box: tuple[float, float]) -> Figure | None:
    if not row["says"]:
        return None
    error = (row["high"] - row["low"]) / 2
    low, high = (amount(row[k], measure.kind, error) for k in ("low", "high"))
    return Figure(
        estimate=amount(row["estimate"], measure.kind, error),
        interval=_("{low} to {high}", low=low, high=high) if low != high else low,
        place=_place(row["estimate"], box),
        low=_place(row["low"], box),
        high=_place(row["high"], box),
    )


def _box(shown: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """Ends of the box of the bars: all that is shown, and 0."""
    low = min((r["low"] for r in shown), default=0.0)
    high = max((r["high"] for r in shown), default=0.0)
    low, high = min(0.0, low), max(0.0, high)
    return (low, high) if high > low else (low, low + 1.0)


def _place(value: float, box: tuple[float, float]) -> float:
    return round(100 * min(max((value - box[0]) / (box[1] - box[0]), 0.0), 1.0), 2)


def amount(value: float, kind: str, error: float = 0.0) -> str:
    """A figure with as many digits as its error leaves: two of the error itself. Shares in per cent.

    kind: of the measure.

    >>> amount(12345.678, "mean", 21.0), amount(0.01234, "mean", 0.0021), amount(-3.0, "mean", 0.4)
    ('12,346', '0.0123', '−3.00')
    >>> amount(240411930.0, "sum", 5.3e7)
    '240,000,000'
    >>> amount(0.01234, "share", 0.0021)
    '1.23%'
    """
    percent = kind == "share"
    if percent:
        value, error = 100 * value, 100 * error
    if error > 0 and math.isfinite(error):
        digits = min(1 - math.floor(math.log10(error)), 8)
    else:
        digits = min(max(3 - math.floor(math.log10(abs(value))), 0), 8) if value else 0
    if kind == "count":
        digits = min(digits, 0)
    text = f"{round(value, digits) + 0.0:,.{max(digits, 0)}f}"
    return text.replace("-", "−") + ("%" if percent else "")
