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

LOCK, STATUS = "serving.lock", "status.json"


@contextlib.contextmanager
def serving(folder: Path) -> Iterator["Status"]:
    """Serve a folder alone; StoreError where another process serves it already, or the lock cannot be made."""
    with contextlib.ExitStack() as stack:
        try:
            lock = stack.enter_context(private_append(folder / LOCK))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(
                f"{folder} is served already by process {read(folder).get('pid', 'unknown')} on this machine; one node "
                "or hub a folder. Stop that one first"
            ) from None
        except OSError as error:
            raise StoreError(
                f"{folder / LOCK} cannot be locked: {error.strerror}; check space and permissions"
            ) from None
        status = Status(folder)
        try:
            yield status
        finally:
            status.say(connected=False, stopped=time.time())


class Status:
    """What a serving process says of itself; written only where it changed."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / STATUS
        kept = {k: v for k, v in read(folder).items() if k.startswith("last_")}
        self._said: dict[str, Any] = {**kept, "pid": os.getpid(), "started": time.time()}

    def say(self, **news: Any) -> None:
        """Add to the status; a disk that takes no more stops nothing."""
        if all(key in self._said and self._said[key] == value for key, value in news.items()):
            return
        self._said.update(news)
        with contextlib.suppress(StoreError):
            write_atomic(self._file, json.dumps(self._said).encode())


def read(folder: Path) -> Mapping[str, Any]:
    """The last status of a folder's process; empty where there is none, or it cannot be read."""
    with contextlib.suppress(OSError, ValueError):
        content = json.loads((folder / STATUS).read_bytes())
        if isinstance(content, dict):
            return content
    return {}


def is_served(folder: Path) -> bool:
    """Whether a process serves a folder now; makes nothing."""
    try:
        with (folder / LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
