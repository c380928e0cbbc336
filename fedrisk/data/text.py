"""Values as exact text: one spelling for each, whatever file or database it came from, and how text is compared.

Ids, codes, categories, labels and filters compare as exact text first: "0101" is not "101", "1E3" not "1000", and two
codes of 18 digits that differ in the last one stay two. They compare as numbers only where the dictionary says that
they are numbers, and then as decimals, never in floating point, which holds 15 digits.

Two spellings are one, after the exact text: a whole number and the same with an empty fraction ("1" and "1.0", as
programs write whole numbers once a value is missing), and a truth value and its number ("True" and "1", as databases
without a type for truth values write it).
"""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Callable, Iterable
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from fedrisk.errors import DataError

Value = str | int | float

MISSING = frozenset(["", "NA", "N/A", "#N/A", "NaN", "nan", "null", "NULL", "<NA>", "NaT", "(null)", "\\N"])
"""Words of programs for a missing value; where the dictionary lists one as a value, it is that value."""

CURRENCIES = ("¥", "$", "€", "£", "元", "CNY", "RMB", "USD", "EUR")
"""Signs before or after an amount that are recognised."""

MARKS = "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u00ad"
"""Characters without width that copying leaves around a value."""

WHOLE = 2**53
"""From here on a double no longer tells neighbouring whole numbers apart."""

_EDGE = re.compile(rf"^[\s{MARKS}]+|[\s{MARKS}]+$")
_EMPTY_FRACTION = re.compile(r"[+-]?[0-9]+\.0+")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_TRUTH = {"true": "1", "false": "0"}
_SPACES = " \u00a0\u2009\u202f"
_APOSTROPHES = "'\u2019"
# Full-width forms of the printable ASCII characters, and signs that have such a form.
_PLAIN_WIDTH = {0xFF01 + i: 0x21 + i for i in range(94)} | {0xFFE5: 0xA5, 0xFFE1: 0xA3, 0x3000: 0x20}


class Notation(BaseModel):
    """How numbers are written in a table's texts; what does not fit is no number, and is never guessed at.

    Attributes:
        decimal: the mark before the fraction, "." or ",".
        thousands: what divides groups of digits: ",", ".", "'" or " " (also a space that does not break); none by
            default.
        percent: what a percent sign means: "share" reads 12.5% as 0.125, "points" as 12.5; none by default.
        currency: a sign before or after an amount, which is left out, for example "¥"; none by default.
        negative: how numbers below zero are written: "minus" (-123), "trailing" (123-) or "parentheses" ((123)); a
            minus in front is always read.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    decimal: Literal[".", ","] = "."
    thousands: Literal[",", ".", "'", " "] | None = None
    percent: Literal["share", "points"] | None = None
    currency: str | None = None
    negative: Literal["minus", "trailing", "parentheses"] = "minus"

    @field_validator("percent", mode="before")
    @classmethod
    def _true_is_share(cls, raw: Any) -> Any:
        return ("share" if raw else None) if isinstance(raw, bool) else raw

    @field_validator("currency")
    @classmethod
    def _no_digits(cls, sign: str | None) -> str | None:
        if sign is not None and (not sign.strip() or re.search(r"[\d.,+\-()%]", sign)):
            raise ValueError('currency is a sign before or after an amount without digits, for example "¥"')
        return None if sign is None else plain_width(sign.strip())

    @model_validator(mode="after")
    def _rules(self) -> Notation:
        if self.decimal == self.thousands:
            other = "," if self.decimal == "." else "."
            raise ValueError(
                f'decimal and thousands are both "{self.decimal}"; write decimal = "{other}", or another thousands'
            )
        return self


PLAIN = Notation()
"""The notation of programs: 1234.5, -1e-3."""


def trim(text: str) -> str:
    r"""``text`` without white space and characters without width around it.

    >>> trim("\ufeff 01\u00a0")
    '01'
    """
    if text.isascii():
        return text.strip()
    return _EDGE.sub("", text)


def plain_width(text: str) -> str:
    """``text`` with full-width characters as plain ones.

    >>> plain_width("１２％")
    '12%'
    """
    return text if text.isascii() else text.translate(_PLAIN_WIDTH)


def whole(text: str) -> str:
    """A whole number without its empty fraction; any other text as it is.

    >>> whole("0101.0"), whole("1.50"), whole("1E3")
    ('0101', '1.50', '1E3')
    """
    return text.partition(".")[0] if _EMPTY_FRACTION.fullmatch(text) else text


def canonical(value: object) -> str:
    """One spelling for a code, however it is stored: 1, 1.0, "1" and " 1.0 " are all "1", and "01" is another.

    >>> [canonical(v) for v in (1, "1.0", " P I F ", "01", "1E3", 10**18 + 1, True)]
    ['1', '1', 'P I F', '01', '1E3', '1000000000000000001', 'true']
    """
    text = text_of(value)
    return "" if text is None else whole(trim(text))


def number_of(text: str, notation: Notation = PLAIN) -> Decimal | None:
    """The number that a text states, exactly; None where it states none, or in another notation.

    >>> number_of("1.234,50", Notation(decimal=",", thousands=".")), number_of("1,234")
    (Decimal('1234.50'), None)
    >>> number_of("12.5%", Notation(percent="share")), number_of("(１２)", Notation(negative="parentheses"))
    (Decimal('0.125'), Decimal('-12'))
    """
    text = plain_width(trim(text))
    if notation == PLAIN:
        return _decimal(text)
    sign, text = _unsigned(text, notation)
    share = False
    if notation.percent and text.endswith("%"):
        text, share = text[:-1].rstrip(), notation.percent == "share"
    if notation.currency:
        text = text.removeprefix(notation.currency).removesuffix(notation.currency).strip()
        inner, text = _unsigned(text, PLAIN)
        if sign and inner:
            return None
        sign = sign or inner
    if text[:1] in ("+", "-"):
        return None
    plain = _grouped(text, notation)
    found = None if plain is None else _decimal(sign + plain)
    return found.scaleb(-2) if share and found is not None else found


def _unsigned(text: str, notation: Notation) -> tuple[str, str]:
    """A number's sign and the rest, by the notation."""
    if text[:1] in ("+", "-"):
        return text[0], text[1:].lstrip()
    if notation.negative == "trailing" and text.endswith("-"):
        return "-", text[:-1].rstrip()
    if notation.negative == "parentheses" and text.startswith("(") and text.endswith(")"):
        return "-", text[1:-1].strip()
    return "", text


