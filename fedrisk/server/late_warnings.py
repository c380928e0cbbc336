"""Thresholds of warnings that were missing when a study ended: its banks are asked again, until all have confirmed.

A bank uses the totals of the evaluation once every other bank of the study has signed the same, so one that was away
at the end costs all of them the threshold, and no results. Whoever works at the hub asks again from time to time while
all banks are there: first for what each signed, then with what all of them signed (recipes/scorecard/warning_hub).
"""

import contextlib
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from flwr.serverapp import Grid

from fedrisk.errors import FedriskError
from fedrisk.findings import Finding
from fedrisk.protocol.actions import WARN
from fedrisk.protocol.payload import Payload, from_record, request
from fedrisk.protocol.versions import PROTOCOL
from fedrisk.releases.evaluation import EVALUATION
from fedrisk.server.hub import Hub
from fedrisk.server.late_tables import AFTER, EVERY, LONGEST_PAUSE, TTL, UNTIL
from fedrisk.server.noisy_sums import blobs_of
from fedrisk.server.post import answered, pushed
from fedrisk.server.results import Results
from fedrisk.server.runs import Run, Runs
from fedrisk.study_members import BANK

log = logging.getLogger("fedrisk")

WITHOUT = "warning_unconfirmed"
"""Code of the finding that names banks whose models have no threshold yet."""


@dataclass
class _Round:
    """One question to all banks of a run: what went, by number, and what came, by bank."""

    attempt: str
    banks: tuple[str, ...]
    until: datetime
    sent: dict[str, str] = field(default_factory=dict)
    signed: dict[str, str] = field(default_factory=dict)
    kept: set[str] = field(default_factory=set)


class LateWarnings:
    """The rounds of one hub over one grid; a round never waits. clock: the time, in UTC."""

    def __init__(
        self, grid: Grid, hub: Hub, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._grid, self._runs, self._clock = grid, Runs(hub), clock
        self._rounds: dict[str, _Round] = {}
        self._missing: dict[str, tuple[str, ...]] = {}
        self._looked: datetime | None = None
        self._next: dict[str, tuple[datetime, timedelta]] = {}

    def turn(self, nodes: Mapping[str, int]) -> None:
        """One round. nodes: connected ones, by the name of their institution."""
        now = self._clock()
        for one in list(self._rounds.values()):
            self._take(one, nodes, now)
        if self._looked is not None and now - self._looked < EVERY:
            return
        self._looked = now
        for run in self._runs.all():
            banks = self._banks(run, now)
            if banks and set(banks) <= set(nodes) and run.attempt not in self._rounds:
                due, pause = self._next.get(run.attempt, (now, 2 * EVERY))
                if now >= due:
                    self._next[run.attempt] = now + pause, min(2 * pause, LONGEST_PAUSE)
                    self._ask(run.attempt, banks, {}, nodes, now)

    def _banks(self, run: Run, now: datetime) -> tuple[str, ...]:
        """Banks of a run whose threshold is not confirmed; none where it is, or it is too soon or too late."""
        if run.state != "finished" or run.results != "whole" or run.ended is None:
            return ()
        if not AFTER <= now - datetime.fromisoformat(run.ended) <= UNTIL:
            return ()
        if run.attempt not in self._missing:
            self._missing[run.attempt] = ()
            with contextlib.suppress(FedriskError):
                results = self._runs.results(run)
                self._missing[run.attempt] = banks_of(run) if lacking(results) else ()
        return self._missing[run.attempt]

    def _ask(
        self,
        attempt: str,
        banks: tuple[str, ...],
        signed: Mapping[str, str],
        nodes: Mapping[str, int],
        now: datetime,
    ) -> None:
        record = self._runs.results(self._runs.find(attempt)).record
        if record is None:
            return
        content = Payload({"attempt": attempt, "signed": dict(signed)}, blobs_of(record.release(EVALUATION)))
        new = _Round(attempt, banks, now + timedelta(seconds=TTL))
        for bank in banks:
            message = request(content, WARN, nodes[bank], ttl=TTL, protocol=PROTOCOL)
            number = pushed(self._grid, message)
            if number is not None:
                new.sent[number] = bank
        self._rounds[attempt] = new

    def _take(self, one: _Round, nodes: Mapping[str, int], now: datetime) -> None:
        """Take the answers that are there; once all are, go on with what all signed, or make the results whole."""
        for bank, message in answered(self._grid, one.sent):
            try:
                answer = from_record(message.content)
                if answer.refusal is None:
                    one.signed[bank] = str(answer.body.get("signature"))
                    one.kept |= {bank} if answer.body.get("kept") is True else set()
            except FedriskError as error:
                about = {"attempt": one.attempt, "peer": bank, "code": error.code}
                log.warning("a bank's signature is not taken", extra={"event": "warning", **about})
        if one.kept == set(one.banks):
            del self._rounds[one.attempt]
            self._missing[one.attempt] = ()
            with contextlib.suppress(FedriskError):
                self._runs.save(confirmed(self._runs.results(self._runs.find(one.attempt))))
                log.info("a threshold came late", extra={"event": "warning", "attempt": one.attempt})
        elif not one.kept and set(one.signed) == set(one.banks) <= set(nodes):
            self._ask(one.attempt, one.banks, one.signed, nodes, now)
        elif now > one.until or not one.sent:
            del self._rounds[one.attempt]


def banks_of(run: Run) -> tuple[str, ...]:
    """Names of a run's banks."""
    return tuple(str(one["name"]) for one in run.content["institutions"] if one.get("role") == BANK)


def unconfirmed(banks: Collection[str]) -> tuple[Finding, ...]:
    """That these banks serve without a threshold; nothing where all have it."""
    return (Finding(WITHOUT, {"institutions": ", ".join(banks)}),) if banks else ()


def lacking(results: Results) -> bool:
    """Whether banks of a study had not confirmed its threshold."""
    return any(finding.code == WITHOUT for finding in results.findings)


def confirmed(results: Results) -> Results:
    """The results once all banks have confirmed the threshold."""
    undone = {(WITHOUT, None), ("left_undone", WARN)}
    left = [f for f in results.findings if (f.code, f.values.get("part")) not in undone]
    return replace(results, findings=tuple(left))
