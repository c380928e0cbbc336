"""A hub whose every message is tried out mangled on a copy of the node that is to get it, in its place of the run.

The true study goes on beside, on nodes that see true messages only. What a copy of a node does with a mangled message is
compared with its store before: see :class:`Mangler`.
"""

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flwr.app import Context, Message, RecordDict

from fedrisk import errors
from fedrisk.audit.verify import read, verify
from fedrisk.clients.app import app as client_app
from fedrisk.clients.node import Node
from fedrisk.clients.store.attempt_store import AttemptStore
from fedrisk.engine.in_process_grid import InProcessGrid
from fedrisk.protocol.payload import Payload, from_record, to_record
from support.mangling import Mangled, manglings, sample

CODES = {
    kind.code
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.FedriskError)
}
"""What the hub may get to see of a refusal."""

NEVER = re.compile(
    r"^(ledger\.sqlite|quota\.sqlite|pins\.json|identity\.key|results/|scored/|sides/|out_of_time\.json|epochs/|"
    r"evaluation_keys/|pseudonyms/|pending/|encoders/)"
)
"""What a message that is refused must not touch; in fact it may touch nothing but the trail and its own attempt."""

MAY = re.compile(r"^(audit\.jsonl(\.head|\.checkpoints/.*)?|errors\.log|\.lock|attempts/[A-Za-z0-9]+/.*)$")
"""Trail, log of errors, lock, and the attempt's own folder."""


@dataclass
class Outcome:
    """What a message did to a copy of a node."""

    code: str | None
    answer: Payload | None
    changed: dict[str, bytes | None]
    spends: list[tuple[str, float]]


@dataclass
class Waiting:
    """A mangled message that was answered: the next true message to the member is to be refused."""

    what: str
    tree: dict[str, bytes]


class Copy:
    """A copy of one node: its own institution file and store, put back to a known state between messages."""

    def __init__(self, consortium: Any, name: str, folder: Path) -> None:
        self.true = consortium.nodes[name].store.path
        self.path = folder / name
        self.content = {**consortium.content[name], "store": str(self.path)}
        file = consortium.folder / f"copy_of_{name}.toml"
        text = consortium.paths[name].read_text(encoding="utf-8")
        file.write_text(text.replace(str(self.true), str(self.path)), encoding="utf-8")
        self.context = Context(
            run_id=1, node_id=1, node_config={"institution": str(file)}, state=RecordDict(), run_config={}
        )
        self.node = Node.load(file)
        self.name = name
        self.before: dict[str, bytes] = {}
        self._stats: dict[str, tuple[int, int, int]] = {}

    def sync(self) -> None:
        """The state of the true node."""
        self.put({rel: (self.true / rel).read_bytes() for rel in _scan(self.true)})

    def put(self, tree: dict[str, bytes]) -> None:
        """This state."""
        shutil.rmtree(self.path, ignore_errors=True)
        for rel, content in tree.items():
            self._write(rel, content)
        self._settle(tree)

    def restore(self, changed: dict[str, bytes | None]) -> None:
        """The state before a message that changed these files."""
        for rel in changed:
            if rel in self.before:
                self._write(rel, self.before[rel])
            else:
                (self.path / rel).unlink(missing_ok=True)
        for folder in (self.path / "attempts").glob("*"):
            if not any(rel.startswith(f"attempts/{folder.name}/") for rel in self.before):
                shutil.rmtree(folder)
        self._settle(self.before)

    def changes(self) -> dict[str, bytes | None]:
        """Files that are new, gone (None) or have other content."""
        now = _scan(self.path)
        changed: dict[str, bytes | None] = {rel: None for rel in self.before if rel not in now}
        for rel, stat in now.items():
            if self._stats.get(rel) != stat:
                content = (self.path / rel).read_bytes()
                if self.before.get(rel) != content:
                    changed[rel] = content
        return changed

    def spends(self) -> list[tuple[str, float]]:
        """All that was ever charged: releases with their price."""
        if self.content["kind"] == "authority":
            return []
        return [(e.spend.release, e.spend.mu) for e in self.node.ledger.entries()]

    def _write(self, rel: str, content: bytes) -> None:
        file = self.path / rel
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file.write_bytes(content)
        file.chmod(0o600)

    def _settle(self, tree: dict[str, bytes]) -> None:
        # Memory belongs to a process that saw this state and no other.
        for kept in (AttemptStore._arrays, AttemptStore._cached):
            for key in [k for k in kept if k[0].startswith(str(self.path))]:
                del kept[key]
        self.before, self._stats = tree, _scan(self.path)


def _scan(folder: Path) -> dict[str, tuple[int, int, int]]:
    found: dict[str, tuple[int, int, int]] = {}
    waiting = [(folder, "")]
    while waiting:
        where, prefix = waiting.pop()
        with os.scandir(where) as entries:
            for entry in entries:
                if entry.is_dir():
                    waiting.append((Path(entry.path), f"{prefix}{entry.name}/"))
                elif not entry.name.startswith(".lock"):
                    stat = entry.stat()
                    found[prefix + entry.name] = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
    return found


