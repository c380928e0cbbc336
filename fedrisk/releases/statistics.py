"""What the recipe ``statistics`` releases, as data: axes of cells, tables of cells, measures, and their columns.

A study's layout follows from public things alone (settings and features), by the same code at hub and institutions. It
is written into the release record, so that whoever has the record can read the sums.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

RELEASE = "statistics"
"""Name of the release."""

CSV, PARQUET = "statistics.csv", "statistics.parquet"
"""Files of the figures among a study's results."""

FIGURES = ("estimate", "low", "high")
"""Columns of the figures that have no number where a cell says less than its noise."""

BEFORE = ("table", "measure", "kind", "quantile")
AFTER = (FIGURES[0], "standard_error", *FIGURES[1:], "says", "unit")
"""Columns of the figures before those of the axes, and after them; no axis may be named as one of them is."""

UNKNOWN = "(unknown)"
"""The last category of every axis: enterprises whose category is missing, or whom the cells' owner does not know."""

Kind = Literal["count", "sum", "mean", "share", "variance", "quantiles"]

COLUMNS: Mapping[Kind, int | None] = {
    "count": 1,
    "sum": 1,
    "mean": 2,
    "share": 2,
    "variance": 3,
    "quantiles": None,
}
"""Numbers of each cell by kind of measure; of quantiles as many as there are public bins of the measure.

Each row of an institution's matrix has a norm of at most 1 in these columns (L2), for each measure:

- count: 1.
- sum: value / bound, with bound the larger of abs(low), abs(high).
- mean: (a, sqrt(1 - a^2) * z), z in [-1, 1] the value centred between low and high; a = MEAN_COUNT.
- share: (1, 0) where the column is one of ``values``, (0, 1) where it is another category.
- variance: (a, b z, c z^2), a^2 + b^2 + c^2 = 1, as VARIANCE_WEIGHTS.
- quantiles: one-hot public bins.

A missing value, or an enterprise that the measure's owner does not know, adds zeros to all of its measure's columns.
"""

MEAN_COUNT = 0.5
"""Share of the norm that a mean's count of values gets: the centred sum matters more."""

VARIANCE_WEIGHTS = (0.4, 0.6, math.sqrt(1 - 0.4**2 - 0.6**2))


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One column of cells, or groups of its categories (a coarser level of a hierarchy).

    name: as it is asked for ("county", "prefecture"). column: "OWNER.column" whose categories these are, or are groups
    of. categories: in order, UNKNOWN last. groups: for each category of the column (UNKNOWN last), the place of its
    group among ``categories``; None where they are the column's own. kind, cuts, special: how a value of the column
    finds its category (of an axis with groups, as of the column's own axis): by its text, as 0 or 1 of a flag, or
    between the inner edges of public bins; special codes come behind these, each with a category of its own.
    """

    name: str
    column: str
    categories: tuple[str, ...]
    groups: tuple[int, ...] | None = None
    kind: Literal["category", "flag", "number"] = "category"
    cuts: tuple[float, ...] = ()
    special: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One measure, the same in all tables.

    name: unique. column: "OWNER.column"; None for a count of enterprises. low, high: public bounds to which values are
    clipped. cuts: inner edges of the public bins of quantiles. values: categories that a share counts. share: of the
    release's mu squared; over all measures they add up to 1. flag: whether the column is one of 0 and 1. special: codes
    among its numbers that are no quantities: they count as missing.
    """

    name: str
    kind: Kind
    column: str | None = None
    low: float | None = None
    high: float | None = None
    cuts: tuple[float, ...] = ()
    values: tuple[str, ...] = ()
    unit: str | None = None
    share: float = 1.0
    flag: bool = False
    special: tuple[str, ...] = ()

    @property
    def columns(self) -> int:
        """How many numbers each cell has of it."""
        fixed = COLUMNS[self.kind]
        return len(self.cuts) + 1 if fixed is None else fixed


@dataclass(frozen=True, kw_only=True)
class CellTable:
    """One table of cells: the product of axes in row-major order; no axes is one cell, of everybody.

    share: of each measure's mu squared; over all tables they add up to 1.
    """

    name: str
    axes: tuple[str, ...]
    share: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Everything public about the numbers of a statistics release.

    owner: role that owns the cells' columns. included: probability with which an enterprise is among the rows
    (``alignment.inclusion_probability`` of joined studies of several banks, else 1): totals are to be divided by it.
    joined: whether rows were aligned, and then the listed institutions' customers are the population; else every
    institution of the owner counts its own rows.

    Blocks of the release are named ``TABLE|MEASURE``, have the shape (cells of the table, columns of the measure), and
    are in plain units of COLUMNS.
    """

    owner: str
    axes: tuple[Axis, ...]
    tables: tuple[CellTable, ...]
    measures: tuple[Measure, ...]
    included: float = 1.0
    joined: bool = False

    def axis(self, name: str) -> Axis:
        """The axis of that name; KeyError where there is none."""
        return {a.name: a for a in self.axes}[name]

    def table(self, name: str) -> CellTable:
        """The table of that name; KeyError where there is none."""
        return {t.name: t for t in self.tables}[name]

    def measure(self, name: str) -> Measure:
        """The measure of that name; KeyError where there is none."""
        return {m.name: m for m in self.measures}[name]

    def own_axis(self, axis: Axis) -> Axis:
        """The axis of the column's own categories, of which the groups of ``axis`` are made; itself without groups."""
        return axis if axis.groups is None else self.axis(axis.column.partition(".")[2])

    def shape(self, table: CellTable) -> tuple[int, ...]:
        """Categories of each axis of a table."""
        return tuple(len(self.axis(name).categories) for name in table.axes)

    def cells(self, table: CellTable) -> int:
        """How many cells a table has."""
        return math.prod(self.shape(table))

    def to_dict(self) -> dict[str, Any]:
        """As it stands in the release record (``about["layout"]``)."""
        return asdict(self)

    def digest(self) -> str:
        """SHA-256 (hex): equal layouts have equal digests anywhere."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "Layout":
        """Inverse of :meth:`to_dict`; KeyError, TypeError where it is none."""
        axes = tuple(
            Axis(**{**a, **_tuples(a, "categories", "groups", "cuts", "special")}) for a in plain["axes"]
        )
        tables = tuple(CellTable(**{**t, "axes": tuple(t["axes"])}) for t in plain["tables"])
        measures = tuple(
            Measure(**{**m, **_tuples(m, "cuts", "values", "special")}) for m in plain["measures"]
        )
        return cls(**{**plain, "axes": axes, "tables": tables, "measures": measures})


def block_name(table: CellTable, measure: Measure) -> str:
    """Name of the block that holds a measure's numbers of a table."""
    return f"{table.name}|{measure.name}"


def _tuples(plain: Mapping[str, Any], *names: str) -> dict[str, tuple[Any, ...] | None]:
    return {name: None if plain[name] is None else tuple(plain[name]) for name in names if name in plain}
