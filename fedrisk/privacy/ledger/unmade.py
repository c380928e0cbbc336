"""The ledger of an institution that has none yet, for reading: nothing spent, everything left, and no file made."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from fedrisk.errors import NothingYet
from fedrisk.privacy.ledger.caps import Calendar, Caps, limits_of
from fedrisk.privacy.ledger.file import LedgerFile
from fedrisk.privacy.ledger.ledger import Ledger
from fedrisk.privacy.ledger.schema import create


class UnmadeLedger(Ledger):
    """What a new ledger under these caps would say. NothingYet from every method that would write."""

    def __init__(self, path: str | Path, caps: Caps | float) -> None:
        self.path = Path(path)
        self.limits = limits_of(caps)
        self._clock = lambda: datetime.now(UTC)
        self._file = _InMemory(self.path, self.limits.calendar)

    def audit(self) -> int:
        """No acts."""
        return 0


class _InMemory(LedgerFile):
    """New tables for each connection."""

    def __init__(self, path: Path, calendar: Calendar | None) -> None:
        super().__init__(path, 0.0)
        self._calendar = calendar or Calendar()

    def make(self, *, allowed: bool, check_guard: bool = True) -> None:
        """Nothing."""

    def open_schema(self, *, allowed: bool, check_guard: bool = True) -> Calendar:
        """The calendar of the caps."""
        return self._calendar

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """A fresh database in memory."""
        db = sqlite3.connect(":memory:", isolation_level=None)
        try:
            create(db)
            days, epoch = self._calendar.days, self._calendar.epoch.isoformat()
            db.execute("UPDATE state SET days = ?, epoch = ?", (days, epoch))
            yield db
        finally:
            db.close()

    @contextmanager
    def transaction(
        self, *, check_guard: bool = True, advance_guard: bool = True
    ) -> Iterator[sqlite3.Connection]:
        """NothingYet."""
        raise NothingYet(f"ledger {self.path} does not exist yet; a study or an act of the budget makes it")
        yield
