"""Small blobs of a message together as one: Flower sends every array as two or more objects, each a request of its own.

Blobs of at most `SMALL` bytes travel beside the body, with their order and kinds in front; larger ones stay arrays of
their own, which Flower cuts in chunks.
"""

import json
from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

Blob = bytes | NDArray[Any]

DTYPES = frozenset({"uint8", "uint16", "uint32", "uint64", "int32", "int64", "float32", "float64"})
"""Kinds of numbers that travel."""

SMALL, TOGETHER = 1 << 18, 1 << 22
"""Bytes of a blob that is packed, and of all those of a message."""


def little_endian(dtype: npt.DTypeLike) -> np.dtype[Any]:
    """The kind as it travels."""
    return np.dtype(dtype).newbyteorder("<")


def gather(blobs: Mapping[str, Blob]) -> tuple[bytes, dict[str, Blob]]:
    """The small blobs as bytes, empty where there are none, and the others by name.

    >>> packed, large = gather({"a": b"raw", "b": np.arange(3, dtype=np.uint32), "c": bytes(SMALL + 1)})
    >>> sorted(large), list(spread(packed, large)), spread(packed, large)["b"].tolist()
    (['c'], ['a', 'b', 'c'], [0, 1, 2])
    """
    head: list[list[Any]] = []
    parts, large, size = list[bytes](), dict[str, Blob](), 0
    for name, blob in blobs.items():
        own = blob.nbytes if isinstance(blob, np.ndarray) else len(blob)
        if own > SMALL or size + own > TOGETHER:
            large[name] = blob
            head.append([name])
            continue
        size += own
        if isinstance(blob, np.ndarray):
            parts.append(np.ascontiguousarray(blob, little_endian(blob.dtype)).tobytes())
            head.append([name, own, blob.dtype.name, list(blob.shape)])
        else:
            parts.append(bytes(blob))
            head.append([name, own])
    if not parts:
        return b"", large
    start = json.dumps(head, separators=(",", ":")).encode()
    return b"".join([len(start).to_bytes(8, "big"), start, *parts]), large


def spread(packed: bytes, large: Mapping[str, Blob]) -> dict[str, Blob]:
    """Inverse of :func:`gather`: all blobs in their order; arrays are read-only.

    ValueError, KeyError or TypeError for bytes that it did not make.
    """
    if not packed:
        return dict(large)
    at = 8 + int.from_bytes(packed[:8], "big")
    found: dict[str, Blob] = {}
    for name, *about in json.loads(packed[8:at]):
        if not isinstance(name, str) or name in found:
            raise ValueError("a name is none, or there twice")
        if not about:
            found[name] = large[name]
            continue
        length = about[0]
        if type(length) is not int or not 0 <= length <= len(packed) - at:
            raise ValueError("a length that cannot be")
        raw = packed[at : at + length]
        at += length
        found[name] = raw if len(about) == 1 else _array(raw, *about[1:])
    if at != len(packed) or not large.keys() <= found.keys():
        raise ValueError("more than the head says")
    return found


def _array(raw: bytes, dtype: str, shape: list[int]) -> NDArray[Any]:
    if dtype not in DTYPES or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError("a kind or shape that does not travel")
    kind = little_endian(dtype)
    if prod(shape) * kind.itemsize != len(raw):
        raise ValueError("a shape that its bytes do not have")
    return np.frombuffer(raw, kind).reshape(shape)
