"""An institution's table: where it is, and how it is read from CSV, Parquet or a database.

It is read in blocks, and only the columns that are needed. Values arrive as exact text, or as doubles where a column is
used as a number alone and doubles lose nothing of it, so that the same values give the same table from every source. No
text made here holds a value or an id. The readers' own messages quote the offending row, so they are dropped, not
chained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet
import sqlalchemy
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from fedrisk.data.checks import Check, Checks
from fedrisk.data.columns import exact_texts, float_texts, holds_text, plain_numbers, whole_decimals
from fedrisk.data.csv_file import CsvFile
from fedrisk.data.database import away, failure, opened_query, query_blocks
from fedrisk.data.dictionary import Dictionary
from fedrisk.data.dictionary_rules import ROW_NUMBER
from fedrisk.data.place import database_url, expand, refuse_no_file
from fedrisk.data.recognise import refuse_other_than_parquet
from fedrisk.data.text import Codes, Notation, Value, marked_text, trim
from fedrisk.errors import AwayError, DataError
from fedrisk.toml_file import near_name

Floats = npt.NDArray[np.float64]

BLOCK_ROWS = 100_000
_SUFFIXES = (".csv", ".csv.gz", ".parquet")


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


class TableSource(Notation):
    r"""Where the table is: a .csv, .csv.gz or .parquet file, or a SQLAlchemy URL with a ``query``.

    ``${NAME}`` is replaced by the environment variable when the table is read, so that a password in a URL is
    never part of a configuration. Relative paths start at the institution file's folder.

    Attributes:
        source: path of the file, or URL of the database.
        query: for a database: the SQL that gives the table.
        password_file: for a database: file that holds the password, for its owner alone; relative paths start at the
            institution file's folder.
        only: selects the rows whose column equals the value (or one of the values), which cuts one file into several
            institutions. A text compares as exact text, a number (without quotes) as a number.
        part: cuts the selected rows at random.
        encoding: of a CSV's text, for example "gb18030"; a mark at the front of UTF-8 is read through.
        delimiter: between the fields of a CSV: "," unless it says ";", "\t" or another character.
        skip_rows: lines of a CSV above the names of its columns, such as a title.
        decimal: mark before the fraction of numbers that are written as text, "." or ",".
        thousands: mark between groups of digits: ",", ".", "'" or " "; none by default.
        percent: what a percent sign means: "share" (or true) reads 12.5% as 0.125, "points" as 12.5; by default a
            number with a percent sign is refused.
        currency: sign before or after amounts, for example "¥"; none by default.
        negative: how numbers below zero are written beside -123: "trailing" for 123-, "parentheses" for (123).
        updated: of a model that serves: the column with the day of each row, by its name in the table.
        lookup: of a model that serves, for a database whose ids are written in another way than here: the SQL that
            gives the rows of the ids ``:ids``.
    """

    source: str = Field(min_length=1)
    query: str | None = None
    password_file: str | None = None
    only: dict[str, Value | list[Value]] = Field(default_factory=dict)
    part: Part | None = None
    encoding: str = "utf-8"
    delimiter: str = ","
    skip_rows: int = Field(default=0, ge=0, le=1000)
    updated: str | None = Field(default=None, min_length=1)
    lookup: str | None = None

    @field_validator("delimiter")
    @classmethod
    def _one_character(cls, given: str) -> str:
        given = "\t" if given in ("\\t", "tab") else given
        if len(given) != 1 or not given.isascii() or given in '"\r\n' or given.isalnum():
            raise ValueError(
                'delimiter is one character such as ",", ";", "|" or "\\t" (a tab); replace longer ones in the file'
            )
        return given

    @model_validator(mode="after")
    def _place(self) -> TableSource:
        if self.is_database and not self.query:
            raise ValueError('source is a database URL, which needs a query; add query = "SELECT ..."')
        if not self.is_database and self.query:
            raise ValueError("query is for database URLs only; remove it, or give a URL as source")
        if not self.is_database and self.password_file:
            raise ValueError("password_file is for database URLs only; remove it")
        if not self.is_database and not self.source.lower().endswith(_SUFFIXES):
            raise ValueError(
                f"source must end in one of {', '.join(_SUFFIXES)}, or be a database URL{_suffix_remedy(self.source)}"
            )
        if not self.is_csv and (given := {"delimiter", "skip_rows"} & self.model_fields_set):
            raise ValueError(f"{', '.join(sorted(given))} is for CSV only; remove it")
        return self

    @model_validator(mode="after")
    def _looked_up(self) -> TableSource:
        if self.lookup is not None and (not self.is_database or ":ids" not in self.lookup):
            raise ValueError(
                'lookup is for database URLs, and names the ids; write "SELECT ... WHERE id IN :ids"'
            )
        return self

    @property
    def is_database(self) -> bool:
        """Whether ``source`` is a database URL."""
        return "://" in self.source

    @property
    def is_csv(self) -> bool:
        """Whether ``source`` is a CSV, compressed or not."""
        return not self.is_database and not self.source.lower().endswith(".parquet")

    @property
    def notation(self) -> Notation:
        """How numbers are written in its texts."""
        return Notation.model_validate({key: getattr(self, key) for key in Notation.model_fields})


def _suffix_remedy(source: str) -> str:
    suffix = Path(source).suffix.lower()
    if suffix in (".xlsx", ".xls", ".xlsm", ".ods", ".et", ".numbers"):
        return "; save the sheet of the workbook as CSV (UTF-8)"
    if suffix in (".tsv", ".tab", ".txt", ".dat"):
        return '; rename the file to .csv, and write delimiter = "\\t" where tabs separate its fields'
    return ""


def by_value(values: pd.Series[Any], meaning: Any) -> Floats:
    """``meaning`` of every value, computed once for each distinct value; NaN where missing."""
    codes, distinct = pd.factorize(values)
    table = np.array([*(meaning(v) for v in distinct), np.nan], dtype=np.float64)
    return np.asarray(table[codes])


def where(source: TableSource) -> str:
    """The table's name in error texts: a file's name, but never a database URL, which may hold a password."""
    return "table from the database" if source.is_database else f"table {Path(source.source).name}"


def read_source(source: TableSource, d: Dictionary, base: Path, checks: Checks) -> pd.DataFrame | None:
    """The needed columns, indexed by row number; None if a column is missing.

    Columns that the dictionary uses as numbers alone are float64 where that is exact; all others are exact texts,
    missing only where the source has no value: words for missing values are still there. The rows are those that
    ``only`` and ``part`` select.

    Raises:
        ConfigError: no such file.
        DataError: the source cannot be read; says why, and the setting or remedy. AwayError where it is a database that
            does not answer for now.
    """
    try:
        return _selected(source, d, base, checks)
    except READING as error:
        said = said_of(error, source)
    # Raised outside the handler, so that the reader's error does not become the context of this one.
    raise said


def read_header(source: TableSource, base: str | Path) -> list[str]:
    """The names of a table's columns, in order, without space around them.

    Raises:
        ConfigError: no such file.
        DataError: the source cannot be read, or is no table of the kind that its name says.
    """
    try:
        with open_table(source, Path(base), ()) as opened:
            return [trim(name) for name in opened.header]
    except READING as error:
        reason = _reason(error)
    raise DataError(f"{where(source)}: {reason}")


def read_texts(
    source: TableSource,
    base: str | Path,
    names: Sequence[str] | None = None,
    *,
    without_text: dict[str, str] | None = None,
) -> Iterator[pd.DataFrame]:
    """Blocks of the named columns (all by default) as exact text, None where a value is missing.

    Rows are those of the whole table, without ``only`` and ``part``; the index is the row number. Where
    ``without_text`` is given, columns whose values have no text (lists, bytes) are None in every row and enter it with
    the reason, instead of an error.

    Raises:
        ConfigError: no such file.
        DataError: as `read_header`, or a name is not in the table.
    """
    try:
        yield from _text_blocks(source, Path(base), names, without_text)
        return
    except READING as error:
        reason = _reason(error)
    raise DataError(f"{where(source)}: {reason}")


def _text_blocks(
    source: TableSource, base: Path, names: Sequence[str] | None, without_text: dict[str, str] | None
) -> Iterator[pd.DataFrame]:
    with open_table(source, base, names or ()) as opened:
        wanted = list(names) if names is not None else [trim(n) for n in opened.header]
        checks = Checks()
        _check_header(opened, wanted, checks)
        if broken := [c for c in checks if c.severity == "error"]:
            raise DataError("; ".join(f"{c.column}: {c.rule}; {c.remedy}" for c in broken))
        start = 0
        for block in opened.blocks(wanted):
            texts = {n: _texts_or_none(n, c, without_text).to_pylist() for n, c in block.items()}
            frame = pd.DataFrame({n: pd.Series(t, dtype=object) for n, t in texts.items()})
            frame.index = pd.RangeIndex(start, start + len(frame))
            start += len(frame)
            yield frame


READING = (sqlalchemy.exc.SQLAlchemyError, pa.ArrowException, OSError, EOFError, UnicodeError, DataError)
"""What the readers of tables raise; their words quote rows, so they are replaced (:func:`said_of`)."""


def said_of(error: Exception, source: TableSource) -> DataError:
    """A reader's error in own words, to be raised outside its handler; AwayError where it passes by itself."""
    passes = isinstance(error, sqlalchemy.exc.SQLAlchemyError) and away(error)
    return (AwayError if passes else DataError)(f"{where(source)}: {_reason(error)}")


