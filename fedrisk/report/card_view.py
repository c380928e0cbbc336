"""A scorecard on a page: points by bin with their errors, as plots and as bars, and what columns were worth."""

from typing import Any

from fedrisk.analysis.feature_figures import feature_points, information_values
from fedrisk.language import _
from fedrisk.models.directions import course_finding
from fedrisk.models.scorecard import Scorecard
from fedrisk.recipe import Section
from fedrisk.report import plots as drawn
from fedrisk.report.bin_words import bin_words
from fedrisk.report.plots import Plot
from fedrisk.report.scale import by_rule
from fedrisk.report.text import feature_words, points_words
from fedrisk.server.results import Results

DRAWN = 4
"""Features whose points are drawn; tables with bars have all."""


def features(results: Results, card: Scorecard) -> list[dict[str, Any]]:
    """Features by the spread of their points, each bin with a bar relative to the widest one."""
    table = [
        {
            "name": feature_words(b),
            "meaning": meaning(results, b.feature.institution, b.feature.column),
            "spread": max(points) - min(points),
            "bars": bin_bars(card, j),
            "course": course_finding(b, points, card.errors_of(j)),
        }
        for j, (b, points) in enumerate(zip(card.bins, card.points, strict=True))
    ]
    return sorted(table, key=lambda row: -row["spread"])


def bin_bars(card: Scorecard, j: int) -> list[tuple[str, str, float, float | None, tuple[float, float]]]:
    """Bins of one feature: label, points in words, length of the bar, error, left end and width of the error's line.

    Lengths are in per cent of a box, relative to the widest bar of the whole card.
    """
    widest = max(max(abs(p - a) for p in q) for q, a in zip(card.points, card.averages, strict=True)) or 1
    b, points, average = card.bins[j], card.points[j], card.averages[j]
    errors = card.errors_of(j) or [None] * len(points)
    return [
        (
            bin_words(label),
            points_words(p, e),
            round(50 * (p - average) / widest, 1),
            None if e is None or by_rule(e) else e,
            _whisker(50 * (p - average), 50 * (e or 0), widest),
        )
        for label, p, e in zip(b.labels(), points, errors, strict=True)
        # Most cells of a pair say nothing: those without values, and of enterprises that are not known.
        if p or b.feature.kind != "pair"
    ]


def plots(results: Results, card: Scorecard) -> list[tuple[Plot, str, str]]:
    """Points of the columns that move the score most, with what they mean."""
    points = feature_points(card)
    columns = [j for j in card.by_spread() if card.bins[j].feature.is_column][:DRAWN]
    return [
        (
            drawn.points_of_feature(points[j], title=feature_words(card.bins[j])),
            feature_words(card.bins[j]),
            meaning(results, points[j].institution, points[j].column),
        )
        for j in columns
    ]


def worth(results: Results) -> Plot | None:
    """Information values of the columns, where the record of the study has counts by label."""
    if results.record is None or not (found := information_values(results.record)):
        return None
    return drawn.information_values(found)


def meaning(results: Results, role: str, column: str) -> str:
    """What a column means, in the words of its dictionary."""
    facts = results.institutions.get(_owner(results, role))
    meanings = (facts.meanings if facts else None) or {}
    return str(meanings.get(column, {}).get("meaning", ""))


def line_of(section: Section) -> Plot | None:
    """The line of a section, step by step."""
    if len(section.line) < 2:
        return None
    steps = range(1, len(section.line) + 1)
    title = _("length of the change")
    return drawn.lines(
        [drawn.Line(label=title, x=list(steps), y=list(section.line))],
        alt=_(
            "Length of the change that each step proposed, from {first} to {last}.",
            first=f"{section.line[0]:.3g}",
            last=f"{section.line[-1]:.3g}",
        ),
        across=_("step"),
        up=title,
    )


def _whisker(middle: float, error: float, widest: float) -> tuple[float, float]:
    """Left end and width, in per cent of a bar's box, of one standard error to each side; inside the box."""
    left, right = (min(max(50 + (middle + s * error) / widest, 0.0), 100.0) for s in (-1, 1))
    return round(left, 1), round(right - left, 1)


def _owner(results: Results, role: str) -> str:
    """An institution of that role name: the role itself, or for the banks' common columns the first bank."""
    institutions = results.institutions
    return role if role in institutions else next(n for n, i in institutions.items() if i.role == "bank")
