"""Rows of a database query as blocks of Arrow columns, by SQLAlchemy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import sqlalchemy

from fedrisk.data.text import text_of
from fedrisk.errors import DataError

NUMBERS = (bool, int, float)
"""Types of values that Arrow takes as they are; all others become exact text."""


@contextmanager
def opened_query(url: str, query: str) -> Iterator[tuple[list[str], Any]]:
    """The names of a query's columns, and its streamed result.

    Raises:
        DataError: the driver is not installed, or the URL is none. What the driver says may quote the password.
        sqlalchemy.exc.SQLAlchemyError: the database refuses.
    """
    with _engine(url).connect() as connection:
        streamed = connection.execution_options(stream_results=True)
        result = streamed.execute(sqlalchemy.text(query))
        yield list(result.keys()), result


def _engine(url: str) -> sqlalchemy.Engine:
    try:
        return sqlalchemy.create_engine(url)
    except ImportError as error:
        reason = f"cannot be read: the driver {error.name} of this database is not installed; pip install {error.name}"
    except ValueError:
        reason = "cannot be read: its URL is malformed; write special characters of user and password as %XX"
    raise DataError(reason)


def query_blocks(result: Any, header: list[str], names: list[str], rows: int) -> Iterator[dict[str, Any]]:
    """Blocks of at most ``rows`` rows: the named columns as Arrow arrays of numbers or exact texts."""
    places = {name: header.index(name) for name in names}
    for partition in result.partitions(rows):
        yield {name: _column(name, [row[place] for row in partition]) for name, place in places.items()}


def _column(name: str, values: list[Any]) -> Any:
    """One type for all values where they have one; else text, as a database without fixed types gives."""
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
        return pa.array([text_of(v) for v in values], pa.string())
    except DataError as error:
        reason = str(error)
    raise DataError(f'column "{name}" {reason}')
