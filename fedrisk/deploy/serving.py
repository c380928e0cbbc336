"""The process that serves a folder: one at a time, and what it says of itself for others to read.

The lock goes with the process, however it ends. The status is a small file, written when something changes, so that
commands beside the process can say how it is without asking it.
"""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fedrisk.errors import StoreError
from fedrisk.files import private_append, write_atomic

SERVING, SCORING = "serving", "scoring"
"""What a process does with a folder; there is one of each."""

STATUS = "status.json"
_STATUS = {SERVING: STATUS, SCORING: "scoring-status.json"}


@contextlib.contextmanager
def serving(folder: Path, what: str = SERVING) -> Iterator["Status"]:
    """Serve a folder alone, or its scores; StoreError where another process does already, or no lock can be made."""
    with contextlib.ExitStack() as stack:
        try:
            lock = stack.enter_context(private_append(_lock(folder, what)))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(
                f"{folder} is served already by process {read(folder, what).get('pid', 'unknown')} on this machine; "
                "one node or hub a folder. Stop that one first"
            ) from None
        except OSError as error:
            raise StoreError(
                f"{_lock(folder, what)} cannot be locked: {error.strerror}; check space and permissions"
            ) from None
        status = Status(folder, what)
        try:
            yield status
        finally:
            status.say(connected=False, stopped=time.time())


class Status:
    """What a serving process says of itself; written only where it changed."""

    def __init__(self, folder: Path, what: str = SERVING) -> None:
        self._file = folder / _STATUS[what]
        kept = {k: v for k, v in read(folder, what).items() if k.startswith("last_")}
        self._said: dict[str, Any] = {**kept, "pid": os.getpid(), "started": time.time()}

    def say(self, **news: Any) -> None:
        """Add to the status; a disk that takes no more stops nothing."""
        if all(key in self._said and self._said[key] == value for key, value in news.items()):
            return
        self._said.update(news)
        with contextlib.suppress(StoreError):
            write_atomic(self._file, json.dumps(self._said).encode())


def read(folder: Path, what: str = SERVING) -> Mapping[str, Any]:
    """The last status of a folder's process; empty where there is none, or it cannot be read."""
    with contextlib.suppress(OSError, ValueError):
        content = json.loads((folder / _STATUS[what]).read_bytes())
        if isinstance(content, dict):
            return content
    return {}


def is_served(folder: Path, what: str = SERVING) -> bool:
    """Whether a process serves a folder now; makes nothing."""
    try:
        with _lock(folder, what).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _lock(folder: Path, what: str) -> Path:
    return folder / f"{what}.lock"
