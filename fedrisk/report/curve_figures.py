"""Figures of a score's curves, as analysis/curves has them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fedrisk.analysis.curves import Band, Calibration, Cutoff, Estimate, Gains, Ks, Roc, ScoreDistribution
from fedrisk.language import _, of_kind
from fedrisk.report.figure_style import (
    COLOURS,
    DASHES,
    FAINT,
    INK,
    MARKS,
    Drawn,
    canvas,
    legend,
    named_axes,
    room_below,
    style,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fedrisk.models.warning_point import WarningPoint

HEIGHT = 300.0
"""Units of a figure's height without its legend."""


def said(value: Estimate, digits: int = 3) -> str:
    """A number with its interval, as texts say it.

    >>> from fedrisk.language import speaking
    >>> with speaking("en"):
    ...     said(Estimate(value=0.7, low=0.65, high=0.75, error=0.025))
    '0.700 (0.650 to 0.750)'
    """
    return _(
        "{value} ({low} to {high})",
        value=f"{value.value:.{digits}f}",
        low=f"{value.low:.{digits}f}",
        high=f"{value.high:.{digits}f}",
    )


def roc(found: Roc, others: Sequence[tuple[str, Roc]] = (), label: str | None = None) -> Drawn:
    """ROC curve with its band, and others' without."""
    name = of_kind("plot", "This card") if label is None else label
    with style():
        figure, axes = _square(2 + len(others))
        x = 100 * found.false_positive
        handles = [_banded(axes, x, found.true_positive, 0, 100)]
        texts = [_("{name}: AUC {auc}", name=name, auc=said(found.auc))]
        for k, (other, curve) in enumerate(others, 1):
            handles.append(_line(axes, 100 * curve.false_positive, 100 * curve.true_positive.value, k))
            texts.append(_("{name}: AUC {auc}", name=other, auc=said(curve.auc)))
        handles.append(_chance(axes, [0, 100], [0, 100]))
        legend(axes, handles, [*texts, of_kind("plot", "Without any information")])
        named_axes(
            axes, of_kind("plot", "Others up to a score (%)"), of_kind("plot", "Defaults up to a score (%)")
        )
    return Drawn(figure, _("ROC curve. {curves}", curves="; ".join(texts)))


def warnings(found: Roc, point: "WarningPoint") -> Drawn:
    """The ROC curve up to four times the stated rate of false alarms, with the threshold and its intervals."""
    most = 100 * min(1.0, 4 * point.stated)
    alarms, recall = point.false_alarms, point.recall
    with style():
        figure, axes = _square(3)
        curve = _banded(axes, 100 * found.false_positive, found.true_positive, 0, 100)
        stated = axes.axvline(100 * point.stated, color=FAINT, linewidth=1, linestyle=(0, (2, 2)))
        at = axes.errorbar(
            [100 * alarms.value],
            [100 * recall.value],
            xerr=[[100 * (alarms.value - alarms.low)], [100 * (alarms.high - alarms.value)]],
            yerr=[[100 * (recall.value - recall.low)], [100 * (recall.high - recall.value)]],
            fmt="o",
            color=COLOURS[1],
            markersize=5,
            capsize=3,
        )
        axes.set_xlim(0, most)
        names = [of_kind("plot", "By other thresholds"), _("Threshold {score}", score=point.score)]
        legend(axes, [curve, at, stated], [*names, _("Stated rate {rate}", rate=f"{point.stated:.1%}")])
        named_axes(
            axes,
            of_kind("plot", "False alarms, of all others (%)"),
            of_kind("plot", "Warned of, of all defaults (%)"),
        )
    said = _(
        "Recall by rate of false alarms: at {alarms} false alarms {recall} of the defaults are warned of.",
        alarms=f"{alarms.value:.1%}",
        recall=f"{recall.value:.1%}",
    )
    return Drawn(figure, said)


def ks(found: Ks) -> Drawn:
    """The two cumulative distributions, and where they are furthest apart."""
    with style():
        figure, axes = _square(3)
        x = 100 * found.position
        handles = [_line(axes, x, 100 * found.bad, 1), _line(axes, x, 100 * found.good, 0)]
        at = [100 * found.position[found.at]] * 2
        ends = [100 * found.bad[found.at], 100 * found.good[found.at]]
        handles.append(axes.plot(at, ends, color=INK, linewidth=1.5, marker="_", markersize=9)[0])
        distance = _("Largest distance: KS {ks}", ks=said(found.value))
        legend(axes, handles, [of_kind("plot", "Defaults"), of_kind("plot", "Others"), distance])
        named_axes(
            axes, of_kind("plot", "Enterprises, safest first (%)"), of_kind("plot", "Cumulated share (%)")
        )
    return Drawn(figure, _("Cumulated defaults and others by risk. {distance}", distance=distance))


