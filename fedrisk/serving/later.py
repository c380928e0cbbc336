"""What nobody waits for: challengers are asked once an answer has gone out, one request after the other."""

import base64
import json
import logging
import queue
import threading
from collections.abc import Callable
from typing import Final

MOST_WAITING: Final = 64
"""Most requests that wait for their challengers; more are left out, since answers come first."""

ENOUGH: Final = 1 << 20
"""Uses of a consent that counts none."""

SECONDS: Final = 12.0
"""Seconds for which the end waits for the request in hand."""

log = logging.getLogger("fedrisk")


class Later:
    """One thread, which begins with the first job."""

    def __init__(self) -> None:
        self._queue: queue.Queue[tuple[Callable[[], None], Callable[[Exception], None]] | None] = queue.Queue(
            MOST_WAITING
        )
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def offer(self, do: Callable[[], None], failed: Callable[[Exception], None]) -> None:
        """Have it done, or left out where too much waits; ``failed`` hears of its error."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="challengers", daemon=True)
                self._thread.start()
        try:
            self._queue.put_nowait((do, failed))
        except queue.Full:
            log.warning("challengers were left out: too many requests wait", extra={"event": "left_out"})

    def settle(self) -> None:
        """Wait until all that was offered is done."""
        self._queue.join()

    def close(self) -> None:
        """End after what waits."""
        if self._thread is not None and self._thread.is_alive():
            self._queue.put(None)
            self._thread.join(SECONDS)

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            do, failed = job
            try:
                do()
            except Exception as error:
                failed(error)
            finally:
                self._queue.task_done()


def spare_uses(consent: str) -> int:
    """In how many questions a consent may be used, as it says of itself (serving/consent); the holder checks it.

    >>> spare_uses(""), spare_uses("contract 17")
    (1048576, 1048576)
    """
    parts = consent.split(".")
    if len(parts) != 3:
        return ENOUGH
    try:
        said = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return int(said.get("uses", 1))
    except (ValueError, TypeError, AttributeError, RecursionError):
        return 1
