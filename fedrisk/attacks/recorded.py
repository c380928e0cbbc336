"""An exchange that keeps every message, and may change it: all that the hub can ever see, and what a lying hub does."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fedrisk.protocol.common_view import Part, split, with_parts
from fedrisk.protocol.payload import Payload, from_record, request
from fedrisk.server.exchange import Exchange

Lose = Callable[[str, Any], Mapping[str, str]]
"""Action and step to the institutions that are lost there: "dead" (never asked) or "late" (its answer comes late)."""


Change = Callable[["Record", "Step"], None]
"""What a hub that deviates does to a step's messages before they are sent."""


class Stopped(Exception):
    """The hub goes no further, since it has seen what it wanted."""


def before(action: str) -> Change:
    """A hub that stops before the first exchange of an action, by raising `Stopped`."""

    def stop(record: "Record", step: "Step") -> None:
        if step.action == action:
            raise Stopped

    return stop


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


def retold(
    step: Step, name: str, change: Callable[[Payload], Payload], *, only: Sequence[str] | None = None
) -> list[str]:
    """Change a part of the common view on its way, for all who are told it with this step or for ``only`` some.

    Returns who was told otherwise. Told alike to all, members confirm it to each other: what is left to them is
    whether it follows from the totals.
    """
    found = []
    for member, payload in step.sent.items():
        own, parts, codes = split(payload)
        if (only is not None and member not in only) or name not in [p.name for p in parts]:
            continue
        found.append(member)
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

    def told_part(self, name: str) -> Payload:
        """A part of the common view, as the hub told it to all members alike."""
        (found,) = [p.content for p in self._parts if p.name == name]
        return found

    def step(self, action: str, release: str | None = None) -> Step:
        """The exchange of that action, and for mask and release of that release."""

        def fits(step: Step) -> bool:
            first = next(iter(step.sent.values())).body
            return step.action == action and (release is None or first.get("release") == release)

        (found,) = [s for s in self.steps if fits(s)]
        return found

    def ask_once(self, name: str, action: str, payload: Payload) -> Payload:
        """One message to one institution beside the study, as a hub may send it."""
        stamped = Payload({**payload.body, "attempt": self.attempt}, payload.blobs)
        (answer,) = self._grid.send_and_receive([request(stamped, action, self._nodes[name], ttl=60)])
        return from_record(answer.content)

    def roll_call(self, members: Any, content: Any, *args: Any, **how: Any) -> dict[str, Payload]:
        """The roll call, kept and changed like any other exchange."""
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

    def afterwards(self, action: str, **how: Any) -> dict[str, Payload]:
        """Shown to ``change`` as it goes, where it is about released numbers; it is no step of the study."""
        told, only = how.get("told"), how.get("only")
        if self.change is not None and told is not None and only is not None:
            sent = {name: Payload({**told.body, "attempt": self.attempt}, dict(told.blobs)) for name in only}
            self.change(self, Step(action, sent, {}))
        return super().afterwards(action, **how)

    def _kept(self, spool: Any, action: str, name: str, kept: Any) -> Payload:
        """What comes too late is kept by nobody."""
        return kept.answer if name in self._gone else super()._kept(spool, action, name, kept)
