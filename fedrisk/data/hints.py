"""What values that do not fit may be: another notation, a code nobody declared, digits that were lost before.

Whatever is recognised is said in words, with the key to write; nothing is read in another way because of it. No text
holds a value.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fedrisk.data.text import CURRENCIES, Notation, number_of, plain_width, trim, whole

Floats = npt.NDArray[np.float64]

MOST_CODES = 5
"""Most different values outside the bounds that may be codes nobody declared."""

REPEATED = 3
"""Fewest rows of a value that may be such a code, unless it looks like one."""

LOOKED_AT = 200
"""Most different values that are tried in other notations."""

READ = 0.9
"""Share of them that another notation has to read."""

DOUBLE_DIGITS = 15
"""Decimal digits that a double, and so a spreadsheet's number, keeps."""

FEWEST_DIGITS = 4
"""Fewest digits of an id from which zeros in front may have been lost."""

_DECLARE = "declare each with its meaning in special (a bin of its own), or list it in missing_values"
_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}")
_CODE = re.compile(r"-?(9{2,}[5-9]?|[1-9]0*|([1-9])\2+)")
_UNIT = re.compile(r"[+-]?\d[\d.,]*\s*[^\W\d]{1,8}")
_DATES = (
    (re.compile(r"\d{1,2}([-/.])\d{1,2}\1(\d{4}|\d{2})\b.*"), "day and month are not told apart"),
    (re.compile(r"[34]\d{4}(\.\d+)?"), "numbers as spreadsheets count days"),
    (re.compile(r"\d{10}(\.\d+)?|\d{13}|\d{16}|\d{19}"), "numbers as programs count seconds since 1970"),
    (re.compile(r"0{4}-?0{2}-?0{2}.*"), "zeros in place of a date; list them in missing_values"),
    (re.compile(r".*[A-Za-z]{3}.*\d.*|\d.*[A-Za-z]{3}.*"), "months in words"),
)
# A mantissa with a fraction or a signed exponent: what no id looks like by itself.
_SCIENTIFIC = r"^[+-]?\d(\.\d+[eE][+-]?\d+|[eE]\+\d+)$"
_LONG_FLOAT = r"^\d{16,}\.0*$"
_LOST = re.compile(f"{_SCIENTIFIC}|{_LONG_FLOAT}")
_WRAPPED = r"^(=\".*\"|'.+)$"


def notation_hint(texts: Sequence[str], notation: Notation) -> str:
    """The keys of [table] under which texts that are no numbers would be numbers, as "; write ..."; "" for none."""
    given = [plain_width(trim(t)) for t in texts[:LOOKED_AT]]
    sample = [t for t in given if any(c.isdigit() for c in t) and not t.startswith("#")]
    if not sample:
        errors = any(t.startswith("#") for t in given)
        return (
            "; some are errors of a spreadsheet's formulas (#...): repair them, or list them"
            if errors
            else ""
        )
    fits = [keys for keys, other in other_notations(sample, notation) if share_read(sample, other) >= READ]
    if not fits:
        units = sum(_UNIT.fullmatch(t) is not None for t in sample) > len(sample) / 2
        return (
            "; a unit stands behind the numbers: leave it out in the table, and state it as unit"
            if units
            else ""
        )
    fewest = min(len(keys) for keys in fits)
    ways = [" and ".join(f"{k} = {v}" for k, v in keys.items()) for keys in fits if len(keys) == fewest]
    return f"; they are numbers in another notation: write {', or '.join(dict.fromkeys(ways))} in [table]"


def share_read(sample: Sequence[str], notation: Notation) -> float:
    """Share of the texts that are numbers in a notation, 0 to 1."""
    return sum(number_of(t, notation) is not None for t in sample) / len(sample)


