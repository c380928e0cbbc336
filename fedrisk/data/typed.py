"""A column's values in the type that its kind says: numbers, flags, categories, dates.

Each reader takes a column as `source` gives it (exact texts, or doubles) and returns typed values, and which values are
unreadable or not listed. Values that count as missing are those of ``missing_values``, and words of programs for a
missing value (`text.MISSING`), unless the dictionary lists such a word as a value.
"""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from fedrisk.data.column import Column
from fedrisk.data.columns import float_texts
from fedrisk.data.special import special_values
from fedrisk.data.text import MISSING, PLAIN, Codes, Notation, number_of, plain_width, trim, whole

Floats = npt.NDArray[np.float64]
Objects = npt.NDArray[np.object_]
Bools = npt.NDArray[np.bool_]

FLAGS = {"1": 1.0, "true": 1.0, "t": 1.0, "yes": 1.0, "y": 1.0}
FLAGS |= {"0": 0.0, "false": 0.0, "f": 0.0, "no": 0.0, "n": 0.0}
"""Words for yes and no, small."""

_WORDS = {"true": 1.0, "false": 0.0, "inf": np.inf, "infinity": np.inf}
_WORDS |= {f"+{w}": np.inf for w in ("inf", "infinity")} | {f"-{w}": -np.inf for w in ("inf", "infinity")}
_PLAIN_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_ZONE = r"( ?(Z|z|UTC|GMT|[+-]\d{2}(:?\d{2})?))?( ?\[?[A-Z][A-Za-z_]+(/[A-Z][A-Za-z_]+)+\]?)?"
_TIME = rf"[T ]\d{{1,2}}(:?\d{{2}}(:?\d{{2}}([.,]\d+)?)?)?( ?[AaPp][Mm])?{_ZONE}"
_ISO = rf"^\d{{4}}-\d{{2}}-\d{{2}}({_TIME})?$"
# Year first, so that day and month cannot change places.
_DAYS = (
    re.compile(rf"(\d{{4}})(\d{{2}})(\d{{2}})(?:{_TIME}|\d{{6}}|Z)?", re.ASCII),
    re.compile(rf"(\d{{4}})([-/.])(\d{{1,2}})\2(\d{{1,2}})(?:{_TIME}|{_ZONE})?", re.ASCII),
    re.compile(r"(\d{4})年(\d{1,2})月(?:(\d{1,2})日(?: ?(?:上午|下午)?\d{1,2}[:时].*)?)?", re.ASCII),
    re.compile(r"(\d{4})(?:-(\d{2}))?", re.ASCII),
)


def texts_of(values: pd.Series[Any]) -> pd.Series[Any]:
    """A column as exact texts, with the same index."""
    if values.dtype != np.float64:
        return values
    return pd.Series(float_texts(values.to_numpy()), index=values.index, dtype="str")


def distinct_texts(values: pd.Series[Any]) -> tuple[npt.NDArray[np.int64], list[str]]:
    """The place of each value among the distinct ones, -1 where missing, and these as exact texts."""
    codes, distinct = pd.factorize(values)
    if values.dtype != np.float64:
        return codes, list(distinct)
    return codes, [text or "" for text in float_texts(np.asarray(distinct))]


def is_missing(text: str) -> bool:
    """Whether a text is one of programs' words for a missing value."""
    return trim(text) in MISSING


def numbers(values: pd.Series[Any], notation: Notation = PLAIN) -> tuple[Floats, Bools]:
    """Values as doubles with NaN where missing or unreadable, and which values were unreadable."""
    if values.dtype == np.float64:
        # Zero has no sign, whatever the source.
        return values.to_numpy() + 0.0, np.zeros(len(values), dtype=bool)
    texts = _arrow(values)
    texts = pc.if_else(pc.is_in(texts, pa.array(sorted(MISSING))), pa.scalar(None, texts.type), texts)
    readable = pc.is_valid(texts)
    if notation == PLAIN:
        try:
            # The common case, all values readable, is fast in Arrow.
            typed = _doubles(texts)
            # Arrow takes more words for not-a-number than the ones that mean missing.
            if int(np.isnan(typed).sum()) == texts.null_count:
                return typed, np.zeros(len(values), dtype=bool)
        except pa.ArrowInvalid:
            pass
        readable = pc.match_substring_regex(texts, _PLAIN_NUMBER).fill_null(False)
    else:
        readable = pc.and_(readable, False)
    typed = _doubles(pc.if_else(readable, texts, pa.scalar(None, texts.type)))
    rest = ~readable.to_numpy(zero_copy_only=False) & texts.is_valid().to_numpy(zero_copy_only=False)
    codes, distinct = pd.factorize(values[rest])
    found = np.array([_number(text, notation) for text in distinct], dtype=object)
    unreadable = np.zeros(len(values), dtype=bool)
    unreadable[rest] = np.array([x is None for x in found], dtype=bool)[codes]
    typed[rest] = np.array([np.nan if x is None else x for x in found], dtype=np.float64)[codes]
    return typed, unreadable


def _arrow(values: pd.Series[Any]) -> Any:
    array = pa.array(values, pa.string(), from_pandas=True)
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _doubles(texts: Any) -> Floats:
    return np.array(texts.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64) + 0.0


def _number(text: str, notation: Notation) -> float | None:
    """A text as a double, NaN where it means missing, None where it is no number."""
    if is_missing(text):
        return np.nan
    number = number_of(text, notation)
    return _WORDS.get(trim(text).lower()) if number is None else float(number)


