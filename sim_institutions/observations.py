"""What an institution observes of a block of enterprises, and how institutions make their columns.

An institution observes some of the block's enterprises (rows). Of each it keeps columns as of the observation
date ("point-in-time columns") and perhaps monthly histories.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from sim_institutions.enterprises import Enterprises
from sim_institutions.random_streams import (
    Bools,
    Floats,
    Ints,
    coarse,
    moving,
    normal,
    observing,
    significant,
    uniform,
)

YEAR = slice(-12, None)
# The same six calendar months, a year apart.
LATE, EARLY = slice(-6, None), slice(-18, -12)


@dataclass(frozen=True)
class Category:
    """A column of texts: each row's index into ``names``, or -1 where it is missing."""

    code: Ints
    names: tuple[str, ...]


@dataclass(frozen=True)
class Observations:
    """What one institution observes of a block.

    rows: indices into the block, in the order in which the institution keeps them. columns: by name; numbers
    are float32 with NaN where missing, flags are numbers too (0 or 1). histories: by series, (rows, months),
    oldest month first.
    """

    rows: Ints
    columns: Mapping[str, Floats | Category]
    histories: Mapping[str, Floats] = field(default_factory=dict)

    def numbers(self, name: str) -> Floats:
        """A column of numbers or flags; TypeError where it is a category."""
        found = self.columns[name]
        if isinstance(found, Category):
            raise TypeError(f"column {name} is a category")
        return found

    def codes(self, name: str) -> Ints:
        """Index of each row's category, -1 where it is missing; TypeError where the column is none."""
        return _codes(name, self.columns[name])


class Sheet:
    """Collects the columns of one institution. Each column gets gaps, more of them where records are thin."""

    def __init__(
        self, enterprises: Enterprises, rows: Ints, rng: np.random.Generator, sloppy: float = 1.0
    ) -> None:
        self.rows, self.rng = rows, rng
        observing(rng, rows)
        # An enterprise with a gap in one column tends to have gaps in others.
        thin = 0.8 * enterprises.thin[rows] + 0.8 * normal(rng, len(rows)) - 0.32
        self._holes = (sloppy * np.exp(thin)).astype(np.float32)
        self.columns: dict[str, Floats | Category] = {}
        self.histories: dict[str, Floats] = {}

    def number(self, name: str, values: Floats, *, gap: float = 0.0, digits: int = 4) -> None:
        """A number, rounded, missing in a share of about ``gap`` of the rows."""
        out = significant(np.asarray(values, dtype=np.float32), digits)
        out[self._missing(gap)] = np.nan
        self.columns[name] = out

    def flag(self, name: str, values: Bools, *, gap: float = 0.0) -> None:
        """Yes or no."""
        self.number(name, values.astype(np.float32), gap=gap)

    def category(self, name: str, code: Ints, names: tuple[str, ...], *, gap: float = 0.0) -> None:
        """One of the ``names``."""
        self.columns[name] = Category(np.where(self._missing(gap), -1, code), names)

    def history(self, name: str, values: Floats, *, delayed: Bools | None = None) -> None:
        """The months of a series; where ``delayed``, the last month has not come in yet."""
        out = coarse(values)
        if delayed is not None:
            out[delayed, -1] = np.nan
        self.histories[name] = out

    def codes(self, name: str) -> Ints:
        """Index of each row's category in a column that was collected."""
        return _codes(name, self.columns[name])

    def observations(self) -> Observations:
        """Everything collected so far."""
        return Observations(self.rows, self.columns, self.histories)

    def _missing(self, gap: float) -> Bools:
        return uniform(moving(self.rng), len(self.rows)) < gap * self._holes


def _codes(name: str, column: Floats | Category) -> Ints:
    if not isinstance(column, Category):
        raise TypeError(f"column {name} is no category")
    return column.code


def covered(enterprises: Enterprises, base: float, rng: np.random.Generator, *, thin: float = 1.5) -> Ints:
    """The enterprises that an institution knows, in random order.

    It knows a share of about ``base`` of them, and fewer of those whose records are thin.
    """
    odds = np.log(base / (1 - base)) - thin * enterprises.thin
    return rng.permutation(np.flatnonzero(uniform(rng, len(enterprises)) < 1 / (1 + np.exp(-odds))))


def growth(series: Floats) -> Floats:
    """Mean of the last six months over the mean of the same months a year before, less 1; NaN if unknown."""
    return _ratio(_mean(series[:, LATE]), _mean(series[:, EARLY])) - 1


def growth_of_quarter(series: Floats) -> Floats:
    """Mean of the last three months over the mean of the same months a year before, less 1; NaN if unknown."""
    return _ratio(_mean(series[:, -3:]), _mean(series[:, -15:-12])) - 1


def variation(series: Floats) -> Floats:
    """Standard deviation over mean of the last 12 months."""
    year = series[:, YEAR]
    mean = _mean(year)
    return _ratio(np.sqrt(_mean((year - mean[:, None]) ** 2)), mean)


def year_total(series: Floats) -> Floats:
    """Sum over 12 months; a month without a value counts as the mean of the others."""
    return 12 * _mean(series[:, YEAR])


def year_gaps(series: Floats) -> Floats:
    """Number of months without a value among the last 12."""
    return np.isnan(series[:, YEAR]).sum(axis=1).astype(np.float32)


def skipped(series: Floats, gap: Bools, made_up: Bools) -> Floats:
    """The series with gaps; where ``made_up``, the month after a gap carries the amounts of both months."""
    out = series.copy()
    carried = gap[:, :-1] & made_up[:, None]
    out[:, 1:] += np.where(carried, series[:, :-1], 0)
    out[gap] = np.nan
    return out


def seasonal(rng: np.random.Generator, n: int) -> Floats:
    """How strongly each enterprise follows the seasons of its sector, (n, 1)."""
    return (0.6 + 0.5 * uniform(rng, n, 1)).astype(np.float32)


def rare(leaning: Floats, share: float, rng: np.random.Generator, *, most: int) -> Floats:
    """A count that is above zero in about ``share`` of the rows, more often where ``leaning`` is high."""
    spread = 0.8 * leaning
    chance = share * np.exp(np.minimum(spread - np.var(spread) / 2, 4))
    hit = uniform(moving(rng), len(leaning)) < chance
    return np.minimum(hit * (1 + rng.poisson(0.5, len(leaning))), most).astype(np.float32)


def arrow(values: Floats | Category) -> pa.Array:
    """As an Arrow array, missing values as nulls."""
    if isinstance(values, Category):
        code = pa.array(values.code.astype(np.int8), mask=values.code < 0)
        return pa.DictionaryArray.from_arrays(code, pa.array(values.names))
    return pa.array(values, from_pandas=True)


def _mean(x: Floats) -> Floats:
    known = ~np.isnan(x)
    return _ratio(np.where(known, x, 0).sum(axis=1, dtype=np.float32), known.sum(axis=1).astype(np.float32))


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.where(below > 0, above / np.where(below > 0, below, 1), np.nan).astype(np.float32)
