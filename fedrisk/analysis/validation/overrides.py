"""Overrides: how often people gave another grade than the model, in which direction, and what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedrisk.analysis.validation.noisy_binomial import jeffreys_interval

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Direction:
    """Customers whose grade was moved one way.

    labelled: those with an outcome. defaults: among them. expected: defaults that the model foretold for them.
    """

    customers: int
    labelled: int
    defaults: int
    expected: float


@dataclass(frozen=True, kw_only=True)
class Overrides:
    """What people changed.

    recorded: customers with a recorded grade. better, worse: moved towards safety and towards risk. rate, low, high:
    share moved, with its interval. by_grade: (moved, recorded) by the model's grade, in the order of the scale.
    """

    recorded: int
    better: Direction
    worse: Direction
    rate: float
    low: float
    high: float
    by_grade: tuple[tuple[int, int], ...]


def overrides(
    model: NDArray[np.intp],
    final: NDArray[np.intp],
    label: Floats,
    pd: Floats,
    grades: int,
    level: float,
) -> Overrides | None:
    """Overrides of customers whose final grade is recorded, (n,) each; None for none. label: NaN if none."""
    if not len(model):
        return None
    moved = model != final

    def way(which: NDArray[np.bool_]) -> Direction:
        known = which & ~np.isnan(label)
        return Direction(
            customers=int(which.sum()),
            labelled=int(known.sum()),
            defaults=round(float(label[known].sum())),
            expected=float(pd[known].sum()),
        )

    low, high = jeffreys_interval(float(moved.sum()), len(moved), 1 - level)
    counted: Sequence[NDArray[np.intp]] = [
        np.bincount(model[moved], minlength=grades),
        np.bincount(model, minlength=grades),
    ]
    return Overrides(
        recorded=len(moved),
        better=way(final < model),
        worse=way(final > model),
        rate=float(moved.mean()),
        low=low,
        high=high,
        by_grade=tuple((int(a), int(b)) for a, b in zip(*counted, strict=True)),
    )
