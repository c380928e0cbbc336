"""Columns of a bank's report: information values, points by bin, reasons, stability."""

from dataclasses import dataclass

import numpy as np

from fedrisk.analysis.curves import Estimate
from fedrisk.analysis.feature_figures import FeaturePoints, InformationValue, feature_points
from fedrisk.analysis.own_columns import Shift
from fedrisk.analysis.own_figures import OwnFigures
from fedrisk.analysis.own_parts import Period
from fedrisk.language import _, of_kind
from fedrisk.models.own_rows import OwnRows
from fedrisk.report import plots as draw
from fedrisk.report.bank_curves import Figures
from fedrisk.report.bank_words import Table, share, signed_points, with_interval
from fedrisk.report.curve_figures import said
from fedrisk.report.figure_style import Plot
from fedrisk.report.validation_words import stability_index
from fedrisk.report.words import word
from fedrisk.study_members import BANK

MOST_DRAWN = 24
"""Most columns of one owner whose points are drawn; the others are in the card's file."""


@dataclass(frozen=True)
class Values:
    """Information values: a picture of the released ones and a table of all."""

    plot: Plot | None
    table: Table


@dataclass(frozen=True)
class BinBar:
    """One bin of a holder's column. text: its points with their interval. bar: its length beside the average.

    bar, left, wide: in per cent of the box, of whose middle the average is; the latter two of the interval.
    """

    label: str
    text: str
    bar: float
    left: float
    wide: float


@dataclass(frozen=True)
class Points:
    """Points by bin: pictures of own columns, bars of holders' ones. silent: own columns without points."""

    own: Figures
    holders: list[tuple[str, list[BinBar]]]
    silent: list[str]


@dataclass(frozen=True)
class StabilityView:
    """Tables of stability: of the score by what customers were used for, of columns, by time.

    calm: whether all columns are stable, so that their table need not be open.
    """

    score: Table | None
    columns: Table | None
    calm: bool
    periods: Table | None
    plot: Plot | None


def values(rows: OwnRows, found: OwnFigures) -> Values | None:
    """Information values; None where the study has no card."""
    if not found.values:
        return None
    body = [
        [
            v.column,
            _owner(rows, v.institution),
            _meaning(rows, v.institution, v.column),
            _figure(v.released),
            _figure(v.own),
        ]
        for v in found.values
    ]
    columns = [
        of_kind("bank", "column"),
        of_kind("bank", "of"),
        of_kind("bank", "meaning"),
        (_("all banks, with noise"), "n"),
        (_("this bank, exact"), "n"),
    ]
    released = [
        InformationValue(institution=_owner(rows, v.institution), column=v.column, value=v.released)
        for v in found.values
        if v.released is not None
    ]
    plot = draw.information_values(released) if released else None
    return Values(plot, Table(_("Information value of each column, with 95% intervals"), columns, body))


def _owner(rows: OwnRows, institution: str) -> str:
    return of_kind("bank", "this bank") if institution == BANK else institution


def _meaning(rows: OwnRows, institution: str, column: str) -> str:
    meaning = rows.meanings.get(column, "") if institution == BANK else ""
    return "" if meaning == column else meaning


def _figure(value: Estimate | None) -> str:
    return "–" if value is None else said(value)


def points(rows: OwnRows) -> Points | None:
    """Points by bin with their noise; None where the study has no card."""
    if rows.card is None:
        return None
    found = [p for p, b in zip(feature_points(rows.card), rows.card.bins, strict=True) if b.feature.is_column]
    found = sorted(found, key=lambda p: float(p.points.value.min() - p.points.value.max()))
    telling = [p for p in found if p.points.value.any()]
    own = [p for p in telling if p.institution == BANK]
    holders = [p for p in telling if p.institution != BANK]
    silent = [p.column for p in found if p.institution == BANK and not p.points.value.any()]
    widest = max((float(np.abs(p.points.value - p.average).max()) for p in holders), default=1.0) or 1.0
    return Points(
        _drawn(rows, own), [(f"{p.institution}: {p.column}", _bars(p, widest)) for p in holders], silent
    )


