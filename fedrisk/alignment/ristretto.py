"""The group ristretto255 and the two hashes of RFC 9497, on chunks of ids: what a worker process runs.

The group (RFC 9496) comes from libsodium (Denis et al.), which computes in constant time. This module imports
nothing heavy, so that a worker starts quickly, and keeps the Python work per point small: buffers are made
once per chunk, and points are addressed inside them.

Nothing here wipes secrets from memory, since Python cannot guarantee it. Keys and blinds live as long as the
process that holds them.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
from collections.abc import Callable, Sequence

from fedrisk.elliptic.libsodium import libsodium
from fedrisk.errors import ConfigError, DataError, ProtocolError

ORDER = 2**252 + 27742317777372353535851937790883648493
"""Order of the group, a prime (RFC 9496, section 4)."""

POINT = 32
"""Bytes of an encoded point, and of a scalar (little endian)."""

LONGEST_INPUT = 2**16 - 1
"""Longest input in bytes; its length is hashed as two bytes."""

IDENTITY = bytes(POINT)
"""Encoding of the group's identity, which no party may send."""

CONTEXT = b"OPRFV1-\x01-ristretto255-SHA512"
"""RFC 9497, section 3.1: "OPRFV1-", mode 0x01 (VOPRF), "-", suite. It is part of every hash."""

# The tags of RFC 9497, sections 4.1 and 3.2.1.
_TO_GROUP = b"HashToGroup-" + CONTEXT
_TO_SCALAR = b"HashToScalar-" + CONTEXT
_TO_KEY = b"DeriveKeyPair" + CONTEXT

_FromHash = Callable[[int, bytes], int]
_Multiply = Callable[[int, bytes, int], int]


# ------------------------------------------------------------------------------------------------ hashes


class _Expander:
    """The function expand_message_xmd of RFC 9380 with SHA-512 and 64 bytes of output.

    The constant beginning is hashed only once.
    """

    def __init__(self, tag: bytes) -> None:
        suffix = tag + bytes([len(tag)])
        self._start = hashlib.sha512(bytes(128))
        self._middle = b"\x00\x40\x00" + suffix
        self._end = b"\x01" + suffix

    def __call__(self, message: bytes) -> bytes:
        first = self._start.copy()
        first.update(message + self._middle)
        return hashlib.sha512(first.digest() + self._end).digest()


_uniform_for_group = _Expander(_TO_GROUP)
_uniform_for_scalar = _Expander(_TO_SCALAR)
_uniform_for_key = _Expander(_TO_KEY)


def hash_to_scalar(message: bytes) -> int:
    """HashToScalar of RFC 9497, section 4.1: a number in [0, ORDER - 1]."""
    return int.from_bytes(_uniform_for_scalar(message), "little") % ORDER


def derive_scalar(seed: bytes, info: bytes) -> bytes:
    """The secret key that DeriveKeyPair of RFC 9497, section 3.2.1, derives from a seed."""
    message = seed + len(info).to_bytes(2, "big") + info
    for counter in range(256):
        scalar = int.from_bytes(_uniform_for_key(message + bytes([counter])), "little") % ORDER
        if scalar:
            return scalar.to_bytes(POINT, "little")
    # This happens with probability 2^-64000.
    raise ConfigError("no key can be derived from this seed; take another seed")


def random_scalars(count: int) -> bytes:
    """Independent scalars in [1, ORDER - 1] from the operating system, 32 bytes each; bias below 2^-258."""
    noise = os.urandom(64 * count)
    return b"".join(
        (int.from_bytes(noise[i : i + 64], "little") % (ORDER - 1) + 1).to_bytes(POINT, "little")
        for i in range(0, 64 * count, 64)
    )


def inverses(scalars: bytes) -> list[bytes]:
    """Inverses modulo ORDER with a single inversion, and 3 products per scalar (Montgomery 1987).

    Raises:
        ProtocolError: a scalar is 0 modulo ORDER.
    """
    values = [int.from_bytes(scalars[i : i + POINT], "little") for i in range(0, len(scalars), POINT)]
    before, product = [], 1
    for value in values:
        before.append(product)
        product = product * value % ORDER
    if product == 0:
        raise ProtocolError("a blind is zero; blind the list again")
    inverse = pow(product, -1, ORDER)
    out = [b""] * len(values)
    for i in range(len(values) - 1, -1, -1):
        out[i] = (inverse * before[i] % ORDER).to_bytes(POINT, "little")
        inverse = inverse * values[i] % ORDER
    return out


# --------------------------------------------------------------------------------------- single points


def is_point(encoded: bytes) -> bool:
    """Whether 32 bytes are the canonical encoding of a point that is not the identity."""
    valid = libsodium().crypto_core_ristretto255_is_valid_point
    return len(encoded) == POINT and encoded != IDENTITY and valid(encoded) == 1


def add(one: bytes, other: bytes) -> bytes:
    """Sum of two valid points; either may be the identity."""
    out = ctypes.create_string_buffer(POINT)
    if libsodium().crypto_core_ristretto255_add(out, one, other):
        raise ProtocolError("a point is not canonically encoded; the sender must compute its list again")
    return out.raw


