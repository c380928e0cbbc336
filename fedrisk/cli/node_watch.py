"""What a node that serves tells its supervisor and whoever watches it: signs of life, readiness, figures.

A thread of its own looks every few seconds, since the loop may be busy with one message for long. A loop that does not
turn for an hour counts as stuck.
"""

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fedrisk.deploy import notify
from fedrisk.deploy.health import FIGURES, Health, served
from fedrisk.errors import FedriskError

if TYPE_CHECKING:
    from fedrisk.clients.resident import Served
    from fedrisk.deploy.node_home import NodeHome
    from fedrisk.engine.fleet import LinkState

EVERY, OWN_EVERY = 5.0, 30.0
"""Seconds between two looks at the connection, and at the node's own store."""

LONGEST_STEP = 3600.0
"""Seconds that one message may take before the process counts as stuck."""


class NodeWatch:
    """Watches one serving node; make it with `watching`. The loop calls `turn` and `served`."""

    def __init__(self, home: "NodeHome") -> None:
        self._home, self._ended = home, threading.Event()
        self.health = Health("node", certificates=[home.ca])
        self._state: LinkState | None = None
        self._turned, self._looked, self._told = time.monotonic(), float("-inf"), False
        self._thread = threading.Thread(target=self._watch, name="watch", daemon=True)

    def connected(self, state: "LinkState") -> None:
        """The connection stands, and is watched from now on."""
        self._state = state
        self.turn()
        self._look()

    def turn(self) -> None:
        """The loop turned once more."""
        self._turned = time.monotonic()

    def served(self, about: "Served") -> None:
        """A message was answered; what it cost is looked up soon."""
        self.health.moved("received", about.bytes_in)
        self._looked = float("-inf")

    def _watch(self) -> None:
        while not self._ended.wait(EVERY):
            self._look()

    def _look(self) -> None:
        state = self._state
        # Before there was a connection the node may wait for its hub for as long as it takes.
        if state is None or time.monotonic() - self._turned < LONGEST_STEP:
            self.health.beat()
            notify.alive()
        if state is None:
            return
        self.health.state(state.connected, "the hub is away")
        if state.ahead is not None:
            self.health.clock_skew(state.ahead)
        if state.connected and not self._told:
            self._told = True
            notify.ready(f"connected to {self._home.hub}")
        if time.monotonic() - self._looked >= OWN_EVERY:
            self._looked = time.monotonic()
            self._own_figures()

    def _own_figures(self) -> None:
        from fedrisk.clients.own_figures import own_figures

        with contextlib.suppress(FedriskError, OSError):
            own = own_figures(self._home.institution)
            if own.proposals_waiting is not None:
                self.health.proposals_waiting(own.proposals_waiting)
            if own.epsilon_left is not None:
                self.health.epsilon_left(own.epsilon_left)

    def _end(self) -> None:
        self._ended.set()
        self._thread.join(timeout=EVERY)
        self.health.close()


@contextlib.contextmanager
def watching(home: "NodeHome") -> Iterator[NodeWatch]:
    """Watch a node while the block runs; figures are on its health port, if any. ConfigError: the port is taken."""
    watch = NodeWatch(home)
    # The process that serves scores sends what it did.
    watch.health.follow(home.path / FIGURES)
    with served(watch.health, home.health):
        watch._thread.start()
        try:
            yield watch
        finally:
            notify.stopping()
            watch._end()
