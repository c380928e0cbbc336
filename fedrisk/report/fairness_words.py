"""Figures by group in words: estimates with intervals, the four-fifths rule, and differences that are there."""

from fedrisk.analysis.curves import Estimate
from fedrisk.analysis.fairness import Approval, Difference, Fairness
from fedrisk.language import _
from fedrisk.releases.statistics import UNKNOWN

NOTHING = "–"


def percent(value: float) -> str:
    """A share, without digits that say nothing.

    >>> percent(0.06), percent(0.125)
    ('6%', '12.5%')
    """
    return f"{100 * value:g}%"


def figure(found: Estimate | None, form: str) -> str:
    """An estimate with its interval, or a dash where it says less than its noise.

    >>> figure(Estimate(value=0.5, low=0.4, high=0.6, error=0.05), "{:.1f}"), figure(None, "{:.1f}")
    ('0.5 (0.4–0.6)', '–')
    """
    if found is None:
        return NOTHING
    value, low, high = (form.format(v) for v in (found.value, found.low, found.high))
    return f"{value} ({low}–{high})"


def group_name(level: str) -> str:
    """A level as people read it."""
    return _("unknown or missing") if level == UNKNOWN else level


def four_fifths_words(approval: Approval) -> str:
    """The ratio to the highest approval rate, and what the rule says of it."""
    if approval.ratio is None:
        return NOTHING
    if approval.ratio.error == 0 and approval.ratio.value == 1:
        return _("highest")
    said = {
        "below": _("below four fifths"),
        "open": _("open"),
        "above": _("above four fifths"),
    }[approval.four_fifths or "open"]
    return f"{figure(approval.ratio, '{:.2f}')}, {said}"


def sure_differences(found: Fairness) -> list[str]:
    """The differences between a group and all others that chance and noise do not explain, in words."""
    return [_difference(d) for d in found.differences if d.sure]


def _difference(d: Difference) -> str:
    p = "< 0.0001" if d.adjusted < 1e-4 else f"{d.adjusted:.4f}"
    values = {"group": group_name(d.level), "column": d.column, "p": p}
    if d.measure == "approval":
        points = [f"{100 * v:+.1f}" for v in (d.value, d.low, d.high)]
        return _(
            "{group} ({column}): approval at {cut} differs from all others by {value} percentage points "
            "({low} to {high}), adjusted p {p}",
            cut=percent(d.cut_off or 0),
            value=points[0],
            low=points[1],
            high=points[2],
            **values,
        )
    plain = [f"{v:+.3f}" for v in (d.value, d.low, d.high)]
    if d.measure == "auc":
        return _(
            "{group} ({column}): AUC differs from all others by {value} ({low} to {high}), adjusted p {p}",
            value=plain[0],
            low=plain[1],
            high=plain[2],
            **values,
        )
    return _(
        "{group} ({column}): observed over predicted differs from all others by {value} ({low} to {high}), "
        "adjusted p {p}",
        value=plain[0],
        low=plain[1],
        high=plain[2],
        **values,
    )
