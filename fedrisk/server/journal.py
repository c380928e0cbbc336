"""What the hub keeps of an attempt on its disk, so that a run that was stopped goes on, whatever its recipe.

    runs/ATTEMPT/journal/begun              the study as it was asked for and as it is run, kind of run
    runs/ATTEMPT/journal/seed               what the hub draws in the attempt follows from it
    runs/ATTEMPT/journal/NNN-ACTION-NAME    an answer as it came, written before it is used
    runs/ATTEMPT/journal/NNN-ACTION.done    who answered exchange NNN, once it is over
    runs/ATTEMPT/journal/NAME.result        what a part of the run came to; answers that led to it are deleted

To go on, the hub runs its part again from the start: exchanges that are done return at once, the first that is not is
sent to those who are missing, with the same bytes as before. Nodes answer the same request with the same bytes
(clients/resend), so nothing is charged twice.

The answers in it are what the hub received anyway: noisy sums under masks, and envelopes that it cannot open. One thing
the hub could open is never written: pseudonyms, sealed for a key that lives in memory alone. The alignment is kept as
what it came to, the order of rows. A run that is stopped before that begins anew, under a new attempt: nobody was
charged yet. A journal goes when its study ends, or after a day, as nodes forget an attempt.
"""

import json
import secrets
import shutil
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedrisk.errors import ConfigError, StoreError
from fedrisk.files import private_folder, read_kept, write_atomic
from fedrisk.protocol.payload import Blob, Payload, blob_from, packed_parts
from fedrisk.server.envelope_file import LEAST
from fedrisk.server.hub import Hub
from fedrisk.study import Study

KEPT_SECONDS = 24 * 3600
"""As long as institutions keep an attempt that nobody closed."""

ALIGNED = "aligned"
"""Name of the first result: from then on an attempt can go on."""

_AGAIN = "run the study again, without --resume"


@dataclass(frozen=True)
class Kept:
    """An answer in the journal. received: bytes of the request that it answers."""

    answer: Payload
    received: int


