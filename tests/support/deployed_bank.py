"""A tiny consortium of a bank and two holders that has built a model, which all approved and the bank deployed."""

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from fedrisk.clients.node import Node
from fedrisk.engine.in_process import run_local
from fedrisk.models.model_part import ModelPart
from fedrisk.secure.identity import SignedKey
from fedrisk.server.hub import Hub
from fedrisk.serving import registry
from fedrisk.serving.local_relay import LocalRelay
from fedrisk.serving.relay import Reply

BANK, HOLDERS = "bank", ("tax", "power")

RULES = """
[policy.serving]
approve = "own_parts"
consent = "none"
ages = "always"
per_enterprise = 1000
"""


@dataclass(frozen=True)
class Place:
    """Its institutions' files; scores: as the study left them at the bank."""

    folder: Path
    paths: dict[str, Path]
    scores: pd.DataFrame
    model: str

    def node(self, name: str = BANK) -> Node:
        return Node.open(self.paths[name])

    def part(self) -> ModelPart:
        return self.node().store.models.part(self.model)

    def relay(self, *names: str) -> LocalRelay:
        """The relay, with these members alone where some are named."""
        return LocalRelay({n: p for n, p in self.paths.items() if n in (names or self.paths)}, BANK)

    def counted(self, name: str) -> int:
        """How many scores a holder has counted."""
        file = self.node(name).store.path / "serving" / "book.sqlite"
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as book:
            return int(book.execute("select coalesce(sum(number), 0) from scored").fetchone()[0])

    def questions(self, name: str) -> int:
        """How many questions a holder remembers."""
        file = self.node(name).store.path / "serving" / "book.sqlite"
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as book:
            return int(book.execute("select count(*) from question").fetchone()[0])

    def values(self, id: str) -> dict[str, Any]:
        """The bank's own columns of a customer, as its loan system would give them."""
        row = pd.read_csv(self.folder / "c" / "data" / f"{BANK}.csv").set_index("id").loc[id.lower()]
        return {name: float(row[name]) for name in ("use", "term")}


def deployed_bank(folder: Path, write: Callable[..., Any]) -> Place:
    """Runs the study once; folder: an empty one. write: the fixture ``tiny_writer``.

    By noise about one card in twelve has points by which a score tells a column's bins, which no rule approves; the
    study is then made anew: not approved five times in a row is less than one in 100,000.
    """
    for attempt in range(5):
        place = _deployed(folder / f"study_{attempt}", write)
        states = [place.node(name).store.models.state(place.model).name for name in HOLDERS]
        if states == ["approved"] * len(HOLDERS):
            return place
    raise AssertionError("no study left a model that its holders approve")


def _deployed(folder: Path, write: Callable[..., Any]) -> Place:
    tiny = write(folder / "c", research=False)
    for name, path in tiny.paths.items():
        store = json.dumps(str(folder / "stores" / name))
        path.write_text(f"store = {store}\n{path.read_text(encoding='utf-8')}{RULES}", encoding="utf-8")
    run_local(tiny.study(), tiny.paths, hub=Hub(folder / "hub"))
    bank = Node.open(tiny.paths[BANK])
    (part,) = bank.store.models.parts()
    registry.deploy(bank, part.model, as_="champion", who="a test")
    scores = pd.read_parquet(bank.store.results(part.attempt) / "scores.parquet")
    return Place(folder, dict(tiny.paths), scores.sort_values("id").reset_index(drop=True), part.model)


class Wire:
    """A relay that can lose what members answer, or hold questions until they are let go."""

    def __init__(self, relay: LocalRelay) -> None:
        self.relay = relay
        self.lost: set[str] = set()
        self.asked: list[str] = []

    def keys(self, members: Sequence[str], epoch: str) -> dict[str, SignedKey]:
        return self.relay.keys(members, epoch)

    def ask(self, id: str, model: str, envelopes: Mapping[str, bytes], seconds: float) -> dict[str, Reply]:
        self.asked.append(id)
        replies = self.relay.ask(id, model, envelopes, seconds)
        return {name: Reply("late") if name in self.lost else reply for name, reply in replies.items()}
