"""A hub whose every message is tried out mangled on a copy of the node that is to get it, in its place of the run.

The true study goes on beside, on nodes that see true messages only. What a copy of a node does with a mangled message is
compared with its store before: see :class:`Mangler`.
"""

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
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
from fedrisk.errors import ProtocolError
from fedrisk.protocol.payload import Payload, from_record, refused, to_record
from support.mangling import Mangled, manglings, sample

CODES = {
    kind.code
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.FedriskError)
}
"""What the hub may get to see of a refusal."""

NEVER = re.compile(r"(ledger|quota)\.sqlite|pins\.json|identity\.key|results/|scored/|out_of_time\.json")
"""What a message that is answered must not touch where the true one in its place does not."""

MAY = re.compile(r"^(audit\.jsonl(\.head|\.checkpoints/.*)?|errors\.log)$")
"""Trail and log of errors: what a refusal may write to, besides the folder of the attempt that the message names."""


@dataclass
class Outcome:
    """What a message did to a copy of a node. spends: all that was ever charged there."""

    code: str | None
    answer: Payload
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
        self.node = Node.open(file)
        # A copy says whose it is as a store of its own: one of a store that is still there is refused.
        self.owner = (self.path / "store.json").read_bytes()
        self.name = name
        self.before: dict[str, bytes] = {}
        self._stats: dict[str, tuple[int, int, int]] = {}

    def sync(self) -> None:
        """The state of the true node."""
        self.put({rel: (self.true / rel).read_bytes() for rel in _scan(self.true)})

    def put(self, tree: dict[str, bytes]) -> None:
        """This state."""
        tree = {**tree, "store.json": self.owner}
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
    asked: the hub may ask for a planned release or leave it, at the planned price.
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
        return all(re.fullmatch(p, t) for p, t in pairs) and (
            self.kind not in ("hub", "asked") or mangled.other
        )


@dataclass(frozen=True)
class Moment:
    """A message about to be delivered in its place of a run, and what it does to the copy of its node."""

    grid: InProcessGrid
    copy: Copy
    action: str
    payload: Payload
    true: Outcome
    charged: int


