"""What ``fedrisk hub work`` does: ask members for their word, and run the studies to which all have agreed.

One run of Flower stays open for the desk (server/desk), which speaks to nodes every second or two. A study to which
its members have agreed gets a run of its own and a process of its own (engine/hub_study), one at a time: Flower keeps
who a message comes from in a process-wide place, and a study that fails takes nothing with it. Whatever is lost, the
SuperLink for a while or the desk's run, is begun again.
"""

import contextlib
import json
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fedrisk.deploy.hub_home import HubHome
from fedrisk.deploy.roster import Roster
from fedrisk.engine.superlink import NotServing, start_run, stop_run, take_task, task_grid, unfinished
from fedrisk.errors import ConfigError, FedriskError, code_of
from fedrisk.files import read_json, write_atomic
from fedrisk.server.desk import Desk
from fedrisk.server.hub import Hub
from fedrisk.server.proposals import Proposal, Proposals

log = logging.getLogger("fedrisk")

EVERY = 1.0
"""Seconds between two turns of the desk."""

STOP_SECONDS = 40.0
"""How long a study in hand may take to stop."""

_LONGEST_PAUSE = 30.0


class Work:
    """The hub's work. stop: set from outside; what is in hand is ended then."""

    def __init__(self, home: HubHome, stop: threading.Event) -> None:
        self.home, self.stop = home, stop
        self.proposals = Proposals(Hub(home.path))
        self._study: _Study | None = None
        self._ready: list[Proposal] = []

    def run(self) -> None:
        """Work until told to stop; never raises for what may be over in a moment."""
        self._left_behind()
        pause = EVERY
        try:
            while not self.stop.is_set():
                begun = time.monotonic()
                try:
                    self._desk()
                except FedriskError as error:
                    log.warning("the desk is begun again", extra={"event": "desk", "code": code_of(error)})
                pause = EVERY if time.monotonic() - begun > _LONGEST_PAUSE else min(pause * 2, _LONGEST_PAUSE)
                self.stop.wait(pause)
        finally:
            self._end_study()

    def _desk(self) -> None:
        """One run of Flower for the desk, for as long as it holds."""
        folder = self.home.path
        for number in unfinished(folder):
            if self._study is None or number != self._study.run:
                stop_run(folder, number)
        run = start_run(folder, "desk")
        with task_grid(folder, take_task(folder, run)) as grid:
            log.info("the desk is open", extra={"event": "desk"})
            epoch, desk = None, None
            while not self.stop.is_set():
                roster = Roster.latest(self.home)
                if desk is None or roster.epoch != epoch:
                    epoch, desk = roster.epoch, Desk(grid, Hub(folder), self.proposals, roster)
                ready = desk.turn()
                self._ready = [*self._ready, *(p for p in ready if p.id not in {r.id for r in self._ready})]
                self._studies()
                self.stop.wait(EVERY)

    def _studies(self) -> None:
        """See to the study in hand, and begin the next."""
        if self._study is not None and not self._study.over():
            return
        if self._study is not None:
            self._study.enter(self.proposals)
            stop_run(self.home.path, self._study.run)
            self._study = None
            tidy(self.home.database)
        while self._ready and self._study is None:
            proposal = self.proposals.find(self._ready.pop(0).id)
            if proposal.state == "ready":
                self._study = _Study.begin(self.home, self.proposals, proposal)

    def _left_behind(self) -> None:
        """Studies that a process before this one ran are no longer in hand; what is ready still waits for its turn."""
        for proposal in self.proposals.all():
            if proposal.state == "running":
                log.warning("a study was left behind", extra={"event": "study", "attempt": proposal.attempt})
                self.proposals.update(proposal.id, state="failed", code="killed")
        self._ready = [p for p in self.proposals.all() if p.state == "ready"]

    def _end_study(self) -> None:
        if self._study is None:
            return
        self._study.end()
        self._study.enter(self.proposals)
        with contextlib.suppress(FedriskError):
            stop_run(self.home.path, self._study.run)
        self._study = None


class _Study:
    """A study in hand: its proposal, its run of Flower and its process."""

    def __init__(self, proposal: Proposal, run: int, process: "subprocess.Popen[bytes]") -> None:
        self.proposal, self.run, self.process = proposal, run, process

    @classmethod
    def begin(cls, home: HubHome, proposals: Proposals, proposal: Proposal) -> "_Study | None":
        """Start the process of a study; None, with the reason entered, where it does not come to begin."""
        try:
            run = start_run(home.path, proposal.id)
            token = take_task(home.path, run)
        except NotServing:
            raise
        except ConfigError as error:
            proposals.update(proposal.id, state="failed", code=error.code)
            return None
        # The token is for the process alone: whoever reads the list of processes must not have it.
        process = subprocess.Popen(
            [sys.executable, "-m", "fedrisk.engine.hub_study", str(home.path)], stdin=subprocess.PIPE
        )
        proposals.update(proposal.id, state="running")
        with contextlib.suppress(BrokenPipeError):
            assert process.stdin is not None
            process.stdin.write(json.dumps({"proposal": proposal.id, "token": token}).encode())
            process.stdin.close()
        log.info("a study begins", extra={"event": "study", "study": proposal.id})
        return cls(proposal, run, process)

    def over(self) -> bool:
        """Whether its process has ended."""
        return self.process.poll() is not None

    def end(self) -> None:
        """Have it stop as a person would, and wait; whatever does not stop is killed."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def enter(self, proposals: Proposals) -> None:
        """Where the process could not say how it ended, say that it was killed."""
        if proposals.find(self.proposal.id).state == "running":
            proposals.update(self.proposal.id, state="failed", code="killed")
        log.info(
            "a study is over",
            extra={"event": "study", "study": self.proposal.id, "code": str(self.process.returncode)},
        )


class Progress:
    """How far the study of a proposal is, for whoever waits for it: a small file beside the runs."""

    def __init__(self, hub: Hub, proposal: str) -> None:
        self.file = hub.path / "progress" / f"{proposal}.json"

    def write(self, **what: Any) -> None:
        """Keep the exchange, its action and a few words, or the sentence of an error."""
        with contextlib.suppress(FedriskError):
            write_atomic(self.file, json.dumps(what).encode())

    def read(self) -> dict[str, Any]:
        """What was kept last; empty where nothing was."""
        with contextlib.suppress(FedriskError):
            return read_json(self.file, "")
        return {}


def tidy(database: Path) -> None:
    """Give back the room of what Flower has deleted: sealed envelopes stay in the file's free pages otherwise."""
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(sqlite3.connect(database, timeout=30.0)) as opened,
    ):
        opened.isolation_level = None
        opened.execute("VACUUM")
        opened.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def until_orphaned(stop: Callable[[], None]) -> None:
    """Call ``stop`` when the process that started this one is gone: nobody would end it any more."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        stop()

    threading.Thread(target=watch, daemon=True).start()
