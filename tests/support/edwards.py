"""The curve of Ed25519 in a few lines (RFC 8032, section 5.1), slow, for signatures that no library makes."""

import hashlib

PRIME = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
NEUTRAL = (0, 1)
_D = -121665 * pow(121666, -1, PRIME) % PRIME


def added(a, b):
    """The sum of two points (x, y)."""
    k = _D * a[0] * b[0] * a[1] * b[1]
    x = (a[0] * b[1] + a[1] * b[0]) * pow(1 + k, -1, PRIME)
    return x % PRIME, (a[1] * b[1] + a[0] * b[0]) * pow(1 - k, -1, PRIME) % PRIME


def times(number, point):
    """A multiple of a point."""
    out = NEUTRAL
    for bit in bin(number)[2:]:
        out = added(out, out)
        if bit == "1":
            out = added(out, point)
    return out


def written(point):
    """A point in its 32 bytes."""
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def with_height(y):
    """A point of this height; None where there is none."""
    square = (y * y - 1) * pow(_D * y * y + 1, -1, PRIME) % PRIME
    x = pow(square, (PRIME + 3) // 8, PRIME)
    roots = [r for r in (x, x * pow(2, (PRIME - 1) // 4, PRIME) % PRIME) if (r * r - square) % PRIME == 0]
    return (min(roots[0], PRIME - roots[0]), y) if roots else None


BASE = with_height(4 * pow(5, -1, PRIME) % PRIME)
# Its x is even (RFC 8032); the other root is its negative.
BASE = BASE if BASE[0] % 2 == 0 else (PRIME - BASE[0], BASE[1])


def small_points():
    """The eight points of small order: multiples of one of order 8."""
    for y in range(2, 100):
        point = with_height(y)
        eighth = times(ORDER, point) if point else NEUTRAL
        if times(4, eighth) != NEUTRAL:
            return [times(k, eighth) for k in range(8)]
    raise AssertionError


def challenge(point, key, text):
    """The number by which the key is multiplied in the equation of a signature."""
    return int.from_bytes(hashlib.sha512(point + key + text).digest(), "little") % ORDER
