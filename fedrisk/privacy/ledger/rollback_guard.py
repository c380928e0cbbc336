"""The guard: a small file beside the ledger that remembers how far the ledger had come.

A ledger that is put back from an older copy would forget charges. The guard holds the number of the ledger's
last act and the running hash over all acts; it is written after every act, before anything may be sent. A
ledger that is behind its guard, or whose hash at that act differs, is not the one that the guard was written
for.

Two slots of 512 bytes are written in turn and synced, each with a checksum, so that a power cut in the middle
of a write leaves the other slot whole. The limit: whoever puts back both files together, or deletes both, is
not noticed here, but by the other members of the next study, which keep signed heads with the ledger's figures
(fedrisk.audit.witness). Leave the guard out of the copies of the disk all the same.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from fedrisk.errors import StoreError

_SLOT = 512
_fdatasync = getattr(os, "fdatasync", os.fsync)

# The guard was called a seal once. Its file's ending and the text under its checksums keep that word, since
# the files of existing stores must still be found and hold.
_SUFFIX = ".seal"
_CHECKED = "fedrisk ledger seal"


@dataclass(frozen=True)
class Mark:
    """Number of the last act that the guard remembers (0 for none) and the running hash after it."""

    count: int
    head: str


def guard_path(ledger: Path) -> Path:
    """``ledger.seal`` beside ``ledger.sqlite``."""
    return ledger.with_suffix(_SUFFIX)


def read_guard(path: Path) -> Mark | None:
    """The later of the two marks; None if there is no guard. StoreError if it is there and neither holds."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(
            f"guard {path} cannot be read ({error.strerror}); give the node access to it"
        ) from error
    marks = [m for m in (_parse(raw[:_SLOT]), _parse(raw[_SLOT:])) if m is not None]
    if not marks:
        raise StoreError(
            f"guard {path} is damaged. Nothing may be sent; compare the ledger with the audit log, then run "
            "'fedrisk budget restore' with the reason"
        )
    return max(marks, key=lambda mark: mark.count)


def write_guard(path: Path, mark: Mark, *, both: bool = False) -> None:
    """Write a mark durably to the slot whose turn it is, or to both; StoreError if the disk refuses."""
    slots = (0, 1) if both else (mark.count % 2,)
    body = json.dumps({"count": mark.count, "head": mark.head, "check": _check(mark)})
    new = not path.exists() or path.stat().st_size < 2 * _SLOT
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            for slot in slots:
                os.lseek(file, slot * _SLOT, os.SEEK_SET)
                if os.write(file, body.ljust(_SLOT - 1).encode() + b"\n") != _SLOT:
                    raise OSError(None, "it was written in part")
            # The size stays the same after the first time, so syncing the data suffices, in a third of the
            # time.
            (os.fsync if new else _fdatasync)(file)
        finally:
            os.close(file)
        if new:
            sync_folder(path.parent)
    except OSError as error:
        raise StoreError(
            f"guard {path} cannot be written ({error.strerror}). Nothing may be sent; check disk, quota and "
            "permissions, then repeat the request: what was charged is not charged again"
        ) from error


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable, where the system knows how."""
    if os.name == "posix":
        folder = os.open(path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _check(mark: Mark) -> str:
    return hashlib.sha256(f"{_CHECKED}|{mark.count}|{mark.head}".encode()).hexdigest()[:32]


def _parse(raw: bytes) -> Mark | None:
    try:
        plain = json.loads(raw)
        mark = Mark(plain["count"], plain["head"])
        return mark if plain["check"] == _check(mark) else None
    except (ValueError, KeyError, TypeError):
        return None
