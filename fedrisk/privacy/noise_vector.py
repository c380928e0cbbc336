"""Exact discrete Gaussian draws by the hundred thousand: whole arrays, integers only.

Karney (2016), Sampling exactly from the normal distribution, algorithm D, for the integers: with
sigma = M / D, a draw's size is i = ceil(k sigma) + j, where k is the number of whole sigmas in it and j is
uniform on 0 .. ceil(sigma) - 1; x = i / sigma - k must lie in [0, 1). Every i >= 0 has exactly one such k and
j. A candidate comes with probability proportional to exp(-k^2 / 2) and is kept with probability
exp(-x^2 / 2) exp(-x)^k, together

    exp(-k^2 / 2 - k x - x^2 / 2) = exp(-(k + x)^2 / 2) = exp(-i^2 / (2 sigma^2)),

then gets a random sign (zero with a minus is thrown away, or it would come twice as often). About .71 of the
candidates are kept. sigma is taken as the rational number that the float is.

**Why it is exact.** Only three kinds of random choice are made. Each uses the bits of a uniform number u: the
first 32 (63 for j) are drawn at once, and more only when they are needed.

1. *j*: a 63-bit word reduced modulo ceil(sigma); words of the last, incomplete round are thrown away.
2. *k*: inversion. k is the number of C_m = P(k <= m) that u has reached. floor(2^32 C_m) is computed by
   integer interval arithmetic. A word that is none of these floors, and not the largest word, decides. One
   that equals a floor, or is the largest, goes on with more bits of u and tighter intervals.
3. *exp(-g), 0 <= g < 1*: the parity of the run in which successive uniforms stay below g / 1, g / 2,
   g / 3, ... (von Neumann 1951; algorithm 1 of Canonne, Kamath & Steinke 2020). u < g / r is decided on the
   first word U of u where (U + 1) r <= low or U r >= high for integers low <= 2^32 g <= high. Only in between
   (a few in 2^32) more bits of u are compared with the rational g on Python's integers. For g = x, low is
   F = floor(2^32 x), by exact long division, and high is F + 1. For g = x^2 / 2, low is F^2 / 2^33 rounded
   down, and high is low + 2, since (F + 1)^2 < F^2 + 2^33. No number here exceeds 64 bits.

No floating-point number takes part. Sizes of 64 sigma and more (k >= 64) are thrown away, which changes the
distribution by less than 1e-880. The bits are the operating system's (``os.urandom``), also after a fork. As
with OpenDP's sampler, running time depends a little on what is drawn.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fedrisk.errors import ConfigError

SIGMA_MIN = 1.0
SIGMA_MAX = 2.0**52
"""Between these the numerator of sigma stays below 2^53 and every draw below 2^58."""

_BITS = 32
_WORDS = 1 << _BITS
_LAST = _WORDS - 1
# In whole sigmas.
_REACH = 64
# Candidates at once; their arrays stay in the processor's cache.
_BLOCK = 1 << 15
# Further bits of a uniform number when its first word does not decide.
_MORE = 128

Source = Callable[[int], bytes]
Exact = Callable[[int], tuple[int, int]]


def sample(sigma: float, count: int, source: Source = os.urandom) -> NDArray[np.int64]:
    """``count`` independent draws with P(i) proportional to exp(-i^2 / (2 sigma^2)); int64.

    ``source`` gives as many random bytes as it is asked for; bytes other than the operating system's give no
    privacy.

    Raises ConfigError for sigma outside [1, 2^52] or a negative count.

    >>> noise = sample(1000.0, 5)
    >>> noise.shape, noise.dtype.name
    ((5,), 'int64')
    """
    if not SIGMA_MIN <= sigma <= SIGMA_MAX:
        raise ConfigError(f"sigma is {sigma}; the vectorised sampler takes 1 to 2^52")
    if count < 0:
        raise ConfigError(f"count is {count}; it must be 0 or more")
    numerator, denominator = float(sigma).as_integer_ratio()
    out = np.empty(count, np.int64)
    filled = 0
    while filled < count:
        missing = count - filled
        drawn = _candidates(numerator, denominator, min(_BLOCK, missing + missing // 2 + 64), source)[
            :missing
        ]
        out[filled : filled + len(drawn)] = drawn
        filled += len(drawn)
    return out


def _candidates(m: int, d: int, tries: int, source: Source) -> NDArray[np.int64]:
    """Those of ``tries`` independent candidates that are kept, in the order in which they were drawn."""
    wholes = _wholes(tries, source)
    words = np.frombuffer(source(8 * tries), np.uint64)
    negative = (words & np.uint64(1)).astype(bool)
    words = words >> np.uint64(1)
    # ceil(sigma)
    width = -(-m // d)
    rounds = words // np.uint64(width)
    j = words - rounds * np.uint64(width)
    good = (rounds < (1 << 63) // width) & (wholes < _REACH)
    # x = X / M with X = i D - k M = (ceil(k sigma) D - k M) + j D, below 2^53 + 2^52.
    first = [-(-k * m // d) for k in range(_REACH)]
    gap = np.array([i * d - k * m for k, i in enumerate(first)], np.uint64)
    wholes = np.minimum(wholes, _REACH - 1)
    x = np.add(gap[wholes], np.multiply(j, np.uint64(d)))
    good &= x < np.uint64(m)
    good &= ~(negative & (wholes == 0) & (x == 0))
    x, j, wholes, negative = x[good], j[good], wholes[good], negative[good]
    floor = _floors(x, m)

    # exp(-x^2 / 2) for all, then exp(-x) as often as there are whole sigmas.
    kept = _keeps(*_around_half_square(floor), _half_square(x, m), source)
    turn = 0
    while len(todo := np.flatnonzero(kept & (wholes > turn))):
        kept[todo] = _keeps(*_around(floor[todo]), _over(x[todo], m), source)
        turn += 1
    size = np.array(first, np.int64)[wholes] + j.astype(np.int64)
    return np.where(negative, -size, size)[kept]


def _around(floor: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Integers around 2^32 x, from its floor."""
    return floor, floor + np.uint64(1)


