"""The rows of a study in one table, on the study's own split: what baselines learn from and are measured on."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedrisk.data.features import Feature


@dataclass(frozen=True, kw_only=True)
class Split:
    """All columns of all institutions, pooled in the clear, with the split that the study drew.

    frame: (rows, columns), numbers as floats and categories as strings, missing where a holder does not know an
    enterprise. label: (rows,), 0 or 1. training: (rows,) booleans; the others are the hold-out. bank: (rows,), the
    bank of each row. features: the public description of each column, in the order of ``frame``'s columns; bounds,
    bins and grids are theirs, so that a private baseline takes none from the rows.
    """

    frame: pd.DataFrame
    label: NDArray[np.float64]
    training: NDArray[np.bool_]
    bank: NDArray[np.str_]
    features: tuple[Feature, ...]

    @property
    def bank_columns(self) -> list[str]:
        """Names of the columns that banks have themselves."""
        return [c for c, f in zip(self.frame.columns, self.features, strict=True) if f.institution == "bank"]


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """A model without fedrisk on the rows of a study.

    name: as in the results. private: trained with differential privacy at the cell's epsilon (in the clear otherwise,
    and fitted once for all epsilons). needs: packages of optional extras; where one is missing the baseline is left
    out and said so. fit: given the split, epsilon and a seed, the probability of default of every row, (rows,); it
    looks at labels of training rows alone.
    """

    name: str
    private: bool
    needs: tuple[str, ...] = ()
    fit: Callable[[Split, float, int], NDArray[np.float64]]
