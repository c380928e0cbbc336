"""Masked sums that survive lost contributors: double masking with secret-shared keys.

Bonawitz, Ivanov, Kreuter, Marcedone, McMahan, Patel, Ramage, Segal & Seth (2017), Practical secure
aggregation for privacy-preserving machine learning. Every vector carries two kinds of masks: the pair masks
of ``masked_sum``, which cancel in the total, and a self mask that only its trainer knows. Step keys and
self-mask seeds are shared among all trainers (Shamir 1979; any ``threshold`` shares reconstruct the secret).
With enough shares the hub can take away the self masks of the trainers who survived a step and the pair masks
of those who were lost. For every other trainer, a trainer gives the share of EITHER its seed (if it survived)
OR its step key (if it was lost). A vector of a lost trainer that arrives late is therefore still covered by
its self mask.

Keys and shares are dealt once for all steps of an attempt (``step_keys``, whose names are also offered here).
Each step is one masked vector (``masked``) and one unmasking (``reveal`` at the nodes, ``recover`` at the
hub). **Every step has a separate key pair and a separate seed**, so what is opened for one step opens no
other step, and a trainer that was lost at one step may come back at the next.

**What the threshold t of n protects.** With an honest-but-curious hub, and even if it colludes with fewer
than t trainers, nothing but the total of the survivors is learnt (the paper, section 6). t must exceed n / 2,
so that two disjoint groups of nodes cannot open both secrets of one trainer. No total is made of fewer than t
vectors, so it carries the noise of at least t trainers, and the accounting may count on that
(``accounting.contributor_sigma`` with t banks). ``default_threshold`` takes the paper's two thirds, or all
trainers but one where that is less.

*The consistency round of the paper's malicious variant is left out.* It is not needed against a hub that
follows the protocol. If the hub lies, signed keys and 2 t > n + c (c trainers collude with it) still ensure
that no trainer's two secrets are both opened. But a hub that names different survivors to different nodes
could open the total of fewer than t trainers: of s of them where (n - s) t <= n (n - t), for instance 2 of 17
at t = 9 and 10 of 17 at t = 12. Such a total has too little noise. A hub that is not trusted to name the same
survivors to everyone therefore needs that round (every node signs the list of survivors, and answers only
after it has seen t signatures of one list).

**Few trainers.** Three: t = 2, and one may be lost; at most one trainer may collude with the hub. Two: t = 2,
nobody may be lost, and a loss means a new attempt; the self mask is used all the same. One: there is nobody
to mask with, ``Terms`` refuses, and the trainer's noisy sum travels without masks, under its full noise.

The guarantee is computational: it rests on X25519, HKDF-SHA256, AES-256 and SHA-256.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fedrisk.errors import EnvelopeError, PeerError, ProtocolError, StoreError
from fedrisk.secure.identity import EphemeralKey, SignedKey, pair_secret
from fedrisk.secure.keystream import Label, expand
from fedrisk.secure.masked_sum import pair_mask
from fedrisk.secure.step_keys import (
    SECRET_BYTES,
    Prepared,
    StepKeys,
    StepSecrets,
    Terms,
    combine,
    commitment,
    default_threshold,
    hold,
    mismatch,
    own_key,
    place_of,
    prepare,
    verify_keys,
)

__all__ = [
    "Prepared",
    "Record",
    "Revealed",
    "StepKeys",
    "StepSecrets",
    "Terms",
    "default_threshold",
    "hold",
    "masked",
    "prepare",
    "recover",
    "reveal",
    "verify_keys",
]

RingVector = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Record:
    """What a node has done in this attempt; it is stored BEFORE the vector or the shares leave the node.

    Attributes:
        sent: steps for which the masked vector was made.
        revealed: by step, the trainers that the hub named as lost when this node gave its shares.
    """

    sent: frozenset[int] = frozenset()
    revealed: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary for JSON."""
        revealed = {str(step): list(lost) for step, lost in sorted(self.revealed.items())}
        return {"sent": sorted(self.sent), "revealed": revealed}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Record:
        """Inverse of ``to_dict``; StoreError if damaged."""
        try:
            revealed = {int(step): tuple(map(str, lost)) for step, lost in data["revealed"].items()}
            return cls(frozenset(map(int, data["sent"])), revealed)
        except (AttributeError, KeyError, TypeError, ValueError):
            raise StoreError("the record of masked steps is damaged; start a new attempt") from None