def _around_half_square(floor: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Integers around 2^32 x^2 / 2, from the floor of 2^32 x below 2^32."""
    low = (floor * floor) >> np.uint64(_BITS + 1)
    return low, low + np.uint64(2)


def _over(x: NDArray[np.uint64], m: int) -> Exact:
    return lambda i: (int(x[i]), m)


def _half_square(x: NDArray[np.uint64], m: int) -> Exact:
    return lambda i: (int(x[i]) ** 2, 2 * m * m)


def _keeps(
    low: NDArray[np.uint64], high: NDArray[np.uint64], exact: Exact, source: Source
) -> NDArray[np.bool_]:
    """True with probability exp(-g), for each g in [0, 1) with low <= 2^32 g <= high.

    ``exact(i)``: numerator and denominator of the g at position i, needed only where a word decides nothing.
    """
    result = np.ones(len(low), bool)
    active = np.arange(len(low))
    run = 1
    while len(active):
        words = np.frombuffer(source(4 * len(active)), np.uint32).astype(np.uint64)
        below, open_ = _verdicts(words, run, low[active], high[active])
        for place in np.flatnonzero(open_).tolist():
            numerator, denominator = exact(int(active[place]))
            rest = _rest(int(words[place]), run, numerator, denominator, _BITS)
            below[place] = _below(*rest, source)
        # The run ends where a uniform is not below g / run; an odd length keeps.
        result[active[~below]] = run % 2 == 1
        active = active[below]
        run += 1
    return result


def _verdicts(
    words: NDArray[np.uint64], run: int, low: NDArray[np.uint64], high: NDArray[np.uint64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether the uniform that starts with the word is below g / run, and where the word leaves that open."""
    scaled = words * np.uint64(run)
    below = scaled + np.uint64(run) <= low
    return below, ~below & (scaled < high)


def _rest(word: int, run: int, numerator: int, denominator: int, bits: int) -> tuple[int, int]:
    """What the bits after the word are compared with: u = (word + v) / 2^bits < g / run as v < ratio."""
    return (numerator << bits) - word * run * denominator, run * denominator


def _below(numerator: int, denominator: int, source: Source, size: int = 8) -> bool:
    """Whether a uniform number is below numerator / denominator, exactly: by digits of ``size`` bytes."""
    while 0 < numerator < denominator:
        digit, numerator = divmod(numerator << 8 * size, denominator)
        word = int.from_bytes(source(size), "big")
        if word != digit:
            return word < digit
    return numerator > 0


def _floors(x: NDArray[np.uint64], m: int) -> NDArray[np.uint64]:
    """floor(2^32 x / m) for x < m < 2^53 (or m = 2^52 or less), by long division in 64 bits."""
    digits = np.zeros(len(x), np.uint64)
    rest = x
    left = _BITS
    while left:
        # rest < m, so rest 2^shift < 2^64.
        shift = min(left, 64 - m.bit_length())
        rest = rest << np.uint64(shift)
        digit = rest // np.uint64(m)
        rest = rest - digit * np.uint64(m)
        digits = (digits << np.uint64(shift)) | digit
        left -= shift
    return digits


def _wholes(tries: int, source: Source) -> NDArray[np.int64]:
    """Draws of k, P(k) proportional to exp(-k^2 / 2) on 0, 1, 2, ...; anything from 64 up is given as 64."""
    floors = _floor_table()
    words = np.frombuffer(source(4 * tries), np.uint32)
    small = np.zeros(tries, np.uint8)
    open_ = words == _LAST
    for floor in floors:
        small += words > floor
        open_ |= words == floor
    wholes = small.astype(np.int64)
    for place in np.flatnonzero(open_).tolist():
        wholes[place] = _whole(int(words[place]), _BITS, source)
    return wholes


def _whole(word: int, bits: int, source: Source) -> int:
    """The k of the uniform number that starts with ``word``, with as many more of its bits as it takes."""
    while True:
        bits += _MORE
        word = (word << _MORE) | int.from_bytes(source(_MORE // 8), "big")
        for k, (low, high) in enumerate(_shares(bits)):
            if word + 1 <= low:
                return k
            if word < high:
                # Still open.
                break
        else:
            return _REACH


@lru_cache(maxsize=1)
def _floor_table() -> NDArray[np.uint32]:
    """floor(2^32 P(k <= m)) for all m where that is below the last word."""
    floors = []
    for low, high in _shares(_BITS + _MORE):
        if low >> _MORE != (high - 1) >> _MORE:
            # This cannot happen; a test checks it.
            raise ArithmeticError("intervals of the normal's shares are too wide")
        floors.append(low >> _MORE)
    return np.array([floor for floor in floors if floor < _LAST], np.uint32)


@lru_cache(maxsize=4)
def _shares(bits: int) -> list[tuple[int, int]]:
    """Integers around 2^bits P(k <= m), m below 64, less than 2 apart: interval arithmetic on integers."""
    scale = bits + 64
    one = 1 << scale
    # e^(1/2) = sum 1 / (2^n n!): every term comes out less than 2 too small, and so do all that are left
    # out, together.
    low, term, n = 0, one, 0
    while term:
        low += term
        n += 1
        term //= 2 * n
    # The reciprocal of what lies between low and low + 2 (n + 1).
    q_low, q_high = one * one // (low + 2 * (n + 1)), one * one // low + 1
    sums: list[tuple[int, int]] = []
    # k = 0.
    power_low = power_high = total_low = total_high = one
    # q^(2k+1), from q^(k^2) to q^((k+1)^2).
    step_low, step_high = q_low, q_high
    square_low, square_high = q_low * q_low >> scale, (q_high * q_high >> scale) + 1
    while len(sums) < _REACH or power_high > 1:
        sums.append((total_low, total_high))
        power_low, power_high = power_low * step_low >> scale, (power_high * step_high >> scale) + 1
        step_low, step_high = step_low * square_low >> scale, (step_high * square_high >> scale) + 1
        total_low, total_high = total_low + power_low, total_high + power_high
    # All later terms together.
    total_high += 2
    return [
        ((low << bits) // total_high, min(-(-(high << bits) // total_low), 1 << bits))
        for low, high in sums[:_REACH]
    ]
