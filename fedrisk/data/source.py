"""An institution's table: where it is, and how it is read from CSV, Parquet or a database.

It is read in blocks, and only the columns that are needed. No text made here holds a value or an id. The
readers' own messages quote the offending row, so they are dropped, not chained.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
import sqlalchemy
from pydantic import BaseModel, ConfigDict, Field, model_validator

from fedrisk.data.dictionary import ROW_NUMBER, Dictionary, canonical
from fedrisk.errors import ConfigError, DataError

Floats = npt.NDArray[np.float64]

BLOCK_ROWS = 100_000
MOST_SHOWN = 5
"""Most row numbers and most values that a check shows to the table's owner."""

LONGEST_SHOWN = 40
"""Longest value that is shown whole."""

_NULLS = ["", "NA", "N/A", "NaN", "nan", "null", "NULL"]
_SUFFIXES = (".csv", ".csv.gz", ".parquet")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Part(BaseModel):
    """One of several equal parts of a table's rows, cut at random to simulate several institutions.

    The same ``seed`` gives the same cut.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int = Field(ge=1)
    of: int = Field(ge=2)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _rules(self) -> Part:
        if self.number > self.of:
            raise ValueError(f"part: number {self.number} of {self.of}; count from 1 to of")
        return self

    def rows(self, n: int) -> npt.NDArray[np.int64]:
        """Positions of the part's rows among n rows, in rising order.

        >>> sorted(np.concatenate([Part(number=k, of=3).rows(7) for k in (1, 2, 3)]).tolist())
        [0, 1, 2, 3, 4, 5, 6]
        """
        return np.sort(np.random.default_rng(self.seed).permutation(n)[self.number - 1 :: self.of])


class TableSource(BaseModel):
    """Where the table is: a .csv, .csv.gz or .parquet file, or a SQLAlchemy URL with a ``query``.

    ``${NAME}`` is replaced by the environment variable when the table is read, so that a password in a URL is
    never part of a configuration. Relative paths start at the institution file's folder. ``only`` selects the
    rows whose column equals the value (or one of the values), which cuts one file into several institutions;
    ``part`` cuts the selected rows at random. ``encoding`` is for CSV, for example "gb18030".
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = Field(min_length=1)
    query: str | None = None
    only: dict[str, str | list[str]] = Field(default_factory=dict)
    part: Part | None = None
    encoding: str = "utf-8"

    @model_validator(mode="after")
    def _rules(self) -> TableSource:
        if self.is_database and not self.query:
            raise ValueError('source is a database URL, which needs a query; add query = "SELECT ..."')
        if not self.is_database and self.query:
            raise ValueError("query is for database URLs only; remove it, or give a URL as source")
        if not self.is_database and not self.source.lower().endswith(_SUFFIXES):
            raise ValueError(f"source must end in one of {', '.join(_SUFFIXES)}, or be a database URL")
        return self

    @property
    def is_database(self) -> bool:
        """Whether ``source`` is a database URL."""
        return "://" in self.source


@dataclass(frozen=True)
class Check:
    """One rule that rows of the table break: how many rows, which share, how severe it is, and the remedy.

    ``at`` and ``values`` are for the table's owner, on the owner's own screen: neither ``str`` nor ``repr`` shows
    them, so no error, log or message does.

    Attributes:
        at: numbers of the first such rows, as a spreadsheet shows them (a CSV's first row of data is row 2, a
            Parquet file's or a query's is row 1).
        values: a few of the distinct values that break the rule; never of an id or a label.
    """

    column: str
    rule: str
    rows: int
    share: float
    severity: Literal["error", "warning", "note"]
    remedy: str
    at: tuple[int, ...] = field(default=(), repr=False, compare=False)
    values: tuple[str, ...] = field(default=(), repr=False, compare=False)

    def __str__(self) -> str:
        rows = f" ({self.rows:,} rows, {self.share:.2%})" if self.rows else ""
        return f"{self.severity}: {self.column}: {self.rule}{rows}; {self.remedy}"

    def for_owner(self) -> str:
        """Which rows and values, in one line for the table's owner; "" where there is nothing to show.

        Only for the screen of the owner: never log it, raise it or send it.

        >>> Check("age", "not a number", 9, 0.1, "error", "", at=(2, 7), values=("x", "?")).for_owner()
        'rows 2, 7 and others; values "x", "?"'
        """
        parts = []
        if self.at:
            more = " and others" if self.rows > len(self.at) else ""
            parts.append(f"row{'s' * (self.rows > 1)} {', '.join(map(str, self.at))}{more}")
        if self.values:
            parts.append(f"value{'s' * (len(self.values) > 1)} {', '.join(_quoted(v) for v in self.values)}")
        return "; ".join(parts)


