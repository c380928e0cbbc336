"""The page of a fragility index: headline, ranked list with drivers, maps, courses, price, and what it leaves out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fedrisk.analysis.fragility_index import USUAL, Judged
from fedrisk.analysis.fragility_settings import FragilitySettings
from fedrisk.analysis.fragility_table import (
    Fragility,
    by_rank,
    common_moves,
    counts,
    courses,
    drivers,
    frame,
)
from fedrisk.analysis.intervals import reach
from fedrisk.errors import StoreError
from fedrisk.files import write_atomic
from fedrisk.language import N_, _, listed
from fedrisk.report.geometry import Shapes
from fedrisk.report.page import render_page
from fedrisk.report.text import signed
from fedrisk.report.words import together
from fedrisk.study import NO_PRIVACY

LISTED, COURSES = 20, 12
"""Cells of the ranked list at most (all alarms are there), and of the courses."""

COLOURS: tuple[tuple[float, str, str], ...] = (
    (0.0, "#b9d3ea", N_("below its usual")),
    (0.5, "#e6eff7", N_("as usual")),
    (1.0, "#fdeccb", N_("a little above, as chance makes it")),
    (1.5, "#f6b56d", N_("alarm")),
    (2.0, "#d3701c", N_("clear: 1.5 times the line of alarm")),
    (float("inf"), "#7a2f04", N_("very clear: twice the line and more")),
)
"""Upper edge of the strength, colour and words of each class: how sure it is, so that noise alone stays pale.

Blue to brown, told apart by the colour-blind, and darker where it is surer.
"""

PAGE, TABLE = "fragility.html", "fragility"


def write_fragility(fragility: Fragility, folder: Path, shapes: Shapes | None) -> list[Path]:
    """Write fragility.html, .csv and .parquet into a folder; StoreError names it where it cannot be written."""
    table = frame(fragility)
    paths = [folder / PAGE, folder / f"{TABLE}.csv", folder / f"{TABLE}.parquet"]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(paths[0], render(fragility, shapes).encode())
        write_atomic(paths[1], table.to_csv(index=False).encode())
        table.to_parquet(paths[2])
    except OSError as error:
        raise StoreError(
            f"{folder} cannot be written: {error.strerror}; name another folder after --out"
        ) from None
    return paths


def render(fragility: Fragility, shapes: Shapes | None) -> str:
    """The page; without shapes there is no map."""
    judged, panel = fragility.last, fragility.panel
    order = by_rank(judged)
    listed = [c for n, c in enumerate(order) if n < LISTED or judged.alarm[c]]
    return render_page(
        "fragility.html.jinja",
        filters={"points": points_words, "percent": percent_words},
        notice=NO_PRIVACY if panel.research else None,
        s=fragility.settings,
        title=_title(fragility.settings),
        j=judged,
        panel=panel,
        usual=USUAL,
        n=counts(judged, fragility.settings),
        headline=headline(fragility),
        common=[_common(row) for row in common_moves(fragility, judged)],
        ranked=[_row(fragility, c) for c in listed],
        everything=[_row(fragility, c) for c in order],
        withheld=[" · ".join(panel.cells[c]) for c in np.flatnonzero(judged.withheld)],
        maps=[] if shapes is None else _maps(fragility, shapes),
        shapes=shapes,
        colours=[(edge, shade, _(words)) for edge, shade, words in COLOURS],
        # One quarter has no course.
        courses=_courses(fragility, order[:COURSES]) if len(fragility.judged) > 1 else [],
        prices=list(zip(panel.quarters, panel.prices, strict=True)),
        absent=panel.absent,
    )


def _title(settings: FragilitySettings) -> str:
    """The file's title; where it states none, that of the language that is spoken."""
    usual = FragilitySettings.model_fields["title"].default
    if settings.title == usual:
        return _("Fragility index of small and micro enterprises")
    return settings.title


def headline(fragility: Fragility) -> str:
    """The quarter in one sentence."""
    judged, settings = fragility.last, fragility.settings
    n = counts(judged, settings)
    if not n["said"]:
        return _(
            "{quarter}: no cell says more than its noise; nothing can be said of any.", quarter=judged.quarter
        )
    many = n["alarms"] > n["by_chance"] * 1.5
    said = _(
        N_(
            "{quarter}: {alarms} of {cells} cells raise an alarm, more than the {chance} that chance would raise"
        )
        if many
        else N_(
            "{quarter}: {alarms} of {cells} cells raise an alarm, about as many as the {chance} that chance would raise"
        ),
        quarter=judged.quarter,
        alarms=n["alarms"],
        cells=n["said"],
        chance=f"{n['by_chance']:.0f}",
    )
    if not n["alarms"]:
        return _("{said}.", said=said)
    order = by_rank(judged)
    first = next((c for c in order if judged.alarm[c]), order[0])
    return _(
        "{said}; the most fragile of them is {cell}, at {points}.",
        said=said,
        cell=" · ".join(fragility.panel.cells[first]),
        points=points_words(float(judged.index[first])),
    )


def points_words(value: float) -> str:
    """A figure of the index in whole points.

    >>> points_words(61.6), points_words(-3.2)
    ('62', '−3')
    """
    return f"{value:.0f}".replace("-", "−")


