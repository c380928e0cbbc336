"""Each bank alone: its own columns and its own training rows, in the clear, for its own hold-out."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fedrisk.lab.baselines.clear import binned_logistic, boosting
from fedrisk.lab.split import Baseline, Fit, Split

FEWEST = 5
"""Defaults and others that a bank needs among its training rows; below it every customer gets the bank's own rate."""


def alone(fit: Fit) -> Fit:
    """The baseline that fits each bank's rows by themselves; probabilities of all banks together, (rows,)."""

    def each(split: Split, epsilon: float, delta: float, seed: int) -> NDArray[np.float64]:
        found = np.full(len(split.label), np.nan)
        for bank in np.unique(split.bank):
            own = _of_bank(split, split.bank == bank)
            label = own.label[own.training]
            if min(label.sum(), len(label) - label.sum()) < FEWEST or not own.features:
                found[split.bank == bank] = (label.sum() + 0.5) / (len(label) + 1)
            else:
                found[split.bank == bank] = fit(own, epsilon, delta, seed)
        return found

    return each


def _of_bank(split: Split, rows: NDArray[np.bool_]) -> Split:
    columns = split.bank_columns
    return replace(
        split,
        frame=split.frame.loc[rows, columns].reset_index(drop=True),
        label=split.label[rows],
        training=split.training[rows],
        bank=split.bank[rows],
        features=tuple(f for f in split.features if f.institution == "bank"),
    )


_MODELS: dict[str, Fit] = {"boosting": boosting, "binned logistic regression": binned_logistic}

BASELINES = tuple(
    Baseline(name=f"bank alone, {name}", private=False, fit=alone(fit)) for name, fit in _MODELS.items()
)
