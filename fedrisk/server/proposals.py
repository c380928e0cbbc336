"""Studies as proposals: what the hub keeps of a study until its members have agreed, and of what became of it.

    proposals/ID.json     the study, its digest, each member's word, how far it is
    proposals/.lock       held while one is changed: commands and the hub's work are processes of their own

A proposal waits here, outside any run, for days if need be: people decide at the institutions, and no message stays
open for them. An agreement is to the digest of the whole study and to the seed of a research run; the institutions keep
and check it themselves (clients/proposals), and nothing that is written here makes any of them take part.
"""

import contextlib
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from fedrisk.attempt_id import LEAST_PREFIX, meant
from fedrisk.errors import ConfigError, StoreError
from fedrisk.files import PUT_BACK, damaged, locked, mark_of, private_folder, read_kept, write_atomic
from fedrisk.server.hub import Hub
from fedrisk.study import Study, study_from

State = Literal["open", "ready", "running", "finished", "failed", "lapsed", "refused", "withdrawn"]
Word = Literal["waiting", "agreed", "refused"]

OVER: frozenset[State] = frozenset({"finished", "lapsed", "refused", "withdrawn"})
"""States that nothing follows; a failed run may be tried again while the agreements still hold."""

DAYS = 14
"""How long a proposal waits for its members where nothing else is said."""