def _reason(error: Exception) -> str:
    """What is said of a reader's error: its own words quote rows, queries and passwords."""
    if isinstance(error, DataError):
        return str(error)
    if isinstance(error, sqlalchemy.exc.SQLAlchemyError):
        return f"cannot be read ({type(error).__name__}); {failure(error)}"
    return f"cannot be read ({type(error).__name__}); check the file, its encoding"


def _selected(source: TableSource, d: Dictionary, base: Path, checks: Checks) -> pd.DataFrame | None:
    needed = _needed(d)
    wanted = list(dict.fromkeys([*needed, *source.only]))
    numbers = number_columns(d)
    numeric = numbers - text_columns(d) - set(source.only)
    marks = dict.fromkeys(numbers, source.decimal)
    with open_table(source, base, wanted, marks) as opened:
        checks.first_row = opened.first_row
        _check_header(opened, wanted, checks)
        if any(check.severity == "error" for check in checks):
            return None
        chosen, rows, parts = filters_of(source, d), [np.zeros(0, dtype=np.int64)], []
        for block in opened.blocks(wanted):
            n = len(next(iter(block.values()))) if block else 0
            if d.id in block:
                block[d.id] = whole_decimals(block[d.id])
            columns = {
                name: cells_of(name, column, name in numeric, marks.get(name, "."))
                for name, column in block.items()
            }
            kept = np.ones(n, dtype=bool)
            for name, codes in chosen.items():
                kept &= by_value(columns[name], lambda v, codes=codes: codes.place(v) is not None) == 1.0
            rows.append(np.flatnonzero(kept) + checks.read)
            checks.read += n
            parts.append({name: columns[name] if kept.all() else columns[name][kept] for name in needed})
        checks.typed = {trim(name) for name in opened.typed}
    table = pd.DataFrame(
        {name: _joined([part[name] for part in parts], marks.get(name, ".")) for name in needed}
    )
    table.index = pd.Index(np.concatenate(rows))
    return table if source.part is None else table.iloc[source.part.rows(len(table))]


