"""Files of version 1 are migrated whole or not at all, and their copies kept."""

import json
import sqlite3
import stat
import subprocess
import sys
from dataclasses import replace

import pytest

from fedrisk.errors import StoreError
from fedrisk.privacy.ledger import file as ledger_file
from fedrisk.privacy.ledger import schema
from fedrisk.privacy.ledger.ledger import Ledger
from fedrisk.privacy.ledger.rollback_guard import read_guard

VERSION_1 = (
    "CREATE TABLE schema (version INTEGER NOT NULL)",
    "INSERT INTO schema VALUES (1)",
    """CREATE TABLE release (
        position INTEGER PRIMARY KEY AUTOINCREMENT, release_id TEXT NOT NULL UNIQUE, spend TEXT NOT NULL,
        digest TEXT NOT NULL, debited TEXT NOT NULL, committed TEXT, answer BLOB)""",
)


@pytest.fixture
def version_1(path, base):
    """Makes a file of version 1 with three entries, and returns its bytes."""
    return lambda text=None: _version_1(path, base, text)


def _version_1(path, base, text):
    rows = [
        ("a", base, "2025-12-30T10:00:00+00:00", "2025-12-30T10:00:01+00:00", b"bytes"),
        ("b", replace(base, population="holdout", mu=4.0), "2026-02-01T10:00:00+00:00", None, None),
        ("c", replace(base, research=True), "2026-02-01T10:00:00+00:00", "2026-02-01T10:00:01+00:00", b""),
    ]
    with sqlite3.connect(path) as db:
        for statement in VERSION_1:
            db.execute(statement)
        for name, spend, debited, committed, answer in rows:
            spend = text or json.dumps(spend.to_dict())
            db.execute(
                "INSERT INTO release (release_id, spend, digest, debited, committed, answer) "
                "VALUES (?, ?, 'd', ?, ?, ?)",
                (name, spend, debited, committed, answer),
            )
    db.close()
    return path.read_bytes()


def test_a_file_of_version_1_is_migrated_and_its_copy_kept(path, base, version_1):
    before = version_1()
    ledger = Ledger(path, 5.0)
    assert ledger.spent() == 4.0
    assert [ledger.answer(name) for name in "abc"] == [b"bytes", None, b""]
    assert [(e.debited[:4], e.purpose, e.committed is None) for e in ledger.entries()] == [
        ("2025", "", False),
        ("2026", "", True),
        ("2026", "", False),
    ]
    assert ledger.audit() == 5
    ledger.debit("a", base, "d", purpose="scoring")  # known before purposes were kept
    ledger.commit("b", b"later")
    copy = path.with_name("ledger.sqlite.version1")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with sqlite3.connect(copy) as db:
        assert db.execute("SELECT COUNT(*) FROM release").fetchone() == (3,)
    db.close()
    assert Ledger(path, 5.0).audit() == 6
    path.write_bytes(before)  # the old copy put back later
    with pytest.raises(StoreError, match="older version than its guard"):
        Ledger(path, 5.0)
    restored = Ledger.acknowledge_restore(path, 5.0, reason="r", who="w")
    assert restored.spent() == 4.0
    restored.audit()


def test_a_migration_that_fails_changes_nothing(path, version_1):
    before = version_1(text="{}")
    for _ in range(2):
        with pytest.raises(StoreError, match="cannot be read"):
            Ledger(path, 5.0)
    assert path.read_bytes() == before
    assert not path.with_suffix(".seal").exists()


def test_a_migration_killed_before_its_guard_goes_on(path, version_1):
    version_1()
    script = (
        "import os, sys\n"
        "from fedrisk.privacy.ledger import file as ledger_file\n"
        "from fedrisk.privacy.ledger.ledger import Ledger\n"
        "ledger_file.write_guard = lambda *_, **__: os._exit(9)\n"
        "Ledger(sys.argv[1], 5.0)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, str(path)]).returncode == 9
    ledger = Ledger(path, 5.0)
    assert ledger.audit() == 5
    ledger.commit("b", b"later")
    assert read_guard(path.with_suffix(".seal")).count == 6


def test_a_file_of_version_2_is_one_of_today_and_no_earlier_program_opens_it(path, base, monkeypatch):
    ledger = Ledger(path, 5.0)
    ledger.debit("a", base, "d", purpose="p")
    ledger.commit("a", b"bytes")
    with sqlite3.connect(path) as db:
        db.execute("UPDATE schema SET version = 2")
    db.close()
    older = path.read_bytes()
    ledger = Ledger(path, 5.0)
    assert ledger.audit() == 2
    assert ledger.answer("a") == b"bytes"
    ledger.debit("b", replace(base, release="s", population="all"), "d", purpose="p")
    assert ledger.audit() == 3
    with monkeypatch.context() as patch:
        # It would count the release of everybody on no side.
        patch.setattr(schema, "SCHEMA_VERSION", 2)
        patch.setattr(ledger_file, "SCHEMA_VERSION", 2)
        with pytest.raises(StoreError, match="schema version 3, this program knows 2"):
            Ledger(path, 5.0)
    path.write_bytes(older)  # an old copy put back
    with pytest.raises(StoreError, match="guard"):
        Ledger(path, 5.0)