@dataclass(frozen=True)
class Rule:
    """A place at which a mangled message may be answered, and why.

    action, where, how: patterns. kind: one of

    same: the field means nothing there, or not more than the set of its values: the answer is the true message's.
    later: no member can tell it from a true value yet. Nothing is charged, and the next exchange is refused.
    bound: the same, told in the very message that asks for a release: charged is what the true message is charged, what
    leaves is masked and sealed for another view than the others', and the next exchange is refused.
    hub: the hub may choose it freely, and the others need not know. Charged is at most what the true message is charged.
    """

    action: str
    where: str
    kind: str
    why: str
    how: str = ".*"

    def fits(self, action: str, mangled: Mangled) -> bool:
        """Whether a mangling is at this place; what the hub chooses has to be a valid value."""
        pairs = ((self.action, action), (self.where, mangled.where), (self.how, mangled.how))
        return all(re.fullmatch(p, t) for p, t in pairs) and (self.kind != "hub" or mangled.other)


class Mangler:
    """Plays as ``change`` of a run: before each exchange, mangled copies of all its messages.

    failures: what went wrong, in words. counts: mangled messages by (action, outcome).
    """

    def __init__(
        self, consortium: Any, rules: Sequence[Rule], *, share: float, seed: str, folder: Path
    ) -> None:
        self.consortium, self.rules, self.share, self.seed = consortium, rules, share, seed
        self.folder = folder
        self.failures: list[str] = []
        self.counts: Counter[tuple[str, str]] = Counter()
        self.seen: dict[str, Payload] = {}
        self.waiting: dict[str, list[Waiting]] = {}
        self.copies: dict[str, Copy] = {}
        self.number = 0
        self.carry = 0.0

    def __call__(self, run: Any, step: Any) -> None:
        """All messages of an exchange."""
        grid = run._grid
        names = list(self.consortium.content)
        by_node = dict(zip(map(str, grid._contexts), grid_names(grid), strict=True))
        for key, payload in step.sent.items():
            name = by_node.get(key, key)
            self.number += 1
            payload = Payload(dict(payload.body), dict(payload.blobs))
            self._one(grid, name, step.action, payload, names)
            self.seen.setdefault(f"{step.action}/{name}", payload)

    def _one(self, grid: InProcessGrid, name: str, action: str, payload: Payload, names: list[str]) -> None:
        if name not in self.copies:
            self.copies[name] = Copy(self.consortium, name, self.folder)
        copy = self.copies[name]
        self._next_is_refused(grid, copy, action, payload)
        copy.sync()
        true = self._deliver(grid, copy, action, to_record(payload))
        copy.restore(true.changed)
        wanted = self.share + self.carry
        count = int(wanted)
        self.carry = wanted - count
        foreign = [p for key, p in self.seen.items() if not key.startswith(f"{action}/")][-6:]
        attempts = [
            "neverdescribed00",
            *(a for a in self._attempts(copy) if a != payload.body.get("attempt")),
        ]
        every = manglings(payload, names, foreign, attempts)
        for mangled in sample(every, count, f"{self.seed}|{self.number}"):
            self._try(grid, copy, action, mangled, true)

    def _attempts(self, copy: Copy) -> list[str]:
        return sorted({rel.split("/")[1] for rel in copy.before if rel.startswith("attempts/")})

    def _deliver(self, grid: InProcessGrid, copy: Copy, action: str, record: RecordDict) -> Outcome:
        message = Message(record, 1, f"query.{action}", ttl=60.0)
        message.metadata.__dict__["_message_id"] = "mangled"
        reply = client_app(grid._copy(message), copy.context)
        if reply.has_error():
            raise AssertionError("the ClientApp raised")
        answer = from_record(grid._copy(reply).content)
        return Outcome(answer.refusal, answer, copy.changes(), copy.spends())

    def _try(self, grid: InProcessGrid, copy: Copy, action: str, mangled: Mangled, true: Outcome) -> None:
        what = f"{action} to {copy.name}: {mangled.where}: {mangled.how}"
        charged = len(copy.spends())
        got = self._deliver(grid, copy, action, mangled.make())
        kind = None if got.code else self._kind(copy, action, mangled, true, got)
        wrong = self._wrong(copy, mangled, true, got, charged, kind)
        if wrong:
            self.failures.append(f"{what}: {wrong}")
        self.counts[action, got.code or f"answered: {kind}"] += 1
        if not wrong and kind in ("later", "bound"):
            tree = {rel: c for rel, c in {**copy.before, **got.changed}.items() if c is not None}
            self.waiting.setdefault(copy.name, []).append(Waiting(what, tree))
        copy.restore(got.changed)

    def _kind(self, copy: Copy, action: str, mangled: Mangled, true: Outcome, got: Outcome) -> str | None:
        if action == "describe" and _studies(got) and _studies(got) == _studies(true):
            # The same study, written in another way.
            return "same"
        if mangled.where.startswith("confirmed") or mangled.how == "without confirmed":
            # Codes of what was confirmed before may be left out.
            return "same" if self._confirmed(copy) else None
        return next((r.kind for r in self.rules if r.fits(action, mangled)), None)

    def _confirmed(self, copy: Copy) -> bool:
        """Whether all other members have confirmed all that the copy was told, as its store says."""
        file = f"attempts/{self.consortium.last.attempt}/View.json"
        views = [json.loads(c) for rel, c in copy.before.items() if rel == file]
        others = [
            n for n, c in self.consortium.content.items() if n != copy.name and c["kind"] != "authority"
        ]
        return any(all(v["confirmed"].get(o, 0) >= len(v["digests"]) for o in others) for v in views)

    def _wrong(
        self, copy: Copy, mangled: Mangled, true: Outcome, got: Outcome, charged: int, kind: str | None
    ) -> str:
        """What is not as it has to be; empty where all is."""
        if not verify(copy.path / "audit.jsonl", copy.node.store.identity.public).ok:
            return "the trail does not verify any more"
        new, usual = got.spends[charged:], true.spends[charged:]
        if got.code is not None:
            return self._wrong_refusal(copy, got, new)
        about = f"charged {new}, same answer: {_same(true, got)}, changed {_extra(true, got)}"
        if kind is None:
            return f"answered, {about}"
        fine = {
            "same": _same(true, got) and new == usual,
            "later": not new,
            "bound": sorted(m for _, m in new) == sorted(m for _, m in usual),
            "hub": sum(m for _, m in new) <= sum(m for _, m in usual),
        }
        beyond = [rel for rel in _extra(true, got) if NEVER.match(rel) and not rel.startswith("sides/")]
        if kind == "same" and not _same(true, got):
            differs = [k for k, v in _plain(got.answer).items() if v != _plain(true.answer).get(k)]
            about += (
                f", differs in {differs}: {[(got.answer.body[k], true.answer.body.get(k)) for k in differs]}"
            )
        return "" if fine[kind] and not beyond else f"answered as {kind}, {about}"

    def _wrong_refusal(self, copy: Copy, got: Outcome, new: list[tuple[str, float]]) -> str:
        if got.code not in CODES:
            text = copy.node.store.path / "errors.log"
            return f"code {got.code}: {text.read_text()[-1500:]}"
        if new:
            return f"refused and charged {new}"
        beyond = sorted(rel for rel in got.changed if not MAY.match(rel) or rel.endswith("Charges.json"))
        if beyond:
            return f"refused ({got.code}) and changed {beyond}"
        entries = list(read(copy.path / "audit.jsonl"))
        if entries[-1].event != "refusal" or entries[-1].code != got.code:
            return "the trail has no entry of the refusal"
        if {"spend", "score"} & set(got.answer.body) or got.answer.blobs or len(got.answer.body) != 1:
            return "a refusal with more than a code"
        return ""

    def _next_is_refused(self, grid: InProcessGrid, copy: Copy, action: str, payload: Payload) -> None:
        """Members that answered a mangled message refuse the next true one, with the others' true confirmations."""
        for waiting in self.waiting.pop(copy.name, []):
            copy.put(waiting.tree)
            charged = len(copy.spends())
            got = self._deliver(grid, copy, action, to_record(payload))
            self.counts[action, "refused next" if got.code else "answered next"] += 1
            if action == "close":
                continue
            if got.code is None:
                self.failures.append(
                    f"{waiting.what}: answered, and so was the true {action}, {got.spends[charged:]}"
                )
            elif wrong := self._wrong_refusal(copy, got, got.spends[charged:]):
                self.failures.append(f"{waiting.what}, then the true {action}: {wrong}")


def grid_names(grid: InProcessGrid) -> list[str]:
    """Names of the institutions of a grid, in the order of its nodes."""
    return [Path(str(c.node_config["institution"])).stem for c in grid._contexts.values()]


def _studies(outcome: Outcome) -> list[Any]:
    """What an attempt that was begun by a message is about."""
    begun = {rel: c for rel, c in outcome.changed.items() if rel.endswith("Begun.json") and c is not None}
    return [(rel, json.loads(content)) for rel, content in begun.items()]


def _same(true: Outcome, got: Outcome) -> bool:
    """Whether two answers say the same; envelopes are other bytes every time."""
    if true.answer is None or got.answer is None or set(true.answer.blobs) != set(got.answer.blobs):
        return False
    return _plain(true.answer) == _plain(got.answer) and not _extra(true, got)


def _plain(answer: Payload) -> dict[str, Any]:
    return {k: v for k, v in answer.body.items() if k not in ("key", "signed_head", "confirm", "step_keys")}


def _extra(true: Outcome, got: Outcome) -> list[str]:
    return sorted(set(got.changed) - set(true.changed))