def gains(found: Gains, others: Sequence[tuple[str, Gains]] = (), label: str | None = None) -> Drawn:
    """Share of defaults among the riskiest."""
    with style():
        figure, axes = _square(2 + len(others))
        names = [of_kind("plot", "This card") if label is None else label]
        handles = [_banded(axes, 100 * found.share, found.captured, 0, 100)]
        for k, (other, curve) in enumerate(others, 1):
            handles.append(_line(axes, 100 * curve.share, 100 * curve.captured.value, k))
            names.append(other)
        handles.append(_chance(axes, [0, 100], [0, 100]))
        legend(axes, handles, [*names, of_kind("plot", "In no order")])
        named_axes(
            axes,
            of_kind("plot", "Enterprises, riskiest first (%)"),
            of_kind("plot", "Share of all defaults among them (%)"),
        )
    reached = float(np.interp(0.1, found.share, found.captured.value))
    return Drawn(
        figure,
        _("Gains: the riskiest 10% of enterprises have {share} of all defaults.", share=f"{reached:.0%}"),
    )


def lift(found: Gains, others: Sequence[tuple[str, Gains]] = (), label: str | None = None) -> Drawn:
    """How many times the average default rate the riskiest have."""
    with style():
        figure, axes = canvas(HEIGHT + 20 * (2 + len(others)), left=52, below=room_below(2 + len(others)))
        names = [of_kind("plot", "This card") if label is None else label]
        handles = [_banded(axes, 100 * found.share, found.lift, 0, 1)]
        for k, (other, curve) in enumerate(others, 1):
            handles.append(_line(axes, 100 * curve.share, curve.lift.value, k))
            names.append(other)
        handles.append(_chance(axes, [0, 100], [1, 1]))
        axes.set_xlim(0, 100)
        axes.set_ylim(0, 1.15 * max(float(np.nanmax(found.lift.high[1:])), 1.5))
        legend(axes, handles, [*names, _("Average default rate: {rate}", rate=f"{found.base:.2%}")])
        named_axes(
            axes,
            of_kind("plot", "Enterprises, riskiest first (%)"),
            of_kind("plot", "Default rate, times the average"),
        )
    reached = float(np.interp(0.1, found.share, found.lift.value))
    return Drawn(
        figure,
        _(
            "Lift: the riskiest 10% of enterprises default {times} times as often as the average.",
            times=f"{reached:.1f}",
        ),
    )


def calibration(found: Calibration) -> Drawn:
    """Observed against predicted default rates, on logarithmic scales: most enterprises are at low rates."""
    observed = found.observed
    with style():
        figure, axes = _square(2)
        low, top = _rates(axes, found)
        handles = [
            _points(axes, 100 * found.predicted, _within(observed, low / 100), 0, 100),
            _chance(axes, [low, top], [low, top]),
        ]
        legend(
            axes,
            handles,
            [of_kind("plot", "Observed, with 95% interval"), of_kind("plot", "Predicted as observed")],
        )
        named_axes(
            axes, of_kind("plot", "Predicted default rate (%)"), of_kind("plot", "Observed default rate (%)")
        )
    outside = int(((found.predicted < observed.low) | (found.predicted > observed.high)).sum())
    return Drawn(
        figure,
        _(
            "Observed against predicted default rates in {groups} groups; in {outside} the prediction is outside the "
            "interval.",
            groups=len(found.predicted),
            outside=outside,
        ),
    )


def score_distribution(found: ScoreDistribution) -> Drawn:
    """Scores of defaults and of others: shares by bin, or densities where bins are not equally wide."""
    edges = _edges(found)
    width, axis = np.diff(edges), of_kind("plot", "Share for each unit of the scale (%)")
    if np.allclose(width, width[0]):
        axis = of_kind("plot", "Share in each bin of {width} (%)", width=f"{width[0]:.4g}")
        width = np.ones(len(width))
    with style():
        figure, axes = canvas(HEIGHT + 40, left=52, below=room_below(2))
        handles = []
        for k, band in ((1, found.bad), (0, found.good)):
            value, low, high = (100 * np.asarray(v) / width for v in (band.value, band.low, band.high))
            axes.stairs(high, edges, baseline=low, fill=True, color=COLOURS[k], alpha=0.2, linewidth=0)
            handles.append(axes.stairs(value, edges, baseline=None, color=COLOURS[k], linestyle=DASHES[k]))
        axes.set_xlim(edges[0], edges[-1])
        # A score at the left edge would stand on the 0 of the other axis.
        first = edges[0] + 0.04 * (edges[-1] - edges[0])
        axes.xaxis.set_major_formatter(lambda v, _place: "" if v < first else f"{v:g}".replace("-", "−"))
        axes.set_ylim(0, None)
        legend(axes, handles, [of_kind("plot", "Defaults"), of_kind("plot", "Others")])
        named_axes(axes, axis_name(found.axis), axis)
    return Drawn(figure, _("Distribution of defaults and of others over the scores."))


