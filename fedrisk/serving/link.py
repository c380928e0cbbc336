"""A node's two ways to the hub's relay of scores: the stream on which it answers, and the questions that it asks.

The node calls out and opens no port. It shows the certificate that the hub made for its key (NODE/node.pem), and takes
no server but one that an authority of NODE/ca.pem signed. Both files are read again once they change. What the relay
sends is material to be checked: who asked, and what, the sealed envelope says (serving/holder.py).
"""

import contextlib
import logging
import queue
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, Protocol

import grpc
from google.protobuf.message import DecodeError

import fedrisk
from fedrisk.errors import FedriskError, LaterError, code_of
from fedrisk.protocol import scoring as rules
from fedrisk.protocol import scoring_pb2 as pb
from fedrisk.secure.identity import SignedKey
from fedrisk.serving.channel import Files, in_words
from fedrisk.serving.relay import Reply

log = logging.getLogger("fedrisk")

THREADS: int = 4
"""Parts that are answered side by side; a look-up waits for the database, and the rest is short."""

IN_HAND: int = 64
"""Parts that are taken and not answered yet; more stay with the relay."""

LONGEST_PAUSE: float = 5.0
"""Seconds between two tries to reach the relay, at most."""

_LOOK = 0.5
_LIVED = 30.0


class Answering(Protocol):
    """Who answers parts, from several threads (serving/holder.Holder)."""

    def answer(self, asker: str, id: str, model: str, envelope: bytes) -> Reply:
        """The answer to one part, or a code; the same to the same part."""
        ...

    def key(self, epoch: str) -> SignedKey:
        """This institution's key of an epoch, signed."""
        ...


def epoch_now() -> str:
    """The epoch of keys that it is now."""
    return rules.epoch_of(datetime.now(UTC))


class Attending:
    """A node's stream, opened again and again until it is stopped.

    files: address, certificates and key. news: told whether it is connected, and in words why not, when that changes.
    """

    def __init__(
        self,
        files: Files,
        answering: Answering,
        *,
        stop: threading.Event,
        epoch: Callable[[], str] = epoch_now,
        news: Callable[[bool, str], None] = lambda connected, why: None,
    ) -> None:
        self._files, self._answering, self._stop, self._epoch = files, answering, stop, epoch
        self._news, self._told = news, ("", False)
        self._places = threading.Semaphore(IN_HAND)
        self._stream: _Stream | None = None

    def run(self) -> None:
        """Attend until ``stop`` is set; what keeps it from the relay is waited out, and said once."""
        pause = 0.2
        with ThreadPoolExecutor(THREADS, "fedrisk-answers") as pool:
            while not self._stop.is_set():
                began = time.monotonic()
                try:
                    again = self._once(pool)
                except FedriskError as error:
                    again = False
                    self._say(False, str(error), code_of(error))
                lived = time.monotonic() - began > _LIVED
                pause = 0.2 if again or lived else min(pause * 2, LONGEST_PAUSE)
                self._stop.wait(0.0 if again else pause * random.uniform(0.5, 1.0))

    def _once(self, pool: ThreadPoolExecutor) -> bool:
        """One stream to its end; whether the next begins at once. FedriskError: why there is none."""
        key = self._answering.key(self._epoch())
        stream = _Stream(self._files, _hello(key))
        watch = threading.Thread(target=self._watch, args=(stream, key), name="fedrisk-attend", daemon=True)
        watch.start()
        try:
            for raw in stream.messages():
                self._take(raw, stream, pool)
        except grpc.RpcError as error:
            if stream.renewing or self._stop.is_set():
                return True
            raise in_words(error, self._files) from None
        finally:
            stream.close()
            watch.join()
        raise LaterError("the hub's relay of scores ended the connection; it is opened again")

    def _watch(self, stream: "_Stream", said: SignedKey) -> None:
        """Say a new key, of a new epoch or after a loss; end the stream when it is to be stopped, or has new files."""
        while not stream.over.wait(_LOOK):
            if self._stop.is_set() or stream.stale:
                stream.renewing = True
                stream.close()
                return
            try:
                key = self._answering.key(self._epoch())
            except FedriskError as error:
                log.warning("no key for an epoch", extra={"event": "keys", "code": code_of(error)})
                continue
            if key != said:
                stream.say(_hello(key))
                said = key

    def _take(self, raw: bytes, stream: "_Stream", pool: ThreadPoolExecutor) -> None:
        """One message of the relay: a part goes to the pool, what is malformed is noted."""
        try:
            message = pb.ToNode.FromString(raw)
        except DecodeError:
            message = pb.ToNode()
        kind = message.WhichOneof("content")
        if kind == "welcome":
            self._stream = stream
            self._say(True, "", "")
            return
        part = message.part
        if kind != "part" or not _fits(part):
            _note(rules.FORM)
            if kind == "part" and rules.is_id(part.id) and rules.is_name(part.asker):
                self._send(part, Reply(rules.FORM))
            return
        until = time.monotonic() + min(part.seconds, rules.MOST_SECONDS)
        while not self._places.acquire(timeout=_LOOK):
            if self._stop.is_set() or stream.over.is_set():
                return
        pool.submit(self._answer, part, until)

    def _answer(self, part: "pb.Part", until: float) -> None:
        try:
            if time.monotonic() >= until:
                # Nobody waits any more: nothing is looked up, counted or charged.
                _note(rules.LATE)
                return
            began = time.monotonic()
            try:
                reply = self._answering.answer(part.asker, part.id, part.model, part.envelope)
            except Exception as error:
                # The relay gets a word, whatever it was.
                log.error("an answer failed: %s", type(error).__name__, extra={"event": "failed"})
                reply = Reply("internal")
            log.info(
                "a question was answered",
                extra={
                    "event": "question",
                    "peer": part.asker,
                    "seconds": time.monotonic() - began,
                    "bytes": len(part.envelope) + len(reply.envelope),
                    "code": reply.code,
                },
            )
            self._send(part, reply)
        finally:
            self._places.release()

    def _send(self, part: "pb.Part", reply: Reply) -> None:
        stream = self._stream
        if stream is not None:
            answer = pb.Answer(
                id=part.id,
                asker=part.asker,
                member=self._files.name,
                code=reply.code,
                envelope=reply.envelope,
            )
            stream.say(pb.FromNode(answer=answer).SerializeToString())

    def _say(self, connected: bool, why: str, code: str) -> None:
        if self._told == (why, connected):
            return
        self._told = (why, connected)
        level = logging.INFO if connected else logging.WARNING
        text = "connected to the relay of scores" if connected else "the relay of scores is away"
        log.log(level, text, extra={"event": "attending" if connected else "relay_away", "code": code})
        self._news(connected, why)


