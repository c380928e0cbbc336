"""Real vectors as ring integers, with a bound on their length that no rounding breaks.

A differentially private sum needs a bound on how far one enterprise can move it, in the units in which noise
is added. Clipping in floating point gives that bound up to rounding, and rounding to integers may add to it.
Here the bound is checked on the integers themselves: every row's integer L2 norm is at most floor(radius *
2**bits), whatever the floating-point unit did. Rounding goes toward zero and so never lengthens a row; the
rare row that clipping left too long is shortened in integers.

Sums of clipped gradients: Abadi et al. (2016). Integers and discrete noise under secure sums: Kairouz, Liu &
Steinke (2021). They round at random and condition on the norm; truncation needs no allowance at all, and
costs less than one unit of 2**-bits per coordinate.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fedrisk.errors import ConfigError, DataError
from fedrisk.secure.ring import check_bound, to_signed

BITS = 24
"""Fractional bits unless stated otherwise."""

BOUND_MAX = 1 << 52
"""Integers of this size are exact in double precision."""

NOISE_REACH = 40.0
"""Standard deviations that one contributor's noise may reach: beyond with probability below 1e-340."""

# Numbers handled at once; their arrays stay in the processor's cache.
_BLOCK = 1 << 16


def bound(radius: float, bits: int = BITS) -> int:
    """floor(radius * 2**bits): the largest integer norm of ``quantise_rows``, the sensitivity in ring units.

    >>> bound(1.0), bound(0.3, 2)
    (16777216, 1)

    Raises:
        ConfigError: unless 1 <= bound <= 2**52 and 0 <= bits <= 52.
    """
    if not 0 <= bits <= 52:
        raise ConfigError(f"bits is {bits}; fixed point has 0 to 52 fractional bits, 24 by default")
    if not math.isfinite(radius) or not 1.0 <= math.ldexp(radius, bits) <= BOUND_MAX:
        raise ConfigError(
            f"radius is {radius}; with {bits} fractional bits it must be from 2**-{bits} to 2**{52 - bits}. "
            "Change the clipping radius, or the bits"
        )
    return math.floor(math.ldexp(radius, bits))


def quantise_rows(rows: npt.NDArray[Any], radius: float, bits: int = BITS) -> npt.NDArray[np.int64]:
    """Rows clipped to L2 norm ``radius``, times 2**bits, truncated toward zero: (n, d) int64.

    Guarantee: the exact integer norm of every row is at most ``bound(radius, bits)``. Rows within the radius
    are only truncated; longer ones keep their direction to within rounding. ``rows``: (n, d) float32 or
    float64. They are processed in blocks, so that memory beyond the result stays flat.

    >>> quantise_rows(np.array([[0.5, -0.25], [3.0, 4.0]]), 1.0, 4)
    array([[ 8, -4],
           [ 9, 12]])

    A row with NaN or infinite entries counts as zeros. It keeps the bound, and refusing it would tell the hub
    something about that row without noise.

    Raises:
        DataError: ``rows`` is not a matrix of floats.
    """
    limit = bound(radius, bits)
    if rows.ndim != 2 or rows.dtype.kind != "f":
        raise DataError(f"rows are {rows.dtype}{rows.shape}; expected a matrix of floats")
    out = np.empty(rows.shape, np.int64)
    if not rows.size:
        return out
    step = max(1, _BLOCK // rows.shape[1])
    for start in range(0, len(rows), step):
        # A copy, which is changed in place.
        block = rows[start : start + step].astype(np.float64)
        _clip(block, radius, bits)
        np.trunc(block, out=block)
        part = out[start : start + step]
        part[...] = block
        # The float sum of squares of integers below 2**53 is within (d + 2) 2**-53 of the true one. Where
        # that leaves no doubt nothing more is computed; the other rows' squares are added up exactly.
        squares = np.vecdot(block, block)
        certain = squares <= float(limit) * float(limit) * (1.0 - (rows.shape[1] + 8) * 2.0**-52)
        for i in np.flatnonzero(~certain).tolist():
            _shorten(part[i], limit)
    return out


def dequantise(total: npt.NDArray[Any], bits: int = BITS) -> npt.NDArray[np.float64]:
    """Sums in fixed point (int64, or ring elements uint64) as real numbers: value / 2**bits, same shape.

    >>> dequantise(np.array([2**24, 2**64 - 2**23], np.uint64))
    array([ 1. , -0.5])
    """
    if total.dtype == np.dtype(np.uint64):
        total = to_signed(total)
    if total.dtype.kind != "i":
        raise DataError(f"total is {total.dtype}; expected int64 or the ring's uint64")
    return np.ldexp(total.astype(np.float64), -bits)


def check_ring(rows: int, radius: float, sigma: float, contributors: int, bits: int = BITS) -> None:
    """Refuse a sum that could leave the signed range of the 64-bit ring.

    Args:
        rows: enterprises of all contributors together, each at most ``bound(radius, bits)`` in a coordinate.
        radius: clipping radius.
        sigma: standard deviation of ONE contributor's noise in ring units; up to 40 deviations of every
            contributor at once are allowed for.
        contributors: number of contributors.
        bits: fractional bits.

    >>> check_ring(10**6, 1.0, 2.0**36, 17)

    Raises:
        DataError: names the rows, the bound and the remedy.
    """
    if not 0.0 <= sigma < 2.0**62 or contributors < 1:
        raise DataError(
            f"noise of sigma {sigma:g} from {contributors} contributors does not fit in 64 bits; use fewer "
            "fractional bits"
        )
    check_bound(rows, bound(radius, bits), 1, contributors * math.ceil(NOISE_REACH * sigma), "uint64")


def _clip(block: npt.NDArray[np.float64], radius: float, bits: int) -> None:
    """Multiply every row by 2**bits and, if it is longer than the radius, by radius / norm; in place."""
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.vecdot(block, block)
    large = np.flatnonzero(~np.isfinite(squares))
    for i in large.tolist():
        # NaN, infinite, or finite with squares beyond the range of doubles: such a row is longer than any
        # radius
        if not np.isfinite(block[i]).all():
            # An error here would tell the hub something about one row, without noise.
            block[i] = 0.0
            squares[i] = 0.0
            continue
        block[i] /= np.abs(block[i]).max()
        block[i] *= radius
        squares[i] = np.vecdot(block[i], block[i])
    # Squares too small for a double make the norm too small, but such rows are zero after truncation anyway.
    norms = np.sqrt(squares)
    long = norms > radius
    long[large] = norms[large] > 0
    scale = np.full(len(block), math.ldexp(1.0, bits))
    scale[long] *= radius / norms[long]
    block *= scale[:, None]


def _shorten(row: npt.NDArray[np.int64], limit: int) -> None:
    """Bring one row's exact norm to at most ``limit`` by taking off about a millionth as often as needed."""
    while True:
        kept = np.flatnonzero(row)
        if sum(value * value for value in row[kept].tolist()) <= limit * limit:
            return
        # At least one unit is taken off every entry that is not zero, so the loop ends.
        row[kept] -= np.sign(row[kept]) * (np.abs(row[kept]) // (1 << 20) + 1)
