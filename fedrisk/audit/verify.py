"""Reading an audit log, and checking one: one's own, or one that was handed over.

Entries are read in full by those who check them, so a plain chain of hashes (Haber & Stornetta 1991) serves as
well as a Merkle tree, with less to trust. What the chain cannot show, that its end was cut off or that its
owner wrote it anew, checkpoints do (Crosby & Wallach 2009).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fedrisk.audit.entry import (
    SIGNED,
    AuditEntry,
    Unlinked,
    body_of,
    check_link,
    cut,
    genesis,
    parse,
    signed_by,
)
from fedrisk.audit.signed_head import SignedHead, beside, flock, load_signed_heads, read_head
from fedrisk.errors import EnvelopeError, StoreError


@dataclass(frozen=True, kw_only=True)
class VerifyResult:
    """What ``verify`` found: ``first_broken`` is the index of the first entry that is not vouched for.

    notes: what the log says about itself (clock set back, torn tails), and checks that could not be made.
    """

    ok: bool
    entries: int
    first_broken: int | None
    why: str
    notes: tuple[str, ...] = ()


def read(path: str | os.PathLike[str], size: int | None = None) -> Iterator[AuditEntry]:
    """Entries of a log file, up to ``size`` bytes of it; checked for their form only, see ``verify``.

    StoreError names the line that is no entry.
    """
    done = 0
    for number, line in enumerate(_lines(Path(path))):
        if size is not None and done >= size:
            return
        done += len(line)
        try:
            yield AuditEntry(**parse(line))
        except ValueError as error:
            raise StoreError(
                f"audit log {path}: entry {number} {error}; run 'fedrisk audit verify'"
            ) from None


def verify(
    path: str | os.PathLike[str],
    public_key: bytes,
    heads: Iterable[SignedHead] = (),
    institution: str | None = None,
) -> VerifyResult:
    """Check a log, one's own or one handed over, and name the first entry that is not vouched for.

    public_key: the institution's pinned Ed25519 key (32 bytes). heads: those that others kept; daily
    checkpoints and head file beside the log are used as well where they are there.

    Guarantee: without the key no entry can be changed, moved, left out, put in or repeated unnoticed, and the
    end can be cut off only at a signed entry, and only as far back as no known checkpoint (or head file)
    reaches. The key's owner can write the log anew from its last checkpoint that is known here, no further.
    The last signature covers all entries through the chain; the others are looked at only if it fails, to
    tell how far the log still holds.

    StoreError if there is no such file. Source: Haber & Stornetta (1991), Crosby & Wallach (2009).
    """
    path = Path(path)
    try:
        daily = load_signed_heads(beside(path, "checkpoints"))
        damaged = ""
    except EnvelopeError:
        daily, damaged = (), "a daily checkpoint beside the log is damaged"
    points = [*daily, *heads]
    marks: dict[int, str] = {}
    notes: list[str] = []
    count, previous, moment = 0, "", ""
    wanted = {point.count for point in points}
    head = read_head(path)
    if head is None:
        notes.append("no head file: only checkpoints can show that the end was cut off")
    wanted.add(head.count if head else 0)

    def broken(index: int | None, why: str) -> VerifyResult:
        return VerifyResult(ok=False, entries=count, first_broken=index, why=why, notes=tuple(notes))

    why, exact = "", True
    last: tuple[int, bytes, str] | None = None  # the last signed entry
    for line in _lines(path):
        try:
            entry = parse(line)
            if count == 0:
                institution = entry["institution"] if institution is None else institution
                previous = genesis(institution, public_key)
            check_link(entry, count, previous, moment, institution or "")
        except ValueError as error:
            why, exact = f"entry {count} {error}", not isinstance(error, Unlinked)
            break
        if entry["signature"]:
            last = count, line, entry["signature"]
        if entry["note"]:
            notes.append(f"entry {count}: clock set back, it showed {entry['note'].removeprefix('clock ')}")
        if entry["event"] == "note":
            notes.append(f"entry {count}: {entry['kind']}")
        count, previous, moment = count + 1, entry["hash"], entry["time"]
        if count in wanted:
            marks[count] = entry["hash"]
    if institution is not None:
        marks[0] = genesis(institution, public_key)
    # An entry changed and hashed anew, with all after it, breaks the first signature that follows it.
    if last is not None and not signed_by(public_key, last[2], SIGNED + body_of(last[1])):
        vouched = _vouched(path, public_key)
        return broken(
            vouched, f"the first signature from entry {vouched} on does not hold: changed, or not its own"
        )
    vouched = 0 if last is None else last[0] + 1
    if why:
        open_end = f" (no signature closes entries {vouched} to {count - 1})" if vouched < count else ""
        return broken(count if exact else vouched, why + open_end)
    if vouched < count:
        return broken(vouched, f"entries from {vouched} on are not closed by a signature")
    agreed = 0
    for point in sorted(points, key=lambda p: p.count):
        if not point.holds(public_key) or (institution is not None and point.institution != institution):
            return broken(None, f"the checkpoint of {point.count} entries is not signed by this institution")
        if point.count > count:
            return broken(count, f"a checkpoint says {point.count} entries; the log was cut off at {count}")
        if point.count in marks and marks[point.count] != point.hash:
            return broken(
                agreed, f"a checkpoint of {point.count} entries names another history from {agreed} on"
            )
        agreed = point.count
    if head is not None and head.count > count:
        return broken(count, f"the head file says {head.count} entries; the log was cut off at {count}")
    if head is not None and count and head.count in marks and marks[head.count] != head.hash:
        return broken(agreed, f"the head file names another entry {head.count - 1}; the log was replaced")
    if damaged:
        return broken(None, damaged)
    return VerifyResult(ok=True, entries=count, first_broken=None, why="", notes=tuple(notes))


def _vouched(path: Path, public: bytes) -> int:
    """Index of the first entry that no unbroken row of good signatures from the beginning covers."""
    vouched = 0
    for index, line in enumerate(_lines(path)):
        body, tail = cut(line)
        if tail.group(1):
            if not signed_by(public, tail.group(1).decode(), SIGNED + body):
                break
            vouched = index + 1
    return vouched


def _lines(path: Path) -> Iterator[bytes]:
    """Lines of a log as it stood at the beginning; an append that is under way is waited for."""
    try:
        with path.open("rb") as file:
            flock(file.fileno(), fcntl.LOCK_SH)  # on a disk without locks: read all the same
            left = os.fstat(file.fileno()).st_size
            with contextlib.suppress(OSError):
                fcntl.flock(file.fileno(), fcntl.LOCK_UN)
            for line in file:
                yield line[:left]
                left -= len(line)
                if left <= 0:
                    return
    except OSError as error:
        raise StoreError(f"audit log {path} cannot be read: {error.strerror}; check the path") from None
