"""One after the other for what has the same name, side by side for everything else."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """Locks by name, which are there only while somebody holds or waits for them. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: dict[str, tuple[threading.Lock, int]] = {}

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Alone with this name."""
        with self._lock:
            lock, users = self._taken.get(name, (threading.Lock(), 0))
            self._taken[name] = (lock, users + 1)
        try:
            with lock:
                yield
        finally:
            with self._lock:
                lock, users = self._taken.pop(name)
                if users > 1:
                    self._taken[name] = (lock, users - 1)
