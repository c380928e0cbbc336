"""The node's own disk: keys, pins, ledger, pseudonyms, and the state of each attempt at a study.

Flower's contexts live in memory and for one run only, and a message may be served by a new process each
time. So whatever an institution has to remember stands in files of its own, in a folder that only it can
read:

    identity.key        Ed25519 key of the institution
    pins.json           pinned keys of the hub and of the other institutions, written at registration
    epochs/             key of the pseudonyms by epoch (key authority only)
    pseudonyms/         own pseudonyms by epoch, so that only new enterprises cost anything
    pending/            requests to the key authority that were not answered yet
    sides/              who was trained on and who held out, by epoch
    audit.jsonl         audit trail, with its head and checkpoints beside it
    scored/             which enterprises were scored for which bank in which version (data holders)
    ledger.sqlite       privacy ledger;  quota.sqlite  evaluations granted (key authority only)
    attempts/ID/        state of one attempt: public facts in state.json, arrays in *.npy, secrets in secrets/
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
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fedrisk.alignment.oprf import new_key
from fedrisk.alignment.quota import Quota
from fedrisk.clients.store.attempt_store import AttemptState
from fedrisk.errors import EnvelopeError, FedriskError, ProtocolError, StoreError
from fedrisk.files import write_atomic
from fedrisk.privacy.ledger.caps import Caps
from fedrisk.privacy.ledger.ledger import Ledger
from fedrisk.secure.identity import IdentityKey

OLD_SECONDS = 24 * 3600
"""After so long without a message an attempt is taken for dead."""

Ids = Sequence[str] | NDArray[np.object_]


@dataclass(frozen=True)
class Pins:
    """Keys that were checked when the institutions registered with each other: never taken from a message.

    hub: X25519 public key of the hub. institutions: Ed25519 public keys by name.
    """

    hub: bytes
    institutions: Mapping[str, bytes]

    def of(self, name: str) -> bytes:
        """Pinned key of an institution; EnvelopeError where none is."""
        try:
            return self.institutions[name]
        except KeyError:
            raise EnvelopeError(
                f"no key is pinned for {name}; register the institutions with each other first"
            ) from None


class NodeStore:
    """One institution's folder. All errors of the disk are StoreError and name the folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
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
        content = json.loads(file.read_text())
        return Pins(
            bytes.fromhex(content["hub"]),
            {name: bytes.fromhex(key) for name, key in content["institutions"].items()},
        )

    def pin(self, hub: bytes, institutions: Mapping[str, bytes]) -> None:
        """Add keys to the pins; EnvelopeError where one differs from the key pinned before."""
        old = self.pins if (self.path / "pins.json").exists() else Pins(hub, {})
        changed = [n for n, k in institutions.items() if old.institutions.get(n, k) != k]
        if old.hub != hub:
            changed.append("the hub")
        if changed:
            raise EnvelopeError(
                f"the key of {', '.join(changed)} is not the one pinned in {self.path / 'pins.json'}; ask its "
                "owner whether it was renewed, and remove the pin by hand only then"
            )
        both = {**old.institutions, **institutions}
        if both != old.institutions:
            write_atomic(
                self.path / "pins.json",
                json.dumps(
                    {"hub": hub.hex(), "institutions": {n: k.hex() for n, k in sorted(both.items())}}
                ).encode(),
            )

    def ledger(self, caps: Caps | float) -> Ledger:
        """The privacy ledger under its caps. Made until the node is registered; a lost one is an error after that."""
        return Ledger(self.path / "ledger.sqlite", caps, create=not (self.path / "pins.json").exists())

    @property
    def quota(self) -> Quota:
        """Evaluations granted, at the key authority."""
        return Quota(self.path / "quota.sqlite")

    def fingerprint(self, name: str) -> str:
        """Short name of an institution's pinned key, under which its quota of evaluations is kept."""
        return hashlib.sha256(self.pins.of(name)).hexdigest()[:32]

    def authority_key(self, epoch: str) -> bytes:
        """Key of the pseudonyms of an epoch, at the key authority; made on first use."""
        file = self.path / "epochs" / f"{epoch}.key"
        if not file.exists():
            write_atomic(file, new_key(), replace=False)
        return file.read_bytes()

    def pseudonyms(self, tag: str, ids: Ids) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Kept pseudonyms for ids: ((n, 32), known (n,)); rows of unknown ids are zero."""
        found = np.zeros((len(ids), 32), np.uint8)
        kept = _read_columns(self._pseudonyms(tag), "id", "pseudonym")
        if kept is None:
            return found, np.zeros(len(ids), bool)
        place = _places(_texts(ids), kept["id"])
        known = place >= 0
        found[known] = _fixed_rows(kept["pseudonym"])[place[known]]
        return found, known

    def known_pseudonyms(self, tag: str, ids: Ids) -> NDArray[np.bool_]:
        """Which ids have a kept pseudonym, (n,), without reading the pseudonyms."""
        kept = _read_columns(self._pseudonyms(tag), "id")
        return np.zeros(len(ids), bool) if kept is None else _places(_texts(ids), kept["id"]) >= 0

    def keep_pseudonyms(self, tag: str, ids: Ids, values: NDArray[np.uint8]) -> None:
        """Add to the kept pseudonyms of an epoch; those of enterprises that left the table stay, they may return."""
        buffer = pa.py_buffer(np.ascontiguousarray(values).reshape(-1))
        column = pa.FixedSizeBinaryArray.from_buffers(pa.binary(32), len(ids), [None, buffer])
        new = {"id": _texts(ids), "pseudonym": column}
        _write_columns(self._pseudonyms(tag), _added(self._pseudonyms(tag), new))

    def _pseudonyms(self, tag: str) -> Path:
        return self.path / "pseudonyms" / f"{tag}.parquet"

    def keep_sides(self, tag: str, ids: Ids, side: NDArray[np.uint8]) -> None:
        """Remember on which side (0 training, 1 hold-out) enterprises were under an epoch's key."""
        file = self.path / "sides" / f"{tag}.parquet"
        new = {"id": _texts(ids), "side": pa.array(np.asarray(side, np.uint8))}
        _write_columns(file, _added(file, new))

    def earlier_sides(self, tag: str, ids: Ids) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which ids were held out, and which were trained on, under any other key: (n,) each."""
        held, trained = np.zeros(len(ids), bool), np.zeros(len(ids), bool)
        others = [f for f in sorted((self.path / "sides").glob("*.parquet")) if f.stem != tag]
        names = _texts(ids) if others else None
        for file in others:
            kept = _read_columns(file, "id", "side")
            if kept is not None:
                place = _places(names, kept["id"])
                side = np.append(kept["side"].to_numpy(zero_copy_only=False), 255)[
                    place
                ]  # 255: unknown, place -1
                held |= side == 1
                trained |= side == 0
        return held, trained

    def scored_versions(self, bank: str, since: date, ids: Ids, version: str) -> NDArray[np.int64]:
        """How many versions of its score a bank has of each enterprise, (n,): those after a day, and ``version``.

        A version that was given on several days counts once.
        """
        files: dict[str, list[Path]] = {}
        for file in sorted((self.path / "scored" / bank).glob("*.parquet")):
            if file.name[:10] > since.isoformat():
                files.setdefault(file.stem[11:], []).append(file)
        count = np.ones(len(ids), np.int64)
        others = [days for name, days in files.items() if name != version]
        names = _texts(ids) if others else None
        for days in others:
            given = np.zeros(len(ids), bool)
            for file in days:
                kept = _read_columns(file, "id")
                if kept is not None:
                    given |= _places(names, kept["id"]) >= 0
            count += given
        return count

    def keep_scored(self, bank: str, today: date, version: str, ids: Ids) -> None:
        """Remember that a bank gets a version of the scores of these enterprises."""
        file = self.path / "scored" / bank / f"{today.isoformat()}-{version}.parquet"
        _write_columns(file, _added(file, {"id": _texts(ids)}))

    def pending(self, tag: str, ids: Sequence[bytes]) -> tuple[bytes, bytes] | None:
        """(blinds, points) of a request for the same ids in the same order that was never answered, or None."""
        file = self.path / "pending" / tag
        if not file.exists():
            return None
        content = file.read_bytes()
        half = (len(content) - 32) // 2
        if content[:32] != _list_digest(ids) or half != 32 * len(ids):
            return None
        return content[32 : 32 + half], content[32 + half :]

    def keep_pending(self, tag: str, ids: Sequence[bytes], blinds: bytes, points: bytes) -> None:
        """Keep a request to the key authority until it is answered, so that asking again costs it nothing."""
        write_atomic(self.path / "pending" / tag, _list_digest(ids) + blinds + points)

    def drop_pending(self, tag: str) -> None:
        """Forget an answered request; its blinds are never used again."""
        (self.path / "pending" / tag).unlink(missing_ok=True)

    def attempt(self, attempt: str) -> AttemptState:
        """State of an attempt that has begun; ProtocolError where it has not."""
        state = AttemptState(self.path / "attempts" / _safe(attempt))
        if not state.exists:
            raise ProtocolError(
                "a message belongs to an attempt that was never described to this institution; run the study anew"
            )
        return state

    def knows(self, attempt: str) -> bool:
        """Whether an attempt has begun here."""
        return AttemptState(self.path / "attempts" / _safe(attempt)).exists

    def begin(self, attempt: str, content: Mapping[str, Any]) -> AttemptState:
        """Begin an attempt. The same id with the same content goes on; with other content it is refused."""
        state = AttemptState(self.path / "attempts" / _safe(attempt))
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        if state.exists:
            if state["digest"] != digest:
                raise ProtocolError("an attempt's id was used before for another study; start a new attempt")
            return state
        self._forget_old()
        state.create({"digest": digest, **content})
        return state

    def _forget_old(self) -> None:
        """Forget attempts of more than a day ago that nobody closed: a hub that was killed sends no last message."""
        for facts in (self.path / "attempts").glob("*/state.json"):
            state = AttemptState(facts.parent)
            if "over" not in state and time.time() - facts.stat().st_mtime > OLD_SECONDS:
                state.forget_secrets()

    def results(self, attempt: str) -> Path:
        """Folder for what the institution keeps for itself of an attempt."""
        folder = self.path / "results" / _safe(attempt)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder

    @contextlib.contextmanager
    def one_at_a_time(self) -> Iterator[None]:
        """Messages to an institution are served one after the other, by whichever process: the state of an attempt is
        read, changed and written as a whole."""
        with (self.path / ".lock").open("a") as lock:
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
        with (self.path / "errors.log").open("a", encoding="utf-8") as log:
            log.write(json.dumps(entry) + "\n")

    def errors(self, attempt: str) -> list[dict[str, str]]:
        """Errors of one attempt, oldest first."""
        file = self.path / "errors.log"
        if not file.exists():
            return []
        entries = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        return [e for e in entries if e["attempt"] == attempt]


# Lists of ids live in Arrow, not in Python objects or pandas: a million ids are looked up in a few tenths of a second.


def _texts(ids: Ids) -> Any:
    """Ids as one Arrow array of texts."""
    return pa.array(ids if isinstance(ids, np.ndarray) else list(ids), pa.large_string(), from_pandas=True)


def _places(wanted: Any, kept: Any) -> NDArray[np.int64]:
    """Where each wanted id stands among the kept ones, or -1: (n,)."""
    if len(wanted) == len(kept) and wanted.equals(kept):
        return np.arange(len(wanted))
    found = pc.fill_null(pc.index_in(wanted, value_set=kept), -1)
    return np.asarray(found.to_numpy(zero_copy_only=False), np.int64)


def _fixed_rows(column: Any) -> NDArray[np.uint8]:
    """A column of 32-byte values as (n, 32)."""
    column = column.cast(pa.binary(32))
    raw = np.frombuffer(column.buffers()[1], np.uint8)
    return raw[32 * column.offset : 32 * (column.offset + len(column))].reshape(-1, 32)


def _read_columns(file: Path, *names: str) -> dict[str, Any] | None:
    """Columns of a Parquet file of the store, each in one piece; None where there is no such file."""
    if not file.exists():
        return None
    table = pq.read_table(file, columns=list(names))
    columns = {name: table[name].combine_chunks() for name in names}
    return columns | {"id": columns["id"].cast(pa.large_string())}


def _added(file: Path, new: Mapping[str, Any]) -> Mapping[str, Any]:
    """New rows and those old ones whose ids are not among them."""
    old = _read_columns(file, *new)
    if old is None:
        return new
    stays = pc.invert(pc.is_in(old["id"], value_set=new["id"]))
    if not pc.any(stays).as_py():
        return new
    return {n: pa.concat_arrays([old[n].cast(v.type).filter(stays), v]) for n, v in new.items()}


def _write_columns(file: Path, columns: Mapping[str, Any]) -> None:
    """Write a Parquet file of the store, in the order of its ids, so that it is whole or as it was."""
    draft = file.with_suffix(f".{os.getpid()}")
    table = pa.table(dict(columns))
    # By id: the order of rows of an attempt is a secret, and ids in order compress.
    table = table.take(pc.sort_indices(table["id"]))
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        pq.write_table(table, draft, use_dictionary=False)
        os.replace(draft, file)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise StoreError(f"{file} cannot be written: {error.strerror}; check space and permissions") from None


def _list_digest(ids: Sequence[bytes]) -> bytes:
    return hashlib.sha256(b"".join(len(i).to_bytes(4, "big") + i for i in ids)).digest()


def _safe(attempt: str) -> str:
    if not (attempt.isascii() and attempt.isalnum() and 8 <= len(attempt) <= 64):
        raise ProtocolError("an attempt's id must be 8 to 64 letters or digits; the hub draws it at random")
    return attempt
