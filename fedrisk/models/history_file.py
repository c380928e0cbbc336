"""The file of an institution's monthly histories: what ``[histories]`` states, and the columns computed from it.

A file may hold more months than are stated: the last ones count, so a month that is appended is the newest one. It is
read block by block, and only the columns of the dictionary stay in memory. Rows are taken by the same code for a
study's table and for scores; a study refuses a file that breaks a rule, as it refuses a table.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, model_validator

from fedrisk.data.as_it_is import Taken, Taking
from fedrisk.data.checks import Check, Checks
from fedrisk.data.column import Column
from fedrisk.data.column_checks import OUTSIDE, UNLISTED, UNREADABLE, taken_column
from fedrisk.data.dictionary import Dictionary
from fedrisk.data.history_kinds import HistoryRule
from fedrisk.data.place import expand
from fedrisk.data.season import no_groups, season_problems, without_season
from fedrisk.data.source import TableSource
from fedrisk.data.table import REFUSED_SHARE, raise_for, spelt_ids
from fedrisk.data.text import trim
from fedrisk.errors import ConfigError
from fedrisk.models.history_columns import compute
from fedrisk.models.series import Series, file_columns

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ENDS = "(last month)"
"""Name, among the values of a row, of the month that its last column is; no column of a file is called so."""

GROUP = "(group of the season)"
"""Name, among the values of a row, of the group whose seasonal indices are its own."""

_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")
_VARIABLE = "${"


class HistoriesSource(TableSource):
    """``[histories]`` of an institution's file: where monthly histories lie, and what they are.

    The file is wide, one row per enterprise: columns SERIES_m01 (oldest month) to SERIES_mNN for each series. Keys of
    ``[table]`` say how it is read. ``months`` are the last ones that count. Which month the last one is, is said by
    ``ends`` ("2026-05"; with ``${NAME}``, where it moves on) or by a column of the file, ``ends_column``, that holds a
    day of it for every row; only kinds that look at the calendar and seasons need it. Where seasonal indices are stated
    by group, ``season_column`` of the file names each row's group, such as its sector.
    """

    months: Annotated[int, Field(ge=6, le=60)] = 18
    series: Annotated[tuple[Series, ...], Field(min_length=1, max_length=32)]
    ends: str | None = None
    ends_column: str | None = Field(default=None, min_length=1)
    season_column: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _rules(self) -> HistoriesSource:
        names = [s.name for s in self.series]
        problems = []
        if len(set(names)) < len(names):
            problems.append("[histories]: a series is listed twice; names are unique")
        if self.part is not None:
            problems.append("[histories]: part is for tables; remove it")
        if self.ends is not None and self.ends_column is not None:
            problems.append("[histories]: ends and ends_column say the same; keep one")
        if self.ends is not None and _VARIABLE not in self.ends and not _MONTH.fullmatch(self.ends):
            problems.append(f'[histories]: ends = "{self.ends}" is no month; write it as "2026-05"')
        seasonal = [s.name for s in self.series if s.season is not None]
        problems += season_problems(seasonal, self.groups, self.season_column, self.dated)
        months = {name for s in self.series for name in s.columns(self.months)}
        if self.season_column is not None and self.season_column in {self.ends_column, self.updated, *months}:
            problems.append(no_groups(self.season_column))
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @property
    def groups(self) -> tuple[str, ...]:
        """Groups of enterprises that have a season of their own in any series."""
        return tuple(sorted({name for series in self.series for name in series.groups}))

    @property
    def dated(self) -> bool:
        """Whether it is said which month the last one is."""
        return self.ends is not None or self.ends_column is not None

    def of(self, name: str) -> Series | None:
        """The series called ``name``; None where there is none."""
        return next((s for s in self.series if s.name == name), None)

    def file_dictionary(self, dictionary: Dictionary) -> Dictionary:
        """A dictionary of the file, whose columns are the last ``months`` of each series, by which rows are taken."""
        columns = [c for series in self.series for c in file_columns(series, self.months)]
        if self.ends_column is not None:
            meaning = "last month, 12 * year + month - 1"
            columns.append(
                Column(name=ENDS, kind="number", meaning=meaning, source=self.ends_column, feature=False)
            )
        if self.season_column is not None:
            columns.append(
                Column(
                    name=GROUP,
                    kind="category",
                    meaning="group whose seasonal indices count",
                    source=self.season_column,
                    categories=self.groups,
                    feature=False,
                )
            )
        return Dictionary(id=dictionary.id, id_scheme=dictionary.id_scheme, columns=tuple(columns))

    def ends_of(self, values: Mapping[str, Any], n: int) -> Ints:
        """The last month of each of n rows, (n,): 12 * year + month - 1, and -1 where it is not known."""
        if self.ends is not None:
            said = expand(self.ends)
            if not _MONTH.fullmatch(said):
                raise ConfigError(f'[histories] ends: "{said}" is no month; write it as "2026-05"')
            return np.full(n, 12 * int(said[:4]) + int(said[5:]) - 1, np.int64)
        found = values.get(ENDS)
        if found is None:
            return np.full(n, -1, np.int64)
        return np.where(np.isnan(found), -1, np.nan_to_num(found)).astype(np.int64)

    def paths(
        self, series: str, values: Mapping[str, Any], n: int, months: int | None = None, ago: int = 0
    ) -> Floats:
        """The last ``months`` of one series (all that are stated, by default), (n, months) with NaN for gaps.

        ``ago``: the months up to so many before the last one, and NaN for those before the first.
        """
        one, count = self.of(series), self.months if months is None else months
        if one is None:
            raise ConfigError(f"[histories] has no series {series}; add [[histories.series]]")
        out = np.full((n, count), np.nan)
        names = one.columns(self.months)
        for place in range(count):
            month = self.months - ago - count + place
            if month >= 0 and names[month] in values:
                out[:, place] = values[names[month]]
        return out

    def columns(
        self, rules: Mapping[str, HistoryRule], values: Mapping[str, Any], n: int, ago: int = 0
    ) -> dict[str, Floats]:
        """History columns of n rows whose months were taken, by name; ``ago`` months before the last one."""
        ends = self.ends_of(values, n)
        by_series: dict[tuple[str, bool], Floats] = {}
        out = {}
        for name, rule in rules.items():
            which = rule.series, rule.season is not None
            if which not in by_series:
                paths = self.paths(rule.series, values, n)
                if rule.season is not None:
                    paths = without_season(paths, rule.season, ends, values.get(GROUP))
                by_series[which] = paths
            out[name] = compute(rule, by_series[which], ago, ends)
        return out


class HistoryTaking(Taking):
    """How rows of a file of histories are taken: the last months of a file that holds more of them."""

    def __init__(self, source: HistoriesSource, dictionary: Dictionary) -> None:
        super().__init__(source, source.file_dictionary(dictionary))
        self.histories = source
        self._series = re.compile(rf"({'|'.join(re.escape(s.name) for s in source.series)})_m(\d\d+)")
        self._ends: Column | None = None
        if source.ends_column is not None:
            self._numeric -= {source.ends_column}
            self._ends = Column(
                name=source.ends_column, kind="date", meaning="day in the last month", feature=False
            )

    def there(self, header: Sequence[str]) -> list[str]:
        """Columns of the file that are read, of a series the last months."""
        moved = {**self._moved(header)}
        stated = super().there(
            [moved.get(trim(name), name) for name in header if self._wanted(trim(name), moved)]
        )
        written = {name: old for old, name in moved.items()}
        return [written.get(name, name) for name in stated]

    def take(self, block: Mapping[str, Any], rows: Ints) -> Taken:
        """Rows that were read, with the names of the last months; see `Taking.take`."""
        moved = self._moved(list(block))
        return super().take({moved.get(name, name): column for name, column in block.items()}, rows)

    def _typed(self, cells: pd.Series[Any], c: Column) -> tuple[Any, NDArray[np.uint8]]:
        if self._ends is None or c.name != ENDS:
            return super()._typed(cells, c)
        days, wrong = taken_column(cells, self._ends, self.source.notation)
        months = np.asarray(days).astype("datetime64[M]")
        known = ~np.isnat(months)
        out = np.full(len(months), np.nan)
        out[known] = months[known].astype(np.int64) + 12 * 1970
        return out, wrong

    def _moved(self, header: Iterable[str]) -> dict[str, str]:
        """Names of the file's last months, by what they are called in it, as the dictionary calls them."""
        found = {name: m for name in map(trim, header) if (m := self._series.fullmatch(name))}
        newest = max((int(m[2]) for m in found.values()), default=0)
        earlier = max(0, newest - self.histories.months)
        return {
            name: f"{m[1]}_m{int(m[2]) - earlier:02d}" for name, m in found.items() if int(m[2]) > earlier
        }

    def _wanted(self, name: str, moved: Mapping[str, str]) -> bool:
        return name in moved or not self._series.fullmatch(name)