@dataclass(frozen=True)
class Journal:
    """Folder of one attempt at the hub."""

    path: Path

    @classmethod
    def of(cls, hub: Hub, attempt: str) -> "Journal":
        """Where an attempt's journal lies."""
        return cls(hub.path / "runs" / attempt / "journal")

    @classmethod
    def latest(
        cls, hub: Hub, study: Study, research_seed: int | None, attempt: str | None = None
    ) -> "Journal":
        """The newest one of the same study, or that of an attempt; ConfigError where institutions know it no more."""
        found = []
        for begun in (hub.path / "runs").glob(f"{attempt or '*'}/journal/begun"):
            journal = cls(begun.parent)
            asked = (study.as_asked.digest(), research_seed)
            same = (journal.begun["asked"], journal.begun["research_seed"]) == asked
            if same and journal.age < KEPT_SECONDS:
                found.append((journal.age, journal))
        if not found:
            raise ConfigError(
                f"no run of study {study.name} of the last day can be resumed from {hub.path}; "
                "run it again, without --resume"
            )
        return min(found, key=lambda pair: pair[0])[1]

    @property
    def attempt(self) -> str:
        """The attempt."""
        return self.path.parent.name

    @property
    def age(self) -> float:
        """Seconds since something was last entered."""
        return time.time() - max((f.stat().st_mtime for f in self.path.glob("*")), default=0.0)

    def begin(self, asked: Study, study: Study, research_seed: int | None) -> None:
        """Begin, or go on. Journals that nobody can resume any more are deleted."""
        drop_old(self.path.parent.parent, self)
        if not (self.path / "seed").exists():
            self._write("seed", secrets.token_bytes(32))
        about = {
            "asked": asked.as_asked.digest(),
            "content": study.model_dump(mode="json"),
            "research_seed": research_seed,
        }
        if not (self.path / "begun").exists():
            self._write("begun", json.dumps(about).encode())

    @property
    def begun(self) -> dict[str, Any]:
        """What :meth:`begin` kept; StoreError where that is damaged."""
        try:
            content: dict[str, Any] = json.loads(read_kept(self.path / "begun", _AGAIN))
            return {key: content[key] for key in ("asked", "content", "research_seed")}
        except (ValueError, KeyError, TypeError):
            raise StoreError(f"{self.path / 'begun'} is damaged; {_AGAIN}") from None

    @property
    def seed(self) -> bytes:
        """32 secret bytes, from which the hub's draws in the attempt follow."""
        seed = read_kept(self.path / "seed", _AGAIN)
        if len(seed) != 32:
            raise StoreError(f"{self.path / 'seed'} is damaged; {_AGAIN}")
        return seed

    @property
    def can_go_on(self) -> bool:
        """Whether the attempt can go on where it was; institutions forget it after a day."""
        return (self.path / f"{ALIGNED}.result").exists() and self.age < KEPT_SECONDS

    def keep(self, number: int, action: str, name: str, kept: Kept) -> Payload:
        """Keep an answer, and return it, with its blobs left on the disk where they are large."""
        file = self._answer(number, action, name)
        about = json.dumps({"received": kept.received, "digest": kept.answer.digest()}).encode()
        self._write(file.name, [len(about).to_bytes(8, "big"), about, *packed_parts(kept.answer)])
        large = any(isinstance(b, bytes) and len(b) >= LEAST for b in kept.answer.blobs.values())
        return _opened(file, 8 + len(about)) if large else kept.answer

    def kept(self, number: int, action: str, names: Collection[str]) -> dict[str, Kept]:
        """Answers of these institutions that were kept; one whose file is damaged was not."""
        out: dict[str, Kept] = {}
        for name in names:
            file = self._answer(number, action, name)
            if file.exists():
                found = _checked(file)
                out |= {} if found is None else {name: found}
        return out

    def keep_done(self, number: int, action: str, names: Collection[str], view: str) -> None:
        """Enter that an exchange is over, with whom of it goes on, and the common view as it was."""
        content = {"names": sorted(names), "view": view}
        self._write(f"{number:03d}-{action}.done", json.dumps(content).encode())

    def done(self, number: int, action: str, view: str) -> list[str] | None:
        """Who answered an exchange that is over, or None; ConfigError where this run is not the one that made it."""
        file = self.path / f"{number:03d}-{action}.done"
        if not file.exists():
            if any(self.path.glob(f"{number:03d}-*.done")):
                raise _other_version(self.path)
            return None
        content = json.loads(read_kept(file, _AGAIN))
        if content["view"] != view:
            raise _other_version(self.path)
        return list(content["names"])

    def keep_result(self, name: str, result: Payload) -> None:
        """Keep what a part of the run came to."""
        self._write(f"{name}.result", packed_parts(result))

    def result(self, name: str) -> Payload | None:
        """What a part of the run came to, or None."""
        file = self.path / f"{name}.result"
        return _opened(file, 0) if file.exists() else None

    def forget(self, numbers: Sequence[int]) -> None:
        """Delete answers of exchanges whose result was kept."""
        for number in numbers:
            for file in self.path.glob(f"{number:03d}-*"):
                file.unlink(missing_ok=True)

    def drop(self) -> None:
        """The study has ended: nothing is left to go on from."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _answer(self, number: int, action: str, name: str) -> Path:
        return self.path / f"{number:03d}-{action}-{name}"

    def _write(self, name: str, content: bytes | Sequence[bytes | memoryview]) -> None:
        try:
            private_folder(self.path)
        except OSError as error:
            raise StoreError(f"the hub's store {self.path} cannot be made: {error.strerror}") from None
        write_atomic(self.path / name, content)


def drop_old(runs: Path, but: Journal | None = None) -> None:
    """Delete journals below a hub's ``runs`` that nobody can go on from any more: seeds, sums, sealed envelopes."""
    for found in runs.glob("*/journal"):
        other = Journal(found)
        if other != but and other.age > KEPT_SECONDS:
            other.drop()


def _other_version(path: Path) -> ConfigError:
    return ConfigError(
        f"the run in {path} was begun by another version of fedrisk, which computed other numbers; go on with that "
        f"version, or {_AGAIN}"
    )


def _checked(file: Path) -> Kept | None:
    try:
        with file.open("rb") as handle:
            size = int.from_bytes(handle.read(8), "big")
            about = json.loads(handle.read(size))
        answer = _opened(file, 8 + size)
        if answer.digest() != about["digest"]:
            return None
        return Kept(answer, int(about["received"]))
    except (OSError, ValueError, KeyError, TypeError, StoreError):
        return None


def _opened(file: Path, start: int) -> Payload:
    """A payload whose blobs are read from a file when they are asked for; large envelopes never fill the memory."""
    with file.open("rb") as handle:
        handle.seek(start)
        size = int.from_bytes(handle.read(8), "big")
        head = json.loads(handle.read(size))
    places, at = {}, start + 8 + size
    for name, kind, length in head["blobs"]:
        places[name] = (kind, at, length)
        at += length
    return Payload(head["body"], _Filed(file, places))


class _Filed(Mapping[str, Blob]):
    """Blobs in a file by name: kind, place, length."""

    def __init__(self, file: Path, places: Mapping[str, tuple[Any, int, int]]) -> None:
        self._file, self._places = file, places

    def __getitem__(self, name: str) -> Blob:
        kind, start, length = self._places[name]
        try:
            with self._file.open("rb") as handle:
                handle.seek(start)
                raw = handle.read(length)
        except OSError as error:
            raise StoreError(f"{self._file} cannot be read: {error.strerror}; {_AGAIN}") from None
        return blob_from(kind, raw)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, name: object) -> bool:  # the mixin's would read the blob
        return name in self._places
