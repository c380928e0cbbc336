"""What a threshold of warnings promises, in words and as rows of a table: for pages and screens alike."""

from typing import TYPE_CHECKING

from fedrisk.analysis.curves import share_of
from fedrisk.language import _

if TYPE_CHECKING:
    from fedrisk.models.own_rows import OwnRows
    from fedrisk.models.warning_point import Interval, WarningPoint

Row = tuple[str, str, str]
"""What it is of, the share, and its interval of 95 %."""


def warning_line(point: "WarningPoint") -> str:
    """The threshold in a sentence."""
    return _(
        "Warns at a score of {score} and below: {alarms} of those without the outcome (95 %: {low} to {high}; asked "
        "for at most {stated}), and {recall} of those with it (95 %: {least} to {most}).",
        score=point.score,
        alarms=_share(point.false_alarms.value),
        low=_share(point.false_alarms.low),
        high=_share(point.false_alarms.high),
        stated=_share(point.stated),
        recall=_share(point.recall.value),
        least=_share(point.recall.low),
        most=_share(point.recall.high),
    )


def warning_rows(point: "WarningPoint") -> list[Row]:
    """Rows of a table: false alarms, recall, all that are warned of."""
    return [
        (_("false alarms, of those without the outcome"), *_cells(point.false_alarms)),
        (_("recall, of those with the outcome"), *_cells(point.recall)),
        (_("warned of, of all"), _share(point.warned), "–"),
    ]


def own_rows(rows: "OwnRows") -> list[Row]:
    """The same on a bank's own hold-out, exact counts with the intervals of its draw; none without labels or scores."""
    point = rows.warning
    if point is None or rows.score is None:
        return []
    label, warned = rows.outcome, point.warns(rows.score[rows.held_out])
    if not 0 < label.sum() < len(label):
        return []
    out = []
    for name, side in ((_("false alarms, own hold-out"), 0.0), (_("recall, own hold-out"), 1.0)):
        part, all_ = float(warned[label == side].sum()), float((label == side).sum())
        found = share_of(part, all_ - part, 0.0, 1, 1)
        text = _("{share} ({part:,.0f} of {whole:,.0f})", share=_share(found.value), part=part, whole=all_)
        out.append((name, text, _between(found.low, found.high)))
    return out


def _cells(found: "Interval") -> tuple[str, str]:
    return _share(found.value), _between(found.low, found.high)


def _between(low: float, high: float) -> str:
    return _("{low} to {high}", low=_share(low), high=_share(high))


def _share(value: float) -> str:
    return f"{100 * value:.1f}%"
