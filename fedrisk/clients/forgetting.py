"""What a node that stays does by itself: attempts that nobody closed are forgotten after a day.

A hub that was killed sends no last message. Until then the keys of its last attempt lie in the institution's store, and
the next study, which would find them, may be months away.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path

from fedrisk.clients.node import Node
from fedrisk.errors import FedriskError, code_of

log = logging.getLogger("fedrisk")

EVERY = 3600.0
"""Seconds between two looks at the store."""


class Forgetting:
    """Looks at an institution's store when it is called, once an hour; to be called while no message is served."""

    def __init__(self, institution: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._institution, self._clock, self._looked = institution, clock, float("-inf")

    def turn(self) -> None:
        """Forget what is old, where it is time to look; a store that is away now is looked at again later."""
        now = self._clock()
        if now - self._looked < EVERY:
            return
        self._looked = now
        try:
            store = Node.open(self._institution).store
            with store.one_at_a_time():
                store.forget_old()
        except FedriskError as error:
            log.warning("old attempts are not forgotten", extra={"event": "forget", "code": code_of(error)})
