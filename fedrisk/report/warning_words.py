"""What a threshold of warnings promises, in words and as rows of a table: for pages and screens alike."""

from typing import TYPE_CHECKING

from fedrisk.analysis.curves import share_of
from fedrisk.analysis.warning_threshold import other_thresholds, right_of, warned_of
from fedrisk.language import _

if TYPE_CHECKING:
    from fedrisk.analysis.score_counts import ScoreCounts
    from fedrisk.models.own_rows import OwnRows
    from fedrisk.models.warning_point import Interval, WarningPoint

Row = tuple[str, str, str]
"""What it is of, the share, and its interval of 95 %."""


NOT_KNOWN = 0.9
"""Where an interval of a share is as wide, the study does not say what the share is."""


def warning_line(point: "WarningPoint") -> str:
    """The threshold in sentences; where a text says default, `language.about` names the label."""
    alarms, recall = point.false_alarms, point.recall
    said = _(
        "Warns at a score of {score} and below: of {alarms} of those that are no defaults (95 %: {low} to {high}; "
        "asked for at most {stated}).",
        score=point.score,
        alarms=_share(alarms.value),
        low=_share(alarms.low),
        high=_share(alarms.high),
        stated=_share(point.stated),
    )
    interval = {"least": _share(recall.low), "most": _share(recall.high)}
    if _not_known(recall):
        return f"{said} " + _(
            "How many of the defaults it warns of is not known: noise, or too few of them in the hold-out, leave "
            "{least} to {most}.",
            **interval,
        )
    found = _(
        "It warns of {recall} of the defaults (95 %: {least} to {most}).",
        recall=_share(recall.value),
        **interval,
    )
    often = _(
        "Of 1,000 enterprises looked at once it warns of about {warned:,.0f}.", warned=1000 * point.warned
    )
    return " ".join((said, found, often))


def missing_line(why: str, stated: float) -> str:
    """Why a bank's model has no threshold of warnings, in a sentence. why: of clients/warning_state."""
    rate = _share(stated)
    if why == "noise":
        return _(
            "No threshold of warnings: noise and the size of the hold-out leave none that keeps a rate of false alarms "
            "of {rate}. The model gives scores and no warnings.",
            rate=rate,
        )
    if why == "unconfirmed":
        return _(
            "No threshold of warnings yet: this bank was told the totals, and not every bank has confirmed to the "
            "others that it was told the same. Until then the model gives scores and no warnings (stated rate {rate}). "
            "Banks confirm by themselves while the nodes of all of them run and the hub's desk does.",
            rate=rate,
        )
    return _(
        "No threshold of warnings yet: the hub has not told this bank the totals of the evaluation. Until then the "
        "model gives scores and no warnings (stated rate {rate}). It tells them while the nodes of all banks run and "
        "its desk does.",
        rate=rate,
    )


def warning_rows(point: "WarningPoint", counts: "ScoreCounts | None" = None) -> list[Row]:
    """Rows of a table: false alarms, recall, all that are warned of and, from counts, who of these is a default."""
    rows = [
        (_("false alarms, of those that are no defaults"), *_cells(point.false_alarms)),
        (_("recall, of all defaults"), *_cells(point.recall)),
    ]
    many = _("warned of, of 1,000 enterprises looked at once")
    if counts is None:
        return [*rows, (many, f"{1000 * point.warned:,.0f}", "–")]
    warned = warned_of(counts, point)
    span = _("{low} to {high}", low=f"{1000 * warned.low:,.0f}", high=f"{1000 * warned.high:,.0f}")
    right = _("defaults among those warned of"), *_cells(right_of(counts, point))
    return [*rows, (many, f"{1000 * warned.value:,.0f}", span), right]


def other_rows(counts: "ScoreCounts | None", stated: float) -> list[tuple[str, ...]]:
    """What other rates of false alarms would have: rate, score, false alarms, recall, interval, alerts of 1,000."""
    if counts is None:
        return []
    return [
        (
            _share(point.stated),
            str(point.score),
            _share(point.false_alarms.value),
            *_cells(point.recall),
            f"{1000 * point.warned:,.0f}",
        )
        for point in other_thresholds(counts, stated)
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
    return [*out, *_own_alerts(rows, point)]


def _own_alerts(rows: "OwnRows", point: "WarningPoint") -> list[Row]:
    """Of how many of all its scored enterprises a bank would be warned on one day, exactly."""
    assert rows.score is not None
    warned, every = int(point.warns(rows.score).sum()), len(rows.score)
    share = _("{share} ({part:,.0f} of {whole:,.0f})", share=_share(warned / every), part=warned, whole=every)
    return [(_("warned of, of all own enterprises that were scored"), share, "–")]


def _not_known(found: "Interval") -> bool:
    return found.high - found.low >= NOT_KNOWN


def _cells(found: "Interval") -> tuple[str, str]:
    if _not_known(found):
        return _("not known"), _between(found.low, found.high)
    return _share(found.value), _between(found.low, found.high)


def with_interval(found: "Interval | None") -> str:
    """A share with its interval of 95 % in brackets; a dash where there is none."""
    if found is None:
        return "–"
    value = _cells(found)[0]
    return _("{value} ({low} to {high})", value=value, low=_share(found.low), high=_share(found.high))


def _between(low: float, high: float) -> str:
    return _("{low} to {high}", low=_share(low), high=_share(high))


def _share(value: float) -> str:
    return f"{100 * value:.1f}%"