def other_notations(sample: Sequence[str], notation: Notation) -> Iterator[tuple[dict[str, str], Notation]]:
    """Other notations that the texts give reason to try, each with the keys by which it differs."""
    joined = "".join(sample)
    decimals = [notation.decimal, *(d for d in (".", ",") if d != notation.decimal and d in joined)]
    groups = [notation.thousands, *(t for t in (",", ".", "'", " ") if _occurs(t, joined))]
    percents = [notation.percent, *(("share", "points") if "%" in joined else ())]
    signs = [notation.currency, *(plain_width(s) for s in CURRENCIES if plain_width(s) in joined)]
    negatives = [notation.negative, *(["parentheses"] if "(" in joined else [])]
    negatives += ["trailing"] if any(t.endswith("-") for t in sample) else []
    names = ("decimal", "thousands", "percent", "currency", "negative")
    for choice in product(decimals, groups, percents, signs, negatives):
        if choice[0] == choice[1]:
            continue
        keys = dict(zip(names, choice, strict=True))
        changed = {k: f'"{v}"' for k, v in keys.items() if v != getattr(notation, k) and v is not None}
        if changed:
            yield changed, Notation.model_validate(keys)


def _occurs(mark: str, joined: str) -> bool:
    same = {" ": " \u00a0\u2009\u202f", "'": "'\u2019"}.get(mark, mark)
    return any(c in joined for c in same)


def grouped_by_points(values: Sequence[str]) -> int:
    """How many values have a point and three digits after it, where all that have a point have: maybe thousands.

    >>> grouped_by_points(["1.234", "12.500", "950"]), grouped_by_points(["1.234", "1.5"])
    (2, 0)
    """
    pointed = [v for v in values if "." in v]
    return len(pointed) if all(_GROUPED.fullmatch(trim(v)) for v in pointed) else 0


def date_hint(texts: Sequence[str]) -> str:
    """What most of the texts that are no dates look like, as "; ..."; "" for nothing known."""
    sample = [trim(t) for t in texts[:LOOKED_AT]]
    for pattern, what in _DATES:
        if sample and sum(pattern.fullmatch(t) is not None for t in sample) > len(sample) / 2:
            return f"; they are {what}" if not what.startswith("day") else f"; {what} in them"
    return ""


def category_hint(texts: Sequence[str], listed: Sequence[str]) -> str:
    """Why most of the texts are not among the listed ones, where that can be seen; "" where it cannot.

    >>> category_hint(["1", "2"], ["01", "02"])
    'zeros in front of the codes were lost: export the column as text'
    """
    sample = [plain_width(trim(t)) for t in texts[:LOOKED_AT]]
    composed = {unicodedata.normalize("NFKC", c) for c in listed}
    folded, bare = {c.casefold() for c in listed}, {c.lstrip("0") or "0" for c in listed if c.isdigit()}
    ways = (
        (
            lambda t: _LOST.fullmatch(t) is not None,
            "codes in floating point lost their digits: export the column as text",
        ),
        (
            lambda t: whole(t).isdigit() and whole(t) in bare,
            "zeros in front of the codes were lost: export the column as text",
        ),
        (lambda t: t in listed, "they are in full-width characters: write them as listed"),
        (
            lambda t: unicodedata.normalize("NFKC", t) in composed,
            "they look the same and are other characters (Unicode forms): write them as listed",
        ),
        (lambda t: t.casefold() in folded, "upper and lower case differ: write them as listed"),
    )
    for looks, what in ways:
        if sample and sum(map(looks, sample)) > len(sample) / 2:
            return what
    return ""


def lost_zeros(texts: Sequence[str], listed: Sequence[str]) -> list[str]:
    """Codes of which zeros in front were lost, where only beginnings of codes are listed: the shorter ones.

    Some listed beginnings start with 0 and no code does, while all are numbers and most are longer than others.

    >>> lost_zeros(["111", "1111", "2222"], ["01", "11", "22"]), lost_zeros(["0111", "1111"], ["01", "11"])
    (['111'], [])
    """
    codes = [whole(trim(t)) for t in texts]
    if not any(c.startswith("0") for c in listed) or not all(re.fullmatch("[1-9][0-9]*", c) for c in codes):
        return []
    longest = max(map(len, codes), default=0)
    return [text for text, code in zip(texts, codes, strict=True) if len(code) < longest]


