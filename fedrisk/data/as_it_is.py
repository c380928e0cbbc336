"""Rows of a table as they are now: typed as in a study, and never refused. For models that serve.

A study refuses a table that breaks its dictionary. Who looks single rows up gets them by rule: what cannot be read is
missing, what lies outside the bounds counts as the bound, a column that is gone is missing in every row. Each value
that a rule changed is marked, so that it can be counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from fedrisk.data.column import Column
from fedrisk.data.column_checks import UNREADABLE, taken_column
from fedrisk.data.columns import whole_decimals
from fedrisk.data.dictionary import Dictionary
from fedrisk.data.dictionary_rules import ROW_NUMBER
from fedrisk.data.source import (
    READING,
    Opened,
    TableSource,
    by_value,
    cells_of,
    filters_of,
    number_columns,
    open_table,
    said_of,
    text_columns,
)
from fedrisk.data.text import trim
from fedrisk.errors import DataError

Flaws = npt.NDArray[np.uint8]
Days = npt.NDArray[np.datetime64]

NO_DAY = np.datetime64("NaT", "D")


@dataclass(frozen=True)
class Taken:
    """n rows, typed.

    Attributes:
        rows: their numbers in the table, (n,).
        ids: as exact text or numbers, as `table.id_texts` takes them; None where rows are known by their number.
        values: (n,) by column of the dictionary, as in a `Table`; columns that are gone are absent.
        flaws: (n,) by column, what is wrong with each value (column_checks); absent where nothing can be.
        day: (n,) of each row, NaT where it cannot be read; None where rows have none.
        gone: columns of the dictionary, and that of the day, which the table does not have.
    """

    rows: npt.NDArray[np.int64] = field(repr=False)
    ids: pd.Series[Any] | None = field(repr=False)
    values: dict[str, Any] = field(repr=False)
    flaws: dict[str, Flaws] = field(repr=False)
    day: Days | None = field(repr=False)
    gone: tuple[str, ...] = ()


class Taking:
    """How rows of one table are taken.

    Args:
        source: the table.
        dictionary: what its columns mean. Those without values that a model could use are left out: dates, and
            categories without a list.
    """

    def __init__(self, source: TableSource, dictionary: Dictionary) -> None:
        self.source, self.dictionary = source, dictionary.of_table
        self.columns = tuple(
            c
            for c in self.dictionary.columns
            if c.kind in ("number", "flag") or (c.kind == "category" and c.categories is not None)
        )
        self.numbers = number_columns(self.dictionary)
        self._numeric = self.numbers - text_columns(self.dictionary) - {*source.only, source.updated}
        self._filters = filters_of(source, self.dictionary)
        self._updated = self._day_column()

    def _day_column(self) -> Column | None:
        name = self.source.updated
        if name is None:
            return None
        stated = [c for c in self.dictionary.columns if c.kind == "date" and c.table_name == name]
        return (
            stated[0] if stated else Column(name=name, kind="date", meaning="day of the row", feature=False)
        )

    @property
    def key(self) -> str | None:
        """Name of the column with ids, None where rows are known by their number."""
        return None if self.dictionary.id == ROW_NUMBER else self.dictionary.id

    @property
    def names(self) -> tuple[str, ...]:
        """Names, in the table, of all columns that are read: the id, those of ``only``, values, the day."""
        found = [self.key, *self.source.only, *(c.table_name for c in self.columns), self.source.updated]
        return tuple(dict.fromkeys(name for name in found if name is not None))

    def there(self, header: Sequence[str]) -> list[str]:
        """Those of ``names`` that a header has once; DataError where there is no column of ids, or of ``only``."""
        written = [trim(name) for name in header]
        there = [name for name in self.names if written.count(name) == 1]
        for name in filter(None, (self.key, *self.source.only)):
            if name not in there:
                raise DataError(
                    f'column "{name}" is not in the table, or is there twice; correct the table, or its name in '
                    "[dictionary] or [table]"
                )
        return there

    def blocks(self, base: Path) -> Iterator[Taken]:
        """The whole table, block by block.

        Raises:
            DataError: it cannot be read; ConfigError where it is not there.
        """
        try:
            with open_table(
                self.source, base, self.names, dict.fromkeys(self.numbers, self.source.decimal)
            ) as o:
                yield from self._all(o)
            return
        except READING as error:
            said = said_of(error, self.source)
        raise said

    def _all(self, opened: Opened) -> Iterator[Taken]:
        start = 0
        for block in opened.blocks(self.there(opened.header)):
            size = len(next(iter(block.values()), ()))
            yield self.take(block, np.arange(start, start + size))
            start += size

    def take(self, block: Mapping[str, Any], rows: npt.NDArray[np.int64]) -> Taken:
        """Rows that were read, as Arrow arrays by name in the table, without those that ``only`` leaves out."""
        textless: set[str] = set()
        cells = {name: self._cells(name, column, textless) for name, column in block.items()}
        kept = np.ones(len(rows), dtype=bool)
        for name, codes in self._filters.items():
            kept &= by_value(cells[name], lambda v, codes=codes: codes.place(v) is not None) == 1.0
        if not kept.all():
            cells = {name: found[kept].reset_index(drop=True) for name, found in cells.items()}
            rows = rows[kept]
        values, flaws = {}, {}
        for c in self.columns:
            if c.table_name in cells:
                values[c.name], found = self._typed(cells[c.table_name], c)
                if c.table_name in textless:
                    there = block[c.table_name].is_valid().to_numpy(zero_copy_only=False)
                    found[there[kept]] = UNREADABLE
                if found.any():
                    flaws[c.name] = found
        ids = None if self.key is None else cells[self.key]
        updated = self.source.updated
        gone = [c.name for c in self.columns if c.table_name not in cells]
        gone += [updated] if updated is not None and updated not in cells else []
        return Taken(rows, ids, values, flaws, self._days(cells, len(rows)), tuple(gone))

    def _typed(self, cells: pd.Series[Any], c: Column) -> tuple[Any, Flaws]:
        """One column's values in their type, and what is wrong with each."""
        return taken_column(cells, c, self.source.notation)

    def _cells(self, name: str, column: Any, textless: set[str]) -> pd.Series[Any]:
        if name == self.key:
            column = whole_decimals(column)
        mark = self.source.decimal if name in self.numbers else "."
        try:
            return cells_of(name, column, name in self._numeric, mark)
        except DataError:
            if name == self.key or name in self.source.only:
                raise
        # Lists, or bytes that are no text.
        textless.add(name)
        return pd.Series(pa.nulls(len(column), pa.string()).to_pandas(), dtype="str")

    def _days(self, cells: Mapping[str, pd.Series[Any]], n: int) -> Days | None:
        c = self._updated
        if c is None:
            return None
        if c.table_name not in cells:
            return np.full(n, NO_DAY)
        days, _ = taken_column(cells[c.table_name], c, self.source.notation)
        return np.asarray(days).astype("datetime64[D]")
