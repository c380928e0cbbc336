"""Rows of a table in a database, as it is now: one query with bound parameters for all ids of a question.

The query is the table's own, as a part of another one that asks for some ids, so that the database takes its index on
the column of ids. Connections are kept open, and opened again where they broke.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy
from numpy.typing import NDArray
from sqlalchemy.types import NullType

from fedrisk.data.as_it_is import NO_DAY, Taken, Taking
from fedrisk.data.database import column_of, engine_of, escaped
from fedrisk.data.place import database_url, expand
from fedrisk.data.source import READING, said_of
from fedrisk.data.text import trim
from fedrisk.errors import AwayError, ConfigError, DataError
from fedrisk.serving.file_index import Cells
from fedrisk.serving.id_spellings import SAMPLE, Spellings

STATEMENT_SECONDS = 5
"""Longest run of a query, and longest wait for a connection. PostgreSQL and SQLite stop one that takes longer."""

SHAPE_SECONDS = 300.0
"""For so long the columns of the query and the spelling of its ids are taken as they were seen."""

POOL = 5
"""Connections that are kept open."""

_MOST = 30_000
_FEWER = {"oracle": 1000, "mssql": 2000}


@dataclass(frozen=True)
class _Shape:
    """What is known of the query: its columns as they are written, those that are read, how ids are spelt.

    statements: that ask for rows by the value of their id, and by its spelling without spaces and in capitals.
    """

    header: tuple[str, ...]
    names: tuple[str, ...]
    spellings: Spellings
    statements: tuple[Any, Any]
    seen: float


class DatabaseRows:
    """The rows of one query, for several threads.

    Args:
        taking: how rows are taken.
        base: folder of the institution file.
        today: the day now; rows of a query without a column of their day are as of now.
    """

    def __init__(self, taking: Taking, base: Path, today: Callable[[], date]) -> None:
        if taking.key is None or taking.source.part is not None:
            raise ConfigError(
                "[table]: rows of a database are looked up by their id; name a column as id in place of @row, and "
                "leave part out"
            )
        self.taking, self._base, self._today, self._key = taking, base, today, taking.key
        self._engine: sqlalchemy.Engine | None = None
        self._shape: _Shape | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Connect, and look at the query; nothing is raised where the database is away."""
        try:
            self._seen()
        except (*READING, ConfigError):
            self.close()

    def close(self) -> None:
        """Close all connections; the next question opens them again."""
        with self._lock:
            engine, self._engine, self._shape = self._engine, None, None
        if engine is not None:
            engine.dispose()

    def cells(self, ids: Sequence[str], given: Sequence[str | None]) -> Cells:
        """Rows of normalised ids, ``given`` as they were written by whoever asks; AwayError, DataError, ConfigError."""
        for last in (False, True):
            try:
                return self._cells(ids, given)
            except READING as error:
                said = _said(error, self.taking)
                away = isinstance(said, AwayError) and not getattr(error, "connection_invalidated", False)
            # A connection that broke, a column that is gone, a password that was changed: once more from the beginning.
            if last or away:
                break
            self.close()
        raise said

    def _cells(self, ids: Sequence[str], given: Sequence[str | None]) -> Cells:
        shape = self._seen()
        wanted = {i: g or "" for i, g in zip(ids, given, strict=True) if i}
        rows = self._asked(shape, [v for i, g in wanted.items() for v in shape.spellings.values(i, g)])
        place = shape.names.index(self._key)
        found = shape.spellings.ids([row[place] for row in rows])
        left = sorted(wanted.keys() - set(found))
        if shape.spellings.odd and left and self.taking.source.lookup is None:
            more = self._asked(shape, left, by_spelling=True)
            rows += more
            found += shape.spellings.ids([row[place] for row in more])
        kept = [k for k, i in enumerate(found) if i in wanted]
        block = {name: self._column(name, [rows[k][j] for k in kept]) for j, name in enumerate(shape.names)}
        taken = self.taking.take(block, np.arange(len(kept)))
        return self._arranged(ids, [found[kept[k]] for k in taken.rows.tolist()], taken)

    def _arranged(self, ids: Sequence[str], found: Sequence[str], taken: Taken) -> Cells:
        """Rows in the order of the ids."""
        places: dict[str, int] = {}
        several: set[str] = set()
        for place, i in enumerate(found):
            if places.setdefault(i, place) != place:
                several.add(i)
        at = np.array([-1 if i in several else places.get(i, -1) for i in ids], np.int64)
        known, row = at >= 0, np.maximum(at, 0)
        values = {n: _picked(v, row, known) for n, v in taken.values.items()}
        flaws = {n: _picked(v, row, known, 0) for n, v in taken.flaws.items()}
        now = np.full(len(found), np.datetime64(self._today(), "D"))
        day = _picked(now if taken.day is None else taken.day, row, known, NO_DAY)
        return Cells(values, flaws, known, np.array([i in several for i in ids], bool), day, taken.gone)

    def _column(self, name: str, values: list[Any]) -> Any:
        mark = self.taking.source.decimal if name in self.taking.numbers else "."
        try:
            return column_of(name, values, mark)
        except DataError:
            if name in (self._key, *self.taking.source.only):
                raise
        # Values without text: as lists, which are no text either.
        return pa.array([None if v is None else [0] for v in values], pa.list_(pa.int8()))

    def _seen(self) -> _Shape:
        """The shape of the query, from a look at its columns and some ids."""
        shape = self._shape
        if shape is not None and time.monotonic() - shape.seen < SHAPE_SECONDS:
            return shape
        with self._connected() as connection:
            query = _query(self.taking)
            empty = connection.execute(
                sqlalchemy.text(f"SELECT * FROM (\n{query}\n) fedrisk_rows WHERE 1 = 0")
            )
            header = tuple(empty.keys())
            there = self.taking.there(header)
            table = _subquery(query, header)
            key = table.c[_written(self._key, header)]
            stored = connection.execute(sqlalchemy.select(key).limit(SAMPLE)).scalars().all()
            spellings = Spellings.of(stored, self.taking.dictionary.id_scheme, connection.dialect.name)
        statements = self._statement(header, there, False), self._statement(header, there, True)
        found = _Shape(header, tuple(there), spellings, statements, time.monotonic())
        self._shape = found
        return found

    def _asked(self, shape: _Shape, values: Sequence[Any], *, by_spelling: bool = False) -> list[Any]:
        """Rows whose id is one of the values, as the columns of the shape."""
        out: list[Any] = []
        with self._connected() as connection:
            most = _most_bound(connection.dialect)
            statement = shape.statements[by_spelling]
            for start in range(0, len(values), most):
                some = list(values[start : start + most])
                # Few lengths make few statements, whose plans the database keeps.
                size = min(1 << (len(some) - 1).bit_length(), most)
                some += some[-1:] * (size - len(some))
                result = connection.execute(statement, {"ids": some})
                places = [list(result.keys()).index(_written(n, tuple(result.keys()))) for n in shape.names]
                out += [tuple(row[p] for p in places) for row in result]
        return out

    def _statement(self, header: Sequence[str], names: Sequence[str], by_spelling: bool) -> Any:
        # Without a type of its own a parameter has that of the column, whose index then serves.
        asked = sqlalchemy.bindparam("ids", expanding=True, type_=NullType())
        lookup = self.taking.source.lookup
        if lookup is not None:
            text = escaped(re.sub(r"\(\s*:ids\s*\)", ":ids", expand(lookup).strip().rstrip(";")))
            return sqlalchemy.text(text.replace("\\:ids", ":ids")).bindparams(asked)
        table = _subquery(_query(self.taking), header)
        key: Any = table.c[_written(self._key, header)]
        if by_spelling:
            key = sqlalchemy.func.upper(sqlalchemy.func.replace(key, " ", ""))
        columns = [table.c[_written(n, header)] for n in names]
        return sqlalchemy.select(*columns).where(key.in_(asked))

    @contextmanager
    def _connected(self) -> Iterator[sqlalchemy.Connection]:
        with self._lock:
            if self._engine is None:
                self._engine = _opened(self.taking, self._base)
            engine = self._engine
        with engine.connect() as connection:
            connection.info["until"] = time.monotonic() + STATEMENT_SECONDS
            yield connection


