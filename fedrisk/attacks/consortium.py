"""A small generated consortium on disk, and a run of it of which every message is kept.

The study runs in this process through the same handlers, files and messages as anywhere else.
"""

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd

from fedrisk.analysis.card_sums import sizes_of
from fedrisk.attacks.recorded import Change, Lose, Record, Step, Stopped, before
from fedrisk.attacks.small_province import COLUMNS, province
from fedrisk.clients.app import app as client_app
from fedrisk.clients.node import Node
from fedrisk.clients.own_work import complete
from fedrisk.engine.in_process import load_nodes, register
from fedrisk.engine.in_process_grid import InProcessGrid
from fedrisk.models.binning import Bins
from fedrisk.protocol.payload import Payload
from fedrisk.protocol.statements import binary_labels
from fedrisk.recipes import recipe_named, recipe_of, study_from
from fedrisk.recipes.scorecard.fitting import card_bins
from fedrisk.releases.plan import Plan
from fedrisk.server import knowledge
from fedrisk.server.hub import Hub
from fedrisk.server.journal import ALIGNED, Journal
from fedrisk.server.outcome import HubSession
from fedrisk.server.results import Results
from fedrisk.server.roster import (
    Roster,
    agree,
    align,
    check_overlap,
    planned,
    roster_features,
    tell_members,
    without_alignment,
)
from fedrisk.server.run import new_attempt
from fedrisk.server.summary import summarise
from fedrisk.study import Study


def toml(value: Any) -> str:
    """A value as TOML, tables inline."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, date):
        return value.isoformat()
    return json.dumps(value) if isinstance(value, str) else str(value)


@dataclass
class Run:
    """A finished study with all that it left."""

    study: Study
    results: Results
    roster: Roster
    plan: Plan
    steps: list[Step]
    nodes: dict[str, Node]
    hub: Hub
    grid: InProcessGrid
    exchange: Record
    order: dict[str, Any] = field(default_factory=dict)

    @property
    def attempt(self) -> str:
        """Id of the attempt."""
        return self.exchange.attempt

    @property
    def card(self) -> dict[str, Any]:
        """The released card as plain values; empty where the recipe makes none."""
        card = self.results.card
        content: dict[str, Any] = {} if card is None else json.loads(card.to_json())
        return content

    def scores(self, bank: str) -> pd.DataFrame:
        """What the bank wrote of its customers: id, split, score, points."""
        return pd.read_parquet(self.nodes[bank].store.results(self.attempt) / "scores.parquet")

    def told(self, name: str) -> Payload:
        """A part of the common view, as the hub told it to all members alike."""
        return self.exchange.told_part(name)

    @property
    def binary_labels(self) -> bool:
        """Whether all labels are 0 or 1 and none is weighted, as the banks state."""
        return binary_labels(self.study, self.roster.statements)

    @property
    def sizes(self) -> dict[str, list[int]]:
        """Number of bins of each column by role, by the bins that all were told; holders' with one for the unknown."""
        bins = [Bins.from_dict(b) for b in self.told("bins").get("bins")]
        return sizes_of(card_bins(bins), self.study.roles)

    def step(self, action: str, release: str | None = None) -> Step:
        """The exchange of that action, and for mask and release of that release."""
        return self.exchange.step(action, release)


