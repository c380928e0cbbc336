"""The smallest real things that a holder needs and that have modules of their own elsewhere."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedrisk.clients.store.store import NodeStore
from fedrisk.institution import Institution
from fedrisk.models.model_part import ModelPart
from fedrisk.privacy.serving_policy import ServingPolicy


@dataclass(frozen=True)
class Checked:
    """As serving/consent."""

    code: str
    digest: str = ""
    uses: int = 0


class Consents:
    """As serving/consent, for references and none."""

    def __init__(self, serving: ServingPolicy, *, secret: bytes | None = None) -> None:
        self._rule = serving.consent

    def check(self, token: str, *, enterprise: str, asker: str, purpose: str, now: float) -> Checked:
        """Whether a consent holds."""
        if self._rule == "token":
            return Checked("consent_register")
        return Checked("" if token or self._rule == "none" else "consent_missing")


@dataclass(frozen=True)
class Found:
    """As serving/current."""

    frame: pd.DataFrame
    known: NDArray[np.bool_]
    day: NDArray[np.datetime64]
    malformed: NDArray[np.bool_]


class CurrentData:
    """As serving/current: the whole table, read once."""

    def __init__(self, institution: Institution) -> None:
        table = institution.read()
        self._frame = table.frame
        self._place = {id: k for k, id in enumerate(table.ids.tolist())}

    @classmethod
    def open(cls, institution: Institution, folder: Path) -> "CurrentData":
        """The current data of an institution."""
        return cls(institution)

    def rows(self, ids: Sequence[str]) -> Found:
        """Typed columns in the order of the ids."""
        place = np.array([self._place.get(id, -1) for id in ids], np.int64)
        frame = self._frame.reindex(self._frame.index[place]).reset_index(drop=True)
        day = np.full(len(place), np.datetime64("NaT"), "datetime64[D]")
        return Found(frame, place >= 0, day, np.zeros(len(place), bool))


@dataclass(frozen=True)
class State:
    """As clients/store/model_store."""

    name: str = "candidate"

    @property
    def serves(self) -> bool:
        """Whether it was approved here and not taken back."""
        return self.name in ("approved", "deployed")


class Models:
    """As clients/store/model_store, for reading."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def has(self, id: str) -> bool:
        """Whether the model is here."""
        return (self._folder / id / "part.json").is_file()

    def part(self, id: str) -> ModelPart:
        """This institution's part of it."""
        return ModelPart.from_bytes((self._folder / id / "part.json").read_bytes())

    def state(self, id: str) -> State:
        """What it is today."""
        file = self._folder / id / "states.jsonl"
        lines = file.read_text("utf-8").splitlines() if file.exists() else []
        return State(json.loads(lines[-1])["state"]) if lines else State()


def models_of(store: NodeStore) -> Any:
    """The models of a store."""
    return getattr(store, "models", None) or Models(store.path / "models")
