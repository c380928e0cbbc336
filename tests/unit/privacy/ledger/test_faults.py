"""Errors about a ledger's file name what is wrong and the remedy."""

import sqlite3
from pathlib import Path

import pytest

from fedrisk.privacy.ledger.faults import damaged, lost, store_error


def test_each_error_names_file_fault_and_remedy():
    assert str(damaged(Path("l"), "pages differ")).startswith(
        "ledger l: pages differ. It is damaged. Nothing"
    )
    assert "restore the latest copy" in str(damaged(Path("l"), "x"))
    assert str(lost(Path("l"), "it is empty")).startswith("ledger l: it is empty. An older copy was put back")
    assert "'fedrisk budget restore' with the reason" in str(lost(Path("l"), "x"))


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        ("SQLITE_FULL", "free space"),
        ("SQLITE_IOERR_FSYNC", "quota"),
        ("SQLITE_READONLY_DIRECTORY", "write access"),
        ("SQLITE_BUSY_RECOVERY", "repeat"),
        ("SQLITE_CORRUPT_INDEX", "restore"),
        ("SQLITE_TOOBIG", "blocks"),
        ("SQLITE_MISUSE", "look up"),
    ],
)
def test_every_failure_names_its_remedy(code, remedy):
    error = sqlite3.OperationalError("x")
    error.sqlite_errorname = code
    assert remedy in str(store_error(Path("ledger"), error))
