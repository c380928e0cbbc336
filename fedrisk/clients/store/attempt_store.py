"""What a node remembers of one attempt at a study, on its disk and, while it stays alive, in memory.

Small facts are frozen dataclasses, one of a kind, each saved and loaded whole; arrays and secrets have files of their
own. Everything is written through at once, so that a new process finds it.
"""

import json
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from fedrisk.errors import ProtocolError, StoreError
from fedrisk.files import damaged, make_folders, read_kept, reserve, write_atomic
from fedrisk.protocol.payload import Payload, packed_parts, unpack

State = TypeVar("State")
Made = TypeVar("Made")

_OVER = "over"
_AGAIN = "run the study again"
_RESERVE = "reserve"
_ANSWER = "last.answer"


@dataclass(frozen=True, kw_only=True)
class Begun:
    """What an attempt is about: the study as it was described, and the seed of a research run."""

    study: dict[str, Any]
    research_seed: int | None


@dataclass(frozen=True, kw_only=True)
class Since:
    """When an attempt began here, UTC in ISO 8601: times of files change when a store is copied."""

    time: str


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The last request of the attempt: its action and digest; answer: digest of its answer, once that is kept."""

    action: str
    digest: str
    answer: str = ""


@dataclass(frozen=True, kw_only=True)
class Owed:
    """What has to outlive an attempt until its result is in the institution's store and was read back.

    after: the file whose coming means that the result can be made. arrays, secrets: what it is made from; secrets that
    are named here open nothing that others sent.
    """

    after: str
    arrays: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()


_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {}


def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


@lru_cache(maxsize=64)
def _parsed(kind: type[Any], content: bytes) -> Any:
    """A state from its file's content. States are frozen, so that the one of the message before serves again.

    A plan is read with every message, and takes milliseconds to check. ValidationError where it is damaged.
    """
    return _adapter(kind).validate_json(content)


def _dump(state: Any) -> bytes:
    # Python's JSON has infinity, which a plan without privacy holds; reading it back accepts it.
    return json.dumps(_adapter(type(state)).dump_python(state), separators=(",", ":")).encode()


class AttemptStore:
    """One attempt's folder. All errors of the disk are StoreError and name the folder."""

    # Shared on purpose, one process per node or engine: arrays by attempt, cached things by store.
    _arrays: dict[tuple[str, str], NDArray[Any]] = {}  # noqa: RUF012
    _cached: dict[tuple[str, str], tuple[str, Any, Any]] = {}  # noqa: RUF012

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._states: dict[type[Any], Any] = {}

    @property
    def exists(self) -> bool:
        """Whether the attempt has begun."""
        return (self.folder / "Begun.json").exists()

    @property
    def over(self) -> bool:
        """Whether the attempt has ended here."""
        return (self.folder / _OVER).exists()

    @property
    def touched(self) -> float:
        """When the attempt's facts last changed, in seconds since the epoch."""
        return max((file.stat().st_mtime for file in self.folder.glob("*.json")), default=0.0)

    @property
    def id(self) -> str:
        """The attempt's id."""
        return self.folder.name

    def create(self, begun: Begun) -> None:
        """Begin."""
        try:
            make_folders(self.folder / "secrets")
        except OSError as error:
            raise StoreError(f"store {self.folder} cannot be made: {error.strerror}; free space") from None
        self.save(Since(time=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")))
        self.save(begun)

    def save(self, state: Any) -> None:
        """Write a state whole, in the place of an earlier one of its kind; ``state`` is a dataclass."""
        kind = type(state)
        write_atomic(self.folder / f"{kind.__name__}.json", _dump(state))
        self._states[kind] = state

    def load(self, kind: type[State]) -> State:
        """The state of that kind; ProtocolError where an earlier exchange should have made it."""
        found = self.find(kind)
        if found is None:
            raise ProtocolError(
                "a message came out of order: an earlier exchange of this attempt is missing here; "
                "run the study again"
            )
        return found

    def find(self, kind: type[State]) -> State | None:
        """The state of that kind, or None; StoreError where its file is damaged."""
        if kind not in self._states:
            file = self.folder / f"{kind.__name__}.json"
            if not file.exists():
                return None
            try:
                self._states[kind] = _parsed(cast(Any, kind), file.read_bytes())
            except (ValidationError, OSError):
                raise StoreError(f"{file} is damaged or of another version; run the study again") from None
        found: State = self._states[kind]
        return found

    def put_message(self, name: str, content: bytes) -> None:
        """Keep what was told or answered, sealed or public: a part of the view, an answer that is given again."""
        write_atomic(self.folder / f"{name}.message", content)

    def message(self, name: str) -> bytes | None:
        """What was told or answered before, or None."""
        file = self.folder / f"{name}.message"
        return read_kept(file, _AGAIN) if file.exists() else None

    def keep_answer(self, asked: Asked, answer: Payload) -> None:
        """Keep the answer to the last request, in the place of the one before: the same bytes are given again."""
        write_atomic(self.folder / _ANSWER, packed_parts(answer))
        self.save(replace(asked, answer=answer.digest()))

    def kept_answer(self, asked: Asked) -> Payload | None:
        """The answer that was kept for exactly this request, or None: also where its file is damaged."""
        last = self.find(Asked)
        if last is None or not last.answer or (last.action, last.digest) != (asked.action, asked.digest):
            return None
        try:
            answer = unpack((self.folder / _ANSWER).read_bytes())
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return answer if answer.digest() == last.answer else None

    def drop_answer(self) -> None:
        """Forget the kept answer, for good; StoreError where it cannot be deleted."""
        try:
            (self.folder / _ANSWER).unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{self.folder} cannot be changed: {error.strerror}") from None

    def put(self, name: str, array: NDArray[Any]) -> None:
        """Keep an array; ProtocolError once the attempt is over."""
        self.still_runs()
        draft = self.folder / f".{name}.npy"
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                np.save(file, array, allow_pickle=False)
            os.replace(draft, self.folder / f"{name}.npy")
        except OSError as error:
            raise StoreError(f"store {self.folder} cannot be written: {error.strerror}; free space") from None
        AttemptStore._arrays[(str(self.folder), name)] = array

    def get(self, name: str) -> NDArray[Any]:
        """A kept array; ProtocolError where an earlier exchange should have made it."""
        key = (str(self.folder), name)
        if key not in AttemptStore._arrays:
            file = self.folder / f"{name}.npy"
            if not file.exists():
                raise ProtocolError(f"{name} was never received in this attempt; run the study again")
            try:
                AttemptStore._arrays[key] = np.load(file, allow_pickle=False)
            except (ValueError, OSError, EOFError):
                raise damaged(file, _AGAIN) from None
        return AttemptStore._arrays[key]

    def has(self, name: str) -> bool:
        """Whether an array of that name is kept."""
        return (self.folder / f"{name}.npy").exists()

    def cached(self, name: str, version: Any, make: Callable[[], Made]) -> Made:
        """What ``make`` makes of the attempt's records, kept in memory.

        Kept until the attempt is over, ``version`` is another one, or another attempt at this institution needs its
        own: two of a kind would only fill the memory.
        """
        key, mine = (str(self.folder.parent), name), str(self.folder)
        kept = AttemptStore._cached.get(key)
        if kept is None or (kept[0], kept[1]) != (mine, version):
            AttemptStore._cached.pop(key, None)
            kept = AttemptStore._cached[key] = (mine, version, make())
        made: Made = kept[2]
        return made

    @classmethod
    def drop_cached(cls) -> None:
        """Forget what is in memory, of all attempts; it is read again where it is needed."""
        cls._cached.clear()
        cls._arrays.clear()

    def put_secret(self, name: str, value: bytes) -> None:
        """Keep a secret until :meth:`forget_secrets`; ProtocolError once the attempt is over."""
        self.still_runs()
        write_atomic(self.folder / "secrets" / name, value)

    def has_secret(self, name: str) -> bool:
        """Whether a secret of that name is kept."""
        return (self.folder / "secrets" / name).exists()

    def secret(self, name: str) -> bytes:
        """A kept secret; ProtocolError where there is none (any more)."""
        file = self.folder / "secrets" / name
        if not file.exists():
            raise ProtocolError(
                "the secrets of this attempt are deleted or were never made; run the study again"
            )
        return read_kept(file, _AGAIN)

    def keep_until_settled(self, owed: Owed, room: int) -> None:
        """Say, before anything is paid, what a result will be made from; keep ``room`` bytes of the disk for it."""
        self.still_runs()
        self.save(owed)
        reserve(self.folder / _RESERVE, room)

    @property
    def owed(self) -> Owed | None:
        """What a result can be made from that is not there yet; None where there is none, or it is there."""
        owed = self.find(Owed)
        return owed if owed is not None and (self.folder / owed.after).exists() else None

    def settle(self) -> None:
        """The result was read back: nothing has to outlive the attempt any more."""
        self._states.pop(Owed, None)
        try:
            (self.folder / f"{Owed.__name__}.json").unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{self.folder} cannot be changed: {error.strerror}") from None
        self.give_back_room()
        if self.over:
            self.forget_secrets()

    def give_back_room(self) -> bool:
        """Let go of the room that was kept on the disk; whether there was any."""
        try:
            (self.folder / _RESERVE).unlink()
        except OSError:
            return False
        return True

    def forget_secrets(self) -> None:
        """Delete keys, seeds, arrays and what is cached, so that nothing sealed in the attempt can be opened later.

        What a result is still owed from stays until :meth:`settle`, in memory as well.
        """
        self.give_back_room()
        try:
            owed = self.owed
        except StoreError:
            # A damaged note of what is owed keeps nothing.
            owed = None
        kept = set() if owed is None else {self.folder / "secrets" / name for name in owed.secrets}
        kept |= set() if owed is None else {self.folder / f"{name}.npy" for name in owed.arrays}
        names = () if owed is None else owed.arrays
        for key in [k for k in AttemptStore._arrays if k[0] == str(self.folder) and k[1] not in names]:
            del AttemptStore._arrays[key]
        mine = [k for k, entry in AttemptStore._cached.items() if entry[0] == str(self.folder)]
        for key in mine if owed is None else ():
            del AttemptStore._cached[key]
        try:
            # Deleting first: a full disk does not take a mark, but lets files go.
            for file in [*(self.folder / "secrets").glob("*"), *self.folder.glob("*.npy")]:
                if file not in kept:
                    file.unlink()
            if (self.folder / "secrets").exists() and not any((self.folder / "secrets").iterdir()):
                (self.folder / "secrets").rmdir()
        except OSError as error:
            raise StoreError(
                f"secrets in {self.folder} could not be deleted ({error.strerror}); delete the folder by hand"
            ) from None
        finally:
            if not self.over:
                write_atomic(self.folder / _OVER, b"")

    def still_runs(self) -> None:
        """ProtocolError once the attempt is over."""
        if self.over:
            raise ProtocolError("a message came for an attempt that is over; run the study again")

    def row_order(self, rows: int) -> NDArray[np.int64]:
        """A secret random order of the institution's rows, fixed for the attempt.

        Rows are named by their place in this order, so that a place says nothing about an id.
        """
        if not (self.folder / "secrets" / "rows").exists():
            self.put_secret("rows", secrets.token_bytes(32))
        generator = np.random.Generator(
            np.random.Philox(key=int.from_bytes(self.secret("rows")[:16], "little"))
        )
        return generator.permutation(rows)
