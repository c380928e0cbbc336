"""The report of a study as one HTML file without anything from outside."""

from pathlib import Path
from typing import Any

from fedrisk.models.directions import course_finding
from fedrisk.models.scorecard import Scorecard
from fedrisk.recipe import Section
from fedrisk.report.display import for_people
from fedrisk.report.page import render_page, write_page
from fedrisk.report.scale import by_rule, scale_findings, score_rows, unknown_rows
from fedrisk.report.statistics_view import figures_of, view
from fedrisk.report.text import (
    baseline_rows,
    by_price,
    feature_words,
    is_curved,
    number,
    own_models,
    points_words,
    price_words,
    privacy_words,
    score_cells,
    score_columns,
    unknown_cells,
)
from fedrisk.server.results import Results

OPEN_ROWS = 20
"""Rows of a table of statistics that are open on the page."""


def write_report(results: Results, folder: Path) -> Path:
    """Write ``report.html`` into the folder of a run; StoreError names the folder."""
    return write_page(folder / "report.html", render(results))


def render(results: Results) -> str:
    """The report as a page."""
    names = {shown: name for name, shown in results.display_names.items()}
    results = for_people(results)
    filters = {"number": number, "price": price_words}
    if (found := figures_of(results)) is not None:
        return render_page(
            "statistics.html.jinja",
            filters=filters,
            m=results,
            notice=results.notice,
            figures=view(found, results.display_names),
            own_names=names,
            privacy=privacy_words(results),
            spends=by_price(results.spends),
            open=OPEN_ROWS,
        )
    card = results.card
    return render_page(
        "report.html.jinja",
        filters=filters,
        notice=results.notice,
        m=results,
        own_names=names,
        card=card,
        privacy=privacy_words(results),
        features=[] if card is None else _features(results, card),
        spends=by_price(results.spends),
        own_models=own_models(results.by_bank),
        sections=[(s, _line(s)) for s in results.sections if card is None or s.code != "features"],
        baselines=baseline_rows(results) if results.baselines else [],
        calibration=_calibration(results),
        scale=scale_findings(results),
        scores=None if card is None else _scores(card),
        unknown=[] if card is None else [unknown_cells(row) for row in unknown_rows(card)],
        selection=[(n, i.label) for n, i in results.institutions.items() if i.label],
    )


def _line(section: Section) -> str | None:
    """Points of a section's line in a box of 560 by 90 units."""
    values = section.line
    if len(values) < 2:
        return None
    top = max(values) or 1.0
    return " ".join(
        f"{560 * k / (len(values) - 1):.1f},{90 - 86 * v / top:.1f}" for k, v in enumerate(values)
    )


def _features(results: Results, card: Scorecard) -> list[dict[str, Any]]:
    """Features by the spread of their points, each bin with a bar relative to the widest one."""
    widest = (
        max(max(abs(p - a) for p in points) for points, a in zip(card.points, card.averages, strict=True))
        or 1
    )
    table = []
    for j, (b, points, average) in enumerate(zip(card.bins, card.points, card.averages, strict=True)):
        facts = results.institutions.get(_owner(results, b.feature.institution))
        meaning = (facts.meanings if facts else None) or {}
        errors = card.errors_of(j)
        bars = [
            (
                label,
                points_words(p, e),
                round(50 * (p - average) / widest, 1),
                None if e is None or by_rule(e) else e,
                _whisker(50 * (p - average), 50 * (e or 0), widest),
            )
            for label, p, e in zip(b.labels(), points, errors or [None] * len(points), strict=True)
            # Most cells of a pair say nothing: those without values, and of enterprises that are not known.
            if p or b.feature.kind != "pair"
        ]
        table.append(
            {
                "name": feature_words(b),
                "meaning": meaning.get(b.feature.column, {}).get("meaning", ""),
                "spread": max(points) - min(points),
                "bars": bars,
                "course": course_finding(b, points, errors),
            }
        )
    return sorted(table, key=lambda row: -row["spread"])


def _whisker(middle: float, error: float, widest: float) -> tuple[float, float]:
    """Left end and width, in per cent of a bar's box, of one standard error to each side; inside the box."""
    left, right = (min(max(50 + (middle + s * error) / widest, 0.0), 100.0) for s in (-1, 1))
    return round(left, 1), round(right - left, 1)


def _owner(results: Results, role: str) -> str:
    """An institution of that role name: the role itself, or for the banks' common columns the first bank."""
    institutions = results.institutions
    return role if role in institutions else next(n for n, i in institutions.items() if i.role == "bank")


def _scores(card: Scorecard) -> dict[str, Any]:
    """Probabilities by score, as rows of texts with their headings."""
    curved = is_curved(card)
    return {
        "columns": score_columns(curved),
        "rows": [score_cells(row, curved) for row in score_rows(card)],
    }


def _calibration(results: Results) -> dict[str, Any] | None:
    """Observed against predicted default rates of the hold-out: a table, and points in a square of 240 units."""
    # A group whose noisy count is not positive has no observed rate.
    rows = [r for r in results.calibration or () if r.count > 0]
    if not rows:
        return None
    top = min(max(max(r.predicted, r.observed + (r.error or 0.0)) for r in rows) * 1.05, 1.0) or 1.0
    most = max(r.count for r in rows)
    points = []
    for r in rows:
        ends = [r.observed + s * (r.error or 0.0) for s in (-1, 1)]
        low, high = (round(240 - 240 * min(max(end, 0.0), top) / top, 1) for end in ends)
        at = round(240 * r.predicted / top, 1), round(240 - 240 * r.observed / top, 1)
        points.append((*at, round(2 + 3 * (r.count / most) ** 0.5, 1), low, high))
    return {"points": points, "top": f"{top:.0%}", "rows": rows}