class Mangler:
    """Plays as ``change`` of a run: before each exchange, mangled copies of all its messages.

    share: how many of a message, spread over its places. only: pattern of places, for tests of a few.
    failures: what went wrong, in words. counts: mangled messages by (action, outcome): a code, or the kind of the rule
    by which they were answered. later: how many of these made the next true message be refused, or not.
    """

    def __init__(
        self,
        consortium: Any,
        rules: Sequence[Rule],
        *,
        share: float,
        seed: str,
        folder: Path,
        only: str = ".*",
    ) -> None:
        self.consortium, self.rules, self.share, self.seed = consortium, rules, share, seed
        self._only = re.compile(only)
        self.failures: list[str] = []
        self.counts: Counter[tuple[str, str]] = Counter()
        self.later: Counter[str] = Counter()
        self._folder = folder
        self._seen: dict[str, Payload] = {}
        self._waiting: dict[str, list[Waiting]] = {}
        self._copies: dict[str, Copy] = {}
        self._number = 0
        self._carry = 0.0

    def __call__(self, run: Any, step: Any) -> None:
        """All messages of an exchange."""
        grid = run._grid
        by_node = dict(zip(map(str, grid._contexts), grid_names(grid), strict=True))
        for key, payload in step.sent.items():
            name = by_node.get(key, key)
            payload = Payload(dict(payload.body), dict(payload.blobs))
            self._one(grid, name, step.action, payload)
            self._seen.setdefault(f"{step.action}/{name}", payload)

    def _one(self, grid: InProcessGrid, name: str, action: str, payload: Payload) -> None:
        if name not in self._copies:
            self._copies[name] = Copy(self.consortium, name, self._folder)
        copy = self._copies[name]
        self._next_is_refused(grid, copy, action, payload)
        copy.sync()
        charged = len(copy.spends())
        true = self._deliver(grid, copy, action, to_record(payload))
        copy.restore(true.changed)
        moment = Moment(grid, copy, action, payload, true, charged)
        wanted = self.share + self._carry
        self._number, self._carry = self._number + 1, wanted - int(wanted)
        for mangled in sample(self._manglings(moment), int(wanted), f"{self.seed}|{self._number}"):
            self._try(moment, mangled)

    def _manglings(self, moment: Moment) -> Iterator[Mangled]:
        foreign = [p for key, p in self._seen.items() if not key.startswith(f"{moment.action}/")][-6:]
        kept = {rel.split("/")[1] for rel in moment.copy.before if rel.startswith("attempts/")}
        attempts = ["neverdescribed00", *sorted(kept - {moment.payload.body.get("attempt")})]
        every = manglings(moment.payload, list(self.consortium.content), foreign, attempts)
        return (mangled for mangled in every if self._only.fullmatch(mangled.where))

    def _deliver(self, grid: InProcessGrid, copy: Copy, action: str, record: RecordDict) -> Outcome:
        message = Message(record, 1, f"query.{action}", ttl=60.0)
        message.metadata.__dict__["_message_id"] = "mangled"
        # Raises where the app does: Flower would send the text of the exception.
        reply = client_app(grid._copy(message), copy.context)
        answer = from_record(grid._copy(reply).content)
        return Outcome(answer.refusal, answer, copy.changes(), copy.spends())

    def _try(self, moment: Moment, mangled: Mangled) -> None:
        copy = moment.copy
        what = f"{moment.action} to {copy.name}: {mangled.where}: {mangled.how}"
        try:
            got = self._deliver(moment.grid, copy, moment.action, mangled.make())
        except Exception as error:
            self.failures.append(f"{what}: the app raised {type(error).__name__}")
            copy.restore(copy.changes())
            return
        kind = None if got.code else self._kind(moment, mangled, got)
        wrong = self._wrong(moment, got, kind, _attempt_of(mangled))
        if wrong:
            self.failures.append(f"{what}: {wrong}")
        self.counts[moment.action, got.code or f"answered: {kind}"] += 1
        if not wrong and kind in ("later", "bound"):
            tree = {rel: c for rel, c in {**copy.before, **got.changed}.items() if c is not None}
            self._waiting.setdefault(copy.name, []).append(Waiting(what, tree))
        copy.restore(got.changed)

    def _kind(self, moment: Moment, mangled: Mangled, got: Outcome) -> str | None:
        """As what a message was answered: a kind of :class:`Rule`, or None where there is no reason to answer it."""
        if moment.action == "describe" and _studies(got) and _studies(got) == _studies(moment.true):
            # The same study, written in another way.
            return "same"
        if _but_for_codes(mangled, moment.payload) and self._confirmed(moment.copy):
            # Codes of what was confirmed before may be left out.
            return "same"
        return next((r.kind for r in self.rules if r.fits(moment.action, mangled)), None)

    def _confirmed(self, copy: Copy) -> bool:
        """Whether all other members have confirmed all that the copy was told, as its store says."""
        view = copy.before.get(f"attempts/{self.consortium.last.attempt}/View.json")
        if view is None:
            return True
        kept, content = json.loads(view), self.consortium.content
        others = [n for n, c in content.items() if n != copy.name and c["kind"] != "authority"]
        return all(kept["confirmed"].get(other, 0) >= len(kept["digests"]) for other in others)

    def _wrong(self, moment: Moment, got: Outcome, kind: str | None, named: str) -> str:
        """What is not as it has to be; empty where all is. named: the attempt that the message names."""
        copy, true = moment.copy, moment.true
        if not verify(copy.path / "audit.jsonl", copy.node.store.identity.public).ok:
            return "the trail does not verify any more"
        new, usual = got.spends[moment.charged :], true.spends[moment.charged :]
        if got.code is not None:
            return self._wrong_refusal(copy, got, new, named)
        extra = sorted(set(got.changed) - set(true.changed))
        about = f"charged {new}, changed {extra}, answers differ in {_differences(true, got)}"
        if kind is None:
            return f"answered, {about}"
        fine = {
            "same": not extra and not _differences(true, got) and new == usual,
            "later": not new,
            "bound": sorted(m for _, m in new) == sorted(m for _, m in usual),
            "asked": len(new) <= 1,
            "hub": sum(m for _, m in new) <= sum(m for _, m in usual),
        }
        beyond = [rel for rel in extra if NEVER.match(rel) and not (kind == "asked" and "ledger" in rel)]
        return "" if fine[kind] and not beyond else f"answered as {kind}, {about}"

    def _wrong_refusal(self, copy: Copy, got: Outcome, new: list[tuple[str, float]], named: str) -> str:
        if got.code not in CODES:
            return f"code {got.code}: {(copy.path / 'errors.log').read_text()[-1500:]}"
        if new:
            return f"refused and charged {new}"
        own = f"attempts/{named}/" if named else "none"
        beyond = sorted(rel for rel in got.changed if not MAY.match(rel) and not rel.startswith(own))
        if beyond or f"{own}Charges.json" in got.changed:
            return f"refused ({got.code}) and changed {beyond or 'charges'}"
        after = {**dict.fromkeys(copy.before), **got.changed}
        owed = _owed(copy.path / own)
        kept = [
            rel for rel in after if rel.startswith(own) and _secret(rel) and rel.removeprefix(own) not in owed
        ]
        if any((copy.path / rel).exists() for rel in kept):
            return f"refused ({got.code}), and the attempt keeps its secrets"
        last = list(read(copy.path / "audit.jsonl"))[-1]
        if last.event != "refusal" or last.code != got.code:
            return "the trail has no entry of the refusal"
        if got.answer.blobs or got.answer.body != refused(got.code).body:
            return "a refusal with more than a code"
        return ""

    def _next_is_refused(self, grid: InProcessGrid, copy: Copy, action: str, payload: Payload) -> None:
        """Members that answered a mangled message refuse the next true one, with the others' true confirmations."""
        for waiting in self._waiting.pop(copy.name, []):
            if action == "close":
                self.later["nothing more was asked"] += 1
                continue
            copy.put(waiting.tree)
            charged = len(copy.spends())
            got = self._deliver(grid, copy, action, to_record(payload))
            new = got.spends[charged:]
            self.later["refused" if got.code else "answered"] += 1
            wrong = f"answered, charged {new}"
            if got.code is not None:
                wrong = self._wrong_refusal(copy, got, new, str(payload.body["attempt"]))
            if wrong:
                self.failures.append(f"{waiting.what}: answered, and then the true {action}: {wrong}")