def _opened(taking: Taking, base: Path) -> sqlalchemy.Engine:
    """An engine whose connections stop statements that take too long."""
    source = taking.source
    url = database_url(expand(source.source), base, source.password_file)
    how: dict[str, Any] = {}
    if str(url).startswith("postgresql"):
        how["connect_args"] = {"connect_timeout": STATEMENT_SECONDS}
    engine = engine_of(
        url,
        isolation_level="AUTOCOMMIT",
        pool_size=POOL,
        pool_timeout=STATEMENT_SECONDS,
        pool_recycle=1800,
        **how,
    )

    @sqlalchemy.event.listens_for(engine, "connect")
    def limit(connection: Any, record: Any) -> None:
        if engine.dialect.name == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(f"SET statement_timeout = {1000 * STATEMENT_SECONDS}")
            connection.commit()
        if engine.dialect.name == "sqlite":
            connection.set_progress_handler(
                lambda: int(time.monotonic() > record.info.get("until", np.inf)), 10_000
            )

    return engine


def _said(error: Exception, taking: Taking) -> DataError:
    """A reader's error in own words; a statement that was stopped passes."""
    stopped = isinstance(error, sqlalchemy.exc.OperationalError) and str(error.orig) == "interrupted"
    return (
        AwayError("table from the database: a query took too long")
        if stopped
        else said_of(error, taking.source)
    )


def _most_bound(dialect: sqlalchemy.Dialect) -> int:
    """Most parameters of one statement."""
    if dialect.name == "sqlite" and dialect.dbapi.sqlite_version_info < (3, 32):  # type: ignore[union-attr]
        return 900
    return _FEWER.get(dialect.name, _MOST)


def _query(taking: Taking) -> str:
    return escaped(expand(taking.source.query or "").strip().rstrip(";"))


def _subquery(query: str, header: Sequence[str]) -> Any:
    columns: list[Any] = [sqlalchemy.column(name) for name in header]
    return sqlalchemy.text(f"\n{query}\n").columns(*columns).subquery("fedrisk_rows")


def _written(name: str, header: Sequence[str]) -> str:
    """A column's name as the query writes it, with space around it."""
    return next(written for written in header if trim(written) == name)


def _picked(given: Any, row: NDArray[np.int64], known: NDArray[np.bool_], gone: Any = None) -> NDArray[Any]:
    """Values of rows, and what stands for one that is not known."""
    values: NDArray[Any] = np.asarray(given)
    if gone is None and values.dtype != object:
        gone = np.nan
    if not len(values):
        return np.full(len(row), gone, values.dtype)
    out: NDArray[Any] = values[row]
    out[~known] = gone
    return out
