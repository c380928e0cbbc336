"""What a hub has proposed to this institution, and what was decided: ``proposals/ID.json`` in its store.

Proposals are few and small: a hub that sends many is told so, and nothing more is written. What was approved is kept
for good, because standing rules count it; of the rest the latest are kept.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from fedrisk.attempt_id import meant
from fedrisk.errors import ConfigError, StoreError
from fedrisk.files import damaged, read_kept, write_atomic

MOST_WAITING = 50
"""Proposals that wait for a person at most; further ones are not taken."""

MOST_KEPT = 200
"""Proposals that were never approved, kept at most, unless they are of the last day: no more are taken then."""

MOST_DAYS = 60
"""How long a proposal can wait here, whatever deadline the hub names."""

DAY = timedelta(days=1)

_REMEDY = (
    "put it back from its copy, or delete it: what it approved is then no longer approved, and a standing rule may "
    "approve another study in its place"
)

Stage = Literal["waiting", "agreed", "used", "refused", "lapsed"]


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What was decided, by whom and when (UTC).

    by: a person, a standing rule, the policy, which refuses at once what it forbids, or the hub, which took it back.
    who: the person's name, or the rule's pattern. reason: stays here. code: of a refusal, all that the hub learns.
    salt: random, so that nobody who holds the trail, which has a hash of this, can guess a reason.
    """

    state: Literal["agreed", "refused"]
    by: Literal["person", "rule", "policy", "hub"]
    who: str
    at: str
    reason: str = ""
    code: str | None = None
    salt: str = ""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One proposal, as this institution read it.

    study: its content, checked here; digest: computed here. mu: its price here, None where there is none. asked: when
    it first came. deadline: until when it waits. attempt: the one that uses the approval.
    """

    id: str
    study: dict[str, Any]
    digest: str
    research_seed: int | None
    mu: float | None
    asked: str
    deadline: str
    decision: Decision | None = None
    attempt: str | None = None
    moved: int = 0

    def stage(self, now: datetime, approval_days: int) -> Stage:
        """How it stands at a time: an approval that lapsed waits for a person again while the proposal does."""
        made = self.decision
        if made is not None and made.state == "refused":
            return "refused"
        if made is not None and self.holds(now, approval_days):
            return "agreed" if self.attempt is None else "used"
        if made is not None and self.attempt is not None:
            return "used"
        return "lapsed" if now >= self.ends else "waiting"

    def holds(self, now: datetime, approval_days: int) -> bool:
        """Whether it was approved, and not too long ago; an approval of tomorrow is one by a clock that went wrong."""
        if self.decision is None or self.decision.state != "agreed":
            return False
        return -DAY <= now - datetime.fromisoformat(self.decision.at) < timedelta(days=approval_days)

    @property
    def ends(self) -> datetime:
        """When it no longer waits."""
        latest = datetime.fromisoformat(self.asked) + timedelta(days=MOST_DAYS)
        return min(datetime.fromisoformat(self.deadline), latest)

    @property
    def approved(self) -> datetime | None:
        """When it was approved, also where that has lapsed."""
        made = self.decision
        return datetime.fromisoformat(made.at) if made is not None and made.state == "agreed" else None

    @property
    def decision_code(self) -> str | None:
        """The code of a refusal, all that the hub learns of it; None where it was not refused."""
        return None if self.decision is None else self.decision.code

    def with_decision(self, decision: Decision | None, mu: float | None) -> "Asked":
        """The same with a decision, at a price."""
        return replace(self, decision=decision, mu=mu)


@cache
def _adapter() -> TypeAdapter[Asked]:
    return TypeAdapter(Asked)


class ProposalStore:
    """The folder ``proposals`` of an institution's store. Makes nothing before something is kept."""

    def __init__(self, store: Path) -> None:
        self.path = store / "proposals"

    def all(self) -> list[Asked]:
        """All of them, the newest last; StoreError names a file that cannot be read."""
        found = [self._read(file) for file in self.path.glob("*.json")]
        return sorted(found, key=lambda asked: (asked.asked, asked.id))

    def get(self, id: str) -> Asked | None:
        """The proposal of exactly that id, or None."""
        file = self.path / f"{id}.json"
        return self._read(file) if file.exists() else None

    def find(self, said: str) -> Asked:
        """The proposal that a person means by an id or the beginning of one; ConfigError where none or several fit."""
        # Few wait at one institution: a letter will do where it fits one alone.
        fits = meant(said, [file.stem for file in self.path.glob("*.json")], least=1)
        if len(fits) == 1:
            return self._read(self.path / f"{fits[0]}.json")
        what = f"{len(fits)} proposals begin with {said}" if fits else f"there is no proposal {said}"
        raise ConfigError(f"{what} here; fedrisk node proposals lists them")

    def put(self, asked: Asked) -> None:
        """Keep one whole, in the place of an earlier state of it; StoreError."""
        content = json.dumps(_adapter().dump_python(asked), indent=1)
        write_atomic(self.path / f"{asked.id}.json", content.encode())

    def has_room(self, now: datetime, approval_days: int) -> bool:
        """Whether a further one is taken; lets go of the oldest that were never approved, a day after they came."""
        every = self.all()
        if sum(a.stage(now, approval_days) == "waiting" for a in every) >= MOST_WAITING:
            return False
        never = [a for a in every if a.approved is None]
        spare = [a for a in never if a.stage(now, approval_days) != "waiting"]
        spare = [a for a in spare if datetime.fromisoformat(a.asked) < now - DAY]
        for old in spare[: max(0, len(never) + 1 - MOST_KEPT)]:
            never.remove(old)
            self._forget(old)
        return len(never) < MOST_KEPT

    def waiting(self, now: datetime, approval_days: int) -> Sequence[Asked]:
        """Those that wait for a person."""
        return [a for a in self.all() if a.stage(now, approval_days) == "waiting"]

    def _forget(self, asked: Asked) -> None:
        try:
            (self.path / f"{asked.id}.json").unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{self.path / asked.id}.json cannot be removed: {error.strerror}") from None

    def _read(self, file: Path) -> Asked:
        try:
            found = _adapter().validate_json(read_kept(file, _REMEDY))
            # Times that cannot be read would be found out later, in the middle of something.
            _ = found.ends, found.approved
        except (ValidationError, ValueError, TypeError):
            raise damaged(file, _REMEDY) from None
        return found


def stamp(moment: datetime) -> str:
    """A moment as it is kept: UTC in ISO 8601, in milliseconds.

    >>> stamp(datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC))
    '2026-01-02T03:04:05.678Z'
    """
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