class _Stream:
    """One open stream. over: set once it has ended. renewing: whether it ends on purpose."""

    def __init__(self, files: Files, hello: bytes) -> None:
        self._files, self.renewing, self.over = files, False, threading.Event()
        self._read = files.read()
        self._out: queue.Queue[bytes] = queue.Queue(IN_HAND)
        self._out.put(hello)
        self._channel = files.channel()
        # Bytes both ways: what cannot be parsed is noted, and ends nothing.
        call = self._channel.stream_stream(f"/{rules.SERVICE}/Attend", None, None)
        self._call: Any = call(self._outgoing())

    def _outgoing(self) -> Iterator[bytes]:
        while not self.over.is_set():
            with contextlib.suppress(queue.Empty):
                yield self._out.get(timeout=_LOOK)

    def messages(self) -> Iterator[bytes]:
        """What the relay sends, as bytes; grpc.RpcError once the stream has ended."""
        yield from self._call

    def say(self, message: bytes) -> None:
        """Send a message, after those before it; waits while the relay takes none, and gives up with the stream."""
        while not self.over.is_set():
            with contextlib.suppress(queue.Full):
                self._out.put(message, timeout=_LOOK)
                return

    @property
    def stale(self) -> bool:
        """Whether key, certificate or authorities are others by now."""
        return self._files.changed(self._read)

    def close(self) -> None:
        """End the stream."""
        self.over.set()
        self._call.cancel()
        self._channel.close()


def _hello(key: SignedKey) -> bytes:
    signed = pb.SignedKey(
        institution=key.institution, epoch=key.attempt, public=key.public, signature=key.signature
    )
    hello = pb.Hello(protocol=rules.PROTOCOL, fedrisk=fedrisk.__version__, key=signed)
    return pb.FromNode(hello=hello).SerializeToString()


def _fits(part: "pb.Part") -> bool:
    return (
        rules.is_id(part.id)
        and rules.is_model(part.model)
        and rules.is_name(part.asker)
        and rules.seconds_of(part.seconds) is not None
        and 0 < len(part.envelope) <= rules.MOST_ENVELOPE
    )


def _note(code: str) -> None:
    log.warning("a message was refused", extra={"event": "refused", "action": "part", "code": code})
