"""Messages of one exchange over a Flower grid: sent, collected, and sent again to institutions that were lost.

At least once, same attempt, same content: a node answers the same request with the same bytes (clients/resend). A
message is sent again, as a new Flower message with the same payload, on Flower's error reply; where the node was
activated after the sending, since Flower hands a message that was delivered to nobody else and says nothing; and where
the node says that it cannot answer for now (code ``later``). All until the exchange's deadline. Answers are matched to
their requests by the ids that Flower gave these; late, second and foreign ones are counted and dropped.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from flwr.app import Message
from flwr.serverapp import Grid

from fedrisk.errors import LATER, LostError, ProtocolError
from fedrisk.protocol import versions
from fedrisk.protocol.payload import Payload, from_record, request
from fedrisk.server.spoken import checked_answer

log = logging.getLogger("fedrisk")

LOOK_SECONDS = 2.0
"""How often it is looked whether nodes were activated anew while answers are waited for."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds before a request is sent again; the pause doubles each time."""

LONGEST_LOOK = 0.2
"""Seconds between two looks for answers, at most; a look costs the hub's database some milliseconds."""

MOST_UNTAKEN = 3
"""So often a message that Flower does not take is sent: one that is too large never will be."""

_SILENT, _LOST, _UNSENT = "silent", "lost", "unsent"


@dataclass(frozen=True)
class NodeSeen:
    """A connected node: its id, the name under which it was registered (empty where unknown), when it was activated."""

    id: int
    name: str = ""
    activated: str = ""


def nodes_of(grid: Grid) -> list[NodeSeen]:
    """All connected nodes. Names are empty on engines that register nobody, such as Flower's simulation."""
    try:
        infos: Iterable[Any] = grid.get_nodes()
    except NotImplementedError:
        return [NodeSeen(node) for node in grid.get_node_ids()]
    return [NodeSeen(int(i.node_id), str(i.name), str(i.last_activated_at)) for i in infos]


Sent = TypeVar("Sent")
"""What a sender keeps of a message that is out."""


def pushed(grid: Grid, message: Message) -> str | None:
    """Send one message; its id, None where Flower did not take it (it then gives no id, or an empty one)."""
    ids = list(grid.push_messages([message]))
    return ids[0] if len(ids) == 1 and ids[0] else None


def answered(grid: Grid, sent: dict[str, Sent]) -> Iterator[tuple[Sent, Message]]:
    """Answers that are there to messages in ``sent``, which these leave; one that is an error is passed over."""
    if not sent:
        return
    for message in grid.pull_messages(list(sent)):
        about = sent.pop(message.metadata.reply_to_message_id, None)
        if about is not None and not message.has_error():
            yield about, message


@dataclass
class _Waiting:
    """An institution whose answer is waited for: why it has to be asked again, when, and what it was last seen as."""

    why: str = _SILENT
    due: float | None = None
    pause: float = FIRST_PAUSE
    activated: str = ""
    untaken: int = 0
    sent: bool = False

    @property
    def asked(self) -> bool:
        """Whether an answer may still come: it was asked, or will be asked again."""
        return self.why == _SILENT or self.due is not None


@dataclass
class Post:
    """Sends requests and collects answers for one attempt.

    patient: whether lost institutions, and those that cannot answer for now, are asked again until the deadline; else
    they count as lost at once, as on one machine, where nobody comes back by himself. protocol: that messages are
    written in. dropped: answers that nobody waited for any more. again: requests that were sent once more. attempt:
    for the log.
    """

    grid: Grid
    patient: bool = False
    protocol: int = field(default_factory=lambda: versions.PROTOCOL)
    dropped: int = 0
    again: int = 0
    attempt: str = ""

    def ask(
        self,
        action: str,
        content: Mapping[str, Payload],
        nodes: Mapping[str, int],
        arrived: Callable[[str, Payload], None],
        *,
        timeout: float,
        where: str,
        tolerant: bool = False,
        patient: bool | None = None,
        sent: Callable[[str, int], None] = lambda *_: None,
        malformed: Callable[[str], None] | None = None,
    ) -> set[str]:
        """Ask each institution, hand each answer to ``arrived`` as it comes, and return the names of who answered.

        One at a time: what was sent, or has come, need not be in memory with all the rest. sent: called with name and
        bytes of each first sending. where: words for the exchange. malformed: called with the name of whoever answers
        with what cannot be read; without it that is a ProtocolError. LostError names who did not answer, unless
        tolerant.
        """
        size, began = 0, time.monotonic()

        def came(name: str, answer: Payload) -> None:
            about = {"action": action, "peer": name, "bytes": answer.size(), "code": answer.refusal}
            log.info("an answer came", extra={"event": "received", "attempt": self.attempt, **about})
            arrived(name, answer)

        def went(name: str, count: int) -> None:
            nonlocal size
            size += count
            sent(name, count)

        exchange = _Exchange(self, action, content, nodes, came, timeout, went)
        exchange.patient = self.patient if patient is None else patient
        exchange.tolerant, exchange.malformed = tolerant, malformed
        late = exchange.run()
        about = {"action": action, "seconds": time.monotonic() - began, "bytes": size}
        log.info("an exchange is over", extra={"event": "exchange", "attempt": self.attempt, **about})
        if exchange.waiting and not tolerant:
            raise LostError(_why(exchange.waiting, where, timeout if late else None))
        return set(content) - set(exchange.waiting)


