"""Sealed envelopes between institutions, and between institution and hub, through the hub's database.

HPKE (RFC 9180) in auth mode, from the library ``pyhpke``: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256,
AES-256-GCM (on processors with AES instructions faster than ChaCha20-Poly1305; see
benchmarks/secure_product). Only the holder of the sender's attempt key could have made the envelope and
only the holder of the receiver's can open it. Study, release, attempt, direction, names and radii are bound
as HPKE's ``info``, so an envelope opens only in the place that it was made for.

A payload of several blocks is one HPKE context with one AEAD message per block. HPKE's sequence number
fixes the order; the associated data holds the block's number and whether it is the last, so that leaving
out, repeating, swapping or cutting off blocks is noticed (the STREAM construction of Hoang, Reyhanitabar,
Rogaway & Vizár 2015). Frame: last flag (1 byte), length of the sealed block (8 bytes), sealed block.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from pyhpke import AEADId, CipherSuite, KDFId, KEMId, KEMKeyInterface
from pyhpke.exceptions import PyHPKEError

from fedrisk.errors import EnvelopeError, ProtocolError
from fedrisk.secure.identity import EphemeralKey, SignedKey
from fedrisk.secure.keystream import encode_fields

_MAGIC = b"FRE1"
_INFO = b"fedrisk envelope v1"
_BLOCK = b"fedrisk envelope block v1"
_HEAD = len(_MAGIC) + 32
_TAG = 16
_FRAME = struct.Struct(">BQ")
_SUITE = CipherSuite.new(KEMId.DHKEM_X25519_HKDF_SHA256, KDFId.HKDF_SHA256, AEADId.AES256_GCM)


@dataclass(frozen=True)
class Context:
    """Where an envelope belongs; it opens only if both ends name the same context.

    Attributes:
        study: digest of the study.
        release: name of the release.
        attempt: id of the attempt.
        direction: what the payload is, for instance "masked labels".
        sender: name of the sender.
        receiver: name of the receiver.
        radii: clipping radii from which both ends computed their noise.
    """

    study: str
    release: str
    attempt: str
    direction: str
    sender: str
    receiver: str
    radii: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not all(math.isfinite(radius) for radius in self.radii):
            raise ProtocolError("radii of an envelope must be finite numbers; compute them from the study")

    def encode(self) -> bytes:
        """Version tag and every field after its length; radii as big-endian doubles."""
        names = (self.study, self.release, self.attempt, self.direction, self.sender, self.receiver)
        radii = struct.pack(f">{len(self.radii)}d", *self.radii)
        return encode_fields(_INFO, *(name.encode() for name in names), radii)


def seal(
    own: EphemeralKey, peer: SignedKey, context: Context, blocks: Iterable[bytes | npt.NDArray[Any]]
) -> bytes:
    """One envelope with the blocks in order; arrays become little-endian bytes, row by row.

    Blocks are taken one at a time, so that only the envelope is in memory as a whole. Overhead: 36 bytes, and
    25 bytes per block.

    Args:
        own: the sender's attempt key.
        peer: the receiver's key, which must have passed ``identity.verify``.
        context: where the envelope belongs.
        blocks: at least one.

    Raises:
        ProtocolError: there is no block.
        EnvelopeError: keys and context do not belong together.
    """
    _check_ends(context, sender=own, receiver=peer)
    try:
        encapsulated, sealer = _SUITE.create_sender_context(
            _public(peer.public), info=context.encode(), sks=_private(own.private)
        )
    except (PyHPKEError, ValueError):
        raise EnvelopeError(
            f"the key of {peer.institution} is degenerate; ask for a new attempt key"
        ) from None
    # BytesIO grows in place, and hands out its bytes without a copy.
    out = BytesIO()
    out.write(_MAGIC + encapsulated)
    rest = iter(blocks)
    block = next(rest, None)
    if block is None:
        raise ProtocolError("an envelope needs at least one block; send an empty block to say nothing")
    index = 0
    while block is not None:
        following = next(rest, None)
        sealed = sealer.seal(_raw(block), _associated(index, following is None))
        out.write(_FRAME.pack(following is None, len(sealed)))
        out.write(sealed)
        block = following
        index += 1
    return out.getvalue()


def open_sealed(
    own: EphemeralKey, peer: SignedKey, context: Context, envelope: bytes | bytearray | memoryview
) -> Iterator[bytes]:
    """The blocks in order, each authenticated before it is handed out.

    The keys and the frames (also a cut-off end) are checked before this returns. A block that was changed
    raises only when it is reached, so nothing computed from the blocks may be used until all have been read.

    Raises:
        EnvelopeError: for any change, truncation, wrong key or wrong context; it names the sender.
    """
    _check_ends(context, sender=peer, receiver=own)
    view = memoryview(envelope)
    frames = _frames(view, peer.institution)
    try:
        opener = _SUITE.create_recipient_context(
            bytes(view[len(_MAGIC) : _HEAD]),
            _private(own.private),
            info=context.encode(),
            pks=_public(peer.public),
        )
    except (PyHPKEError, ValueError):
        raise _broken(peer.institution) from None

    def opened() -> Iterator[bytes]:
        for index, (start, stop) in enumerate(frames):
            try:
                sealed: Any = view[start:stop]
                block = opener.open(sealed, _associated(index, index == len(frames) - 1))
            except PyHPKEError:
                raise _broken(peer.institution) from None
            yield block

    return opened()


def _frames(view: memoryview, sender: str) -> list[tuple[int, int]]:
    """Start and end of every sealed block; EnvelopeError unless exactly the last one is marked last."""
    if len(view) < _HEAD or bytes(view[: len(_MAGIC)]) != _MAGIC:
        raise _broken(sender)
    places: list[tuple[int, int]] = []
    position, last = _HEAD, 0
    while position < len(view):
        if last or position + _FRAME.size > len(view):
            raise _broken(sender)
        last, size = _FRAME.unpack_from(view, position)
        position += _FRAME.size
        if last > 1 or size < _TAG or position + size > len(view):
            raise _broken(sender)
        places.append((position, position + size))
        position += size
    if not last:
        raise _broken(sender)
    return places


def _check_ends(
    context: Context, *, sender: EphemeralKey | SignedKey, receiver: EphemeralKey | SignedKey
) -> None:
    if (context.sender, context.receiver) != (sender.institution, receiver.institution):
        raise EnvelopeError(
            f"an envelope from {context.sender} to {context.receiver} was requested with the keys of "
            f"{sender.institution} and {receiver.institution}; use the keys of its two ends"
        )
    for end in (sender, receiver):
        if end.attempt != context.attempt:
            raise EnvelopeError(
                f"the key of {end.institution} is for another attempt than the envelope; "
                "use the keys of one attempt"
            )


def _broken(sender: str) -> EnvelopeError:
    return EnvelopeError(
        f"the envelope from {sender} was changed, cut off, or made for another place; nothing of it was "
        "used. Start a new attempt"
    )


def _associated(index: int, last: bool) -> bytes:
    return encode_fields(_BLOCK, struct.pack(">QB", index, last))


def _raw(block: bytes | npt.NDArray[Any]) -> Any:
    """The block's bytes, without a copy where the machine already has them in the right order."""
    if isinstance(block, np.ndarray):
        array = np.ascontiguousarray(block, block.dtype.newbyteorder("<"))
        return array.reshape(-1).view(np.uint8).data
    return block


def _private(raw: bytes) -> KEMKeyInterface:
    return _SUITE.kem.deserialize_private_key(raw)


def _public(raw: bytes) -> KEMKeyInterface:
    return _SUITE.kem.deserialize_public_key(raw)
