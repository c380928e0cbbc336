"""The section ``[statistics]`` of a study file, and what of it can be checked before any column is known."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from fedrisk.data.features import rising
from fedrisk.releases.statistics import AFTER, BEFORE
from fedrisk.study import Study
from fedrisk.study_members import BANK
from fedrisk.study_sections import Settings

ColumnName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,47}\..{1,200}$")]
"""``OWNER.column``; owner is ``bank`` for the banks' common columns, a holder's name, or the name of ``offices``."""

Short = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,47}$")]

AxisName = Annotated[str, Field(min_length=1, max_length=200)]
"""A column without its owner, or the name of a level; dictionaries name columns in any script."""

BOUNDED = ("sum", "mean", "variance", "quantiles")
"""Measures of numbers, for which a study may state narrower bounds."""

MOST_EDGES = 255
"""Most inner edges of quantiles."""

LARGEST = 1e150
"""Bounds and edges beyond it are no quantities, and their squares would be no numbers."""


class MeasureRule(Settings):
    """One measure.

    kind: count of enterprises (no ``column``), sum, mean, share (of the categories ``values``, or of ones of a flag),
    variance, or quantiles on public bins. low, high: narrower public bounds than the dictionary's;
    values are clipped to them. bins: inner edges of quantiles, where the dictionary has no public bins. weight: of the
    measure's part of mu squared, against the other measures'.
    """

    kind: Literal["count", "sum", "mean", "share", "variance", "quantiles"]
    column: ColumnName | None = None
    name: Short | None = None
    values: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    bins: Annotated[tuple[float, ...], Field(max_length=MOST_EDGES)] = ()
    weight: Annotated[float, Field(gt=0, le=1e6)] = 1.0

    @property
    def title(self) -> str:
        """Its name, by default from its kind and column."""
        if self.name is not None:
            return self.name
        return self.kind if self.column is None else f"{self.kind}_{column_of(self.column)}"

    @model_validator(mode="after")
    def _fits_its_kind(self) -> "MeasureRule":
        what = f"measure {self.title}"
        if (self.kind == "count") != (self.column is None):
            raise ValueError(
                f"{what}: a count is of enterprises and has no column, every other measure has one"
            )
        if self.values and self.kind != "share":
            raise ValueError(f'{what}: values are the categories that a share counts; write kind = "share"')
        if self.bins and self.kind != "quantiles":
            raise ValueError(f'{what}: bins are edges of quantiles; write kind = "quantiles", or remove them')
        bounds = [b for b in (self.low, self.high) if b is not None]
        if bounds and self.kind not in BOUNDED:
            raise ValueError(f"{what}: low and high are for {', '.join(BOUNDED)}; remove them")
        if any(not abs(b) <= LARGEST for b in (*bounds, *self.bins)):
            raise ValueError(f"{what}: bounds and edges must be finite numbers")
        if len(bounds) == 2 and not bounds[0] < bounds[1]:
            raise ValueError(f"{what}: low = {self.low:g} must be below high = {self.high:g}")
        if not rising(self.bins):
            raise ValueError(f"{what}: bins must be edges in strictly rising order")
        return self


class TableRule(Settings):
    """One table of cells: by which axes; none is one number for all. weight: of its part of mu squared."""

    by: tuple[AxisName, ...] = ()
    weight: Annotated[float, Field(gt=0, le=1e6)] = 1.0


class LevelRule(Settings):
    """A coarser level of an axis: groups of its categories, such as prefectures of counties."""

    axis: AxisName
    groups: Mapping[str, tuple[str, ...]]


class StatisticsSettings(Settings):
    """What is counted.

    by: columns of the cells, all of one owner; their short names are the axes. measures: one or more. tables: which
    tables of cells are released; by default one by all columns of ``by``. Several (finer and coarser) share the budget
    by their weights and are made consistent afterwards. levels: coarser axes, by name. offices: names for groups of
    holders of one kind whose dictionaries have the same columns, such as the tax offices of prefectures; each
    counts its own rows. listed: whose rows are the population where owners differ: ``bank``, or a holder; by default
    the banks; where none takes part it has to be said.
    """

    by: Annotated[tuple[ColumnName, ...], Field(max_length=8)] = ()
    measures: Annotated[tuple[MeasureRule, ...], Field(min_length=1, max_length=64)]
    tables: Annotated[tuple[TableRule, ...], Field(max_length=64)] = ()
    levels: Mapping[Short, LevelRule] = Field(default_factory=dict)
    offices: Mapping[Short, tuple[str, ...]] = Field(default_factory=dict)
    listed: str | None = None

    @property
    def axes(self) -> dict[str, str]:
        """Axes of the columns' own categories by name, each with its column."""
        return {column_of(column): column for column in self.by}

    @property
    def all_tables(self) -> tuple[TableRule, ...]:
        """The tables that are released."""
        return self.tables or (TableRule(by=tuple(self.axes)),)

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that the study names, with their owners, each once."""
        return tuple(dict.fromkeys([*self.by, *(m.column for m in self.measures if m.column is not None)]))

    @property
    def owners(self) -> tuple[str, ...]:
        """Owners of these columns, the cells' first."""
        return tuple(dict.fromkeys(owner_of(column) for column in self.columns))

    @model_validator(mode="after")
    def _names(self) -> "StatisticsSettings":
        _once("by", self.by)
        _once("the names of measures", (m.title for m in self.measures), "give each a name")
        taken = [name for name in (*self.axes, *self.levels) if name in (*BEFORE, *AFTER)]
        if taken:
            raise ValueError(
                f"by: no axis can be named {taken[0]}, as a column of the results is; give the column another name in "
                "the dictionaries of its owner"
            )
        owners = sorted({owner_of(column) for column in self.by})
        if len(owners) > 1:
            raise ValueError(
                f"by: columns of {' and '.join(owners)}; the cells of one study are columns of one owner"
            )
        holders = [name for group in self.offices.values() for name in group]
        _once("offices", holders, "each institution is one office of one kind")
        empty = [name for name, group in self.offices.items() if not group]
        if empty:
            raise ValueError(f"offices.{empty[0]} is empty; list its institutions")
        return self

    @model_validator(mode="after")
    def _levels_of_axes(self) -> "StatisticsSettings":
        for name, level in self.levels.items():
            if level.axis not in self.axes:
                raise ValueError(f"levels.{name}: there is no axis {level.axis}; {_known(self.axes)}")
            if name in self.axes:
                raise ValueError(f"levels.{name}: an axis is called so already; choose another name")
            if not level.groups or not all(level.groups.values()):
                raise ValueError(f"levels.{name}: every group needs categories of {level.axis}")
            _once(f"levels.{name}", (c for group in level.groups.values() for c in group), "one group each")
        return self

    @model_validator(mode="after")
    def _tables_of_axes(self) -> "StatisticsSettings":
        known = {**{axis: axis for axis in self.axes}, **{n: level.axis for n, level in self.levels.items()}}
        for table in self.tables:
            missing = [axis for axis in table.by if axis not in known]
            if missing:
                raise ValueError(f"tables: there is no axis {missing[0]}; {_known(known)}")
            columns = [known[axis] for axis in table.by]
            if len(set(columns)) < len(columns):
                raise ValueError(
                    f"tables: {', '.join(table.by)} is by two levels of one column; the finer one says both"
                )
        _once("tables", (", ".join(sorted(t.by)) or "(all)" for t in self.tables))
        return self