class _Exchange:
    """One exchange under way."""

    patient = tolerant = False
    malformed: Callable[[str], None] | None = None

    def __init__(
        self,
        post: Post,
        action: str,
        content: Mapping[str, Payload],
        nodes: Mapping[str, int],
        arrived: Callable[[str, Payload], None],
        timeout: float,
        sent: Callable[[str, int], None],
    ) -> None:
        self.post, self.action, self.content, self.nodes = post, action, content, nodes
        self.arrived, self.timeout, self.sent = arrived, timeout, sent
        self.waiting = {name: _Waiting() for name in content}
        self.ids: dict[str, str] = {}
        self.looked = time.monotonic()

    def run(self) -> bool:
        """Until all have answered, or it is of no use to wait any longer; whether the deadline is over."""
        seen = self._activated() if self.patient else {}
        for name in self.content:
            self.waiting[name].activated = seen.get(self.nodes[name], "")
            self._push(name, self.timeout)
            self._collect()
            if self._lost(_LOST, LATER):
                return False
        deadline, pause = time.monotonic() + self.timeout, 0.01
        while not self._lost(_LOST, LATER, _UNSENT):
            self._collect()
            now = time.monotonic()
            if now > deadline:
                return True
            self._look(now)
            if not any(w.asked for w in self.waiting.values()):
                return False
            for name in [n for n, w in self.waiting.items() if w.due is not None and w.due <= now]:
                self._push(name, deadline - now)
            time.sleep(pause)
            pause = min(pause * 1.5, LONGEST_LOOK)
        return False

    def _lost(self, *why: str) -> bool:
        """Whether somebody is lost for such a reason and is not asked again, where all are needed."""
        return not self.tolerant and any(w.why in why and not w.asked for w in self.waiting.values())

    def _push(self, name: str, ttl: float) -> None:
        """Send one message; Flower gives no id, or an empty one, where it did not take it."""
        waiting, payload = self.waiting[name], self.content[name]
        # Relayed blobs are fetched once for each sending, here.
        payload = Payload(payload.body, dict(payload.blobs))
        waiting.due = None
        if waiting.sent:
            self.post.again += 1
        else:
            waiting.sent = True
            self.sent(name, payload.size())
        message = request(
            payload, self.action, self.nodes[name], ttl=max(ttl, 1.0), protocol=self.post.protocol
        )
        number = pushed(self.post.grid, message)
        if number is not None:
            self.ids[number] = name
            waiting.why = _SILENT
            return
        waiting.untaken += 1
        self._again(waiting, _UNSENT, give_up=waiting.untaken >= MOST_UNTAKEN)

    def _again(self, waiting: _Waiting, why: str, *, give_up: bool = False) -> None:
        """Ask once more after a pause, where that may help."""
        waiting.why = why
        if not self.patient or give_up:
            waiting.due = None
            return
        waiting.due = time.monotonic() + waiting.pause
        waiting.pause = min(2 * waiting.pause, LONGEST_PAUSE)

    def _collect(self) -> None:
        """Take the answers that are there."""
        if not self.ids:
            return
        for message in self.post.grid.pull_messages(list(self.ids)):
            name = self.ids.pop(message.metadata.reply_to_message_id, "")
            if name not in self.waiting:
                self.post.dropped += 1
                continue
            if message.has_error():
                if name not in self.ids.values():
                    self._again(self.waiting[name], _LOST)
                continue
            answer = self._read(name, message)
            if answer is None:
                continue
            if answer.refusal == LATER:
                self._again(self.waiting[name], LATER)
                continue
            del self.waiting[name]
            self.arrived(name, answer)

    def _read(self, name: str, message: Message) -> Payload | None:
        """The answer in a message; None where it cannot be read, and that is no error."""
        try:
            return checked_answer(from_record(message.content), self.post.protocol)
        except ProtocolError:
            if self.malformed is None:
                raise
            del self.waiting[name]
            self.malformed(name)
            return None

    def _look(self, now: float) -> None:
        """Ask again whoever was activated since it was asked: what was delivered to it before is gone."""
        if not self.patient or now - self.looked < LOOK_SECONDS:
            return
        self.looked, seen = now, self._activated()
        for name, waiting in self.waiting.items():
            activated = seen.get(self.nodes[name])
            if activated is not None and activated != waiting.activated:
                waiting.activated = activated
                waiting.due = now

    def _activated(self) -> dict[int, str]:
        """When each connected node was activated; nothing where the grid cannot say it now."""
        with contextlib.suppress(Exception):
            return {node.id: node.activated for node in nodes_of(self.post.grid)}
        return {}


_END = (
    "What was released before stays charged, and the run can go on where it is, with --resume, within a day"
)


def _why(waiting: Mapping[str, _Waiting], where: str, timeout: float | None) -> str:
    """What became of those that did not answer."""

    def those(why: str) -> str:
        return ", ".join(sorted(name for name, w in waiting.items() if w.why == why))

    said = []
    if lost := those(_LOST):
        said.append(f"{lost} was lost in {where}; see that its node runs")
    if unsent := those(_UNSENT):
        said.append(f"{where}, could not be sent to {unsent}; see that its node is connected")
    if later := those(LATER):
        said.append(
            f"{later} cannot answer {where} for now: its disk is full, or its database is away; the reason is in the "
            "institution's own errors.log"
        )
    if timeout is not None and (silent := those(_SILENT)):
        said.append(f"no answer from {silent} within {timeout:.0f} s in {where}; see that the node runs")
    return f"{'. '.join(said)}. {_END}"


def named(nodes: Collection[NodeSeen]) -> bool:
    """Whether the engine knows nodes by name."""
    return any(node.name for node in nodes)
