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
Each step is one masked vector (``masked``), where somebody was lost one confirmation of the survivors
(``survivors``), and one unmasking (``reveal`` at the nodes, ``recover`` at the hub). **Every step has a
separate key pair and a separate seed**, so what is opened for one step opens no other step, and a trainer that
was lost at one step may come back at the next.

**What the threshold t of n protects.** If the hub follows the protocol, and even if it colludes with fewer
than t trainers, nothing but the total of the survivors is learnt (the paper, section 6). If the hub lies, the same
holds for 2 t > n + c, where c trainers collude with it: shares of lost trainers' keys are given for one list of
survivors only, which at least t of them have confirmed to each other. ``survivors`` has the argument. In either case
no total is made of fewer than t vectors, so it carries the noise of at least t trainers, and the accounting may
count on that (``accounting.contributor_sigma`` with t banks). ``default_threshold`` takes the paper's two thirds, or
all trainers but one where that is less.

**What masks are bound to.** ``bound`` is part of the label of all masks of a step: the digest of the weights that
a trainer was sent (``weights_digest``). A hub that sends different weights to different trainers, so that one
of them contributes gradients that the others' do not hide (Pasquini, Francati & Ateniese 2022, Eluding secure
aggregation in federated learning via model inconsistency), gets vectors whose pair masks do not cancel.

**Few trainers.** Three: t = 2, and one may be lost; one trainer may collude with a hub that follows the protocol,
and none with a hub that lies. Two: t = 2, nobody may be lost, and a loss means a new attempt; the self mask is
used all the same. One: there is nobody to mask with, ``Terms`` refuses, and the trainer's noisy sum travels
without masks, under its full noise.

The guarantee is computational: it rests on X25519, HKDF-SHA256, AES-256 and SHA-256.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fedrisk.errors import EnvelopeError, PeerError, ProtocolError
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
from fedrisk.secure.survivors import (
    Record,
    Survivors,
    check_confirmed,
    check_lists,
    confirm,
)

__all__ = [
    "Prepared",
    "Record",
    "Revealed",
    "StepKeys",
    "StepSecrets",
    "Survivors",
    "Terms",
    "confirm",
    "default_threshold",
    "hold",
    "masked",
    "prepare",
    "recover",
    "reveal",
    "verify_keys",
    "weights_digest",
]

RingVector = npt.NDArray[np.uint64]


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


def weights_digest(weights: npt.NDArray[Any]) -> str:
    """SHA-256 of an array's bytes in little-endian order, hexadecimal: what masks of a step are bound to."""
    return hashlib.sha256(np.ascontiguousarray(weights, weights.dtype.newbyteorder("<")).data).hexdigest()


def masked(
    values: RingVector,
    own: StepSecrets,
    keys: Mapping[str, StepKeys],
    terms: Terms,
    step: int,
    record: Record,
    bound: str,
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
        bound: what this trainer was sent for the step (``weights_digest``); masks cancel among trainers with the
            same.

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
    label = _label(terms, step, bound)
    out = _pair_masks(own_key(own, step), others, keys, step, label, values.shape)
    out += _self_mask(me, own.seeds[step], label, values.shape)
    out += values
    return out, record.with_sent(step)


def reveal(
    held: Mapping[str, bytes],
    me: str,
    terms: Terms,
    lists: Survivors,
    record: Record,
    signatures: Mapping[str, bytes],
    pinned: Mapping[str, bytes],
) -> tuple[Revealed, Record]:
    """This node's shares for one unmasking, and the record to store before they are sent.

    For a survivor it is the share of the seed, for a lost trainer the share of the step key, never both. A
    second request with the same lists gets the same answer; one with other lists is refused.

    Args:
        held: this node's shares by dealer, from ``hold``.
        me: this node's name.
        terms: of this attempt.
        lists: who survived the step and who was lost.
        record: what this node has done so far.
        signatures: the survivors' confirmations of the lists (``confirm``), by name; not looked at where nobody
            was lost.
        pinned: public identity keys of the trainers, by name.

    Raises:
        ProtocolError: the lists are not to be answered (``check_lists``), or somebody was lost and fewer than the
            threshold have confirmed it.
    """
    check_lists(me, terms, lists, record)
    if lists.lost:
        check_confirmed(terms, lists, signatures, pinned)
    start = 2 * SECRET_BYTES * lists.step
    key_shares = {name: held[name][start : start + SECRET_BYTES] for name in lists.lost}
    seed_shares = {
        name: held[name][start + SECRET_BYTES : start + 2 * SECRET_BYTES] for name in lists.survivors
    }
    return Revealed(me, lists.step, seed_shares, key_shares), record.with_named(lists)


def recover(
    terms: Terms,
    keys: Mapping[str, StepKeys],
    step: int,
    vectors: Mapping[str, RingVector],
    answers: Mapping[str, Revealed],
    bound: str,
) -> RingVector:
    """The exact total of the survivors' vectors modulo 2**64, computed by the hub.

    Args:
        terms: of this attempt.
        keys: verified step keys of every trainer.
        step: number of the step.
        vectors: the masked vectors, by survivor.
        answers: the survivors' answers, at least ``threshold`` of them; the first ``threshold`` by name are
            used.
        bound: what all trainers were sent for the step, as in ``masked``.

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
    label = _label(terms, step, bound)
    total = np.zeros(shape, np.uint64)
    for name in survivors:
        shares = [answers[giver].seed_shares[name] for giver in used]
        seed = _survivors_seed(name, terms, keys[name], step, places, shares)
        total += vectors[name]
        total -= _self_mask(name, seed, label, shape)
    for name in lost:
        shares = [answers[giver].key_shares[name] for giver in used]
        key = _lost_key(name, terms, keys[name], step, places, shares)
        # The survivors' pair masks with the lost trainer add up to minus this trainer's pair masks with them.
        total += _pair_masks(key, survivors, keys, step, label, shape)
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
    step: int,
    label: Label,
    shape: tuple[int, ...],
) -> RingVector:
    # The signature covers the keys of all steps at once; verify_keys has checked it.
    peers = {
        name: SignedKey(name, own.study_digest, own.attempt, keys[name].publics[step], keys[name].signature)
        for name in partners
    }
    shared = {name: pair_secret(own, peer) for name, peer in peers.items()}
    return pair_mask(shared, own.institution, label, shape, np.uint64)


def _self_mask(name: str, seed: bytes, label: Label, shape: tuple[int, ...]) -> RingVector:
    return expand(seed, replace(label, sender=name, counterparty=name, role="self"), shape, np.uint64)


def _label(terms: Terms, step: int, bound: str) -> Label:
    return Label(
        study=terms.study_digest,
        attempt=terms.attempt,
        release=f"step {step}",
        sender="",
        counterparty="",
        bank_list="",
        matrix=f"double mask of {bound}",
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
