"""Rows of a database query as blocks of Arrow columns, by SQLAlchemy."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import sqlalchemy
import sqlalchemy.exc

from fedrisk.data.text import marked_text, text_of
from fedrisk.errors import DataError

_FAILURES = (
    (
        r"no such table|undefinedtable|relation .* does not exist|table .* doesn't exist|ora-00942",
        "the query names a table that is not there, or that this user may not see",
    ),
    (
        r"no such column|undefinedcolumn|column .* does not exist|unknown column|ora-00904",
        "the query names a column that is not there",
    ),
    (
        r"syntax error|error in your sql syntax|incomplete input|ora-009",
        "the query is no valid SQL; try it in a client of the database",
    ),
    (r"one statement at a time", "write one statement alone as query"),
    (r"does not return rows|closed automatically", "the query gives no rows; write a SELECT"),
    (r"not a database|file is encrypted", "the file is no SQLite database, or an encrypted one"),
    (
        r"unable to open|locked",
        "the file cannot be opened; check its path, its rights, and who else has it open",
    ),
    (r"password|authentication|access denied|ora-01017", "the database does not take this user or password"),
    (
        r"translate host|resolve|refused|unreachable|timed? ?out|could not connect|connection failed|can't connect",
        "the database does not answer; check host and port of the URL",
    ),
    (
        r"permission denied|insufficientprivilege|not authorized",
        "this user may not read what the query names",
    ),
    (
        r"could not decode|invalid byte|codec",
        "a text is not in the encoding that the database states; export it as bytes, or repair it",
    ),
    (
        r"can't load plugin",
        "the URL begins with a kind of database that is not known, such as postgresql:// or sqlite:///",
    ),
)

NUMBERS = (bool, int, float)
"""Types of values that Arrow takes as they are; all others become exact text."""


@contextmanager
def opened_query(url: str | sqlalchemy.URL, query: str) -> Iterator[tuple[list[str], Any]]:
    """The names of a query's columns, and its streamed result.

    Raises:
        DataError: the driver is not installed, or the URL is none. What the driver says may quote the password.
        sqlalchemy.exc.SQLAlchemyError: the database refuses.
    """
    with engine_of(url).connect() as connection:
        streamed = connection.execution_options(stream_results=True)
        result = streamed.execute(sqlalchemy.text(escaped(query)))
        yield list(result.keys()), result


def escaped(query: str) -> str:
    """A query in which a colon is a part of it, never the beginning of a parameter.

    Queries from before escaped it themselves.
    """
    return query.replace("\\:", ":").replace(":", "\\:")


def failure(error: sqlalchemy.exc.SQLAlchemyError) -> str:
    """Why a database refused, in own words: its own may quote rows, the query or the password."""
    cause = getattr(error, "orig", None) or error
    said = f"{type(cause).__name__} {cause}".lower()
    found = next((words for pattern, words in _FAILURES if re.search(pattern, said)), None)
    return found or "check the URL, the database, or the query"


_AWAY = (
    r"translate host|resolve|refused|unreachable|timed? ?out|could not connect|connection failed|can't connect|"
    r"starting up|shutting down|terminating connection|server closed|too many (clients|connections)|is locked"
)
"""What databases say that are away, or too busy, for now."""


def away(error: sqlalchemy.exc.SQLAlchemyError) -> bool:
    """Whether a database does not answer for now: asked again later it may. Not so where query or user are wrong."""
    if getattr(error, "connection_invalidated", False):
        return True
    cause = getattr(error, "orig", None) or error
    kinds = (sqlalchemy.exc.OperationalError, sqlalchemy.exc.InterfaceError, sqlalchemy.exc.TimeoutError)
    return isinstance(error, kinds) and re.search(_AWAY, f"{cause}".lower()) is not None


def engine_of(url: str | sqlalchemy.URL, **how: Any) -> sqlalchemy.Engine:
    """An engine; DataError where the driver is not installed, or the URL is none."""
    try:
        return sqlalchemy.create_engine(url, **how)
    except ImportError as error:
        reason = f"cannot be read: the driver {error.name} of this database is not installed; pip install {error.name}"
    except ValueError:
        reason = "cannot be read: its URL is malformed; write special characters of user and password as %XX"
    raise DataError(reason)


def query_blocks(
    result: Any, header: list[str], names: list[str], rows: int, marks: Mapping[str, str], typed: set[str]
) -> Iterator[dict[str, Any]]:
    """Blocks of at most ``rows`` rows: the named columns as Arrow arrays of numbers or exact texts.

    Args:
        result: of the query.
        header: names of its columns.
        names: of the columns that are wanted.
        rows: most of a block.
        marks: for columns of numbers, the mark before a fraction in their texts: numbers that the database gives as
            numbers are written with it too, where they stand among texts.
        typed: takes the names of columns in which no value is a text; names of others are taken away.
    """
    places = {name: header.index(name) for name in names}
    typed.update(names)
    for partition in result.partitions(rows):
        block = {}
        for name, place in places.items():
            values = [row[place] for row in partition]
            if any(isinstance(v, str) for v in values):
                typed.discard(name)
            block[name] = column_of(name, values, marks.get(name, "."))
        yield block


def column_of(name: str, values: list[Any], mark: str) -> Any:
    """One type for all values where they have one; else text, as a database without fixed types gives.

    DataError where a value has no text.
    """
    kinds = set(map(type, values)) - {type(None)}
    if kinds <= {str}:
        return pa.array(values, pa.string())
    if len(kinds) == 1 and kinds <= set(NUMBERS):
        try:
            return pa.array(values)
        except (pa.ArrowInvalid, OverflowError):
            # Whole numbers beyond 64 bits.
            pass
    try:
        return pa.array(
            [v if isinstance(v, str) else marked_text(text_of(v), mark) for v in values], pa.string()
        )
    except DataError as error:
        reason = str(error)
    raise DataError(f'column "{name}" {reason}')
