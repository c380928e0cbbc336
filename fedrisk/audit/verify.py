"""Reading an audit log, and checking one: the institution's log on its machine, or one that was handed over.

Those who check entries read them in full, so a plain chain of hashes (Haber & Stornetta 1991) serves as well
as a Merkle tree, and there is less to trust. What the chain cannot show, that its end was cut off or that its
owner rewrote it, signed heads do (Crosby & Wallach 2009).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from fedrisk.audit.entry import (
    IDENTITY_ROTATED,
    SIGNED,
    AuditEntry,
    Unlinked,
    body_of,
    check_link,
    cut,
    genesis,
    parse,
)
from fedrisk.audit.signed_head import Head, SignedHead, daily_folder, flock, load_signed_heads, read_head
from fedrisk.elliptic.ed25519 import signed_in_hex
from fedrisk.errors import EnvelopeError, StoreError

_BLOCK = 1 << 20

_KEPT = (b'"spend":{', b'"event":"note"')
"""What a line holds if its entry charges, or is a note of the log; no text in it does, since quotes are escaped."""

_NO_NOTE = b'"note":"","previous":'


@dataclass(frozen=True, kw_only=True)
class Mark:
    """How far a log was verified: ``count`` entries, ``hash`` and ``time`` of the last, ``size`` in bytes up to there.

    digest: SHA-256 (hex) over all these bytes, so that a change of any of them shows without looking at each entry.
    """

    count: int
    hash: str
    time: str
    size: int
    digest: str


@dataclass(frozen=True, kw_only=True)
class VerifyResult:
    """What ``verify`` found: ``first_broken`` is the index of the first entry that is not vouched for.

    notes: what the log says about itself (a clock that was set back; the kinds of its own notes, such as
    ``torn_tail``), and checks that could not be made. kept: entries that charge or are notes, as far as the log is
    vouched for. hashes: of the last of the first ``count`` entries, by each count that was wanted and is there.
    mark: where the log ended, None unless ``ok``.
    """

    ok: bool
    entries: int
    first_broken: int | None
    why: str
    notes: tuple[str, ...] = ()
    kept: tuple[AuditEntry, ...] = ()
    hashes: Mapping[int, str] = field(default_factory=dict)
    mark: Mark | None = None


def read(path: str | os.PathLike[str], size: int | None = None) -> Iterator[AuditEntry]:
    """Entries of a log file, up to ``size`` bytes of it; only their form is checked, see ``verify``.

    StoreError names the first line that is not an entry.
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


def hash_from_end(file: int, size: int, back: int) -> str:
    """The hash that a log's ``back``-th line from its end holds, 1 the last; ``file``: open, of ``size`` bytes."""
    at = size
    while at > 0:
        step = min(_BLOCK, at)
        at -= step
        block = os.pread(file, step, at)
        if block.count(b"\n") < back:
            back -= block.count(b"\n")
            continue
        place = step
        for _ in range(back):
            place = block.rindex(b"\n", 0, place)
        # A line ends with HASH"} and its newline.
        return os.pread(file, 64, at + place - 66).decode("ascii", "replace")
    return ""


