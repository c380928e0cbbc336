"""An institution's data as they are now: rows of enterprises that somebody asks for, typed as in a study."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedrisk.alignment.ids import normalise
from fedrisk.data.as_it_is import Taking
from fedrisk.data.dictionary import Dictionary
from fedrisk.data.history_kinds import MOST_MONTHS
from fedrisk.data.source import TableSource
from fedrisk.errors import ConfigError
from fedrisk.files import private_folder
from fedrisk.institution import Institution
from fedrisk.models.binning import Bins
from fedrisk.models.card_pairs import pairs_of
from fedrisk.serving.ages import AHEAD, stale
from fedrisk.serving.database_rows import DatabaseRows
from fedrisk.serving.drift import BY_FLAW, Counters, key_of
from fedrisk.serving.encoder_rows import EncoderRows
from fedrisk.serving.file_index import Cells
from fedrisk.serving.file_rows import FileRows
from fedrisk.serving.history_rows import HistoryRows, Months

TABLE, HISTORIES = "table", "histories"
"""Stand for the whole table, and the whole file of histories, where something is counted by column."""


class Rows(Protocol):
    """Where rows are looked up."""

    def start(self) -> None:
        """Prepare; raises nothing where the data are away for now."""

    def close(self) -> None:
        """Give back what is held open."""

    def cells(self, ids: Sequence[str], given: Sequence[str | None]) -> Cells:
        """Rows of normalised ids, in their order; ``given`` as they were written by whoever asks."""
        ...


@dataclass(frozen=True, eq=False)
class Found:
    """Rows of the ids that were asked for, n in their order. Its representation never shows contents.

    Attributes:
        frame: typed columns by their names in the dictionary, as in a study's table; missing where a row is not known.
        known: whether there is one row of the id, (n,).
        day: of each row, (n,) datetime64[D]; NaT where it is not known or cannot be read.
        malformed: which ids break the dictionary's form of ids, (n,).
        counters: where bins are counted; nowhere where it is None.
        of_histories: columns that come from histories, which have days of their own.
        history_day: of each enterprise's history, (n,); None where nothing comes from histories.
        has_history: which enterprises have one, (n,).
        columns_ago: columns that are computed from histories as they were so many months before; None where none is.
    """

    frame: pd.DataFrame = field(repr=False)
    known: NDArray[np.bool_] = field(repr=False)
    day: NDArray[np.datetime64] = field(repr=False)
    malformed: NDArray[np.bool_] = field(repr=False)
    counters: Counters | None = field(default=None, repr=False)
    of_histories: frozenset[str] = frozenset()
    history_day: NDArray[np.datetime64] | None = field(default=None, repr=False)
    has_history: NDArray[np.bool_] | None = field(default=None, repr=False)
    columns_ago: Callable[[int], Mapping[str, Any]] | None = field(default=None, repr=False)

    def earlier(self, ago: int) -> Found:
        """The same rows with what histories said so many months before the last one; all else is as it is now.

        Nothing of it is counted: it was counted as it is now.
        """
        if self.columns_ago is None:
            return replace(self, counters=None)
        return replace(self, frame=self.frame.assign(**self.columns_ago(ago)), counters=None)

    def used_for(self, columns: Iterable[str]) -> Found:
        """The same, for a model of these columns: where one comes from histories, a row is as old as the older part.

        A row without a history has the table's day: that it has none is as of then.
        """
        if self.history_day is None or self.has_history is None or self.of_histories.isdisjoint(columns):
            return self
        older = np.minimum(self.day, self.history_day)
        return replace(self, day=np.where(self.has_history, older, self.day))

    def usable(self, today: date, fresh_days: int) -> NDArray[np.bool_]:
        """Which rows are known and fresh enough, (n,); the others are answered as unknown enterprises."""
        return self.known & ~stale(self.day, today, fresh_days)

    def codes(
        self, bins: Sequence[Bins], usable: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Bin codes of a model's features, (n, features), and which rows are usable at last, (n,).

        A row that lacks a value for which a feature has no bin counts as unknown, and so does one of which the table
        lacks a column. Unknown enterprises have each feature's last code, as in a study.
        """
        usable = usable.copy()
        lacking = {}
        for b in bins:
            column = b.feature.column
            if b.feature.is_column and not b.feature.missing:
                there = self.frame[column].notna().to_numpy() if column in self.frame else np.False_
                lacking[column] = {"lacking": int((usable & ~there).sum())}
                usable &= there
        out = np.empty((len(self.known), len(bins)), np.int64)
        at = np.flatnonzero(usable)
        for j, b in enumerate(bins):
            out[:, j] = b.size - 1
            if b.feature.kind == "known":
                out[at, j] = 0
            elif b.feature.kind == "pair":
                continue
            elif b.feature.column in self.frame:
                out[at, j] = b.codes(self.frame[b.feature.column].to_numpy()[at])
            else:
                out[at, j] = b.missing_place
        for role in dict.fromkeys(b.feature.institution for b in bins):
            for j, left, right in pairs_of(bins, role):
                out[at, j] = out[at, left] * bins[right].size + out[at, right]
        if self.counters is not None:
            self.counters.note(0, lacking)
            rows = out[~self.malformed]
            # Cells of a pair are no bins that the study counted: there is nothing to compare them with.
            counted = [(j, b) for j, b in enumerate(bins) if b.feature.kind != "pair"]
            self.counters.note_bins(
                {key_of(b): np.bincount(rows[:, j], minlength=b.size).tolist() for j, b in counted}
            )
        return out, usable


