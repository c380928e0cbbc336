"""What ``fedrisk index`` shows: an enterprise's months, or a list's newest one."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fedrisk.cli.output import note, out, plain_table, tell
from fedrisk.language import _
from fedrisk.language_patterns import retold

if TYPE_CHECKING:
    from fedrisk.serving.index_forms import IndexAnswer, ScaleShown

BAR = 25
"""Signs of the longest bar."""


def show_one(answer: "IndexAnswer", scale: "ScaleShown") -> None:
    """The months of one enterprise, this one first, with what moved."""
    from fedrisk.report.index_page import fewer_words

    if answer.code:
        tell(f"{answer.code}: {retold(answer.words)}", "red")
        return
    themes = list(answer.months[0].themes)
    columns = ("months ago", "index", "", *themes)
    table = plain_table(
        _("{id}: operating health index", id=answer.id), *columns, right=(columns[0], columns[1], *themes)
    )
    for month in answer.months:
        bar = "█" * round(BAR * month.index / 100)
        points = [f"{month.themes[name]:+d}" for name in themes]
        table.add_row(str(month.ago), str(month.index), bar, *points)
    out.print(table)
    if themes:
        tell(_("points by theme: higher is healthier, and a difference says what moved the index"))
    if fewer := fewer_words(answer):
        note(fewer, style=None)
    tell(scale_words(scale))
    if answer.notice:
        note(retold(answer.notice))


def show_list(answers: Sequence["IndexAnswer"], scale: "ScaleShown") -> None:
    """A line for each enterprise, then why others have none."""
    told = [a for a in answers if not a.code]
    columns = ("enterprise", "index", "in 3 months", "in 12 months")
    table = plain_table(
        _("{rows:,} enterprises, {told:,} with an index", rows=len(answers), told=len(told)),
        *columns,
        right=columns[1:],
        whole=columns[:1],
    )
    for answer in told:
        changes = [_signed(answer.change(months)) for months in (3, 12)]
        table.add_row(answer.id, str(answer.index), *changes)
    out.print(table)
    words = {a.code: a.words for a in answers if a.code}
    for code, count in Counter(a.code for a in answers if a.code).most_common():
        note(f"{count:,} {code}: {retold(words[code])}", style=None)
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


def _signed(change: int | None) -> str:
    return "–" if change is None else f"{change:+d}"
