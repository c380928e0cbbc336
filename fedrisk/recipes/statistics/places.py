"""An institution's part at the places of a list: cells and numbers in ring units, of enterprises it may not know.

Arithmetic on arrays alone. ``rows`` are the institution's row numbers by place, -1 for an enterprise that it does not
know: such a one is in the cell that is UNKNOWN on every axis, and adds zeros to all measures but the count.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fedrisk.recipes.statistics.columns import Ints, codes, matrix, table_sums
from fedrisk.releases.statistics import CellTable, Layout, Measure


def cells_of(layout: Layout, table: CellTable, frame: pd.DataFrame) -> Ints:
    """The cell of each row of a frame, and last, where row -1 finds it, that of unknown enterprises: (rows + 1,)."""
    # The last cell is the last category of every axis.
    return np.concatenate([codes(layout, table, frame), np.array([layout.cells(table) - 1], np.int64)])


def codes_at(layout: Layout, table: CellTable, frame: pd.DataFrame, rows: Ints) -> Ints:
    """The cell of each place, (places,)."""
    return cells_of(layout, table, frame)[rows]


def numbers_of(layout: Layout, measures: Sequence[Measure], frame: pd.DataFrame, bits: int) -> Ints:
    """The numbers of some measures side by side for each row, and last those of unknown ones: (rows + 1, columns)."""
    parts = []
    for measure in measures:
        known = matrix(layout, measure, frame, bits=bits)
        # Enterprises are counted whether somebody knows them or not.
        absent = np.full((1, known.shape[1]), 1 << bits if measure.column is None else 0, np.int64)
        parts.append(np.concatenate([known, absent]))
    return np.concatenate(parts, 1)


def numbers_at(
    layout: Layout, measures: Sequence[Measure], frame: pd.DataFrame, rows: Ints, bits: int
) -> Ints:
    """The numbers of some measures side by side for each place, (places, columns), in units of 2^-bits."""
    return numbers_of(layout, measures, frame, bits)[rows]


def own_sums(
    layout: Layout, table: CellTable, measure: Measure, frame: pd.DataFrame, rows: Ints, bits: int
) -> Ints:
    """Sums of one institution's own measure by its own cells, (cells, columns)."""
    numbers = numbers_at(layout, [measure], frame, rows, bits)
    return table_sums(codes_at(layout, table, frame, rows), numbers, layout.cells(table))