def marked(
    typed: Floats, unreadable: Bools, values: pd.Series[Any], codes: Codes, notation: Notation = PLAIN
) -> Bools:
    """Which values of a column of numbers are among ``codes``: as texts, or as numbers, exactly."""
    if values.dtype == np.float64:
        # A code that no double can be is none of them.
        return np.isin(typed, [float(n) for n in codes.numbers if Decimal(repr(float(n))) == n])
    # Doubles find those that may be one; decimals tell which are.
    here = np.isin(typed, [float(n) for n in codes.numbers])
    asked = here | unreadable | np.isinf(typed) if codes.words else here
    if codes.quoted and notation != PLAIN:
        # A listed text may read as another number, or as one only, in the notation of the table.
        asked = asked | values.str.strip().isin(codes.quoted).to_numpy(dtype=bool)
    if asked.any():
        places, distinct = pd.factorize(values[asked])
        same = np.array([*(codes.place(text) is not None for text in distinct), False], dtype=bool)
        here[asked] = same[places]
    return here


def read_number(values: pd.Series[Any], c: Column, notation: Notation) -> tuple[Floats, Bools]:
    """A number's values; codes of missing values as NaN, special codes as the numbers that they are."""
    typed, unreadable = numbers(values, notation)
    if c.missing_values:
        codes = Codes(c.missing_values, numbers=True, notation=notation)
        gone = marked(typed, unreadable, values, codes, notation)
        typed[gone] = np.nan
        unreadable = unreadable & ~gone
    return typed, unreadable


def special_rows(typed: Floats, values: pd.Series[Any], c: Column, notation: Notation) -> Bools:
    """Which rows of a number hold a special code."""
    found = np.zeros(len(typed), dtype=bool)
    if c.special:
        codes = Codes([code for code, _ in c.special], numbers=True, notation=notation)
        found = marked(typed, found, values, codes)
    return found


def read_flag(values: pd.Series[Any], c: Column, notation: Notation) -> tuple[Floats, Bools]:
    """A flag's values as 1 and 0, special codes as the numbers that they are."""
    gone = Codes(c.missing_values, numbers=True, notation=notation)
    known = Codes(("0", "1", *(code for code, _ in c.special)), numbers=True, notation=notation)
    meanings = (0.0, 1.0, *special_values(c.special))

    def meaning(text: str) -> float:
        if gone.place(text) is not None or is_missing(text):
            return np.nan
        found = FLAGS.get(trim(text).lower())
        place = known.place(text) if found is None else None
        return found if found is not None else np.inf if place is None else meanings[place]

    codes, distinct = distinct_texts(values)
    typed = np.array([*(meaning(v) for v in distinct), np.nan], dtype=np.float64)[codes]
    unreadable = np.isinf(typed)
    typed[unreadable] = np.nan
    return typed, unreadable


def read_category(values: pd.Series[Any], c: Column, notation: Notation) -> tuple[Objects, Bools]:
    """A category's values as names of its list, None where missing or not listed."""
    gone = Codes(c.missing_values, exponents=False, notation=notation)
    listed = None if c.categories is None else Codes(c.categories)

    def name_of(text: str) -> tuple[str | None, bool]:
        """The name, and whether the value is neither listed nor missing."""
        if gone.place(text) is not None:
            return None, False
        text = trim(text)
        for form in (text, whole(text)):
            form = form[: c.prefix] if c.prefix else form
            place = None if listed is None else listed.place(form)
            if place is not None and c.categories is not None:
                return c.categories[place], False
        missing = is_missing(text)
        if listed is None and not missing:
            return form, False
        return None, not missing

    codes, distinct = distinct_texts(values)
    found = [*(name_of(v) for v in distinct), (None, False)]
    typed: Objects = np.array([name for name, _ in found], dtype=object)[codes]
    return typed, np.array([wrong for _, wrong in found], dtype=bool)[codes]


def read_date(
    values: pd.Series[Any], c: Column, notation: Notation
) -> tuple[npt.NDArray[np.datetime64], Bools]:
    """The days that were written, whatever the time and zone beside them."""
    gone = Codes(c.missing_values)
    days = {day for entry in c.missing_values if (day := day_of(str(entry))) is not None}

    def meaning(text: str) -> tuple[dt.date | None, bool]:
        day = day_of(text)
        if gone.place(text) is not None or day in days:
            return None, False
        return day, day is None and not is_missing(text)

    texts = _arrow(texts_of(values))
    iso = pc.match_substring_regex(texts, _ISO)
    codes, distinct = pd.factorize(pc.if_else(iso, pc.utf8_slice_codeunits(texts, 0, 10), texts).to_pandas())
    found = [*(meaning(v) for v in distinct), (None, False)]
    typed = np.array([day for day, _ in found], dtype="datetime64[us]")[codes]
    return typed, np.array([wrong for _, wrong in found], dtype=bool)[codes]


def day_of(text: str) -> dt.date | None:
    """The day that a text states with the year first; None where it states none.

    >>> [str(day_of(t)) for t in ("2024-09-01T00:00:00+08:00", "20240901.0", "2024年9月1日", "01/09/2024")]
    ['2024-09-01', '2024-09-01', '2024-09-01', 'None']
    """
    text = plain_width(whole(trim(text)))
    for pattern in _DAYS:
        found = pattern.fullmatch(text)
        if found:
            parts = [int(g) for g in found.groups()[:4] if g is not None and g.isdigit()]
            try:
                return dt.date(*[*parts, 1, 1][:3])
            except ValueError:
                return None
    return None
