"""What ``fedrisk index`` shows: an enterprise's months, or a list's newest one."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fedrisk.cli.output import note, out, plain_table, tell
from fedrisk.language import _, either
from fedrisk.language_patterns import retold

if TYPE_CHECKING:
    from fedrisk.serving.index_forms import IndexAnswer, ScaleShown

SPANS = (3, 12)
"""Months over which the screen says how an index moved."""

BAR = 25
"""Signs of the longest bar."""


def show_one(answer: "IndexAnswer", scale: "ScaleShown") -> None:
    """The months of one enterprise, this one first, with what moved."""
    if answer.code:
        tell(f"{answer.code}: {retold(answer.words)}", "red")
        return
    tell(_headline(answer), "bold")
    themes = list(answer.months[0].themes)
    columns = ("months ago", "index", "", *themes)
    table = plain_table("", *columns, right=(columns[0], columns[1], *themes))
    for month in answer.months:
        bar = "█" * round(BAR * month.index / 100)
        points = [f"{month.themes[name]:+d}" for name in themes]
        table.add_row(str(month.ago), str(month.index), bar, *points)
    out.print(table)
    if themes:
        tell(_("points by theme: higher is healthier, and a difference says what moved the index"))
    if answer.words:
        tell(retold(answer.words), "yellow")
    tell(scale_words(scale))
    if answer.notice:
        note(retold(answer.notice))


def show_list(answers: Sequence["IndexAnswer"], scale: "ScaleShown") -> None:
    """A line for each enterprise, then why others have none."""
    told = [a for a in answers if not a.code]
    spans = [months for months in SPANS if any(a.change(months) is not None for a in told)]
    columns = ["enterprise", "index", "change in 3 months", "change in 12 months"]
    del columns[2 + len(spans) :]
    table = plain_table(
        _("{rows:,} enterprises, {told:,} with an index", rows=len(answers), told=len(told)),
        *columns,
        right=columns[1:],
        whole=columns[:1],
    )
    for answer in told:
        changes = [_signed(answer.change(months)) for months in spans]
        table.add_row(answer.id, str(answer.index), *changes)
    out.print(table)
    # Of two enterprises without an index other members may be missing.
    for (code, words), count in Counter((a.code, retold(a.words)) for a in answers if a.code).most_common():
        note(f"{count:,} {code}: {words}", style=None)
    for words in dict.fromkeys(retold(a.words) for a in told if a.words):
        note(words, style=None)
    tell(scale_words(scale))


def scale_words(scale: "ScaleShown") -> str:
    """What an index is a percentile of."""
    return _(
        "63 says that 63 of 100 enterprises of study {study} ({enterprises:,} enterprises, {made}) had a lower score; "
        "the scale may be wrong by {error:.1f} points",
        study=scale.study,
        enterprises=scale.enterprises,
        made=scale.made,
        error=scale.error,
    )


def _headline(answer: "IndexAnswer") -> str:
    """The enterprise, its newest index, and by how much it moved."""
    moved = [
        either("{change} in {count} month", "{change} in {count} months", months, change=_signed(change))
        for months in SPANS
        if (change := answer.change(months)) is not None
    ]
    return " · ".join([_("{id}: operating health index {index}", id=answer.id, index=answer.index), *moved])


def _signed(change: int | None) -> str:
    return "–" if change is None else f"{change:+d}"
