"""What a bank makes for itself once a study is over: its own models, which no answer to the hub waits for.

They are fitted without noise, and how long that takes hangs on single labels: after how many rounds boosting stops, or
whether there are enough defaults to fit anything. So they are fitted when the attempt is over, from what it kept
(clients/evaluation). A node that serves has a process of its own do it, of the least priority and with one thread,
outside the lock under which messages are served; what was broken off is done when the node starts again.
"""

import contextlib
import logging
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from fedrisk.clients.evaluation import SCORES, rows_of_scores
from fedrisk.clients.node import Node
from fedrisk.clients.own_results import OWN_MODELS, fetch, recipe_name
from fedrisk.clients.store.attempt_store import AttemptStore
from fedrisk.errors import FedriskError, LaterError, code_of
from fedrisk.recipe import Recipe

log = logging.getLogger("fedrisk")

EVERY = 3600.0
"""Seconds between two looks at the store, besides those after a study has ended."""

AGAIN = 86400.0
"""Seconds after which an attempt is tried again whose own models could not be fitted, for example on a full disk."""

ENDS = "close"
"""The action that ends an attempt."""

LEAST_PRIORITY = 19

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""Environment of the process: all but one core are left to answers."""

STOP_SECONDS = 10.0
"""How long the process may take to end, before it is killed: all of it can be done again."""


def due(node: Node) -> list[str]:
    """Attempts that are over, whose scores are there, and whose own models are not."""
    folders = sorted((node.store.path / "attempts").glob("*"))
    return [f.name for f in folders if (s := AttemptStore(f)).exists and s.over and waits(node, f.name)]


def waits(node: Node, attempt: str) -> bool:
    """Whether an attempt has left scores, and what own models are made from."""
    scores = node.store.path / "results" / attempt / SCORES
    # An institution that was not in the study has neither, and a damaged note owes nothing.
    with contextlib.suppress(FedriskError):
        return node.store.attempt(attempt).owed is not None and rows_of_scores(scores) is not None
    return False


def complete(node: Node, attempt: str, find: Callable[[str], Recipe]) -> None:
    """Fit and keep own models of an attempt, where they wait; an error stays in the institution's log.

    find: gives a recipe by its name.
    """
    if not waits(node, attempt):
        return
    try:
        recipe = find(recipe_name(node, attempt))
    except Exception as error:
        node.store.errors.add(attempt, OWN_MODELS, error)
        return
    with contextlib.suppress(Exception):
        # It is in the log.
        fetch(node, attempt, recipe)


def _warn(error: Exception) -> None:
    log.warning("own models are not fitted", extra={"event": "own_models", "code": code_of(error)})


class OwnWork:
    """Own models of a node that serves, fitted by a process of their own; `turn` is called between messages.

    command: of that process, for an attempt; it has to fit and keep that attempt's own models, and end.
    """

    def __init__(
        self,
        institution: Path,
        command: Callable[[str], Sequence[str]],
        *,
        environment: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._institution, self._command, self._clock = institution, command, clock
        self._environment = {**(os.environ if environment is None else environment), **ONE_THREAD}
        self._child: subprocess.Popen[bytes] | None = None
        self._hand = ""
        self._tried: dict[str, float] = {}
        self._looks_at = float("-inf")

    def served(self, action: str) -> None:
        """A message was answered; after the last one of an attempt there may be something to do."""
        if action == ENDS:
            self._looks_at = float("-inf")

    def turn(self) -> None:
        """Begin with an attempt that waits, where none is in hand; one that failed is tried again after ``AGAIN``."""
        if self._child is not None:
            if self._child.poll() is None:
                return
            self._ended(self._child.returncode)
            self._child, self._looks_at = None, float("-inf")
        now = self._clock()
        if now < self._looks_at:
            return
        self._looks_at = now + EVERY
        try:
            node = Node.load(self._institution)
            waiting = [a for a in due(node) if now - self._tried.get(a, float("-inf")) >= AGAIN]
            if waiting:
                self._begin(waiting[0])
        except (FedriskError, OSError) as error:
            _warn(error)

    def _ended(self, code: int) -> None:
        """Say in the node's log that the process failed; why is in the institution's, by the process or from here."""
        if not code:
            return
        error = LaterError(
            f"the process that fits own models was ended by signal {-code}, perhaps for want of memory; it is begun "
            "again after a day, or when the node starts"
            if code < 0
            else f"own models were not fitted (exit code {code})"
        )
        _warn(error)
        if code < 0:
            with contextlib.suppress(FedriskError, OSError):
                Node.load(self._institution).store.errors.add(self._hand, OWN_MODELS, error)

    def _begin(self, attempt: str) -> None:
        self._hand, self._tried[attempt] = attempt, self._clock()
        AttemptStore.drop_cached()
        # In this process's session: what the priority is held against.
        self._child = subprocess.Popen(
            list(self._command(attempt)),
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, self._child.pid, LEAST_PRIORITY)

    @contextlib.contextmanager
    def while_serving(self) -> Iterator[None]:
        """Ends the process with the block; what it has not done is done when the node starts again."""
        try:
            yield
        finally:
            if self._child is not None and self._child.poll() is None:
                self._child.terminate()
                try:
                    self._child.wait(STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    self._child.kill()
                    self._child.wait()

    def finish(self) -> None:
        """Do all that waits, for a node that serves once and ends."""
        self.turn()
        while self._child is not None:
            self._child.wait()
            self.turn()
