"""A small generated consortium on disk, and a run of it of which every message is kept.

The study runs in this process through the same handlers, files and messages as anywhere else. ``Record`` keeps
what the hub sent and received, which is all that the hub can ever see.
"""

import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fedrisk.analysis.card_sums import sizes_of
from fedrisk.clients.app import app as client_app
from fedrisk.clients.node import Node
from fedrisk.engine.in_process import load_nodes, register
from fedrisk.engine.in_process_grid import InProcessGrid
from fedrisk.models.binning import Bins
from fedrisk.models.champion import fit_champion
from fedrisk.protocol.common_view import Part, split, with_parts
from fedrisk.protocol.payload import Payload
from fedrisk.protocol.statements import binary_labels
from fedrisk.recipes import recipe_of, study_from
from fedrisk.recipes.scorecard.fitting import card_bins
from fedrisk.releases.plan import Plan
from fedrisk.server import knowledge
from fedrisk.server.exchange import Exchange
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

# Boosting's threads would wait for each other in busy loops on a machine that has other work as well.
os.environ.setdefault("OMP_NUM_THREADS", "1")

BANKS = ("alfa", "beta", "gama")
HOLDERS = ("tax", "power")
SHARE = {"alfa": 0.65, "beta": 0.4, "gama": 0.3, "tax": 0.85, "power": 0.7}

COLUMNS: dict[str, list[dict[str, Any]]] = {
    "bank": [
        {"name": "debt", "kind": "number", "low": 0, "high": 1_000_000, "grid": "log", "bins": 6},
        {"name": "late", "kind": "number", "low": 0, "high": 12, "bins": [0.5, 1.5, 3.5]},
        {"name": "grade", "kind": "category", "categories": ["A", "B", "C"]},
    ],
    "tax": [
        {"name": "sales", "kind": "number", "low": -5_000_000, "high": 5_000_000, "grid": "log", "bins": 7},
        {"name": "growth", "kind": "number", "low": -1, "high": 1, "monotone": "decreasing"},
        {"name": "audited", "kind": "flag"},
    ],
    "power": [
        {"name": "usage", "kind": "number", "low": 0, "high": 1000, "bins": 5},
        {"name": "cuts", "kind": "number", "low": 0, "high": 9, "bins": [0.5, 2.5]},
    ],
}


def province(
    enterprises: int, seed: int = 1, *, names: Sequence[str] | None = None
) -> dict[str, pd.DataFrame]:
    """Every institution's own table: banks overlap, holders know a part, values are missing or out of bounds.

    The same enterprise has other loans, and another label, at each of its banks.
    """
    rng = np.random.default_rng(seed)
    n = enterprises
    ids = np.array(names if names is not None else [f"ENT{i:06d}" for i in rng.permutation(n)], object)
    risk = rng.normal(size=n)

    def gone(values: Any, share: float) -> Any:
        return pd.Series(values).mask(rng.random(n) < share).to_numpy()

    def shadow(weight: float) -> Any:
        return weight * risk + math.sqrt(1 - weight**2) * rng.normal(size=n)

    tables = {}
    for bank in BANKS:
        z = shadow(0.5)
        tables[bank] = {
            "debt": gone(np.exp(9 + 1.2 * z), 0.1),
            "late": np.floor(np.clip(np.exp(0.9 * shadow(0.6) - 0.4), 0, 12)),
            "grade": gone(np.array(["A", "B", "C"])[np.digitize(shadow(0.5), [-0.6, 0.7])], 0.05),
            "bad": (risk + 0.7 * rng.normal(size=n) > 1.1).astype(int),
            "weight": rng.integers(1, 9, n) / 8,
            "day": pd.Timestamp("2023-01-01") + pd.to_timedelta(rng.integers(0, 730, n), "D"),
        }
    tables["tax"] = {
        "sales": gone(np.sign(rng.normal(size=n) + 1.5) * np.exp(12 - shadow(0.5)), 0.06),
        "growth": np.clip(0.1 - 0.3 * shadow(0.6), -0.99, 0.99),
        "audited": (shadow(0.4) > 0.8).astype(float),
        "day": np.repeat(pd.Timestamp("2022-12-01"), n),
    }
    tables["power"] = {
        "usage": gone(np.clip(500 - 180 * shadow(0.6), 1, 1003), 0.04),  # a few lie above the bound
        "cuts": rng.poisson(np.exp(0.7 * shadow(0.6))).clip(0, 9).astype(float),
        "day": np.repeat(pd.Timestamp("2022-12-01"), n),
    }
    out = {}
    for name, columns in tables.items():
        known = np.flatnonzero(rng.random(n) < SHARE[name])
        known = rng.permutation(known)
        out[name] = pd.DataFrame({"id": ids} | columns).iloc[known].reset_index(drop=True)
    return out


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