@dataclass
class _Counted:
    """What was found in the blocks of a file: rows, and how many values of each series break a rule.

    groups: with a season of their own, that some row has. others: rows of a group without.
    """

    rows: int = 0
    groups: set[str] = field(default_factory=set)
    others: int = 0
    values: dict[str, int] = field(default_factory=dict)
    flaws: dict[tuple[str, int], int] = field(default_factory=dict)

    def add(self, source: HistoriesSource, taken: Taken) -> None:
        self.rows += len(taken.rows)
        if GROUP in taken.values:
            self.groups.update(pd.Series(taken.values[GROUP]).dropna().unique())
        if GROUP in taken.flaws:
            self.others += int((taken.flaws[GROUP] == UNLISTED).sum())
        for series in source.series:
            for name in series.columns(source.months):
                if name in taken.values:
                    known = int((~np.isnan(taken.values[name])).sum())
                    self.values[series.name] = self.values.get(series.name, 0) + known
                if name in taken.flaws:
                    for flaw in (UNREADABLE, OUTSIDE):
                        key, more = (series.name, flaw), int((taken.flaws[name] == flaw).sum())
                        self.flaws[key] = self.flaws.get(key, 0) + more

    def note(self, source: HistoriesSource, checks: Checks) -> None:
        self._note_groups(source, checks)
        for series in source.series:
            checks.note(
                series.name,
                "months that are not a number",
                self.flaws.get((series.name, UNREADABLE), 0),
                "write them as 1234.5, or list the code of a gap in missing_values of [[histories.series]]",
            )
            outside = self.flaws.get((series.name, OUTSIDE), 0)
            tolerated = outside <= Column.model_fields["outside"].default * max(
                self.values.get(series.name, 0), 1
            )
            checks.note(
                series.name,
                f"months outside the public bounds [{series.low:g}, {series.high:g}]",
                outside,
                "counted as the bound"
                if tolerated
                else "correct the unit, or widen low and high of the series",
                "note" if tolerated else "error",
            )

    def _note_groups(self, source: HistoriesSource, checks: Checks) -> None:
        column = source.season_column or ""
        unseen = [group for group in source.groups if group not in self.groups]
        if unseen:
            rule = f"no row is of the group {', '.join(unseen)}, which has seasonal indices of its own"
            remedy = "if it is spelt otherwise in the file, spell it so in season"
            checks.note(column, rule, self.rows, remedy, "warning")
        rule, remedy = "of a group without seasonal indices of its own", "counted as other"
        checks.note(column, rule, self.others, remedy, "note")