def verify(
    path: str | os.PathLike[str],
    public_key: bytes,
    heads: Iterable[SignedHead] = (),
    institution: str | None = None,
    *,
    former: Sequence[bytes] = (),
    wanted: Iterable[int] = (),
    mark: Mark | None = None,
) -> VerifyResult:
    """Check a log and name the first entry that is not vouched for.

    public_key: the institution's pinned Ed25519 key (32 bytes). former: earlier ones, oldest first; the log says where
    each gave way to the next, in a note that it signed (``entry.IDENTITY_ROTATED``). heads: signed heads that others
    kept. Daily signed heads and the head file beside the log are used as well where they are there. wanted: counts of
    which the result has the hashes. mark: up to which the caller knows that the log was verified; those bytes are
    hashed and not looked at again, unless one of them changed.

    Guarantee: without the key no entry can be changed, moved, left out, put in or repeated unnoticed, and the
    end can be cut off only at a signed entry, and only as far back as no known signed head (or head file)
    reaches. The key's owner can rewrite the log from the last signed head that is known here, no further.
    The last signature covers all entries through the chain; the others are looked at only if it fails, to
    find out how far the log still holds.

    StoreError if there is no such file. Source: Haber & Stornetta (1991), Crosby & Wallach (2009).
    """
    path = Path(path)
    try:
        daily, damaged = load_signed_heads(daily_folder(path)), None
    except (EnvelopeError, StoreError):
        daily, damaged = (), _Fault(None, "a daily signed head beside the log is damaged")
    points = sorted([*daily, *heads], key=lambda point: point.count)
    head = read_head(path)
    numbers = {point.count for point in points} | ({head.count} if head else set()) | set(wanted)
    chain = _chain_of(path, (*former, public_key), institution, numbers, mark)
    fault = (
        _signature_fault(chain, path)
        or _chain_fault(chain)
        or _signed_heads_fault(chain, points)
        or _head_file_fault(chain, head, max((point.count for point in points), default=0))
        or damaged
    )
    unchecked = ["no head file: only signed heads can show that the end was cut off"] if head is None else []
    vouched = chain.count if fault is None else fault.first_broken
    return VerifyResult(
        ok=fault is None,
        entries=chain.count,
        first_broken=None if fault is None else fault.first_broken,
        why="" if fault is None else fault.why,
        notes=(*unchecked, *chain.notes),
        kept=tuple(entry for entry in chain.kept if vouched is None or entry.index < vouched),
        hashes=chain.hashes,
        mark=None if fault is not None else chain.end,
    )


class _Fault(NamedTuple):
    """Index of the first entry that is not vouched for (None where no entry can be named), and why."""

    first_broken: int | None
    why: str


class _Signed(NamedTuple):
    """A signed entry: where it is in the log, its line, its signature (hex)."""

    at: int
    line: bytes
    signature: str


@dataclass(frozen=True, kw_only=True)
class _Chain:
    """The entries that hang together from the beginning on.

    count: number of these entries. before: how many of them a mark vouches for. last_signed: the last one after those
    with a signature, not verified yet. hashes: of
    the entries that end at a wanted count; of no entries, the genesis. notes: what they say about the log.
    kept: those that charge or are notes. end: where they end. why: what is wrong with the entry after them, or empty.
    exact: whether it is that entry that was changed; otherwise one before it may have been. keys: of the institution.
    """

    keys: _Keys

    institution: str | None
    count: int
    before: int
    last_signed: _Signed | None
    hashes: Mapping[int, str]
    notes: Sequence[str]
    kept: Sequence[AuditEntry]
    end: Mark
    why: str
    exact: bool

    @property
    def vouched(self) -> int:
        """Number of entries up to the last signed one."""
        return self.before if self.last_signed is None else self.last_signed.at + 1


class _Keys:
    """Which key signs which entry: one for the whole log, or one until a note, signed by it, names the next."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self.keys, self.rotated = tuple(keys), list[int]()

    def begin(self, institution: str, previous: str) -> None:
        """Leave out keys that are older than the log; ``previous`` is what its first entry follows."""
        place = _begins(institution, previous, self.keys)
        self.keys = self.keys[place:]

    def at(self, index: int) -> bytes:
        """The key that signs an entry. A note that names the next key is still signed by the one before."""
        return self.keys[sum(place < index for place in self.rotated)]

    def hold(self, head: SignedHead) -> bool:
        """Whether a head is signed by the key of its time; the daily head of a rotation's entry by the one before."""
        last = max(0, head.count - 1)
        return head.holds(self.at(last)) or head.holds(self.at(head.count))

    def take(self, entry: Mapping[str, Any], line: bytes) -> None:
        """Go on with the next key where an entry names it; ValueError where it is not that, or not signed."""
        if entry["event"] != "note" or entry["kind"] != IDENTITY_ROTATED:
            return
        index, place = entry["index"], len(self.rotated) + 1
        if place >= len(self.keys) or self.keys[place].hex() != entry["digest"]:
            raise ValueError("names a new key of the institution that nobody pinned")
        if not signed_in_hex(self.at(index), entry["signature"], SIGNED + body_of(line)):
            raise ValueError("names a new key of the institution, and the old one did not sign that")
        self.rotated.append(index)