@dataclass(frozen=True)
class Revealed:
    """A node's answer to an unmasking: its shares of the survivors' seeds and of the lost trainers' keys."""

    institution: str
    step: int
    seed_shares: Mapping[str, bytes] = field(repr=False)
    key_shares: Mapping[str, bytes] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary for JSON; shares in hexadecimal."""
        return {
            "institution": self.institution,
            "step": self.step,
            "seed_shares": {name: share.hex() for name, share in self.seed_shares.items()},
            "key_shares": {name: share.hex() for name, share in self.key_shares.items()},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Revealed:
        """Inverse of ``to_dict``; ProtocolError if malformed."""
        try:
            shares = [
                {str(name): bytes.fromhex(share) for name, share in data[kind].items()}
                for kind in ("seed_shares", "key_shares")
            ]
            answer = cls(str(data["institution"]), int(data["step"]), *shares)
        except (AttributeError, KeyError, TypeError, ValueError):
            raise ProtocolError("an unmasking answer is malformed; ask its institution again") from None
        if any(len(share) != SECRET_BYTES for kind in shares for share in kind.values()):
            raise ProtocolError(
                "an unmasking answer holds a share of the wrong length; ask its institution again"
            )
        return answer


def masked(
    values: RingVector,
    own: StepSecrets,
    keys: Mapping[str, StepKeys],
    terms: Terms,
    step: int,
    record: Record,
) -> tuple[RingVector, Record]:
    """Values plus self mask and pair masks modulo 2**64, and the record to store before the vector is sent.

    There is one vector per step: two vectors under the same masks would show their difference. A repeated
    request is therefore answered with the stored vector, and a second call for the same step is refused.

    Args:
        values: uint64 of any shape, noise included. It is not changed; the masked vector is a fresh array.
        own: this trainer's secrets.
        keys: verified step keys of every trainer.
        terms: of this attempt.
        step: number of the step, from 0.
        record: what this node has done so far.

    Raises:
        ProtocolError: the step was masked before, or values, secrets, keys and terms do not fit together.
        EnvelopeError: the keys that the hub relayed for this trainer are not the trainer's.
    """
    terms.check_step(step)
    _check_own(own, keys, terms, step)
    if step in record.sent:
        raise ProtocolError(
            f"step {step} was masked before; send the stored vector again, never a different one"
        )
    if values.dtype != np.dtype(np.uint64):
        raise ProtocolError(f"values are {values.dtype}; give ring elements as uint64 (ring.from_signed)")
    me = own.institution
    others = [name for name in terms.trainers if name != me]
    out = _pair_masks(own_key(own, step), others, keys, terms, step, values.shape)
    out += _self_mask(me, own.seeds[step], terms, step, values.shape)
    out += values
    return out, replace(record, sent=record.sent | {step})


def reveal(
    held: Mapping[str, bytes],
    me: str,
    terms: Terms,
    step: int,
    survivors: Collection[str],
    lost: Collection[str],
    record: Record,
) -> tuple[Revealed, Record]:
    """This node's shares for one unmasking, and the record to store before they are sent.

    For a survivor it is the share of the seed, for a lost trainer the share of the step key, never both. A
    second request with the same lists gets the same answer; one with other lists is refused.

    Args:
        held: this node's shares by dealer, from ``hold``.
        me: this node's name.
        terms: of this attempt.
        step: number of the step.
        survivors: trainers whose masked vectors the hub has.
        lost: all other trainers.
        record: what this node has done so far.

    Raises:
        ProtocolError: the lists do not name every trainer exactly once, fewer than the threshold survive,
            this node is named as lost or sent no vector in this step, or other lists were answered before.
    """
    terms.check_step(step)
    place_of(me, terms)
    alive, gone = set(survivors), tuple(sorted(set(lost)))
    _check_reveal(me, terms, step, alive, gone, record)
    start = 2 * SECRET_BYTES * step
    key_shares = {name: held[name][start : start + SECRET_BYTES] for name in gone}
    seed_shares = {
        name: held[name][start + SECRET_BYTES : start + 2 * SECRET_BYTES] for name in sorted(alive)
    }
    return (
        Revealed(me, step, seed_shares, key_shares),
        replace(record, revealed={**record.revealed, step: gone}),
    )


def _check_reveal(
    me: str, terms: Terms, step: int, alive: set[str], gone: tuple[str, ...], record: Record
) -> None:
    """Refuse to reveal anything unless the lists are complete, large enough and the same as before."""
    if alive & set(gone) or alive | set(gone) != set(terms.trainers):
        raise ProtocolError("survivors and lost must name every trainer once; nothing was revealed")
    if len(alive) < terms.threshold:
        raise ProtocolError(
            f"{len(alive)} trainers survived; at least {terms.threshold} must, or the total has too little "
            "noise. Start a new attempt"
        )
    if me not in alive or step not in record.sent:
        raise ProtocolError(f"{me} is not among the survivors of step {step}; nothing was revealed")
    if record.revealed.get(step, gone) != gone:
        raise ProtocolError(
            f"step {step} was unmasked with other survivors before; a trainer's seed and key are never both "
            "revealed. Start a new attempt"
        )


def recover(
    terms: Terms,
    keys: Mapping[str, StepKeys],
    step: int,
    vectors: Mapping[str, RingVector],
    answers: Mapping[str, Revealed],
) -> RingVector:
    """The exact total of the survivors' vectors modulo 2**64, computed by the hub.

    Args:
        terms: of this attempt.
        keys: verified step keys of every trainer.
        step: number of the step.
        vectors: the masked vectors, by survivor.
        answers: the survivors' answers, at least ``threshold`` of them; the first ``threshold`` by name are
            used.

    Raises:
        PeerError: too few trainers survived or answered.
        ProtocolError: shapes differ, an answer is for other lists, or a secret does not fit its signed key or
            commitment because a share was changed. Nothing is returned then; start a new attempt.
    """
    terms.check_step(step)
    survivors = sorted(vectors)
    if not set(survivors) <= set(terms.trainers) or set(keys) != set(terms.trainers):
        raise ProtocolError("vectors or keys name an institution that is no trainer, or keys are missing")
    lost = [name for name in terms.trainers if name not in vectors]
    used = sorted(set(answers) & set(survivors))[: terms.threshold]
    if len(used) < terms.threshold:
        raise PeerError(
            f"step {step}: {len(survivors)} trainers sent vectors and {len(used)} of them sent shares; "
            f"{terms.threshold} are needed. Start a new attempt"
        )
    shape = _common_shape(vectors, step)
    for name in used:
        _check_answer(answers[name], name, step, survivors, lost)
    places = [terms.trainers.index(name) + 1 for name in used]
    total = np.zeros(shape, np.uint64)
    for name in survivors:
        shares = [answers[giver].seed_shares[name] for giver in used]
        seed = _survivors_seed(name, terms, keys[name], step, places, shares)
        total += vectors[name]
        total -= _self_mask(name, seed, terms, step, shape)
    for name in lost:
        shares = [answers[giver].key_shares[name] for giver in used]
        key = _lost_key(name, terms, keys[name], step, places, shares)
        # The survivors' pair masks with the lost trainer add up to minus this trainer's pair masks with them.
        total += _pair_masks(key, survivors, keys, terms, step, shape)
    return total


def _common_shape(vectors: Mapping[str, RingVector], step: int) -> tuple[int, ...]:
    """The shape of all vectors; ProtocolError where they differ or are not uint64."""
    shapes = {vector.shape for vector in vectors.values()}
    if len(shapes) != 1 or any(vector.dtype != np.dtype(np.uint64) for vector in vectors.values()):
        raise ProtocolError(f"step {step}: masked vectors differ in shape or are not uint64")
    return shapes.pop()


def _survivors_seed(
    name: str, terms: Terms, keys: StepKeys, step: int, places: list[int], shares: list[bytes]
) -> bytes:
    """The self-mask seed from its shares, compared with its owner's commitment."""
    seed = combine(places, shares, name, step)
    if commitment(name, terms, step, seed) != keys.commitments[step]:
        raise mismatch("self-mask seed", name, step)
    return seed