class _Reading:
    """A file of histories that is read block by block, in the order of wanted ids, and what it breaks."""

    def __init__(
        self, source: HistoriesSource, dictionary: Dictionary, base: Path, ids: NDArray[np.object_]
    ) -> None:
        self.source, self.checks, self._base = source, Checks(), base
        self._taking, self._place = HistoryTaking(source, dictionary), pd.Index(ids)
        self._id = dictionary.id

    def blocks(self) -> Iterator[tuple[Ints, dict[str, Any]]]:
        """Places among the wanted ids, and the values of these rows; all checks are there once it has ended."""
        times, counted, wrong = np.zeros(len(self._place), np.int32), _Counted(), 0
        for taken in self._taking.blocks(self._base):
            if taken.gone:
                _note_gone(taken.gone, self.source, self.checks)
                return
            counted.add(self.source, taken)
            spelt, good = spelt_ids(taken.ids, taken.rows, self._taking.dictionary)
            wrong += int((~good).sum())
            at = np.full(len(good), -1)
            at[good] = self._place.get_indexer(pd.Index(spelt[good]))
            kept = np.flatnonzero(at >= 0)
            np.add.at(times, at[kept], 1)
            yield at[kept], {name: values[kept] for name, values in taken.values.items()}
        self.checks.total = counted.rows
        self._note_ids(wrong, counted.rows, int((times > 1).sum()))
        counted.note(self.source, self.checks)

    def _note_ids(self, wrong: int, rows: int, repeated: int) -> None:
        rule, share = "ids of histories that cannot be used", REFUSED_SHARE
        remedy = f"correct the ids; up to {share:.0%} of such rows are left out, more are refused"
        self.checks.note(self._id, rule, wrong, remedy, "warning" if wrong <= share * rows else "error")
        rule = "id occurs more than once among the histories"
        self.checks.note(self._id, rule, repeated, "keep one row per enterprise")


