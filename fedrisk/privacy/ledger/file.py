"""The ledger's file: access to SQLite in whole transactions, and the guard against old copies.

Every change happens in one transaction under ``BEGIN IMMEDIATE`` and adds an act to a hash chain. After it
the guard beside the file is brought forward; a debit leaves that to its commit, since nothing may be sent
before. A commit returns only when both are on the disk, so whatever was sent is charged, and the guard
remembers it. A guard that is behind does no harm: the next change brings it forward.

Storage uses a rollback journal that is truncated, and ``synchronous = FULL``: the truncation is synced, so
what has returned survives a power cut. (A journal that is deleted would need ``EXTRA`` and cost twice the
time.) A debit uses ``NORMAL``: it survives the end of its process at once, and a power cut from its commit
on, which syncs both. If the power fails between the two, charge and noise are lost together and nothing has
left.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from fedrisk.errors import StoreError
from fedrisk.files import tighten
from fedrisk.privacy.ledger.caps import Calendar
from fedrisk.privacy.ledger.faults import damaged, lost, store_error
from fedrisk.privacy.ledger.migration import migrate_from_1, migrate_from_2
from fedrisk.privacy.ledger.rollback_guard import Mark, guard_path, read_guard, sync_folder, write_guard
from fedrisk.privacy.ledger.schema import SCHEMA_VERSION, calendar_of, create, version_of


class LedgerFile:
    """Access to one ledger file. Holds no open connection between calls: safe with threads and forks."""

    def __init__(self, path: Path, wait_seconds: float) -> None:
        self.path = path
        self.guard_path = guard_path(path)
        self._wait = wait_seconds

    def make(self, *, allowed: bool, check_guard: bool = True) -> None:
        """Make the file, empty, for its owner only, if it is not there; StoreError if that is not allowed."""
        if self.path.exists():
            for file in (self.path, self.guard_path):
                with suppress(FileNotFoundError):
                    tighten(file)
            return
        # Another process may make the ledger and its guard between two looks: the path is looked for again.
        if check_guard and self.guard_path.exists() and not self.path.exists():
            raise lost(self.path, f"it is gone, but its guard {self.guard_path.name} is there")
        if not allowed:
            raise StoreError(
                f"ledger {self.path} does not exist, though this node has one. Nothing may be sent, since a "
                "new ledger would forget what was spent; put the file back, or run 'fedrisk budget restore' "
                "with the reason"
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

    def open_schema(self, *, allowed: bool, check_guard: bool = True) -> Calendar:
        """Make or migrate the tables where that is due, check the guard, and return the file's calendar."""
        # Before the ledger is read, which only grows.
        mark = read_guard(self.guard_path) if check_guard else None
        with self.connection() as db:
            if version_of(db, self.path) == SCHEMA_VERSION:
                # One view of state, acts and totals, whatever other processes add meanwhile.
                db.execute("BEGIN")
                if check_guard and mark is None and db.execute("SELECT sealed FROM state").fetchone() == (1,):
                    # Another process may have written the first guard since: the guard first, then the view.
                    mark = read_guard(self.guard_path)
                    db.execute("ROLLBACK")
                    db.execute("BEGIN")
                if check_guard:
                    self._check_guard(db, mark)
                return calendar_of(db)
            with _rolled_back_on_error(db):
                self._bring_tables(db, mark, allowed=allowed, check_guard=check_guard)
            self._advance_guard(db)
            return calendar_of(db)

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
    def snapshot(self, *, check_guard: bool = True) -> Iterator[sqlite3.Connection]:
        """One state of the file, checked against the guard, to be read whatever other processes add meanwhile."""
        # Before the ledger is read, which only grows.
        mark = read_guard(self.guard_path) if check_guard else None
        with self.connection() as db:
            db.execute("BEGIN")
            if not check_guard:
                yield db
                return
            if mark is None and db.execute("SELECT sealed FROM state").fetchone() == (1,):
                # Another process may have written the first guard since: the guard first, then the view.
                mark = read_guard(self.guard_path)
                db.execute("ROLLBACK")
                db.execute("BEGIN")
            self._check_guard(db, mark)
            yield db

    @contextmanager
    def transaction(
        self, *, check_guard: bool = True, advance_guard: bool = True
    ) -> Iterator[sqlite3.Connection]:
        """All or nothing, alone: the lock is taken before anything is read, the guard brought forward after.

        advance_guard False leaves the guard to a later act, unless there is none yet, and the last sync with
        it: the database stays whole in a power cut, which may take back this transaction, as if it had never
        been. check_guard False skips the check of the guard, and writes both its slots.
        """
        with self.connection() as db:
            if not advance_guard:
                db.execute("PRAGMA synchronous = NORMAL")
            with _rolled_back_on_error(db):
                if check_guard:
                    self._check_guard(db, read_guard(self.guard_path))
                yield db
            if advance_guard or not self.guard_path.exists():
                self._advance_guard(db, both=not check_guard)

    def _bring_tables(
        self, db: sqlite3.Connection, mark: Mark | None, *, allowed: bool, check_guard: bool
    ) -> None:
        """Make or migrate the tables, under the lock."""
        version = version_of(db, self.path)
        if version is None:
            if mark is not None:
                raise lost(self.path, "it is empty, but its guard is not")
            if not allowed:
                raise lost(self.path, "it is empty")
            create(db)
        elif version == 2:
            if check_guard:
                self._check_guard(db, mark)
            migrate_from_2(db)
        elif version < SCHEMA_VERSION:
            if mark is not None:
                raise lost(self.path, "it has the tables of an older version than its guard")
            self._backup(version)
            migrate_from_1(db, self.path)

    def _advance_guard(self, db: sqlite3.Connection, *, both: bool = False) -> None:
        """Bring the guard to the ledger's last act, under the ledger's lock, so that it never goes back."""
        count, head = db.execute("SELECT count, head FROM state").fetchone()
        if count == 0 or (not both and read_guard(self.guard_path) == Mark(count, head)):
            return
        with _rolled_back_on_error(db):
            count, head, sealed = db.execute("SELECT count, head, sealed FROM state").fetchone()
            write_guard(self.guard_path, Mark(count, head), both=both)
            if not sealed:
                db.execute("UPDATE state SET sealed = 1")

    def _check_guard(self, db: sqlite3.Connection, mark: Mark | None) -> None:
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
                raise lost(self.path, f"its guard {self.guard_path.name} is gone")
            return
        if mark.count > count:
            raise lost(self.path, f"it ends at act {count}, its guard at {mark.count}")
        marked_head = db.execute("SELECT head FROM act WHERE position = ?", (mark.count,)).fetchone()
        if marked_head is None or marked_head[0] != mark.head:
            raise lost(self.path, f"act {mark.count} is not the one that its guard remembers")

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


@contextmanager
def _rolled_back_on_error(db: sqlite3.Connection) -> Iterator[None]:
    """A transaction under the write lock: committed at the end, rolled back by whatever is raised in it."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
