"""The node's own disk: keys, pins, ledger, pseudonyms, and the state of each attempt at a study.

Flower's contexts live in memory and for one run only, and a message may be served by a new process each
time. So whatever an institution has to remember is in files of its own, in a folder that only it can
read:

    identity.key        Ed25519 key of the institution; identity.next.key one that it changes to
    identity.former     public halves of earlier ones, oldest first
    pins.json           pinned keys of the hub and of the other institutions, written at registration
    epochs/             key of the pseudonyms by epoch, EPOCH.voprf, and that it was made (key authority only)
    evaluation_keys/    public key under which the pseudonyms of an epoch were made
    pseudonyms/         own pseudonyms by epoch, so that only new enterprises cost anything
    pending/            requests to the key authority that were not answered yet
    sides/              who was trained on and who held out, by epoch
    audit.jsonl         audit trail, with its head, signed heads and marks beside it
    out_of_time.json    boundaries of hold-outs by date for which flags were given (banks only)
    scored/             which enterprises were scored for which bank in which version (data holders)
    ledger.sqlite       privacy ledger;  quota.sqlite  evaluations granted (key authority only)
    attempts/ID/        state of one attempt: public facts in *.json, arrays in *.npy, secrets in secrets/
    results/ID/         what the institution keeps for itself: scores, champion, own figures
    errors.log          full texts of errors, which never leave
    store.json          whose store it is (clients/store/owner)
    proposals/ID.json   what a hub on another machine proposed, and what was decided
    past/ID.npz         what it saw released in a study, for when a later one remembers it (clients/store/past_store)
    models/ID/          its part of a model that serves or could, with its states (clients/store/model_store)
    deployment.json     the consortium whose hub its node serves: from then on people approve studies first

A store that is opened for reading alone makes nothing: no folder, key, ledger or trail.
"""

import contextlib
import fcntl
import hashlib
import logging
import os
import shutil
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedrisk.audit.entry import IDENTITY_ROTATED
from fedrisk.audit.log import AuditLog
from fedrisk.audit.signed_head import read_head
from fedrisk.audit.unmade import UnmadeLog
from fedrisk.clients.store.attempt_store import AttemptStore, Begun
from fedrisk.clients.store.authority_store import AuthorityStore
from fedrisk.clients.store.error_log import ErrorLog
from fedrisk.clients.store.model_store import ModelStore
from fedrisk.clients.store.past_store import PastStore
from fedrisk.clients.store.proposal_store import ProposalStore
from fedrisk.clients.store.pseudonym_store import PseudonymStore
from fedrisk.errors import EnvelopeError, NothingYet, ProtocolError, StoreError
from fedrisk.files import (
    PUT_BACK,
    damaged,
    locked,
    make_folders,
    private_append,
    private_folder,
    read_kept,
    write_atomic,
)
from fedrisk.privacy.ledger.caps import Caps
from fedrisk.privacy.ledger.ledger import Ledger
from fedrisk.privacy.ledger.rollback_guard import guard_path
from fedrisk.privacy.ledger.unmade import UnmadeLedger
from fedrisk.secure.identity import IdentityKey
from fedrisk.secure.pins import Pins

OLD_SECONDS = 24 * 3600
"""After so long without a message an attempt is taken for dead."""

WAIT_SECONDS = 5.0
"""After waiting so long for another process, it is said."""

Ids = Sequence[str] | NDArray[np.object_]