def _lost_key(
    name: str, terms: Terms, keys: StepKeys, step: int, places: list[int], shares: list[bytes]
) -> EphemeralKey:
    """The step key from its shares, compared with the public key that its owner signed."""
    key = EphemeralKey(name, terms.study_digest, terms.attempt, combine(places, shares, name, step))
    if key.public != keys.publics[step]:
        raise mismatch("step key", name, step)
    return key


def _check_answer(answer: Revealed, name: str, step: int, survivors: list[str], lost: list[str]) -> None:
    """ProtocolError unless the answer is this trainer's, for this step and these lists."""
    fits = (answer.institution, answer.step) == (name, step)
    if not fits or set(answer.seed_shares) != set(survivors) or set(answer.key_shares) != set(lost):
        raise ProtocolError(f"the unmasking answer of {name} is for other survivors or another step")


def _pair_masks(
    own: EphemeralKey,
    partners: Iterable[str],
    keys: Mapping[str, StepKeys],
    terms: Terms,
    step: int,
    shape: tuple[int, ...],
) -> RingVector:
    # The signature covers the keys of all steps at once; verify_keys has checked it.
    peers = {
        name: SignedKey(
            name, terms.study_digest, terms.attempt, keys[name].publics[step], keys[name].signature
        )
        for name in partners
    }
    shared = {name: pair_secret(own, peer) for name, peer in peers.items()}
    return pair_mask(shared, own.institution, _label(terms, step), shape, np.uint64)


def _self_mask(name: str, seed: bytes, terms: Terms, step: int, shape: tuple[int, ...]) -> RingVector:
    label = replace(_label(terms, step), sender=name, counterparty=name, role="self")
    return expand(seed, label, shape, np.uint64)


def _label(terms: Terms, step: int) -> Label:
    return Label(
        study=terms.study_digest,
        attempt=terms.attempt,
        release=f"step {step}",
        sender="",
        counterparty="",
        bank_list="",
        matrix="double mask",
    )


def _check_own(own: StepSecrets, keys: Mapping[str, StepKeys], terms: Terms, step: int) -> None:
    """Check that secrets, keys and terms are of one attempt, and that the key relayed for me is mine."""
    place_of(own.institution, terms)
    if (own.study_digest, own.attempt) != (terms.study_digest, terms.attempt):
        raise ProtocolError("the step secrets are for another study or attempt; start a new attempt")
    if set(keys) != set(terms.trainers) or len(own.privates) != terms.steps:
        raise ProtocolError("step keys are missing for a trainer or a step; start a new attempt")
    if keys[own.institution].publics[step] != own_key(own, step).public:
        raise EnvelopeError(f"the step keys relayed for {own.institution} are not the ones it sent")
