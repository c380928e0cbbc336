"""The audit trail of one institution: an append-only, hash-chained, signed file of JSON lines.

Every entry holds the hash of the one before it (Haber & Stornetta 1991), and every append signs its last
entry with the institution's Ed25519 key (RFC 8032), which vouches for all entries up to there. This module
appends; ``entry`` has the form of a line, ``signed_head`` the signed statements of where a log ends,
``verify`` the reading and checking. Beside the file NAME there are

    NAME.head               count, hash and size after the last append: shows a file that was cut off
    NAME.checkpoints/       one signed head per day
    NAME.witnessed/         signed heads of other institutions, and NAME.contradictions/: see ``witness``
    NAME.torn-*             bytes of an append that was broken off by a crash and never acknowledged
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from fedrisk.audit.entry import (
    DRAFT,
    FIELDS,
    FORMAT,
    HASH,
    HEAD_MADE_ANEW,
    SIGNED,
    TAIL,
    TORN_TAIL,
    AuditEntry,
    LaterFormat,
    body_of,
    check_link,
    check_text,
    checked_draft,
    dump,
    genesis,
    parse,
)
from fedrisk.audit.signed_head import (
    PATIENCE,
    Head,
    SignedHead,
    Stated,
    daily_folder,
    flock,
    load_signed_heads,
    read_head,
    sync_folder,
    write_file,
    write_head,
)
from fedrisk.audit.verify import first_key, hash_from_end, read
from fedrisk.audit.witness import keep_witnessed, load_witnessed
from fedrisk.elliptic.ed25519 import signed_in_hex
from fedrisk.errors import ConfigError, StoreError
from fedrisk.files import make_folders


class Signer(Protocol):
    """The institution's ``IdentityKey``: what signs, and the 32 public bytes."""

    @property
    def public(self) -> bytes:
        """The 32 bytes that others pin."""
        ...

    def sign(self, message: bytes) -> bytes:
        """An Ed25519 signature of 64 bytes."""
        ...


