"""The tables of a ledger's file, and which version of them a file has."""

from __future__ import annotations

import sqlite3
from datetime import date
from pathlib import Path

from fedrisk.errors import StoreError
from fedrisk.privacy.ledger.caps import EPOCH, Calendar

SCHEMA_VERSION = 3
"""Version 3 has the tables of version 2, and releases of population ``all``, which a program of version 2 would count
on neither side of the split: it must not open the file."""

SCHEMA = (
    "CREATE TABLE schema (version INTEGER NOT NULL)",
    # One row. sealed: whether a guard was ever written, under the name that it had when the table was made;
    # last_time: the latest time used, which never goes back.
    """CREATE TABLE state (
        count INTEGER NOT NULL, head TEXT NOT NULL, sealed INTEGER NOT NULL,
        last_time TEXT NOT NULL, days INTEGER NOT NULL, epoch TEXT NOT NULL
    )""",
    # mu2 is NULL in a research entry, which is charged nothing.
    """CREATE TABLE release (
        position INTEGER PRIMARY KEY AUTOINCREMENT,
        release_id TEXT NOT NULL UNIQUE,
        spend TEXT NOT NULL, digest TEXT NOT NULL, purpose TEXT NOT NULL,
        study TEXT NOT NULL, attempt TEXT NOT NULL, population TEXT NOT NULL, mu2 REAL,
        period INTEGER NOT NULL, debited TEXT NOT NULL,
        committed TEXT, cancelled TEXT, answer_digest TEXT
    )""",
    "CREATE INDEX release_open ON release (period) WHERE committed IS NULL AND cancelled IS NULL",
    "CREATE INDEX release_research ON release (position) WHERE mu2 IS NULL",
    "CREATE TABLE answer (release_id TEXT PRIMARY KEY, bytes BLOB NOT NULL)",
    # Running totals: one account for life, and per period one for everything, each purpose and each study.
    """CREATE TABLE account (
        id INTEGER PRIMARY KEY, scope TEXT NOT NULL, name TEXT NOT NULL, period INTEGER NOT NULL,
        mu2 REAL NOT NULL, UNIQUE (scope, name, period)
    )""",
    """CREATE TABLE side (
        account INTEGER NOT NULL, study TEXT NOT NULL, attempt TEXT NOT NULL,
        training REAL NOT NULL, holdout REAL NOT NULL, PRIMARY KEY (account, study, attempt)
    ) WITHOUT ROWID""",
    """CREATE TABLE allowance (
        position INTEGER PRIMARY KEY, period INTEGER NOT NULL, mu REAL NOT NULL,
        reason TEXT NOT NULL, who TEXT NOT NULL, granted TEXT NOT NULL
    )""",
    """CREATE TABLE act (
        position INTEGER PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, time TEXT NOT NULL,
        detail TEXT NOT NULL, lifetime REAL NOT NULL, head TEXT NOT NULL
    )""",
)

FIRST_TIME = "2000-01-01T00:00:00+00:00"
_NO_HEAD = "0" * 64


def create(db: sqlite3.Connection) -> None:
    """Make the tables of the present version in an empty database."""
    for statement in SCHEMA:
        db.execute(statement)
    db.execute("INSERT INTO schema VALUES (?)", (SCHEMA_VERSION,))
    db.execute("INSERT INTO state VALUES (0, ?, 0, ?, 365, ?)", (_NO_HEAD, FIRST_TIME, EPOCH.isoformat()))


def version_of(db: sqlite3.Connection, path: Path) -> int | None:
    """The version of the tables; None for a file without tables. StoreError for what cannot be read here."""
    tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return None
    row = db.execute("SELECT version FROM schema").fetchone() if "schema" in tables else None
    if row is None or "release" not in tables:
        raise StoreError(f"{path} is a database but no ledger; give the ledger's path")
    version = row[0]
    if not isinstance(version, int) or not 1 <= version <= SCHEMA_VERSION:
        raise StoreError(
            f"ledger {path} has schema version {version}, this program knows {SCHEMA_VERSION}; "
            "upgrade the program, do not downgrade the file"
        )
    return version


def calendar_of(db: sqlite3.Connection) -> Calendar:
    """The accounting periods into which the entries of a file are sorted."""
    days, epoch = db.execute("SELECT days, epoch FROM state").fetchone()
    return Calendar(days=days, epoch=date.fromisoformat(epoch))