def read_columns(
    source: HistoriesSource, dictionary: Dictionary, base: Path, ids: NDArray[np.object_], ago: int = 0
) -> tuple[dict[str, Floats], tuple[Check, ...]]:
    """History columns of a dictionary in the order of ``ids`` (normalised), and every rule that the file breaks.

    ``ago``: as they were so many months before the last one. NaN where an enterprise has no history. Memory is that of
    the columns and of one block. An error stands among the checks; the columns are then of no use.

    Raises:
        DataError: the file cannot be read; ConfigError where it is not there.
    """
    rules = dictionary.computed
    out = {name: np.full(len(ids), np.nan) for name in rules}
    reading = _Reading(source, dictionary, base, ids)
    for at, values in reading.blocks():
        for name, found in source.columns(rules, values, len(at), ago).items():
            out[name][at] = found
    return out, tuple(reading.checks)


def read_paths(
    source: HistoriesSource,
    dictionary: Dictionary,
    base: Path,
    ids: NDArray[np.object_],
    series: Sequence[str],
    months: int,
) -> dict[str, Floats]:
    """The last ``months`` of these series in the order of ``ids``, each (n, months) with NaN for gaps.

    Raises:
        DataError: every rule that the file breaks; ConfigError where it is not there.
    """
    out = {name: np.full((len(ids), months), np.nan) for name in series}
    reading = _Reading(source, dictionary, base, ids)
    for at, values in reading.blocks():
        for name in series:
            out[name][at] = source.paths(name, values, len(at), months)
    raise_for(reading.checks, where="histories")
    return out


def _note_gone(gone: Sequence[str], source: HistoriesSource, checks: Checks) -> None:
    written = {ENDS: source.ends_column, GROUP: source.season_column}
    names = [written.get(name) or name for name in gone]
    for series in source.series:
        lacking = [name for name in names if name in series.columns(source.months)]
        if lacking:
            checks.always(
                series.name,
                f"{len(lacking)} of the last {source.months} months are not in the file ({lacking[0]})",
                "export SERIES_m01 (oldest) to SERIES_mNN without a gap, or lower months in [histories]",
            )
    months = {name for series in source.series for name in series.columns(source.months)}
    for name in names:
        if name not in months:
            checks.always(name, "column is not in the file of histories", "correct its name in [histories]")
