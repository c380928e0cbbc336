"""The audit trail of one institution: an append-only, hash-chained, signed file of JSON lines.

Every entry holds the hash of the one before it (Haber & Stornetta 1991), so no entry can be changed, moved,
taken out or put in without all later hashes changing; every append signs its last entry with the
institution's Ed25519 key (RFC 8032), which vouches for all entries up to there. A chain alone does not show
that its end was cut off, or that its owner wrote it anew. Checkpoints do: a signed count and hash that others
keep (tamper-evident logs, Crosby & Wallach 2009; signed tree heads, RFC 6962). Entries are read in full by
those who check them, so a plain chain serves as well as a Merkle tree, with less to trust.

One line of the file is one entry, fields in the order of ``AuditEntry``, without spaces, in ASCII:

    {"index":0,"time":...,...,"previous":HEX,"signature":HEX,"hash":HEX}

``hash`` is SHA-256 over a tag and the line's bytes before ``,"hash"``; it covers the signature. ``signature``
is over another tag and the bytes before ``,"signature"``; it is empty on entries that a later entry of the
same append signs. ``previous`` of the first entry is a hash of the institution's name and public key. Beside
the file NAME stand

    NAME.head               count, hash and size after the last append: shows a file that was cut off
    NAME.checkpoints/       one checkpoint a day
    NAME.witnessed/         checkpoints of other institutions
    NAME.torn-*             bytes of an append that was broken off by a crash and never acknowledged
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import itertools
import json
import os
import re
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from fedrisk.errors import ConfigError, EnvelopeError, ProtocolError, StoreError

Event = Literal["request", "answer", "sent", "received", "release", "refusal", "score", "delivery", "note"]
"""What happened: a request came and its answer went; a thing was sent to, or received from, another institution
through the hub; a release was charged; a refusal was given; partial scores were computed for a bank (score);
scores arrived at this bank (delivery). ``note`` is the log's own: a torn tail set aside, or a head file made anew."""

_GENESIS, _HASH = b"fedrisk audit log v1\n", b"fedrisk audit entry v1\n"
_SIGNED, _CHECKPOINT = b"fedrisk audit signature v1\n", b"fedrisk audit checkpoint v1\n"
_DRAFT = {
    **dict.fromkeys(("study", "attempt", "purpose", "action", "event", "counterparty"), ""),
    "kind": "",
    "protection": "",
    "digest": "",
    "bytes": 0,
    "rows": 0,
    "spend": None,
    "consent": None,
    "code": None,
}
_SPEND = {
    *("study", "attempt", "release", "population", "mu", "delta", "what"),
    *("institution", "counterparty", "research"),
}
_LONGEST = 200
_PATIENCE = 10.0  # seconds to wait for another process
_HEAD_BYTES = 256  # within one sector of the disk, so that it is written whole
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
_TAIL = re.compile(rb',"signature":"((?:[0-9a-f]{128})?)","hash":"([0-9a-f]{64})"\}')
_TAIL_BYTES = (len(',"signature":"","hash":""}') + 64, len(',"signature":"","hash":""}') + 64 + 128)


class Signer(Protocol):
    """The institution's ``IdentityKey``: what signs, and the 32 public bytes."""

    @property
    def public(self) -> bytes: ...
    def sign(self, message: bytes) -> bytes: ...


@dataclass(frozen=True, kw_only=True)
class AuditEntry:
    """One thing that happened at an institution; never an id, a label or a value.

    index: 0, 1, 2, ... time: UTC, ISO 8601 with milliseconds; never before the entry before it.
    action: name of the handler. counterparty: who asked, or where it went to or came from.
    kind: what kind of thing ("masked matrix", "noisy sums"). protection: how it was protected.
    digest: SHA-256 (hex) of what went, or empty. bytes: its size. rows: enterprises touched.
    spend: ``Spend.to_dict`` of what this entry charges; None where nothing is, and for a repeat.
    consent: reference to a consent. code: code of a refusal.
    note: of the log itself; ``clock TIME`` where the machine's clock stood before the last entry's time.
    """

    index: int
    time: str
    institution: str
    study: str
    attempt: str
    purpose: str
    action: str
    event: Event
    counterparty: str
    kind: str
    protection: str
    digest: str
    bytes: int
    rows: int
    spend: dict[str, Any] | None
    consent: str | None
    code: str | None
    note: str
    previous: str
    signature: str
    hash: str

    def to_dict(self) -> dict[str, Any]:
        """Fields as they are, for JSON."""
        return {name: getattr(self, name) for name in _FIELDS}


