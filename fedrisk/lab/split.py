"""The rows of a study in one table, on the study's own split: what baselines learn from and are measured on."""

from dataclasses import dataclass
from typing import Protocol

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


class Fit(Protocol):
    """What a baseline does with the rows of a study."""

    def __call__(self, split: Split, epsilon: float, delta: float, seed: int) -> NDArray[np.float64]:
        """The probability of default of every row, (rows,); labels are taken of training rows alone.

        epsilon, delta: the price of a private baseline, in the unit of a study; others look at neither. seed: of
        everything that is drawn.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """A model without fedrisk on the rows of a study.

    name: as in the results. private: trained with differential privacy for each row at the cell's epsilon.
    label_private: the labels alone are protected at the cell's epsilon, features are not. Neither: trained in the
    clear, and fitted once for all epsilons. needs: packages of optional extras, by the name they are imported by; where
    one is missing the baseline is left out and said so. fit: gives the probability of default of every row.
    """

    name: str
    private: bool
    label_private: bool = False
    needs: tuple[str, ...] = ()
    fit: Fit

    @property
    def at_epsilon(self) -> bool:
        """Whether it depends on epsilon, so that each epsilon needs a fit of its own."""
        return self.private or self.label_private
