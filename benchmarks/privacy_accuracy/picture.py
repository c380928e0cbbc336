"""The page's picture: AUC against epsilon on each data set, from results.json."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

WIDE, HIGH = 780.0, 330.0
LINES = {
    "scorecard": "card",
    "DP-EBM": "DP-EBM, one trusted party",
    "DP logistic regression": "DP-SGD, one trusted party",
}
LEVELS = {"pooled boosting": "boosting, all rows in the clear", "bank alone": "a bank alone"}
DEPTH = 0.16
"""How far below the highest line others are drawn."""


def said(results: Mapping[str, Any]) -> str:
    """What the picture shows, in words."""
    parts = []
    for name, one in results["sets"].items():
        card = ", ".join(f"{e} {_auc(f)}" for e, f in sorted(one["models"]["scorecard"].items(), key=_place))
        levels = ", ".join(f"{words} {_auc(one['models'][m]['any'])}" for m, words in LEVELS.items())
        parts.append(f"{name}: card at epsilon {card}; {levels}")
    return "AUC against epsilon. " + ". ".join(parts) + "."


def svg(results: Mapping[str, Any]) -> str:
    """The picture as a file."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    from fedrisk.report.figure_style import COLOURS, DASHES, MARKS, figure_svg, style

    with style():
        figure = Figure(figsize=(WIDE / 72, HIGH / 72), facecolor="white")
        panels = figure.subplots(1, len(results["sets"]))
        figure.subplots_adjust(left=0.06, right=0.965, top=0.9, bottom=0.36, wspace=0.22)
        for axes, (name, one) in zip(panels, results["sets"].items(), strict=True):
            looks = zip(COLOURS, DASHES, MARKS, strict=True)
            tops = []
            for model, words in LINES.items():
                colour, dash, mark = next(looks)
                points = sorted(one["models"].get(model, {}).items(), key=_place)
                x, y = [_x(e) for e, _ in points], [f["auc"][0] for _, f in points]
                if model == "scorecard":
                    low, high = ([_end(f["auc"], k) for _, f in points] for k in (1, 2))
                    axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
                axes.plot(x, y, color=colour, linestyle=dash, marker=mark, markersize=5, label=words)
                tops += y
            for model, words in LEVELS.items():
                colour, dash, _mark = next(looks)
                tops.append(one["models"][model]["any"]["auc"][0])
                axes.axhline(tops[-1], color=colour, linestyle=dash, linewidth=1.5, label=words)
            axes.set_title(name, fontsize=14)
            axes.set_ylim(max(min(tops), max(tops) - DEPTH) - 0.01, max(tops) + 0.015)
            axes.set_xlim(_x("0.5") - 0.06, _x("inf") + 0.06)
            axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5]))
            axes.yaxis.set_major_formatter(lambda v, _: f"{v:.2f}".removeprefix("0"))
            axes.set_xticks([_x(e) for e in ("0.5", "1", "3", "inf")], [".5", "1", "3", "none"])
        figure.text(0.525, 0.235, "epsilon (none: without noise)", ha="center")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="lower left", bbox_to_anchor=(0.05, 0.0), ncols=2, frameon=False)
        found = figure_svg(figure, said(results)).svg
    return (
        found.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" ', 1) + "\n"
    )


def _x(epsilon: str) -> float:
    return 1.0 if epsilon == "inf" else math.log10(float(epsilon))


def _place(item: tuple[str, Any]) -> float:
    return _x(item[0])


def _end(interval: list[float | None], k: int) -> float:
    return float(interval[0] if interval[k] is None else interval[k])  # type: ignore[arg-type]


def _auc(figures: Mapping[str, Any]) -> str:
    return f"{figures['auc'][0]:.3f}".removeprefix("0")