def _needed(d: Dictionary) -> list[str]:
    """Names, in the table, of the columns that the dictionary describes: id, columns, label and weight."""
    needed = [] if d.id == ROW_NUMBER else [d.id]
    needed += [c.table_name for c in d.columns]
    if d.label is not None:
        needed += [d.label.column] + ([d.label.weight] if d.label.weight else [])
    return list(dict.fromkeys(needed))


def number_columns(d: Dictionary) -> set[str]:
    """Names, in the table, of the columns that are used as numbers."""
    numbers = {c.table_name for c in d.columns if c.kind in ("number", "flag")}
    if d.label is not None:
        numbers |= {d.label.column} if not d.label.positive else set()
        numbers |= {d.label.weight} if d.label.weight else set()
    return numbers


def text_columns(d: Dictionary) -> set[str]:
    """Names, in the table, of the columns of which the exact text is needed."""
    texts = {d.id} | {c.table_name for c in d.columns if c.kind not in ("number", "flag")}
    return texts | ({d.label.column} if d.label is not None and d.label.positive else set())


def filters_of(source: TableSource, d: Dictionary) -> dict[str, Codes]:
    """For each column of ``only`` the values that it selects."""
    numbers = {c.table_name for c in d.columns if c.kind in ("number", "flag")}
    return {
        name: Codes(
            given if isinstance(given, list) else [given],
            numbers=name in numbers,
            exponents=name in numbers,
            notation=source.notation,
        )
        for name, given in source.only.items()
    }


def _check_header(opened: Opened, wanted: list[str], checks: Checks) -> None:
    """Errors for columns that are missing or ambiguous; where there are none, a note on columns not read."""
    header = [trim(name) for name in opened.header]
    if any(n not in header for n in wanted):
        opened.explain(wanted)
    for name in (n for n in wanted if n not in header):
        checks.always(name, "column is not in the table", _name_remedy(name, header))
    for name in dict.fromkeys(n for n in wanted if header.count(n) > 1):
        checks.always(name, "several columns of the table have this name", "rename all but one")
    extra = len(set(header) - set(wanted))
    if extra and not checks:
        remedy = "they are not read; describe those that a study may use"
        checks.append(Check("table", f"{extra} columns are not in the dictionary", 0, 0.0, "note", remedy))


def _name_remedy(name: str, header: list[str]) -> str:
    remedy = "correct its name, or give the table's name as source"
    near = near_name(name, header)
    return f'did you mean "{near}"? {remedy}' if near else remedy


