"""Exact arithmetic in the rings Z/2**16 (uint16), Z/2**32 (uint32) and Z/2**64 (uint64).

Addition is NumPy's. The product a'b goes through BLAS in double precision: numbers are split into limbs so
narrow that every partial sum stays below 2**53 and is therefore exact (the usual splitting; for instance
Dumas, Giorgi & Pernet 2008 for finite fields). Limb pairs whose weight is a multiple of the modulus are never
computed. NumPy's matrix products of integers do not use BLAS and are several times slower. For one or two
right columns (labels), however, NumPy's sums over integers, which wrap by themselves, are faster.

Signed numbers are stored in two's complement. A result is read back correctly as long as its size stays below
half the modulus, which ``check_bound`` verifies before anything is computed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fedrisk.errors import DataError, ProtocolError

CHUNK = 2048
"""Rows of one BLAS call: 2**11, so that two limbs of 42 bits together keep sums below 2**53."""

NARROW_BITS = 10
"""Entries below 2**10 are paired with limbs of 32 bits: 10 + 32 + 11 = 53."""

FEW_COLUMNS = 2
"""Right columns up to which sums over integers beat BLAS (measured for all rings)."""

_RINGS: dict[np.dtype[Any], np.dtype[Any]] = {
    np.dtype(np.uint16): np.dtype(np.int16),
    np.dtype(np.uint32): np.dtype(np.int32),
    np.dtype(np.uint64): np.dtype(np.int64),
}


def ring_dtype(dtype: npt.DTypeLike) -> np.dtype[Any]:
    """The dtype if it is one of the three rings; ProtocolError otherwise."""
    kind = np.dtype(dtype)
    if kind not in _RINGS:
        raise ProtocolError(f"dtype is {kind}; the rings are uint16, uint32 and uint64")
    return kind


def width(dtype: npt.DTypeLike) -> int:
    """Bits of the ring: 16, 32 or 64."""
    return ring_dtype(dtype).itemsize * 8


def ring_product(
    a: npt.NDArray[Any], b: npt.NDArray[Any], *, right_bits: int | None = None
) -> npt.NDArray[Any]:
    """``a.T @ b`` modulo 2**w, exact. a: (rows, left), b: (rows, right), both over one ring.

    ``right_bits``: states that every entry of b is below 2**right_bits (labels, one-hot codes, rates). Fewer
    limb products are needed then; the statement is checked.

    >>> a = np.array([[1, 2], [3, 4]], np.uint32)
    >>> ring_product(a, np.array([[2**32 - 1], [1]], np.uint32))
    array([[2],
           [2]], dtype=uint32)

    Raises:
        ProtocolError: dtypes or shapes do not fit.
        DataError: an entry of b is wider than stated.
    """
    kind = ring_dtype(a.dtype)
    if b.dtype != kind or a.ndim != 2 or b.ndim != 2 or len(a) != len(b):
        raise ProtocolError(
            f"cannot multiply {a.dtype}{a.shape} by {b.dtype}{b.shape}; "
            "both must be matrices over the same ring with the same number of rows"
        )
    bits = width(kind)
    right_width = bits if right_bits is None else min(max(right_bits, 1), bits)
    if right_width < bits and b.size and int(b.max()) >> right_width:
        raise DataError(f"right_bits is {right_width}, but b has wider entries; leave right_bits out")
    if b.shape[1] <= FEW_COLUMNS:
        out = np.empty((a.shape[1], b.shape[1]), kind)
        for k in range(b.shape[1]):
            np.einsum("ij,i->j", a, b[:, k], out=out[:, k])
        return out
    return _limb_product(a, b, right_width)


def _limb_product(a: npt.NDArray[Any], b: npt.NDArray[Any], right_width: int) -> npt.NDArray[Any]:
    """``a.T @ b`` by limbs in double precision; entries of b are below 2**right_width."""
    bits = width(a.dtype)
    narrow = right_width <= NARROW_BITS and bits > 16
    left_limb = np.dtype(np.uint32 if narrow else np.uint16)
    left_step = left_limb.itemsize * 8
    right_count = 1 if narrow else -(-right_width // 16)
    left_count = bits // left_step
    columns = b.shape[1]
    # sums[p] holds limb p of a times those limbs q of b whose product is not a multiple of 2**w
    kept = [min(right_count, -(-(bits - left_step * p) // 16)) for p in range(left_count)]
    sums = [np.zeros((a.shape[1], columns * q), np.uint64) for q in kept]
    for start in range(0, len(a), CHUNK):
        # in little-endian views limb p of column c is at position left_count * c + p
        rows = slice(start, start + CHUNK)
        limbs = _little_endian(a[rows]).view(left_limb.newbyteorder("<"))
        right = _right_limbs(b[rows], right_count, narrow)
        for p in range(left_count):
            part = limbs[:, p::left_count].astype(np.float64).T @ right[:, : columns * kept[p]]
            sums[p] += part.astype(np.uint64)
    total = np.zeros((a.shape[1], columns), np.uint64)
    for p, both in enumerate(sums):
        for q in range(kept[p]):
            total += both[:, columns * q : columns * (q + 1)] << np.uint64(left_step * p + 16 * q)
    return total.astype(a.dtype)


def _little_endian(a: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.ascontiguousarray(a, a.dtype.newbyteorder("<"))


def _right_limbs(b: npt.NDArray[Any], count: int, narrow: bool) -> npt.NDArray[np.float64]:
    """The ``count`` lowest 16-bit limbs of b, side by side, as doubles; b itself if ``narrow``."""
    if narrow:
        return b.astype(np.float64)
    every = b.dtype.itemsize // 2
    limbs = _little_endian(b).view("<u2")
    out = np.empty((len(b), b.shape[1] * count))
    for q in range(count):
        out[:, b.shape[1] * q : b.shape[1] * (q + 1)] = limbs[:, q::every]
    return out


def to_signed(a: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Ring elements as int16, int32 or int64 numbers in [-2**(w-1), 2**(w-1)); same shape, a copy.

    >>> to_signed(np.array([1, 2**32 - 1], np.uint32))
    array([ 1, -1], dtype=int32)
    """
    # A conversion between equal widths keeps the bits.
    return a.astype(_RINGS[ring_dtype(a.dtype)])


