"""Running totals of the ledger: what a spend adds to each account, in squared Gaussian-DP mu.

There is one account for life, and in every accounting period one for everything, one for each purpose and one
for each study. Each is a fully adaptive filter (Smith & Thakurta 2022): prices are fixed before noise is
drawn, mu^2 adds, and the sum stops at a bound fixed beforehand. Within an account an attempt is charged the
dearer of its two populations, since every enterprise is on one side only; a release of all counts on both sides.
Attempts add up.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from fedrisk.privacy.spend import SIDES

_SMALL, _LARGE = 1e-300, 1e300


class Key(NamedTuple):
    """Names an account.

    scope: "lifetime", "period", "purpose" or "study". name: of the purpose or study, else empty. period: its
    number, 0 for life.
    """

    scope: str
    name: str
    period: int


class Row(NamedTuple):
    """What the accounts need of a charged release. population: "training", "holdout" or "all"."""

    study: str
    attempt: str
    population: str
    mu2: float
    purpose: str
    period: int


@dataclass
class Account:
    """Total mu^2 of one account before (``old``) and after (``mu2``) the rows that were added."""

    id: int | None = None
    old: float = 0.0
    mu2: float = 0.0
    sides: dict[tuple[str, str], list[float]] = field(default_factory=dict)


def square(mu: float) -> float:
    """``mu`` squared, kept within 1e-300 .. 1e300, so that a price never underflows to none.

    >>> square(3.0), square(0.0), square(1e-200)
    (9.0, 0.0, 1e-300)
    """
    return 0.0 if mu == 0.0 else min(max(mu * mu, _SMALL), _LARGE)


def keys_of(row: Row) -> tuple[Key, ...]:
    """The accounts that a row is charged to, the lifetime account first."""
    return (
        Key("lifetime", "", 0),
        Key("period", "", row.period),
        Key("purpose", row.purpose, row.period),
        Key("study", row.study, row.period),
    )


def add(accounts: dict[Key, Account], row: Row, db: sqlite3.Connection | None = None) -> None:
    """Charge a row to its accounts in memory; one that is not there is read from ``db`` or starts at zero."""
    for key in keys_of(row):
        if key not in accounts:
            accounts[key] = Account() if db is None else read(db, key)
        account, attempt = accounts[key], (row.study, row.attempt)
        if attempt not in account.sides:
            account.sides[attempt] = [0.0, 0.0] if db is None else _sides(db, account, attempt)
        sides = account.sides[attempt]
        before = max(sides)
        for side in SIDES[row.population]:
            sides[side == "holdout"] += row.mu2
        account.mu2 += max(sides) - before


def read(db: sqlite3.Connection, key: Key) -> Account:
    """An account as the file has it; zero if it was never charged."""
    row = db.execute(
        "SELECT id, mu2 FROM account WHERE scope = ? AND name = ? AND period = ?", tuple(key)
    ).fetchone()
    return Account() if row is None else Account(row[0], row[1], row[1])


def write(db: sqlite3.Connection, accounts: Mapping[Key, Account]) -> None:
    """Store changed accounts, in the caller's transaction."""
    for key, account in accounts.items():
        if account.id is None:
            account.id = db.execute(
                "INSERT INTO account (scope, name, period, mu2) VALUES (?, ?, ?, ?)", (*key, account.mu2)
            ).lastrowid
        else:
            db.execute("UPDATE account SET mu2 = ? WHERE id = ?", (account.mu2, account.id))
        db.executemany(
            "INSERT OR REPLACE INTO side VALUES (?, ?, ?, ?, ?)",
            [(account.id, *attempt, *sides) for attempt, sides in account.sides.items()],
        )


def recompute(rows: Iterable[Row]) -> dict[Key, Account]:
    """All accounts from the entries alone."""
    accounts: dict[Key, Account] = {}
    for row in rows:
        add(accounts, row)
    return accounts


def charged_rows(db: sqlite3.Connection) -> list[Row]:
    """The rows of all releases that count: neither research nor cancelled."""
    found = db.execute(
        "SELECT study, attempt, population, mu2, purpose, period FROM release "
        "WHERE mu2 IS NOT NULL AND cancelled IS NULL ORDER BY position"
    )
    return [Row(*row) for row in found]


def reserved(db: sqlite3.Connection, period: int | None) -> float:
    """mu^2 of what is debited and neither committed nor cancelled, in one period or (None) ever."""
    row = db.execute(
        "SELECT SUM(MAX(training, holdout)) FROM (SELECT "
        "SUM(CASE WHEN population IN ('training', 'all') THEN mu2 ELSE 0.0 END) AS training, "
        "SUM(CASE WHEN population IN ('holdout', 'all') THEN mu2 ELSE 0.0 END) AS holdout "
        "FROM release WHERE committed IS NULL AND cancelled IS NULL AND mu2 IS NOT NULL"
        + ("" if period is None else " AND period = ?")
        + " GROUP BY study, attempt)",
        () if period is None else (period,),
    ).fetchone()
    return float(row[0] or 0.0)


def rebuild(db: sqlite3.Connection) -> None:
    """Replace all totals by those of the entries; after a cancellation or a change of the calendar."""
    db.execute("DELETE FROM side")
    db.execute("DELETE FROM account")
    write(db, recompute(charged_rows(db)))


def _sides(db: sqlite3.Connection, account: Account, attempt: tuple[str, str]) -> list[float]:
    row = db.execute(
        "SELECT training, holdout FROM side WHERE account = ? AND study = ? AND attempt = ?",
        (account.id, *attempt),
    ).fetchone()
    return [0.0, 0.0] if row is None else list(row)
