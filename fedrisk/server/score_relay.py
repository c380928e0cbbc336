"""The hub's relay of questions about scores: one stream from each member, and answers brought back together.

gRPC over TLS with certificates on both sides (server/score_members says who calls). A member stays with ``Attend`` and
gets its parts of others' questions there; a bank asks with ``Ask``. What is relayed is sealed: the relay sees names,
ids of models, sizes and times, notes those alone, and keeps nothing on a disk. Whoever sends what is malformed, too
large or too much is refused with a code, which is noted; nothing that a member sends ends the process.

A part whose member is lost on the way is handed out again once it is back: members give the same bytes for the same
question (serving/book.py), so nothing is counted twice.
"""

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

import fedrisk
from fedrisk.errors import EnvelopeError
from fedrisk.protocol import scoring as rules
from fedrisk.protocol import scoring_pb2 as pb
from fedrisk.secure.identity import SignedKey, verify
from fedrisk.server.score_limits import Limits, Open, Paces, Refused
from fedrisk.server.score_members import Members

log = logging.getLogger("fedrisk")

Key = tuple[str, str, str]
"""Asker, id of the question, member: what an answer is matched by."""

_Code = grpc.StatusCode


class _Lost(Exception):
    """The stream that a part was handed to has ended."""


@dataclass(eq=False)
class _Stream:
    """One member's stream. ended: why, once it is over. waiting: futures of answers, by what they are matched by."""

    name: str
    certificate: bytes
    protocol: int
    size: int
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    refusal: Refused | None = None
    waiting: dict[Key, list["asyncio.Future[pb.Answer]"]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.parts: asyncio.Queue[tuple[asyncio.Future[pb.Answer], bytes]] = asyncio.Queue(self.size)

    async def ask(self, key: Key, part: bytes) -> "pb.Answer":
        """The member's answer to one part; _Lost where the stream ends before."""
        if self.ended.is_set():
            raise _Lost
        answer: asyncio.Future[pb.Answer] = asyncio.get_running_loop().create_future()
        self.waiting.setdefault(key, []).append(answer)
        try:
            # A member that takes nothing lets its askers wait, and nobody else.
            await self.parts.put((answer, part))
            return await answer
        finally:
            answer.cancel()
            rest = self.waiting[key]
            rest.remove(answer)
            if not rest:
                del self.waiting[key]

    def answered(self, key: Key, answer: "pb.Answer") -> bool:
        """Hand an answer to all who wait for it; whether anybody did."""
        waiting = [one for one in self.waiting.get(key, ()) if not one.done()]
        for one in waiting:
            one.set_result(answer)
        return bool(waiting)

    def end(self, refusal: Refused | None = None) -> None:
        """The stream is over; parts that it was handed are lost."""
        if self.ended.is_set():
            return
        self.refusal = refusal
        self.ended.set()
        for waiting in self.waiting.values():
            for one in waiting:
                if not one.done():
                    one.set_exception(_Lost())
        # Whoever waits for a place among the parts goes on, to find that the stream is lost.
        while not self.parts.empty():
            self.parts.get_nowait()


class ScoreRelay:
    """The relay's state, all of it in memory. Made and used within one event loop.

    members: who may speak. limits: how much each may send.
    """

    def __init__(self, members: Members, limits: Limits | None = None) -> None:
        self.members, self.limits = members, limits or Limits()
        self._streams: dict[str, _Stream] = {}
        self._keys: dict[str, OrderedDict[str, SignedKey]] = {}
        self._left: dict[str, float] = {}
        self._begun = time.monotonic()
        self._came: dict[str, asyncio.Event] = {}
        self._over: OrderedDict[Key, None] = OrderedDict()
        self._paces, self._open = Paces(self.limits), Open(self.limits)

    @property
    def connected(self) -> frozenset[str]:
        """Members whose streams are open now."""
        return frozenset(self._streams)

    def put_out(self) -> None:
        """End the streams of those whose key is in the roster no longer, and forget the keys of who is not in it."""
        for stream in list(self._streams.values()):
            if self.members.name_of(stream.certificate) != stream.name:
                stream.end(Refused(_Code.PERMISSION_DENIED, "stranger"))
        for name in self._keys.keys() - self.members.names:
            del self._keys[name]

    # ---- a member's stream

    async def attend(self, requests: AsyncIterator[bytes], context: Any) -> None:
        """Attend: the member's stream for as long as it stays."""
        async with self._caller("attend", context) as (name, certificate):
            self._paces.check(name, "streams")
            first = await _first(requests, self.limits.hello_seconds)
            stream = self._admitted(name, certificate, _parsed(pb.FromNode, first))
            await context.write(_welcome())
            await self._while_open(stream, requests, context)

    async def _while_open(self, stream: _Stream, requests: AsyncIterator[bytes], context: Any) -> None:
        tasks = [
            asyncio.create_task(self._hear(stream, requests)),
            asyncio.create_task(_hand_out(stream, context)),
            asyncio.create_task(stream.ended.wait()),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            if stream.refusal is not None:
                raise stream.refusal
        finally:
            for task in tasks:
                task.cancel()
            self._leaves(stream)

    def _admitted(self, name: str, certificate: bytes, message: "pb.FromNode") -> _Stream:
        """A member's new stream, in place of one that it had; refuses what is no hello of its own."""
        if message.WhichOneof("content") != "hello":
            raise Refused(_Code.INVALID_ARGUMENT, rules.FORM)
        self._hello(name, message.hello)
        stream = _Stream(name, certificate, message.hello.protocol, self.limits.parts)
        before = self._streams.get(name)
        self._streams[name] = stream
        if before is not None:
            before.end(Refused(_Code.ABORTED, "replaced"))
        self._came.pop(name, asyncio.Event()).set()
        log.info("a member attends", extra={"event": "attends", "peer": name})
        return stream

    def _hello(self, name: str, hello: "pb.Hello") -> None:
        """Keep a member's key, once its signature holds and it is of this time."""
        if hello.protocol not in rules.SUPPORTED:
            raise Refused(_Code.FAILED_PRECONDITION, rules.VERSION)
        key = hello.key
        member = self.members.member(name)
        if member is None:
            raise Refused(_Code.PERMISSION_DENIED, "stranger")
        if key.epoch not in _epochs_now():
            raise Refused(_Code.INVALID_ARGUMENT, "keys")
        signed = SignedKey(key.institution, rules.SERVING, key.epoch, key.public, key.signature)
        # A node keeps its old identity until its people accept the roster with the new one; who uses the key verifies
        # it by the identity that is pinned there.
        if len(key.public) != 32 or not any(
            _signed(signed, identity, name) for identity in (member.identity, *member.former)
        ):
            raise Refused(_Code.PERMISSION_DENIED, "envelope")
        kept = self._keys.setdefault(name, OrderedDict())
        kept[key.epoch] = signed
        kept.move_to_end(key.epoch)
        while len(kept) > 2:
            kept.popitem(last=False)

    def _leaves(self, stream: _Stream) -> None:
        stream.end()
        if self._streams.get(stream.name) is stream:
            del self._streams[stream.name]
            self._left[stream.name] = time.monotonic()
            log.info("a member has left", extra={"event": "left", "peer": stream.name})

    async def _hear(self, stream: _Stream, requests: AsyncIterator[bytes]) -> None:
        """Take a member's messages until it ends its stream."""
        async for raw in requests:
            message = _parsed(pb.FromNode, raw)
            kind = message.WhichOneof("content")
            if kind == "hello":
                self._paces.check(stream.name, "streams")
                self._hello(stream.name, message.hello)
            elif kind == "answer":
                self._answer(stream, message.answer)
            else:
                raise Refused(_Code.INVALID_ARGUMENT, rules.FORM)

    def _answer(self, stream: _Stream, answer: "pb.Answer") -> None:
        if answer.member != stream.name or not rules.answer_fits(answer.code, answer.envelope):
            raise Refused(_Code.INVALID_ARGUMENT, rules.FORM)
        key = (answer.asker, answer.id, stream.name)
        if not stream.answered(key, answer) and key not in self._over:
            # Nobody asked that. An answer that came too late is no such thing.
            _note("stray", "answer", stream.name)
            self._paces.check(stream.name, "strays")

    # ---- a question

    async def ask(self, raw: bytes, context: Any) -> bytes:
        """Ask: hand a question's parts out, and bring the answers together."""
        async with self._caller("ask", context) as (name, _):
            self._paces.check(name, "questions")
            began = time.monotonic()
            question = _parsed(pb.Question, raw)
            seconds = _checked(name, question)
            with self._open.question(name, len(raw)):
                until = asyncio.get_running_loop().time() + seconds
                parts = (self._part(name, question, one, until) for one in question.parts)
                answers = await asyncio.gather(*parts)
            reply = pb.Answers(id=question.id, answers=answers).SerializeToString()
            code = next((one.code for one in answers if one.code), "")
            log.info(
                "a question was relayed",
                extra={
                    "event": "question",
                    "peer": name,
                    "exchange": len(answers),
                    "seconds": time.monotonic() - began,
                    "bytes": len(raw) + len(reply),
                    "code": code,
                },
            )
            return bytes(reply)

    async def _part(
        self, asker: str, question: "pb.Question", sealed: "pb.Sealed", until: float
    ) -> "pb.Answer":
        """One member's answer, or a code in its place."""
        key = (asker, question.id, sealed.member)
        loop = asyncio.get_running_loop()
        try:
            while True:
                stream = await self._stream_of(sealed.member, until)
                if stream is None:
                    return _no_answer(key, rules.AWAY)
                if stream.protocol != question.protocol:
                    return _no_answer(key, rules.VERSION)
                part = pb.Part(
                    id=question.id,
                    asker=asker,
                    model=question.model,
                    seconds=max(until - loop.time(), 0.001),
                    envelope=sealed.envelope,
                )
                with contextlib.suppress(_Lost):
                    async with asyncio.timeout_at(until):
                        return await stream.ask(key, pb.ToNode(part=part).SerializeToString())
        except TimeoutError:
            return _no_answer(key, rules.LATE)
        finally:
            self._is_over(key)

    async def _stream_of(self, member: str, until: float) -> _Stream | None:
        """A member's stream; of one that was here a moment ago, or may still come after a start, waits a moment."""
        if self.members.member(member) is None:
            return None
        pause = self.limits.return_seconds
        rest = max(self._left.get(member, float("-inf")), self._begun) + pause - time.monotonic()
        rest = min(rest, until - asyncio.get_running_loop().time())
        if member not in self._streams and rest > 0:
            came = self._came.setdefault(member, asyncio.Event())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(came.wait(), rest)
        return self._streams.get(member)

    def _is_over(self, key: Key) -> None:
        self._over[key] = None
        if len(self._over) > self.limits.remembered:
            self._over.popitem(last=False)

    # ---- keys

    async def keys(self, raw: bytes, context: Any) -> bytes:
        """Keys: what members signed for an epoch; those that said none are left out."""
        async with self._caller("keys", context) as (name, _):
            self._paces.check(name, "questions")
            wanted = _parsed(pb.KeysWanted, raw)
            if wanted.protocol not in rules.SUPPORTED:
                raise Refused(_Code.FAILED_PRECONDITION, rules.VERSION)
            if len(wanted.members) > rules.MOST_MEMBERS or not rules.is_epoch(wanted.epoch):
                raise Refused(_Code.INVALID_ARGUMENT, rules.FORM)
            members = [one for one in dict.fromkeys(wanted.members) if self.members.member(one) is not None]
            known = [self._keys[one].get(wanted.epoch) for one in members if one in self._keys]
            found = [
                pb.SignedKey(
                    institution=key.institution, epoch=key.attempt, public=key.public, signature=key.signature
                )
                for key in known
                if key is not None
            ]
            return bytes(pb.SignedKeys(keys=found).SerializeToString())

    # ---- who calls

    @contextlib.asynccontextmanager
    async def _caller(self, action: str, context: Any) -> AsyncIterator[tuple[str, bytes]]:
        """The member that calls, and its certificate; a refusal within the block is noted, and is the call's status."""
        name = None
        try:
            certificate = bytes((context.auth_context().get("x509_pem_cert") or [b""])[0])
            name = self.members.name_of(certificate)
            if name is None:
                raise Refused(_Code.PERMISSION_DENIED, "stranger")
            yield name, certificate
        except Refused as refusal:
            _note(refusal.code, action, name)
            await context.abort(refusal.status, refusal.code)
        except grpc.aio.BaseError:
            # The connection is gone.
            raise
        except Exception as error:
            log.error(
                "the relay failed: %s", type(error).__name__, extra={"event": "failed", "action": action}
            )
            await context.abort(_Code.INTERNAL, "internal")


def _checked(asker: str, question: "pb.Question") -> float:
    """How long a question waits; refuses one that is malformed."""
    if question.protocol not in rules.SUPPORTED:
        raise Refused(_Code.FAILED_PRECONDITION, rules.VERSION)
    seconds = rules.seconds_of(question.seconds)
    members = [part.member for part in question.parts]
    fits = (
        rules.is_id(question.id)
        and rules.is_model(question.model)
        and 1 <= len(members) <= rules.MOST_MEMBERS
        and len(set(members)) == len(members)
        and all(rules.is_name(member) and member != asker for member in members)
        and all(0 < len(part.envelope) <= rules.MOST_ENVELOPE for part in question.parts)
    )
    if not fits or seconds is None:
        raise Refused(_Code.INVALID_ARGUMENT, rules.FORM)
    return seconds


Message = TypeVar("Message", "pb.FromNode", "pb.Question", "pb.KeysWanted")


def _parsed(kind: type[Message], raw: bytes) -> Message:
    try:
        return kind.FromString(raw)
    except DecodeError:
        raise Refused(_Code.INVALID_ARGUMENT, rules.FORM) from None


async def _first(requests: AsyncIterator[bytes], seconds: float) -> bytes:
    try:
        async with asyncio.timeout(seconds):
            async for raw in requests:
                return raw
    except TimeoutError:
        pass
    raise Refused(_Code.INVALID_ARGUMENT, rules.FORM)


async def _hand_out(stream: _Stream, context: Any) -> None:
    """Write parts to a member one after the other, as fast as it takes them; those that nobody waits for are left."""
    while True:
        answer, part = await stream.parts.get()
        if not answer.done():
            await context.write(part)


def _welcome() -> bytes:
    welcome = pb.Welcome(protocol=rules.PROTOCOL, fedrisk=fedrisk.__version__)
    return bytes(pb.ToNode(welcome=welcome).SerializeToString())


def _no_answer(key: Key, code: str) -> "pb.Answer":
    asker, id, member = key
    return pb.Answer(id=id, asker=asker, member=member, code=code)


def _signed(key: SignedKey, identity: str, name: str) -> bool:
    try:
        verify(key, bytes.fromhex(identity), name, rules.SERVING, key.attempt)
    except EnvelopeError:
        return False
    return True


def _epochs_now() -> set[str]:
    """The epoch, and those of a day before and after: clocks differ, and the keys of one outlast it by a day."""
    now = datetime.now(UTC)
    return {rules.epoch_of(now + timedelta(days=days)) for days in (-1, 0, 1)}


def _note(code: str, action: str, name: str | None) -> None:
    """Enter a refusal in the log, and so in the figures."""
    log.warning(
        "a message was refused",
        extra={"event": "refused", "action": action, "peer": name or "stranger", "code": code},
    )