def to_range(a: npt.NDArray[Any], least: int) -> npt.NDArray[np.int64]:
    """Ring elements of at most 32 bits as numbers in [least, least + 2**w); int64.

    Counts are never far below zero: a 16-bit ring that is read from ``least`` = -1000 on holds counts up to
    64535.

    >>> to_range(np.array([1, 2**16 - 1, 40_000], np.uint16), -1000)
    array([    1,    -1, 40000])

    Raises:
        ProtocolError: the ring has 64 bits.
    """
    bits = width(a.dtype)
    if bits > 32:
        raise ProtocolError("numbers of the 64-bit ring are read as signed numbers; use to_signed")
    return (a.astype(np.int64) - least) % (1 << bits) + least


def from_signed(values: npt.ArrayLike, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Integers modulo 2**w, of any integer dtype or Python integers of any size (object arrays).

    >>> from_signed(np.array([-1, 5]), "uint32")
    array([4294967295,          5], dtype=uint32)
    >>> from_signed(np.array([-(2**70) - 1], object), "uint64")
    array([18446744073709551615], dtype=uint64)

    Raises:
        DataError: a value is not an integer (a silent truncation would break sensitivities).
    """
    kind = ring_dtype(dtype)
    array = np.asarray(values)
    if array.dtype == object:
        modulus = 1 << width(kind)
        flat = list(array.reshape(-1))
        if not all(isinstance(v, (int, np.integer)) for v in flat):
            raise DataError("values hold numbers that are not integers; quantise them first")
        return np.array([int(v) % modulus for v in flat], kind).reshape(array.shape)
    if array.dtype.kind not in "iub":
        raise DataError(f"values have dtype {array.dtype}; the ring takes integers, quantise them first")
    return array.astype(kind)


def check_bound(n: int, left_max: int, right_max: int, noise_bound: int, dtype: npt.DTypeLike) -> None:
    """Refuse a product whose sum could leave the signed range of the ring.

    For n rows with entries of size at most ``left_max`` and ``right_max``, and noise of all parties together
    of at most ``noise_bound``, n * left_max * right_max + noise_bound must stay below 2**(w-1).

    >>> check_bound(2**20, 1, 2**10, 2**20, "uint32")

    Raises:
        DataError: names the rows, the bound and the remedy.
    """
    bits = width(dtype)
    reach = int(n) * int(left_max) * int(right_max) + int(noise_bound)
    if min(n, left_max, right_max, noise_bound) < 0:
        raise DataError("rows, entry bounds and the noise bound must not be negative")
    if reach >= 1 << (bits - 1):
        remedy = "" if bits == 64 else "use the 64-bit ring, "
        raise DataError(
            f"{n} rows of entries up to {left_max} and {right_max} with noise up to {noise_bound} can reach "
            f"2**{reach.bit_length() - 1}, but {bits} bits hold sums below 2**{bits - 1} only; {remedy}"
            "a coarser scale or fewer rows"
        )
