"""What a bank keeps of the loans that it watches: a file of answers for each month, and counts of its own columns.

    scores/2026-05.parquet         one row a loan, with the fields of an answer; about: the month's model and counts
    warning/, challenger/          the same of the models that are asked beside it, where there are any
    bins/2026-05.parquet           which bin each loan was in, by own column of the model; rows as in scores/
    own_columns/2026-05.json       loans by bin of each own column
    outcomes.parquet               what became of loans that were scored in an earlier month
    alerts.jsonl, delivered.jsonl  see alert_book
    pages/2026-05.html             the month's page
    work/                          of a month that is not finished

The folder is its owner's alone: it holds ids and scores, and nothing of it leaves the bank. A month is written once.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from fedrisk.errors import ConfigError, StoreError
from fedrisk.files import private_folder, read_json, write_atomic
from fedrisk.watching.month import Month

SCORES: Final = "scores"
WARNING: Final = "warning"
CHALLENGER: Final = "challenger"

ABOUT: Final = b"fedrisk.about"
_REMEDY: Final = "put it back from its copy"


@dataclass(frozen=True)
class Kept:
    """The months of one watch. folder: ``STORE/watch/MODEL``, which need not be there yet."""

    folder: Path

    def opened(self) -> "Kept":
        """The same, with its folder made for its owner alone."""
        private_folder(self.folder)
        return self

    def months(self, of: str = SCORES) -> list[Month]:
        """Months that are kept, the oldest first. of: SCORES, WARNING or CHALLENGER."""
        names = [f.stem for f in self.folder.joinpath(of).glob("????-??.parquet")]
        return sorted(Month.parse(name) for name in names)

    def models(self, month: Month) -> list[str]:
        """Which models a month is kept of: SCORES, then those asked beside it."""
        return [of for of in (SCORES, WARNING, CHALLENGER) if self.file(month, of).is_file()]

    def newest(self, of: str = SCORES) -> Month | None:
        """The last month that is kept, None before the first."""
        found = self.months(of)
        return found[-1] if found else None

    def write_month(self, month: Month, table: pa.Table, about: Mapping[str, Any], of: str = SCORES) -> None:
        """Keep a month whole or not at all.

        table: one row a loan, with the fields of an answer (serving/batch_table). about: as JSON; ``model``,
        ``name`` and ``version`` say which model it is of.

        Raises:
            ConfigError: the month is kept already, or a later one is.
        """
        newest = self.newest(of)
        if newest is not None and month <= newest:
            raise ConfigError(
                f"{self.folder / of}: {newest} is kept, so {month} is not written; months are watched in their order"
            )
        said = {**(table.schema.metadata or {}), ABOUT: json.dumps(dict(about), sort_keys=True).encode()}
        self._write(self.file(month, of), table.replace_schema_metadata(said))

    def read_month(self, month: Month, columns: Sequence[str] | None = None, of: str = SCORES) -> pa.Table:
        """A month's rows, in the order of the bank's table; all columns where none are named."""
        return self._read(self.file(month, of), columns)

    def about(self, month: Month, of: str = SCORES) -> dict[str, Any]:
        """What is said of a month as a whole: its model (``model``, ``name``, ``version``) and counts of loans."""
        file = self.file(month, of)
        try:
            found: dict[str, Any] = json.loads(pq.read_schema(file).metadata[ABOUT])
        except (OSError, pa.ArrowException, KeyError, TypeError, ValueError):
            raise StoreError(f"{file} is damaged or gone; {_REMEDY}") from None
        return found

    def file(self, month: Month, of: str = SCORES) -> Path:
        """Where a month's rows are kept."""
        return self.folder / of / f"{month}.parquet"

    def write_bins(self, month: Month, table: pa.Table) -> None:
        """Keep which bin each loan was in: ``id``, and for each own column of the model its bin's number, int16.

        -1 stands for a loan without a score.
        """
        self._write(self.file(month, "bins"), table)

    def read_bins(self, month: Month) -> pa.Table | None:
        """The bins of a month; None where they are not kept."""
        file = self.file(month, "bins")
        return self._read(file, None) if file.is_file() else None

    def write_own_columns(self, month: Month, counts: Mapping[str, Mapping[str, Any]]) -> None:
        """Keep loans by bin of each own column: ``{column: {"bins": ..., "counts": [...], "shares": [...]}}``.

        bins: ``Bins.to_dict()``. counts: loans in each, those with a score alone. shares: those that the study
        released, in the same order.
        """
        file = self.folder / "own_columns" / f"{month}.json"
        write_atomic(file, json.dumps(counts, sort_keys=True).encode())

    def own_columns(self, month: Month) -> dict[str, Any]:
        """Loans by bin of each own column, as `write_own_columns` has it; empty where nothing is kept."""
        file = self.folder / "own_columns" / f"{month}.json"
        return read_json(file, _REMEDY) if file.is_file() else {}

    @property
    def pages(self) -> Path:
        """Folder of the months' pages."""
        return self.folder / "pages"

    @property
    def outcomes_file(self) -> Path:
        """What became of loans: ``id``, ``month`` in which they were scored, ``outcome`` (1 where it happened)."""
        return self.folder / "outcomes.parquet"

    def outcomes(self) -> pa.Table | None:
        """The outcomes that are known: id (string), month (string, as 2026-05), outcome (int8); None where none is."""
        return self._read(self.outcomes_file, None) if self.outcomes_file.is_file() else None

    def _write(self, file: Path, table: pa.Table) -> None:
        content = pa.BufferOutputStream()
        pq.write_table(table, content, compression="zstd")
        write_atomic(file, [memoryview(content.getvalue())])

    def _read(self, file: Path, columns: Sequence[str] | None) -> pa.Table:
        try:
            return pq.read_table(file, columns=None if columns is None else list(columns))
        except (OSError, pa.ArrowException):
            raise StoreError(f"{file} is damaged or gone; {_REMEDY}") from None