Lose = Callable[[str, Any], Mapping[str, str]]
"""Action and step to the institutions that are lost there: "dead" (never asked) or "late" (its answer comes late)."""


Change = Callable[["Record", "Step"], None]
"""What a hub that deviates does to a step's messages before they are sent."""


@dataclass
class Step:
    """One exchange: what was sent to whom and what came back, by institution."""

    action: str
    sent: dict[str, Payload]
    answers: dict[str, Payload]

    @property
    def sent_step(self) -> int:
        """Number of the training step that it is about; -1 for exchanges about none."""
        return int(next(iter(self.sent.values())).body.get("step", -1))


def retold(step: Step, name: str, change: Callable[[Payload], Payload], *, only: Sequence[str] = ()) -> bool:
    """Change a part of the common view on its way, for all who are told it with this step or for ``only`` some.

    Whether it was in the step at all. Told alike to all, members confirm it to each other: what is left to them is
    whether it follows from the totals.
    """
    found = False
    for member, payload in step.sent.items():
        own, parts, codes = split(payload)
        if (only and member not in only) or name not in [p.name for p in parts]:
            continue
        found = True
        new = [Part(p.number, p.name, change(p.content)) if p.name == name else p for p in parts]
        step.sent[member] = with_parts(own, new, codes)
    return found