_FIELDS = tuple(field.name for field in fields(AuditEntry))
_EVENTS = frozenset(get_args(Event))
_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(_FIELDS, (str,)),
    **dict.fromkeys(("index", "bytes", "rows"), (int,)),
    **dict.fromkeys(("consent", "code"), (str, type(None))),
    "spend": (dict, type(None)),
}
_KINDS = frozenset(itertools.product(*(_TYPES[name] for name in _FIELDS)))  # what types a line may have


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """An institution's signed word that its log had this head after so many entries."""

    count: int
    hash: str
    time: str
    institution: str
    signature: str

    def to_json(self) -> str:
        """One line of JSON, to be handed to the other institutions or to a regulator."""
        return _dump(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Checkpoint:
        """Inverse of ``to_json``; EnvelopeError if malformed. Nothing is verified yet: call ``holds``."""
        try:
            plain = json.loads(text)
            kinds = {field.name: int if field.name == "count" else str for field in fields(cls)}
            if set(plain) == set(kinds) and all(type(plain[n]) is k for n, k in kinds.items()):
                return cls(**plain)
        except (ValueError, TypeError):
            pass
        raise EnvelopeError("a checkpoint is malformed; ask its institution to send it anew")

    def holds(self, public: bytes) -> bool:
        """Whether this public key (32 bytes) signed it."""
        return _signed_by(public, self.signature, _CHECKPOINT + self._statement())

    def _statement(self) -> bytes:
        return _dump([self.count, self.hash, self.time, self.institution]).encode()


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


@dataclass(frozen=True)
class _Head:
    """Where a log ends: entries, hash of the last, its time, bytes of the file."""

    count: int
    hash: str
    time: str
    size: int


class AuditLog:
    """The institution's own log, open for appending; any number of processes may have it open.

    Raises StoreError where the file cannot be read or written, or was cut off or changed at its end; what a
    crash left half-written is set aside and noted.
    """

    def __init__(self, path: str | os.PathLike[str], identity: Signer, institution: str) -> None:
        _check_text("institution", institution, empty=False)
        self.path, self.institution = Path(path), institution
        self._identity, self._public = identity, identity.public
        self._start = _Head(0, _genesis(institution, self._public), "", 0)
        self._known: _Head | None = None
        self._day = ""
        with self._locked() as file:
            self._sync(file)

    def append(self, drafts: Iterable[Mapping[str, Any]]) -> tuple[AuditEntry, ...]:
        """Append entries together: all of them are on the disk when this returns, or none is in the log.

        A draft has study, attempt, purpose, action, event and counterparty, and where they apply kind,
        protection, digest, bytes, rows, spend, consent and code. ConfigError, before anything is written, for
        other fields and for texts of more than 200 characters; StoreError if the disk does not take them.
        """
        checked = [_checked(draft) for draft in drafts]
        if not checked:
            return ()
        with self._locked() as file:
            return self._write(file, self._sync(file), checked)

    def entries(self, start: int = 0, **filters: Any) -> Iterator[AuditEntry]:
        """Entries from index ``start`` on whose fields equal the filters, such as ``event="release"``."""
        unknown = set(filters) - set(_FIELDS)
        if unknown:
            raise ConfigError(f"audit: entries have no field {', '.join(sorted(unknown))}")
        with self._locked() as file:
            size = self._sync(file).size
        for entry in read(self.path, size):
            if entry.index >= start and all(getattr(entry, n) == v for n, v in filters.items()):
                yield entry

    def head(self) -> tuple[int, str]:
        """Number of entries and hash of the last one."""
        with self._locked() as file:
            head = self._sync(file)
        return head.count, head.hash

    def checkpoint(self) -> Checkpoint:
        """A signed statement of the present head, to be given away."""
        with self._locked() as file:
            return self._checkpoint(self._sync(file))

    def checkpoints(self) -> tuple[Checkpoint, ...]:
        """The own daily checkpoints, oldest first."""
        return _load(_beside(self.path, "checkpoints"))

    def witness(self, checkpoint: Checkpoint, public: bytes) -> None:
        """Keep another institution's checkpoint; ``public`` is its pinned key.

        EnvelopeError if it is not signed with that key. ProtocolError if it contradicts one that was kept
        before (it is kept all the same: the two together are the evidence).
        """
        if not checkpoint.holds(public):
            raise EnvelopeError(
                f"the checkpoint of {checkpoint.institution} is not signed by its pinned key; ask for it anew"
            )
        folder = _beside(self.path, "witnessed") / _file_name(checkpoint.institution)
        kept = _load(folder)
        if checkpoint in kept:
            return
        _write(folder / f"{checkpoint.count:012d}-{checkpoint.hash[:16]}.json", checkpoint.to_json())
        for other in kept:
            early, late = sorted((checkpoint, other), key=lambda c: (c.time, c.count))
            if early.count > late.count or (early.count == late.count and early.hash != late.hash):
                raise ProtocolError(
                    f"two checkpoints of {checkpoint.institution} contradict each other (entries "
                    f"{early.count} and {late.count}): its audit log was rewritten; ask it for the whole log"
                )

    def witnessed(self, institution: str) -> tuple[Checkpoint, ...]:
        """Checkpoints of another institution that were kept here."""
        return _load(_beside(self.path, "witnessed") / _file_name(institution))

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        """The log's file, open for appending, under an exclusive lock between threads and processes.

        flock and not lockf: a lock of the latter kind is lost when any other handle of the file is closed.
        """
        try:
            fresh = not self.path.exists()
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._broken(
                f"cannot be opened: {error.strerror}; check path, space and permissions"
            ) from None
        try:
            deadline = time.monotonic() + _PATIENCE
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise self._broken(
                            f"has been locked by another process for {_PATIENCE:g} s; end that process"
                        ) from None
                    time.sleep(0.001)
                except OSError as error:
                    raise self._broken(f"cannot be locked: {error.strerror}; use a local disk") from None
            if fresh:
                _sync_folder(self.path.parent)
            yield file
        finally:
            os.close(file)

    def _sync(self, file: int) -> _Head:
        """Where the log ends, after entries of other processes were taken in and a torn tail set aside."""
        try:
            size = os.fstat(file).st_size
            if self._known is not None and self._known.size == size:
                return self._known
            head, missing = self._known, False
            if head is None or head.size > size:
                head = _read_head(self.path)
                missing = head is None and size > 0
            head = head or self._start
            if head.size > size or not self._ends(file, head):
                raise self._broken(
                    f"no longer holds the {head.count} entries that were written; it was cut off, replaced or "
                    "changed. Run 'fedrisk audit verify', and bring back the whole file"
                )
            rest = os.pread(file, size - head.size, head.size)
            good = self._take(head, rest)
            notes = []
            if good.size < size:
                if missing and not self._is_tail(rest[good.size - head.size :]):
                    raise self._broken("is damaged and has no head file; bring back the whole file")
                self._set_aside(file, good, rest[good.size - head.size :])
            if good != self._known:
                _write_head(self.path, good)
            self._known = good
            for torn in sorted(self.path.parent.glob(f"{self.path.name}.torn-*.new")):
                content = torn.read_bytes()
                digest = hashlib.sha256(content).hexdigest()
                notes.append({"kind": "torn tail", "digest": digest, "bytes": len(content)})
            if missing:
                notes.append({"kind": "head file made anew"})
            if notes:
                notes = [{**_DRAFT, "action": "recover", "event": "note", **note} for note in notes]
                good = self._known
                self._write(file, good, notes)
                for torn in self.path.parent.glob(f"{self.path.name}.torn-*.new"):
                    torn.rename(torn.with_suffix(""))
        except OSError as error:
            raise self._broken(f"cannot be read or mended: {error.strerror}; check the disk") from None
        return self._known

    def _ends(self, file: int, head: _Head) -> bool:
        """Whether the entry that ends where the head says is the one that it names."""
        if head.count == 0:
            return head.hash == self._start.hash and head.size == 0
        return os.pread(file, 67, max(0, head.size - 67)) == f'{head.hash}"}}\n'.encode()

    def _take(self, head: _Head, rest: bytes) -> _Head:
        """The head after those entries of ``rest`` that hang together and are closed by a good signature."""
        good, at = head, head
        for line in rest.splitlines(keepends=True):
            try:
                entry = _parse(line)
                _check_link(entry, at.count, at.hash, at.time, self.institution)
            except ValueError:
                break
            at = _Head(at.count + 1, entry["hash"], entry["time"], at.size + len(line))
            if entry["signature"]:
                if not _signed_by(self._public, entry["signature"], _SIGNED + _body(line)):
                    break
                good = at
        return good

    def _is_tail(self, rest: bytes) -> bool:
        """Whether bytes can be the rest of one broken append: no signed entry among their whole lines."""
        return not any(m.group(1) for m in _TAIL.finditer(rest))

    def _set_aside(self, file: int, good: _Head, rest: bytes) -> None:
        """Move a torn tail to a file of its own, then cut it off; done again if broken off in between."""
        name = f"{self.path.name}.torn-{good.count}-{hashlib.sha256(rest).hexdigest()[:16]}.new"
        _write(self.path.with_name(name), rest)
        os.ftruncate(file, good.size)
        os.fsync(file)

    def _write(self, file: int, head: _Head, drafts: Sequence[Mapping[str, Any]]) -> tuple[AuditEntry, ...]:
        now = _now()
        moment, note = max(now, head.time), f"clock {now}" if now < head.time else ""
        entries, lines, previous = [], [], head.hash
        for place, draft in enumerate(drafts):
            entry = {
                "index": head.count + place,
                "time": moment,
                "institution": self.institution,
                **draft,
                "note": note,
                "previous": previous,
            }
            body = _dump(entry)[:-1].encode()
            last = place == len(drafts) - 1
            entry["signature"] = self._identity.sign(_SIGNED + body).hex() if last else ""
            body += f',"signature":"{entry["signature"]}"'.encode()
            previous = entry["hash"] = hashlib.sha256(_HASH + body).hexdigest()
            lines.append(body + f',"hash":"{previous}"}}\n'.encode())
            entries.append(AuditEntry(**entry))
        content = b"".join(lines)
        try:
            written = 0
            while written < len(content):
                written += os.write(file, content[written:])
            os.fsync(file)
        except OSError as error:
            with contextlib.suppress(OSError):  # where even this fails, the next opening sets it aside
                os.ftruncate(file, head.size)
            self._known = None
            raise self._broken(
                f"cannot be written: {error.strerror}; nothing was appended. Free space or mend the disk, then "
                "run the study anew"
            ) from None
        self._known = _Head(head.count + len(entries), previous, moment, head.size + len(content))
        # The entries are safe by now: a head file or a checkpoint that fails to be written is made up for later.
        with contextlib.suppress(OSError, StoreError):
            _write_head(self.path, self._known)
            if self._day != moment[:10]:
                daily = _beside(self.path, "checkpoints") / f"{moment[:10]}.json"
                if not daily.exists():
                    _write(daily, self._checkpoint(self._known).to_json())
                self._day = moment[:10]
        return tuple(entries)

    def _checkpoint(self, head: _Head) -> Checkpoint:
        draft = Checkpoint(
            count=head.count,
            hash=head.hash,
            time=max(_now(), head.time),
            institution=self.institution,
            signature="",
        )
        signature = self._identity.sign(_CHECKPOINT + draft._statement()).hex()
        return Checkpoint(**{**asdict(draft), "signature": signature})

    def _broken(self, what: str) -> StoreError:
        return StoreError(f"audit log {self.path} {what}")


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
            yield AuditEntry(**_parse(line))
        except ValueError as error:
            raise StoreError(
                f"audit log {path}: entry {number} {error}; run 'fedrisk audit verify'"
            ) from None


def verify(
    path: str | os.PathLike[str],
    public_key: bytes,
    checkpoints: Iterable[Checkpoint] = (),
    institution: str | None = None,
) -> VerifyResult:
    """Check a log, one's own or one handed over, and name the first entry that is not vouched for.

    public_key: the institution's pinned Ed25519 key (32 bytes). checkpoints: those that others kept; daily
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
        beside = _load(_beside(path, "checkpoints"))
        damaged = ""
    except EnvelopeError:
        beside, damaged = (), "a daily checkpoint beside the log is damaged"
    points = [*beside, *checkpoints]
    marks: dict[int, str] = {}
    notes: list[str] = []
    count, previous, moment = 0, "", ""
    wanted = {point.count for point in points}
    head = _read_head(path)
    if head is None:
        notes.append("no head file: only checkpoints can show that the end was cut off")
    wanted.add(head.count if head else 0)

    def broken(index: int | None, why: str) -> VerifyResult:
        return VerifyResult(ok=False, entries=count, first_broken=index, why=why, notes=tuple(notes))

    why, exact = "", True
    last: tuple[int, bytes, str] | None = None  # the last signed entry
    for line in _lines(path):
        try:
            entry = _parse(line)
            if count == 0:
                institution = entry["institution"] if institution is None else institution
                previous = _genesis(institution, public_key)
            _check_link(entry, count, previous, moment, institution or "")
        except ValueError as error:
            why, exact = f"entry {count} {error}", not isinstance(error, _Unlinked)
            break
        if entry["signature"]:
            last = count, line, entry["signature"]
        if entry["note"]:
            notes.append(f"entry {count}: clock set back, it showed {entry['note'].removeprefix('clock ')}")
        elif entry["event"] == "note":
            notes.append(f"entry {count}: {entry['kind']}")
        count, previous, moment = count + 1, entry["hash"], entry["time"]
        if count in wanted:
            marks[count] = entry["hash"]
    if institution is not None:
        marks[0] = _genesis(institution, public_key)
    # An entry changed and hashed anew, with all after it, breaks the first signature that follows it.
    if last is not None and not _signed_by(public_key, last[2], _SIGNED + _body(last[1])):
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
        body, tail = _cut(line)
        if tail.group(1):
            if not _signed_by(public, tail.group(1).decode(), _SIGNED + body):
                break
            vouched = index + 1
    return vouched


def _checked(draft: Mapping[str, Any]) -> dict[str, Any]:
    """A draft with all its fields; ConfigError names the field, never its content."""
    if set(draft) - set(_DRAFT):
        raise ConfigError(
            f"audit: a draft has {len(set(draft) - set(_DRAFT))} fields that entries do not have; "
            f"they have {', '.join(_DRAFT)}"
        )
    entry = {name: draft.get(name, default) for name, default in _DRAFT.items()}
    for name in ("study", "attempt", "purpose", "action", "counterparty", "kind", "protection", "digest"):
        _check_text(name, entry[name])
    if entry["event"] not in get_args(Event) or entry["event"] == "note":
        raise ConfigError(f"audit: event must be one of {', '.join(get_args(Event)[:-1])}")
    for name in ("action", "counterparty"):
        _check_text(name, entry[name], empty=False)
    if entry["digest"] and not re.fullmatch("[0-9a-f]{64}", entry["digest"], re.ASCII):
        raise ConfigError("audit: digest must be a SHA-256 in 64 hexadecimal digits, or empty")
    for name in ("bytes", "rows"):
        if type(entry[name]) is not int or not 0 <= entry[name] < 2**63:
            raise ConfigError(f"audit: {name} must be a whole number, 0 or more")
    for name in ("consent", "code"):
        if entry[name] is not None:
            _check_text(name, entry[name])
    if entry["spend"] is not None:
        entry["spend"] = _checked_spend(entry["spend"])
    return entry


def _checked_spend(spend: Any) -> dict[str, Any]:
    if not isinstance(spend, Mapping) or set(spend) != _SPEND:
        raise ConfigError("audit: spend must be what Spend.to_dict gives, or None")
    for name in sorted(_SPEND):
        value = spend[name]
        if name == "research":
            if not isinstance(value, bool):
                raise ConfigError("audit: spend.research must be true or false")
        elif name in ("mu", "delta"):
            real = type(value) in (int, float) and 0 <= value < float("inf")
            if not real and not (name == "mu" and value == "inf"):
                raise ConfigError(f"audit: spend.{name} must be a number, 0 or more")
        else:
            _check_text(f"spend.{name}", value, empty=False)
    return {name: spend[name] for name in sorted(_SPEND)}


def _check_text(name: str, value: Any, *, empty: bool = True) -> None:
    if not isinstance(value, str) or not (empty or value):
        raise ConfigError(f"audit: {name} must be a text{'' if empty else ' that is not empty'}")
    if len(value) > _LONGEST or not all(c.isprintable() for c in value):
        raise ConfigError(f"audit: {name} must be one line of at most {_LONGEST} characters; log no content")


def _parse(line: bytes) -> dict[str, Any]:
    """An entry's fields; ValueError, with the end of a sentence, unless every byte of the line is as it must be."""
    if not line.endswith(b"\n"):
        raise ValueError("is torn: its line has no end")
    _, tail = _cut(line)
    if hashlib.sha256(_HASH + line[: tail.start(2) - len(',"hash":"')]).hexdigest().encode() != tail.group(2):
        raise ValueError("is not what its hash says")
    try:
        plain = _decode(line[:-1].decode("ascii"))
    except ValueError:
        raise ValueError("is not JSON") from None
    if not isinstance(plain, dict) or tuple(plain) != _FIELDS:
        raise ValueError("does not have the form of an entry")
    if tuple(map(type, plain.values())) not in _KINDS or plain["event"] not in _EVENTS:
        raise ValueError("has a field of a wrong kind")
    if not _TIME.fullmatch(plain["time"]) or (plain["spend"] and plain["spend"].keys() != _SPEND):
        raise ValueError("has a field of a wrong kind")
    # A field that stood twice would be read in two ways. In a text, the quote before a colon is escaped.
    if line.count(b'":') - line.count(b'\\":') != len(_FIELDS) + len(plain["spend"] or ()):
        raise ValueError("has a field twice")
    return plain


def _cut(line: bytes) -> tuple[bytes, re.Match[bytes]]:
    """A line's bytes before the signature, and the tail that holds signature and hash."""
    for size in _TAIL_BYTES:
        tail = _TAIL.fullmatch(line, max(0, len(line) - 1 - size), len(line) - 1)
        if tail:
            return line[: tail.start()], tail
    raise ValueError("has no signature and hash at its end")


def _body(line: bytes) -> bytes:
    return _cut(line)[0]


class _Unlinked(ValueError):
    """An entry does not follow the one before it, so one of the two was changed."""


def _check_link(entry: Mapping[str, Any], index: int, previous: str, moment: str, institution: str) -> None:
    """ValueError, with the end of a sentence, unless an entry follows the one before it."""
    if entry["index"] != index:
        raise ValueError(
            f"says that it is entry {entry['index']}: entries are missing, repeated or out of order"
        )
    if entry["institution"] != institution:
        raise ValueError("is of another institution")
    if entry["previous"] != previous:
        raise _Unlinked(
            "does not follow the entry before it"
            if index
            else "does not begin a log of this institution and key"
        )
    if entry["time"] < moment:
        raise _Unlinked("is earlier than the entry before it")


def _genesis(institution: str, public: bytes) -> str:
    return hashlib.sha256(_GENESIS + _dump([institution, public.hex()]).encode()).hexdigest()


def _signed_by(public: bytes, signature: str, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(bytes.fromhex(signature), message)
    except (InvalidSignature, ValueError):
        return False
    return True


_decode = json.JSONDecoder().decode
_encode = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode


def _dump(plain: Any) -> str:
    """JSON without spaces, in ASCII, keys in the order given."""
    return _encode(plain)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            yield from file
    except OSError as error:
        raise StoreError(f"audit log {path} cannot be read: {error.strerror}; check the path") from None


def _beside(path: Path, what: str) -> Path:
    return path.with_name(f"{path.name}.{what}")


def _file_name(institution: str) -> str:
    """A name that is safe in a path, and one for each institution."""
    return f"i-{hashlib.sha256(institution.encode()).hexdigest()[:32]}"


def _load(folder: Path) -> tuple[Checkpoint, ...]:
    try:
        texts = [file.read_text("utf-8") for file in sorted(folder.glob("*.json"))]
    except (OSError, UnicodeDecodeError):
        raise EnvelopeError(f"a checkpoint in {folder} cannot be read; bring the folder back") from None
    return tuple(Checkpoint.from_json(text) for text in texts)


def _read_head(path: Path) -> _Head | None:
    """The head file's content; None where there is none, or where it is damaged."""
    try:
        head = json.loads(_beside(path, "head").read_bytes())
        kinds = {"count": int, "hash": str, "time": str, "size": int}
        if isinstance(head, dict) and {n: type(v) for n, v in head.items()} == kinds:
            return _Head(**head)
    except (OSError, ValueError):
        pass
    return None


def _write_head(path: Path, head: _Head) -> None:
    """In place and not forced to the disk: it may lag behind the log, and never runs ahead of it."""
    file = os.open(_beside(path, "head"), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(file, _dump(asdict(head)).encode().ljust(_HEAD_BYTES - 1) + b"\n", 0)
    finally:
        os.close(file)


def _write(path: Path, content: str | bytes) -> None:
    """A small file, whole or absent; StoreError if the disk does not take it."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content.encode() + b"\n" if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise StoreError(f"{path} cannot be written: {error.strerror}; check space and permissions") from None


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
