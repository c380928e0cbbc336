"""Migrations of the ledger's file, one function per step, each within the caller's transaction.

Version 1 had one table of releases with their answers and recomputed every total. Its entries become acts of
the chain in their order, with the purpose left empty, and totals are made from them. Version 2 had the tables of
version 3 and no releases of population ``all``.
"""

from __future__ import annotations

import hashlib
import sqlite3
from datetime import datetime
from pathlib import Path

from fedrisk.privacy.ledger.accounts import rebuild, square
from fedrisk.privacy.ledger.caps import Calendar
from fedrisk.privacy.ledger.faults import damaged
from fedrisk.privacy.ledger.records import add_act, entry_digest, spend_from
from fedrisk.privacy.ledger.schema import FIRST_TIME, SCHEMA_VERSION, create


def migrate_from_1(db: sqlite3.Connection, path: Path) -> None:
    """Bring the tables of version 1 to those of today; StoreError if an entry cannot be read."""
    if db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
        raise damaged(path, "pages contradict each other")
    db.execute("ALTER TABLE release RENAME TO release_1")
    db.execute("DROP TABLE schema")
    create(db)
    calendar, latest = Calendar(), FIRST_TIME
    old = db.execute(
        "SELECT position, release_id, spend, digest, debited, committed FROM release_1 ORDER BY position"
    ).fetchall()
    for position, name, text, digest, debited, committed in old:
        spend = spend_from(text, path)
        try:
            period = calendar.period(datetime.fromisoformat(debited))
        except ValueError:
            raise damaged(path, f"the time of entry {position} cannot be read") from None
        answered = None
        if committed is not None:
            stored = db.execute("SELECT answer FROM release_1 WHERE position = ?", (position,)).fetchone()[0]
            answered = hashlib.sha256(bytes(stored)).hexdigest()
            db.execute("INSERT INTO answer VALUES (?, ?)", (name, bytes(stored)))
        db.execute(
            "INSERT INTO release VALUES (?, ?, ?, ?, '', ?, ?, ?, ?, ?, ?, ?, NULL, ?)",
            (
                *(position, name, text, digest, spend.study, spend.attempt, spend.population),
                *(None if spend.research else square(spend.mu), period, debited, committed, answered),
            ),
        )
        latest = max(latest, debited, committed or "")
    rebuild(db)
    for _, name, text, digest, _, committed in old:
        add_act(db, "debit", name, latest, entry_digest(text, digest, ""))
        if committed is not None:
            row = db.execute("SELECT answer_digest FROM release WHERE release_id = ?", (name,)).fetchone()
            add_act(db, "commit", name, latest, row[0])
    db.execute("DROP TABLE release_1")


def migrate_from_2(db: sqlite3.Connection) -> None:
    """Say that programs which know no releases of everybody must not open the file; its tables are as before."""
    db.execute("UPDATE schema SET version = ?", (SCHEMA_VERSION,))
