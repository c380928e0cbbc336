"""An institution's own account of what it has given away, on its own disk.

A release is debited before its noise is drawn and stays charged whatever happens afterwards: a share that may
have left cannot be called back. Prices are Gaussian-DP mu and add as squares against one cap that was fixed
beforehand, which makes the ledger a fully adaptive privacy filter (Smith & Thakurta 2022): studies may be
chosen after seeing earlier results, and the whole stays cap-GDP.

The life of a release: ``debit`` (reserved and charged), noise, ``commit`` of the bytes, then sending. If the
same request comes again, ``answer`` returns the stored bytes; noise is never drawn twice for one charge.

Storage is SQLite with a rollback journal and ``synchronous = EXTRA``: a transaction that has returned
survives a power cut, the directory entry of the journal included. Every change happens under ``BEGIN
IMMEDIATE``, so processes and threads share one ledger and cannot overspend together. Two limits no file can
lift: putting back an old copy, or deleting the file, forgets charges (keep it out of roll-backs of the
machine), and network disks with broken locks void the protection.
"""

from __future__ import annotations

import json
import math
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fedrisk.errors import BudgetError, ConfigError, ProtocolError, StoreError
from fedrisk.privacy.accounting import epsilon_for
from fedrisk.privacy.spend import Spend, charge

SCHEMA_VERSION = 1

_ROUNDING = 1e-9
"""Relative slack on the cap, so that a budget split into parts can be spent to its end in floating point."""

