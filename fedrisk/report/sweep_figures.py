"""Pictures of a sweep: figures against epsilon, all models at one epsilon, bytes and seconds.

Epsilons stand on a logarithmic scale; "no noise" has a place of its own at the right edge. Quoted figures are dashed
and grey and say so, across the picture where they have no epsilon.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fedrisk.lab.summary import Panel, Point, Series
from fedrisk.language import _, of_kind
from fedrisk.report.charts import Bar, bars
from fedrisk.report.figure_style import (
    COLOURS,
    DASHES,
    FAINT,
    INK,
    MARKS,
    WIDTH,
    Drawn,
    canvas,
    legend,
    named_axes,
    room_below,
    shortened,
    style,
)
from fedrisk.report.sweep_words import NATURES, epsilon_words, model_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HEIGHT = 280.0
"""Units of height without the legend."""

APART = 0.15
"""Least distance of two ticks, as a share of the scale."""

DEPTH = 0.2
"""How far below the highest line others are drawn; what is lower leaves the picture, but for studies."""

LEAST_ROOM = 0.01
"""Least room above and below the lines, in units of the figure."""

MOST = 9
"""Most lines of one picture; further ones are in the table."""


class Scale:
    """Where each epsilon stands: by its logarithm, infinity at the right edge."""

    def __init__(self, epsilons: Sequence[float]) -> None:
        finite = sorted(e for e in epsilons if math.isfinite(e))
        self.low = math.log10(finite[0]) if finite else 0.0
        self.high = math.log10(finite[-1]) if finite else 0.0
        self.edge = self.high + max(0.3, (self.high - self.low) * 0.3) if finite else 0.0
        self.epsilons = sorted(set(epsilons))

    def place(self, epsilon: float) -> float:
        """Its place on the axis."""
        return math.log10(epsilon) if math.isfinite(epsilon) else self.edge

    @property
    def ends(self) -> tuple[float, float]:
        """Of the axis, with a margin."""
        places = [self.place(e) for e in self.epsilons]
        margin = max(0.12, (places[-1] - places[0]) * 0.06)
        return places[0] - margin, places[-1] + margin

    def ticks(self) -> tuple[list[float], list[str]]:
        """Places and texts of as many epsilons as have room."""
        low, high = self.ends
        kept: list[float] = []
        for epsilon in reversed(self.epsilons):
            if not kept or self.place(kept[-1]) - self.place(epsilon) >= APART * (high - low):
                kept.append(epsilon)
        return [self.place(e) for e in kept], [epsilon_words(e) for e in kept]


def auc_by_epsilon(panel: Panel, name: str) -> Drawn:
    """AUC of studies and of models that depend on epsilon, with pooled boosting and the best of banks alone beside."""
    chosen = [*panel.main, *(s for s in panel.series if s.nature in ("record", "label"))]
    levels = [s for s in (panel.named("pooled boosting"), panel.best_alone()) if s]
    return _against_epsilon(
        panel,
        [*chosen[: MOST - len(levels)], *levels],
        lambda p: p.figures.get("auc"),
        up="AUC",
        alt=_("AUC against epsilon, {data_set}: {lines}", data_set=name, lines="{lines}"),
        quoted=True,
    )


def difference_by_epsilon(panel: Panel, name: str) -> Drawn:
    """Difference of the AUC to pooled boosting on the same rows."""
    chosen = [*panel.main, *(s for s in panel.series if s.nature in ("record", "label"))]
    return _against_epsilon(
        panel,
        [s for s in chosen if any(p.difference for p in s.points)][:MOST],
        lambda p: p.difference,
        up=of_kind("plot", "AUC less that of pooled boosting"),
        alt=_("AUC less that of pooled boosting, {data_set}: {lines}", data_set=name, lines="{lines}"),
        mark=(0.0, of_kind("plot", "as pooled boosting")),
    )


def slope_by_epsilon(panel: Panel, name: str) -> Drawn:
    """Calibration slope."""
    chosen = [*panel.main, *(s for s in panel.series if s.nature in ("record", "label"))]
    return _against_epsilon(
        panel,
        [s for s in chosen if any("calibration_slope" in p.figures for p in s.points)][:MOST],
        lambda p: p.figures.get("calibration_slope"),
        up=of_kind("plot", "Calibration slope"),
        alt=_("Calibration slope, {data_set}: {lines}", data_set=name, lines="{lines}"),
        mark=(1.0, of_kind("plot", "calibrated")),
        depth=math.inf,
    )


def all_models(panel: Panel, name: str, epsilon: float) -> Drawn:
    """AUC of every model at one epsilon, the best of each kind first, with intervals; quoted ones as lines."""
    found = []
    for nature, words in NATURES.items():
        own = [(s, s.at(epsilon)) for s in panel.series if s.nature == nature]
        there = [(s, p) for s, p in own if p is not None and "auc" in p.figures]
        for series, point in sorted(there, key=lambda pair: -pair[1].value("auc")):
            mean = point.figures["auc"]
            found.append(
                Bar(
                    label=model_words(series, panel),
                    value=mean.value,
                    low=mean.low,
                    high=mean.high,
                    group=_(words),
                )
            )
    quoted = [q for q in panel.quoted.itertuples() if q.epsilon in (epsilon, math.inf)]
    marks = [(float(str(q.auc)), _quoted_words(q)) for q in quoted]
    said = _("AUC of {count} models, {data_set}.", count=len(found), data_set=name)
    return bars(found, alt=said, axis="AUC", dots=True, marks=marks)


def costs(found: Sequence[tuple[str, Panel, Series]], figure: str) -> Drawn:
    """Bytes or seconds of each study, means over epsilons and seeds: (label of the data set, panel, series) each."""
    items = []
    million = 1e6 if figure == "bytes" else 1.0
    for label, panel, series in found:
        values = [p.value(figure) for p in series.points if figure in p.figures]
        if values:
            items.append(
                Bar(
                    label=label,
                    value=sum(values) / len(values) / million,
                    group=model_words(series, panel),
                )
            )
    axis = of_kind("plot", "Messages, MB") if figure == "bytes" else of_kind("plot", "Seconds of a study")
    said = ", ".join(f"{b.label} {b.value:.3g}" for b in items)
    return bars(items, alt=f"{axis}: {said}", axis=axis)


def _quoted_words(row: Any) -> str:
    text = _("quoted {auc}: {model}", model=row.model, auc=f"{row.auc:.3f}")
    return shortened(text, WIDTH - 100)


def _against_epsilon(
    panel: Panel,
    chosen: Sequence[Series],
    value: Any,
    *,
    up: str,
    alt: str,
    mark: tuple[float, str] | None = None,
    quoted: bool = False,
    depth: float = DEPTH,
) -> Drawn:
    if len(panel.epsilons) == 1 and not quoted:
        return _at_one(panel, chosen, value, up, alt, mark)
    scale = Scale(panel.epsilons)
    published = [q for q in panel.quoted.itertuples() if quoted and _within(scale, float(str(q.epsilon)))]
    entries = len(chosen) + len(published) + int(mark is not None)
    with style():
        figure, axes = canvas(HEIGHT + room_below(entries), left=64, below=room_below(entries))
        handles, texts, said = [], [], []
        for k, series in enumerate(chosen):
            points = [(p, value(p)) for p in series.points if value(p) is not None]
            handles.append(
                _line(axes, scale, series, points, k, banded=not quoted or series.nature == "study")
            )
            texts.append(model_words(series, panel))
            said.append(f"{texts[-1]} " + ", ".join(_at(p.epsilon, m.value, series) for p, m in points))
        for q in published:
            handles.append(_dashed(axes, scale, float(str(q.epsilon)), float(str(q.auc))))
            texts.append(_quoted_words(q))
        if mark is not None:
            handles.append(axes.axhline(mark[0], color=INK, linewidth=1.2, linestyle=DASHES[2]))
            texts.append(mark[1])
        axes.set_xlim(*scale.ends)
        axes.set_xticks(*scale.ticks())
        _fit_scale(axes, *_values(chosen, value, published, mark), depth)
        if math.isinf(scale.epsilons[-1]) and len(scale.epsilons) > 1:
            axes.axvline((scale.high + scale.edge) / 2, color=FAINT, linewidth=0.8, linestyle=(0, (2, 3)))
        legend(axes, handles, texts)
        named_axes(axes, of_kind("plot", "epsilon"), up)
    return Drawn(figure, alt.replace("{lines}", "; ".join(said)))


def _at_one(
    panel: Panel, chosen: Sequence[Series], value: Any, axis: str, alt: str, mark: tuple[float, str] | None
) -> Drawn:
    """Figures at the only epsilon that there is: a mark for each model, lest all stand on each other."""
    there = [(s, value(p)) for s in chosen for p in s.points if value(p) is not None]
    items = [
        Bar(label=model_words(s, panel), value=m.value, low=m.low, high=m.high, group=_(NATURES[s.nature]))
        for s, m in there
    ]
    said = "; ".join(f"{b.label} {b.value:.3f}".replace("-", "−") for b in items)
    marks = [] if mark is None else [mark]
    return bars(items, alt=alt.replace("{lines}", said), axis=axis, dots=True, marks=marks)


def _fit_scale(axes: "Axes", values: Sequence[float], studies: Sequence[float], depth: float) -> None:
    """The scale by values, not by bands: those of two seeds are so wide that nothing else would be seen.

    values: of all lines. studies: of studies, which are seen whatever others do. depth: how far below the highest line
    others are drawn.
    """
    high = max(values)
    low = max(min(values), min([high - depth, *studies]))
    room = max(0.25 * (high - low), LEAST_ROOM)
    axes.set_ylim(low - room, high + room)


def _values(
    chosen: Sequence[Series],
    value: Any,
    published: Sequence[Any],
    mark: tuple[float, str] | None,
) -> tuple[list[float], list[float]]:
    """Values of all lines, and of studies."""
    by_series = [(s, [value(p).value for p in s.points if value(p) is not None]) for s in chosen]
    others = [float(q.auc) for q in published] + ([] if mark is None else [mark[0]])
    studies = [v for s, found in by_series if s.nature == "study" for v in found]
    return [v for _series, found in by_series for v in found] + others, studies


def _at(epsilon: float, value: float, series: Series) -> str:
    said = f"{value:.3f}".replace("-", "−")
    return said if series.flat else f"{epsilon_words(epsilon)}: {said}"


def _within(scale: Scale, epsilon: float) -> bool:
    low, high = scale.ends
    return math.isinf(epsilon) or low <= scale.place(epsilon) <= high


def _line(
    axes: "Axes", scale: Scale, series: Series, points: Sequence[tuple[Point, Any]], k: int, *, banded: bool
) -> Any:
    """A model's line with its band; a flat one goes across."""
    look: dict[str, Any] = {"color": COLOURS[k % 5], "linestyle": DASHES[(k + k // 5) % 5]}
    if series.flat:
        return axes.axhline(points[0][1].value, linewidth=1.5, **look)
    x = [scale.place(p.epsilon) for p, _mean in points]
    y = [m.value for _point, m in points]
    low = [m.value if m.low is None else m.low for _point, m in points]
    high = [m.value if m.high is None else m.high for _point, m in points]
    if banded and len(x) > 1:
        axes.fill_between(x, low, high, color=COLOURS[k % 5], alpha=0.15, linewidth=0)
    elif banded and x:
        axes.errorbar(x, y, yerr=[[y[0] - low[0]], [high[0] - y[0]]], fmt="none", ecolor=COLOURS[k % 5])
    return axes.plot(x, y, marker=MARKS[(k + k // 5) % 5], markersize=5, **look)[0]


def _dashed(axes: "Axes", scale: Scale, epsilon: float, auc: float) -> Any:
    """A quoted figure: a dashed line, across where it has no epsilon, else about its place."""
    low, high = scale.ends
    if math.isinf(epsilon):
        return axes.plot([low, high], [auc, auc], color=FAINT, linewidth=1.2, linestyle=(0, (5, 4)))[0]
    half = (high - low) * 0.09
    x = scale.place(epsilon)
    return axes.plot([x - half, x + half], [auc, auc], color=FAINT, linewidth=1.6, linestyle=(0, (2, 1.5)))[0]
