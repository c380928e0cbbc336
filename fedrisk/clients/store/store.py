"""The node's own disk: keys, pins, ledger, pseudonyms, and the state of each attempt at a study.

Flower's contexts live in memory and for one run only, and a message may be served by a new process each
time. So whatever an institution has to remember is in files of its own, in a folder that only it can
read:

    identity.key        Ed25519 key of the institution
    pins.json           pinned keys of the hub and of the other institutions, written at registration
    epochs/             key of the pseudonyms by epoch, EPOCH.voprf (key authority only)
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
"""

import contextlib
import fcntl
import hashlib
import json
import os
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedrisk.alignment.oprf import new_key
from fedrisk.alignment.quota import Quota
from fedrisk.audit.signed_head import read_head
from fedrisk.clients.store.attempt_store import AttemptStore, Begun
from fedrisk.clients.store.pseudonym_store import PseudonymStore
from fedrisk.errors import EnvelopeError, FedriskError, ProtocolError, StoreError
from fedrisk.files import make_folders, private_append, private_file, private_folder, write_atomic
from fedrisk.privacy.ledger.caps import Caps
from fedrisk.privacy.ledger.ledger import Ledger
from fedrisk.secure.identity import IdentityKey
from fedrisk.secure.pins import Pins

OLD_SECONDS = 24 * 3600
"""After so long without a message an attempt is taken for dead."""

Ids = Sequence[str] | NDArray[np.object_]


class NodeStore:
    """One institution's folder. All errors of the disk are StoreError and name the folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
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
        if not file.exists() and (self.path / "pins.json").exists():
            raise StoreError(
                f"{file} is gone, and others have pinned it; put it back from its copy, or register a new key with them"
            )
        if not file.exists():
            IdentityKey.generate().save(file)
        return IdentityKey.load(file)

    @property
    def pins(self) -> Pins:
        """Pinned keys; EnvelopeError where the institution was never registered with others."""
        file = self.path / "pins.json"
        if not file.exists():
            raise EnvelopeError(f"{file} does not exist; register the institutions with each other first")
        return Pins.from_json(file.read_text())

    def pin(self, hub: bytes, institutions: Mapping[str, bytes]) -> None:
        """Add keys to the pins, of the hub its identity; EnvelopeError where one differs from the one pinned before.

        A file of an older version pins no identity of the hub; it is added here, once.
        """
        file = self.path / "pins.json"
        old = self.pins if file.exists() else Pins(hub, {})
        new = old.with_new(hub, institutions, file)
        if new != old or not file.exists():
            write_atomic(file, new.to_json().encode())

    def ledger(self, caps: Caps | float) -> Ledger:
        """The privacy ledger under its caps. Made until the node is registered; a lost one is an error after that."""
        return Ledger(self.path / "ledger.sqlite", caps, create=not (self.path / "pins.json").exists())

    def refuse_lost_trail(self) -> None:
        """StoreError where there is no audit trail, or an empty one, though attempts or files beside it show one."""
        file = self.path / "audit.jsonl"
        if file.exists() and file.stat().st_size:
            return
        head = read_head(file)
        beside = any(self.path.glob("audit.jsonl.*/*.json")) or (head is not None and head.count > 0)
        if beside or any((self.path / "attempts").glob("*/Begun.json")):
            raise StoreError(
                f"the audit trail {file} is gone or empty, and this institution was in studies. Nothing is charged or "
                "released without it: put it back with the files beside it; if there is no copy, 'fedrisk audit "
                "restore FILE --reason TEXT' begins a new one"
            )

    @property
    def quota(self) -> Quota:
        """Evaluations granted, at the key authority."""
        file = self.path / "quota.sqlite"
        # SQLite makes a file as the umask says, and its journals as the file is.
        private_file(file)
        return Quota(file)

    def fingerprint(self, name: str) -> str:
        """Short name of an institution's pinned key, under which its quota of evaluations is kept."""
        return hashlib.sha256(self.pins.of(name)).hexdigest()[:32]

    def authority_key(self, epoch: str) -> bytes:
        """Key of the pseudonyms of an epoch, at the key authority; made on first use.

        A key serves one function alone: EPOCH.key, which an older version used in RFC 9497's mode 0x00, is not used.
        """
        file = self.path / "epochs" / f"{epoch}.voprf"
        if not file.exists():
            write_atomic(file, new_key(), replace=False)
        return file.read_bytes()

    @property
    def pseudonyms(self) -> PseudonymStore:
        """Pseudonyms, sides of the split and scored enterprises, by id."""
        return PseudonymStore(self.path)

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
        self._forget_old()
        state.create(begun)
        return state

    def _forget_old(self) -> None:
        """Forget attempts of more than a day ago that nobody closed: a hub that was killed sends no last message."""
        for folder in (self.path / "attempts").glob("*"):
            state = AttemptStore(folder)
            if state.exists and not state.over and time.time() - state.touched > OLD_SECONDS:
                state.forget_secrets()

    def results(self, attempt: str) -> Path:
        """Folder for what the institution keeps for itself of an attempt."""
        folder = self.path / "results" / _safe(attempt)
        make_folders(folder)
        return folder

    def put_result(self, attempt: str, name: str, content: bytes) -> None:
        """Keep a file in that folder, whole or not at all."""
        write_atomic(self.results(attempt) / name, content)

    @contextlib.contextmanager
    def one_at_a_time(self) -> Iterator[None]:
        """Messages to an institution are served one after the other, by whichever process.

        The state of an attempt is read, changed and written as a whole.
        """
        with private_append(self.path / ".lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def log_error(self, attempt: str, action: str, error: BaseException) -> None:
        """Keep an error's full text at home; an unforeseen error with its traceback, a foreseen one without."""
        text = str(error) if isinstance(error, FedriskError) else "".join(traceback.format_exception(error))
        entry = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "attempt": attempt,
            "action": action,
            "code": error.code if isinstance(error, FedriskError) else "internal",
            "text": text,
        }
        with private_append(self.path / "errors.log") as log:
            os.write(log, (json.dumps(entry) + "\n").encode())

    def errors(self, attempt: str) -> list[dict[str, str]]:
        """Errors of one attempt, oldest first."""
        file = self.path / "errors.log"
        if not file.exists():
            return []
        entries = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        return [e for e in entries if e["attempt"] == attempt]


def _safe(attempt: str) -> str:
    if not (attempt.isascii() and attempt.isalnum() and 8 <= len(attempt) <= 64):
        raise ProtocolError("an attempt's id must be 8 to 64 letters or digits; the hub draws it at random")
    return attempt