class Record(Exchange):
    """An exchange that keeps everything that the hub sends and receives."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.steps: list[Step] = []
        self.lose: Lose | None = None
        self.change: Change | None = None
        self._gone: Mapping[str, str] = {}
        self.late: dict[tuple[str, int], dict[str, Payload]] = {}

    def roll_call(self, members: Any, content: Any, *args: Any, **how: Any) -> dict[str, Payload]:
        step = Step("describe", {name: Payload(dict(content.body)) for name in members}, {})
        self.steps.append(step)
        if self.change is not None:
            self.change(self, step)
        return super().roll_call(members, content, *args, **how)

    def _description(self, name: str, content: Any) -> Any:
        return self.steps[-1].sent.get(name, content)

    def _find(self, *args: Any, **how: Any) -> Any:
        answers, replies = super()._find(*args, **how)
        self.steps[-1].answers.update(replies)
        return answers, replies

    def _ask(self, action: Any, what: str, content: Any, **how: Any) -> dict[str, Payload]:
        step = Step(action, {n: Payload(dict(p.body), dict(p.blobs)) for n, p in content.items()}, {})
        self.steps.append(step)
        if self.change is not None:
            self.change(self, step)
            content = step.sent
        number = next(iter(content.values())).body.get("step")
        gone = self.lose(action, number) if self.lose is not None and how.get("tolerant") else {}
        asked = {n: p for n, p in content.items() if gone.get(n) != "dead"}
        self._gone = gone
        answers = super()._ask(action, what, asked, **how)
        self.late[action, number] = {n: a for n, a in answers.items() if n in gone}
        step.answers = {n: a for n, a in answers.items() if n not in gone}
        return step.answers

    def _kept(self, spool: Any, action: str, name: str, kept: Any) -> Payload:
        """What comes too late is kept by nobody."""
        return kept.answer if name in self._gone else super()._kept(spool, action, name, kept)


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
        return self.exchange.attempt

    @property
    def card(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.results.card.to_json())
        return content

    def scores(self, bank: str) -> pd.DataFrame:
        return pd.read_parquet(self.nodes[bank].store.results(self.attempt) / "scores.parquet")

    def told(self, name: str) -> Payload:
        """A part of the common view, as the hub told it to all members alike."""
        (found,) = [p.content for p in self.exchange._parts if p.name == name]
        return found

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

        def fits(step: Step) -> bool:
            first = next(iter(step.sent.values())).body
            return step.action == action and (release is None or first.get("release") == release)

        (found,) = [s for s in self.steps if fits(s)]
        return found


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
        return {name: self.folder / f"{name}.toml" for name in self.content}

    @property
    def nodes(self) -> dict[str, Node]:
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
    ) -> Run:
        """The study from end to end, as ``run_study`` does it, with a record of all messages."""
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
    dictionary: Mapping[str, Any] | None = None,
    policy: Mapping[str, Any] | None = None,
    authority: str | None = None,
    regulators: Sequence[str] = (),
    roles: Mapping[str, str] | None = None,
    study: Mapping[str, Any] | None = None,
) -> Consortium:
    """Write a consortium of these institutions; ``columns`` by role, ``study`` by its tables.

    roles: of holders that are a guarantor or a bureau.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tables = dict(tables if tables is not None else province(enterprises))
    rules = {"research": True, "scores": "points", "cap_epsilon": 20.0, "max_epsilon": 20.0, **(policy or {})}
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


class Kit:
    """The helpers above, for test modules (which cannot import a conftest)."""

    province = staticmethod(province)
    build = staticmethod(build)
    retold = staticmethod(retold)
    BANKS, HOLDERS, COLUMNS = BANKS, HOLDERS, COLUMNS


FIVE_FOLDS = (
    *("test_models", "test_own_verdict", "test_personal_models", "test_real_data"),
    *("test_nothing_is_lost", "test_scripts", "test_two_engines", "test_whole_study"),
)
"""Modules that are about a bank's own models, or that compare what several processes made."""


@pytest.fixture(scope="module", autouse=True)
def folds(request: pytest.FixtureRequest) -> Iterator[None]:
    """Two folds and few rounds for a bank's own models in place of the usual: they are a third of a small study's time."""
    with pytest.MonkeyPatch.context() as patch:
        if Path(request.module.__file__).stem not in FIVE_FOLDS:
            patch.setitem(fit_champion.__kwdefaults__, "max_rounds", 10)
            for module in ("fedrisk.models.personal", "fedrisk.models.champion"):
                patch.setattr(f"{module}.FOLDS", 2)
            patch.setattr("fedrisk.recipes.scorecard.own_models.FOLDS", 2)
        yield


@pytest.fixture(scope="session")
def kit() -> type[Kit]:
    return Kit


@pytest.fixture(scope="session")
def scratch() -> Iterator[Callable[[], Path]]:
    """Makes empty folders, in memory where the machine has a disk there: studies wait for the disk again and again."""
    memory = Path("/dev/shm")
    base = Path(tempfile.mkdtemp(prefix="studies-", dir=memory if os.access(memory, os.W_OK) else None))
    yield lambda: Path(tempfile.mkdtemp(dir=base))
    shutil.rmtree(base, ignore_errors=True)


@pytest.fixture
def tmp_path(scratch: Callable[[], Path]) -> Path:
    """An empty folder of the test's own."""
    return scratch()


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """No test ever touches the home of whoever runs it."""
    monkeypatch.setenv("FEDRISK_HOME", str(tmp_path / "home"))
    yield tmp_path / "home"
