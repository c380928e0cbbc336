"""How acts and entries are written down in a ledger's file, and read back.

Every change of a ledger is an act: a debit, a commit, a cancellation, a grant, a change of the calendar, a
restore. An act of kind ``trail`` changes nothing: it says how far the institution's audit trail had come when a
release was charged, so that a trail that is cut off, lost or replaced later shows. Each act holds a hash over the act
before it and its content (Haber & Stornetta 1991).
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from fedrisk.errors import ConfigError, StoreError
from fedrisk.privacy.spend import Spend

TRAIL = "trail"
"""Kind of an act that says where the audit trail ended."""


@dataclass(frozen=True)
class Anchor:
    """Number of entries of the audit trail and hash of the last. restarted: whether a person began the trail anew."""

    count: int
    hash: str
    restarted: bool = False


def add_act(
    db: sqlite3.Connection, kind: str, name: str, time: str, detail: str, *, position: int | None = None
) -> int:
    """Append an act to the chain and return its position; to be called after the totals were changed."""
    count, head = db.execute("SELECT count, head FROM state").fetchone()
    place = count + 1 if position is None else position
    row = db.execute(
        "SELECT mu2 FROM account WHERE scope = 'lifetime' AND name = '' AND period = 0"
    ).fetchone()
    lifetime = 0.0 if row is None else row[0]
    head = next_head(head, place, kind, name, time, detail, lifetime)
    db.execute(
        "INSERT INTO act VALUES (?, ?, ?, ?, ?, ?, ?)", (place, kind, name, time, detail, lifetime, head)
    )
    db.execute("UPDATE state SET count = ?, head = ?, last_time = ?", (place, head, time))
    return int(place)


def next_head(head: str, *content: object) -> str:
    """SHA-256 over the head before and an act's content, hexadecimal."""
    return hashlib.sha256(json.dumps([head, *content]).encode()).hexdigest()


def entry_digest(spend: str, digest: str, purpose: str) -> str:
    """What the chain holds of a debit: SHA-256 over its spend, its request's digest and its purpose."""
    return hashlib.sha256(json.dumps([spend, digest, purpose]).encode()).hexdigest()


def spend_from(text: str, path: Path) -> Spend:
    """The Spend of an entry; StoreError if it cannot be read."""
    try:
        return Spend.from_dict(json.loads(text))
    except (ConfigError, ValueError, TypeError, AttributeError) as error:
        raise StoreError(
            f"ledger {path} holds an entry that cannot be read; restore the latest copy and "
            "charge by hand what came after it"
        ) from error


def add_anchor(db: sqlite3.Connection, anchor: Anchor, time: str, **said: str) -> None:
    """Append an act that says where the audit trail ended, unless the latest of its kind says the same."""
    detail = json.dumps({"count": anchor.count, "hash": anchor.hash, "restarted": anchor.restarted, **said})
    last = db.execute(
        "SELECT detail FROM act WHERE kind = ? ORDER BY position DESC LIMIT 1", (TRAIL,)
    ).fetchone()
    if last is None or last[0] != detail:
        add_act(db, TRAIL, "", time, detail)


def anchor_from(detail: str, path: Path) -> Anchor:
    """Inverse of what ``add_anchor`` writes; StoreError if it cannot be read."""
    try:
        plain = json.loads(detail)
        return Anchor(int(plain["count"]), str(plain["hash"]), bool(plain["restarted"]))
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(
            f"ledger {path} holds an act that cannot be read; restore the latest copy and charge by hand what came "
            "after it"
        ) from error
