"""What is wrong with a ledger's file, as errors that name the thing and the remedy."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from fedrisk.errors import StoreError

_DAMAGED = ("it is damaged", "restore the latest copy and charge by hand what came after it")
_REMEDIES = {
    "SQLITE_CORRUPT": _DAMAGED,
    "SQLITE_TOOBIG": ("the answer is too large for one entry", "release it in blocks"),
    "SQLITE_FULL": ("the disk is full", "free space and repeat the request"),
    "SQLITE_IOERR": ("the disk failed to read or write", "check disk and quota, then repeat the request"),
    "SQLITE_READONLY": ("it is read-only", "give the node's user write access to the file and its directory"),
    "SQLITE_PERM": ("access is denied", "give the node's user write access to the file and its directory"),
    "SQLITE_CANTOPEN": ("it cannot be opened", "check that file and directory exist and may be written"),
    "SQLITE_BUSY": ("another process holds it", "end that process, or wait longer, and repeat the request"),
    "SQLITE_LOCKED": ("another process holds it", "end that process, or wait longer, and repeat the request"),
    "SQLITE_NOTADB": ("it is no ledger file", "give the ledger's path, or restore the latest copy"),
}


def damaged(path: Path, what: str) -> StoreError:
    """The error for a file whose content contradicts itself."""
    return StoreError(f"ledger {path}: {what}. It is damaged. Nothing may be sent; {_DAMAGED[1]}")


def lost(path: Path, what: str) -> StoreError:
    """The error for a ledger that is not the one that its guard remembers."""
    return StoreError(
        f"ledger {path}: {what}. An older copy was put back, or the file was lost, and charges would be "
        "forgotten. Nothing may be sent; put the latest file back, or, if there is none, run "
        "'fedrisk budget restore' with the reason and charge by hand what came after the copy"
    )


def store_error(path: Path, error: sqlite3.Error) -> StoreError:
    """The StoreError for SQLite's error; extended names (SQLITE_IOERR_WRITE) go by their first two words."""
    name = "_".join(getattr(error, "sqlite_errorname", type(error).__name__).split("_")[:2])
    what, remedy = _REMEDIES.get(name, ("SQLite failed", "look up this code and repeat the request"))
    return StoreError(f"ledger {path}: {what} ({name}). Nothing may be sent; {remedy}")
