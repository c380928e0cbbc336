"""An institution's rows as cells and numbers in ring units: integers, each row's part bounded whatever is in it.

Rows come as a frame of typed columns by their dictionary names (data/table.Table.frame): numbers and flags as doubles,
NaN where missing, special codes among them; categories as texts, None where missing. Nothing is believed of them: a
value out of bounds is clipped, one that is no number or no category counts as missing.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedrisk.recipes.statistics.plan import BITS
from fedrisk.recipes.statistics.settings import column_of
from fedrisk.releases.axes import axis_codes, code_values, doubles
from fedrisk.releases.statistics import MEAN_COUNT, VARIANCE_WEIGHTS, CellTable, Layout, Measure

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def codes(layout: Layout, table: CellTable, frame: pd.DataFrame) -> Ints:
    """The cell of each row in a table, (rows,); a missing category is the axis's last, UNKNOWN."""
    out = np.zeros(len(frame), np.int64)
    for name in table.axes:
        axis = layout.axis(name)
        own = layout.own_axis(axis)
        place = axis_codes(own, frame[column_of(own.column)])
        if axis.groups is not None:
            place = np.asarray(axis.groups, np.int64)[place]
        out = out * len(axis.categories) + place
    return out


def matrix(measure: Measure, frame: pd.DataFrame, *, bits: int = BITS) -> Ints:
    """The numbers of each row for a measure, (rows, columns), in ring units of 2^-bits.

    Each row's norm (L2) is at most 2^bits + 1; zeros where the value is missing, or is a special code.
    """
    return np.rint(plain_matrix(measure, frame) * 2.0**bits).astype(np.int64)


def plain_matrix(measure: Measure, frame: pd.DataFrame) -> Floats:
    """The numbers of each row for a measure, (rows, columns), as doubles in plain units; norms are at most 1."""
    if measure.column is None:
        return np.ones((len(frame), 1))
    values = frame[column_of(measure.column)]
    if measure.kind == "share":
        return _share(measure, values)
    x = _quantities(measure, values)
    there = ~np.isnan(x)
    out = np.zeros((len(x), measure.columns))
    if measure.kind == "quantiles":
        rows = np.flatnonzero(there)
        out[rows, np.searchsorted(np.asarray(measure.cuts), x[rows], side="right")] = 1.0
    else:
        out[there] = _moments(measure, x[there])
    return out


def _moments(measure: Measure, x: Floats) -> Floats:
    """Sum, mean or variance of values, (rows, columns)."""
    if measure.low is None or measure.high is None:
        raise ValueError(f"measure {measure.name} has no bounds")
    low, high = measure.low, measure.high
    clipped = np.clip(x, low, high)
    if measure.kind == "sum":
        return (clipped / max(abs(low), abs(high)))[:, None]
    z = np.clip((clipped - low) / (high - low) * 2.0 - 1.0, -1.0, 1.0)
    if measure.kind == "mean":
        return np.stack([np.full_like(z, MEAN_COUNT), np.sqrt(1 - MEAN_COUNT**2) * z], axis=1)
    a, b, c = VARIANCE_WEIGHTS
    return np.stack([np.full_like(z, a), b * z, c * z * z], axis=1)


def _share(measure: Measure, values: "pd.Series[Any]") -> Floats:
    """(1, 0) for the values that are counted, (0, 1) for others, zeros where there is none."""
    if measure.flag:
        x = doubles(values)
        return np.stack([x == 1.0, x == 0.0], axis=1).astype(np.float64)
    counted = values.isin(measure.values).to_numpy(dtype=bool)
    there = values.notna().to_numpy(dtype=bool)
    return np.stack([counted & there, ~counted & there], axis=1).astype(np.float64)


def _quantities(measure: Measure, values: "pd.Series[Any]") -> Floats:
    """Values of a measure, NaN where there is none, special codes among them."""
    x = doubles(values).copy()
    x[np.isin(x, code_values(measure.special))] = np.nan
    return x


def table_sums(cells: Ints, numbers: Ints, count: int) -> Ints:
    """Sums of the rows of each cell, (count, columns); exact, as long as each is below 2^53 in ring units."""
    out = np.empty((count, numbers.shape[1]), np.int64)
    for k in range(numbers.shape[1]):
        # Doubles hold these integers and their sums exactly: 2^28 rows of 2^24 at most (protocol/form.MOST_ROWS).
        out[:, k] = np.bincount(cells, weights=numbers[:, k].astype(np.float64), minlength=count)
    return out
