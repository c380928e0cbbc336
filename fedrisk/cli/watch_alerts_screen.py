"""Alerts on a screen: a block for each, which a narrow terminal shows as well."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.padding import Padding
from rich.text import Text

from fedrisk.cli.output import out, tell
from fedrisk.language import _, listed
from fedrisk.report import watch_alert_words as words
from fedrisk.report.validation_words import percent
from fedrisk.watching.alert_book import TAKEN, WAITING, Standing

INDENT = 4


def show_alerts(found: Sequence[Standing], told: Mapping[str, Mapping[str, str]]) -> None:
    """One block for each alert. told: by id and sink, what became of it there (`AlertBook.deliveries`)."""
    for one in found:
        said = one.to_dict()
        state = [words.state(said), *([_("of the stock")] if one.alert.stock else [])]
        head = (one.alert.id[:8], one.alert.month, one.alert.enterprise, listed(state))
        tell("  ".join(head), "bold" if one.state == "open" and one.over is None else None)
        for line in _lines(one, said, told.get(one.alert.id, {})):
            out.print(Padding(Text(line), (0, 0, 0, INDENT), expand=False))


def _lines(one: Standing, said: Mapping[str, Any], told: Mapping[str, str]) -> Iterator[str]:
    alert = one.alert
    p = percent(alert.probability)
    if alert.before is None:
        yield _("score {score}, probability {p}", score=alert.score, p=p)
    else:
        known = {"score": alert.score, "before": alert.before, "since": alert.since, "p": p}
        yield _("score {score} after {before} in {since}, probability {p}", **known)
    yield from words.why(said)
    if alert.reasons:
        yield _("reasons: {reasons}", reasons=listed(words.reason(r) for r in alert.reasons))
    if moved := words.moved(said):
        yield _("changed since: {what}", what="; ".join(moved))
    for month, rule in one.more:
        yield _("later sign in {month}: {sign}", month=month, sign=words.sign(rule))
    for act in one.acts:
        known = {"what": words.act(act["what"]), "who": act["who"], "day": act["time"][:10]}
        yield _("{what} by {who} on {day}", **known) + (f": {act['reason']}" if act["reason"] else "")
    for sink, became in told.items():
        if became == WAITING:
            yield _("{sink} has not taken it yet; the next run gives it again", sink=sink)
        elif became != TAKEN:
            yield _("{sink} refused it: {reason}", sink=sink, reason=became)
