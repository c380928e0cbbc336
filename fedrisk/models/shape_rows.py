"""Shape rows: what an institution contributes to release B, from its rows.

A row's shape vector has, for each of the institution's features, the basis row of the bin that it falls in.
The institution clips its block of the row to a public radius and turns it into integers, truncated toward
zero, so that the integer norm never exceeds the radius in integer units: the sensitivity below is exact in
the ring, not a floating-point approximation (Mironov 2012 shows why that matters).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedrisk.errors import ConfigError, DataError

Floats = NDArray[np.float64]
Codes = Sequence[NDArray[np.integer]] | NDArray[np.integer]


def radius_units(radius: float, fraction_bits: int) -> int:
    """The radius in integer units, rounded down: floor(radius 2^bits).

    >>> radius_units(1.5, 4)
    24
    """
    if not (0 < radius < math.inf and 0 <= fraction_bits <= 40):
        raise ConfigError("radius must be positive and finite, fraction_bits from 0 to 40")
    units = math.floor(math.ldexp(radius, fraction_bits))
    if not 1 <= units < 2**31:
        raise ConfigError(
            f"radius and fraction_bits give {units} units, must be 1 to 2^31 - 1; change the bits"
        )
    return units


def shrinking(norm: NDArray[np.float64], radius: float) -> NDArray[np.float64]:
    """By what clipping to a radius multiplies rows of such norms, in their shape.

    >>> shrinking(np.array([0.0, 1.0, 4.0]), 2.0).tolist()
    [1.0, 1.0, 0.5]
    """
    return np.minimum(1.0, radius / np.maximum(norm, 1e-300))


def shape_rows(codes: Codes, bases: Sequence[Floats], radius: float, fraction_bits: int) -> NDArray[np.int64]:
    """One institution's shape rows in fixed point, each of integer norm at most radius 2^bits.

    Args:
        codes: bin codes of the institution's features, one array (n,) each.
        bases: shape bases of these features, (bins, k) each.
        radius: clipping radius.
        fraction_bits: fractional bits of the fixed point.

    Returns:
        int64 (n, sum of k), in units of 2^-bits.

    Raises:
        DataError: a code has no row in its basis.
    """
    limit = radius_units(radius, fraction_bits)
    if len(codes) != len(bases) or not len(bases):
        raise ConfigError("shape_rows: codes and bases must have one entry per feature, at least one")
    for code, base in zip(codes, bases, strict=True):
        if len(code) and not 0 <= int(code.min()) <= int(code.max()) < len(base):
            raise DataError("shape_rows: a bin code lies outside its basis; bin the table with the same bins")
    # Not a number would be the least integer, whose square is 0 in the ring: a row of any size that no clipping sees.
    if not all(np.isfinite(base).all() for base in bases):
        raise ConfigError("shape_rows: a basis has a number that is not finite; run the study again")
    n, width = len(codes[0]), sum(b.shape[1] for b in bases)
    out = np.empty((n, width), dtype=np.int64)
    for start in range(0, n, 65536):
        stop = min(start + 65536, n)
        rows = np.concatenate([b[c[start:stop]] for c, b in zip(codes, bases, strict=True)], axis=1)
        norm = np.sqrt(np.square(rows).sum(1, keepdims=True))
        scale = shrinking(norm, radius) * 2.0**fraction_bits
        out[start:stop] = np.trunc(rows * scale).astype(np.int64)
    over = np.flatnonzero(np.square(out).sum(1) > limit**2)
    # Rounding of the floats above may leave a row too long; shrink it toward zero until the integers fit.
    while len(over):
        out[over] -= np.sign(out[over])
        over = over[np.square(out[over]).sum(1) > limit**2]
    return out


def gram_sensitivity(radii_units: Sequence[int]) -> float:
    """L2 sensitivity of release B in integer units: R^2 / sqrt(2), where R^2 is the sum of squared radii.

    Proof. Zeroing one row psi takes psi_i psi_j away from every released entry, once for each pair of columns
    of different features f < g. The squared change is the sum over f < g of |psi_f|^2 |psi_g|^2 = ((sum
    |psi_f|^2)^2 - sum |psi_f|^4) / 2 <= |psi|^4 / 2, and |psi|^2 = sum of the institutions' squared norms <=
    R^2. Every unordered pair must be released at most once, and no pair within a feature.

    >>> gram_sensitivity([3, 4]) >= 25 / 2 ** 0.5
    True
    """
    if not len(radii_units) or any(int(r) != r or r < 1 for r in radii_units):
        raise ConfigError("gram_sensitivity: radii must be positive integers, one per institution")
    return math.nextafter(sum(int(r) ** 2 for r in radii_units) / math.sqrt(2), math.inf)
