"""Who survived a step: one list for everybody, confirmed by trainers to each other before shares of keys are given.

This is the consistency check of the malicious variant in Bonawitz et al. (2017): the hub names the survivors and
the lost of a step; every survivor signs these lists with its identity key; the hub relays the signatures; and a
trainer gives shares of lost trainers' keys (``double_mask``) only after it has seen signatures of the same lists
from at least t survivors. A trainer confirms **one list in a step, or answers for one**, whichever the hub asks
first, and keeps on its disk which one it was before it answers. Where nobody was lost there is no key whose
shares could be given; the signatures are then not asked for, and a step has no further exchange.

**What this gives against a hub that lies,** and with which c of the n trainers collude, where

    2 t > n + c.

Shares of any honest trainer's secrets are held by n trainers, c of whom give them to the hub whatever happens.
Signed step keys (``step_keys``) and sealed shares leave the hub nothing to forge; honest trainers n - c.

(a) *Shares of keys are given for at most one list.* t signatures of a list come from at least t - c honest trainers.
Each of them signs one list in a step, so two lists need 2 (t - c) <= n - c, that is 2 t <= n + c.

(b) *No honest trainer's two secrets are both opened.* Say L is the list of (a), and v is lost in it. Shares of v's
seed come only from trainers that were told that everybody survived. These have not signed L, so there are
at most (n - c) - (t - c) = n - t of them, and with the colluders' shares there are n - t + c < t. The seed of v
stays closed. Say v survived in L, or there is no such list: then no honest trainer gives a share of v's
key, and the colluders' c shares are fewer than t.

(c) *Nothing but one total comes open, and it is of at least t vectors.* An honest vector has its own self mask and a
pair mask with each other honest trainer; a pair mask is known once the key of one end is. A sum of
vectors in which no closed mask is left therefore holds only vectors whose seeds are open, no lost one of L by (b), and
of those whose keys are closed all or none. With a list L these are its survivors, at least t, of which at least
t - c are honest; without one they are all n. Late vectors of lost trainers stay under their self masks.

The tests go through every choice that a hub has for up to six trainers. For three trainers, t = 2, the condition
leaves no colluder, c = 0; for four, t = 3, and five, t = 4, it leaves c = 1 and 2; for 17, t = 12, it leaves
6. Beyond it a hub and its colluders can open vectors of single trainers, whose part of the noise is then all that
protects them. (With few trainers that part is the whole noise, ``accounting.contributor_sigma``.)

The proof takes it that a trainer's record is not put back to an earlier state within an attempt.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fedrisk.elliptic.ed25519 import signed
from fedrisk.errors import ProtocolError, StoreError
from fedrisk.secure.identity import IdentityKey
from fedrisk.secure.keystream import encode_fields
from fedrisk.secure.step_keys import Terms, place_of

_CONFIRMED = b"fedrisk survivors v1"


@dataclass(frozen=True)
class Survivors:
    """The lists of one step as the hub names them, sorted; build them with ``of``.

    Attributes:
        step: number of the step.
        survivors: trainers whose masked vectors the hub has.
        lost: all other trainers.
    """

    step: int
    survivors: tuple[str, ...]
    lost: tuple[str, ...]

    @classmethod
    def of(cls, step: int, survivors: Collection[str], lost: Collection[str]) -> Survivors:
        """The lists in sorted order, whatever order and repetitions they came in.

        >>> Survivors.of(3, ["c", "a"], ["b"])
        Survivors(step=3, survivors=('a', 'c'), lost=('b',))
        """
        return cls(step, tuple(sorted(set(survivors))), tuple(sorted(set(lost))))


@dataclass(frozen=True)
class Record:
    """What a node has done in this attempt; it is stored BEFORE a vector, a confirmation or shares leave the node.

    Attributes:
        sent: steps for which the masked vector was made.
        named: by step, the lost trainers of the one list that this node confirmed or gave shares for.
    """

    sent: frozenset[int] = frozenset()
    named: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    def with_sent(self, step: int) -> Record:
        """The record once the vector of a step was made."""
        return replace(self, sent=self.sent | {step})

    def with_named(self, lists: Survivors) -> Record:
        """The record once a step's lists were confirmed or answered."""
        return replace(self, named={**self.named, lists.step: lists.lost})

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary for JSON."""
        named = {str(step): list(lost) for step, lost in sorted(self.named.items())}
        return {"sent": sorted(self.sent), "named": named}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Record:
        """Inverse of ``to_dict``; StoreError if damaged."""
        try:
            named = {int(step): tuple(map(str, lost)) for step, lost in data["named"].items()}
            return cls(frozenset(map(int, data["sent"])), named)
        except (AttributeError, KeyError, TypeError, ValueError):
            raise StoreError("the record of masked steps is damaged; start a new attempt") from None


def check_lists(me: str, terms: Terms, lists: Survivors, record: Record) -> None:
    """Refuse lists that are not complete, too short, not of this trainer, or not those of an earlier answer.

    Raises:
        ProtocolError: the lists do not name every trainer exactly once, fewer than the threshold survive, this
            node is named as lost or sent no vector in this step, or it confirmed or answered other lists.
    """
    terms.check_step(lists.step)
    place_of(me, terms)
    alive, gone = set(lists.survivors), set(lists.lost)
    if alive & gone or alive | gone != set(terms.trainers):
        raise ProtocolError("survivors and lost must name every trainer once; nothing was revealed")
    if len(alive) < terms.threshold:
        raise ProtocolError(
            f"{len(alive)} trainers survived; at least {terms.threshold} must, or the total has too little "
            "noise. Start a new attempt"
        )
    if me not in alive or lists.step not in record.sent:
        raise ProtocolError(f"{me} is not among the survivors of step {lists.step}; nothing was revealed")
    if record.named.get(lists.step, lists.lost) != lists.lost:
        raise ProtocolError(
            f"other survivors of step {lists.step} were confirmed or answered before; there is one list for a step, "
            "so that a trainer's seed and key are never both revealed. Start a new attempt"
        )


def confirm(
    identity: IdentityKey, me: str, terms: Terms, lists: Survivors, record: Record
) -> tuple[bytes, Record]:
    """This trainer's signature of a step's lists, 64 bytes, and the record to store before it is sent.

    Ed25519 is deterministic: asked again for the same lists, the same bytes return. Errors are those of
    ``check_lists``, before anything is signed.
    """
    check_lists(me, terms, lists, record)
    return identity.sign(_statement(me, terms, lists)), record.with_named(lists)


def check_confirmed(
    terms: Terms, lists: Survivors, signatures: Mapping[str, bytes], pinned: Mapping[str, bytes]
) -> None:
    """Refuse lists that fewer than ``threshold`` of their survivors have confirmed.

    A signature that does not hold counts for nothing, so that one trainer cannot stop the others with it.

    Args:
        terms: of this attempt, the threshold among them.
        lists: of the step.
        signatures: of survivors, by name, as the hub relayed them.
        pinned: public identity keys of the trainers, by name.

    Raises:
        ProtocolError: too few signatures hold.
    """
    valid = sum(
        name in signatures and signed(pinned[name], signatures[name], _statement(name, terms, lists))
        for name in lists.survivors
    )
    if valid < terms.threshold:
        raise ProtocolError(
            f"{valid} trainers have confirmed the survivors of step {lists.step} and {terms.threshold} must; nothing "
            "was revealed. Run the study again; where it happens again, the hub named different survivors to "
            "different trainers"
        )


def _statement(name: str, terms: Terms, lists: Survivors) -> bytes:
    """What a trainer signs: tag, its name, all terms, the step and both lists."""
    names = [
        encode_fields(b"", *(trainer.encode() for trainer in part)) for part in (lists.survivors, lists.lost)
    ]
    step = struct.pack(">Q", lists.step)
    return encode_fields(_CONFIRMED, name.encode(), terms.encode(), step, *names)