class CurrentData:
    """Looks enterprises up in an institution's own data; for several threads."""

    def __init__(self, institution: Institution, folder: Path) -> None:
        if institution.table is None or institution.dictionary is None:
            raise ConfigError(
                f"institution {institution.name} is an {institution.kind} and has no table to look up"
            )
        self._institution, self._folder = institution, folder
        self._dictionary: Dictionary = institution.dictionary
        self._taking = Taking(institution.table, institution.dictionary)
        self.counters = Counters.of(folder)
        self._rows = self._source(institution.table)
        self._encoders = [
            EncoderRows(institution, rule, folder / f"index_{rule.name}", self._broken)
            for rule in institution.encoders
        ]
        self._histories = (
            HistoryRows(institution, folder / "index_histories", self._broken, today)
            if institution.histories is not None
            and (self._dictionary.computed or any(e.shares for e in self._encoders))
            else None
        )

    @classmethod
    def open(cls, institution: Institution, folder: Path) -> CurrentData:
        """Ready to look up; ``folder`` is the institution's own for serving.

        Data that are away for now raise nothing here.

        Raises:
            ConfigError: the institution has no table, or one whose rows cannot be looked up; or its encoder is damaged.
        """
        private_folder(folder)
        found = cls(institution, folder)
        found._rows.start()
        if found._histories is not None:
            found._histories.start()
        for encoder in found._encoders:
            encoder.start()
        return found

    @classmethod
    def reopened(cls, institution: Institution, folder: Path, before: CurrentData | None) -> CurrentData:
        """``before`` where the institution's file says the same table as it did then; else a new one in its place."""
        if before is not None and _table_of(before._institution) == _table_of(institution):
            return before
        found = cls.open(institution, folder)
        if before is not None:
            before.close()
        return found

    def _source(self, table: TableSource) -> Rows:
        if table.is_database:
            return DatabaseRows(self._taking, self._institution.folder, today)
        return FileRows(self._taking, self._institution.folder, self._folder / "index", self._broken)

    def _broken(self) -> None:
        self.counters.note(0, {TABLE: {"broken": 1}})

    def close(self) -> None:
        """Close connections, and write what was counted."""
        self._rows.close()
        if self._histories is not None:
            self._histories.close()
        for encoder in self._encoders:
            encoder.close()
        self.counters.write()

    def encoders(self) -> dict[str, str | None]:
        """Digests of the encoders as they are installed now, by name; None of one that is not trained."""
        return {encoder.rule.name: encoder.digest() for encoder in self._encoders}

    def rows(self, ids: Sequence[str], ago: int = 0) -> Found:
        """The rows of enterprises, in the order of ``ids``, as they are written by whoever asks.

        ``ago``: columns from the institution's histories as they were so many months before the last one; all other
        columns are as they are now.

        Raises:
            AwayError: the data cannot be looked up for now; DataError where that stays. No text holds an id or value.
        """
        given = [i if isinstance(i, str) and _is_text(i) else None for i in ids]
        spelt, malformed = normalise(given, self._dictionary.id_scheme)
        wanted = spelt.tolist()
        cells = self._rows.cells(wanted, given)
        known = cells.known & ~malformed
        columns = self._columns(cells)
        months, from_months = None, set[str]()
        if self._histories is not None:
            months = self._histories.found(wanted, given, known)
            more = self._histories.columns(months, ago)
            columns |= more
            from_months = set(more)
        for encoder in self._encoders:
            more = encoder.columns(wanted, known, months, ago)
            columns |= more
            from_months |= set(more) if encoder.shares else set()
        self._count(cells, known)
        frame = pd.DataFrame(columns, index=pd.RangeIndex(len(given)), copy=False)
        found = Found(frame, known, cells.day, np.asarray(malformed), self.counters)
        if months is None:
            return found
        self._count_months(months)
        return replace(
            found,
            of_histories=frozenset(from_months),
            history_day=months.day,
            has_history=months.there,
            columns_ago=partial(self._histories.columns, months) if self._histories is not None else None,
        )

    def months_back(self, columns: Iterable[str]) -> int:
        """Months before the last one for which histories give all of these columns, as far as they are stated to reach.

        As many as there are where none of the columns comes from a history.
        """
        source, rules = self._institution.histories, self._dictionary.computed
        spans = [rules[name].span for name in columns if name in rules]
        if source is None or not spans:
            return MOST_MONTHS
        return max(0, source.months - max(spans))

    def _count_months(self, months: Months) -> None:
        """Count what was answered by rule of the histories: by series, months; of the file, rows."""
        assert self._histories is not None
        cells, source, counts = months.cells, self._histories.source, dict[str, dict[str, int]]()
        for series in source.series:
            names = series.columns(source.months)
            gone = sum(name in cells.gone for name in names)
            counts[series.name] = {"gone": gone * int(cells.known.sum())}
            for flaw, kind in BY_FLAW.items():
                found = [int((cells.flaws[name] == flaw).sum()) for name in names if name in cells.flaws]
                counts[series.name][kind] = sum(found)
        undated = cells.known & np.isnat(cells.day)
        counts[HISTORIES] = {"repeated": int(cells.repeated.sum()), "undated": int(undated.sum())}
        self.counters.note(0, counts)

    def _count(self, cells: Cells, known: NDArray[np.bool_]) -> None:
        """Count what was answered by rule."""
        counts: dict[str, dict[str, int]] = {name: {"gone": int(known.sum())} for name in cells.gone}
        for name, flaws in cells.flaws.items():
            if flaws.any():
                found = np.bincount(flaws, minlength=len(BY_FLAW) + 1)
                counts[name] = {kind: int(found[flaw]) for flaw, kind in BY_FLAW.items()}
        counts[self._dictionary.id] = {"repeated": int(cells.repeated.sum())}
        updated = self._taking.source.updated
        if updated is not None and updated not in cells.gone:
            late = np.datetime64(today() + timedelta(days=AHEAD), "D")
            undated = known & np.isnat(cells.day)
            counts[updated] = {"undated": int(undated.sum()), "ahead": int((cells.day > late).sum())}
        self.counters.note(len(known), counts)

    def _columns(self, cells: Cells) -> dict[str, Any]:
        """All columns of the dictionary that can be looked up, in its order; those that are gone are missing."""
        n, out = len(cells.known), {}
        for c in self._taking.columns:
            values = cells.values.get(c.name)
            if values is None:
                empty: Any = np.full(n, None, object) if c.kind == "category" else np.full(n, np.nan)
                values = empty
            out[c.name] = values
        return out


def _is_text(given: str) -> bool:
    """Whether a text can be written down: halves of characters cannot, and no database takes them."""
    try:
        given.encode()
    except UnicodeEncodeError:
        return False
    return True


def today() -> date:
    """The day now (UTC)."""
    return datetime.now(UTC).date()


def _table_of(one: Institution) -> tuple[Any, ...]:
    """What of an institution's file says where its rows are, and how they are read."""
    return (one.table, one.dictionary, one.histories, one.encoders, one.folder)
