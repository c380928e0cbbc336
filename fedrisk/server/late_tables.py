"""Tables that were missing when a study ended: their members are asked again, and results are made whole.

A member that was away at the end of a study costs no results, but its signed table of what left it (server/tables) is
not there to be compared. Whoever works at the hub asks it again from time to time, for as long as anybody may want to
know. What comes is checked as at the end of the study.
"""

import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from flwr.serverapp import Grid

from fedrisk.audit.table import ACTION
from fedrisk.errors import FedriskError
from fedrisk.protocol.payload import Payload, from_record, request
from fedrisk.protocol.versions import PROTOCOL
from fedrisk.server.hub import Hub
from fedrisk.server.post import answered, pushed
from fedrisk.server.results import Results
from fedrisk.server.runs import Run, Runs
from fedrisk.server.tables import checked_table, with_late

log = logging.getLogger("fedrisk")

TTL = 60.0
"""Seconds for which a question waits for its node."""

EVERY = timedelta(minutes=1)
"""Time between two looks for what is missing."""

LONGEST_PAUSE = timedelta(hours=6)
"""Between two questions to a member that refuses, which each time writes into its trail; the pause doubles."""

AFTER, UNTIL = timedelta(minutes=3), timedelta(days=30)
"""From how long after a run's end until how long after it its members are asked again."""


@dataclass(frozen=True)
class _Sent:
    attempt: str
    name: str
    until: datetime


class LateTables:
    """The rounds of one hub over one grid; a round never waits. clock: the time, in UTC."""

    def __init__(
        self, grid: Grid, hub: Hub, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._grid, self._hub, self._runs, self._clock = grid, hub, Runs(hub), clock
        self._sent: dict[str, _Sent] = {}
        self._missing: dict[str, set[str]] = {}
        self._looked: datetime | None = None
        self._next: dict[tuple[str, str], tuple[datetime, timedelta]] = {}

    def turn(self, nodes: Mapping[str, int]) -> None:
        """One round. nodes: connected ones, by the name of their institution."""
        self._take()
        now = self._clock()
        if self._looked is not None and now - self._looked < EVERY:
            return
        self._looked = now
        for run in self._runs.all():
            if run.results != "whole" or not self._due(run, now):
                continue
            for name in self._lacking(run):
                if name in nodes and self._turn_of(run.attempt, name, now):
                    self._ask(run.attempt, name, nodes[name], now)

    def _due(self, run: Run, now: datetime) -> bool:
        if run.state != "finished" or run.ended is None:
            return False
        return AFTER <= now - datetime.fromisoformat(run.ended) <= UNTIL

    def _lacking(self, run: Run) -> set[str]:
        """Members of a run of which there is no table; the results are read once."""
        if run.attempt not in self._missing:
            self._missing[run.attempt] = set()
            with contextlib.suppress(FedriskError):
                self._missing[run.attempt] = lacking(self._runs.results(run))
        return self._missing[run.attempt]

    def _turn_of(self, attempt: str, name: str, now: datetime) -> bool:
        """Whether a member is to be asked now; then not again before a pause is over."""
        due, pause = self._next.get((attempt, name), (now, 2 * EVERY))
        if now < due:
            return False
        self._next[attempt, name] = now + pause, min(2 * pause, LONGEST_PAUSE)
        return True

    def _ask(self, attempt: str, name: str, node: int, now: datetime) -> None:
        content = Payload({"attempt": attempt})
        number = pushed(self._grid, request(content, ACTION, node, ttl=TTL, protocol=PROTOCOL))
        if number is not None:
            self._sent[number] = _Sent(attempt, name, now + timedelta(seconds=TTL))

    def _take(self) -> None:
        """Take the answers that are there."""
        for sent, message in answered(self._grid, self._sent):
            try:
                self._taken(sent, from_record(message.content))
            except FedriskError as error:
                log.warning(
                    "a table that came late is not taken",
                    extra={"event": "table", "attempt": sent.attempt, "peer": sent.name, "code": error.code},
                )
        now = self._clock()
        self._sent = {number: sent for number, sent in self._sent.items() if sent.until > now}

    def _taken(self, sent: _Sent, answer: Payload) -> None:
        """Check a table and make the results whole; FedriskError where it does not hold, or they cannot be written."""
        results = self._runs.results(self._runs.find(sent.attempt))
        members = tuple(results.institutions)
        table = checked_table(sent.name, answer, sent.attempt, members, self._hub.pins)
        self._runs.save(with_late(results, table))
        self._missing.get(sent.attempt, set()).discard(sent.name)
        log.info("a table came late", extra={"event": "table", "attempt": sent.attempt, "peer": sent.name})


def lacking(results: Results) -> set[str]:
    """Members of which there is no table."""
    return set(results.institutions) - {table.institution for table in results.tables}
