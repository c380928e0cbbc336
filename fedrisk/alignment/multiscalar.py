"""Sums of many products scalar * point on ristretto255, for proofs: public numbers only, in variable time.

libsodium computes one product at a time, and decodes and encodes the points of each sum anew. A proof over n
points needs the sum of n products, which the bucket method (Pippenger 1976; Bernstein, Doumen, Lange &
Oosterwijk 2012) computes with 32 to 40 additions per point, about an eighth of those in n products. The
additions are those of edwards25519 in extended coordinates (RFC 8032, section 5.1.4), from the library
pycryptodome; decoding and encoding follow RFC 9496, section 4.3.

Scalars and points here are known to both sides of a proof. **Never pass a secret**: time and memory accesses
depend on every bit.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.util
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fedrisk.alignment import ristretto
from fedrisk.alignment.ristretto import IDENTITY, POINT
from fedrisk.elliptic.libsodium import libsodium
from fedrisk.errors import ProtocolError

BUCKETS_FROM = 512
"""Shorter sums are computed product by product."""

# RFC 9496, section 4.1.
_P = 2**255 - 19
_SQRT_M1 = 19681161376707505956807079304988542015446066515923890162744021073123829784752
_INVSQRT_A_MINUS_D = 54469307008909316920995813868745141605393597292927456921205312896311721017578

_LOW = (1 << 255) - 1


def sums_of_products(scalars: Sequence[int], *lists: bytes) -> tuple[bytes, ...]:
    """The sum of scalar * point over each list of points, with the same scalars for all lists.

    Args:
        scalars: n numbers in [0, ORDER - 1], public.
        lists: encoded points, 32 n bytes each.

    Returns:
        One encoded point for each list.

    Raises:
        ProtocolError: a point is the identity or not canonically encoded.
    """
    curve = _curve()
    if curve is None or len(scalars) < BUCKETS_FROM:
        return tuple(_one_by_one(scalars, points) for points in lists)
    return tuple(_in_buckets(curve, scalars, points) for points in lists)


def _one_by_one(scalars: Sequence[int], points: bytes) -> bytes:
    total = IDENTITY
    for scalar, i in zip(scalars, range(0, len(points), POINT), strict=True):
        point = points[i : i + POINT]
        if not ristretto.is_point(point):
            raise _bad_point()
        total = ristretto.add(total, ristretto.times(scalar.to_bytes(POINT, "little"), point))
    return total


# -------------------------------------------------------------------------------------- edwards25519 in C


@dataclass(frozen=True)
class _Curve:
    """Functions of pycryptodome's edwards25519 on addresses of points, which the caller frees."""

    library: Any

    def new(self, x: int, y: int) -> int:
        """Address of a new point with these affine coordinates."""
        out = ctypes.c_void_p()
        place = ctypes.byref(out)
        self.library.ed25519_new_point(place, x.to_bytes(32, "big"), y.to_bytes(32, "big"), 32, None)
        return _address(out)

    def clone(self, point: int) -> int:
        """Address of a copy."""
        out = ctypes.c_void_p()
        self.library.ed25519_clone(ctypes.byref(out), point)
        return _address(out)

    def affine(self, point: int) -> tuple[int, int]:
        """Affine coordinates."""
        x, y = ctypes.create_string_buffer(32), ctypes.create_string_buffer(32)
        self.library.ed25519_get_xy(x, y, 32, point)
        return int.from_bytes(x.raw, "big"), int.from_bytes(y.raw, "big")


def _address(out: ctypes.c_void_p) -> int:
    if out.value is None:
        raise MemoryError("no memory for another point of the curve")
    return out.value


@functools.cache
def _curve() -> _Curve | None:
    """The arithmetic of pycryptodome, or None where a version of it keeps it elsewhere; libsodium then does all.

    Its public class EccPoint makes new objects for every step and takes as long as libsodium's products.
    """
    arguments = {"new_point": 5, "clone": 2, "add": 2, "double": 1, "free_point": 1, "get_xy": 4}
    with contextlib.suppress(ImportError, AttributeError, OSError):
        found = importlib.util.find_spec("Crypto.PublicKey._ed25519")
        if found is None or found.origin is None:
            return None
        # PyDLL for the same reason as in ``ristretto.libsodium``.
        library = ctypes.PyDLL(found.origin)
        for name, count in arguments.items():
            function = getattr(library, f"ed25519_{name}")
            types: list[Any] = [ctypes.c_void_p] * count
            if name in ("new_point", "get_xy"):
                types[3 if name == "new_point" else 2] = ctypes.c_size_t
            function.argtypes = tuple(types)
            function.restype = None if name == "free_point" else ctypes.c_int
        return _Curve(library)
    return None


