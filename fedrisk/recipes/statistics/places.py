"""An institution's cells and numbers in ring units, of its rows and of enterprises that it does not know.

Arithmetic on arrays alone. At the places of a list an enterprise that the institution does not know has row number -1,
which finds the last entry here: such a one is in the cell that is UNKNOWN on every axis, and adds zeros to all measures
but the count.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fedrisk.recipes.statistics.columns import Ints, codes, matrix
from fedrisk.releases.statistics import CellTable, Layout, Measure


def cells_of(layout: Layout, table: CellTable, frame: pd.DataFrame) -> Ints:
    """The cell of each row of a frame, and last, where row -1 finds it, that of unknown enterprises: (rows + 1,)."""
    # The last cell is the last category of every axis.
    return np.concatenate([codes(layout, table, frame), np.array([layout.cells(table) - 1], np.int64)])


def numbers_of(measures: Sequence[Measure], frame: pd.DataFrame, bits: int) -> Ints:
    """The numbers of some measures side by side for each row, and last those of unknown ones: (rows + 1, columns)."""
    parts = []
    for measure in measures:
        known = matrix(measure, frame, bits=bits)
        # Enterprises are counted whether somebody knows them or not.
        absent = np.full((1, known.shape[1]), 1 << bits if measure.column is None else 0, np.int64)
        parts.append(np.concatenate([known, absent]))
    return np.concatenate(parts, 1)