def owner_of(column: str) -> str:
    """The owner of a column: ``tax`` of ``tax.county``."""
    return column.partition(".")[0]


def column_of(column: str) -> str:
    """The column without its owner: ``county`` of ``tax.county``."""
    return column.partition(".")[2]


def counted_by(study: Study, owner: str) -> tuple[str, ...]:
    """The institutions that an owner stands for, in the study's order; none where the study has none of that name."""
    offices = StatisticsSettings.of(study).offices
    if owner == BANK:
        return study.banks
    named = offices.get(owner, (owner,))
    return tuple(name for name in study.holders if name in named)


def owners_of(study: Study, name: str) -> tuple[str, ...]:
    """The owners that an institution stands behind: its role, and its offices where it is one."""
    offices = StatisticsSettings.of(study).offices
    if name in study.banks:
        return (BANK,)
    return (name, *(owner for owner, group in offices.items() if name in group))


def spared(settings: Mapping[str, Any], names: Collection[str]) -> Mapping[str, Any]:
    """Settings without some institutions: an office that is optional may be away."""
    offices = {kind: [n for n in group if n not in names] for kind, group in settings["offices"].items()}
    return {**settings, "offices": {kind: group for kind, group in offices.items() if group}}


def shares(weights: Iterable[float]) -> list[float]:
    """Weights as shares that add up to 1.

    >>> shares([3, 1])
    [0.75, 0.25]
    """
    weights = list(weights)
    total = math.fsum(weights)
    return [weight / total for weight in weights]


def _once(what: str, names: Iterable[str], remedy: str = "list it once") -> None:
    twice = sorted(name for name, times in Counter(names).items() if times > 1)
    if twice:
        raise ValueError(f"{what}: {twice[0]} is there more than once; {remedy}")


def _known(axes: Iterable[str]) -> str:
    names = ", ".join(axes)
    return f"known are {names}" if names else "by names no column"