MOST_DAYS = 60
"""How long a proposal may wait at most."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A member's last word. code: of a refusal, never more. at: when it came, UTC in ISO 8601."""

    state: Word
    code: str | None = None
    at: str


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A study that its members are asked for.

    study: its content, as JSON has it; digest: of it. again: whether it may run though it was run before. deadline:
    until when members are waited for. answers: by member. attempt: of its run; code: of the error that ended it.
    """

    id: str
    study: dict[str, Any]
    digest: str
    research_seed: int | None = None
    again: bool = False
    submitted: str
    deadline: str
    answers: dict[str, Answer] = field(default_factory=dict)
    state: State = "open"
    attempt: str | None = None
    code: str | None = None

    @cached_property
    def whole(self) -> Study:
        """The study as it was submitted."""
        return study_from(self.study, where=f"proposal {self.id}")

    @property
    def over(self) -> bool:
        """Whether nothing more becomes of it."""
        return self.state in OVER

    def members(self, state: Word) -> tuple[str, ...]:
        """Members whose last word this is, in the study's order; "waiting" are also those that were never heard."""
        none = Answer(state="waiting", at=self.submitted)
        return tuple(m for m in self.whole.members if self.answers.get(m, none).state == state)

    @property
    def absent(self) -> tuple[str, ...]:
        """Optional members that did not agree: once the proposal is ready, the study runs without them."""
        return tuple(m for m in self.whole.optional if m not in self.members("agreed"))

    def undecided(self, now: datetime) -> tuple[str, ...]:
        """Members whose word is still waited for; optional ones are not, once the deadline is over."""
        waiting = self.members("waiting")
        return tuple(m for m in waiting if m not in self.whole.optional) if self.past(now) else waiting

    def past(self, now: datetime) -> bool:
        """Whether its deadline is over."""
        return now >= datetime.fromisoformat(self.deadline)

    def to_node(self) -> dict[str, Any]:
        """What a member is told of it. No price: every institution works out its own.

        over: nothing becomes of it, so nobody has to decide any more.
        """
        return {
            "id": self.id,
            "study": self.study,
            "digest": self.digest,
            "research_seed": self.research_seed,
            "deadline": self.deadline,
            "over": self.state in ("lapsed", "refused", "withdrawn"),
        }

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON has it."""
        plain: dict[str, Any] = _adapter().dump_python(self)
        return plain


@cache
def _adapter() -> TypeAdapter[Proposal]:
    return TypeAdapter(Proposal)


class Proposals:
    """The hub's proposals; errors of the disk are StoreError."""

    def __init__(self, hub: Hub) -> None:
        self.path = hub.path / "proposals"
        self._known: dict[Path, tuple[tuple[int, ...], Proposal]] = {}

    def submit(
        self,
        study: Study,
        *,
        research_seed: int | None = None,
        again: bool = False,
        days: float = DAYS,
        now: datetime | None = None,
    ) -> Proposal:
        """Keep a study, checked by its recipe, as an open proposal.

        ConfigError where the same study is open already, or the days are out of range.
        """
        if not 0 < days <= MOST_DAYS:
            raise ConfigError(
                f"a proposal waits more than 0 and at most {MOST_DAYS} days; {days:g} is neither"
            )
        now = now or datetime.now(UTC)
        made = Proposal(
            id=secrets.token_hex(6),
            study=study.model_dump(mode="json"),
            digest=study.digest(),
            research_seed=research_seed,
            again=again,
            submitted=stamp(now),
            deadline=stamp(now + timedelta(days=days)),
        )
        with self._locked():
            same = (study.as_asked.digest(), made.research_seed)
            for other in self.all():
                if other.over or other.state == "failed":
                    continue
                if (other.whole.as_asked.digest(), other.research_seed) == same:
                    raise ConfigError(
                        f"study {study.name} is proposed already as {other.id} ({other.state}); wait for it, or take "
                        "it back with fedrisk hub withdraw"
                    )
            self._write(made)
        return made

    def all(self) -> list[Proposal]:
        """All proposals, the newest last; StoreError names one that cannot be read. Makes no folder."""
        found = [self._read(file) for file in self.path.glob("*.json")]
        return sorted(found, key=lambda p: (p.submitted, p.id))

    def open(self) -> list[Proposal]:
        """Those whose members are still asked."""
        return [p for p in self.all() if p.state == "open"]

    def find(self, name: str) -> Proposal:
        """The proposal of that id, or the beginning of one; ConfigError where none fits, or several do."""
        fits = meant(name, [file.stem for file in self.path.glob("*.json")])
        if len(fits) == 1:
            return self._read(self.path / f"{fits[0]}.json")
        what = f"{len(fits)} proposals begin with {name}" if fits else f"no proposal is called {name}"
        raise ConfigError(
            f"{what} in {self.path}; {LEAST_PREFIX} letters or more of an id will do where they fit one alone"
        )

    def update(self, id: str, **changes: Any) -> Proposal:
        """Change fields of a proposal, such as ``state``; the proposal as it is then.

        ConfigError where it is over: its state is kept for good.
        """
        with self._locked():
            before = self.find(id)
            if before.over and changes.get("state", before.state) != before.state:
                raise ConfigError(f"proposal {before.id} is {before.state} for good; submit the study again")
            after = replace(before, **changes)
            if after != before:
                self._write(after)
        return after

    def answered(self, id: str, member: str, answer: Answer) -> Proposal:
        """Keep a member's word; the proposal as it is then, unchanged where it is no longer open."""
        with self._locked():
            before = self.find(id)
            if before.state != "open":
                return before
            after = replace(before, answers={**before.answers, member: answer})
            self._write(after)
        return after

    def withdraw(self, id: str) -> Proposal:
        """Take a proposal back; ConfigError where it runs or is over. The desk tells its members."""
        found = self.find(id)
        if found.state == "running":
            raise ConfigError(f"proposal {found.id} is running as {found.attempt}; it cannot be taken back")
        return self.update(found.id, state="withdrawn")

    def _read(self, file: Path) -> Proposal:
        """A file is read again only where it changed: the hub's work looks at all of them every second."""
        # Every writing makes a new file.
        mark = mark_of(file)
        known = self._known.get(file)
        if known is not None and known[0] == mark and any(mark):
            return known[1]
        try:
            found = _adapter().validate_json(read_kept(file, PUT_BACK))
        except ValidationError:
            raise damaged(file, PUT_BACK) from None
        self._known[file] = (mark, found)
        return found

    def _write(self, proposal: Proposal) -> None:
        content = json.dumps(proposal.to_dict(), indent=1, ensure_ascii=False)
        write_atomic(self.path / f"{proposal.id}.json", content.encode())

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            private_folder(self.path)
            with locked(self.path / ".lock"):
                yield
        except OSError as error:
            raise StoreError(
                f"{self.path} cannot be written: {error.strerror}; check path, space and permissions"
            ) from None


def stamp(moment: datetime) -> str:
    """A moment as it is kept: UTC in ISO 8601, in seconds.

    >>> stamp(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    '2026-01-02T03:04:05Z'
    """
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