def codes_hint(outside: Floats, low: float, high: float) -> str:
    """What to do where values outside the bounds look like codes, by how often they come or how they are written.

    Values below and above the bounds are looked at apart: a code on one side does not hide behind a long tail on the
    other. "" where they are no codes.
    """
    found = [c for side in (outside[outside < low], outside[outside > high]) for c in _codes(side, low)]
    if not found or len(found) > 2 * MOST_CODES:
        return ""
    few = "one value makes" if len(found) == 1 else f"{len(found)} values make"
    return f"; {few} up {sum(found):,} of these rows, as codes do: if so, {_DECLARE}"


def _codes(side: Floats, low: float) -> list[int]:
    """In how many rows each value of one side comes that is likely a code."""
    values, counts = np.unique(side, return_counts=True)
    looks = np.array([_looks_like_code(v, low) for v in values.tolist()], dtype=bool)
    order = np.argsort(-counts)[:MOST_CODES]
    often = [int(counts[i]) for i in order if counts[i] >= REPEATED]
    if 2 * sum(often) > len(side):
        return often
    # In a tail of many values: those that look like codes and come again and again.
    return [int(n) for n, like in zip(counts, looks, strict=True) if like and n >= REPEATED][:MOST_CODES]


def _looks_like_code(value: float, low: float) -> bool:
    """Nines (999, 9998), or a negative round number or repeated digit where numbers are not negative."""
    if not np.isfinite(value) or value != np.floor(value) or abs(value) > 1e18:
        return False
    digits = str(int(abs(value)))
    nines = len(digits) > 1 and set(digits[:-1]) == {"9"} and digits[-1] in "56789"
    return nines or (value < 0 <= low and _CODE.fullmatch(digits) is not None)


def plain_ids(texts: pa.Array) -> bool:
    """Whether no id can be one of the kinds below: one look for all of them, which clears most tables."""
    return not _matches(texts, r"^[='+-]|\.|[eE]\+|^\d{15}0{2}").any()


def lost_digits(texts: pa.Array) -> npt.NDArray[np.bool_]:
    """Which ids were numbers in floating point: in scientific notation, or of 16 digits and more with a fraction."""
    return _matches(texts, _LOST.pattern)


def rounded_digits(texts: pa.Array) -> npt.NDArray[np.bool_]:
    """Which ids end in zeros after their 15th digit, where most long ones do: as spreadsheets round them.

    By chance one in ten of 16 digits would, and one in a thousand of 18.
    """
    long = _matches(texts, r"^\d{17,}$")
    zeros = _matches(texts, r"^\d{15}0{2,}$")
    few = zeros.sum() < max(REPEATED, 0.5 * long.sum())
    return np.zeros(len(zeros), dtype=bool) if few else zeros


def shorter_ids(texts: pa.Array) -> npt.NDArray[np.bool_]:
    """Which ids have fewer digits than most, where all are numbers and none begins with 0, as once zeros were lost.

    Ids that are running numbers look the same.
    """
    known = texts.drop_null()
    if not pc.all(pc.match_substring_regex(known, r"^[1-9]\d*$")).as_py():
        return np.zeros(len(texts), dtype=bool)
    sizes = np.asarray(pc.utf8_length(texts).fill_null(0).to_numpy(zero_copy_only=False))
    longest = int(sizes.max(initial=0))
    if longest < FEWEST_DIGITS or 2 * (sizes == longest).sum() < len(known):
        return np.zeros(len(texts), dtype=bool)
    return (sizes < longest) & (sizes > 0)


def wrapped(texts: pa.Array) -> npt.NDArray[np.bool_]:
    """Which ids are wrapped as spreadsheets keep text: ="0123" or '0123."""
    return _matches(texts, _WRAPPED)


def _matches(texts: pa.Array, pattern: str) -> npt.NDArray[np.bool_]:
    found = pc.match_substring_regex(texts, pattern).fill_null(False)
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=bool)
