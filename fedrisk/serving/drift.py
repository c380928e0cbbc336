"""How an institution's data drift away from its dictionary and from the study, counted at home.

Whoever looks rows up answers by rule (data/as_it_is, serving/current); here is counted what the rules changed, by
column and kind, of the rows that were asked for. The first of a kind in a day is told to the log, with the name of the
column and never a value. Beside that stands how often each bin of a model was asked for, for the stability index
(analysis/stability). Counts are the institution's own: they lie in ``drift.json`` and go nowhere.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import json
import logging
import threading
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fedrisk.data.column_checks import OUTSIDE, UNLISTED, UNREADABLE
from fedrisk.errors import StoreError
from fedrisk.files import locked, read_kept, write_atomic
from fedrisk.models.binning import Bins

KINDS: Final = {
    "gone": "a column is gone from the table; all its values count as missing",
    "unlisted": "a category is not in the list of the dictionary and counts as missing",
    "outside": "a number lies outside its public bounds and counts as the bound",
    "unreadable": "a value cannot be read and counts as missing",
    "lacking": "a value is missing where the model has no bin for that; the enterprise counts as unknown",
    "repeated": "an enterprise has several rows and counts as unknown",
    "undated": "a row has no readable day and counts as missing",
    "ahead": "a row is of a day in the future and counts as missing",
    "broken": "the table's file could not be taken as it is; rows are those of its last good state",
}
"""What was answered by rule, as sentences for the log and the screen."""

BY_FLAW: Final = {UNREADABLE: "unreadable", UNLISTED: "unlisted", OUTSIDE: "outside"}

KEPT_DAYS, KEPT_MONTHS = 31, 13
"""Days and months of which counts are kept apart from the total."""

WRITE_SECONDS = 5.0
"""After so long counts are on the disk."""

FILE = "drift.json"

log = logging.getLogger("fedrisk.serving")

Count = Annotated[int, Field(ge=0)]
Columns = dict[str, dict[str, Count]]


class Drift(BaseModel):
    """What was counted.

    Attributes:
        since: first day (UTC). asked: rows that were looked up, by day. days: rows by day, column and kind, of the last
            days. total, total_asked: the same since the first day.
        bins: rows by month, key of a feature's bins (:func:`key_of`), and bin.
    """

    model_config = ConfigDict(extra="forbid")

    format: int = 1
    since: date
    asked: dict[date, Count] = Field(default_factory=dict)
    days: dict[date, Columns] = Field(default_factory=dict)
    total_asked: Count = 0
    total: Columns = Field(default_factory=dict)
    bins: dict[str, dict[str, list[Count]]] = Field(default_factory=dict)

    def add(self, other: Drift) -> None:
        """Add counts up, and forget days and months that are long ago."""
        for day, rows in other.asked.items():
            self.asked[day] = self.asked.get(day, 0) + rows
        for day, columns in other.days.items():
            _add(self.days.setdefault(day, {}), columns)
        for month, keys in other.bins.items():
            mine = self.bins.setdefault(month, {})
            for key, counts in keys.items():
                old = mine.get(key, [0] * len(counts))
                mine[key] = [a + b for a, b in zip(old, counts, strict=True)]
        self.total_asked += other.total_asked
        _add(self.total, other.total)
        for kept in (self.asked, self.days):
            for day in sorted(kept)[:-KEPT_DAYS]:
                del kept[day]
        for month in sorted(self.bins)[:-KEPT_MONTHS]:
            del self.bins[month]

    def note(self, day: date, asked: int, columns: Columns) -> None:
        """Count what one look-up found."""
        self.asked[day] = self.asked.get(day, 0) + asked
        self.total_asked += asked
        _add(self.days.setdefault(day, {}), columns)
        _add(self.total, columns)


def key_of(bins: Bins) -> str:
    """What counts of a feature's bins are kept under: its column, and a digest of the bins.

    >>> from fedrisk.data.features import Feature
    >>> key_of(Bins(Feature(institution="tax", column="sales", low=0, high=9), edges=(3.0,)))[:6]
    'sales@'
    """
    stored = json.dumps(bins.to_dict(), sort_keys=True).encode()
    return f"{bins.feature.column}@{hashlib.sha256(stored).hexdigest()[:16]}"


def read_drift(folder: Path) -> Drift | None:
    """What was counted in a folder for serving; None where nothing was. StoreError where the file is damaged."""
    file = folder / FILE
    if not file.exists():
        return None
    try:
        return Drift.model_validate_json(read_kept(file, "remove it: counts begin anew"))
    except ValidationError:
        raise StoreError(f"{file} is damaged; remove it: counts begin anew") from None


class Counters:
    """Counts of one folder, for several threads; those of several processes add up in the file.

    They are written a few seconds later, by a thread of their own: nobody who asks waits for the disk.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._left: Drift | None = None
        self._timer: threading.Timer | None = None
        self._told: tuple[date, set[tuple[str, str]]] = (date.min, set())

    @classmethod
    def of(cls, folder: Path) -> Counters:
        """The counters of a folder in this process, which are there once."""
        folder = folder.absolute()
        with _all_lock:
            found = _all.get(folder)
            if found is None:
                found = _all[folder] = cls(folder)
                atexit.register(found.write)
        return found

    def note(self, asked: int, columns: Mapping[str, Mapping[str, int]]) -> None:
        """Count rows that were looked up, and those of each column and kind that were answered by rule."""
        found = {c: {k: int(n) for k, n in kinds.items() if n} for c, kinds in columns.items()}
        found = {c: kinds for c, kinds in found.items() if kinds}
        with self._lock:
            self._pending().note(_today(), asked, found)
        self._tell(found)

    def note_bins(self, counts: Mapping[str, list[int]]) -> None:
        """Count bins of features, by the key of these."""
        with self._lock:
            mine = self._pending().bins.setdefault(f"{_today():%Y-%m}", {})
            for key, rows in counts.items():
                old = mine.get(key)
                mine[key] = rows if old is None else [a + b for a, b in zip(old, rows, strict=True)]

    def write(self) -> None:
        """Add what was counted to the file; where the disk takes nothing, it is kept for the next time."""
        with self._lock:
            left, self._left, timer, self._timer = self._left, None, self._timer, None
        if timer is not None:
            timer.cancel()
        if left is None:
            return
        try:
            with locked(self._folder / f"{FILE}.lock"):
                found = self._read(left)
                found.add(left)
                write_atomic(self._folder / FILE, found.model_dump_json().encode())
        except (OSError, StoreError):
            with self._lock:
                if self._left is not None:
                    left.add(self._left)
                self._left = left

    def _read(self, left: Drift) -> Drift:
        with contextlib.suppress(StoreError):
            found = read_drift(self._folder)
            if found is not None:
                return found
        return Drift(since=left.since)

    def _pending(self) -> Drift:
        """What is not written yet; from now on it will be."""
        if self._left is None:
            self._left = Drift(since=_today())
        if self._timer is None:
            self._timer = threading.Timer(WRITE_SECONDS, self.write)
            self._timer.daemon = True
            self._timer.start()
        return self._left

    def _tell(self, columns: Columns) -> None:
        """Tell the log what was not told today."""
        today = _today()
        new = []
        with self._lock:
            if self._told[0] != today:
                self._told = (today, set())
            for column, kinds in columns.items():
                for kind, rows in kinds.items():
                    if (column, kind) not in self._told[1]:
                        self._told[1].add((column, kind))
                        new.append((column, kind, rows))
        for column, kind, rows in new:
            log.warning(KINDS[kind], extra={"event": "drift", "column": column, "code": kind, "rows": rows})


_all: dict[Path, Counters] = {}
_all_lock = threading.Lock()


def _add(to: Columns, more: Mapping[str, Mapping[str, int]]) -> None:
    for column, kinds in more.items():
        to[column] = dict(Counter(to.get(column, {})) + Counter(kinds))


def _today() -> date:
    return datetime.now(UTC).date()


def dumps(found: Drift) -> dict[str, object]:
    """What was counted, for JSON."""
    out: dict[str, object] = json.loads(found.model_dump_json(exclude={"format", "bins"}))
    return out
