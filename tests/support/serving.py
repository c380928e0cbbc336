"""A consortium of one bank and some holders whose model was made by hand, with real keys, tables and trails."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd

from fedrisk.clients.node import Node
from fedrisk.data.features import Feature, known_feature
from fedrisk.files import write_atomic
from fedrisk.models.binning import Bins
from fedrisk.models.given_points import GivenPoints
from fedrisk.models.model_part import ModelPart
from fedrisk.models.scorecard import Scorecard

MODEL = "0123456789abcdef"
IDS = tuple(f"E{k}" for k in range(6))
HOLDERS = ("court", "power", "tax")

WEIGHTS = {"court": 1, "power": 10, "tax": 100}
"""Points of a holder: 0, 1 or 2 times its weight for values below 1, below 2 and others; 3 for missing, 4 unknown."""

NOW = 1_795_651_200.0
"""2026-11-26, in the middle of a week."""


@dataclass
class Clock:
    now: float = NOW

    def __call__(self) -> float:
        return self.now


def bins_of(holder: str) -> list[Bins]:
    value = Feature(institution=holder, column="value", low=0, high=9, bins=(1.0, 2.0))
    return [Bins(value, edges=(1.0, 2.0), unknown=True), Bins.public(known_feature(holder))]


def points_of(holder: str) -> list[tuple[int, ...]]:
    w = WEIGHTS[holder]
    return [(0, w, 2 * w, 3 * w, 4 * w), (0, 0)]


def card_of(holders: Sequence[str]) -> str:
    bins = [b for h in holders for b in bins_of(h)]
    points = [p for h in holders for p in points_of(h)]
    none: dict[str, float] = {}
    return Scorecard(
        "whole", tuple(bins), tuple(points), 600, (0.0,) * len(bins), -3.0, 0.05, 20.0, 5.0, none
    ).to_json()


def part_of(
    name: str, holders: Sequence[str], banks: Sequence[str] = ("bank",), /, **changes: Any
) -> ModelPart:
    said: dict[str, Any] = {
        "model": MODEL,
        "kind": "scorecard",
        "name": "whole",
        "version": 1,
        "made": date(2026, 11, 1),
        "purpose": "credit_scoring",
        "banks": tuple(banks),
        "holders": tuple(holders),
        "institution": name,
        "role": "bank" if name in banks else name,
    }
    if name in banks:
        said["card"] = card_of(holders)
    else:
        high = 4 * WEIGHTS[name]
        table = GivenPoints.grid(0, high, step=1)
        said |= {
            "bins": tuple(b.to_dict() for b in bins_of(name)),
            "points": tuple(points_of(name)),
            "given": (table.edges, table.values),
        }
    return ModelPart(**{**said, **changes})


@dataclass
class Consortium:
    """Institutions below one folder; ``serving`` are the lines of [policy.serving]."""

    folder: Path
    holders: tuple[str, ...] = HOLDERS
    banks: tuple[str, ...] = ("bank",)
    serving: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Sequence[float | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.names:
            self.write(name, self.values.get(name, (0.0, 1.0, 2.0, None)))
        nodes = {name: Node.open(path) for name, path in self.paths.items()}
        keys = {name: node.store.identity.public for name, node in nodes.items()}
        for name, node in nodes.items():
            _ = node.ledger
            node.store.pin(bytes([9]) * 32, {n: key for n, key in keys.items() if n != name})
            self.put(part_of(name, self.holders, self.banks))
            self.set_state(name, "approved")
        self.nodes = nodes

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.banks, *self.holders)

    @property
    def paths(self) -> dict[str, Path]:
        return {name: self.folder / f"{name}.toml" for name in self.names}

    def store(self, name: str) -> Path:
        return self.folder / "home" / name

    def write(self, name: str, values: Sequence[float | None], **serving: str) -> None:
        """Write an institution's file, and its table with these values for the first ids."""
        bank = name in self.banks
        rules = {"consent": '"none"', "ages": '"always"', **self.serving, **serving}
        lines = [
            f'name = "{name}"',
            f'kind = "{"bank" if bank else "holder"}"',
            f'store = "{self.store(name)}"',
            f'[table]\nsource = "{name}.csv"',
            "[policy]\nscore_points = 400\n[policy.serving]",
            *(f"{key} = {value}" for key, value in rules.items()),
            '[dictionary]\nid = "id"\nid_scheme = "opaque"',
            '[[dictionary.columns]]\nname = "value"\nkind = "number"\nmeaning = "m"\nlow = 0\nhigh = 9\nbins = [1, 2]',
        ]
        if bank:
            lines.append(
                '[dictionary.label]\ncolumn = "bad"\npositive = [1]\nnegative = [0]\nhorizon = "a year"'
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / f"{name}.toml").write_text("\n".join(lines) + "\n", "utf-8")
        frame = pd.DataFrame({"id": IDS[: len(values)], "value": values})
        if bank:
            frame["bad"] = [k % 2 for k in range(len(values))]
        file = self.folder / f"{name}.csv"
        frame.to_csv(file, index=False)
        # Rows of the day of the clock, whenever the test runs.
        os.utime(file, (NOW, NOW))

    def put(self, part: ModelPart) -> ModelPart:
        write_atomic(self.store(part.institution) / "models" / part.model / "part.json", part.to_bytes())
        return part

    def set_state(self, name: str, state: str) -> None:
        line = json.dumps({"time": "", "state": state})
        write_atomic(self.store(name) / "models" / MODEL / "states.jsonl", line.encode() + b"\n")

    def part(self, bank: str = "bank") -> ModelPart:
        return ModelPart.from_bytes((self.store(bank) / "models" / MODEL / "part.json").read_bytes())
