"""A node's claim: Flower's number of it, kept in its folder from one start to the next.

A killed node stays connected in the hub's eyes for 20 s. When it begins again it takes its own claim back, which only
the same folder on the same machine may do, and only while the claim can still be its own: otherwise a copy of the
folder would throw out the node that serves, and both would serve one key.
"""

import contextlib
import hashlib
import json
import os
import time
from pathlib import Path

from fedrisk.errors import StoreError
from fedrisk.files import write_atomic

LAPSE = 20.0
"""Seconds of silence after which the hub takes a node for lost: twice the time between its signs of life."""


class Claim:
    """The claim in a file. node: Flower's number of this node at its last start, or None where it never began."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.node: int | None = None
        self._place, self._released, self._touched = "", True, 0.0
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            content = json.loads(file.read_bytes())
            self.node, self._place = int(content["node"]), str(content["place"])
            self._released, self._touched = bool(content["released"]), file.stat().st_mtime

    @property
    def is_own_and_fresh(self) -> bool:
        """Whether this folder's own process held it a moment ago and did not come to give it back."""
        fresh = abs(time.time() - self._touched) < LAPSE + 5
        return self.node is not None and not self._released and fresh and self._place == self._here()

    def take(self, node: int) -> None:
        """This process serves as this number from now on; StoreError where that cannot be written."""
        self._write(node, released=False)

    def touch(self) -> None:
        """The hub heard this process just now."""
        with contextlib.suppress(OSError):
            os.utime(self.file)

    def release(self) -> None:
        """The hub was told that this process is gone."""
        if self.node is not None:
            with contextlib.suppress(StoreError):
                self._write(self.node, released=True)

    def _write(self, node: int, *, released: bool) -> None:
        self.node, self._place = node, self._here()
        self._released, self._touched = released, time.time()
        content = {"node": node, "place": self._place, "released": released}
        write_atomic(self.file, json.dumps(content).encode())

    def _here(self) -> str:
        """Machine and folder; a copy has another folder, a clone of the machine another name for itself."""
        machine = ""
        with contextlib.suppress(OSError):
            machine = Path("/etc/machine-id").read_text(encoding="ascii").strip()
        folder = self.file.parent.resolve()
        return hashlib.sha256(f"{machine} {folder} {folder.stat().st_ino}".encode()).hexdigest()
