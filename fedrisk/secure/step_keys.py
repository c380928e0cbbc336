"""Keys and shares of double masking: dealt once by every trainer, for all steps of an attempt.

These are rounds 0 and 1 of Bonawitz et al. (2017), advertising keys and sharing them; ``double_mask`` says
what they are for. **Every step has a separate X25519 key pair and a separate self-mask seed.** The public
keys and commitments of all steps are under one signature of the institution's pinned identity key, together
with the study, the attempt, the trainers, the threshold, the number of steps and the digest of what the hub
told every member alike. Nobody can be brought in, left out or given other terms unnoticed, and trainers that
were told different things refuse each other's keys before any of them sends a vector.

Shares are Shamir's (1979) over GF(2^128), from pycryptodome, whose coefficients are the operating system's
random bytes. A secret of 32 bytes is shared as two secrets of 16 bytes. Shares alone do not show that they
were changed, so every reconstructed secret is compared with what its owner signed: a private key with its
public key, a seed with its SHA-256 commitment.
"""

from __future__ import annotations

import hashlib
import secrets
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from Crypto.Protocol.SecretSharing import Shamir
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from fedrisk.elliptic.ed25519 import signed
from fedrisk.errors import EnvelopeError, ProtocolError, StoreError
from fedrisk.secure.identity import EphemeralKey, IdentityKey
from fedrisk.secure.keystream import encode_fields

SECRET_BYTES = 32
"""Length of a private key, of a seed, and of a share of either."""

_SIGNED = b"fedrisk step keys v2"
_TERMS = b"fedrisk terms of masks v1"
_COMMITTED = b"fedrisk self mask seed v1"
_BUNDLE = b"fedrisk share bundle v1"
_STORED = b"fedrisk stored step secrets v1"
# Bytes of one secret in pycryptodome's Shamir scheme.
_HALF = 16


