"""The loop of a node that stays: ask for a message, serve it, answer, forget it.

The link to the hub is handed in, so that the loop knows nothing of a network. Which institution it serves, the caller
says, from the node's own folder: nothing that comes with a message, and no configuration of a run, chooses a file.

An answer leaves at the end of a step of time (clients/answer_steps), whatever it took to make.

A node that is asked to stop takes no new message and finishes the one in hand: from the ledger's entry on, an answer
was paid for.
"""

import contextlib
import ctypes
import gc
import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from flwr.app import Context, Message, RecordDict

from fedrisk.clients.answer_steps import AnswerSteps
from fedrisk.errors import FedriskError, code_of
from fedrisk.protocol import payload

App = Callable[[Message, Context], Message]
"""A ClientApp."""

log = logging.getLogger("fedrisk")


class Link(Protocol):
    """Where messages come from and answers go to.

    ``receive`` gives None where there is no message now, and does not wait. ``send`` comes back when the answer is
    delivered, or when nobody waits for it any more. Both raise what cannot be waited out.
    """

    def receive(self) -> Message | None:
        """The next message, or None."""
        ...

    def send(self, reply: Message) -> None:
        """Deliver an answer."""
        ...


@dataclass(frozen=True, kw_only=True)
class Poll:
    """Seconds between two questions for messages: ``busy`` for ``busy_for`` seconds after a message, else ``idle``.

    spread: the share by which a pause is longer or shorter, so that nodes do not ask all at once.
    """

    busy: float = 0.1
    idle: float = 1.0
    busy_for: float = 60.0
    spread: float = 0.2

    def pause(self, since_work: float) -> float:
        """Seconds to wait, so many seconds after the last message."""
        base = self.busy if since_work < self.busy_for else self.idle
        return base * random.uniform(1 - self.spread, 1 + self.spread)


@dataclass(frozen=True, kw_only=True)
class Served:
    """A message that was answered. code: why it was refused, or None. seconds: in the handler alone."""

    action: str
    seconds: float
    bytes_in: int
    bytes_out: int
    code: str | None


def context_of(institution: Path) -> Context:
    """What a ClientApp is told: the institution's own file, and nothing of the run's configuration."""
    return Context(
        run_id=0,
        node_id=0,
        node_config={"institution": str(institution)},
        state=RecordDict(),
        run_config={},
    )


def serve(
    link: Link,
    app: App,
    context: Context,
    *,
    stop: threading.Event,
    poll: Poll | None = None,
    once: bool = False,
    turn: Callable[[], None] = lambda: None,
    served: Callable[[Served], None] = lambda _: None,
) -> int:
    """Serve messages until ``stop`` is set; how many were served.

    once: end when no message waits. turn: called before each question. served: called after each answer. What the link
    raises ends the loop.
    """
    poll, count, worked = poll or Poll(), 0, float("-inf")
    steps = AnswerSteps.drawn()
    # What the imports made stays for good, and need not be looked at after each message.
    gc.collect()
    gc.freeze()
    while not stop.is_set():
        turn()
        message = link.receive()
        if message is None:
            if once:
                break
            stop.wait(poll.pause(time.monotonic() - worked))
            continue
        began = time.monotonic()
        about, reply = answer(app, message, context)
        del message
        # Not by ``stop``: how long the work took must not show when a node is asked to end either.
        time.sleep(max(0.0, steps.end(time.monotonic() - began) - (time.monotonic() - began)))
        link.send(reply)
        del reply
        count, worked = count + 1, time.monotonic()
        give_back_memory()
        log.info(
            "served",
            extra={
                "event": "served",
                "action": about.action,
                "seconds": round(about.seconds, 3),
                "bytes": about.bytes_out,
                "code": about.code,
            },
        )
        served(about)
    return count


def answer(app: App, message: Message, context: Context) -> tuple[Served, Message]:
    """The answer to one message, and what it was about; an error of the app becomes a code."""
    action = message.metadata.message_type.partition(".")[2] or message.metadata.message_type
    own = Context(
        run_id=message.metadata.run_id,
        node_id=message.metadata.dst_node_id,
        node_config=dict(context.node_config),
        state=RecordDict(),
        run_config={},
    )
    size, began = size_of(message), time.monotonic()
    try:
        reply = app(message, own)
    except Exception as error:
        # Flower would send the text to the hub.
        log.error("the app failed: %s", type(error).__name__, extra={"event": "failed", "action": action})
        reply = payload.reply(payload.refused(code_of(error)), message)
    seconds = time.monotonic() - began
    about = Served(action=action, seconds=seconds, bytes_in=size, bytes_out=size_of(reply), code=_code(reply))
    return about, reply


def size_of(message: Message) -> int:
    """Bytes of the arrays and bodies of a message, without Flower's framing."""
    if not message.has_content():
        return 0
    arrays = sum(
        len(array.data) for record in message.content.array_records.values() for array in record.values()
    )
    bodies = sum(
        len(value)
        for record in message.content.config_records.values()
        for value in record.values()
        if isinstance(value, str | bytes)
    )
    return arrays + bodies


def give_back_memory() -> None:
    """Collect what a message left, and return free memory to the system, where its allocator can."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _code(reply: Message) -> str | None:
    """The code of a refusal; "internal" for an answer that is an error."""
    if not reply.has_content():
        return "internal"
    try:
        return payload.from_record(reply.content).refusal
    except FedriskError:
        return "internal"
