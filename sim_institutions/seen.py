"""What an institution holds about a block: rows, point-in-time columns, monthly histories; and common columns."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from sim_institutions.enterprises import Enterprises
from sim_institutions.streams import MONTHS, Bools, Floats, Ints, coarse, normal, significant, uniform

YEAR = slice(MONTHS - 12, MONTHS)
LATE, EARLY = slice(MONTHS - 6, MONTHS), slice(0, 6)  # the same calendar months of two years


@dataclass(frozen=True)
class Category:
    """A column of texts: place in ``names``, or -1 where missing."""

    code: Ints
    names: tuple[str, ...]

    def take(self, rows: Ints) -> "Category":
        return Category(self.code[rows], self.names)


@dataclass(frozen=True)
class Seen:
    """rows: places in the block, in the institution's own order. columns: by name; numbers are float32 with
    NaN where missing, flags are such numbers too. histories: by series, (rows, 18), oldest month first."""

    rows: Ints
    columns: Mapping[str, Floats | Category]
    histories: Mapping[str, Floats] = field(default_factory=dict)


class Sheet:
    """Collects the columns of one institution: each gets gaps, more of them where records are thin."""

    def __init__(self, e: Enterprises, rows: Ints, rng: np.random.Generator, sloppy: float = 1.0) -> None:
        self.rows, self.rng = rows, rng
        # Who is thinly known in one column tends to be so in the next.
        self._holes = (sloppy * np.exp(0.8 * e.thin[rows] + 0.8 * normal(rng, len(rows)) - 0.32)).astype(
            np.float32
        )
        self.columns: dict[str, Floats | Category] = {}
        self.histories: dict[str, Floats] = {}

    def number(self, name: str, values: Floats, *, gap: float = 0.0, digits: int = 4) -> None:
        """A number, rounded, missing at about the share ``gap``."""
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
        """18 months of a series; where ``delayed`` the last month has not come in yet."""
        out = coarse(values)
        if delayed is not None:
            out[delayed, -1] = np.nan
        self.histories[name] = out

    def seen(self) -> Seen:
        return Seen(self.rows, self.columns, self.histories)

    def _missing(self, gap: float) -> Bools:
        return uniform(self.rng, len(self.rows)) < gap * self._holes


def covered(e: Enterprises, base: float, rng: np.random.Generator, *, thin: float = 1.5) -> Ints:
    """Who is known to an institution, in random order: about the share ``base``, fewer where records are thin."""
    odds = np.log(base / (1 - base)) - thin * e.thin
    return rng.permutation(np.flatnonzero(uniform(rng, len(e)) < 1 / (1 + np.exp(-odds))))


def growth(series: Floats) -> Floats:
    """Mean of the last six months over that of the same months a year before, less 1; NaN where unknown."""
    return _ratio(_mean(series[:, LATE]), _mean(series[:, EARLY])) - 1


def variation(series: Floats) -> Floats:
    """Standard deviation over mean of the last 12 months."""
    year = series[:, YEAR]
    mean = _mean(year)
    return _ratio(np.sqrt(_mean((year - mean[:, None]) ** 2)), mean)


def year_total(series: Floats) -> Floats:
    """Sum over 12 months, months without a value counted as the mean of the others."""
    return 12 * _mean(series[:, YEAR])


def year_gaps(series: Floats) -> Floats:
    """Months without a value among the last 12."""
    return np.isnan(series[:, YEAR]).sum(axis=1).astype(np.float32)


def skipped(series: Floats, gap: Bools, made_up: Bools) -> Floats:
    """The series with gaps; where ``made_up`` the month after a gap carries both months' amounts."""
    out = series.copy()
    carried = gap[:, :-1] & made_up[:, None]
    out[:, 1:] += np.where(carried, series[:, :-1], 0)
    out[gap] = np.nan
    return out


def _mean(x: Floats) -> Floats:
    known = ~np.isnan(x)
    return _ratio(np.where(known, x, 0).sum(axis=1, dtype=np.float32), known.sum(axis=1).astype(np.float32))


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.where(below > 0, above / np.where(below > 0, below, 1), np.nan).astype(np.float32)


def arrow(values: Floats | Category) -> pa.Array:
    """As Arrow, missing values as nulls."""
    if isinstance(values, Category):
        code = pa.array(values.code.astype(np.int8), mask=values.code < 0)
        return pa.DictionaryArray.from_arrays(code, pa.array(values.names))
    return pa.array(values, from_pandas=True)
