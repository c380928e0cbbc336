"""A table as a person would look at it first: every column with its different values and how often each occurs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fedrisk.alignment.ids import normalise
from fedrisk.data.source import TableSource, read_texts, where
from fedrisk.data.text import MISSING, PLAIN, Notation, number_of, trim
from fedrisk.errors import DataError

Floats = npt.NDArray[np.float64]

MOST_ROWS = 500_000
"""Rows that are looked at, the first ones of the table; a draft says so where there are more."""

RARE = 20
"""A value that fewer rows have is counted and never named in a draft: the dictionary will be public."""


@dataclass(frozen=True, eq=False)
class Look:
    """One column. Its representation never shows values.

    Attributes:
        name: in the table.
        texts: (d,) the different values as texts without space around them.
        counts: (d,) rows of each.
        codes: (n,) for each row the place of its value in ``texts``, -1 where missing.
        missing: rows of each word for a missing value that the table holds.
        notation: how numbers are written.
        unreadable: why its values have no text; empty where they have.
    """

    name: str
    texts: npt.NDArray[np.object_] = field(repr=False)
    counts: npt.NDArray[np.int64] = field(repr=False)
    codes: npt.NDArray[np.int64] = field(repr=False)
    missing: dict[str, int] = field(repr=False)
    notation: Notation = PLAIN
    unreadable: str = ""

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
        if self.notation != PLAIN:
            other = [number_of(t, self.notation) for t in self.texts]
            read = np.array([np.nan if x is None else float(x) for x in other], dtype=np.float64)
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

    def written(self, notation: Notation) -> Look:
        """The same column, its numbers written in a notation."""
        return replace(self, notation=notation)


def look_at(source: TableSource, base: Path) -> tuple[Look, ...]:
    """All columns of a table; ConfigError or DataError where it cannot be read or has no rows."""
    without: dict[str, str] = {}
    frame = _first_rows(read_texts(source, base, without_text=without))
    if frame is None:
        raise DataError(f"{where(source)}: has no rows; check the path, or the query")
    if _values_for_names([str(name) for name in frame.columns]):
        # Names become public, values must not.
        raise DataError(
            f"{where(source)}: its first row holds values where the names of columns should be; write the names there, "
            "or skip_rows in [table] where they stand further below"
        )
    looks = (_look(str(name), frame[name]) for name in frame.columns)
    return tuple(replace(look, unreadable=without.get(look.name, "")) for look in looks)


def _values_for_names(names: Sequence[str]) -> bool:
    """Whether a row of names is one of values: one is a credit code, or half of them are numbers or empty."""
    _, refused = normalise(names, "uscc")
    values = sum(number_of(name) is not None or not name for name in names)
    return not refused.all() or 2 * values >= len(names)


def _first_rows(blocks: Iterator[pd.DataFrame]) -> pd.DataFrame | None:
    parts, rows = [], 0
    for block in blocks:
        parts.append(block)
        rows += len(block)
        if rows >= MOST_ROWS:
            break
    return pd.concat(parts, ignore_index=True).head(MOST_ROWS) if rows else None


def _look(name: str, values: pd.Series[Any]) -> Look:
    codes, found = pd.factorize(values)
    spelt = [trim(str(text)) for text in found]
    # Values that differ in the space around them are one; words for a missing value are none.
    places: dict[str, int] = {}
    of = np.array([-1 if t in MISSING else places.setdefault(t, len(places)) for t in spelt] + [-1])
    counts = np.bincount(codes[codes >= 0], minlength=len(spelt))
    missing = {t: int(n) for t, n in zip(spelt, counts, strict=True) if t in MISSING and t}
    codes = of[codes].astype(np.int64)
    texts = np.empty(len(places), dtype=object)
    texts[:] = list(places)
    rows = np.bincount(codes[codes >= 0], minlength=len(places)).astype(np.int64)
    return Look(name, texts, rows, codes, missing)
