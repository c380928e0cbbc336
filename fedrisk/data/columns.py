"""Columns of Arrow as exact text, or as doubles where that loses nothing.

A Parquet file, and most of what a database gives, has a type for each column. The same value must be the same text
as in a CSV file: whole numbers without a fraction, decimals with the digits they have, dates as they were written.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fedrisk.data.text import WHOLE, text_of
from fedrisk.errors import DataError

Floats = npt.NDArray[np.float64]


def plain_numbers(column: Any) -> Floats | None:
    """A column of numbers or truth values as doubles, NaN where missing; None where doubles would lose digits.

    A number of single precision is the decimal number that it prints as, 0.1 and not 0.10000000149, as in a text file.
    """
    kind = column.type
    if pa.types.is_boolean(kind):
        column, kind = column.cast(pa.int8()), pa.int8()
    if pa.types.is_integer(kind):
        ends = pc.min_max(column).as_py()
        if ends["min"] is not None and max(-ends["min"], ends["max"]) >= WHOLE:
            return None
        column = column.cast(pa.float64(), safe=False)
    elif pa.types.is_float32(kind):
        return _singles(np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float32))
    elif not pa.types.is_float64(kind):
        return None
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)


def _singles(values: npt.NDArray[np.float32]) -> Floats:
    """Single precision as the decimal numbers that it prints as: of fewest digits that tell it from its neighbours.

    The product with a power of ten is exact here, so rounding it gives the decimal nearest to the value.
    """
    wide = values.astype(np.float64)
    out = wide.copy()
    rest = np.flatnonzero(np.isfinite(wide))
    for places in range(10):
        x = wide[rest]
        decimal = np.rint(x * 10.0**places) / 10.0**places
        same = (decimal.astype(np.float32) == values[rest]) & (np.abs(x) < 2.0**24)
        out[rest[same]] = decimal[same]
        rest = rest[~same]
        if not len(rest):
            return out
    texts = pa.array(values[rest]).cast(pa.string())
    out[rest] = texts.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return out


def holds_text(kind: Any) -> bool:
    """Whether a column of this type holds texts, or bytes that may be texts, rather than values of another type."""
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    simple = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    raw = (
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_binary_view,
        pa.types.is_fixed_size_binary,
    )
    return any(of(kind) for of in (*simple, *raw))


def exact_texts(column: Any) -> Any:
    """A column of any simple type as Arrow strings, null where missing.

    Raises:
        DataError: its values have no text (lists, structures, intervals), or are bytes that are no text.
    """
    if isinstance(column.type, pa.BaseExtensionType):
        column = _storage(column)
    if pa.types.is_dictionary(column.type):
        return exact_texts(column.dictionary_decode())
    kind = column.type
    for of, texts in _TEXTS:
        if of(kind):
            if pa.types.is_temporal(kind) and len(column):
                # Days are few: each is written once.
                once = column.dictionary_encode()
                return texts(once.dictionary).take(once.indices)
            return texts(column)
    raise DataError(
        f"holds values of type {str(kind).partition('<')[0]}, which have no text; export one simple column for each"
    )


def whole_decimals(column: Any) -> Any:
    """Decimals that are all whole as texts without a fraction, since databases hold ids so; else the column itself.

    Decimals are exact: unlike doubles they lost no digit.
    """
    if not pa.types.is_decimal(column.type):
        return column
    texts = pc.replace_substring_regex(exact_texts(column), r"\.0+$", "")
    return column if pc.any(pc.match_substring(texts, ".")).as_py() else texts


def float_texts(values: Floats) -> list[str | None]:
    """Doubles as exact text, as `text_of` writes them; None for NaN."""
    integral = (np.floor(values) == values) & (np.abs(values) < WHOLE)
    texts = np.empty(len(values), dtype=object)
    texts[integral] = list(map(str, values[integral].astype(np.int64).tolist()))
    texts[~integral] = [text_of(v) for v in values[~integral].tolist()]
    return list(texts)


def _double_texts(column: Any) -> list[str | None]:
    if pa.types.is_float64(column.type):
        return float_texts(np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64))
    # Other precisions have another shortest spelling, and lose digits earlier.
    narrow = np.asarray(column.to_numpy(zero_copy_only=False))
    precise = narrow.astype(column.type.to_pandas_dtype())
    return [text_of(v) for v in precise]


def _decimal_texts(column: Any) -> Any:
    texts = column.cast(pa.string())
    if pc.any(pc.match_substring(texts, "E")).as_py():
        # Arrow writes very small ones with an exponent.
        return _each(column)
    return texts


def _moments(column: Any) -> Any:
    if column.type.tz is not None:
        try:
            # The day that the clock of the column's own zone shows.
            column = pc.local_timestamp(column)
        except pa.ArrowInvalid:
            raise DataError(
                "has moments in a time zone that this machine does not know; export the dates as text"
            ) from None
    texts = column.cast(pa.string())
    texts = pc.replace_substring_regex(texts, r"(\.\d*?)0+$", r"\1")
    return pc.replace_substring_regex(texts, r"\.$|( 00:00:00\.?)$", "")


def _times(column: Any) -> Any:
    texts = pc.replace_substring_regex(column.cast(pa.string()), r"(\.\d*?)0+$", r"\1")
    return pc.replace_substring_regex(texts, r"\.$", "")


def _storage(column: Any) -> Any:
    """An extension type's plain values; 16 bytes of a UUID as its text."""
    name, column = column.type.extension_name, column.storage
    if name == "arrow.uuid":
        texts = [None if v is None else str(uuid.UUID(bytes=v)) for v in column.to_pylist()]
        column = pa.array(texts, pa.string())
    return column


def _each(column: Any) -> Any:
    return pa.array([text_of(v) for v in column.to_pylist()], pa.string())


def _cast(column: Any) -> Any:
    return column.cast(pa.string())


# By type, in this order.
_TEXTS: tuple[tuple[Callable[[Any], bool], Callable[[Any], Any]], ...] = (
    (pa.types.is_string, lambda column: column),
    (pa.types.is_null, lambda column: pa.nulls(len(column), pa.string())),
    (pa.types.is_floating, lambda column: pa.array(_double_texts(column), pa.string())),
    (pa.types.is_decimal, _decimal_texts),
    (pa.types.is_timestamp, _moments),
    (pa.types.is_date64, lambda column: column.cast(pa.date32()).cast(pa.string())),
    (pa.types.is_large_string, _cast),
    (pa.types.is_string_view, _cast),
    (pa.types.is_integer, _cast),
    (pa.types.is_boolean, _cast),
    (pa.types.is_date, _cast),
    (pa.types.is_time, _times),
    (pa.types.is_binary, _each),
    (pa.types.is_large_binary, _each),
    (pa.types.is_binary_view, _each),
    (pa.types.is_fixed_size_binary, _each),
)
