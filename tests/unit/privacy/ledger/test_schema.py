"""The tables of a ledger's file and their version."""

import sqlite3
from datetime import date
from pathlib import Path

import pytest

from fedrisk.errors import StoreError
from fedrisk.privacy.ledger.caps import Calendar
from fedrisk.privacy.ledger.ledger import Ledger
from fedrisk.privacy.ledger.schema import SCHEMA_VERSION, calendar_of, create, version_of


def test_new_tables_by_hand():
    db = sqlite3.connect(":memory:", isolation_level=None)
    assert version_of(db, Path("l")) is None
    create(db)
    assert version_of(db, Path("l")) == SCHEMA_VERSION
    assert calendar_of(db) == Calendar(days=365, epoch=date(2026, 1, 1))
    assert db.execute("SELECT count, head, sealed FROM state").fetchall() == [(0, "0" * 64, 0)]
    db.close()


def test_what_is_no_ledger(tmp_path, path):
    path.write_bytes(b"not a database at all" * 300)
    with pytest.raises(StoreError, match="no ledger file"):
        Ledger(path, caps=5.0)
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE loans (x)")
    db.close()
    with pytest.raises(StoreError, match="no ledger"):
        Ledger(other, caps=5.0)
    for bad in (tmp_path, tmp_path / "missing" / "ledger.sqlite"):
        with pytest.raises(StoreError, match="cannot be opened"):
            Ledger(bad, caps=5.0)


def test_a_newer_schema_is_refused(path):
    Ledger(path, caps=5.0)
    with sqlite3.connect(path) as db:
        db.execute("UPDATE schema SET version = 99")
    db.close()
    with pytest.raises(StoreError, match="upgrade the program"):
        Ledger(path, caps=5.0)