class Checks(list[Check]):
    """The checks of a table with ``total`` rows, whose first one a spreadsheet shows as row ``first_row``."""

    total: int = 0
    first_row: int = 1

    def note(
        self,
        column: str,
        rule: str,
        rows: int,
        remedy: str,
        severity: Literal["error", "warning", "note"] = "error",
        at: Iterable[int] = (),
        values: Iterable[object] = (),
    ) -> None:
        """Add a check that ``rows`` rows break; nothing for zero rows.

        Args:
            column: of the table, as the dictionary calls it.
            rule: that is broken.
            rows: how many break it.
            remedy: what helps.
            severity: "error" refuses the table.
            at: row numbers from 0, of which the first few are kept as a spreadsheet shows them.
            values: values that break the rule, of which the first few distinct ones are kept.
        """
        if not rows:
            return
        places = tuple(int(i) + self.first_row for i in islice(at, MOST_SHOWN))
        shown = tuple(islice(dict.fromkeys(str(v) for v in values), MOST_SHOWN))
        share = rows / max(self.total, rows)
        self.append(Check(column, rule, rows, share, severity, remedy, places, shown))

    def always(self, column: str, rule: str, remedy: str) -> None:
        """Add an error that concerns the whole table or column, not single rows."""
        self.append(Check(column, rule, 0, 0.0, "error", remedy))


def _quoted(value: str) -> str:
    """A value on one short line, whatever characters it holds."""
    plain = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in value)
    return f'"{plain[:LONGEST_SHOWN]}..."' if len(plain) > LONGEST_SHOWN else f'"{plain}"'


def expand(text: str) -> str:
    """``text`` with every ${NAME} replaced; ConfigError names a variable that is not set."""

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1])
        if found is None:
            raise ConfigError(
                f"[table] source: environment variable {match[1]} is not set; set it (for example "
                f"export {match[1]}=/path/to/data) or write the path itself"
            )
        return found

    return _VARIABLE.sub(value, text)


def by_value(values: pd.Series[Any], meaning: Any) -> Floats:
    """``meaning`` of every value, computed once for each distinct value; NaN where missing."""
    codes, distinct = pd.factorize(values)
    table = np.array([*(meaning(v) for v in distinct), np.nan], dtype=np.float64)
    return np.asarray(table[codes])


def where(source: TableSource) -> str:
    """The table's name in error texts: a file's name, but never a database URL, which may hold a password."""
    return "table from the database" if source.is_database else f"table {Path(source.source).name}"


def read_source(source: TableSource, d: Dictionary, base: Path, checks: Checks) -> pd.DataFrame | None:
    """The needed columns as they are in the table, indexed by row number; None if a column is missing.

    The rows are those that ``only`` and ``part`` select. The readers' own error texts are dropped: they quote
    rows, queries and passwords.
    """
    try:
        return _selected(source, d, base, checks)
    except sqlalchemy.exc.SQLAlchemyError as error:
        reason = type(error).__name__
    except pa.ArrowException as error:
        found = re.search(r"Row #(\d+): Expected (\d+) columns, got (\d+)", str(error))
        reason = (
            f"row {found[1]} has {found[3]} fields, the header {found[2]}" if found else type(error).__name__
        )
    except (UnicodeError, LookupError) as error:
        reason = f"{type(error).__name__}, encoding {source.encoding}"
    # Raised outside the handlers, so that the reader's error does not become the context of this one.
    raise DataError(f"{where(source)}: cannot be read ({reason}); check the file, its encoding, or the query")


def _selected(source: TableSource, d: Dictionary, base: Path, checks: Checks) -> pd.DataFrame | None:
    needed = _needed(d)
    wanted = list(dict.fromkeys([*needed, *source.only]))
    with _open(source, base) as (header, blocks):
        _check_header(header, wanted, checks)
        if any(check.severity == "error" for check in checks):
            return None
        parts, start = [], 0
        for block in blocks(wanted):
            block.index = pd.RangeIndex(start, start + len(block))
            start += len(block)
            parts.append(_only(block, source)[needed])
    table = pd.concat(parts) if parts else pd.DataFrame({n: [] for n in needed})
    return table if source.part is None else table.iloc[source.part.rows(len(table))]


