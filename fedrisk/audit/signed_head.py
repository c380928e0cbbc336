"""Where an audit log ends, signed and unsigned, and how the small files beside it are kept.

A chain of hashes alone does not show that its end was cut off, or that its owner rewrote it. Signed heads do:
a signed count and hash that others keep (tamper-evident logs, Crosby & Wallach 2009; signed tree heads, RFC
6962). The head file is the log's unsigned note of its end; it shows a file that was cut off.

A head that is given to others in a study also states how far the privacy ledger had come, so that a ledger that
was put back from a copy shows too, and names the attempt, so that nobody can relay an earlier one in its place.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fedrisk.audit.entry import dump
from fedrisk.elliptic.ed25519 import signed_in_hex
from fedrisk.errors import EnvelopeError, StoreError
from fedrisk.files import write_atomic

# Signed heads were called checkpoints once. The tag under their signature and the folder NAME.checkpoints
# keep that word, since signatures and folders made then must still hold and be found.
_TAG = b"fedrisk audit checkpoint v1\n"
_TAG_STATED = b"fedrisk audit signed head v2\n"
_DAILY = "checkpoints"

PATIENCE = 10.0
"""Seconds to wait for another process."""

# Within one sector of the disk, so that the head file is written whole.
_HEAD_BYTES = 256


@dataclass(frozen=True, kw_only=True)
class Stated:
    """What a signed head says besides the trail.

    entries: releases that the ledger has ever entered. lifetime_mu: what it ever charged, see ``coarse``. attempt: the
    attempt at a study for which the head was signed, or empty.
    """

    entries: int
    lifetime_mu: float
    attempt: str = ""


def coarse(mu: float) -> float:
    """``mu`` rounded down to tenths, as signed heads state it.

    Rounding down never makes a later figure smaller than an earlier one. A tenth is several studies' worth once some
    studies were made, so that the last digits do not tell the members of one study what others cost; a budget left is
    shown more finely in each study. The number of entries shows smaller losses. The millionth keeps the rounding
    of sums that were added up in another order away from the borders, on which plain figures lie.

    >>> coarse(0.0), coarse(0.237), coarse(0.3), coarse(1.2345)
    (0.0, 0.2, 0.3, 1.2)
    """
    return math.floor(10.0 * mu + 1e-6) / 10.0


@dataclass(frozen=True, kw_only=True)
class SignedHead:
    """An institution's signed statement that its log had this head after so many entries.

    entries, lifetime_mu, attempt: see ``Stated``; None in the log's own daily heads and in those of earlier versions.
    """

    count: int
    hash: str
    time: str
    institution: str
    signature: str
    entries: int | None = None
    lifetime_mu: float | None = None
    attempt: str | None = None

    def to_json(self) -> str:
        """One line of JSON, to be handed to the other institutions or to a regulator."""
        return dump({name: value for name, value in asdict(self).items() if value is not None})

    @classmethod
    def from_json(cls, text: str) -> SignedHead:
        """Inverse of ``to_json``; EnvelopeError if malformed. Nothing is verified yet: call ``holds``."""
        try:
            plain = json.loads(text)
            for kinds in (_KINDS, _KINDS | _KINDS_STATED):
                if set(plain) == set(kinds) and all(type(plain[n]) is k for n, k in kinds.items()):
                    return cls(**_in_range(plain))
        except (ValueError, TypeError):
            pass
        raise EnvelopeError("a signed head is malformed; ask its institution to send it again")

    def holds(self, public: bytes) -> bool:
        """Whether this public key (32 bytes) signed it."""
        return signed_in_hex(public, self.signature, self.statement())

    def statement(self) -> bytes:
        """The bytes that are signed: a tag, and all fields but the signature."""
        plain = [self.count, self.hash, self.time, self.institution]
        if self.entries is None:
            return _TAG + dump(plain).encode()
        return _TAG_STATED + dump([*plain, self.entries, self.lifetime_mu, self.attempt]).encode()


_KINDS: dict[str, type] = {"count": int, **dict.fromkeys(("hash", "time", "institution", "signature"), str)}
_KINDS_STATED: dict[str, type] = {"entries": int, "lifetime_mu": float, "attempt": str}


def _in_range(plain: dict[str, Any]) -> dict[str, Any]:
    """The fields; ValueError where a number is negative or not finite."""
    numbers = [plain["count"], plain.get("entries", 0), plain.get("lifetime_mu", 0.0)]
    if not all(0 <= number < math.inf for number in numbers):
        raise ValueError
    return plain


@dataclass(frozen=True)
class Head:
    """Where a log ends: number of entries, hash of the last, its time, size of the file in bytes."""

    count: int
    hash: str
    time: str
    size: int


def read_signed_head(file: Path) -> SignedHead:
    """A signed head that was handed over as a file; EnvelopeError with the file's name where it is none."""
    try:
        return SignedHead.from_json(file.read_text("utf-8"))
    except OSError as error:
        raise EnvelopeError(
            f"the signed head {file} cannot be read: {error.strerror}; check the path"
        ) from None
    except (UnicodeDecodeError, EnvelopeError):
        raise EnvelopeError(
            f"{file} is no signed head, or damaged; ask its institution to send it again"
        ) from None


def load_signed_heads(folder: Path) -> tuple[SignedHead, ...]:
    """Signed heads of a folder, in the order of its file names; StoreError with the file's name if one is damaged."""
    found = []
    for file in sorted(folder.glob("*.json")):
        try:
            found.append(SignedHead.from_json(file.read_text("utf-8")))
        except (OSError, UnicodeDecodeError, EnvelopeError):
            raise StoreError(f"the signed head {file} cannot be read; put it back from its copy") from None
    return tuple(found)


def daily_folder(path: Path) -> Path:
    """The folder in which the log ``path`` keeps its daily signed heads."""
    return beside(path, _DAILY)


def read_head(path: Path) -> Head | None:
    """The head file's content; None where there is none, or where it is damaged."""
    try:
        head = json.loads(beside(path, "head").read_bytes())
        kinds = {"count": int, "hash": str, "time": str, "size": int}
        if isinstance(head, dict) and {n: type(v) for n, v in head.items()} == kinds:
            return Head(**head)
    except (OSError, ValueError):
        pass
    return None


def write_head(path: Path, head: Head) -> None:
    """Write in place, not forced to the disk: the file may lag behind the log and never runs ahead of it."""
    file = os.open(beside(path, "head"), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(file, dump(asdict(head)).encode().ljust(_HEAD_BYTES - 1) + b"\n", 0)
    finally:
        os.close(file)


def beside(path: Path, what: str) -> Path:
    """The file or folder beside a log that has its name with an ending, such as ``head``."""
    return path.with_name(f"{path.name}.{what}")


def safe_name(institution: str) -> str:
    """A name that is safe in a path, and a different one for each institution."""
    return f"i-{hashlib.sha256(institution.encode()).hexdigest()[:32]}"


def flock(file: int, kind: int) -> bool:
    """Lock a file until its handle is closed; False if the lock could not be had in time."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.001)
        except OSError:
            return False


def write_file(path: Path, content: str | bytes) -> None:
    """Write a small file, whole or not at all, and make its name durable; StoreError if the disk refuses."""
    write_atomic(path, content.encode() + b"\n" if isinstance(content, str) else content)
    try:
        sync_folder(path.parent)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}; check space and permissions") from None


def sync_folder(folder: Path) -> None:
    """Force to the disk which files a folder holds."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
