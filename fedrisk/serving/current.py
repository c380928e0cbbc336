"""An institution's data as they are now: rows of enterprises that somebody asks for, typed as in a study."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedrisk.alignment.ids import normalise
from fedrisk.data.as_it_is import Taking
from fedrisk.data.dictionary import Dictionary
from fedrisk.data.source import TableSource
from fedrisk.errors import ConfigError
from fedrisk.files import private_folder
from fedrisk.institution import Institution
from fedrisk.models.binning import Bins
from fedrisk.serving.ages import stale
from fedrisk.serving.file_index import Cells
from fedrisk.serving.file_rows import FileRows


class Rows(Protocol):
    """Where rows are looked up."""

    def start(self) -> None:
        """Prepare; raises nothing where the data are away for now."""

    def cells(self, ids: Sequence[str]) -> Cells:
        """Rows of normalised ids, in their order."""
        ...


@dataclass(frozen=True, eq=False)
class Found:
    """Rows of the ids that were asked for, n in their order. Its representation never shows contents.

    Attributes:
        frame: typed columns by their names in the dictionary, as in a study's table; missing where a row is not known.
        known: whether there is one row of the id, (n,).
        day: of each row, (n,) datetime64[D]; NaT where it is not known or cannot be read.
        malformed: which ids break the dictionary's form of ids, (n,).
    """

    frame: pd.DataFrame = field(repr=False)
    known: NDArray[np.bool_] = field(repr=False)
    day: NDArray[np.datetime64] = field(repr=False)
    malformed: NDArray[np.bool_] = field(repr=False)

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
        for b in bins:
            if b.feature.is_column and not b.feature.missing:
                column = b.feature.column
                usable &= self.frame[column].notna().to_numpy() if column in self.frame else False
        out = np.empty((len(self.known), len(bins)), np.int64)
        at = np.flatnonzero(usable)
        for j, b in enumerate(bins):
            out[:, j] = b.size - 1
            if not b.feature.is_column:
                out[at, j] = 0
            elif b.feature.column in self.frame:
                out[at, j] = b.codes(self.frame[b.feature.column].iloc[at])
            else:
                out[at, j] = b.missing_place
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
        self._lock = threading.Lock()
        self._rows = self._source(institution.table)

    @classmethod
    def open(cls, institution: Institution, folder: Path) -> CurrentData:
        """Ready to look up; ``folder`` is the institution's own for serving.

        Data that are away for now raise nothing here.

        Raises:
            ConfigError: the institution has no table, or one whose rows cannot be looked up.
        """
        private_folder(folder)
        found = cls(institution, folder)
        found._rows.start()
        return found

    def _source(self, table: TableSource) -> Rows:
        if table.is_database:
            raise ConfigError("not yet")
        return FileRows(self._taking, self._institution.folder, self._folder / "index")

    def rows(self, ids: Sequence[str]) -> Found:
        """The rows of enterprises, in the order of ``ids``, as they are written by whoever asks.

        Raises:
            AwayError: the data cannot be looked up for now; DataError where that stays. No text holds an id or value.
        """
        given = [i if isinstance(i, str) else None for i in ids]
        spelt, malformed = normalise(given, self._dictionary.id_scheme)
        cells = self._rows.cells(spelt.tolist())
        known = cells.known & ~malformed
        frame = pd.DataFrame(self._columns(cells), index=pd.RangeIndex(len(given)), copy=False)
        return Found(frame, known, cells.day, np.asarray(malformed))

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


def today() -> date:
    """The day now (UTC)."""
    return datetime.now(UTC).date()
