"""Where an audit log ends, signed and unsigned, and how the small files beside it are kept.

A chain of hashes alone does not show that its end was cut off, or that its owner rewrote it. Signed heads do:
a signed count and hash that others keep (tamper-evident logs, Crosby & Wallach 2009; signed tree heads, RFC
6962). The head file is the log's unsigned note of its end; it shows a file that was cut off.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from fedrisk.audit.entry import dump, signed_by
from fedrisk.errors import EnvelopeError, ProtocolError, StoreError
from fedrisk.files import write_atomic

# Signed heads were called checkpoints once. The tag under their signature and the folder NAME.checkpoints
# keep that word, since signatures and folders made then must still hold and be found.
_TAG = b"fedrisk audit checkpoint v1\n"
_DAILY = "checkpoints"

PATIENCE = 10.0
"""Seconds to wait for another process."""

# Within one sector of the disk, so that the head file is written whole.
_HEAD_BYTES = 256


@dataclass(frozen=True, kw_only=True)
class SignedHead:
    """An institution's signed statement that its log had this head after so many entries."""

    count: int
    hash: str
    time: str
    institution: str
    signature: str

    def to_json(self) -> str:
        """One line of JSON, to be handed to the other institutions or to a regulator."""
        return dump(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> SignedHead:
        """Inverse of ``to_json``; EnvelopeError if malformed. Nothing is verified yet: call ``holds``."""
        try:
            plain = json.loads(text)
            kinds = {field.name: int if field.name == "count" else str for field in fields(cls)}
            if set(plain) == set(kinds) and all(type(plain[n]) is k for n, k in kinds.items()):
                return cls(**plain)
        except (ValueError, TypeError):
            pass
        raise EnvelopeError("a signed head is malformed; ask its institution to send it again")

    def holds(self, public: bytes) -> bool:
        """Whether this public key (32 bytes) signed it."""
        return signed_by(public, self.signature, self.statement())

    def statement(self) -> bytes:
        """The bytes that are signed: a tag, and all fields but the signature."""
        return _TAG + dump([self.count, self.hash, self.time, self.institution]).encode()


@dataclass(frozen=True)
class Head:
    """Where a log ends: number of entries, hash of the last, its time, size of the file in bytes."""

    count: int
    hash: str
    time: str
    size: int


def keep_witnessed(path: Path, signed_head: SignedHead, public: bytes) -> None:
    """Keep another institution's signed head beside the log ``path``; errors as of ``AuditLog.witness``."""
    if not signed_head.holds(public):
        raise EnvelopeError(
            f"the signed head of {signed_head.institution} is not signed by its pinned key; ask for it again"
        )
    folder = beside(path, "witnessed") / _file_name(signed_head.institution)
    kept = load_signed_heads(folder)
    if signed_head in kept:
        return
    write_file(folder / f"{signed_head.count:012d}-{signed_head.hash[:16]}.json", signed_head.to_json())
    for other in kept:
        early, late = sorted((signed_head, other), key=lambda head: (head.time, head.count))
        if early.count > late.count or (early.count == late.count and early.hash != late.hash):
            raise ProtocolError(
                f"two signed heads of {signed_head.institution} contradict each other (entries "
                f"{early.count} and {late.count}): its audit log was rewritten (or its clock set back); "
                "ask it for the whole log, and verify that against both"
            )


def load_witnessed(path: Path, institution: str) -> tuple[SignedHead, ...]:
    """Signed heads of another institution that were kept beside the log ``path``."""
    return load_signed_heads(beside(path, "witnessed") / _file_name(institution))


def load_signed_heads(folder: Path) -> tuple[SignedHead, ...]:
    """Signed heads of a folder, in the order of its file names; EnvelopeError if one is damaged."""
    try:
        texts = [file.read_text("utf-8") for file in sorted(folder.glob("*.json"))]
    except (OSError, UnicodeDecodeError):
        raise EnvelopeError(f"a signed head in {folder} cannot be read; bring the folder back") from None
    return tuple(SignedHead.from_json(text) for text in texts)


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


def _file_name(institution: str) -> str:
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
