"""Which errors of a database go by, and which stay."""

import pytest
import sqlalchemy.exc

from fedrisk.data.database import away


@pytest.mark.parametrize(
    ("kind", "said", "expected"),
    [
        ("OperationalError", "could not connect to server: Connection refused", True),
        ("OperationalError", "FATAL: the database system is starting up", True),
        ("OperationalError", "FATAL: sorry, too many clients already", True),
        ("OperationalError", "database is locked", True),
        ("OperationalError", 'FATAL: password authentication failed for user "x"', False),
        ("OperationalError", "no such table: loans", False),
        ("ProgrammingError", 'relation "loans" does not exist', False),
        ("ProgrammingError", "connection refused", False),
        ("DataError", "invalid byte sequence", False),
    ],
)
def test_which_errors_go_by(kind, said, expected):
    error = getattr(sqlalchemy.exc, kind)("SELECT", {}, Exception(said))
    assert away(error) is expected


def test_a_connection_that_broke_off_goes_by():
    error = sqlalchemy.exc.DBAPIError("SELECT", {}, Exception("x"), connection_invalidated=True)
    assert away(error)