def percent_words(value: float) -> str:
    """A chance in per cent; none is said to be 0 or 1.

    >>> percent_words(0.0), percent_words(0.42), percent_words(1.0)
    ('< 1%', '42%', '> 99%')
    """
    return "< 1%" if value < 0.01 else "> 99%" if value > 0.99 else f"{value:.0%}"


def driver_words(fragility: Fragility, judged: Judged, cell: int) -> str:
    """What raised a cell's index by more than its errors, in points."""
    found = drivers(fragility.panel, judged, cell)
    if not found:
        return _("no single indicator is beyond its errors")
    shown = [f"{d.name} {signed(d.points, 0)} ± {points_words(reach(0.95) * d.error)}" for d in found[:4]]
    said = listed(shown)
    return _("{drivers} and {count} more", drivers=said, count=len(found) - 4) if len(found) > 4 else said


def _row(fragility: Fragility, cell: int) -> dict[str, Any]:
    judged = fragility.last
    low, high = float(judged.low[cell]), float(judged.high[cell])
    return {
        "cell": " · ".join(fragility.panel.cells[cell]),
        "index": float(judged.index[cell]),
        "low": low,
        "high": high,
        # On a bar from 0 to 100.
        "bar": [round(min(max(v, 0.0), 100.0), 1) for v in (low, high, float(judged.index[cell]))],
        "colour": colour(float(judged.strength[cell])),
        "alarm": bool(judged.alarm[cell]),
        "rank": int(judged.rank[cell]),
        "ranks": _("{low} to {high}", low=judged.rank_low[cell], high=judged.rank_high[cell]),
        "worst": float(judged.worst[cell]),
        "drivers": driver_words(fragility, judged, cell),
    }


def colour(strength: float) -> str:
    """Colour of the class of a strength: the statistic over its threshold."""
    return next(c for edge, c, _ in COLOURS if strength < edge)


def _common(row: dict[str, Any]) -> dict[str, Any]:
    name = " · ".join(row["group"].values()) or _("the whole province")
    if row["points"] is None:
        return {**row, "name": name, "said": None}
    beyond = row["low"] > 0 or row["high"] < 0
    return {
        **row,
        "name": name,
        "words": _common_words(row, beyond=beyond),
        "said": signed(row["points"], 1),
        "half": row["high"] - row["points"],
    }


def _common_words(row: dict[str, Any], *, beyond: bool) -> str:
    """What a common move says, and which indicators moved most."""
    if not beyond:
        return _("as in the earlier quarters")
    fragile = row["points"] > 0
    said = _(
        N_("more fragile than in the earlier quarters")
        if fragile
        else N_("less fragile than in the earlier quarters")
    )
    return (
        _("{said}; most by {indicators}", said=said, indicators=together(row["most"]))
        if row["most"]
        else said
    )


def _maps(fragility: Fragility, shapes: Shapes) -> list[dict[str, Any]]:
    """A map for each combination of the other axes' categories: areas with their state."""
    panel, judged, settings = fragility.panel, fragility.last, fragility.settings
    if settings.map is None:
        return []
    at = panel.axes.index(settings.map.axis)
    maps: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for c, cell in enumerate(panel.cells):
        other = (*cell[:at], *cell[at + 1 :])
        area = {"name": cell[at], "path": shapes.paths.get(cell[at]), "withheld": bool(judged.withheld[c])}
        if not judged.withheld[c]:
            area |= _row(fragility, c)
        maps.setdefault(other, []).append(area)
    return [
        {
            "name": " · ".join(other) or settings.map.axis,
            "areas": sorted((a for a in areas if a["path"]), key=lambda a: bool(a.get("alarm"))),
            "bare": [path for name, path in shapes.paths.items() if name not in {a["name"] for a in areas}],
            "most": sorted((a for a in areas if not a["withheld"]), key=lambda a: a["rank"])[:8],
            "missing": [a["name"] for a in areas if not a["path"]],
        }
        for other, areas in sorted(maps.items())
    ]


def _courses(fragility: Fragility, cells: Sequence[int]) -> list[dict[str, Any]]:
    """Small lines: the index over the quarters with its interval, in a box of 200 by 60 from 20 to 100 points."""
    found = []
    for cell, course in zip(cells, courses(fragility, cells), strict=True):
        step = 200 / max(len(course) - 1, 1)

        def height(v: float) -> float:
            return round(60 - 60 * (min(max(v, 20.0), 100.0) - 20) / 80, 1)

        said = [(round(k * step, 1), *v) for k, v in enumerate(course) if np.isfinite(v[0])]
        band = [(x, height(high)) for x, _, _, high, _ in said]
        band += [(x, height(low)) for x, _, low, _, _ in reversed(said)]
        found.append(
            {
                "name": " · ".join(fragility.panel.cells[cell]),
                "line": " ".join(f"{x},{height(v)}" for x, v, _, _, _ in said),
                "band": " ".join(f"{x},{y}" for x, y in band),
                "dots": [(x, height(v)) for x, v, _, _, alarm in said if alarm],
                "usual": height(USUAL),
                "last": points_words(course[-1][0]) if np.isfinite(course[-1][0]) else _("withheld"),
            }
        )
    return found
