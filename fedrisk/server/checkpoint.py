"""What the hub keeps of a training on its disk, so that a run that was stopped goes on where it was.

Everything in it was released or is public: the study, who agreed, the order of rows (pseudonymous places, as
the hub knows them anyway), the noisy totals so far. The model of any step is redone from the totals, as all
arithmetic after a release is free. Institutions keep their side of an attempt for a day; after that, or once
the run has ended well, there is nothing to resume.
"""

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.errors import ConfigError, StoreError
from fedrisk.files import private_folder, write_atomic
from fedrisk.protocol.payload import Payload, pack, unpack
from fedrisk.server.hub import Hub
from fedrisk.study import Study

KEPT_SECONDS = 24 * 3600
"""As long as institutions keep an attempt that nobody closed."""


@dataclass(frozen=True)
class Checkpoint:
    """Folder of one attempt's training at the hub."""

    path: Path

    @classmethod
    def of(cls, hub: Hub, attempt: str) -> "Checkpoint":
        """Where an attempt's checkpoint lies."""
        return cls(hub.path / "checkpoints" / attempt)

    @classmethod
    def latest(cls, hub: Hub, study: Study, research_seed: int | None) -> "Checkpoint":
        """The newest one of the same study; ConfigError where there is none that institutions still know."""
        found = []
        for state in (hub.path / "checkpoints").glob("*/begun"):
            begun = unpack(state.read_bytes()).body
            age = time.time() - state.parent.stat().st_mtime
            same = (begun["asked"], begun["research_seed"]) == (study.digest(), research_seed)
            if same and age < KEPT_SECONDS:
                found.append((age, state.parent))
        if not found:
            raise ConfigError(
                f"no training of study {study.name} of the last day can be resumed from {hub.path}; "
                "run it again, without --resume"
            )
        return cls(min(found)[1])

    @property
    def attempt(self) -> str:
        """The attempt that goes on."""
        return self.path.name

    def begin(self, content: Payload) -> None:
        """Keep what was agreed and set up; once for an attempt. Those that nobody can resume any more are deleted."""
        for other in self.path.parent.glob("*"):
            if time.time() - other.stat().st_mtime > KEPT_SECONDS:
                shutil.rmtree(other, ignore_errors=True)
        self._write("begun", pack(content))

    @property
    def begun(self) -> Payload | None:
        """What :meth:`begin` kept, or None."""
        file = self.path / "begun"
        return unpack(file.read_bytes()) if file.exists() else None

    @property
    def recipe(self) -> Payload | None:
        """The recipe's own part of it, or None."""
        begun = self.begun
        if begun is None:
            return None
        own = {n.removeprefix("recipe|"): b for n, b in begun.blobs.items() if n.startswith("recipe|")}
        return Payload(dict(begun.get("recipe")), own)

    def keep_step(self, step: int, total: NDArray[np.float64] | None, notes: Mapping[str, Any]) -> None:
        """Keep a round: its noisy total in plain units (None for a round that came to nothing), and notes."""
        blobs = {} if total is None else {"total": total}
        self._write(f"step_{step}", pack(Payload(dict(notes), blobs)))

    def keep_survivors(self, step: int, names: Sequence[str]) -> None:
        """Keep who sent a vector in a round, before any mask is opened: nodes answer for one list of survivors only."""
        self._write(f"survivors_{step}", json.dumps(sorted(names)).encode())

    def survivors(self, step: int) -> list[str] | None:
        """Who sent a vector in a round whose masks were about to be opened, or None."""
        file = self.path / f"survivors_{step}"
        return None if not file.exists() else list(json.loads(file.read_text()))

    def step(self, step: int) -> Payload | None:
        """A kept round, or None."""
        file = self.path / f"step_{step}"
        return unpack(file.read_bytes()) if file.exists() else None

    @property
    def active(self) -> list[str]:
        """Members without whom the training cannot go on: trainers that were not lost."""
        begun = self.begun
        lost: set[str] = set()
        trainers: list[str] = [] if begun is None else list(begun.get("trainers"))
        for number in range(len(list(self.path.glob("step_*")))):
            kept = self.step(number)
            lost |= set() if kept is None else set(kept.get("lost"))
            there = self.survivors(number + 1)
            lost |= set() if there is None else set(trainers) - set(there)
        first = self.survivors(0)
        lost |= set() if first is None else set(trainers) - set(first)
        return [name for name in trainers if name not in lost]

    def drop(self) -> None:
        """The training has ended: nothing is left to resume."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _write(self, name: str, content: bytes) -> None:
        try:
            private_folder(self.path)
        except OSError as error:
            raise StoreError(f"the hub's store {self.path} cannot be made: {error.strerror}") from None
        write_atomic(self.path / name, content)


def packed(answers: Mapping[str, Payload]) -> str:
    """Bodies of answers by name, as text for a checkpoint."""
    return json.dumps({name: dict(answer.body) for name, answer in answers.items()})


def unpacked(text: str) -> dict[str, Payload]:
    """Inverse of :func:`packed`."""
    return {name: Payload(body) for name, body in json.loads(text).items()}