class NodeStore:
    """One institution's folder. All errors of the disk are StoreError and name the folder.

    make: whether what is not there yet is made on first use; a store for reading says NothingYet instead.
    """

    def __init__(self, path: Path, *, make: bool = True) -> None:
        self.path = path
        self._make = make
        if not (make or path.is_dir()):
            return
        try:
            private_folder(path)
        except OSError as error:
            raise StoreError(
                f"store {path} cannot be made: {error.strerror}; check path and permissions"
            ) from None

    @property
    def identity(self) -> IdentityKey:
        """The institution's key, made on first use; StoreError where a registered node has lost it."""
        file = self.path / "identity.key"
        if not file.exists() and (self.registered or self.trail_path.exists()):
            raise StoreError(
                f"{file} is gone, and others have pinned it; put it back from its copy, or register a new key with them"
            )
        if not file.exists():
            self._refuse_making()
            IdentityKey.generate().save(file)
        return IdentityKey.load(file)

    @property
    def identities(self) -> tuple[bytes, ...]:
        """Public halves of all identities that it has had, oldest first, the present one last."""
        present = self.identity.public
        return (*(key for key in self._former() if key != present), present)

    def _former(self) -> tuple[bytes, ...]:
        file = self.path / "identity.former"
        if not file.exists():
            return ()
        try:
            keys = tuple(bytes.fromhex(line) for line in read_kept(file, PUT_BACK).decode("ascii").split())
        except ValueError:
            keys = (b"",)
        if any(len(key) != 32 for key in keys):
            raise damaged(file, PUT_BACK)
        return keys

    @property
    def next_identity(self) -> IdentityKey | None:
        """The key that the institution is about to change to, None where there is none."""
        file = self.path / "identity.next.key"
        return IdentityKey.load(file) if file.exists() else None

    def make_next_identity(self) -> IdentityKey:
        """A fresh key to change to, or the one that was made for it before."""
        if self.next_identity is None:
            IdentityKey.generate().save(self.path / "identity.next.key")
        return IdentityKey.load(self.path / "identity.next.key")

    def take_next_identity(self, name: str) -> None:
        """Change to the next key: the old one signs that in the trail, and is gone afterwards.

        Whatever happens meanwhile, calling it once more completes it. name: of the institution.
        """
        new, old = self.next_identity, self.identity
        if new is None:
            return
        if new.public != old.public:
            keys = [key for key in self._former() if key != old.public]
            write_atomic(
                self.path / "identity.former",
                "".join(f"{key.hex()}\n" for key in (*keys, old.public)).encode(),
            )
            trail = self.trail(name)
            entered = trail.entries(event="note", kind=IDENTITY_ROTATED, digest=new.public.hex())
            if next(entered, None) is None:
                trail.note(IDENTITY_ROTATED, counterparty=name, digest=new.public.hex())
            write_atomic(self.path / "identity.key", new.private.hex().encode() + b"\n")
        (self.path / "identity.next.key").unlink()

    def complete_rotation(self, name: str) -> None:
        """Complete a change of keys that was broken off half-way."""
        new = self.next_identity
        if new is not None and self.identity.public in (new.public, *self._former()):
            self.take_next_identity(name)

    @property
    def pins_path(self) -> Path:
        """File of the pinned keys."""
        return self.path / "pins.json"

    @property
    def ledger_path(self) -> Path:
        """File of the privacy ledger."""
        return self.path / "ledger.sqlite"

    @property
    def trail_path(self) -> Path:
        """File of the audit trail."""
        return self.path / "audit.jsonl"

    @property
    def has_identity(self) -> bool:
        """Whether there is a key here already, or has to be one."""
        return self.registered or (self.path / "identity.key").exists()

    @property
    def registered(self) -> bool:
        """Whether keys of others are pinned here: from then on key, ledger and trail have to be there."""
        return self.pins_path.exists()

    @property
    def deployment_path(self) -> Path:
        """File that says of which consortium this institution's node is a member."""
        return self.path / "deployment.json"

    @property
    def deployed(self) -> bool:
        """Whether a hub on another machine asks this institution: it then takes part in approved studies alone."""
        return self.deployment_path.exists()

    @property
    def unused(self) -> bool:
        """Whether nothing has happened here: no study has run, and nobody has acted on the budget."""
        return not any(file.exists() for file in (self.pins_path, self.ledger_path, self.trail_path))

    def _refuse_making(self) -> None:
        if not self._make:
            raise NothingYet(f"there is nothing in store {self.path} yet; the first study makes it")

    @property
    def pins(self) -> Pins:
        """Pinned keys; EnvelopeError where the institution was never registered with others."""
        file = self.pins_path
        if not file.exists():
            self._refuse_making()
        if not file.exists():
            raise EnvelopeError(f"{file} does not exist; register the institutions with each other first")
        try:
            return Pins.from_json(read_kept(file, PUT_BACK))
        except StoreError:
            raise damaged(file, PUT_BACK) from None

    def pin(self, hub: bytes, institutions: Mapping[str, bytes]) -> None:
        """Add keys to the pins, of the hub its identity; EnvelopeError where one differs from the one pinned before.

        A file of an older version pins no identity of the hub; it is added here, once.
        """
        file = self.pins_path
        old = self.pins if file.exists() else Pins(hub, {})
        new = old.with_new(hub, institutions, file)
        if new != old or not file.exists():
            write_atomic(file, new.to_json().encode())

    def repin(self, rotated: Mapping[str, Sequence[bytes]], gone: Collection[str] = ()) -> None:
        """Change pins as a roster says that was verified and accepted (clients/roster); see ``Pins.changed``."""
        write_atomic(self.pins_path, self.pins.changed(rotated, gone).to_json().encode())

    def ledger(self, caps: Caps | float) -> Ledger:
        """The privacy ledger under its caps. Made until the node is registered; a lost one is an error after that."""
        file = self.ledger_path
        if not (self._make or self.registered or file.exists() or guard_path(file).exists()):
            return UnmadeLedger(file, caps)
        return Ledger(file, caps, create=not self.registered)

    def trail(self, name: str) -> AuditLog:
        """The audit trail of the institution, whose name it is."""
        file = self.trail_path
        if not (self._make or self.registered or file.exists()):
            return UnmadeLog(file, name)
        return AuditLog(file, self.identity, name, former=self.identities[:-1])

    def refuse_lost_trail(self) -> None:
        """StoreError where there is no audit trail, or an empty one, though attempts or files beside it show one."""
        file = self.trail_path
        if file.exists() and file.stat().st_size:
            return
        head = read_head(file)
        beside = any(self.path.glob("audit.jsonl.*/*.json")) or (head is not None and head.count > 0)
        if beside or any((self.path / "attempts").glob("*/Begun.json")):
            raise StoreError(
                f"the audit trail {file} is gone or empty, and this institution was in studies. Nothing is charged or "
                "released without it: put it back with the files beside it; if there is no copy, 'fedrisk audit "
                "restore FILE --reason TEXT --who NAME' begins a new one"
            )

    @property
    def authority(self) -> AuthorityStore:
        """What a key authority keeps: keys of pseudonyms, and how many evaluations it granted."""
        return AuthorityStore(self.path, self._refuse_making)

    @property
    def errors(self) -> ErrorLog:
        """Full texts of errors, which never leave."""
        return ErrorLog(self.path)

    def fingerprint(self, name: str) -> str:
        """Short name of an institution's first pinned key, under which its quota of evaluations is kept."""
        return fingerprint_of(self.pins.first_of(name))

    @property
    def pseudonyms(self) -> PseudonymStore:
        """Pseudonyms, sides of the split and scored enterprises, by id."""
        return PseudonymStore(self.path)

    @property
    def proposals(self) -> ProposalStore:
        """What a hub proposed, and what was decided."""
        return ProposalStore(self.path)

    @property
    def past(self) -> PastStore:
        """What was released in studies that it took part in."""
        return PastStore(self.path / "past")

    @property
    def models(self) -> ModelStore:
        """Models that serve, or could."""
        return ModelStore(self.path, make=self._make)

    def attempt(self, attempt: str) -> AttemptStore:
        """State of an attempt that has begun; ProtocolError where it has not."""
        state = AttemptStore(self.path / "attempts" / _safe(attempt))
        if not state.exists:
            raise ProtocolError(
                "a message belongs to an attempt that was never described to this institution; run the study again"
            )
        return state

    def knows(self, attempt: str) -> bool:
        """Whether an attempt has begun here."""
        return AttemptStore(self.path / "attempts" / _safe(attempt)).exists

    def begin(self, attempt: str, begun: Begun) -> AttemptStore:
        """Begin an attempt. The same id with the same content goes on; with other content it is refused."""
        state = AttemptStore(self.path / "attempts" / _safe(attempt))
        if state.exists:
            if state.load(Begun) != begun:
                raise ProtocolError("an attempt's id was used before for another study; start a new attempt")
            return state
        self.forget_old()
        state.create(begun)
        return state

    def forget_old(self) -> None:
        """Forget attempts of more than a day ago that nobody closed: a hub that was killed sends no last message.

        When another attempt begins, and every hour where a node serves (clients/forgetting).
        """
        for folder in (self.path / "attempts").glob("*"):
            state = AttemptStore(folder)
            if state.exists and time.time() - state.touched > OLD_SECONDS:
                if not state.over:
                    state.forget_secrets()
                state.drop_answer()

    def open_attempts(self) -> list[AttemptStore]:
        """Attempts that have begun here and are not over, without those that have been silent for long."""
        found = [AttemptStore(folder) for folder in sorted((self.path / "attempts").glob("*"))]
        return [s for s in found if s.exists and not s.over and time.time() - s.touched <= OLD_SECONDS]

    def results(self, attempt: str) -> Path:
        """Folder for what the institution keeps for itself of an attempt."""
        folder = self.path / "results" / _safe(attempt)
        try:
            make_folders(folder)
        except OSError as error:
            raise StoreError(
                f"{folder} cannot be made: {error.strerror}; check path, space and permissions"
            ) from None
        return folder

    def can_keep_results(self) -> None:
        """StoreError where no results could be written: asked before a study is paid for.

        A store for reading is looked at, and nothing is written to it.
        """
        folder = self.path / "results"
        if not self._make:
            place = _nearest(folder)
            if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
                raise StoreError(
                    f"{folder} cannot be written: {place} is no folder, or not yours to write; results are kept there"
                )
            return
        write_atomic(folder / ".writable", b"")
        with contextlib.suppress(OSError):
            (folder / ".writable").unlink()

    def has_room(self, size: int) -> None:
        """StoreError where the store's disk is read-only, or has not ``size`` bytes left; writes nothing."""
        place = _nearest(self.path)
        try:
            free = shutil.disk_usage(place).free
        except OSError as error:
            raise StoreError(
                f"store {self.path} cannot be looked at: {error.strerror}; check its disk"
            ) from None
        if not os.access(place, os.W_OK):
            raise StoreError(
                f"store {self.path} cannot be written: {place} is read-only or belongs to another user; charges, trail "
                "and results are kept there"
            )
        if free < size:
            raise StoreError(
                f"store {self.path} has {free >> 10:,} kB left on its disk, and what is kept of a study may need "
                f"{size >> 10:,} kB; free space there"
            )

    def put_result(self, attempt: str, name: str, content: bytes) -> None:
        """Keep a file in that folder, whole or not at all."""
        write_atomic(self.results(attempt) / name, content)

    @contextlib.contextmanager
    def one_at_a_time(self) -> Iterator[None]:
        """Messages to an institution are served one after the other, by whichever process.

        The state of an attempt is read, changed and written as a whole.
        """
        if not (self._make or self.path.is_dir()):
            yield
            return
        with contextlib.ExitStack() as stack:
            try:
                lock = stack.enter_context(private_append(self.path / ".lock"))
                self._wait_for(lock)
            except OSError as error:
                raise StoreError(
                    f"{self.path / '.lock'} cannot be locked: {error.strerror}; remove it, nothing is kept in it"
                ) from None
            yield

    @contextlib.contextmanager
    def own_work(self) -> Iterator[None]:
        """What the institution makes for itself of studies is made by one process at a time, while others serve."""
        self._refuse_making()
        try:
            lock = locked(self.path / ".own.lock")
            lock.__enter__()
        except OSError as error:
            raise StoreError(
                f"{self.path / '.own.lock'} cannot be locked: {error.strerror}; remove it, nothing is kept in it"
            ) from None
        try:
            yield
        finally:
            lock.__exit__(None, None, None)

    def _wait_for(self, lock: int) -> None:
        """Take the lock; say so where another process keeps it for long."""
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            told = "store %s is in use by another process, perhaps a study; waiting until it is free"
            timer = threading.Timer(
                WAIT_SECONDS, logging.getLogger("fedrisk").warning, args=(told, self.path)
            )
            timer.daemon = True
            timer.start()
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
            finally:
                timer.cancel()


def _nearest(folder: Path) -> Path:
    """The folder, or what is there of those above it."""
    return next(place for place in (folder, *folder.parents) if place.exists())


def fingerprint_of(public: bytes) -> str:
    """Short name of an institution's public key (32 bytes): half of its SHA-256, hexadecimal."""
    return hashlib.sha256(public).hexdigest()[:32]


def _safe(attempt: str) -> str:
    if not (attempt.isascii() and attempt.isalnum() and 8 <= len(attempt) <= 64):
        raise ProtocolError("an attempt's id must be 8 to 64 letters or digits; the hub draws it at random")
    return attempt