def grid_names(grid: InProcessGrid) -> list[str]:
    """Names of the institutions of a grid, in the order of its nodes."""
    return [Path(str(c.node_config["institution"])).stem for c in grid._contexts.values()]


def _secret(rel: str) -> bool:
    return "/secrets/" in rel or rel.endswith(".npy")


def _owed(folder: Path) -> set[str]:
    """Files that stay until scores were made of them; none where they cannot be made yet."""
    file = folder / "Owed.json"
    owed = json.loads(file.read_text()) if file.exists() else None
    if owed is None or not (folder / owed["after"]).exists():
        return set()
    return {f"{name}.npy" for name in owed["arrays"]} | {f"secrets/{name}" for name in owed["secrets"]}


def _attempt_of(mangled: Mangled) -> str:
    """The attempt that a message names; empty where it names none that could be."""
    try:
        named = from_record(mangled.make()).body.get("attempt")
    except ProtocolError:
        return ""
    return str(named) if re.fullmatch("[A-Za-z0-9]{8,64}", str(named)) else ""


def _studies(outcome: Outcome) -> list[Any]:
    """What an attempt that was begun by a message is about."""
    begun = {rel: c for rel, c in outcome.changed.items() if rel.endswith("Begun.json") and c is not None}
    return [(rel, json.loads(content)) for rel, content in begun.items()]


def _differences(true: Outcome, got: Outcome) -> list[str]:
    """Where two answers differ; envelopes are other bytes every time."""
    one, other = _plain(true.answer), _plain(got.answer)
    body = [key for key in one.keys() | other.keys() if one.get(key) != other.get(key)]
    return sorted([*body, *(set(true.answer.blobs) ^ set(got.answer.blobs))])


def _plain(answer: Payload) -> dict[str, Any]:
    """The body without what is drawn at random or is of the moment."""
    body = {k: v for k, v in answer.body.items() if k not in ("key", "signed_head", "confirm", "step_keys")}
    if "statement" in body:
        body["statement"] = {k: v for k, v in body["statement"].items() if k != "evaluation_key"}
    return body


def _but_for_codes(mangled: Mangled, payload: Payload) -> bool:
    """Whether a mangled message is the true one with fewer of the others' codes, or with codes of before."""
    if not mangled.where.startswith("confirmed") and mangled.where != "(message)":
        return False
    try:
        got = from_record(mangled.make())
    except ProtocolError:
        return False
    codes, before = got.body.get("confirmed", {}), payload.body.get("confirmed", {})
    fewer = isinstance(codes, dict) and all(before.get(name) == code for name, code in codes.items())
    one, other = (
        Payload({k: v for k, v in p.body.items() if k != "confirmed"}, p.blobs) for p in (got, payload)
    )
    return one.digest() == other.digest() and (fewer or mangled.where == "(message)")
