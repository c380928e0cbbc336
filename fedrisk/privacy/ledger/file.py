"""The ledger's file: SQLite, its schema and migrations, its chain of acts, and the guard against old copies.

Every change happens in one transaction under ``BEGIN IMMEDIATE`` and adds an act to a hash chain. After it
the seal beside the file is brought forward; a debit leaves that to its commit, since nothing may be sent
before. A commit returns only when both are on the disk, so whatever was sent is charged and sealed. A seal
that is behind is harmless: the next change brings it forward.

Storage uses a rollback journal that is truncated, and ``synchronous = FULL``: the truncation is synced, so what
has returned survives a power cut. (A journal that is deleted would need ``EXTRA`` and costs twice the time.)
A debit uses ``NORMAL``: it survives the end of its process at once, and a power cut from its commit on, which
syncs both. If the power fails between the two, charge and noise are lost together and nothing has left.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from fedrisk.errors import StoreError
from fedrisk.privacy.ledger.caps import EPOCH
from fedrisk.privacy.ledger.rollback_guard import Mark, read_seal, seal_path, sync_folder, write_seal

SCHEMA_VERSION = 2

SCHEMA = (
    "CREATE TABLE schema (version INTEGER NOT NULL)",
    # One row. sealed: whether a seal was ever written; last_time: the latest time used, which never goes back.
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


class LedgerFile:
    """Access to one ledger file. Holds no open connection between calls: safe with threads and forks."""

    def __init__(self, path: Path, wait_seconds: float) -> None:
        self.path = path
        self.seal = seal_path(path)
        self._wait = wait_seconds

    def make(self, *, allowed: bool, guard: bool = True) -> None:
        """Make the file, empty, for its owner only, if it is not there; StoreError if that is not allowed."""
        if self.path.exists():
            return
        if guard and self.seal.exists():
            raise self.lost(f"it is gone, but its seal {self.seal.name} is there")
        if not allowed:
            raise StoreError(
                f"ledger {self.path} does not exist, though this node has one. Nothing may be sent, since a new "
                "ledger would forget what was spent; put the file back, or run 'fedrisk budget restore' with the reason"
            )
        try:
            # Never opened and closed while it exists: that would drop SQLite's locks of this whole process.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            sync_folder(self.path.parent)
        except FileExistsError:
            return
        except OSError as error:
            raise StoreError(
                f"ledger {self.path} cannot be opened for writing ({error.strerror}); "
                "give a path in a directory that the node may write to"
            ) from error

    def open_schema(self, *, allowed: bool, guard: bool = True) -> tuple[int, str]:
        """Make or migrate the tables where that is due, then check the seal; days and epoch of the periods."""
        mark = read_seal(self.seal) if guard else None  # before the ledger is read, which only grows
        with self.connection() as db:
            version = self._version(db)
            if version == SCHEMA_VERSION:
                db.execute("BEGIN")  # one view of state, acts and totals, whatever others add meanwhile
                if guard:
                    self._check_seal(db, mark)
                return _calendar_of(db)
            db.execute("BEGIN IMMEDIATE")
            try:
                version = self._version(db)  # again, under the lock
                if version is not None and mark is not None and version < SCHEMA_VERSION:
                    raise self.lost("it has the tables of an older version than its seal")
                if version is None:
                    if mark is not None:
                        raise self.lost("it is empty, but its seal is not")
                    if not allowed:
                        raise self.lost("it is empty")
                    create(db)
                elif version == 1:
                    from fedrisk.privacy.ledger.migration import migrate_from_1

                    self._backup(version)
                    migrate_from_1(db, self.path)
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
            self._bring_forward(db)
            return _calendar_of(db)

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """A fresh connection to a file that must exist; SQLite's errors become StoreErrors with a remedy."""
        try:
            db = sqlite3.connect(
                f"{self.path.absolute().as_uri()}?mode=rw", uri=True, timeout=self._wait, isolation_level=None
            )
            try:
                db.execute("PRAGMA journal_mode = TRUNCATE")
                db.execute("PRAGMA synchronous = FULL")
                yield db
            finally:
                db.close()
        except sqlite3.Error as error:
            raise store_error(self.path, error) from error

    @contextmanager
    def transaction(self, *, guard: bool = True, seal: bool = True) -> Iterator[sqlite3.Connection]:
        """All or nothing, alone: the lock is taken before anything is read, the seal brought forward after.

        seal False leaves the seal to a later act, unless there is none yet, and the last sync with it: the
        database stays whole in a power cut, which may take back this transaction, as if it had never been. guard False skips the check of
        the seal, and writes it anew.
        """
        with self.connection() as db:
            if not seal:
                db.execute("PRAGMA synchronous = NORMAL")
            db.execute("BEGIN IMMEDIATE")
            try:
                if guard:
                    self._check_seal(db, read_seal(self.seal))
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
            if seal or not self.seal.exists():
                self._bring_forward(db, both=not guard)

    def lost(self, what: str) -> StoreError:
        """The error for a ledger that is not the one that was sealed."""
        return StoreError(
            f"ledger {self.path}: {what}. An older copy was put back, or the file was lost, and charges would be "
            "forgotten. Nothing may be sent; put the latest file back, or, if there is none, run "
            "'fedrisk budget restore' with the reason and charge by hand what came after the copy"
        )

    def _bring_forward(self, db: sqlite3.Connection, *, both: bool = False) -> None:
        """Bring the seal to the ledger's last act, under the ledger's lock, so that it never goes back."""
        count, head, sealed = db.execute("SELECT count, head, sealed FROM state").fetchone()
        if count == 0 or (not both and read_seal(self.seal) == Mark(count, head)):
            return
        db.execute("BEGIN IMMEDIATE")
        try:
            count, head, sealed = db.execute("SELECT count, head, sealed FROM state").fetchone()
            write_seal(self.seal, Mark(count, head), both=both)
            if not sealed:
                db.execute("UPDATE state SET sealed = 1")
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    def _check_seal(self, db: sqlite3.Connection, mark: Mark | None) -> None:
        row = db.execute("SELECT count, head, sealed FROM state").fetchone()
        if row is None:
            raise damaged(self.path, "its state is gone")
        count, head, sealed = row
        last = db.execute(
            "SELECT a.head, a.lifetime, t.mu2 FROM act a LEFT JOIN account t "
            "ON t.scope = 'lifetime' AND t.name = '' AND t.period = 0 WHERE a.position = ?",
            (count,),
        ).fetchone()
        if count and (last is None or last[0] != head or last[1] != (last[2] or 0.0)):
            raise damaged(self.path, "its totals do not agree with its last act")
        if mark is None:
            if sealed:
                raise self.lost(f"its seal {self.seal.name} is gone")
            return
        if mark.count > count:
            raise self.lost(f"it ends at act {count}, its seal at {mark.count}")
        sealed_head = db.execute("SELECT head FROM act WHERE position = ?", (mark.count,)).fetchone()
        if sealed_head is None or sealed_head[0] != mark.head:
            raise self.lost(f"act {mark.count} is not the one that was sealed")

    def _version(self, db: sqlite3.Connection) -> int | None:
        """The schema's version; None for a file without tables. StoreError for what this program cannot read."""
        tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not tables:
            return None
        row = db.execute("SELECT version FROM schema").fetchone() if "schema" in tables else None
        if row is None or "release" not in tables:
            raise StoreError(f"{self.path} is a database but no ledger; give the ledger's own path")
        version = row[0]
        if not isinstance(version, int) or not 1 <= version <= SCHEMA_VERSION:
            raise StoreError(
                f"ledger {self.path} has schema version {version}, this program knows {SCHEMA_VERSION}; "
                "upgrade the program, do not downgrade the file"
            )
        return version

    def _backup(self, version: int) -> None:
        """A whole copy beside the file, while the caller holds the lock and has changed nothing yet."""
        backup = self.path.with_name(f"{self.path.name}.version{version}")
        unfinished = backup.with_name(backup.name + ".unfinished")
        try:
            unfinished.unlink(missing_ok=True)
            os.close(os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            with self.connection() as source, closing(sqlite3.connect(unfinished)) as copy:
                source.backup(copy)
            os.replace(unfinished, backup)
            sync_folder(backup.parent)
        except OSError as error:
            raise StoreError(
                f"the copy {backup} before the migration cannot be written ({error.strerror}); nothing was "
                "changed. Free space or give write access, and repeat"
            ) from error


def _calendar_of(db: sqlite3.Connection) -> tuple[int, str]:
    days, epoch = db.execute("SELECT days, epoch FROM state").fetchone()
    return int(days), str(epoch)


def create(db: sqlite3.Connection) -> None:
    """Make the tables of the present version in an empty database."""
    for statement in SCHEMA:
        db.execute(statement)
    db.execute("INSERT INTO schema VALUES (?)", (SCHEMA_VERSION,))
    db.execute("INSERT INTO state VALUES (0, ?, 0, ?, 365, ?)", (_NO_HEAD, FIRST_TIME, EPOCH.isoformat()))


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


def damaged(path: Path, what: str) -> StoreError:
    """The error for a file whose content contradicts itself."""
    return StoreError(f"ledger {path}: {what}. It is damaged. Nothing may be sent; {_DAMAGED[1]}")


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


def store_error(path: Path, error: sqlite3.Error) -> StoreError:
    """The StoreError for SQLite's error; extended names (SQLITE_IOERR_WRITE) go by their first two words."""
    name = "_".join(getattr(error, "sqlite_errorname", type(error).__name__).split("_")[:2])
    what, remedy = _REMEDIES.get(name, ("SQLite failed", "look up this code and repeat the request"))
    return StoreError(f"ledger {path}: {what} ({name}). Nothing may be sent; {remedy}")
