"""What single columns tell at a bank, and whether its customers have changed: information values and stability.

Of its own columns a bank knows both: the exact value in its own customers, and that of all banks together with noise.
Of holders' columns it has the released one alone. A column's bins are here the levels of its points: what the card
holds to be the same counts as the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.analysis.card_sums import CardSums
from fedrisk.analysis.curves import Estimate
from fedrisk.analysis.feature_figures import column_values as released_values
from fedrisk.analysis.feature_figures import counted_value
from fedrisk.analysis.homogeneity import Histogram
from fedrisk.analysis.stability import Stability, stability
from fedrisk.models.own_rows import OwnRows

GROUPS = 10
"""Groups of about equal size of the training customers by which scores are compared."""

LEAST_ROWS = 50
"""Fewest customers of a group that is compared."""


@dataclass(frozen=True, kw_only=True)
class ColumnValue:
    """A column's information value. released: of all banks together, with noise; own: of this bank's customers, exact.

    institution: role whose column it is. None where it is not known.
    """

    institution: str
    column: str
    released: Estimate | None
    own: Estimate | None


@dataclass(frozen=True, kw_only=True)
class Shift:
    """How one group of customers differs from those of the training.

    name: of the score's group or of the column. rows: of the group. index: PSI less what chance adds, with its
    interval. points: how many more points the group has on the mean; None for probabilities.
    """

    name: str
    rows: int
    index: Stability
    points: float | None


def column_values(rows: OwnRows) -> tuple[ColumnValue, ...]:
    """Every column's information value, the highest first; none where the study has no card."""
    released = {}
    if rows.released is not None:
        found = released_values(CardSums(bins=rows.released.bins, counts=rows.released.counts))
        released = {(v.institution, v.column): v.value for v in found}
    labelled = np.isin(rows.label, (0.0, 1.0))
    own = {}
    for name, points in rows.points.items():
        ones, zeros = _levels([points[labelled & (rows.label == side)] for side in (1.0, 0.0)])
        # The same divergence, of exact counts of defaults and of others.
        own[("bank", name)] = counted_value(ones, zeros)
    names = [*released, *(k for k in own if k not in released)]
    out = [
        ColumnValue(institution=k[0], column=k[1], released=released.get(k), own=own.get(k)) for k in names
    ]
    return tuple(sorted(out, key=lambda v: -_best(v)))


def score_shifts(rows: OwnRows, model: str) -> tuple[Shift, ...]:
    """The score of customers of each other split against those of the training, by tenths of these."""
    training = rows.rows_of("training")
    by_score = model == "scorecard" and rows.score is not None
    values: NDArray[Any] = rows.score if by_score and rows.score is not None else rows.probability[model]
    edges = group_edges(values[training])
    out = []
    for name in ("holdout", "unused", "no label"):
        part = rows.rows_of(name)
        found = _shift(
            name, _grouped(values, training, edges), _grouped(values, part, edges), int(part.sum())
        )
        if found is not None:
            more = float(values[part].mean() - values[training].mean()) if by_score else None
            out.append(Shift(name=name, rows=found.rows, index=found.index, points=more))
    return tuple(out)


def column_shifts(rows: OwnRows) -> tuple[Shift, ...]:
    """Each own column's points of all customers outside the training against those of the training."""
    training = rows.rows_of("training")
    out = []
    for name, points in rows.points.items():
        before, after = _levels([points[training], points[~training]])
        found = _shift(name, before, after, int((~training).sum()))
        if found is not None:
            more = float(points[~training].mean() - points[training].mean())
            out.append(Shift(name=name, rows=found.rows, index=found.index, points=more))
    return tuple(sorted(out, key=lambda s: -s.index.index))


def group_edges(values: NDArray[Any]) -> NDArray[np.float64]:
    """Inner edges of groups of about equal size; none where there are no values."""
    if not len(values):
        return np.zeros(0)
    return np.unique(np.quantile(values, np.arange(1, GROUPS) / GROUPS))


def _grouped(
    values: NDArray[Any], part: NDArray[np.bool_], edges: NDArray[np.float64]
) -> NDArray[np.float64]:
    place = np.searchsorted(edges, values[part], side="right")
    return np.bincount(place, minlength=len(edges) + 1).astype(np.float64)


def _levels(samples: Sequence[NDArray[Any]]) -> list[NDArray[np.float64]]:
    """How often each value occurs in each sample, by value."""
    levels = np.unique(np.concatenate(samples))
    return [
        np.bincount(np.searchsorted(levels, s), minlength=len(levels)).astype(np.float64) for s in samples
    ]


def _shift(name: str, before: NDArray[np.float64], after: NDArray[np.float64], rows: int) -> Shift | None:
    if min(before.sum(), after.sum()) < LEAST_ROWS:
        return None
    index = stability(Histogram.of(before, 0.0), Histogram.of(after, 0.0))
    return None if index is None else Shift(name=name, rows=rows, index=index, points=None)


def _best(value: ColumnValue) -> float:
    found = value.released or value.own
    return -1.0 if found is None else found.value
