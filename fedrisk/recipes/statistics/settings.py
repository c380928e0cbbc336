"""The section ``[statistics]`` of a study file."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from fedrisk.study import Settings

ColumnName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,47}\..{1,200}$")]
"""``OWNER.column``; owner is ``bank`` for the banks' common columns, a holder's name, or the name of ``offices``."""

Short = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,47}$")]


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
    bins: tuple[float, ...] = ()
    weight: Annotated[float, Field(gt=0, le=1e6)] = 1.0


class TableRule(Settings):
    """One table of cells: by which axes; none is one number for all. weight: of its part of mu squared."""

    by: tuple[Short, ...] = ()
    weight: Annotated[float, Field(gt=0, le=1e6)] = 1.0


class LevelRule(Settings):
    """A coarser level of an axis: groups of its categories, such as prefectures of counties."""

    axis: Short
    groups: Mapping[str, tuple[str, ...]]


class StatisticsSettings(Settings):
    """What is counted.

    by: columns of the cells, all of one owner; their short names are the axes. measures: one or more. tables: which
    tables of cells are released; by default one by all columns of ``by``. Several (finer and coarser) share the budget
    by their weights and are made consistent afterwards. levels: coarser axes, by name. offices: names for groups of
    holders of one kind whose dictionaries have the same columns, such as the tax offices of prefectures; each
    counts its own rows. listed: whose rows are the population where owners differ: ``bank``, or a holder; by default
    the banks where there are any, else the owner of the measures.
    """

    by: tuple[ColumnName, ...] = ()
    measures: Annotated[tuple[MeasureRule, ...], Field(min_length=1, max_length=64)]
    tables: tuple[TableRule, ...] = ()
    levels: Mapping[Short, LevelRule] = Field(default_factory=dict)
    offices: Mapping[Short, tuple[str, ...]] = Field(default_factory=dict)
    listed: str | None = None
