"""Figures of any numbers with intervals: bars and lines; and those of a scorecard's features."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fedrisk.analysis.feature_figures import FeaturePoints, InformationValue
from fedrisk.language import _, of_kind
from fedrisk.report.bin_words import bin_words
from fedrisk.report.figure_style import (
    COLOURS,
    DASHES,
    FILLS,
    HATCHES,
    INK,
    MARKS,
    TEXT,
    WIDTH,
    Drawn,
    canvas,
    legend,
    named_axes,
    readable_scale,
    room_below,
    shortened,
    style,
    width_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW = 24.0
"""Units of height of one bar."""

NAMES = 200.0
"""Most units of width for the names of bars."""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One bar with its interval. label: what people read. group: bars of one group have one colour and one legend."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None
    group: str = ""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line with its band. label: for the legend. x, y: (n,). low, high: (n,), both or neither."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None


Marks = Sequence[tuple[float, str]]
"""Values on the scale that matter, such as limits, with their names for the legend."""


def bars(found: Sequence[Bar], *, alt: str, axis: str = "", marks: Marks = (), dots: bool = False) -> Drawn:
    """Horizontal bars with intervals, the first on top.

    axis: what the values are, with their unit. marks: lines across all bars. dots: marks in place of bars, where zero
    is no natural start.
    """
    groups = list(dict.fromkeys(b.group for b in found))
    named = [g for g in groups if g]
    entries = len(named) + len(marks)
    left = 22 + min(NAMES, max((width_of(b.label, TEXT - 1) for b in found), default=0))
    height = ROW * len(found) + 12 + 12 + room_below(entries)
    with style():
        figure, axes = canvas(height, left=left, below=room_below(entries), above=12)
        handles = [
            handle
            for k, group in enumerate(groups)
            for handle in [_group(axes, found, group, k % 5, dots=dots)]
            if group
        ]
        _intervals(axes, found)
        for k, (value, _name) in enumerate(marks):
            handles.append(axes.axvline(value, color=INK, linewidth=1.2, linestyle=DASHES[(k + 1) % 5]))
        axes.set_ylim(len(found) - 0.4, -0.6)
        axes.set_yticks(range(len(found)), [shortened(b.label, left - 20, TEXT - 1) for b in found])
        axes.tick_params(axis="y", length=0)
        readable_scale(axes.xaxis, [v for b in found for v in (b.value, b.low, b.high) if v is not None])
        axes.grid(visible=False, axis="y")
        legend(axes, handles, [*named, *(name for _value, name in marks)], at=10)
        named_axes(axes, axis, "")
    return Drawn(figure, alt)


def lines(
    found: Sequence[Line],
    *,
    alt: str,
    across: str = "",
    up: str = "",
    marks: Marks = (),
    zero: bool = True,
    names: Sequence[str] = (),
) -> Drawn:
    """Lines with bands. across, up: what the axes are. marks: lines across. zero: the scale begins there.

    names: of the places 0, 1, 2 and so on across, such as months; as many are written as there is room for.
    """
    entries = len(found) + len(marks)
    with style():
        figure, axes = canvas(280 + room_below(entries), left=64, below=room_below(entries))
        handles = []
        for k, line in enumerate(found):
            if line.low is not None and line.high is not None:
                axes.fill_between(line.x, line.low, line.high, color=COLOURS[k % 5], alpha=0.2, linewidth=0)
            few = MARKS[k % 5] if len(line.x) <= 24 else None
            handles += axes.plot(
                line.x, line.y, color=COLOURS[k % 5], linestyle=DASHES[k % 5], marker=few, markersize=5
            )
        for k, (value, _name) in enumerate(marks):
            handles.append(axes.axhline(value, color=INK, linewidth=1.2, linestyle=DASHES[(k + 1) % 5]))
        if zero:
            axes.set_ylim(0, None)
        readable_scale(axes.yaxis, [float(v) for line in found for v in line.y])
        if names:
            _named_places(axes, names)
        elif all(float(v).is_integer() for line in found for v in line.x):
            axes.locator_params(axis="x", integer=True)
        legend(axes, handles, [*(line.label for line in found), *(name for _value, name in marks)])
        named_axes(axes, across, up)
    return Drawn(figure, alt)


def _named_places(axes: "Axes", names: Sequence[str]) -> None:
    """Names under the axis, evenly spaced, the last one always among them."""
    wide = max(width_of(n, TEXT - 1) for n in names) + 12
    step = max(1, -(-int(wide * len(names)) // int(WIDTH - 90)))
    shown = list(range(len(names) - 1, -1, -step))[::-1]
    axes.set_xticks(shown, [names[k] for k in shown])
    axes.set_xlim(-0.4, len(names) - 0.6)


def points_of_feature(found: FeaturePoints, title: str | None = None) -> Drawn:
    """Points by bin of one feature, the noise and the sampling as error bars. title: what to call the feature."""
    name = found.column if title is None else title
    items = [
        Bar(label=bin_words(label), value=float(v), low=float(a), high=float(b))
        for label, v, a, b in zip(
            found.labels, found.points.value, found.points.low, found.points.high, strict=True
        )
    ]
    return bars(
        items,
        alt=_("Points of {column} by bin, with 95% intervals.", column=name),
        axis=of_kind("plot", "Points (higher is safer)"),
        dots=True,
        marks=[(found.average, of_kind("plot", "Average enterprise"))],
    )


def information_values(found: Sequence[InformationValue], most: int = 20) -> Drawn:
    """Information value of each feature, highest first, coloured by who has it."""
    items = [
        Bar(label=v.column, value=v.value.value, low=v.value.low, high=v.value.high, group=v.institution)
        for v in found[:most]
    ]
    return bars(
        items,
        alt=_("Information value of {count} columns, with 95% intervals.", count=len(items)),
        axis=of_kind("plot", "Information value"),
    )


def _group(axes: "Axes", found: Sequence[Bar], group: str, k: int, *, dots: bool) -> Any:
    """The bars or marks of one group; what its entry in the legend shows."""
    places = [j for j, bar in enumerate(found) if bar.group == group]
    values = [found[j].value for j in places]
    if dots:
        return axes.plot(values, places, MARKS[k], color=COLOURS[k], markersize=6)[0]
    return axes.barh(
        places,
        values,
        height=0.62,
        facecolor=FILLS[k],
        edgecolor=COLOURS[k],
        hatch=HATCHES[k],
        linewidth=0.8,
    )


def _intervals(axes: "Axes", found: Sequence[Bar]) -> None:
    known = [
        (j, bar.value, bar.low, bar.high)
        for j, bar in enumerate(found)
        if bar.low is not None and bar.high is not None
    ]
    if known:
        place, value, low, high = (np.array(v, float) for v in zip(*known, strict=True))
        spread = np.maximum([value - low, high - value], 0)
        axes.errorbar(value, place, xerr=spread, fmt="none", ecolor=INK, elinewidth=1.3, capsize=3)