def _grouped(text: str, notation: Notation) -> str | None:
    """Digits without their groups and with a point; None where the groups are not those of a number."""
    before, mark, after = text.partition(notation.decimal)
    if notation.thousands:
        marks = {" ": _SPACES, "'": _APOSTROPHES}.get(notation.thousands, notation.thousands)
        groups = re.split(f"[{re.escape(marks)}]", before)
        if len(groups) > 1:
            # Groups of three, or of two and at last three, as in India. Four digits may be a fraction: no number.
            sizes = [len(g) for g in groups[1:]]
            even = set(sizes) == {3} or (sizes[-1] == 3 and set(sizes[:-1]) == {2})
            if not even or not 1 <= len(groups[0]) <= max(sizes) or not all(map(str.isdigit, groups)):
                return None
            before = "".join(groups)
    if notation.decimal != "." and "." in before + after:
        return None
    return before + ("." if mark else "") + after


def _decimal(text: str) -> Decimal | None:
    if not _NUMBER.fullmatch(text):
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        # An exponent beyond everything.
        return None


def exact(value: Value) -> Decimal | None:
    """A number of a configuration as a decimal; None for a text.

    >>> exact(0.1), exact("1")
    (Decimal('0.1'), None)
    """
    if isinstance(value, str):
        return None
    return Decimal(int(value)) if isinstance(value, int) else Decimal(repr(value))


