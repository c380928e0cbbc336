"""A page about one enterprise's operating health index: its months as a line, what moved, and what the number is."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fedrisk.language import _, listed, of_kind
from fedrisk.language_patterns import retold
from fedrisk.report.figure_style import COLOURS, FAINT, Drawn, canvas, legend, named_axes, room_below, style
from fedrisk.report.page import render_page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fedrisk.serving.index_forms import IndexAnswer, IndexBody

HEIGHT = 280.0
"""Units of the plot's height without its legend."""

SPANS = (1, 3, 12)
"""Months over which a page says how the index moved."""


def index_page(asker: str, body: "IndexBody") -> str:
    """The page of the first answer, in the language that is spoken. asker: who asked."""
    answer = body.answers[0]
    themes = list(answer.months[0].themes) if answer.months else []
    return render_page(
        "index.html.jinja",
        asker=asker,
        answer=answer,
        scale=body.scale,
        words=retold(answer.words),
        columns=[
            (_("known month by month"), by_member(body.scale.moving)),
            (_("as they are now, in every month"), by_member(body.scale.still)),
        ],
        plot=None if answer.code else months_plot(answer).plot(),
        changes=[(months, change, answer.moved(months)) for months, change in _changes(answer)],
        themes=themes,
        theme_columns=[(name, "n") for name in themes],
        made=datetime.fromtimestamp(answer.made, UTC).date().isoformat(),
        why_no_privacy=retold(answer.notice) if answer.notice else "",
    )


def months_plot(answer: "IndexAnswer") -> Drawn:
    """The index by month, the newest on the right; months that are not told are not there."""
    import numpy as np

    ago = np.array([-m.ago for m in answer.months])
    index = np.array([m.index for m in answer.months])
    with style():
        figure, axes = canvas(HEIGHT + 20, left=44, below=room_below(1))
        line = axes.plot(ago, index, color=COLOURS[0], marker="o", markersize=4.5, clip_on=False)[0]
        axes.axhline(50, color=FAINT, linewidth=1, linestyle=(0, (4, 3)))
        axes.annotate(
            str(index[0]),
            (0, index[0]),
            xytext=(0, 9),
            textcoords="offset points",
            ha="center",
            fontweight="bold",
        )
        axes.set_xlim(min(-5.5, ago.min() - 0.5), 0.5)
        axes.set_xticks([t for t in range(-18, 1, 3) if t >= ago.min()])
        axes.set_ylim(0, 106)
        axes.set_yticks(range(0, 101, 25))
        named_axes(
            axes, of_kind("plot", "Months (0: the newest)"), of_kind("plot", "Index (100: healthiest)")
        )
        legend(axes, [line], [of_kind("plot", "This enterprise; dashed: half of the studied ones")])
    said = ", ".join(str(v) for v in index[::-1].tolist())
    return Drawn(figure, _("Operating health index by month, the newest last: {values}", values=said))


def by_member(columns: "Sequence[str]") -> list[tuple[str, str]]:
    """Columns, as MEMBER.COLUMN, listed by member."""
    found: dict[str, list[str]] = {}
    for column in columns:
        member, _dot, name = column.partition(".")
        found.setdefault(member, []).append(name or member)
    return [(member, listed(names)) for member, names in found.items()]


def _changes(answer: "IndexAnswer") -> list[tuple[int, int]]:
    """Months, and points by which the index rose in them, where they are told."""
    return [(n, change) for n in SPANS if (change := answer.change(n)) is not None]
