"""Key streams: one secret and one label determine one matrix of uniform ring elements.

HKDF-SHA256 (RFC 5869) derives an AES-256 key from the secret, with the encoded label as ``info``, and that
key runs AES in counter mode (NIST SP 800-38A) from counter zero. Every label therefore has a separate key,
and two uses never have to share the counter. A label names everything that a mask may depend on. Two masks
drawn under one secret and one label are the same mask, and whoever adds the same mask to two matrices shows
their difference. So a new attempt, roster, partner or direction means a new label.
"""

from __future__ import annotations

import math
import struct
import sys
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fedrisk.errors import ProtocolError

MIN_SECRET_BYTES = 32
_VERSION = b"fedrisk key stream v1"
# The plain text of the counter mode; small enough to stay in the processor's cache.
_ZEROS = bytes(1 << 20)


def encode_fields(version: bytes, *parts: bytes) -> bytes:
    """Version tag and parts, each after its length in four bytes, so that no two lists share an encoding.

    >>> encode_fields(b"v", b"ab", b"") != encode_fields(b"v", b"a", b"b")
    True
    """
    return b"".join([len(part).to_bytes(4, "big") + part for part in (version, *parts)])


@dataclass(frozen=True, kw_only=True)
class Label:
    """What one mask is for. All names are public; only the secret hides the stream.

    Attributes:
        study: digest of the study.
        attempt: id of the attempt.
        release: name of the release.
        sender: institution that sends the masked matrix.
        counterparty: institution that it is masked for or with.
        bank_list: name of the list of rows.
        matrix: name of the product or sum within the release.
        role: matrix of the protocol (R, S, T or Z); the functions that draw set it.
        block: number of the row block.
    """

    study: str
    attempt: str
    release: str
    sender: str
    counterparty: str
    bank_list: str
    matrix: str
    role: str = ""
    block: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.block < 1 << 63:
            raise ProtocolError(f"label block is {self.block}; it must be a row block's number from 0 on")

    def encode(self) -> bytes:
        """Version tag, then every field after its length: two labels have one encoding only if equal."""
        names = [getattr(self, name).encode() for name in _NAMES]
        return encode_fields(_VERSION, *names, struct.pack(">Q", self.block))


_NAMES = tuple(field.name for field in fields(Label) if field.name != "block")


def expand(secret: bytes, label: Label, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Uniform elements of Z/2**16, Z/2**32 or Z/2**64 from (secret, label); equal on every machine.

    ``secret``: at least 32 bytes with full entropy. Returns a fresh, writable, C-contiguous array of
    ``shape``. The shape is not part of the label: a smaller shape gives a prefix of the same stream.

    >>> names = dict(study="s", attempt="1", release="A", sender="b", counterparty="h")
    >>> label = Label(**names, bank_list="b", matrix="counts")
    >>> expand(bytes(32), label, (2, 3), "uint32").shape
    (2, 3)

    Raises:
        ProtocolError: a short secret, a dtype that is not a ring, or a negative length.
    """
    kind = np.dtype(dtype)
    if kind not in (np.dtype(np.uint16), np.dtype(np.uint32), np.dtype(np.uint64)):
        raise ProtocolError(f"dtype is {kind}; key streams are drawn in uint16, uint32 or uint64")
    if any(length < 0 for length in shape):
        raise ProtocolError(f"shape is {shape}; lengths must not be negative")
    out = np.empty(shape, kind)
    stream = Cipher(algorithms.AES(_stream_key(secret, label)), modes.CTR(bytes(16))).encryptor()
    buffer = out.reshape(-1).view(np.uint8).data
    size = math.prod(shape) * kind.itemsize
    zeros = memoryview(_ZEROS)
    for start in range(0, size, len(zeros)):
        stop = min(start + len(zeros), size)
        stream.update_into(zeros[: stop - start], buffer[start:stop])
    if sys.byteorder == "big":
        # The stream is read as little-endian numbers on every machine.
        out.byteswap(inplace=True)
    return out


def _stream_key(secret: bytes, label: Label) -> bytes:
    """The AES-256 key of one label; every stream gets its key here and nowhere else."""
    if len(secret) < MIN_SECRET_BYTES:
        raise ProtocolError(f"secret has {len(secret)} bytes; draw at least {MIN_SECRET_BYTES} at random")
    return HKDF(hashes.SHA256(), 32, salt=None, info=label.encode()).derive(secret)