def default_threshold(trainers: int) -> int:
    """Number of shares that reconstruct a secret, which is also the least number of survivors.

    It is floor(2 n / 3) + 1 for n trainers, or n - 1 where that is less. One trainer gives 1 (no masks), two
    trainers give 2 (no recovery).

    >>> [default_threshold(n) for n in (1, 2, 3, 4, 5, 6, 17)]
    [1, 2, 2, 3, 4, 5, 12]
    """
    if trainers < 1:
        raise ProtocolError(f"trainers is {trainers}; a sum needs one or more")
    return min(2 * trainers // 3 + 1, trainers - 1) if trainers > 2 else trainers


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What all parties agree on for one attempt; every trainer's signature covers all of it.

    Attributes:
        study_digest: digest of the study.
        attempt: id of the attempt.
        trainers: names in sorted order.
        threshold: number of shares that reconstruct a secret.
        steps: number of masked vectors that each trainer may send.
        view: digest of what the hub told all members alike until the keys were made; "" where nothing is
            compared.

    Raises:
        ProtocolError: fewer than two trainers, a threshold outside (n / 2, n], or no step.
    """

    study_digest: str
    attempt: str
    trainers: tuple[str, ...]
    threshold: int
    steps: int
    view: str = ""

    @classmethod
    def of(
        cls,
        study_digest: str,
        attempt: str,
        trainers: Iterable[str],
        steps: int,
        threshold: int | None = None,
        view: str = "",
    ) -> Terms:
        """Terms with the trainers sorted; the threshold is the default one unless it is given.

        >>> Terms.of("0" * 64, "1", ["c", "a", "b"], 25).threshold
        2
        """
        names = tuple(sorted(trainers))
        chosen = default_threshold(len(names)) if threshold is None and names else threshold or 0
        return cls(
            study_digest=study_digest,
            attempt=attempt,
            trainers=names,
            threshold=chosen,
            steps=steps,
            view=view,
        )

    def __post_init__(self) -> None:
        count = len(self.trainers)
        if count < 2:
            raise ProtocolError(
                f"{count} trainers cannot mask; the sum of one trainer travels without masks, "
                "under its full noise"
            )
        if list(self.trainers) != sorted(set(self.trainers)):
            raise ProtocolError("trainers must be distinct and sorted; build the terms with Terms.of")
        if not count < 2 * self.threshold <= 2 * count:
            raise ProtocolError(
                f"threshold is {self.threshold}; with {count} trainers it must be {count // 2 + 1} to {count}"
            )
        if self.steps < 1:
            raise ProtocolError(f"steps is {self.steps}; it must be at least 1")

    def encode(self) -> bytes:
        """All fields, each after its length: two terms have one encoding only if equal. Part of what is signed."""
        trainers = encode_fields(b"", *(trainer.encode() for trainer in self.trainers))
        numbers = struct.pack(">QQ", self.threshold, self.steps)
        texts = (self.study_digest.encode(), self.attempt.encode(), self.view.encode())
        return encode_fields(_TERMS, *texts, trainers, numbers)

    def check_step(self, step: int) -> None:
        """Raise ProtocolError unless 0 <= step < steps."""
        if not 0 <= step < self.steps:
            raise ProtocolError(f"step is {step}; this attempt has steps 0 to {self.steps - 1}")


@dataclass(frozen=True)
class StepSecrets:
    """A trainer's private keys and seeds, one of each per step; on its disk until the study ends."""

    institution: str
    study_digest: str
    attempt: str
    privates: tuple[bytes, ...] = field(repr=False)
    seeds: tuple[bytes, ...] = field(repr=False)

    def to_bytes(self) -> bytes:
        """Form for the node's own disk; it holds the secrets unencrypted."""
        names = (self.institution.encode(), self.study_digest.encode(), self.attempt.encode())
        return encode_fields(_STORED, *names, b"".join(self.privates), b"".join(self.seeds))

    @classmethod
    def from_bytes(cls, data: bytes) -> StepSecrets:
        """Inverse of ``to_bytes``; StoreError if damaged."""
        parts = _fields(data)
        if parts is None or len(parts) != 6 or parts[0] != _STORED or len(parts[4]) != len(parts[5]):
            raise StoreError("stored step secrets are damaged; start a new attempt of the study")
        privates, seeds = _pieces(parts[4]), _pieces(parts[5])
        try:
            return cls(parts[1].decode(), parts[2].decode(), parts[3].decode(), privates, seeds)
        except UnicodeDecodeError:
            raise StoreError("stored step secrets are damaged; start a new attempt of the study") from None


@dataclass(frozen=True)
class StepKeys:
    """The public part of all steps of one trainer, under one signature of its identity key.

    Attributes:
        institution: the trainer's name.
        study_digest: digest of the study.
        attempt: id of the attempt.
        publics: X25519 public keys, one per step.
        commitments: SHA-256 of the self-mask seeds, one per step. Seeds are random, so their hashes do not
            reveal them. A seed reconstructed from wrong shares does not fit, so that a wrong total is
            noticed.
        signature: Ed25519 signature over all of this and the terms.
    """

    institution: str
    study_digest: str
    attempt: str
    publics: tuple[bytes, ...]
    commitments: tuple[bytes, ...]
    signature: bytes

    def to_dict(self) -> dict[str, str]:
        """Plain dictionary for JSON; the bytes of all steps one after the other, in hexadecimal."""
        return {
            "institution": self.institution,
            "study_digest": self.study_digest,
            "attempt": self.attempt,
            "publics": b"".join(self.publics).hex(),
            "commitments": b"".join(self.commitments).hex(),
            "signature": self.signature.hex(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, str]) -> StepKeys:
        """Inverse of ``to_dict``; EnvelopeError if malformed. Verify the result with ``verify_keys``."""
        try:
            names = (data["institution"], data["study_digest"], data["attempt"])
            publics, commitments = bytes.fromhex(data["publics"]), bytes.fromhex(data["commitments"])
            signature = bytes.fromhex(data["signature"])
        except (KeyError, TypeError, ValueError):
            raise EnvelopeError("step keys are malformed; ask their institution to send them again") from None
        if not all(isinstance(name, str) for name in names) or len(signature) != 64:
            raise EnvelopeError("step keys are malformed; ask their institution to send them again")
        return cls(*names, _pieces(publics), _pieces(commitments), signature)


@dataclass(frozen=True)
class Prepared:
    """What a trainer makes at the start of an attempt.

    Attributes:
        secrets: private keys and seeds; they never leave the trainer.
        keys: go to everybody through the hub.
        bundles: by trainer, its shares of this trainer's secrets. Bundles for others travel in sealed
            envelopes (HPKE); the trainer keeps its own bundle as it is.
    """

    secrets: StepSecrets
    keys: StepKeys
    bundles: Mapping[str, bytes] = field(repr=False)


def prepare(identity: IdentityKey, me: str, terms: Terms) -> Prepared:
    """Fresh keys and seeds for every step, signed, and shared among all trainers.

    Call it once per attempt. Store ``secrets`` and this trainer's own bundle before anything is sent, and
    never call it again for the same attempt. A bundle has 64 bytes per step, and its names.
    """
    index = place_of(me, terms)
    privates = tuple(X25519PrivateKey.generate().private_bytes_raw() for _ in range(terms.steps))
    seeds = tuple(secrets.token_bytes(SECRET_BYTES) for _ in range(terms.steps))
    own = StepSecrets(terms.trainers[index], terms.study_digest, terms.attempt, privates, seeds)
    publics = tuple(own_key(own, step).public for step in range(terms.steps))
    commitments = tuple(commitment(me, terms, step, seed) for step, seed in enumerate(seeds))
    signature = identity.sign(_statement(me, terms, publics, commitments))
    keys = StepKeys(me, terms.study_digest, terms.attempt, publics, commitments, signature)
    dealt: list[list[bytes]] = [[] for _ in terms.trainers]
    for private, seed in zip(privates, seeds, strict=True):
        for secret in (private, seed):
            for pile, share in zip(dealt, _split(secret, terms), strict=True):
                pile.append(share)
    bundles = {
        name: encode_fields(_BUNDLE, *_bundle_names(me, name, terms), b"".join(pile))
        for name, pile in zip(terms.trainers, dealt, strict=True)
    }
    return Prepared(own, keys, bundles)


def verify_keys(keys: StepKeys, pinned: bytes, institution: str, terms: Terms) -> StepKeys:
    """The keys, if the pinned identity signed them for this institution and exactly these terms.

    Use no relayed keys before this.

    Raises:
        EnvelopeError: names the institution and the remedy.
    """
    stated = (keys.institution, keys.study_digest, keys.attempt)
    if stated != (institution, terms.study_digest, terms.attempt) or institution not in terms.trainers:
        raise EnvelopeError(
            f"the step keys relayed for {institution} are for another institution, study or attempt; "
            "start a new attempt, and inform the consortium's operator if it happens again"
        )
    for kind in (keys.publics, keys.commitments):
        if len(set(kind)) != terms.steps or len(kind) != terms.steps:
            raise EnvelopeError(
                f"the step keys of {institution} are not {terms.steps} different ones; start a new attempt"
            )
    if not signed(pinned, keys.signature, _statement(institution, terms, keys.publics, keys.commitments)):
        raise EnvelopeError(
            f"the step keys relayed for {institution} are not signed by its pinned identity key for the same "
            "trainers, threshold and steps and the same view of what the hub told everybody. Run the study again; "
            f"where it happens again, compare the pinned key with {institution} by another channel"
        )
    return keys


def hold(me: str, terms: Terms, bundles: Mapping[str, bytes]) -> Mapping[str, bytes]:
    """The shares that this node holds of every trainer's secrets, by dealer, from the opened bundles.

    Args:
        me: this node's name.
        terms: of this attempt.
        bundles: one from every trainer, this node included.

    Raises:
        ProtocolError: a bundle is missing, malformed, or for another recipient or other terms.
    """
    place_of(me, terms)
    if set(bundles) != set(terms.trainers):
        raise ProtocolError(
            "share bundles must come from every trainer, this one included; start a new attempt"
        )
    held = {}
    for dealer, bundle in bundles.items():
        parts = _fields(bundle)
        names = _bundle_names(dealer, me, terms)
        if (
            parts is None
            or parts[:-1] != [_BUNDLE, *names]
            or len(parts[-1]) != 2 * SECRET_BYTES * terms.steps
        ):
            raise ProtocolError(f"the share bundle of {dealer} is malformed; start a new attempt")
        held[dealer] = parts[-1]
    return held


def place_of(me: str, terms: Terms) -> int:
    """Position among the trainers; its Shamir point is one more. ProtocolError for anybody else."""
    if me not in terms.trainers:
        raise ProtocolError(f"{me} is not among the trainers of this attempt")
    return terms.trainers.index(me)


def own_key(own: StepSecrets, step: int) -> EphemeralKey:
    """The key pair of one step."""
    return EphemeralKey(own.institution, own.study_digest, own.attempt, own.privates[step])


def commitment(name: str, terms: Terms, step: int, seed: bytes) -> bytes:
    """SHA-256 of a seed with its owner, study, attempt and step.

    It binds the owner to the seed, and hides the seed because the seed is random.
    """
    names = (name.encode(), terms.study_digest.encode(), terms.attempt.encode(), struct.pack(">Q", step))
    return hashlib.sha256(encode_fields(_COMMITTED, *names, seed)).digest()


def _statement(name: str, terms: Terms, publics: Iterable[bytes], commitments: Iterable[bytes]) -> bytes:
    """What the identity key signs: tag, name, all terms, and the keys and commitments of all steps."""
    return encode_fields(_SIGNED, name.encode(), terms.encode(), b"".join(publics), b"".join(commitments))


def _bundle_names(dealer: str, recipient: str, terms: Terms) -> list[bytes]:
    return [name.encode() for name in (dealer, recipient, terms.study_digest, terms.attempt)]


def _split(secret: bytes, terms: Terms) -> list[bytes]:
    """One share of 32 bytes for every trainer, in order; trainer i has the point i + 1 of both halves."""
    halves = [
        Shamir.split(terms.threshold, len(terms.trainers), secret[start : start + _HALF], ssss=False)
        for start in (0, _HALF)
    ]
    return [first + second for (_, first), (_, second) in zip(*halves, strict=True)]


def combine(places: list[int], shares: list[bytes], name: str, step: int) -> bytes:
    """The secret of ``name`` from ``threshold`` shares at Shamir's points ``places``.

    Wrong shares give a wrong secret, so compare the result with the signed key or commitment.

    Raises:
        ProtocolError: a share has the wrong length.
    """
    if any(len(share) != SECRET_BYTES for share in shares):
        raise mismatch("share", name, step)
    points = list(zip(places, shares, strict=True))
    return b"".join(
        Shamir.combine([(x, share[start : start + _HALF]) for x, share in points], ssss=False)
        for start in (0, _HALF)
    )


def mismatch(what: str, name: str, step: int) -> ProtocolError:
    """The error for a secret that does not fit what its owner signed."""
    return ProtocolError(
        f"the {what} of {name} reconstructed for step {step} is not the one it signed: a share was changed. "
        "No total was opened; start a new attempt"
    )


def _fields(data: bytes) -> list[bytes] | None:
    """Inverse of ``encode_fields``; None if malformed."""
    parts: list[bytes] = []
    position = 0
    while position < len(data):
        size = int.from_bytes(data[position : position + 4], "big")
        parts.append(data[position + 4 : position + 4 + size])
        position += 4 + size
    return parts if parts and encode_fields(*parts) == data else None


def _pieces(data: bytes) -> tuple[bytes, ...]:
    return tuple(data[start : start + SECRET_BYTES] for start in range(0, len(data), SECRET_BYTES))