class AuditLog:
    """The institution's log, open for appending; any number of processes may have it open.

    Raises StoreError where the file cannot be read or written, was cut off or changed at its end, or where a
    later version of fedrisk has appended entries of a later format that are not in the head file yet. What a
    crash left half-written is set aside and noted.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        identity: Signer,
        institution: str,
        former: Sequence[bytes] = (),
    ) -> None:
        """former: public keys that the institution had before this one, oldest first (``entry.IDENTITY_ROTATED``)."""
        check_text("institution", institution, empty=False)
        self.path, self.institution = Path(path), institution
        self._identity, self._keys = identity, (*former, identity.public)
        self._start = Head(0, genesis(institution, first_key(self.path, institution, self._keys)), "", 0)
        self._known: Head | None = None
        self._day = ""
        with self._locked() as file:
            self._sync(file)

    def append(self, drafts: Iterable[Mapping[str, Any]]) -> tuple[AuditEntry, ...]:
        """Append entries together: all of them are on the disk when this returns, or none is in the log.

        A draft has study, attempt, purpose, action, event and counterparty, and where they apply kind,
        protection, digest, bytes, rows, spend, consent and code. ConfigError, before anything is written, for
        other fields, for a kind or protection that is not a code (see ``entry.is_code``), and for texts of
        more than 200 characters; StoreError if the disk does not take them.
        """
        complete = [checked_draft(draft) for draft in drafts]
        if not complete:
            return ()
        with self._locked() as file:
            return self._write(file, self._sync(file), complete)

    def entries(self, start: int = 0, **filters: Any) -> Iterator[AuditEntry]:
        """Entries from index ``start`` on whose fields equal the filters, such as ``event="release"``."""
        unknown = set(filters) - set(FIELDS)
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

    def hash_at(self, count: int) -> str | None:
        """Hash of the last of the first ``count`` entries; None where the log is shorter.

        Reads the file from its end to there and verifies nothing.
        """
        with self._locked() as file:
            head = self._sync(file)
            if count == 0:
                return self._start.hash
            if count > head.count:
                return None
            return hash_from_end(file, head.size, head.count - count + 1)

    def note(self, kind: str, *, counterparty: str, digest: str) -> AuditEntry:
        """Append a note about the log itself, on an act of the institution's people; ``kind`` is a code."""
        told = {"action": "answer", "counterparty": counterparty, "kind": kind, "digest": digest}
        # Drafts of others are never notes; this one is checked as any other first.
        draft = {**checked_draft({**told, "event": "request"}), "event": "note"}
        with self._locked() as file:
            (entry,) = self._write(file, self._sync(file), [draft])
        return entry

    def signed_head(self, stated: Stated | None = None) -> SignedHead:
        """A signed statement of the present head, to be given away."""
        with self._locked() as file:
            return self._sign_head(self._sync(file), stated)

    def signed_heads(self) -> tuple[SignedHead, ...]:
        """The daily signed heads of this log, oldest first."""
        return load_signed_heads(daily_folder(self.path))

    def witness(self, signed_head: SignedHead, public: bytes) -> None:
        """Keep another institution's signed head; ``public`` is its pinned key.

        EnvelopeError if it is not signed with that key. ProtocolError if it contradicts one that was kept
        before (it is kept all the same, and a mark is left: see ``witness.marks_of``).
        """
        keep_witnessed(self.path, signed_head, public)

    def witnessed(self, institution: str) -> tuple[SignedHead, ...]:
        """Signed heads of another institution that were kept here."""
        return load_witnessed(self.path, institution)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        """The log's file, open for appending, under an exclusive lock between threads and processes.

        flock and not lockf: a lock of the latter kind is lost when any other handle of the file is closed.
        """
        try:
            fresh = not self.path.exists()
            make_folders(self.path.parent)
            file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._broken(
                f"cannot be opened: {error.strerror}; check path, space and permissions"
            ) from None
        try:
            if not flock(file, fcntl.LOCK_EX):
                raise self._broken(
                    f"has been locked by another process for {PATIENCE:g} s, or lies on a disk without "
                    "locks; end that process, or use a local disk"
                )
            if fresh:
                sync_folder(self.path.parent)
            yield file
        finally:
            os.close(file)

    def _sync(self, file: int) -> Head:
        """Where the log ends, after entries of other processes were read and a torn tail was set aside."""
        try:
            size = os.fstat(file).st_size
            if self._known is not None and self._known.size == size:
                return self._known
            head, missing = self._last_head(size)
            if head.size > size or not self._ends(file, head):
                raise self._broken(
                    f"no longer holds the {head.count} entries that were written; it was cut off, replaced "
                    "or changed. Run 'fedrisk audit verify', and bring back the whole file; if there is no copy, "
                    "'fedrisk audit restore FILE --reason TEXT --who NAME' begins a new one"
                )
            rest = os.pread(file, size - head.size, head.size)
            good = self._take(head, rest)
            if good.size < size:
                torn = rest[good.size - head.size :]
                if missing and not self._is_tail(torn):
                    raise self._broken("is damaged and has no head file; bring back the whole file")
                self._set_aside(file, good, torn)
            if good != self._known:
                write_head(self.path, good)
            self._known = good
            self._note_repairs(file, good, head_made=missing)
        except OSError as error:
            raise self._broken(f"cannot be read or repaired: {error.strerror}; check the disk") from None
        return self._known

    def _last_head(self, size: int) -> tuple[Head, bool]:
        """The last known head of a log of so many bytes, and whether its head file is missing."""
        if self._known is not None and self._known.size <= size:
            return self._known, False
        head = read_head(self.path)
        return head or self._start, head is None and size > 0

    def _note_repairs(self, file: int, head: Head, *, head_made: bool) -> None:
        """Append a note for each torn tail that was set aside, and for a head file that was written again."""
        notes: list[dict[str, Any]] = []
        for torn in sorted(self.path.parent.glob(f"{self.path.name}.torn-*.new")):
            content = torn.read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            notes.append({"kind": TORN_TAIL, "digest": digest, "bytes": len(content)})
        if head_made:
            notes.append({"kind": HEAD_MADE_ANEW})
        if notes:
            self._write(file, head, [{**DRAFT, "action": "recover", "event": "note", **n} for n in notes])
            for torn in self.path.parent.glob(f"{self.path.name}.torn-*.new"):
                torn.rename(torn.with_suffix(""))

    def _ends(self, file: int, head: Head) -> bool:
        """Whether the entry that ends where the head says is the one that it names."""
        if head.count == 0:
            return head.hash == self._start.hash and head.size == 0
        return os.pread(file, 67, max(0, head.size - 67)) == f'{head.hash}"}}\n'.encode()

    def _take(self, head: Head, rest: bytes) -> Head:
        """The head after those entries of ``rest`` that hang together and are closed by a good signature.

        StoreError for an entry of a later format, which a later version of fedrisk appended: to take it for a
        torn tail would cut it off.
        """
        good, at = head, head
        for line in rest.splitlines(keepends=True):
            try:
                entry = parse(line)
                check_link(entry, at.count, at.hash, at.time, self.institution)
            except LaterFormat as error:
                raise self._broken(f"cannot be appended to: entry {at.count} {error}") from None
            except ValueError:
                break
            at = Head(at.count + 1, entry["hash"], entry["time"], at.size + len(line))
            if entry["signature"]:
                if not any(
                    signed_in_hex(key, entry["signature"], SIGNED + body_of(line)) for key in self._keys
                ):
                    break
                good = at
        return good

    def _is_tail(self, rest: bytes) -> bool:
        """Whether bytes can be the rest of one broken append: no signed entry among their whole lines."""
        return not any(m.group(1) for m in TAIL.finditer(rest))

    def _set_aside(self, file: int, good: Head, rest: bytes) -> None:
        """Move a torn tail to a file beside the log, then cut it off; done again if a crash comes between."""
        name = f"{self.path.name}.torn-{good.count}-{hashlib.sha256(rest).hexdigest()[:16]}.new"
        write_file(self.path.with_name(name), rest)
        os.ftruncate(file, good.size)
        os.fsync(file)

    def _write(self, file: int, head: Head, drafts: Sequence[Mapping[str, Any]]) -> tuple[AuditEntry, ...]:
        """Append checked drafts after a head, as entries of which the last is signed."""
        entries, content = self._chained(head, drafts)
        try:
            written = 0
            while written < len(content):
                written += os.write(file, content[written:])
            os.fsync(file)
        except OSError as error:
            # Where even the cut fails, the next opening sets the torn tail aside.
            with contextlib.suppress(OSError):
                os.ftruncate(file, head.size)
            self._known = None
            raise self._broken(
                f"cannot be written: {error.strerror}; nothing was appended. Free space or repair the disk, "
                "then run the study again"
            ) from None
        last = entries[-1]
        self._known = Head(head.count + len(entries), last.hash, last.time, head.size + len(content))
        # The entries are safe by now. A head file or a signed head that cannot be written now comes later.
        with contextlib.suppress(OSError, StoreError):
            write_head(self.path, self._known)
            self._keep_daily(self._known)
        return entries

    def _chained(
        self, head: Head, drafts: Sequence[Mapping[str, Any]]
    ) -> tuple[tuple[AuditEntry, ...], bytes]:
        """The entries that drafts become after a head, and their lines."""
        now = _now()
        moment, note = max(now, head.time), f"clock {now}" if now < head.time else ""
        entries, lines, previous = [], [], head.hash
        for place, draft in enumerate(drafts):
            entry = {
                "format": FORMAT,
                "index": head.count + place,
                "time": moment,
                "institution": self.institution,
                **draft,
                "note": note,
                "previous": previous,
            }
            body = dump(entry)[:-1].encode()
            last = place == len(drafts) - 1
            entry["signature"] = self._identity.sign(SIGNED + body).hex() if last else ""
            body += f',"signature":"{entry["signature"]}"'.encode()
            previous = entry["hash"] = hashlib.sha256(HASH + body).hexdigest()
            lines.append(body + f',"hash":"{previous}"}}\n'.encode())
            entries.append(AuditEntry(**entry))
        return tuple(entries), b"".join(lines)

    def _keep_daily(self, head: Head) -> None:
        """Write the day's signed head, once per day."""
        day = head.time[:10]
        if self._day != day:
            daily = daily_folder(self.path) / f"{day}.json"
            if not daily.exists():
                write_file(daily, self._sign_head(head).to_json())
            self._day = day

    def _sign_head(self, head: Head, stated: Stated | None = None) -> SignedHead:
        # In a study the time is the last entry's, which never goes back where a clock does: heads that others keep
        # are compared in the order of their times.
        within = stated is not None and bool(stated.attempt)
        draft = SignedHead(
            count=head.count,
            hash=head.hash,
            time=head.time if within and head.time else max(_now(), head.time),
            institution=self.institution,
            signature="",
            **({} if stated is None else asdict(stated)),
        )
        return replace(draft, signature=self._identity.sign(draft.statement()).hex())

    def _broken(self, what: str) -> StoreError:
        return StoreError(f"audit log {self.path} {what}")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
