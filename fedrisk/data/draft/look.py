"""A table as a person would look at it first: every column with its different values and how often each occurs."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from fedrisk.data.source import TableSource, _open, where
from fedrisk.errors import DataError

Floats = npt.NDArray[np.float64]
Stored = Literal["text", "number", "date", "flag"]

MOST_ROWS = 500_000
"""Rows that are looked at, the first ones of the table; a draft says so where there are more."""

RARE = 20
"""A value that fewer rows have is counted and never named in a draft: the dictionary will be public."""


@dataclass(frozen=True, eq=False)
class Look:
    """One column. Its representation never shows values.

    Attributes:
        name: in the table.
        stored: how the table holds it; CSV holds texts.
        texts: (d,) the different values as texts without space around them.
        counts: (d,) rows of each.
        codes: (n,) for each row the place of its value in ``texts``, -1 where missing.
    """

    name: str
    stored: Stored
    texts: npt.NDArray[np.object_] = field(repr=False)
    counts: npt.NDArray[np.int64] = field(repr=False)
    codes: npt.NDArray[np.int64] = field(repr=False)

    @property
    def rows(self) -> int:
        """Rows of the table."""
        return len(self.codes)

    @property
    def present(self) -> int:
        """Rows that have a value."""
        return int(self.counts.sum())

    @property
    def distinct(self) -> int:
        """How many different values there are."""
        return len(self.texts)

    @cached_property
    def numbers(self) -> Floats:
        """(d,) the values as numbers, NaN where one is none."""
        read = pd.to_numeric(pd.Series(self.texts, dtype=object), errors="coerce").to_numpy(dtype=np.float64)
        return np.where(np.isfinite(read), read, np.nan)

    @cached_property
    def numeric(self) -> float:
        """Share of the rows with a value whose value is a number."""
        return float(self.counts[np.isfinite(self.numbers)].sum() / max(self.present, 1))

    @cached_property
    def zero_led(self) -> bool:
        """Whether some value has leading zeros, as codes have and numbers have not."""
        return any(len(t) > 1 and t.isdigit() and t[0] == "0" for t in self.texts)

    def share(self, chosen: npt.NDArray[np.bool_]) -> float:
        """Share, of the rows with a value, of those with one of the chosen values."""
        return float(self.counts[chosen].sum() / max(self.present, 1))


def look_at(source: TableSource, base: Path) -> tuple[Look, ...]:
    """All columns of a table; ConfigError or DataError where it cannot be read, has no rows or two equal names."""
    frame = read_all(source, base, MOST_ROWS)
    if not len(frame):
        raise DataError(f"{where(source)}: has no rows; check the path, or the query")
    if twice := sorted({str(n) for n in frame.columns[frame.columns.duplicated()]}):
        raise DataError(f"{where(source)}: several columns are called {', '.join(twice)}; rename all but one")
    return tuple(_look(str(name), frame[name]) for name in frame.columns)


def read_all(source: TableSource, base: Path, most: int) -> pd.DataFrame:
    """Every column of the first rows of a table, as the table holds them."""
    with _open(source, base) as (header, blocks):
        parts, rows = [], 0
        for block in blocks(header):
            parts.append(block)
            rows += len(block)
            if rows >= most:
                break
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=header)
    return table.head(most)


def _look(name: str, values: pd.Series[Any]) -> Look:
    texts, stored = _texts(values)
    codes, distinct = pd.factorize(texts)
    return Look(
        name=name,
        stored=stored,
        texts=np.asarray(distinct, dtype=object),
        counts=np.bincount(codes[codes >= 0], minlength=len(distinct)).astype(np.int64),
        codes=np.asarray(codes, dtype=np.int64),
    )


def _texts(values: pd.Series[Any]) -> tuple[pd.Series[Any], Stored]:
    """Values as texts, None where missing, and how they were stored."""
    if pd.api.types.is_datetime64_any_dtype(values):
        return values.astype("string").astype(object).where(values.notna(), None), "date"
    if pd.api.types.is_bool_dtype(values):
        return values.map({True: "1", False: "0"}).astype(object), "flag"
    stored: Stored = "number" if pd.api.types.is_numeric_dtype(values) else "text"
    if pd.api.types.is_float_dtype(values):
        whole = values.dropna()
        if bool(np.isfinite(whole).all() and (whole == whole.round()).all() and (whole.abs() < 2**53).all()):
            values = values.astype("Int64")
    texts = values.astype(object).where(values.notna(), None)
    texts = texts.map(lambda v: None if v is None or v is pd.NA else str(v).strip())
    return texts.where(texts != "", None), stored