@dataclass
class Consortium:
    """Institution files, tables and a study below one folder, with its own home for the stores."""

    folder: Path
    tables: dict[str, pd.DataFrame]
    content: dict[str, dict[str, Any]]
    study: Study
    hub: Hub = field(init=False)

    def __post_init__(self) -> None:
        self.hub = Hub(self.folder / "home" / "hub")
        for name in self.content:
            self.write(name)

    @property
    def paths(self) -> dict[str, Path]:
        """Each institution's file."""
        return {name: self.folder / f"{name}.toml" for name in self.content}

    @property
    def nodes(self) -> dict[str, Node]:
        """The nodes, read anew from their files."""
        return load_nodes(self.paths)

    def write(self, name: str) -> None:
        """Write an institution's file and its table anew."""
        lines = [f"{key} = {toml(value)}" for key, value in self.content[name].items()]
        (self.folder / f"{name}.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
        if name in self.tables:
            self.tables[name].to_parquet(self.folder / f"{name}.parquet", index=False)

    def with_study(self, **changes: Any) -> Study:
        """The study with some of its tables changed: ``privacy={"epsilon": 1}``."""
        content = self.study.model_dump(mode="python", exclude_defaults=True)
        settings = content.pop("settings", {})
        if "recipe" not in changes:
            content[self.study.recipe] = settings
        for key, value in changes.items():
            content[key] = {**content.get(key, {}), **value} if isinstance(value, Mapping) else value
        return study_from(content)

    def stopped(
        self, action: str, study: Study | None = None, *, lie: Change | None = None, **how: Any
    ) -> Record:
        """A study that the hub stops before the first exchange of an action: what it has seen by then.

        lie: what it does to its messages until then.
        """

        def change(record: Record, step: Step) -> None:
            before(action)(record, step)
            if lie is not None:
                lie(record, step)

        with contextlib.suppress(Stopped):
            self.run(study, change=change, **how)
        return self.last

    def run(
        self,
        study: Study | None = None,
        *,
        research_seed: int | None = None,
        report: Any = None,
        timeout: float = 60.0,
        without: Sequence[str] = (),
        wire: bool = True,
        lose: "Lose | None" = None,
        change: "Change | None" = None,
        own: bool = True,
    ) -> Run:
        """The study from end to end, as ``run_study`` does it, with a record of all messages.

        own: whether banks fit their own models afterwards, which stay at home.
        """
        study = study or self.study
        nodes = self.nodes
        register(nodes, self.hub)
        present = {name: path for name, path in self.paths.items() if name not in without}
        grid = InProcessGrid(client_app, present, wire=wire)
        attempt = new_attempt()
        recipe, research = recipe_of(study), research_seed is not None
        study = knowledge.kept(recipe, study, self.hub, research=research)
        known = knowledge.look_up(recipe, study, self.hub, research=research)
        journal = Journal.of(self.hub, attempt)
        exchange = Record(grid, attempt, timeout=timeout, report=report, journal=journal)
        journal.begin(recipe_of(study).checked(study), study, research_seed)
        exchange.lose, exchange.change = lose, change
        self.last = exchange
        with exchange.in_memory():
            agreed = agree(exchange, study, self.hub, research_seed)
            recipe.members(study, roster_features(study, agreed))
            plan = planned(study, agreed, known.plan)
            if recipe.aligned(study):
                roster = align(exchange, study, self.hub, agreed, research_seed, plan.sample_rows)
                kept = roster.to_payload()
            else:
                kept = without_alignment(exchange, study, self.hub, agreed, research_seed)
        exchange.once(ALIGNED, lambda: kept)
        tell_members(exchange, study, kept)
        roster = Roster.from_payload(study, research_seed, kept)
        if roster.lists:
            check_overlap(roster)
        session = HubSession(exchange, roster, known=known.knowledge)
        outcome = recipe.hub(session, plan)
        outcome.record = outcome.record.signed(self.hub.identity)
        results = summarise(session, outcome, recipe.summary(outcome), engine="in-process", seconds=0.0)
        for node in nodes.values() if own else ():
            complete(node, attempt, recipe_named)
        return Run(study, results, roster, plan, exchange.steps, nodes, self.hub, grid, exchange)


def build(
    folder: Path,
    banks: Sequence[str] = ("alfa",),
    holders: Sequence[str] = ("tax",),
    *,
    tables: Mapping[str, pd.DataFrame] | None = None,
    enterprises: int = 2500,
    columns: Mapping[str, list[dict[str, Any]]] = COLUMNS,
    label: Mapping[str, Any] | None = None,
    labels: Sequence[Mapping[str, Any]] = (),
    dictionary: Mapping[str, Any] | None = None,
    policy: Mapping[str, Any] | None = None,
    authority: str | None = None,
    regulators: Sequence[str] = (),
    roles: Mapping[str, str] | None = None,
    study: Mapping[str, Any] | None = None,
) -> Consortium:
    """Write a consortium of these institutions; ``columns`` by role, ``study`` by its tables.

    labels: further ones of every bank. roles: of holders that are a guarantor or a bureau.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tables = dict(tables if tables is not None else province(enterprises))
    caps = {"cap_epsilon": 20.0, "max_epsilon": 20.0, "scored_versions": 13}
    rules = {"research": True, "scores": "points", **caps, **(policy or {})}
    content: dict[str, dict[str, Any]] = {}
    for name in [*banks, *holders]:
        kind = "bank" if name in banks else "holder"
        described = [{"meaning": "m", **c} for c in columns["bank" if kind == "bank" else name]]
        words: dict[str, Any] = {
            "id": "id",
            "id_scheme": "opaque",
            "columns": described,
            **(dictionary or {}),
        }
        if kind == "bank":
            outcome = {"column": "bad", "positive": [1], "negative": [0], "horizon": "a year"}
            words["label"] = outcome if label is None else dict(label)
            words |= {"labels": [dict(one) for one in labels]} if labels else {}
        content[name] = {
            "name": name,
            "kind": (roles or {}).get(name, kind),
            "store": str(folder / "home" / name),
            "table": {"source": f"{name}.parquet"},
            "policy": rules,
            "dictionary": words,
        }
    others = {} if authority is None or authority in regulators else {authority: "authority"}
    for name, kind in {**others, **dict.fromkeys(regulators, "regulator")}.items():
        if name not in content:
            content[name] = {
                "name": name,
                "kind": kind,
                "store": str(folder / "home" / name),
                "policy": rules,
            }
    members = [{"name": n, "role": c["kind"]} for n, c in content.items()]
    plan: dict[str, Any] = {
        "name": "whole",
        "purpose": "credit_scoring",
        "institutions": members,
        "privacy": {"epsilon": 8.0},
        "alignment": {"authority": authority} if authority else {},
        **(study or {}),
    }
    present = {name: tables[name] for name in content if name in tables}
    return Consortium(folder, present, content, study_from(plan))