def _needed(d: Dictionary) -> list[str]:
    """Names, in the table, of the columns that the dictionary describes: id, columns, label and weight."""
    needed = [] if d.id == ROW_NUMBER else [d.id]
    needed += [c.table_name for c in d.columns]
    if d.label is not None:
        needed += [d.label.column] + ([d.label.weight] if d.label.weight else [])
    return list(dict.fromkeys(needed))


def _check_header(header: list[str], wanted: list[str], checks: Checks) -> None:
    """Errors for columns that are missing or ambiguous; where there are none, a note on columns not read."""
    for name in (n for n in wanted if n not in header):
        checks.always(
            name, "column is not in the table", "correct its name, or give the table's name as source"
        )
    for name in (n for n in wanted if header.count(n) > 1):
        checks.always(name, "several columns of the table have this name", "rename all but one")
    extra = len(set(header) - set(wanted))
    if extra and not checks:
        remedy = "they are not read; describe those that a study may use"
        checks.append(Check("table", f"{extra} columns are not in the dictionary", 0, 0.0, "note", remedy))


def _only(block: pd.DataFrame, source: TableSource) -> pd.DataFrame:
    """The rows of a block whose columns have the values that ``only`` names."""
    for name, given in source.only.items():
        values = {canonical(v) for v in ([given] if isinstance(given, str) else given)}
        chosen = by_value(block[name], lambda v, values=values: float(canonical(v) in values)) == 1.0
        block = block[chosen]
    return block


Blocks = Callable[[list[str]], Iterator[pd.DataFrame]]


@contextmanager
def _open(source: TableSource, base: Path) -> Iterator[tuple[list[str], Blocks]]:
    """The names of the columns, and a function that yields blocks of the wanted ones."""
    place = expand(source.source)
    if source.is_database:
        with sqlalchemy.create_engine(place).connect() as connection:
            streamed = connection.execution_options(stream_results=True)
            result = streamed.execute(sqlalchemy.text(expand(source.query or "")))
            header = list(result.keys())
            yield header, lambda names: _sql_blocks(result, header, names)
        return
    path = base / Path(place).expanduser()
    if not path.is_file():
        raise ConfigError(
            f"[table] source: no file {path}; correct the path (relative ones start at the institution file)"
        )
    if path.suffix.lower() == ".parquet":
        with pa.parquet.ParquetFile(path) as file:
            names = list(file.schema_arrow.names)
            yield names, lambda wanted: _arrow_blocks(file.iter_batches(BLOCK_ROWS, columns=wanted))
        return
    with _csv(path, source.encoding, None) as reader:
        header = list(reader.schema.names)
    yield header, lambda wanted: _arrow_blocks(_csv(path, source.encoding, wanted))


def _csv(path: Path, encoding: str, columns: list[str] | None) -> Any:
    # All columns as text: a type guessed from the first block fails on a later one, with an error that quotes
    # it.
    texts = None if columns is None else dict.fromkeys(columns, pa.string())
    return pa.csv.open_csv(
        path,
        read_options=pa.csv.ReadOptions(encoding=encoding, block_size=8 << 20),
        parse_options=pa.csv.ParseOptions(newlines_in_values=True),
        convert_options=pa.csv.ConvertOptions(
            include_columns=columns, column_types=texts, null_values=_NULLS, strings_can_be_null=True
        ),
    )


def _arrow_blocks(batches: Iterable[Any]) -> Iterator[pd.DataFrame]:
    for batch in batches:
        columns = {n: _plain(c) for n, c in zip(batch.schema.names, batch.columns, strict=True)}
        yield pa.table(columns).to_pandas()


def _plain(column: Any) -> Any:
    """A column with blank text as missing, dictionaries unpacked, and integers with gaps as (exact) text."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.dictionary_decode(), kind.value_type
    if pa.types.is_integer(kind) and column.null_count:
        # As floats they could not hold long ids.
        return column.cast(pa.string())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        blank = pc.equal(pc.utf8_trim_whitespace(column), "")
        return pc.if_else(blank, pa.scalar(None, kind), column)
    return column


def _sql_blocks(result: Any, header: list[str], names: list[str]) -> Iterator[pd.DataFrame]:
    for rows in result.partitions(BLOCK_ROWS):
        block = pd.DataFrame.from_records(rows, columns=header)[names]
        yield block.replace(r"^\s*$", None, regex=True)
