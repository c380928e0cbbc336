"""A page for an institution: its own columns in a model by month, its own table and who was asked about."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedrisk.analysis.plain import plain_values
from fedrisk.analysis.watch.drift_alarms import Drifted, DriftRules
from fedrisk.language import _, of_kind
from fedrisk.report import charts, watch_words
from fedrisk.report.page import render_page, write_page
from fedrisk.report.plots import Line, Plot
from fedrisk.report.validation_words import chance, count, stability_index

ByMonth = Mapping[str, tuple[Drifted, ...]]

MOST_DRAWN = 5


@dataclass(frozen=True, kw_only=True)
class ColumnMonths:
    """Own columns of one model. table: the institution's table by month. asked: those who were asked about.

    model: id, name and version. asked is against the study's released shares and the month before, table against the
    first month that was counted and the month before.
    """

    institution: str
    month: str
    model: Mapping[str, Any]
    table: ByMonth
    asked: ByMonth
    rules: DriftRules

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        out: dict[str, Any] = plain_values(
            {
                "institution": self.institution,
                "month": self.month,
                "model": self.model,
                "table": {m: [d.to_dict() for d in each] for m, each in self.table.items()},
                "asked": {m: [d.to_dict() for d in each] for m, each in self.asked.items()},
                "drift_rules": vars(self.rules),
            }
        )
        return out


def write_columns_page(file: Path, found: ColumnMonths) -> Path:
    """Write the page; StoreError names the file."""
    return write_page(file, render_columns_page(found))


def render_columns_page(found: ColumnMonths) -> str:
    """The page, in the language that is spoken."""
    parts = [_part(name, since, by_month, found.month) for name, since, by_month in _named(found) if by_month]
    return render_page("watch_columns.html.jinja", f=found, parts_of=parts, verdict=verdict(found))


def verdict(found: ColumnMonths) -> str:
    """What changed in the month, in one sentence."""
    names = sorted(
        {d.name for each in (found.table, found.asked) for d in each.get(found.month, ()) if d.alarms}
    )
    if names:
        return _("Changed in {month}: {names}.", month=found.month, names=", ".join(names))
    return _("Nothing changed in {month} that chance alone would not do.", month=found.month)


def _named(found: ColumnMonths) -> list[tuple[str, str, ByMonth]]:
    return [
        (of_kind("watch", "Own table"), _("since the first month"), found.table),
        (of_kind("watch", "Who was asked about"), _("since development"), found.asked),
    ]


def _part(name: str, since: str, by_month: ByMonth, month: str) -> dict[str, Any]:
    return {
        "name": name,
        "since": since,
        "nameable": watch_words.nameable(by_month.get(month, ())),
        "rows": [_row(d) for d in sorted(by_month.get(month, ()), key=_place)],
        "plot": _plot(by_month, month),
    }


def _place(d: Drifted) -> tuple[bool, float]:
    return not d.alarms, -max((s.index for s in (d.by_month, d.by_development) if s is not None), default=0.0)


def _row(d: Drifted) -> dict[str, Any]:
    return {
        "name": d.name,
        "rows": count(d.rows),
        "month": stability_index(d.by_month),
        "development": stability_index(d.by_development),
        "light": watch_words.light(d.by_development if d.by_development is not None else d.by_month),
        "chance": chance(min(d.chances.values(), default=None)),
        "alarm": watch_words.alarm(d),
        "alarmed": bool(d.alarms),
    }


def _plot(by_month: ByMonth, month: str) -> Plot | None:
    """Index against the reference of the columns that are furthest from it now."""
    names = [d.name for d in sorted(by_month.get(month, ()), key=_place)][:MOST_DRAWN]
    lines = []
    for name in names:
        known = [
            (float(k), d.by_development.index)
            for k, each in enumerate(by_month.values())
            for d in each
            if d.name == name and d.by_development is not None
        ]
        if len(known) > 1:
            lines.append(Line(label=name, x=[x for x, _y in known], y=[y for _x, y in known]))
    if not lines:
        return None
    alt = _("Stability index of own columns by month")
    return charts.lines(lines, alt=alt, up="CSI", names=list(by_month)).plot()
