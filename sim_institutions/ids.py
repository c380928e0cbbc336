"""Unified social credit codes (GB 32100-2015) and the ways in which institutions write them.

A code: 9 (market authority), 1 (enterprise) or 2 (individually owned business), six digits of the district,
nine characters of the organisation, a check character. The districts are 369900 to 369999, one per county:
36 is the province, 99 is not assigned. The organisation's nine characters are a keyed permutation of the
enterprise's number. So codes differ across all blocks, although every block is generated without the others.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fedrisk.alignment.ids import USCC_ALPHABET
from sim_institutions.random_streams import Bools, Ints, uniform

Style = Literal["plain", "lower", "spaced", "full_width"]
Codes = npt.NDArray[np.uint8]

DISTRICT = (3, 6, 9, 9)
LENGTH = 18
_LOW, _HIGH = 31**5, 31**4
_LETTERS = np.frombuffer(USCC_ALPHABET.encode(), dtype=np.uint8)
_WEIGHTS = np.array([pow(3, i, 31) for i in range(17)], dtype=np.int64)
_ROUNDS = 4


def codes(number: Ints, individual: Bools, county: Ints, seed: int) -> Codes:
    """Values 0 to 30 of the 18 characters of each code, (n, 18).

    ``number`` numbers the enterprises of all blocks; every number is below 2^44.
    """
    values = np.empty((len(number), LENGTH), dtype=np.int64)
    values[:, 0] = 9
    values[:, 1] = np.where(individual, 2, 1)
    values[:, 2:6] = DISTRICT
    values[:, 6], values[:, 7] = county // 10, county % 10
    rest = _permuted(number, seed)
    for place in range(8, 17):
        values[:, place] = rest % 31
        rest = rest // 31
    values[:, 17] = -(values[:, :17] @ _WEIGHTS) % 31
    return values.astype(np.uint8)


def written(values: Codes, style: Style, share: float, rng: np.random.Generator) -> pa.Array:
    """The codes as an institution writes them: a ``share`` of the rows in its style, the others plain."""
    if style == "plain" or share <= 0:
        return styled(values, "plain", np.zeros(len(values), dtype=bool))
    return styled(values, style, uniform(rng, len(values)) < share)


def styled(values: Codes, style: Style, odd: Bools) -> pa.Array:
    """The codes, those that are ``odd`` in an institution's style."""
    letters = _LETTERS[values]
    if style == "plain":
        return _strings(letters, np.ones_like(letters, dtype=bool))
    if style == "lower":
        capital = odd[:, None] & (letters >= ord("A"))
        return _strings(letters + 32 * capital.astype(np.uint8), np.ones_like(letters, dtype=bool))
    return _spaced(letters, odd) if style == "spaced" else _full_width(letters, odd)


def _spaced(letters: Codes, odd: Bools) -> pa.Array:
    """Codes in groups of 2, 6, 9 and 1, as on the certificate, where ``odd``."""
    wide = np.full((len(letters), LENGTH + 3), ord(" "), dtype=np.uint8)
    spaces = np.array([2, 9, 19])
    wide[:, np.setdiff1d(np.arange(LENGTH + 3), spaces)] = letters
    kept = np.ones_like(wide, dtype=bool)
    kept[np.ix_(~odd, spaces)] = False
    return _strings(wide, kept)


def _full_width(letters: Codes, odd: Bools) -> pa.Array:
    """Codes in full-width characters where ``odd``.

    Full-width characters, U+FF10 and up, take three bytes in UTF-8: EF, then BC or BD, then the rest.
    """
    point = letters.astype(np.int64) - 0x20 + 0xFF00
    wide = np.stack([0xE0 | point >> 12, 0x80 | point >> 6 & 0x3F, 0x80 | point & 0x3F], axis=2).astype(
        np.uint8
    )
    kept = np.ones(wide.shape, dtype=bool)
    wide[~odd, :, 0] = letters[~odd]
    kept[~odd, :, 1:] = False
    return _strings(wide.reshape(len(letters), -1), kept.reshape(len(letters), -1))


def mistyped(values: Codes, share: float, rng: np.random.Generator) -> Codes:
    """A ``share`` of the rows with one wrong character in the organisation's part.

    The check character reveals it.
    """
    out = values.copy()
    rows = np.flatnonzero(uniform(rng, len(values)) < share)
    places = rng.integers(8, 17, len(rows))
    out[rows, places] = (out[rows, places] + rng.integers(1, 31, len(rows))) % 31
    return out


def _permuted(number: Ints, seed: int) -> Ints:
    """A keyed permutation of 0 .. 31^9 - 1 (unbalanced Feistel rounds, Luby & Rackoff 1988)."""
    high, low = np.divmod(number.astype(np.int64), _LOW)
    for i in range(_ROUNDS):
        low = (low + _mixed(high, seed, 2 * i) % _LOW) % _LOW
        high = (high + _mixed(low, seed, 2 * i + 1) % _HIGH) % _HIGH
    return high * _LOW + low


def _mixed(x: Ints, seed: int, salt: int) -> Ints:
    """A hash of 62 bits (the finaliser of splitmix64, Steele, Lea & Flood 2014)."""
    key = np.random.SeedSequence([seed, salt]).generate_state(1, np.uint64)[0]
    with np.errstate(over="ignore"):
        z = x.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + key
        z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
        return ((z ^ z >> np.uint64(31)) >> np.uint64(2)).astype(np.int64)


def _strings(text: npt.NDArray[np.uint8], kept: Bools) -> pa.Array:
    """One string per row, of the bytes that are ``kept``."""
    offsets = np.zeros(len(text) + 1, dtype=np.int32)
    np.cumsum(kept.sum(axis=1), out=offsets[1:])
    data = text[kept]
    return pa.StringArray.from_buffers(len(text), pa.py_buffer(offsets), pa.py_buffer(data.tobytes()))
