"""Masked sums that survive lost contributors: double masking with secret-shared keys.

Bonawitz, Ivanov, Kreuter, Marcedone, McMahan, Patel, Ramage, Segal & Seth (2017), Practical secure aggregation
for privacy-preserving machine learning. Every vector carries two kinds of masks: the pair masks of
``masked_sum``, which cancel in the total, and a self mask of the trainer's own. Step keys and self-mask seeds are
shared among all trainers (Shamir 1979, any ``threshold`` shares open), so that the hub can take away the self
masks of those who survived and the pair masks of those who were lost. A trainer gives, for each other one, the
share of EITHER the seed (survivor) OR the step key (lost). A vector of a lost trainer that arrives late is
therefore still covered by its self mask.

Keys and shares are dealt once for all steps of an attempt (``step_keys``, offered here as well); each step is
one masked vector (``masked``) and one unmasking (``reveal`` at the nodes, ``recover`` at the hub). **Every step
has its own key pair and its own seed**, so what is opened for one step opens no other; a trainer lost at one step
may come back at the next.

**What the threshold t of n protects.** With an honest-but-curious hub, and even if it joins fewer than t
trainers, nothing but the total of the survivors is learnt (the paper, section 6). t must exceed n / 2, so that
two disjoint groups of nodes cannot open both secrets of one trainer, and no total has fewer than t vectors under
it, which is the threshold noises that the accounting may count on (``accounting.contributor_sigma`` with t banks).
``default_threshold`` takes the paper's two thirds, or all but one trainer where that is less.

*The consistency round of the paper's malicious variant is left out.* It is not needed against a hub that follows
the protocol. Against one that lies, signed keys and 2 t > n + c (c trainers in league with it) still keep any
single trainer's two secrets from being opened both; but by telling different nodes different survivors the hub
could open the total of fewer than t trainers: of s of them where (n - s) t <= n (n - t), for instance 2 of 17 at t
= 9 and 10 of 17 at t = 12. Such a total has too little noise. A hub that is not trusted to tell everyone the same
therefore needs that round (every node signs the list of survivors, and answers on t signatures of one list).

**Few trainers.** Three: t = 2, one may be lost; whoever joins the hub must be one trainer at most. Two: t = 2,
nobody may be lost, and a loss means a new attempt; the self mask is there all the same. One: there is nobody to
mask with, ``Terms`` refuses, and its noisy sum travels bare under the full noise of its own.

The guarantee is computational: on X25519, HKDF-SHA256, AES-256 and SHA-256.
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
    """What a node has done in this attempt; stored BEFORE the vector or the shares leave it.

    ``sent``: steps whose masked vector was made. ``revealed``: by step, who was said to be lost when this
    node gave its shares.
    """

    sent: frozenset[int] = frozenset()
    revealed: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
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
    """A node's answer to an unmasking, for the hub: shares of survivors' seeds and of lost trainers' keys."""

    institution: str
    step: int
    seed_shares: Mapping[str, bytes] = field(repr=False)
    key_shares: Mapping[str, bytes] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Names as they are, shares in hexadecimal."""
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
            raise ProtocolError("an unmasking answer holds a share of wrong length; ask again")
        return answer


def masked(
    values: RingVector,
    own: StepSecrets,
    keys: Mapping[str, StepKeys],
    terms: Terms,
    step: int,
    record: Record,
) -> tuple[RingVector, Record]:
    """values + self mask + pair masks modulo 2**64, and the record to store before the vector is sent.

    ``values``: uint64 of any shape, noise included; a fresh array is returned. ``keys``: verified step keys
    of every trainer. One vector a step: two under the same masks would show their difference, so a request
    that comes again is answered by the stored vector, and a second call is refused with ProtocolError.
    """
    terms.check_step(step)
    _check_own(own, keys, terms, step)
    if step in record.sent:
        raise ProtocolError(f"step {step} was masked before; send the stored vector again, never another one")
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
    """My shares for one unmasking, and the record to store before they are sent.

    ``held``: from ``hold``. For a survivor the share of its seed, for a lost trainer the share of its step
    key, never both: a second request with other lists is refused, one with the same lists answered alike.

    Raises ProtocolError if the lists do not divide the trainers, fewer than the threshold survive, I am said
    to be lost, I sent no vector in this step, or other lists were answered before.
    """
    terms.check_step(step)
    place_of(me, terms)
    alive, gone = set(survivors), tuple(sorted(set(lost)))
    if alive & set(gone) or alive | set(gone) != set(terms.trainers):
        raise ProtocolError("survivors and lost must name every trainer once; nothing was revealed")
    if len(alive) < terms.threshold:
        raise ProtocolError(
            f"{len(alive)} trainers survive; at least {terms.threshold} must, or the total has too little "
            "noise. Start a new attempt"
        )
    if me not in alive or step not in record.sent:
        raise ProtocolError(f"{me} is not among the survivors of step {step}; nothing was revealed")
    if record.revealed.get(step, gone) != gone:
        raise ProtocolError(
            f"step {step} was unmasked with other survivors before; a trainer's seed and key are never both "
            "revealed. Start a new attempt"
        )
    start = 2 * SECRET_BYTES * step
    key_shares = {name: held[name][start : start + SECRET_BYTES] for name in gone}
    seed_shares = {
        name: held[name][start + SECRET_BYTES : start + 2 * SECRET_BYTES] for name in sorted(alive)
    }
    return (
        Revealed(me, step, seed_shares, key_shares),
        replace(record, revealed={**record.revealed, step: gone}),
    )


def recover(
    terms: Terms,
    keys: Mapping[str, StepKeys],
    step: int,
    vectors: Mapping[str, RingVector],
    answers: Mapping[str, Revealed],
) -> RingVector:
    """The hub's part: the exact total of the survivors' vectors, modulo 2**64.

    ``vectors``: the masked vectors, by survivor; ``answers``: at least ``threshold`` of the survivors'. The
    first threshold of them, by name, are used.

    Raises PeerError if too few survived or answered; ProtocolError for shapes that differ, answers to other
    lists, and for a secret that does not fit its signed key or commitment (changed shares): then nothing is
    returned, and the attempt is to be started anew.
    """
    terms.check_step(step)
    survivors = sorted(vectors)
    if not set(survivors) <= set(terms.trainers) or set(keys) != set(terms.trainers):
        raise ProtocolError("vectors or keys name an institution that is no trainer, or keys are missing")
    lost = [name for name in terms.trainers if name not in vectors]
    used = sorted(set(answers) & set(survivors))[: terms.threshold]
    if len(used) < terms.threshold:
        raise PeerError(
            f"step {step}: {len(survivors)} trainers sent vectors and {len(used)} of them shares; "
            f"{terms.threshold} are needed. Start a new attempt"
        )
    shape = vectors[survivors[0]].shape
    if any(v.dtype != np.dtype(np.uint64) or v.shape != shape for v in vectors.values()):
        raise ProtocolError(f"step {step}: masked vectors differ in shape or are not uint64")
    for name in used:
        answer = answers[name]
        fits = (answer.institution, answer.step) == (name, step)
        if not fits or set(answer.seed_shares) != set(survivors) or set(answer.key_shares) != set(lost):
            raise ProtocolError(f"the unmasking answer of {name} is for other survivors or another step")
    places = [terms.trainers.index(name) + 1 for name in used]
    total = np.zeros(shape, np.uint64)
    for name in survivors:
        shares = [answers[giver].seed_shares[name] for giver in used]
        seed = combine(places, shares, name, step)
        if commitment(name, terms, step, seed) != keys[name].commitments[step]:
            raise mismatch("self-mask seed", name, step)
        total += vectors[name]
        total -= _self_mask(name, seed, terms, step, shape)
    for name in lost:
        shares = [answers[giver].key_shares[name] for giver in used]
        private = combine(places, shares, name, step)
        key = EphemeralKey(name, terms.study_digest, terms.attempt, private)
        if key.public != keys[name].publics[step]:
            raise mismatch("step key", name, step)
        # what the survivors' pair masks with this trainer leave over is minus its own mask
        total += _pair_masks(key, survivors, keys, terms, step, shape)
    return total


def _pair_masks(
    own: EphemeralKey,
    partners: Iterable[str],
    keys: Mapping[str, StepKeys],
    terms: Terms,
    step: int,
    shape: tuple[int, ...],
) -> RingVector:
    # the signature covers all steps' keys at once and was checked by verify_keys
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
    """Secrets, keys and terms of one attempt, and the relayed own key is mine."""
    place_of(own.institution, terms)
    if (own.study_digest, own.attempt) != (terms.study_digest, terms.attempt):
        raise ProtocolError("the step secrets are for another study or attempt; start a new attempt")
    if set(keys) != set(terms.trainers) or len(own.privates) != terms.steps:
        raise ProtocolError("step keys must be there for every trainer and step; start a new attempt")
    if keys[own.institution].publics[step] != own_key(own, step).public:
        raise EnvelopeError(f"the step keys relayed for {own.institution} are not its own")