class Codes:
    """Listed values and their places in the list, found by exact text first.

    An entry that is a number in the configuration also stands for every text that states this number. With
    ``numbers`` so does a text that reads as one: in columns that the dictionary calls numbers. With ``exponents``
    false, "1E3" states no number: among codes it is a code. ``quoted`` are the entries that are texts.

    >>> codes = Codes(["1E3", "0101", 7])
    >>> [codes.place(t) for t in ("1E3", "1000", "0101", "101", "7.0", "07")]
    [0, None, 1, None, 2, 2]
    """

    def __init__(
        self,
        listed: Iterable[Value],
        *,
        numbers: bool = False,
        exponents: bool = True,
        notation: Notation = PLAIN,
    ) -> None:
        self._texts: dict[str, int] = {}
        self._numbers: dict[Decimal, int] = {}
        self._notation, self._exponents = notation, exponents
        listed = list(listed)
        self.quoted = tuple(trim(entry) for entry in listed if isinstance(entry, str))
        for place, entry in enumerate(listed):
            text = trim(entry) if isinstance(entry, str) else canonical(entry)
            self._texts.setdefault(text, place)
            number = exact(entry)
            if number is None and numbers:
                number = number_of(text)
            if number is not None:
                self._numbers.setdefault(number, place)
        # Second to all exact texts: another spelling of a truth value, by its number or by its word.
        for text, place in list(self._texts.items()):
            if word := _TRUTH.get(text.lower()):
                self._texts.setdefault(word, place)
                self._texts.setdefault(text.lower(), place)

    def place(self, text: str) -> int | None:
        """Where a value stands in the list, None if it does not."""
        text = trim(text)
        found = self._texts.get(text)
        if found is None:
            found = self._texts.get(whole(text))
        if found is None and self._numbers and (self._exponents or "e" not in text.lower()):
            number = number_of(text, self._notation)
            found = None if number is None else self._numbers.get(number)
        if found is None and (word := _TRUTH.get(text.lower())):
            found = self._texts.get(text.lower(), self._texts.get(word))
        return found

    @property
    def numbers(self) -> tuple[Decimal, ...]:
        """The entries that are numbers."""
        return tuple(self._numbers)

    @property
    def words(self) -> bool:
        """Whether an entry is no number."""
        return any(number_of(t) is None for t in self._texts)


def text_of(value: Any) -> str | None:
    """A Python value as a database's driver gives it, as exact text; None where it is missing.

    A whole number has no fraction, a double as few digits as tell it from others, a date and time no midnight. Where a
    double no longer tells whole numbers apart, it keeps its exponent, so that lost digits show.

    Raises:
        DataError: the value is a list, a table, or bytes that are no text.

    >>> [text_of(v) for v in (1.0, 2.0**60, Decimal("1.50"), dt.date(2024, 9, 1), b"x", True, float("nan"))]
    ['1', '1.152921504606847e+18', '1.50', '2024-09-01', 'x', 'true', None]
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    for kinds, text in _TEXTS:
        if isinstance(value, kinds):
            return text(value)
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    raise DataError(
        f"holds values of type {type(value).__name__}, which have no text; write them as text in the query or export"
    )


def marked_text(text: str | None, mark: str) -> str | None:
    """A number's exact text with another mark before its fraction, as a table's texts write numbers.

    >>> marked_text("1.234", ","), marked_text("2024-09-01", ",")
    ('1,234', '2024-09-01')
    """
    return text if text is None or mark == "." else text.replace(".", mark, 1)


def _exact_decimal(value: Decimal) -> str | None:
    return format(value, "f") if value.is_finite() else None if value.is_nan() else str(value)


def _bytes(value: bytes | bytearray | memoryview) -> str:
    try:
        return bytes(value).decode("utf-8")
    except UnicodeDecodeError:
        raise DataError("holds bytes that are no text; write them as text in the query or export") from None


def _double(value: float | np.floating[Any]) -> str | None:
    if value != value:
        return None
    # Single precision tells whole numbers apart up to 2^24 only, half precision up to 2^11.
    narrow = not isinstance(value, float)
    precise = 2.0 ** (int(np.finfo(type(value)).nmant) + 1) if narrow else WHOLE
    if _integral(value):
        return str(int(value)) if abs(float(value)) < precise else _scientific(value)
    return str(value) if narrow else repr(float(value))


def _integral(value: float | np.floating[Any]) -> bool:
    return bool(np.isfinite(value) and value == np.floor(value))


def _scientific(value: float | np.floating[Any]) -> str:
    return np.format_float_scientific(value, trim="-")


def moment(text: str) -> str:
    """A date and time in ISO form, without a fraction of zeros and without midnight.

    >>> moment("2024-09-01 00:00:00.000000"), moment("2024-09-01 10:30:00.500")
    ('2024-09-01', '2024-09-01 10:30:00.5')
    """
    day, _, time = text.partition(" ")
    if "." in time:
        time = time.rstrip("0").rstrip(".")
    return day if time in ("", "00:00:00") else f"{day} {time}"


# A moment goes without its zone: the day and time that were written. It is a date too, so it comes first.
_TEXTS: tuple[tuple[Any, Callable[[Any], str | None]], ...] = (
    ((int, np.integer), lambda v: str(int(v))),
    ((float, np.floating), _double),
    (Decimal, _exact_decimal),
    (dt.datetime, lambda v: moment(v.replace(tzinfo=None).isoformat(" "))),
    ((dt.date, dt.time), lambda v: v.isoformat()),
    (uuid.UUID, str),
    ((bytes, bytearray, memoryview), _bytes),
)