Blocks = Callable[[list[str]], Iterator[dict[str, Any]]]


class Opened:
    """A table whose columns are known.

    header: their names as they are written; blocks: from names (without space around them) to blocks of Arrow
    arrays; explain: raises DataError where another setting would give wanted names; first_row: number of the first
    row; typed: the columns whose values are no texts, as they are written, complete once all blocks were read.
    """

    def __init__(
        self,
        header: Sequence[str],
        blocks: Callable[[list[str]], Iterator[dict[str, Any]]],
        explain: Callable[[Sequence[str]], None] = lambda wanted: None,
        first_row: int = 1,
        typed: set[str] | None = None,
    ) -> None:
        self.header, self._blocks, self.explain, self.first_row = list(header), blocks, explain, first_row
        self.typed = set() if typed is None else typed

    def blocks(self, names: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Blocks of the named columns (without space around the names), by these names, as Arrow arrays."""
        written = {trim(name): name for name in reversed(self.header)}
        for block in self._blocks([written[name] for name in names]):
            yield {name: block[written[name]] for name in names}


@contextmanager
def open_table(
    source: TableSource, base: Path, wanted: Sequence[str], marks: Mapping[str, str] | None = None
) -> Iterator[Opened]:
    """The table, ready to be read; ``marks``: for columns of numbers, the mark before a fraction in texts."""
    place = expand(source.source)
    if source.is_database:
        url = database_url(place, base, source.password_file)
        with opened_query(url, expand(source.query or "")) as (header, result):
            typed: set[str] = set()
            written = {name: mark for name in header if (mark := (marks or {}).get(trim(name)))}

            def blocks(names: list[str]) -> Iterator[dict[str, Any]]:
                return query_blocks(result, header, names, BLOCK_ROWS, written, typed)

            yield Opened(header, blocks, typed=typed)
        return
    path = base / Path(place).expanduser()
    refuse_no_file(path)
    if path.suffix.lower() == ".parquet":
        refuse_other_than_parquet(path)
        # Old moments of 96 bits: in nanoseconds, years like 9999 would become others.
        with pa.parquet.ParquetFile(path, coerce_int96_timestamp_unit="us") as file:
            yield Opened(
                file.schema_arrow.names,
                lambda names: _columns(file.iter_batches(BLOCK_ROWS, columns=names)),
                typed={field.name for field in file.schema_arrow if not holds_text(field.type)},
            )
        return
    csv = CsvFile.opened(path, source.encoding, source.delimiter, source.skip_rows)
    if not wanted:
        csv.explain_header(wanted)
    yield Opened(csv.header, lambda names: _columns(csv.blocks(names)), csv.explain_header, csv.first_row)


def _columns(batches: Any) -> Iterator[dict[str, Any]]:
    for batch in batches:
        yield dict(zip(batch.schema.names, batch.columns, strict=True))


def cells_of(name: str, column: Any, numeric: bool, mark: str) -> pd.Series[Any]:
    """A block of a column: doubles where it is a number and they are exact, else exact texts.

    mark: what stands before the fraction of numbers in the table's texts, with which other numbers are written too.
    """
    found = plain_numbers(column) if numeric else None
    if found is not None:
        return pd.Series(found)
    texts: Any = _texts(name, column)
    if mark != "." and not holds_text(column.type):
        texts = pc.replace_substring(texts, ".", mark, max_replacements=1)
    return pd.Series(texts.to_pandas())


def _texts_or_none(name: str, column: Any, without_text: dict[str, str] | None) -> Any:
    try:
        return _texts(name, column)
    except DataError as error:
        if without_text is None:
            raise
        without_text[name] = str(error).partition('" ')[2]
    return pa.nulls(len(column), pa.string())


def _texts(name: str, column: Any) -> Any:
    """A block of a column as exact texts, null where there is nothing but space."""
    try:
        texts = exact_texts(column)
    except DataError as error:
        reason = str(error)
    else:
        blank = pc.equal(pc.utf8_trim_whitespace(texts), "")
        return pc.if_else(blank, pa.scalar(None, pa.string()), texts)
    raise DataError(f'column "{name}" {reason}')


def _joined(parts: list[pd.Series[Any]], mark: str) -> pd.Series[Any]:
    """All blocks of a column in one type: text, where one block is text, with this mark before fractions."""
    if not parts:
        return pd.Series([], dtype="str")
    if len({part.dtype == np.float64 for part in parts}) > 1:
        texts = [
            p
            if p.dtype != np.float64
            else pd.Series([marked_text(t, mark) for t in float_texts(p.to_numpy())], dtype="str")
            for p in parts
        ]
        return pd.concat(texts, ignore_index=True)
    return pd.concat(parts, ignore_index=True)