def _in_buckets(curve: _Curve, scalars: Sequence[int], encoded: bytes) -> bytes:
    """The bucket method: for each byte of the scalars, points with the same byte are added first.

    Windows of eight bits are as good as any for some thousand points, and need no arithmetic in Python.
    """
    if len(encoded) != POINT * len(scalars):
        raise ProtocolError(
            f"{len(scalars)} scalars cannot be multiplied with {len(encoded) // POINT} points"
        )
    add, double, free = (getattr(curve.library, f"ed25519_{n}") for n in ("add", "double", "free_point"))
    points = [curve.new(x, y) for x, y in _decoded(encoded)]
    digits = b"".join(scalar.to_bytes(POINT, "little") for scalar in scalars)
    zero, total = curve.new(0, 1), curve.new(0, 1)
    for window in reversed(range(POINT)):
        for _ in range(8):
            double(total)
        buckets = [curve.clone(zero) for _ in range(256)]
        # The loop over the points runs in C: what it does in Python would take half as long as the addition.
        deque(map(add, map(buckets.__getitem__, digits[window::POINT]), points), maxlen=0)
        # Each bucket is added as often as its digit says: once in every sum from the top down to it.
        running = curve.clone(zero)
        for bucket in reversed(buckets[1:]):
            add(running, bucket)
            add(total, running)
        for point in (running, *buckets):
            free(point)
    sum_ = curve.affine(total)
    for point in (zero, total, *points):
        free(point)
    return _encoded(*sum_)


# --------------------------------------------------------------------------------- encodings of RFC 9496


def _decoded(encoded: bytes) -> list[tuple[int, int]]:
    """Affine coordinates of points: Decode of RFC 9496, section 4.3.1, with one inversion for all.

    With s the encoded number, y = (1 - s^2) / (1 + s^2), and x is the root that edwards25519's own decoding of
    y gives. Adding the point (i, 0) of order four turns (x, y) into (iy, ix), so libsodium's sum with it shows
    x: that saves a square root in Python.

    Raises:
        ProtocolError: a point is the identity or not canonically encoded.
    """
    numbers = [int.from_bytes(encoded[i : i + POINT], "little") for i in range(0, len(encoded), POINT)]
    ups, downs, products, product = [], [], [], 1
    for s in numbers:
        square = s * s % _P
        if not 0 < s < _P or s & 1 or square == _P - 1:
            raise _bad_point()
        ups.append(1 - square)
        downs.append(1 + square)
        products.append(product)
        product = product * (1 + square) % _P
    inverse = pow(product, -1, _P)
    turn, out, quarter = (
        libsodium().crypto_core_ed25519_add,
        ctypes.create_string_buffer(32),
        bytes(32),
    )
    points = []
    for up, down, before in zip(reversed(ups), reversed(downs), reversed(products), strict=True):
        y = up * (inverse * before % _P) % _P
        inverse = inverse * down % _P
        if turn(out, y.to_bytes(32, "little"), quarter):
            raise _bad_point()
        x = (int.from_bytes(out.raw, "little") & _LOW) * (_P - _SQRT_M1) % _P
        if not y or (x * y % _P) & 1:
            raise _bad_point()
        points.append((x, y))
    points.reverse()
    return points


def _encoded(x: int, y: int) -> bytes:
    """Encode of RFC 9496, section 4.3.2, for affine coordinates."""
    up, down = (1 + y) * (1 - y) % _P, x * y % _P
    root = _inverse_root(up * down * down % _P)
    one, two = root * up % _P, root * down % _P
    inverse = one * two * down % _P
    if (down * inverse % _P) & 1:
        x, y, two = y * _SQRT_M1 % _P, x * _SQRT_M1 % _P, one * _INVSQRT_A_MINUS_D % _P
    if (x * inverse % _P) & 1:
        y = -y
    return _absolute(two * (1 - y) % _P).to_bytes(POINT, "little")


def _inverse_root(v: int) -> int:
    """The nonnegative root of 1 / v, or of i / v: SQRT_RATIO_M1 of RFC 9496, section 4.2, with u = 1."""
    cube = v * v * v % _P
    root = cube * pow(cube * cube * v, (_P - 5) // 8, _P) % _P
    if v * root * root % _P in (_P - 1, _P - _SQRT_M1):
        root = root * _SQRT_M1 % _P
    return _absolute(root)


def _absolute(value: int) -> int:
    return _P - value if value & 1 else value


def _bad_point() -> ProtocolError:
    return ProtocolError(
        "a point is the identity or not canonically encoded; the sender must compute its list again"
    )
