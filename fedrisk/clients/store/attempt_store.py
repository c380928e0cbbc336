"""What a node remembers of one attempt at a study, on its disk and, while it stays alive, in memory."""

import json
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fedrisk.errors import ProtocolError, StoreError
from fedrisk.files import write_atomic

Held = TypeVar("Held")


class AttemptState:
    """What a node remembers of one attempt: small facts by key, arrays and secrets by name.

    Facts are written through at every change, so that a new process finds them. Arrays that were just
    written or read are kept in memory as well, for nodes that stay alive, and so are a few larger things (:meth:`held`).
    """

    # Shared on purpose, one process a node or engine: arrays by attempt, held things by store.
    _arrays: dict[tuple[str, str], NDArray[Any]] = {}  # noqa: RUF012
    _held: dict[tuple[str, str], tuple[str, Any, Any]] = {}  # noqa: RUF012

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._facts: dict[str, Any] = {}
        if self.exists:
            self._facts = json.loads((folder / "state.json").read_text())

    @property
    def exists(self) -> bool:
        """Whether the attempt has begun."""
        return (self.folder / "state.json").exists()

    @property
    def id(self) -> str:
        """The attempt's id."""
        return self.folder.name

    def create(self, facts: Mapping[str, Any]) -> None:
        """Begin with these facts."""
        (self.folder / "secrets").mkdir(parents=True, exist_ok=True, mode=0o700)
        self.update(**facts)

    def update(self, **facts: Any) -> None:
        """Set facts and write them."""
        self._facts.update(facts)
        write_atomic(self.folder / "state.json", json.dumps(self._facts).encode())

    def __getitem__(self, key: str) -> Any:
        try:
            return self._facts[key]
        except KeyError:
            raise ProtocolError(
                "a message came out of order: an earlier exchange of this attempt is missing here; "
                "run the study anew"
            ) from None

    def __contains__(self, key: str) -> bool:
        return key in self._facts

    @property
    def facts(self) -> Mapping[str, Any]:
        """All facts."""
        return self._facts

    def put_answer(self, name: str, content: bytes) -> None:
        """Keep what was answered, sealed or public, so that the same question gets the same bytes."""
        write_atomic(self.folder / f"{name}.answer", content)

    def answer(self, name: str) -> bytes | None:
        """What was answered before, or None."""
        file = self.folder / f"{name}.answer"
        return file.read_bytes() if file.exists() else None

    def put(self, name: str, array: NDArray[Any]) -> None:
        """Keep an array; ProtocolError once the attempt is over."""
        self.still_runs()
        draft = self.folder / f".{name}.npy"
        try:
            np.save(draft, array, allow_pickle=False)
            os.replace(draft, self.folder / f"{name}.npy")
        except OSError as error:
            raise StoreError(f"store {self.folder} cannot be written: {error.strerror}; free space") from None
        AttemptState._arrays[(str(self.folder), name)] = array

    def get(self, name: str) -> NDArray[Any]:
        """A kept array; ProtocolError where an earlier exchange should have made it."""
        key = (str(self.folder), name)
        if key not in AttemptState._arrays:
            file = self.folder / f"{name}.npy"
            if not file.exists():
                raise ProtocolError(f"{name} was never received in this attempt; run the study anew")
            AttemptState._arrays[key] = np.load(file, allow_pickle=False)
        return AttemptState._arrays[key]

    def has(self, name: str) -> bool:
        """Whether an array of that name is kept."""
        return (self.folder / f"{name}.npy").exists()

    def held(self, name: str, version: Any, make: Callable[[], Held]) -> Held:
        """What ``make`` makes of the attempt's records, kept in memory: until the attempt is over, ``version`` is another
        one, or another attempt at this institution needs its own, since two of a kind would only fill the memory."""
        key, mine = (str(self.folder.parent), name), str(self.folder)
        kept = AttemptState._held.get(key)
        if kept is None or (kept[0], kept[1]) != (mine, version):
            AttemptState._held.pop(key, None)
            kept = AttemptState._held[key] = (mine, version, make())
        made: Held = kept[2]
        return made

    def put_secret(self, name: str, value: bytes) -> None:
        """Keep a secret until :meth:`forget_secrets`; ProtocolError once the attempt is over."""
        self.still_runs()
        write_atomic(self.folder / "secrets" / name, value)

    def secret(self, name: str) -> bytes:
        """A kept secret; ProtocolError where there is none (any more)."""
        file = self.folder / "secrets" / name
        if not file.exists():
            raise ProtocolError(
                "the secrets of this attempt are deleted or were never made; run the study anew"
            )
        return file.read_bytes()

    def forget_secrets(self) -> None:
        """Delete keys, seeds, arrays and what is held of the attempt, so that nothing sealed then can be opened later."""
        for key in [k for k in AttemptState._arrays if k[0] == str(self.folder)]:
            del AttemptState._arrays[key]
        for key in [k for k, kept in AttemptState._held.items() if kept[0] == str(self.folder)]:
            del AttemptState._held[key]
        try:  # deleting first: a full disk does not take a mark, but lets files go
            for file in [*(self.folder / "secrets").glob("*"), *self.folder.glob("*.npy")]:
                file.unlink()
            if (self.folder / "secrets").exists():
                (self.folder / "secrets").rmdir()
        except OSError as error:
            raise StoreError(
                f"secrets in {self.folder} could not be deleted ({error.strerror}); delete the folder by hand"
            ) from None
        finally:
            if "over" not in self:
                self.update(over=True)

    def still_runs(self) -> None:
        """ProtocolError once the attempt is over."""
        if "over" in self:
            raise ProtocolError("a message came for an attempt that is over; run the study anew")

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
