"""Where an institution's table lies, and reading it: CSV, Parquet or a database, in blocks, only what is needed.

No text made here holds a value or an id; the readers' own messages quote the offending row, so they are dropped,
not chained.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
_NULLS = ["", "NA", "N/A", "NaN", "nan", "null", "NULL"]
_SUFFIXES = (".csv", ".csv.gz", ".parquet")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Part(BaseModel):
    """One of several equal parts into which a table's rows are cut at random, the same cut for the same ``seed``:
    simulates several institutions with one public file."""

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
        """Places of the part among n rows, rising.

        >>> sorted(np.concatenate([Part(number=k, of=3).rows(7) for k in (1, 2, 3)]).tolist())
        [0, 1, 2, 3, 4, 5, 6]
        """
        return np.sort(np.random.default_rng(self.seed).permutation(n)[self.number - 1 :: self.of])


class TableSource(BaseModel):
    """Where the table is: a .csv, .csv.gz or .parquet file, or a SQLAlchemy URL with a ``query``.

    ``${NAME}`` is replaced by the environment variable at reading time, so that a password in a URL is
    never part of a configuration. Relative paths start at the institution file's folder. ``only`` keeps
    the rows whose column equals the value (or one of the values), which cuts one file into several
    institutions; ``part`` cuts what is left at random. ``encoding`` is for CSV, for example "gb18030".
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
    """One rule that rows of the table break: how many, which share, how bad, and what to do about it."""

    column: str
    rule: str
    rows: int
    share: float
    severity: Literal["error", "warning", "note"]
    remedy: str

    def __str__(self) -> str:
        rows = f" ({self.rows:,} rows, {self.share:.2%})" if self.rows else ""
        return f"{self.severity}: {self.column}: {self.rule}{rows}; {self.remedy}"


class Checks(list[Check]):
    """Collects checks of a table with ``total`` rows; zero rows broken means no check."""

    total: int = 0

    def note(
        self,
        column: str,
        rule: str,
        rows: int,
        remedy: str,
        severity: Literal["error", "warning", "note"] = "error",
    ) -> None:
        if rows:
            self.append(Check(column, rule, rows, rows / max(self.total, rows), severity, remedy))

    def always(self, column: str, rule: str, remedy: str) -> None:
        self.append(Check(column, rule, 0, 0.0, "error", remedy))


def expand(text: str) -> str:
    """``text`` with every ${NAME} replaced; ConfigError that names a variable that is not set."""

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
    """``meaning`` of every value, computed once for each distinct one; NaN where missing."""
    codes, distinct = pd.factorize(values)
    table = np.array([*(meaning(v) for v in distinct), np.nan], dtype=np.float64)
    return np.asarray(table[codes])


def where(source: TableSource) -> str:
    # A database URL may hold a password; the name of a file says enough to its own institution.
    return "table from the database" if source.is_database else f"table {Path(source.source).name}"


def read_source(source: TableSource, d: Dictionary, base: Path, checks: Checks) -> pd.DataFrame | None:
    """As `_wanted`, with the readers' own texts dropped: they quote rows, queries and passwords."""
    try:
        return _wanted(source, d, base, checks)
    except sqlalchemy.exc.SQLAlchemyError as error:
        reason = type(error).__name__
    except pa.ArrowException as error:
        found = re.search(r"Row #(\d+): Expected (\d+) columns, got (\d+)", str(error))
        reason = (
            f"row {found[1]} has {found[3]} fields, the header {found[2]}" if found else type(error).__name__
        )
    except (UnicodeError, LookupError) as error:
        reason = f"{type(error).__name__}, encoding {source.encoding}"
    # Outside the handlers, so that the reader's error does not follow as the context of this one.
    raise DataError(f"{where(source)}: cannot be read ({reason}); check the file, its encoding, or the query")


def _wanted(source: TableSource, d: Dictionary, base: Path, checks: Checks) -> pd.DataFrame | None:
    """The needed columns as read, indexed by row number, cut by ``only`` and ``part``; None if a column is missing."""
    needed = [] if d.id == ROW_NUMBER else [d.id]
    needed += [c.table_name for c in d.columns]
    if d.label is not None:
        needed += [d.label.column] + ([d.label.weight] if d.label.weight else [])
    needed = list(dict.fromkeys(needed))
    wanted = list(dict.fromkeys([*needed, *source.only]))
    kept = {k: {canonical(v) for v in ([v] if isinstance(v, str) else v)} for k, v in source.only.items()}

    with _open(source, base) as (header, blocks):
        lacking = [n for n in wanted if n not in header]
        for name in lacking:
            checks.always(
                name, "column is not in the table", "correct its name, or give the table's name as source"
            )
        for name in (n for n in wanted if header.count(n) > 1):
            checks.always(name, "several columns of the table have this name", "rename all but one")
        if checks:
            return None
        if extra := len(set(header) - set(wanted)):
            remedy = "they are not read; describe those that a study may use"
            checks.append(
                Check("table", f"{extra} columns are not in the dictionary", 0, 0.0, "note", remedy)
            )
        parts, start = [], 0
        for block in blocks(wanted):
            block.index = pd.RangeIndex(start, start + len(block))
            start += len(block)
            for name, values in kept.items():
                block = block[
                    by_value(block[name], lambda v, values=values: float(canonical(v) in values)) == 1.0
                ]
            parts.append(block[needed])
    whole = pd.concat(parts) if parts else pd.DataFrame({n: [] for n in needed})
    return whole if source.part is None else whole.iloc[source.part.rows(len(whole))]


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
    # All as text: a type guessed from the first block fails on a later one, quoting the value.
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
    """Blank text is missing; dictionaries are unpacked; whole numbers with gaps stay exact, as text."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.dictionary_decode(), kind.value_type
    if pa.types.is_integer(kind) and column.null_count:  # as floats they could not hold long ids
        return column.cast(pa.string())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        blank = pc.equal(pc.utf8_trim_whitespace(column), "")
        return pc.if_else(blank, pa.scalar(None, kind), column)
    return column


def _sql_blocks(result: Any, header: list[str], names: list[str]) -> Iterator[pd.DataFrame]:
    for rows in result.partitions(BLOCK_ROWS):
        block = pd.DataFrame.from_records(rows, columns=header)[names]
        yield block.replace(r"^\s*$", None, regex=True)
