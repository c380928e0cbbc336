"""What ``fedrisk hub work`` does: ask members for their word, and run the studies to which all have agreed.

One run of Flower stays open for the desk (server/desk), which speaks to nodes every second or two. A study to which
its members have agreed gets a run of its own and a process of its own (engine/hub_study), one at a time: Flower keeps
who a message comes from in a process-wide place, and a study that fails takes nothing with it. Whatever is lost, the
SuperLink for a while or the desk's run, is begun again.
"""

import contextlib
import functools
import json
import logging
import os
import select
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from flwr.serverapp import Grid

from fedrisk.deploy.hub_home import HubHome
from fedrisk.deploy.roster import epochs, read_epoch
from fedrisk.engine.superlink_runs import start_run, stop_run, take_task, task_grid, unfinished
from fedrisk.errors import FedriskError, PeerError, code_of
from fedrisk.server.certificates import certificate_of
from fedrisk.server.desk import Desk
from fedrisk.server.hub import Hub
from fedrisk.server.journal import drop_old
from fedrisk.server.proposals import Proposal, Proposals

log = logging.getLogger("fedrisk")

EVERY = 1.0
"""Seconds between two turns of the desk."""

READY = b"ready\n"
"""What the process of a study says once it can take its task."""

START_SECONDS = 120.0
"""How long the process of a study may take to load what it needs, on a busy machine."""

STOP_SECONDS = 40.0
"""How long a study in hand may take to stop."""

GO_ON = 3
"""How often a study goes on whose process was killed; then it is failed."""

TIDY_EVERY = 3600.0
"""Seconds between two looks for journals that nobody can go on from any more."""

_LONGEST_PAUSE = 30.0


class Work:
    """The hub's work. stop: set from outside; what is in hand is ended then, and goes on when the hub works again."""

    def __init__(self, home: HubHome, stop: threading.Event) -> None:
        self.home, self.stop = home, stop
        self.proposals = Proposals(Hub(home.path))
        self._study: _Study | None = None
        self._killed: Counter[str] = Counter()
        self._tidied = float("-inf")

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
            desk, epoch = None, 0
            while not self.stop.is_set():
                # Reading an epoch checks every signature in it: only where there is a new one.
                newest = max(epochs(self.home), default=0)
                if desk is None or newest != epoch:
                    epoch, desk = newest, self._new_desk(grid, newest)
                self._tidy()
                self._studies(desk.turn())
                self.stop.wait(EVERY)

    def _new_desk(self, grid: Grid, epoch: int) -> Desk:
        """A desk with one epoch of the roster; it hands out certificates where this hub relays scores."""
        home = self.home
        certify = None if home.scoring is None else functools.partial(certificate_of, home)
        return Desk(grid, Hub(home.path), self.proposals, read_epoch(home, epoch), certify=certify)

    def _tidy(self) -> None:
        """Delete journals of more than a day ago: no study may begin for months that would find them."""
        if time.monotonic() - self._tidied >= TIDY_EVERY:
            self._tidied = time.monotonic()
            drop_old(self.home.path / "runs")

    def _studies(self, ready: Sequence[Proposal]) -> None:
        """See to the study in hand, and begin the next of those that are ready."""
        if self._study is not None:
            if not self._study.over():
                return
            self._enter(self._study)
            stop_run(self.home.path, self._study.run)
            self._study = None
            tidy(self.home.database)
        for proposal in ready:
            if self._study is None:
                self._study = _Study.begin(self.home, self.proposals, proposal)

    def _enter(self, study: "_Study") -> None:
        """Where the process of a study could not say how it ended: it was killed, and goes on a few times."""
        found, code = self.proposals.find(study.proposal.id), study.process.returncode
        extra = {"event": "study", "study": found.whole.name, "attempt": found.attempt}
        log.info("a study is over", extra={**extra, "code": str(code)})
        if found.state != "running":
            return
        self._killed[found.id] += 1
        again = self._killed[found.id] <= GO_ON
        log.error("the process of a study was killed", extra=extra)
        self.proposals.update(
            found.id, state="ready" if again else "failed", code=None if again else "killed"
        )

    def _left_behind(self) -> None:
        """Studies that a process before this one had in hand go on."""
        for proposal in self.proposals.all():
            if proposal.state == "running":
                log.warning("a study goes on", extra={"event": "study", "attempt": proposal.attempt})
                self.proposals.update(proposal.id, state="ready")

    def _end_study(self) -> None:
        if self._study is None:
            return
        self._study.end()
        with contextlib.suppress(FedriskError):
            stop_run(self.home.path, self._study.run)
        self._study = None


class _Study:
    """A study in hand: its proposal, its run of Flower and its process."""

    def __init__(self, proposal: Proposal, run: int, process: "subprocess.Popen[bytes]") -> None:
        self.proposal, self.run, self.process = proposal, run, process

    @classmethod
    def begin(cls, home: HubHome, proposals: Proposals, proposal: Proposal) -> "_Study":
        """Start the process of a study; errors where Flower does not take its run, which is tried again."""
        process = subprocess.Popen(
            [sys.executable, "-m", "fedrisk.engine.hub_study", str(home.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        # Flower gives a task up that shows no sign of life for half a minute: it is taken once its process can work.
        _wait_for_line(process)
        try:
            run = start_run(home.path, proposal.id)
            token = take_task(home.path, run)
        except BaseException:
            process.kill()
            process.wait()
            raise
        proposals.update(proposal.id, state="running", code=None)
        # The token is for the process alone: whoever reads the list of processes must not have it.
        given = json.dumps({"proposal": proposal.id, "token": token}).encode()
        if process.stdin is not None:
            with contextlib.suppress(BrokenPipeError), process.stdin as pipe:
                pipe.write(given)
        log.info("a study begins", extra={"event": "study", "study": proposal.whole.name})
        return cls(proposal, run, process)

    def over(self) -> bool:
        """Whether its process has ended."""
        return self.process.poll() is not None

    def end(self) -> None:
        """Have it stop as a person would, and wait; what does not stop is killed."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _wait_for_line(process: "subprocess.Popen[bytes]") -> None:
    """Wait until a child says that it is ready, whatever a library prints before; PeerError where it does not."""
    if process.stdout is None:
        return
    heard, deadline = b"", time.monotonic() + START_SECONDS
    with process.stdout as said:
        # With its end: without a buffer Python writes line and line break one after the other.
        while READY not in heard.splitlines(keepends=True):
            rest = deadline - time.monotonic()
            there = rest > 0 and select.select([said], [], [], rest)[0]
            more = os.read(said.fileno(), 4096) if there else b""
            if not more:
                process.kill()
                process.wait()
                raise PeerError("the process of a study does not start; see the hub's log, and free memory")
            heard += more


def tidy(database: Path) -> None:
    """Give back the room of what Flower has deleted: sealed envelopes stay in the file's free pages otherwise."""
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(sqlite3.connect(database, timeout=30.0)) as opened,
    ):
        opened.isolation_level = None
        opened.execute("VACUUM")
        opened.execute("PRAGMA wal_checkpoint(TRUNCATE)")