def _begins(institution: str, previous: str, keys: Sequence[bytes]) -> int:
    """Which of an institution's keys its log begins with, the last where it is none of them."""
    found = (place for place, key in enumerate(keys) if genesis(institution, key) == previous)
    return next(found, len(keys) - 1)


def first_key(path: Path, institution: str, keys: Sequence[bytes]) -> bytes:
    """The key with which a log begins, of those that its institution has had; the present one of a log without entries.

    Nothing is verified.
    """
    if len(keys) > 1:
        with contextlib.suppress(OSError, ValueError), path.open("rb") as file:
            return keys[_begins(institution, parse(file.readline())["previous"], keys)]
    return keys[-1]


class _Walk:
    """What is known of a log while its lines are read, from the beginning on."""

    def __init__(self, keys: Sequence[bytes], institution: str | None, wanted: set[int]) -> None:
        self.keys, self.institution, self.wanted = _Keys(keys), institution, wanted
        self.count, self.before, self.size = 0, 0, 0
        self.previous, self.moment = "", ""
        self.digest = hashlib.sha256()
        self.last_signed: _Signed | None = None
        self.hashes: dict[int, str] = {}
        self.kept: list[AuditEntry] = []
        self.notes: list[str] = []

    def skip(self, lines: Iterator[bytes], mark: Mark) -> bool:
        """Read the lines up to a mark; whether their bytes are those for which it was made."""
        for line in lines:
            if self.count == 0 and self.institution is not None and len(self.keys.keys) > 1:
                try:
                    self.keys.begin(self.institution, parse(line)["previous"])
                except ValueError:
                    return False
            self._hashed(line)
            # A line ends with HASH"} and its newline.
            if self.count in self.wanted:
                self.hashes[self.count] = line[-67:-3].decode("ascii", "replace")
            if any(sign in line for sign in _KEPT) or _NO_NOTE not in line:
                try:
                    entry = parse(line)
                    self.keys.take(entry, line)
                    self._keep(entry)
                except ValueError:
                    return False
            if self.size >= mark.size:
                break
        self.before, self.previous, self.moment = self.count, mark.hash, mark.time
        return (self.count, self.size, self.digest.hexdigest()) == (mark.count, mark.size, mark.digest)

    def take(self, line: bytes) -> None:
        """Read an entry, which must follow the one before it; ValueError with the end of a sentence."""
        entry = parse(line)
        if self.count == 0:
            self.institution = entry["institution"] if self.institution is None else self.institution
            self.keys.begin(self.institution, entry["previous"])
            self.previous = genesis(self.institution, self.keys.keys[0])
        check_link(entry, self.count, self.previous, self.moment, self.institution or "")
        self.keys.take(entry, line)
        if entry["signature"]:
            self.last_signed = _Signed(self.count, line, entry["signature"])
        self._keep(entry)
        self.previous, self.moment = entry["hash"], entry["time"]
        self._hashed(line)
        if self.count in self.wanted:
            self.hashes[self.count] = self.previous

    def _hashed(self, line: bytes) -> None:
        self.digest.update(line)
        self.count, self.size = self.count + 1, self.size + len(line)

    def _keep(self, entry: dict[str, Any]) -> None:
        if entry["note"] or entry["event"] == "note":
            self.notes += _notes_of(entry)
        if entry["spend"] is not None or entry["event"] == "note":
            self.kept.append(AuditEntry(**entry))


