"""Batched proof that one key evaluated all points of a list: RFC 9497, sections 2.2.1 and 2.2.2.

For public key B = k * G and lists C, D the authority proves that D[i] = k * C[i] for all i, without showing k
(Chaum & Pedersen 1992; non-interactive by Fiat & Shamir 1986). The lists are first folded into two composites
M = sum d[i] * C[i] and Z = sum d[i] * D[i] with factors d[i] that are hashed from B, C[i] and D[i] (Henry 2014):
if a single D[i] is wrong, Z is not k * M but with a probability of 2^-252.

Composites are sums, so parts of a list can be folded by different processes and added up. An index is hashed
as two bytes: a batch has at most 65,535 points.
"""

from __future__ import annotations

import hashlib

from fedrisk.alignment import ristretto
from fedrisk.alignment.multiscalar import sums_of_products
from fedrisk.alignment.ristretto import CONTEXT, ORDER, POINT, hash_to_scalar

PROOF = 2 * POINT
"""Bytes of a proof: challenge c and response s."""

LONGEST_BATCH = 2**16 - 1
"""Most points of one proof."""

_SIZE = POINT.to_bytes(2, "big")


def seed_of(public: bytes) -> bytes:
    """What the factors of all composites under this public key are hashed from, 64 bytes."""
    tag = b"Seed-" + CONTEXT
    return hashlib.sha512(_SIZE + public + len(tag).to_bytes(2, "big") + tag).digest()


def fold(seed: bytes, first: int, blinded: bytes, evaluated: bytes) -> tuple[bytes, bytes]:
    """Parts of both composites: ComputeComposites over some points of a batch.

    Args:
        seed: from ``seed_of``.
        first: index of the first of these points in its batch.
        blinded: C, 32 n bytes.
        evaluated: D, 32 n bytes, in the same order.

    Raises:
        ProtocolError: a point is the identity or not canonically encoded.
    """
    m, z = sums_of_products(_factors(seed, first, blinded, evaluated), blinded, evaluated)
    return m, z


def fold_blinded(seed: bytes, first: int, blinded: bytes, evaluated: bytes) -> bytes:
    """The part of M alone: ComputeCompositesFast, for the authority, to which Z = k * M."""
    (m,) = sums_of_products(_factors(seed, first, blinded, evaluated), blinded)
    return m


def prove(key: bytes, m: bytes, *, nonce: bytes | None = None) -> bytes:
    """GenerateProof of RFC 9497 from a batch's composite M, 64 bytes.

    Args:
        key: k, 32 bytes.
        m: the composite of the blinded points.
        nonce: for the RFC's vectors alone; two proofs under one nonce give the key away.
    """
    nonce = ristretto.random_scalars(1) if nonce is None else nonce
    public, z = ristretto.times_generator(key), ristretto.times(key, m)
    ends = (ristretto.times_generator(nonce), ristretto.times(nonce, m))
    challenge = _challenge(public, m, z, *ends)
    return challenge + ristretto.minus_product(nonce, challenge, key)


def holds(public: bytes, m: bytes, z: bytes, proof: bytes) -> bool:
    """VerifyProof of RFC 9497 from a batch's composites: whether Z = k * M for the k of this public key."""
    challenge, response = proof[:POINT], proof[POINT:]
    numbers = [int.from_bytes(part, "little") for part in (challenge, response)]
    if len(proof) != PROOF or max(numbers) >= ORDER or not ristretto.is_point(public):
        return False
    ends = [
        ristretto.add(ristretto.times(response, base), ristretto.times(challenge, power))
        for base, power in ((_GENERATOR, public), (m, z))
    ]
    return _challenge(public, m, z, *ends) == challenge


# RFC 9496, appendix A.1.
_GENERATOR = bytes.fromhex("e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76")


def _factors(seed: bytes, first: int, blinded: bytes, evaluated: bytes) -> list[int]:
    start = len(seed).to_bytes(2, "big") + seed
    return [
        hash_to_scalar(
            b"".join(
                (
                    start,
                    (first + i // POINT).to_bytes(2, "big"),
                    _SIZE,
                    blinded[i : i + POINT],
                    _SIZE,
                    evaluated[i : i + POINT],
                    b"Composite",
                )
            )
        )
        for i in range(0, len(blinded), POINT)
    ]


def _challenge(*points: bytes) -> bytes:
    transcript = b"".join(_SIZE + point for point in points) + b"Challenge"
    return hash_to_scalar(transcript).to_bytes(POINT, "little")
