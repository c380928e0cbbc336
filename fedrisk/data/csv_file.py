"""A CSV as blocks of exact text: what it is is looked at first, and a reader that fails is explained.

All columns are read as text, and no word as missing: a type guessed from the first block fails on a later one, and a
listed category "NA" is a value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv

from fedrisk.data import recognise
from fedrisk.errors import DataError

BLOCK_BYTES = 8 << 20
MOST_ROWS = 3
"""Most rows with another number of fields that are named."""


@dataclass(frozen=True)
class CsvFile:
    """A CSV whose header was read.

    Attributes:
        path: of the file.
        encoding: of its text.
        delimiter: between fields.
        skip_rows: lines above the header.
        text: the beginning of the file.
        header: names of the columns, as they are written.
        first_row: number of the first row of data, as a spreadsheet shows it.
    """

    path: Path
    encoding: str
    delimiter: str
    skip_rows: int
    text: str
    header: tuple[str, ...]
    first_row: int

    @classmethod
    def opened(cls, path: Path, encoding: str, delimiter: str, skip_rows: int) -> CsvFile:
        """Look at the beginning of a file; DataError where it is something else, or in another encoding."""
        text = recognise.sample(path, encoding)
        rows = recognise.records(text, delimiter, skip_rows + 2)
        found = [(before, row) for before, row in rows if before >= skip_rows]
        if not found:
            raise DataError(f"has no row of names below skip_rows = {skip_rows}; correct skip_rows")
        before, names = found[0]
        # The row below, or where there is none, the row that a spreadsheet would have next.
        below = found[1][0] if len(found) > 1 else before + 1
        return cls(path, encoding, delimiter, skip_rows, text, tuple(names), below + 1)

    def explain_header(self, wanted: Sequence[str]) -> None:
        """DataError where another delimiter or a later row gives the wanted names."""
        recognise.explain_header(self.text, self.delimiter, self.skip_rows, self.header, wanted)

    def blocks(self, names: Sequence[str]) -> Iterator[Any]:
        """Arrow record batches of texts of the named columns; DataError says in which rows the file breaks."""
        found = recognise.unclosed_quote(self.path, self.encoding, self.delimiter)
        if found is not None:
            raise DataError(
                f"has a quote in row {found} that is never closed, so that all rows below it are one value; close "
                "it, or double it where it is part of the value"
            )
        try:
            yield from self._reader(names)
            return
        except pa.ArrowInvalid as error:
            # A header and no line end below it.
            if "Empty CSV file or block" in str(error) and "\n" not in self.text.strip():
                return
            reason = self._broken(names, str(error))
        except UnicodeError:
            reason = self._broken(names, "")
        raise DataError(reason)

    def _reader(self, names: Sequence[str], handler: Any = None) -> Any:
        encoding = "utf8" if recognise.is_utf8(self.encoding) else self.encoding
        options = pa.csv.ReadOptions(
            encoding=encoding, block_size=BLOCK_BYTES, skip_rows=self.skip_rows, use_threads=handler is None
        )
        parse = pa.csv.ParseOptions(
            delimiter=self.delimiter, newlines_in_values=True, invalid_row_handler=handler
        )
        convert = pa.csv.ConvertOptions(
            include_columns=list(names),
            column_types=dict.fromkeys(names, pa.string()),
            null_values=[],
            strings_can_be_null=False,
        )
        return pa.csv.open_csv(self.path, read_options=options, parse_options=parse, convert_options=convert)

    def _broken(self, names: Sequence[str], said: str) -> str:
        """Why the reader failed; its own words quote the row."""
        reason = recognise.bad_bytes(self.path, self.encoding)
        if reason is not None:
            return reason
        ragged: list[Any] = []

        def handler(row: Any) -> str:
            ragged.append((row.number, row.actual_columns, row.expected_columns))
            return "skip"

        whole = 0
        try:
            for batch in self._reader(names[:1], handler):
                whole += len(batch)
        except (pa.ArrowException, UnicodeError):
            pass
        if not ragged:
            kind = re.search(r"straddling|block", said)
            return f"cannot be read ({'a value is too long' if kind else 'malformed'}); check the file, its encoding"
        shown = ", ".join(
            f"row {n} has {got} fields, the header {width}" for n, got, width in ragged[:MOST_ROWS]
        )
        if not whole and {got - width for _, got, width in ragged} == {1}:
            return (
                f"cannot be read: every row has one field more than the header ({shown}); add its name to the header, "
                f'or where "{self.delimiter}" stands in a number or at the end of rows, export with another delimiter'
            )
        such = f"{shown} ({len(ragged):,} such rows)"
        if all(got == 1 for _, got, _ in ragged) and len(ragged) <= MOST_ROWS:
            return f"cannot be read: {such}; take lines out that are no rows, such as a total or a note"
        return (
            f"cannot be read: {such}; put values that hold the delimiter "
            f'"{self.delimiter}" in quotes, or write the delimiter of the file in [table]'
        )
