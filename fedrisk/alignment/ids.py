"""Enterprise ids: one spelling for each, and a check of the unified social credit code.

Two institutions match an id only if both spell it alike, byte for byte. Ids are therefore brought to Unicode
normal form NFKC (full-width digits become plain ones) and to upper case, and white space and the invisible
marks that spreadsheets leave behind are removed. Ids of the scheme ``uscc`` are also checked against GB
32100-2015, the Chinese standard of the unified social credit code: 18 characters of an alphabet without I, O,
S, V, Z. The last one is a check character: it makes the sum of value_i * 3^i a multiple of 31 (its own weight
is 1).

All ids are processed as one long text with a separator between them, because a handful of calls on 20 MB is
much faster than a call per id.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fedrisk.errors import ConfigError, DataError

Scheme = Literal["uscc", "opaque"]

USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
USCC_LENGTH = 18

# Neither white space nor changed by NFKC or upper case, and it never composes with a neighbour.
_SEPARATOR = "\0"
# Characters without width that copying leaves behind: joiners, marks of direction, soft hyphens, byte order marks.
_INVISIBLE = dict.fromkeys(
    [0xAD, 0x61C, 0x180E, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF]
)
# Control characters that are neither white space nor the separator.
_CONTROLS = re.compile("[\x01-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]+")

_NOT_A_DIGIT = 255
_VALUE = np.full(256, _NOT_A_DIGIT, dtype=np.uint8)
_VALUE[np.frombuffer(USCC_ALPHABET.encode("ascii"), dtype=np.uint8)] = np.arange(31, dtype=np.uint8)
_WEIGHTS = np.array([pow(3, i, 31) for i in range(USCC_LENGTH - 1)], dtype=np.int64)


def normalise(
    ids: Sequence[str | None] | npt.NDArray[Any], scheme: Scheme
) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.bool_]]:
    """Bring ids to their one spelling and say which are refused.

    Args:
        ids: n texts; ``None``, not-a-number and pandas' missing value count as missing.
        scheme: ``"uscc"`` checks length, alphabet and check character; ``"opaque"`` takes any text.

    Returns:
        The n spellings (object array of ``str``; the empty text where refused, so that a refused id never
        matches anything) and n flags, True where refused: missing, empty, holding a NUL character, or
        (``uscc``) not a valid code.

    Raises:
        ConfigError: unknown scheme.
        DataError: some id is neither text nor missing. Numbers are deliberately not turned into text: a
            column that was read as numbers has lost its leading zeros.

    >>> spelt, refused = normalise([" 91350100m000100y43", "91350100M000100Y44", None], "uscc")
    >>> spelt.tolist(), refused.tolist()
    (['91350100M000100Y43', '', ''], [False, True, True])
    """
    if scheme not in ("uscc", "opaque"):
        raise ConfigError(f"the id scheme is {scheme!r}; it must be 'uscc' or 'opaque'")
    texts = _texts(ids)
    if not texts:
        return np.empty(0, dtype=object), np.empty(0, dtype=bool)
    spelt = _spell(texts)
    out = np.empty(len(spelt), dtype=object)
    out[:] = spelt
    refused = ~_valid_uscc(spelt) if scheme == "uscc" else np.array([not s for s in spelt], dtype=bool)
    out[refused] = ""
    return out, refused


def uscc_check_character(first17: str) -> str:
    """The 18th character of a unified social credit code, from its first 17 (GB 32100-2015).

    Raises:
        DataError: ``first17`` is not 17 characters of the code's alphabet.

    >>> uscc_check_character("91350100M000100Y4")
    '3'
    """
    if len(first17) != USCC_LENGTH - 1 or not set(first17) <= set(USCC_ALPHABET):
        raise DataError(
            f"a check character needs {USCC_LENGTH - 1} characters out of {USCC_ALPHABET}; the given text "
            f"has {len(first17)} characters, or others than these"
        )
    total = sum(USCC_ALPHABET.index(c) * int(w) for c, w in zip(first17, _WEIGHTS, strict=True))
    return USCC_ALPHABET[-total % 31]


def _texts(ids: Sequence[str | None] | npt.NDArray[Any]) -> list[str]:
    """The ids as a list of texts; missing ones become the empty text."""
    given: list[Any] = ids.tolist() if isinstance(ids, np.ndarray) else list(ids)
    if set(map(type, given)) <= {str}:
        return given
    texts = [i if isinstance(i, str) else "" if _missing(i) else None for i in given]
    wrong = texts.count(None)
    if wrong:
        raise DataError(
            f"{wrong} of {len(given)} ids are neither text nor missing; read the id column as text (as "
            "numbers it loses its leading zeros)"
        )
    return [t for t in texts if t is not None]


def _missing(value: object) -> bool:
    """Whether it is None, not-a-number, NaT or pandas' NA; the last three do not equal themselves."""
    if value is None or type(value).__name__ == "NAType":
        return True
    return isinstance(value, float | np.floating | np.datetime64) and bool(value != value)


def _spell(texts: list[str]) -> list[str]:
    text = _SEPARATOR.join(texts)
    if text.count(_SEPARATOR) != len(texts) - 1:
        # An id that holds the separator would shift all that follow.
        text = _SEPARATOR.join("" if _SEPARATOR in t else t for t in texts)
    if text.isascii():
        characters = np.frombuffer(text.encode("ascii"), dtype=np.uint8)
        if (((characters < 0x20) & (characters > 0)) | (characters == 0x7F)).any():
            text = _CONTROLS.sub("", text)
        return "".join(text.upper().split()).split(_SEPARATOR)
    text = _CONTROLS.sub("", text)
    text = unicodedata.normalize("NFKC", text).upper().translate(_INVISIBLE)
    # NFKC again: capitals may be decomposed, and white space may have kept two characters apart.
    return unicodedata.normalize("NFKC", "".join(text.split())).split(_SEPARATOR)


def _valid_uscc(spelt: list[str]) -> npt.NDArray[np.bool_]:
    valid = np.array([len(s) == USCC_LENGTH and s.isascii() for s in spelt], dtype=bool)
    places = np.flatnonzero(valid)
    if places.size == 0:
        return valid
    chosen = spelt if places.size == len(spelt) else [spelt[i] for i in places]
    characters = np.frombuffer("".join(chosen).encode("ascii"), dtype=np.uint8).reshape(-1, USCC_LENGTH)
    values = _VALUE[characters]
    total = values[:, :-1].astype(np.int64) @ _WEIGHTS
    valid[places] = (values != _NOT_A_DIGIT).all(axis=1) & ((total + values[:, -1]) % 31 == 0)
    return valid
