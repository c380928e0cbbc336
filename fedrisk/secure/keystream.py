"""Key streams: one secret and one label give one matrix of uniform ring elements, and no other.

A secret is stretched by HKDF-SHA256 (RFC 5869) with the encoded label as ``info`` to an AES-256 key, and
that key runs AES in counter mode (NIST SP 800-38A) from counter zero. Every label therefore has a key of
its own, and the counter never has to be shared between two uses. A label names all that a mask may depend
on; two masks drawn under one secret and one label are the same mask, and whoever adds the same mask to two
matrices shows their difference. So a new attempt, roster, partner or direction means a new label.
"""

from __future__ import annotations

import math
import struct
import sys
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fedrisk.errors import ProtocolError

RingArray = npt.NDArray[np.uint16] | npt.NDArray[np.uint32] | npt.NDArray[np.uint64]

MIN_SECRET_BYTES = 32
_VERSION = b"fedrisk key stream v1"
_ZEROS = bytes(1 << 20)  # the plain text of the counter mode; small enough to stay in the cache


def encode_fields(version: bytes, *parts: bytes) -> bytes:
    """Version tag and parts, each behind its length in four bytes, so that no two lists share an encoding.

    >>> encode_fields(b"v", b"ab", b"") != encode_fields(b"v", b"a", b"b")
    True
    """
    return b"".join(struct.pack(">I", len(part)) + part for part in (version, *parts))


@dataclass(frozen=True, kw_only=True)
class Label:
    """What one mask is for. All names are public; the secret is what hides the stream.

    ``bank_list`` names the list of rows, ``matrix`` the product or sum within the release, ``role`` the
    matrix of the protocol (set by the functions that draw: R, S, T, Z), ``block`` the row block.
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

    def at(self, block: int) -> Label:
        """The same label for another row block.

        >>> names = dict(study="s", attempt="1", release="A", sender="b", counterparty="h")
        >>> label = Label(**names, bank_list="b", matrix="counts")
        >>> label.at(3).block, label.at(3) == label
        (3, False)
        """
        return replace(self, block=block)

    def encode(self) -> bytes:
        """Version tag, then every field behind its length: two labels have one encoding only if equal."""
        names = [getattr(self, f.name).encode() for f in fields(self) if f.name != "block"]
        return encode_fields(_VERSION, *names, struct.pack(">Q", self.block))


def expand(secret: bytes, label: Label, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Uniform elements of Z/2**16, Z/2**32 or Z/2**64 from (secret, label); equal on every machine.

    ``secret``: at least 32 bytes with full entropy. Returns a fresh, writable, C-contiguous array of
    ``shape``. The shape is no part of the label: a smaller shape gives a prefix of the same stream.

    >>> names = dict(study="s", attempt="1", release="A", sender="b", counterparty="h")
    >>> label = Label(**names, bank_list="b", matrix="counts")
    >>> expand(bytes(32), label, (2, 3), "uint32").shape
    (2, 3)

    Raises ProtocolError for a short secret, a dtype that is no ring, or a negative length.
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
    if sys.byteorder == "big":  # the stream is read as little-endian numbers everywhere
        out.byteswap(inplace=True)
    return out


def _stream_key(secret: bytes, label: Label) -> bytes:
    """The AES-256 key of one label; the one place through which every stream passes."""
    if len(secret) < MIN_SECRET_BYTES:
        raise ProtocolError(f"secret has {len(secret)} bytes; draw at least {MIN_SECRET_BYTES} at random")
    return HKDF(hashes.SHA256(), 32, salt=None, info=label.encode()).derive(secret)