def _chain_of(
    path: Path, keys: Sequence[bytes], institution: str | None, wanted: set[int], mark: Mark | None
) -> _Chain:
    """Read entries as far as each follows the one before it; those up to a mark that holds are hashed alone."""
    walk, lines = _Walk(keys, institution, wanted), _lines(path)
    if mark is not None and institution is not None and not walk.skip(lines, mark):
        walk, lines = _Walk(keys, institution, wanted), _lines(path)
    why, exact = "", True
    for line in lines:
        try:
            walk.take(line)
        except ValueError as error:
            why, exact = f"entry {walk.count} {error}", not isinstance(error, Unlinked)
            break
    if walk.institution is not None:
        walk.hashes[0] = genesis(walk.institution, walk.keys.keys[0])
    return _Chain(
        keys=walk.keys,
        institution=walk.institution,
        count=walk.count,
        before=walk.before,
        last_signed=walk.last_signed,
        hashes=walk.hashes,
        notes=walk.notes,
        kept=walk.kept,
        end=Mark(
            count=walk.count,
            hash=walk.previous,
            time=walk.moment,
            size=walk.size,
            digest=walk.digest.hexdigest(),
        ),
        why=why,
        exact=exact,
    )


def _notes_of(entry: Mapping[str, Any]) -> list[str]:
    """What an entry says about the log itself."""
    notes, index = [], entry["index"]
    if entry["note"]:
        notes.append(f"entry {index}: clock set back, it showed {entry['note'].removeprefix('clock ')}")
    if entry["event"] == "note":
        notes.append(f"entry {index}: {entry['kind']}")
    return notes


def _signature_fault(chain: _Chain, path: Path) -> _Fault | None:
    """An entry that was changed and hashed again, with all after it, breaks the next signature."""
    last = chain.last_signed
    if last is None or signed_in_hex(chain.keys.at(last.at), last.signature, SIGNED + body_of(last.line)):
        return None
    vouched = _vouched(path, chain.keys)
    return _Fault(
        vouched,
        f"the first signature from entry {vouched} on does not hold: the entries were changed, or the "
        "signature is of another key",
    )


def _chain_fault(chain: _Chain) -> _Fault | None:
    """An entry that is not well formed or does not follow, or entries at the end that no signature closes."""
    vouched, count = chain.vouched, chain.count
    if chain.why:
        open_end = f" (no signature closes entries {vouched} to {count - 1})" if vouched < count else ""
        return _Fault(count if chain.exact else vouched, chain.why + open_end)
    if vouched < count:
        return _Fault(vouched, f"entries from {vouched} on are not closed by a signature")
    return None


def _signed_heads_fault(chain: _Chain, points: Iterable[SignedHead]) -> _Fault | None:
    """The first signed head, in the order of their counts, that is forged or that the log contradicts."""
    agreed, count = 0, chain.count
    for point in points:
        of_another = chain.institution is not None and point.institution != chain.institution
        if of_another or not chain.keys.hold(point):
            return _Fault(None, f"the signed head of {point.count} entries is not signed by this institution")
        if point.count > count:
            return _Fault(count, f"a signed head says {point.count} entries; the log was cut off at {count}")
        if point.count in chain.hashes and chain.hashes[point.count] != point.hash:
            return _Fault(
                agreed, f"a signed head of {point.count} entries names another history from {agreed} on"
            )
        agreed = point.count
    return None


def _head_file_fault(chain: _Chain, head: Head | None, agreed: int) -> _Fault | None:
    """The head file against the log; on the first ``agreed`` entries all signed heads agree with the log."""
    if head is None:
        return None
    if head.count > chain.count:
        return _Fault(
            chain.count, f"the head file says {head.count} entries; the log was cut off at {chain.count}"
        )
    if chain.count and head.count in chain.hashes and chain.hashes[head.count] != head.hash:
        return _Fault(agreed, f"the head file names another entry {head.count - 1}; the log was replaced")
    return None


def _vouched(path: Path, keys: _Keys) -> int:
    """Index of the first entry that no unbroken row of good signatures from the beginning covers."""
    vouched = 0
    for index, line in enumerate(_lines(path)):
        body, tail = cut(line)
        if tail.group(1):
            if not signed_in_hex(keys.at(index), tail.group(1).decode(), SIGNED + body):
                break
            vouched = index + 1
    return vouched


def _lines(path: Path) -> Iterator[bytes]:
    """Lines of a log as it was when the reading began; an append that is under way is waited for."""
    try:
        with path.open("rb") as file:
            # On a disk without locks: read all the same.
            flock(file.fileno(), fcntl.LOCK_SH)
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
