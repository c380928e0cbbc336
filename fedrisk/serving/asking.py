"""A bank's side of served scores: it asks all holders of a model the same question, and adds up what they answer.

All holders get the same bytes, and the bank sends them again until each has answered: a holder that answered before
answers with the same bytes. There is no sum of fewer holders. What comes is believed as far as it must be: an answer is
of the holder that the bank's seal names and for these very bytes, and a sum that the card cannot give shows that
holders were told different things, or lie.
"""

import contextlib
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from pydantic import ValidationError

from fedrisk.clients.node import Node
from fedrisk.errors import DataError, EnvelopeError, LaterError, ProtocolError
from fedrisk.models.model_part import ModelPart
from fedrisk.secure.envelope import open_sealed, seal
from fedrisk.secure.identity import EphemeralKey, SignedKey
from fedrisk.serving.codes import WHOLE
from fedrisk.serving.keys import Peers, ServingKeys, epoch_of
from fedrisk.serving.messages import Answered, Asked, digest_of
from fedrisk.serving.noting import ACTION, HUB, Entries, kind_of, plain
from fedrisk.serving.opening import answer_context, question_context
from fedrisk.serving.relay import Relay, Reply
from fedrisk.serving.sums import Sums, added, months_of

AGAIN: Final = ("away", "late", "later")
"""Codes after which the same question is sent again."""

STALE: Final = ("old", "keys", "repeated", "envelope")
"""Codes after which a question that was kept is asked anew, in place of the one that came to nothing."""

PAUSES: Final = (0.05, 0.6)
"""Shortest and longest seconds between two tries."""


def _kept_nowhere(raw: bytes) -> None:
    """A question that is kept nowhere."""