def times(scalar: bytes, point: bytes) -> bytes:
    """Product of a scalar below ORDER and a valid point, both possibly zero."""
    out = ctypes.create_string_buffer(POINT)
    # libsodium reports a product that is the identity as an error, and writes zeros, its encoding.
    libsodium().crypto_scalarmult_ristretto255(out, scalar, point)
    return out.raw


def times_generator(scalar: bytes) -> bytes:
    """Product of a scalar below ORDER and the generator; of a key its public key."""
    out = ctypes.create_string_buffer(POINT)
    libsodium().crypto_scalarmult_ristretto255_base(out, scalar)
    return out.raw


def minus_product(one: bytes, factor: bytes, other: bytes) -> bytes:
    """The scalar one - factor * other modulo ORDER, in constant time."""
    out = ctypes.create_string_buffer(POINT)
    libsodium().crypto_core_ristretto255_scalar_mul(out, factor, other)
    libsodium().crypto_core_ristretto255_scalar_sub(out, one, out)
    return out.raw


# ------------------------------------------------------------------------------------- chunks, for workers


def blind_chunk(ids: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Fresh blinds, and blind * HashToGroup(id), for a chunk of ids."""
    blinds = random_scalars(len(ids))
    return blinds, hash_multiply(ids, [blinds[i : i + POINT] for i in range(0, len(blinds), POINT)])


def evaluate_chunk(points: bytes, key: bytes) -> bytes:
    """The product key * point for every point of the chunk."""
    return _multiply(points, [key] * (len(points) // POINT))


def finalise_chunk(ids: Sequence[bytes], blinds: bytes, evaluated: bytes) -> bytes:
    """The 64-byte outputs of a chunk from evaluated points: Finalize of RFC 9497, section 3.3.1."""
    return _outputs(ids, _multiply(evaluated, inverses(blinds)))


def output_chunk(ids: Sequence[bytes], key: bytes) -> bytes:
    """The same 64-byte outputs from the key itself: Evaluate of RFC 9497, section 3.3.1."""
    return _outputs(ids, hash_multiply(ids, [key] * len(ids)))


def blind_pseudonyms(ids: Sequence[bytes], blinds: bytes, evaluated: bytes) -> bytes:
    """``finalise_chunk`` cut to the first 32 bytes of each output."""
    return _cut(finalise_chunk(ids, blinds, evaluated))


def key_pseudonyms(ids: Sequence[bytes], key: bytes) -> bytes:
    """``output_chunk`` cut to the first 32 bytes of each output."""
    return _cut(output_chunk(ids, key))


def hash_multiply(ids: Sequence[bytes], scalars: Sequence[bytes]) -> bytes:
    """The product scalar * HashToGroup(id) for pairs of ids and scalars.

    Raises:
        DataError: an id is longer than 65,535 bytes, or its hash is the identity (probability 2^-252).
    """
    count = len(ids)
    sodium = libsodium()
    from_hash: _FromHash = sodium.crypto_core_ristretto255_from_hash
    multiply: _Multiply = sodium.crypto_scalarmult_ristretto255
    hashed, out = ctypes.create_string_buffer(POINT), ctypes.create_string_buffer(POINT * max(count, 1))
    here, there = ctypes.addressof(hashed), ctypes.addressof(out)
    for identifier, scalar in zip(ids, scalars, strict=True):
        if len(identifier) > LONGEST_INPUT:
            raise DataError(f"an id has {len(identifier)} bytes; at most {LONGEST_INPUT} can be hashed")
        if from_hash(here, _uniform_for_group(identifier)) or multiply(there, scalar, here):
            raise DataError("an id hashes to the identity of the group; leave it out")
        there += POINT
    return ctypes.string_at(ctypes.addressof(out), POINT * count)


def _multiply(points: bytes, scalars: Sequence[bytes]) -> bytes:
    size = len(points)
    multiply: _Multiply = libsodium().crypto_scalarmult_ristretto255
    source = ctypes.create_string_buffer(points, max(size, 1))
    out = ctypes.create_string_buffer(max(size, 1))
    here, there = ctypes.addressof(source), ctypes.addressof(out)
    for scalar in scalars:
        if multiply(there, scalar, here):
            raise ProtocolError(
                "a point is the identity or not canonically encoded; the sender must blind its list again"
            )
        here += POINT
        there += POINT
    return ctypes.string_at(ctypes.addressof(out), size)


def _outputs(ids: Sequence[bytes], points: bytes) -> bytes:
    sha512 = hashlib.sha512
    return b"".join(
        sha512(
            len(identifier).to_bytes(2, "big")
            + identifier
            + b"\x00\x20"
            + points[i : i + POINT]
            + b"Finalize"
        ).digest()
        for identifier, i in zip(ids, range(0, len(points), POINT), strict=True)
    )


def _cut(outputs: bytes) -> bytes:
    return b"".join(outputs[i : i + 32] for i in range(0, len(outputs), 64))
