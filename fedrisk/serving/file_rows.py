"""Rows of a table in a file, as it is now: its index is built anew when the file changes, beside the serving.

A file that is being written, is broken, or has less than half of the rows that it had a moment ago is not taken: the
index that is there goes on, until its rows are too old for the models.
"""

import contextlib
import hashlib
import json
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from fedrisk.data.as_it_is import Taking
from fedrisk.data.place import expand
from fedrisk.errors import AwayError, ConfigError, DataError, StoreError
from fedrisk.files import make_folders
from fedrisk.serving.file_index import DAMAGED, Cells, FileIndex, build

LOOK_SECONDS = 1.0
"""How often the file is looked at."""

AGAIN_SECONDS = 60.0
"""After so long a file that could not be taken is tried again, though it did not change."""

SHRUNK_SECONDS = 600.0
"""A file with less than half of the rows is taken once it has not changed for so long."""

FORMAT = 1

log = logging.getLogger("fedrisk.serving")

State = tuple[int, int, int, int]


class FileRows:
    """The rows of one table in a file, for several threads.

    Args:
        taking: how rows are taken.
        base: folder of the institution file.
        folder: where indexes are kept, one for each state of the file and of its rules.
        broken: called for every state of the file that could not be taken.
    """

    def __init__(
        self, taking: Taking, base: Path, folder: Path, broken: Callable[[], None] = lambda: None
    ) -> None:
        self.taking, self._base, self._folder, self._broken = taking, base, folder, broken
        self._rule = _rule(taking, base)
        self._index: FileIndex | None = None
        self._state: State | None = None
        self._seen: State | None = None
        self._failed: tuple[State | None, float] | None = None
        self._looked = -np.inf
        self._reason = ""
        self._lock = threading.RLock()
        self._builder: threading.Thread | None = None

    @property
    def path(self) -> Path:
        """The file."""
        return self._base / Path(expand(self.taking.source.source)).expanduser()

    def start(self) -> None:
        """Take the file as it is, or the newest index of it that is kept; nothing is raised where neither is there."""
        with self._lock:
            state = self._stat()
            self._seen, self._looked = state, time.monotonic()
            if state is None or not self._load(state):
                self._load_newest()
                if state is not None and state != self._state:
                    self._take(state)

    def cells(self, ids: Sequence[str], given: Sequence[str | None] = ()) -> Cells:
        """Rows of normalised ids, however they were written; AwayError where no state of the file was taken so far."""
        index, state = self._current()
        day = datetime.fromtimestamp(state[1] / 1e9, UTC).date()
        return index.cells(ids, np.datetime64(day, "D"))

    def close(self) -> None:
        """Wait for an index that is being built."""
        self.wait()

    def wait(self) -> None:
        """Wait for an index that is being built."""
        builder = self._builder
        if builder is not None:
            builder.join()

    def _current(self) -> tuple[FileIndex, State]:
        if time.monotonic() - self._looked >= LOOK_SECONDS:
            self._look()
        with self._lock:
            if self._index is None or self._state is None:
                raise AwayError(f"no table can be looked up: {self._reason}")
            return self._index, self._state

    def _look(self) -> None:
        """Look at the file; where it changed and is whole by now, its index is built beside the serving."""
        with self._lock:
            self._looked = time.monotonic()
            state, before = self._stat(), self._seen
            self._seen = state
            if state is None or state == self._state or state != before or self._gave_up(state):
                return
            if self._index is None:
                self._take(state)
            elif self._builder is None or not self._builder.is_alive():
                self._builder = threading.Thread(
                    target=self._take, args=(state,), name="fedrisk index", daemon=True
                )
                self._builder.start()

    def _gave_up(self, state: State) -> bool:
        return (
            self._failed is not None
            and self._failed[0] == state
            and time.monotonic() - self._failed[1] < AGAIN_SECONDS
        )

    def _stat(self) -> State | None:
        try:
            found = self.path.stat()
        except (OSError, ConfigError):
            self._reason = "the file is not there; correct the path, or put it back"
            return None
        return found.st_size, found.st_mtime_ns, found.st_ino, found.st_dev

    def _name(self, state: State) -> Path:
        return self._folder / f"{self._rule}-{'-'.join(map(str, state))}"

    def _load(self, state: State) -> bool:
        try:
            found = FileIndex(self._name(state))
        except DAMAGED:
            return False
        self._index, self._state = found, state
        return True

    def _load_newest(self) -> None:
        """The newest of the indexes that are kept, by the file's day."""
        states = [tuple(map(int, p.name.split("-")[1:])) for p in self._folder.glob(f"{self._rule}-*")]
        for state in sorted((s for s in states if len(s) == 4), key=lambda s: -s[1]):
            if self._load((state[0], state[1], state[2], state[3])):
                return

    def _take(self, state: State) -> None:
        """Build the index of the file in this state and use it, if the file stays the same and is no stump."""
        try:
            make_folders(self._folder)
            index = build(self.taking, self._base, self._name(state))
            shrunk = self._index is not None and index.rows < self._index.rows / 2
            if self._stat() != state:
                reason = "it changed while it was read"
            elif shrunk and time.time() - state[1] / 1e9 < SHRUNK_SECONDS:
                reason = "it has less than half of the rows that it had"
            else:
                with self._lock:
                    self._index, self._state, self._failed = index, state, None
                self._clean()
                log.info("a table was indexed for lookups", extra={"event": "index"})
                return
            shutil.rmtree(index.folder, ignore_errors=True)
        except (DataError, ConfigError, StoreError) as error:
            reason = str(error)
        except OSError as error:
            reason = f"the index cannot be written: {error.strerror}"
        self._failed, self._reason = (state, time.monotonic()), reason
        self._broken()
        log.warning(
            "the table's file cannot be taken as it is; rows are looked up in its last good state",
            extra={"event": "index"},
        )

    def _clean(self) -> None:
        """Remove indexes of other states and rules, and what broke off; maps of them that are in use stay."""
        kept = self._index.folder if self._index is not None else None
        for path in self._folder.iterdir():
            old_draft = path.name.startswith(".draft-") and time.time() - _changed(path) > 3600
            if old_draft or (not path.name.startswith(".") and path != kept):
                shutil.rmtree(path, ignore_errors=True)


def _changed(path: Path) -> float:
    with contextlib.suppress(OSError):
        return path.stat().st_mtime
    return time.time()


def _rule(taking: Taking, base: Path) -> str:
    """Digest of everything that decides what an index holds, besides the file."""
    said = {
        "format": FORMAT,
        "base": os.path.realpath(base),
        "source": taking.source.model_dump(mode="json"),
        "dictionary": taking.dictionary.model_dump(mode="json"),
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]
