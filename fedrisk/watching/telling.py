"""Alerts go to where the bank wants them: what a sink has not taken is kept, and given again at the next run."""

from collections.abc import Sequence

from fedrisk.watching.alert_book import AlertBook
from fedrisk.watching.alerts import Alert
from fedrisk.watching.sinks import Sink, Undelivered


def tell(book: AlertBook, sinks: Sequence[Sink], *, bank: str, watch: str) -> dict[str, Undelivered]:
    """Give every sink what waits for it, the oldest first; by sink, what it has not taken. Raises StoreError alone."""
    left = {sink.name: _given(book, sink, bank, watch) for sink in sinks}
    return {name: one for name, one in left.items() if one is not None}


def _given(book: AlertBook, sink: Sink, bank: str, watch: str) -> Undelivered | None:
    waiting = book.waiting(sink.name)
    if not waiting:
        return None
    refused: list[Alert] = []

    def took(alerts: Sequence[Alert]) -> None:
        book.delivered(sink.name, alerts)

    def turned_away(alert: Alert, reason: str) -> None:
        refused.append(alert)
        book.refused(sink.name, alert, reason)

    reason = sink.give(waiting, bank=bank, watch=watch, took=took, refused=turned_away)
    left = len(book.waiting(sink.name))
    return Undelivered(left, len(refused), reason) if left or refused else None
