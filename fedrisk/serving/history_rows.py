"""Histories of the enterprises that are asked about, and the columns that are computed from them then.

The file of histories has an index of its own, like the table; a database is asked for the rows. A study's table and
these rows go through the same code (models/history_file), so that their columns are equal to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.data.as_it_is import NO_DAY
from fedrisk.institution import Institution
from fedrisk.models.history_file import HistoriesSource, HistoryTaking
from fedrisk.serving.database_rows import DatabaseRows
from fedrisk.serving.file_index import Cells
from fedrisk.serving.file_rows import FileRows


@dataclass(frozen=True, eq=False)
class Months:
    """Histories of k of n enterprises that were asked about. Its representation never shows contents.

    at: their places, (k,). cells: their rows. rows: n.
    """

    at: NDArray[np.intp] = field(repr=False)
    cells: Cells = field(repr=False)
    rows: int

    @property
    def day(self) -> NDArray[np.datetime64]:
        """Of each enterprise's history, (n,) datetime64[D]; NaT where it has none, or one without a readable day."""
        out = np.full(self.rows, NO_DAY)
        out[self.at] = self.cells.day
        return out

    @property
    def there(self) -> NDArray[np.bool_]:
        """Which enterprises have a history, (n,)."""
        out = np.zeros(self.rows, dtype=bool)
        out[self.at] = self.cells.known
        return out


class HistoryRows:
    """The histories of an institution, for several threads.

    Args:
        institution: whose histories these are; ConfigError where it states none.
        folder: of indexes.
        broken: called for every state of the file that could not be taken.
        today: the day now.
    """

    def __init__(
        self,
        institution: Institution,
        folder: Path,
        broken: Callable[[], None],
        today: Callable[[], date],
    ) -> None:
        self.source: HistoriesSource = institution.stated_histories()
        assert institution.dictionary is not None
        self._rules = institution.dictionary.computed
        taking = HistoryTaking(self.source, institution.dictionary)
        self._rows: FileRows | DatabaseRows = (
            DatabaseRows(taking, institution.folder, today)
            if self.source.is_database
            else FileRows(taking, institution.folder, folder, broken)
        )

    def start(self) -> None:
        """Prepare; raises nothing where the histories are away for now."""
        self._rows.start()

    def close(self) -> None:
        """Give back what is held open."""
        self._rows.close()

    def found(self, ids: Sequence[str], given: Sequence[str | None], known: NDArray[np.bool_]) -> Months:
        """Histories of normalised ids, of those that are known; AwayError where they cannot be looked up."""
        at = np.flatnonzero(known)
        wanted, written = [ids[k] for k in at.tolist()], [given[k] for k in at.tolist()]
        return Months(at, self._rows.cells(wanted, written), len(ids))

    def columns(self, months: Months, ago: int = 0) -> dict[str, NDArray[np.float64]]:
        """The columns of the dictionary that are computed from histories, (n,) each, NaN where they are unknown.

        ``ago``: as they were so many months before the last one.
        """
        values: dict[str, Any] = months.cells.values
        out = {}
        for name, found in self.source.columns(self._rules, values, len(months.at), ago).items():
            out[name] = np.full(months.rows, np.nan)
            out[name][months.at] = found
        return out