def cutoffs(found: Sequence[Cutoff]) -> Drawn:
    """Bad rate of the approved, and under it the share of defaults kept out, by the share that is approved."""
    x = 100 * np.array([c.approved.value for c in found])
    upper, lower = (_band_of([getattr(c, name) for c in found]) for name in ("bad_approved", "kept_out"))
    height = 440.0
    with style():
        figure, axes = canvas(height, left=52, below=52 + 196)
        box = axes.get_position()
        under = figure.add_axes((box.x0, 52 / height, box.width, 150 / height))
        for part, band, k in ((axes, upper, 0), (under, lower, 1)):
            _banded(part, x, band, k, 100)
            part.plot(x, 100 * band.value, MARKS[k], color=COLOURS[k], markersize=4)
            part.set_xlim(0, 100)
            part.set_ylim(0, 1.08 * 100 * float(band.high.max()))
        named_axes(
            under,
            of_kind("plot", "Enterprises approved (%)"),
            of_kind("plot", "Default rate of the approved (%)"),
        )
        figure.text(
            10 / 460,
            (52 + 150 + 16) / height,
            of_kind("plot", "Share of all defaults kept out (%)"),
            va="center",
        )
    return Drawn(
        figure, _("Default rate of the approved and share of defaults kept out, by the share approved.")
    )


def axis_name(axis: str) -> str:
    """What a scale of scores is called."""
    return {
        "score": of_kind("plot", "Score (higher is safer)"),
        "log_odds": of_kind("plot", "Log-odds of default"),
        "probability": of_kind("plot", "Predicted probability of default"),
        "risk": of_kind("plot", "Risk"),
    }[axis]


def _square(entries: int) -> "tuple[Any, Axes]":
    figure, axes = canvas(HEIGHT + 20 * entries, left=52, below=room_below(entries))
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 101)
    return figure, axes


def _banded(axes: "Axes", x: Any, band: Band, k: int, scale: float) -> Any:
    y, low, high = (scale * np.asarray(v) for v in (band.value, band.low, band.high))
    axes.fill_between(x, low, high, color=COLOURS[k], alpha=0.2, linewidth=0)
    return _line(axes, x, y, k)


def _line(axes: "Axes", x: Any, y: Any, k: int) -> Any:
    return axes.plot(x, y, color=COLOURS[k % 5], linestyle=DASHES[k % 5])[0]


def _chance(axes: "Axes", x: Any, y: Any) -> Any:
    return axes.plot(x, y, color=FAINT, linewidth=1, linestyle=(0, (2, 2)))[0]


def _points(axes: "Axes", x: Any, band: Band, k: int, scale: float) -> Any:
    y, low, high = (scale * np.asarray(v) for v in (band.value, band.low, band.high))
    return axes.errorbar(
        x,
        y,
        yerr=[np.maximum(y - low, 0), np.maximum(high - y, 0)],
        fmt=MARKS[k],
        color=COLOURS[k],
        markersize=5,
        elinewidth=1.5,
        capsize=3,
    )


def _rates(axes: "Axes", found: Calibration) -> tuple[float, float]:
    """Logarithmic scales of per cent for predicted and observed rates, and their ends."""
    low = 0.6 * 100 * float(found.predicted.min())
    seen = found.observed.value[found.observed.value > 0]
    low = max(min(low, 0.8 * 100 * float(seen.min()) if len(seen) else low), 0.01)
    top = min(1.4 * 100 * max(float(found.predicted.max()), float(np.nanmax(found.observed.high))), 110.0)
    ticks = [v for v in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if low <= v <= top]
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis, limits in ((axes.xaxis, axes.set_xlim), (axes.yaxis, axes.set_ylim)):
        limits(low, top)
        axis.set_ticks(ticks, [f"{v:g}" for v in ticks])
        axis.set_ticks([], minor=True)
    return low, top


def _within(band: Band, least: float) -> Band:
    """A band whose values are not below what a logarithmic scale shows."""
    value, low, high = (np.maximum(np.nan_to_num(v), least) for v in (band.value, band.low, band.high))
    return Band(value=value, low=low, high=high)


def _band_of(found: Sequence[Estimate]) -> Band:
    value, low, high = (np.array([getattr(e, name) for e in found]) for name in ("value", "low", "high"))
    return Band(value=value, low=low, high=high)


def _edges(found: ScoreDistribution) -> Any:
    """Ends of bins as one rising array; open ones get twice the width of their neighbour."""
    low, high = found.low.copy(), found.high.copy()
    if np.array_equal(low, high):
        middle = (low[1:] + low[:-1]) / 2
        return np.r_[low[0] - (middle[0] - low[0]), middle, high[-1] + (high[-1] - middle[-1])]
    edges = np.r_[low[0], high]
    # Groups of exact scores have gaps between them.
    edges[1:-1] = (high[:-1] + low[1:]) / 2
    if not np.isfinite(edges[0]):
        edges[0] = edges[1] - 2 * (edges[2] - edges[1])
    if not np.isfinite(edges[-1]):
        edges[-1] = edges[-2] + 2 * (edges[-2] - edges[-3])
    return edges