def _bars(p: FeaturePoints, widest: float) -> list[BinBar]:
    """Bars of one column, on the scale of all holders' columns."""

    def at(value: float) -> float:
        return min(max(50 + 50 * (value - p.average) / widest, 0.0), 100.0)

    ends = zip(p.labels, p.points.value, p.points.low, p.points.high, strict=True)
    return [
        BinBar(
            label=label,
            text=_points_words(v, low, high),
            bar=round(at(v) - 50, 1),
            left=round(at(low), 1),
            wide=round(at(high) - at(low), 1),
        )
        for label, v, low, high in ends
    ]


def _points_words(value: float, low: float, high: float) -> str:
    if high - low < 1e-9:
        return f"{value:.0f}".replace("-", "−")
    return said_range(f"{value:.0f}", f"{low:.1f}", f"{high:.1f}")


def said_range(value: str, low: str, high: str) -> str:
    """A number with its interval, with true minuses."""
    text = _("{value} ({low} to {high})", value=value, low=low, high=high)
    return text.replace("-", "−")


def _drawn(rows: OwnRows, found: list[FeaturePoints]) -> Figures:
    out = []
    for p in found[:MOST_DRAWN]:
        meaning = _meaning(rows, p.institution, p.column)
        caption = (
            of_kind("bank", "{column}: {meaning}", column=p.column, meaning=meaning) if meaning else p.column
        )
        out.append((caption, draw.points_of_feature(p, title=p.column)))
    return out


def reasons(rows: OwnRows) -> Table | None:
    """How often each column is a customer's first reason; None where points are not kept by column."""
    counted = [r for r in rows.reasons if r.first or r.below]
    if not counted:
        return None
    total = max(sum(r.first for r in rows.reasons), 1)
    body = [
        [
            word("reason", r.column),
            "" if r.meaning == r.column else r.meaning,
            f"{r.first:,}",
            share(r.first / total, 1),
            f"{r.below:,}",
            signed_points(r.points),
        ]
        for r in counted
    ]
    names = (
        _("first reason of"),
        of_kind("bank", "share"),
        of_kind("bank", "below average"),
        _("points, mean of those"),
    )
    columns = [of_kind("bank", "column"), of_kind("bank", "meaning"), *((n, "n") for n in names)]
    return Table(_("Reasons: where customers have fewer points than the average enterprise"), columns, body)


def stability(rows: OwnRows, found: OwnFigures) -> StabilityView:
    """Whether customers have changed against those of the training."""
    by = _("Score against that of training customers, by what customers were used for")
    columns = _("Own columns of all other customers against training customers")
    score = _shifts(
        by, of_kind("bank", "customers"), [(word("split", s.name), s) for s in found.score_shifts]
    )
    own = _shifts(columns, of_kind("bank", "column"), [(s.name, s) for s in found.column_shifts])
    calm = all(s.index.verdict == "stable" for s in found.column_shifts)
    return StabilityView(score, own, calm, _periods(found.periods), _over_time(found.periods))


def _shifts(label: str, first: str, shifts: list[tuple[str, Shift]]) -> Table | None:
    if not shifts:
        return None
    body = [
        [
            name,
            f"{s.rows:,}",
            stability_index(s.index),
            word("stability", s.index.verdict),
            "–" if s.points is None else signed_points(s.points),
        ]
        for name, s in shifts
    ]
    names = (of_kind("bank", "customers"), _("index (95% interval)"))
    columns = [
        first,
        *((n, "n") for n in names),
        of_kind("bank", "reading"),
        (of_kind("bank", "more points"), "n"),
    ]
    return Table(label, columns, body)


def _periods(periods: tuple[Period, ...]) -> Table | None:
    if not periods:
        return None
    body = [
        [p.name, f"{p.customers:,}", f"{p.defaults:,}", with_interval(p.rate), stability_index(p.index)]
        for p in periods
    ]
    names = (
        of_kind("bank", "customers"),
        of_kind("bank", "defaults"),
        _("default rate (95% interval)"),
        _("index (95% interval)"),
    )
    return Table(of_kind("bank", "By time"), [of_kind("bank", "period"), *((n, "n") for n in names)], body)


def _over_time(periods: tuple[Period, ...]) -> Plot | None:
    known = [(p.name, p.rate) for p in periods if p.rate is not None]
    if len(known) < 2:
        return None
    bars = [
        draw.Bar(label=name, value=100 * r.value, low=100 * r.low, high=100 * r.high) for name, r in known
    ]
    return draw.bars(
        bars, alt=_("Default rate by period, with 95% intervals."), axis=of_kind("bank", "Default rate (%)")
    )
