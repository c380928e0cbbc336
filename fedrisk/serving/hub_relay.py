"""The hub's relay as a bank sees it: `Relay` (serving/relay.py) over gRPC."""

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import grpc
from google.protobuf.message import DecodeError

from fedrisk.errors import ProtocolError
from fedrisk.protocol import scoring as rules
from fedrisk.protocol import scoring_pb2 as pb
from fedrisk.secure.identity import SignedKey
from fedrisk.serving.channel import Files, Read, in_words
from fedrisk.serving.codes import WHOLE
from fedrisk.serving.relay import Reply

KEYS_SECONDS = 5.0
"""Seconds within which the relay has to say keys."""

_SLACK = 1.0
_PASSING = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)


class HubRelay:
    """One connection to the relay for all threads; made when it is first used, and anew once its files change.

    A hub that is away, or is lost in the middle of a question, is asked again until the question's time is over.
    """

    def __init__(self, files: Files) -> None:
        self._files, self._lock = files, threading.Lock()
        self._channel: grpc.Channel | None = None
        self._read: Read = ()
        self._looked = 0.0

    def close(self) -> None:
        """Close the connection; calls that wait are ended."""
        with self._lock:
            if self._channel is not None:
                self._channel.close()
            self._channel = None

    def keys(self, members: Sequence[str], epoch: str) -> dict[str, SignedKey]:
        """The members' keys of an epoch, not verified yet; those that have none are absent.

        LaterError where the relay cannot be reached; EnvelopeError where it does not take this node; ProtocolError
        where it says what is malformed.
        """
        wanted = pb.KeysWanted(protocol=rules.PROTOCOL, members=members, epoch=epoch)
        raw = self._call("Keys", wanted.SerializeToString(), KEYS_SECONDS)
        with _malformed():
            found = pb.SignedKeys.FromString(raw).keys
        if len(found) > len(members):
            raise _not_as_agreed()
        signed = {
            one.institution: SignedKey(one.institution, rules.SERVING, one.epoch, one.public, one.signature)
            for one in found
            if one.epoch == epoch and len(one.public) == 32 and len(one.signature) == 64
        }
        return {name: signed[name] for name in members if name in signed}

    def ask(self, id: str, model: str, envelopes: Mapping[str, bytes], seconds: float) -> dict[str, Reply]:
        """One Reply for each member, with the code ``away`` or ``late`` at worst; errors as :meth:`keys`."""
        began = time.monotonic()

        def question() -> bytes:
            # The relay must give up before this side does.
            rest = max(seconds - (time.monotonic() - began), 0.05)
            parts = [pb.Sealed(member=name, envelope=sealed) for name, sealed in envelopes.items()]
            return pb.Question(
                protocol=rules.PROTOCOL, id=id, model=model, seconds=rest, parts=parts
            ).SerializeToString()

        raw = self._call("Ask", question, seconds)
        with _malformed():
            answers = pb.Answers.FromString(raw)
        return _replies(id, envelopes, answers)

    def _call(self, method: str, request: bytes | Callable[[], bytes], seconds: float) -> bytes:
        """A method's answer; what passes is tried again for so many seconds."""
        until = time.monotonic() + seconds
        pause = 0.05
        while True:
            rest = until - time.monotonic()
            content = request if isinstance(request, bytes) else request()
            call = self._connection().unary_unary(f"/{rules.SERVICE}/{method}", None, None)
            try:
                return bytes(call(content, timeout=max(rest, 0.05) + _SLACK, wait_for_ready=True))
            except ValueError:
                # Another thread took up new files, and closed this connection.
                if time.monotonic() >= until:
                    raise
            except grpc.RpcError as error:
                status = error.code() if isinstance(error, grpc.Call) else None
                if status == grpc.StatusCode.CANCELLED and time.monotonic() < until:
                    continue
                if status not in _PASSING or time.monotonic() + pause >= until:
                    raise in_words(error, self._files) from None
            time.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 2, 1.0)

    def _connection(self) -> grpc.Channel:
        with self._lock:
            now = time.monotonic()
            if self._channel is not None and now - self._looked > 1.0:
                self._looked = now
                if self._files.changed(self._read):
                    self._channel.close()
                    self._channel = None
            if self._channel is None:
                self._read, self._looked = self._files.read(), now
                self._channel = self._files.channel()
            return self._channel


def _replies(id: str, envelopes: Mapping[str, bytes], answers: "pb.Answers") -> dict[str, Reply]:
    found = {one.member: Reply(one.code, one.envelope) for one in answers.answers}
    fit = answers.id == id and len(found) == len(answers.answers) and found.keys() == envelopes.keys()
    known = all(
        reply.code in ("", *WHOLE) and rules.answer_fits(reply.code, reply.envelope)
        for reply in found.values()
    )
    if not (fit and known):
        raise _not_as_agreed()
    return {name: found[name] for name in envelopes}


@contextlib.contextmanager
def _malformed() -> Iterator[None]:
    try:
        yield
    except DecodeError:
        raise _not_as_agreed() from None


def _not_as_agreed() -> ProtocolError:
    return ProtocolError(
        "the hub's relay of scores answered something else than was asked; nothing was used of it. Ask again, and tell "
        "the hub's operator if it happens again"
    )