_SCHEMA = (
    "CREATE TABLE schema (version INTEGER NOT NULL)",
    """CREATE TABLE release (
        position INTEGER PRIMARY KEY AUTOINCREMENT,
        release_id TEXT NOT NULL UNIQUE,
        spend TEXT NOT NULL,
        digest TEXT NOT NULL,
        debited TEXT NOT NULL,
        committed TEXT,
        answer BLOB
    )""",
)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of the ledger. ``debited`` and ``committed`` are UTC times in ISO 8601, or None."""

    release_id: str
    spend: Spend
    digest: str
    debited: str
    committed: str | None


class Ledger:
    """The account of one institution in one file, against one cap.

    path: the SQLite file, made if it is not there, for its owner only. cap_mu: what all attempts
    together may cost, in mu; part of the policy, so it is given anew each time and may be changed there.
    wait_seconds: how long to wait for another process that holds the lock.

    Holds no open connection between calls, so it may be used from threads and after a fork. Raises StoreError
    if the file cannot be used, is damaged, is something else, or was written by a newer version.
    """

    def __init__(self, path: str | Path, cap_mu: float, *, wait_seconds: float = 30.0) -> None:
        if not cap_mu >= 0.0:
            raise ConfigError(f"cap_mu is {cap_mu}; it must be 0 or more")
        self.path = Path(path)
        self.cap_mu = float(cap_mu)
        self._wait = wait_seconds
        try:
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise StoreError(
                f"ledger {self.path} cannot be opened for writing ({error.strerror}); "
                "give a path in a directory that the node may write to"
            ) from error
        with self._transaction() as db:
            self._open_schema(db)

    def debit(self, release_id: str, spend: Spend, digest: str) -> None:
        """Charge one release; to be called before its noise is drawn.

        release_id names the release for good; digest is that of the request it answers. The same three again
        cost nothing more, whether committed or not. A research spend is recorded and marked at no charge,
        since it is no privacy at any price; whether the institution allows such runs is for its policy to
        say, before.

        Raises BudgetError if the cap does not suffice (nothing is recorded), ProtocolError if release_id was
        used with another spend or digest, StoreError if the disk fails.
        """
        if not release_id or not digest:
            raise ProtocolError("a debit needs a release id and a digest that are not empty")
        with self._transaction() as db:
            known = db.execute(
                "SELECT spend, digest FROM release WHERE release_id = ?", (release_id,)
            ).fetchone()
            if known is not None:
                if (self._spend(known[0]), known[1]) != (spend, digest):
                    raise ProtocolError(
                        f"release {release_id} was debited before with another spend or digest; "
                        "a changed request needs a new attempt, with its own id and charge"
                    )
                return
            self._check_cap(self._spends(db), [spend])
            db.execute(
                "INSERT INTO release (release_id, spend, digest, debited) VALUES (?, ?, ?, ?)",
                (release_id, json.dumps(spend.to_dict(), allow_nan=False), digest, _now()),
            )

    def commit(self, release_id: str, answer: bytes) -> None:
        """Store the bytes of a debited release durably; to be called before they are sent.

        The same bytes again change nothing. Raises ProtocolError if the release was never debited, or was
        committed with other bytes; StoreError if the disk fails (then nothing must be sent).
        """
        with self._transaction() as db:
            known = db.execute(
                "SELECT committed, answer FROM release WHERE release_id = ?", (release_id,)
            ).fetchone()
            if known is None:
                raise ProtocolError(f"release {release_id} was never debited; debit it before noise is drawn")
            if known[0] is not None:
                if known[1] != answer:
                    raise ProtocolError(
                        f"release {release_id} is committed with other bytes; send the stored ones"
                    )
                return
            db.execute(
                "UPDATE release SET committed = ?, answer = ? WHERE release_id = ?",
                (_now(), bytes(answer), release_id),
            )

    def answer(self, release_id: str) -> bytes | None:
        """The stored bytes of a committed release; None if it is unknown or only reserved."""
        with self._connection() as db:
            row = db.execute("SELECT answer FROM release WHERE release_id = ?", (release_id,)).fetchone()
        return None if row is None or row[0] is None else bytes(row[0])

    def spent(self) -> float:
        """Mu charged so far, reserved entries included: root of the sum over attempts of the larger
        population.

        Research entries are not in it; see ``entries``.
        """
        with self._connection() as db:
            return charge(_charged(self._spends(db)))

    def left(self) -> float:
        """Mu that one further attempt may cost: ``sqrt(cap^2 - spent^2)``, 0 if the cap is below spent."""
        return _rest(self.cap_mu, self.spent())

    def entries(self) -> tuple[Entry, ...]:
        """All lines in the order in which they were debited, research ones among them."""
        with self._connection() as db:
            rows = db.execute(
                "SELECT release_id, spend, digest, debited, committed FROM release ORDER BY position"
            ).fetchall()
        return tuple(
            Entry(
                release_id=row[0], spend=self._spend(row[1]), digest=row[2], debited=row[3], committed=row[4]
            )
            for row in rows
        )

    def reserve_check(self, spends: Iterable[Spend]) -> None:
        """Whether a whole study would fit, before it starts; BudgetError as in ``debit`` if it would not.

        Records nothing and promises nothing: another study may spend in between. Give only spends that are
        not debited yet, as those of the same attempt that are debited count already.
        """
        asked = list(spends)
        with self._connection() as db:
            self._check_cap(self._spends(db), asked)

    def _check_cap(self, known: list[Spend], asked: list[Spend]) -> None:
        asked = _charged(asked)
        if not asked:
            return
        known = _charged(known)
        after = charge([*known, *asked])
        if after <= self.cap_mu * (1.0 + _ROUNDING):
            return
        delta = min(spend.delta for spend in asked)
        before = charge(known)

        def epsilon(mu: float) -> str:
            return f"{epsilon_for(mu, delta):.3g}"

        raise BudgetError(
            f"privacy budget: spent epsilon {epsilon(before)}, asked {epsilon(charge(asked))}, together "
            f"{epsilon(after)}, cap {epsilon(self.cap_mu)}, all at delta {delta:g} (in mu, whose squares add "
            f"up: {before:.4g}, {charge(asked):.4g}, {after:.4g}, cap {self.cap_mu:.4g}). Lower the study's "
            f"epsilon to {epsilon(_rest(self.cap_mu, before))} or less, or have the institution raise its cap"
        )

    def _spends(self, db: sqlite3.Connection) -> list[Spend]:
        return [self._spend(row[0]) for row in db.execute("SELECT spend FROM release").fetchall()]

    def _spend(self, text: str) -> Spend:
        try:
            return Spend.from_dict(json.loads(text))
        except (ConfigError, ValueError, TypeError) as error:
            raise StoreError(
                f"ledger {self.path} holds an entry that cannot be read; restore the latest copy and "
                "charge by hand what came after it"
            ) from error

    def _open_schema(self, db: sqlite3.Connection) -> None:
        tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not tables:
            for statement in _SCHEMA:
                db.execute(statement)
            db.execute("INSERT INTO schema VALUES (?)", (SCHEMA_VERSION,))
            return
        row = db.execute("SELECT version FROM schema").fetchone() if "schema" in tables else None
        if row is None or "release" not in tables:
            raise StoreError(f"{self.path} is a database but no ledger; give the ledger's own path")
        if row[0] != SCHEMA_VERSION:
            raise StoreError(
                f"ledger {self.path} has schema version {row[0]}, this program knows {SCHEMA_VERSION}; "
                "upgrade the program, do not downgrade the file"
            )
        if db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise StoreError(f"ledger {self.path}: {_DAMAGED[0]}. Nothing may be sent; {_DAMAGED[1]}")

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """A fresh connection to a file that must exist; SQLite's errors become StoreErrors with a remedy."""
        try:
            db = sqlite3.connect(
                f"{self.path.absolute().as_uri()}?mode=rw", uri=True, timeout=self._wait, isolation_level=None
            )
            try:
                db.execute("PRAGMA journal_mode = DELETE")
                db.execute("PRAGMA synchronous = EXTRA")
                yield db
            finally:
                db.close()
        except sqlite3.Error as error:
            raise _store_error(self.path, error) from error

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, alone: the lock is taken before anything is read."""
        with self._connection() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise


def _charged(spends: Iterable[Spend]) -> list[Spend]:
    return [spend for spend in spends if not spend.research]


def _rest(cap: float, spent: float) -> float:
    return math.inf if cap == math.inf else math.sqrt(max(0.0, (cap - spent) * (cap + spent)))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


_DAMAGED = ("it is damaged", "restore the latest copy and charge by hand what came after it")
_REMEDIES = {
    "SQLITE_CORRUPT": _DAMAGED,
    "SQLITE_TOOBIG": ("the answer is too large for one entry", "release it in blocks"),
    "SQLITE_FULL": ("the disk is full", "free space and repeat the request"),
    "SQLITE_IOERR": ("the disk failed to read or write", "check disk and quota, then repeat the request"),
    "SQLITE_READONLY": ("it is read-only", "give the node's user write access to the file and its directory"),
    "SQLITE_PERM": ("access is denied", "give the node's user write access to the file and its directory"),
    "SQLITE_CANTOPEN": ("it cannot be opened", "check that file and directory exist and may be written"),
    "SQLITE_BUSY": ("another process holds it", "end that process, or wait longer, and repeat the request"),
    "SQLITE_LOCKED": ("another process holds it", "end that process, or wait longer, and repeat the request"),
    "SQLITE_NOTADB": ("it is no ledger file", "give the ledger's own path, or restore the latest copy"),
}


def _store_error(path: Path, error: sqlite3.Error) -> StoreError:
    """The StoreError for SQLite's error; extended names (SQLITE_IOERR_WRITE) go by their first two words."""
    name = "_".join(getattr(error, "sqlite_errorname", type(error).__name__).split("_")[:2])
    what, remedy = _REMEDIES.get(name, ("SQLite failed", "look up this code and repeat the request"))
    return StoreError(f"ledger {path}: {what} ({name}). Nothing may be sent; {remedy}")