class Asking:
    """A bank that asks. Safe to use from many threads.

    relay: by which questions go and keys come; what it brings is used after verification alone.
    """

    def __init__(self, node: Node, relay: Relay, *, clock: Callable[[], float] = time.time) -> None:
        self.node, self.relay, self.clock = node, relay, clock
        self.keys = ServingKeys(node.store, node.name, clock=clock)
        self.peers = Peers(self.keys, relay.keys)
        self.entries = Entries(node)

    def ask(
        self,
        part: ModelPart,
        ids: Sequence[str],
        *,
        purpose: str,
        product: str = "",
        consents: Sequence[str] | None = None,
        row_of: Sequence[int] = (),
        screening: bool = False,
        months: int = 1,
        seconds: float = 10.0,
        kept: bytes | None = None,
        keep: Callable[[bytes], None] = _kept_nowhere,
        repeats: str = "",
        to_come: int = 0,
    ) -> Sums:
        """Sums over all members of a model for each row, or codes.

        part: the bank's own part. consents: one for each id. row_of: the row of each id where a row is a sum over
        several. months: of an index, this one and those before it. seconds: after which there is no further try. keep:
        called with the bytes of a question before it goes out. kept: such bytes, to be sent once more where they ask
        the same; members that answered them before give the answer that they gave, and count nothing again. repeats:
        id of a question that came to nothing, in whose place this one is (`Sums.root`). to_come: scores that will be
        asked for after these; not in ``kept``.

        Raises:
            LaterError: the relay cannot be reached.
            DataError: ids, consents or rows have not the form of a question.
            StoreError: what came cannot be entered in the audit trail, so that it is not used.
        """
        end = time.monotonic() + seconds
        said: dict[str, Any] = {
            "model": part.model,
            "asker": self.node.name,
            "purpose": purpose,
            "product": product,
            "screening": screening,
            "months": months,
            "ids": tuple(ids),
            "row_of": tuple(row_of),
            "consents": tuple(consents if consents is not None else [""] * len(ids)),
        }
        gone: list[bytes] = [] if kept is None else [kept]

        def keep_it(raw: bytes) -> None:
            keep(raw)
            gone.append(raw)

        sums = None if kept is None else self._again(part, said, end, kept)
        if sums is None or (kept is not None and set(STALE) & set(sums.failed.values())):
            sums = self._once(part, {**said, "to_come": to_come}, end, keep_it, repeats or _root_of(gone))
        if {"keys", "envelope"} & set(sums.failed.values()) and time.monotonic() < end:
            sums = self._renewed(part, said, end, keep_it, gone)
        return sums if sums.root else replace(sums, root=_root_of(gone) or sums.id)

    def _renewed(
        self,
        part: ModelPart,
        said: Mapping[str, Any],
        end: float,
        keep: Callable[[bytes], None],
        gone: Sequence[bytes],
    ) -> Sums:
        """The last question once more, after all keys were asked for again: a member may have made a new one.

        Where none did, the very same bytes go: a relay that only says so has nobody count anything twice.
        """
        before = Asked.from_bytes(gone[-1])
        stale = {name: bytes.fromhex(key) for name, key in before.keys.items()}
        found = self.peers.of(part.answering(self.node.name), before.epoch, other_than=stale)
        if {name: key.public for name, key in found.items()} == stale:
            sums = self._again(part, said, end, gone[-1])
            if sums is not None:
                return sums
        return self._once(part, said, end, keep, before.root)

    def _again(self, part: ModelPart, said: Mapping[str, Any], end: float, kept: bytes) -> Sums | None:
        """A question that went out before; None where it is another one, or of an epoch that is over."""
        with contextlib.suppress(ProtocolError):
            asked = Asked.from_bytes(kept)
            own = self.keys.own(asked.epoch)
            same = all(getattr(asked, name) == value for name, value in said.items())
            if same and set(asked.keys) == set(part.answering(self.node.name)):
                peers, failed = self._peers(part, asked.epoch, end)
                if failed:
                    return Sums(asked.id, failed=failed, root=asked.root)
                if {name: key.public.hex() for name, key in peers.items()} == asked.keys:
                    return replace(self._sent(part, asked, kept, own, peers, end), root=asked.root)
        return None

    def _once(
        self,
        part: ModelPart,
        said: Mapping[str, Any],
        end: float,
        keep: Callable[[bytes], None],
        repeats: str,
    ) -> Sums:
        """One question, under the keys of now."""
        now = self.clock()
        epoch, id = epoch_of(now), secrets.token_hex(16)
        own = self.keys.own(epoch)
        peers, failed = self._peers(part, epoch, end)
        if failed:
            return Sums(id, failed=failed)
        keys = {name: peer.public.hex() for name, peer in peers.items()}
        try:
            asked = Asked(id=id, made=int(now), epoch=epoch, keys=keys, repeats=repeats, **said)
        except ValidationError:
            raise DataError(
                "a question about scores has at most 1,000 ids of at most 64 letters, a consent for each, and rows "
                "that rise from 0; nothing was asked"
            ) from None
        raw = asked.to_bytes()
        keep(raw)
        return replace(self._sent(part, asked, raw, own, peers, end), root=asked.root)

    def _sent(
        self,
        part: ModelPart,
        asked: Asked,
        raw: bytes,
        own: EphemeralKey,
        peers: Mapping[str, SignedKey],
        end: float,
    ) -> Sums:
        """What comes of the bytes of a question."""
        envelopes = {
            name: seal(
                own, peer, question_context(asked.model, asked.epoch, asked.id, asked.asker, name), [raw]
            )
            for name, peer in peers.items()
        }
        replies = self._replies(asked, envelopes, end)
        failed = {name: reply.code for name, reply in replies.items() if reply.code}
        if failed:
            return Sums(asked.id, failed=failed, digest=digest_of(raw))
        return self._added(part, asked, digest_of(raw), peers, replies)

    def _peers(self, part: ModelPart, epoch: str, end: float) -> tuple[dict[str, SignedKey], dict[str, str]]:
        """Keys of all holders, or a code for each that has none."""
        found: dict[str, SignedKey] = {}
        unreached: LaterError | None = None
        members = part.answering(self.node.name)
        for pause in _pauses(end):
            try:
                found, unreached = self.peers.of(members, epoch), None
            except LaterError as error:
                unreached = error
            if set(found) == set(members):
                return found, {}
            time.sleep(pause)
        if unreached is not None:
            raise unreached
        return {}, {name: "away" for name in members if name not in found}

    def _replies(self, asked: Asked, envelopes: Mapping[str, bytes], end: float) -> dict[str, Reply]:
        """One reply of each holder: the same bytes are sent until it is more than that it is away."""
        found: dict[str, Reply] = dict.fromkeys(envelopes, Reply("away"))
        unreached: LaterError | None = None
        for pause in _pauses(end):
            left = {name: envelopes[name] for name, reply in found.items() if reply.code in AGAIN}
            try:
                came, unreached = (
                    self.relay.ask(asked.id, asked.model, left, max(0.05, end - time.monotonic())),
                    None,
                )
            except LaterError as error:
                came, unreached = {}, error
            for name in left:
                reply = came.get(name, found[name])
                found[name] = reply if not reply.code or reply.code in WHOLE else Reply("internal")
            codes = {reply.code for reply in found.values() if reply.code}
            # One that has failed for good spoils the whole, so nobody is asked again.
            if not codes or codes - set(AGAIN):
                return found
            time.sleep(pause)
        if unreached is not None:
            raise unreached
        return found

    def _added(
        self,
        part: ModelPart,
        asked: Asked,
        digest: str,
        peers: Mapping[str, SignedKey],
        replies: Mapping[str, Reply],
    ) -> Sums:
        answers, failed = {}, {}
        for name, reply in replies.items():
            try:
                answers[name] = self._opened(asked, digest, peers[name], reply.envelope)
            except EnvelopeError:
                failed[name] = "envelope"
            except ProtocolError:
                failed[name] = "form"
        if failed:
            return Sums(asked.id, failed=failed, digest=digest)
        refused: dict[int, dict[str, str]] = {}
        for name, answer in answers.items():
            for row, code in answer.refused.items():
                refused.setdefault(row, {})[name] = code
        columns = added(part, list(answers.values()), sorted(refused))
        if columns is None:
            return Sums(asked.id, failed=dict.fromkeys(replies, "form"), digest=digest)
        months = months_of(part, columns)
        self._enter(part, asked, digest, replies, asked.rows - len(refused), months)
        return Sums(asked.id, columns, refused, digest=digest)

    def _opened(self, asked: Asked, digest: str, peer: SignedKey, envelope: bytes) -> Answered:
        own, context = self.keys.own(asked.epoch), answer_context(asked, peer.institution)
        blocks = list(open_sealed(own, peer, context, envelope))
        if len(blocks) != 1:
            raise ProtocolError("an answer about scores has more than one block; nothing of it was used")
        answer = Answered.from_bytes(blocks[0], asked.rows)
        if (answer.id, answer.digest) != (asked.id, digest):
            raise ProtocolError("an answer about scores is to another question; nothing of it was used")
        return answer

    def _enter(
        self,
        part: ModelPart,
        asked: Asked,
        digest: str,
        replies: Mapping[str, Reply],
        rows: int,
        months: int,
    ) -> None:
        """Enter what came, before it is used."""
        several = len(replies) > 1
        protection = "masked_among_holders" if several else "bands_or_points"
        self.entries.append(
            {
                "study": plain(part.name),
                "purpose": plain(asked.purpose),
                "action": ACTION,
                "event": "delivery",
                "counterparty": HUB if several else next(iter(replies)),
                "kind": kind_of(
                    part.kind, screening=asked.screening, index=part.index is not None, months=months
                ),
                "protection": "masked_or_by_theme" if part.sums else protection,
                "digest": digest,
                "bytes": sum(len(reply.envelope) for reply in replies.values()),
                "rows": rows,
            }
        )


def _root_of(gone: Sequence[bytes]) -> str:
    """The first of the questions that went out, by the last of them; empty where there is none, or it is damaged."""
    with contextlib.suppress(ProtocolError):
        return Asked.from_bytes(gone[-1]).root if gone else ""
    return ""


def _pauses(end: float) -> Any:
    """Seconds to wait before the next try, longer each time, until the end is reached; at least one try."""
    pause = PAUSES[0]
    while True:
        left = end - time.monotonic()
        yield max(0.0, min(pause, left))
        if time.monotonic() >= end:
            return
        pause = min(2 * pause, PAUSES[1])
