"""The two parts of a bank's score, its own points and the data holders', and how score and outcomes go over time."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedrisk.analysis import curves
from fedrisk.analysis.curves import Estimate, share_of
from fedrisk.analysis.homogeneity import Histogram
from fedrisk.analysis.own_columns import LEAST_ROWS, group_edges
from fedrisk.analysis.score_counts import counts_of_rows
from fedrisk.analysis.stability import Stability, stability
from fedrisk.models.own_rows import OwnRows

THIRDS = 3
"""Groups of each part in the table of both."""

MOST_PERIODS = 12
"""Most periods that are shown; months become quarters, and quarters years, where there would be more."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One cell of the table of both parts: customers of the hold-out, and their default rate."""

    customers: int
    rate: Estimate | None


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Own points and holders' points beside each other, on the hold-out.

    own, external, both: AUC of each part alone and of their sum. correlation: of the two, over customers. own_edges,
    external_edges: inner edges of their thirds. cells: by third of the own points (rows, lowest first) and of the
    holders' (columns, lowest first).
    """

    own: Estimate
    external: Estimate
    both: Estimate
    correlation: float
    own_edges: tuple[float, ...]
    external_edges: tuple[float, ...]
    cells: tuple[tuple[Part, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Period:
    """Customers of one period by their own day. rate: default rate of those with a label. index: PSI of their score.

    index compares with the first period that has enough customers; None for that one.
    """

    name: str
    customers: int
    defaults: int
    rate: Estimate | None
    index: Stability | None


def parts_of(rows: OwnRows) -> Parts | None:
    """Own and external points on the hold-out; None where the score has no two parts, or one says nothing."""
    if rows.own_points is None or rows.external_points is None:
        return None
    held, y = rows.held_out, rows.outcome
    own, external = rows.own_points[held], rows.external_points[held]
    if min(np.ptp(own), np.ptp(external)) == 0:
        return None
    areas = [curves.area(counts_of_rows(y, s, axis="score")) for s in (own, external, own + external)]
    edges = [_thirds(v) for v in (own, external)]
    place = [np.searchsorted(e, v, side="right") for e, v in zip(edges, (own, external), strict=True)]
    cells = [
        tuple(_cell(y[(place[0] == i) & (place[1] == j)]) for j in range(len(edges[1]) + 1))
        for i in range(len(edges[0]) + 1)
    ]
    return Parts(
        own=areas[0],
        external=areas[1],
        both=areas[2],
        correlation=float(np.corrcoef(own, external)[0, 1]),
        own_edges=tuple(edges[0].tolist()),
        external_edges=tuple(edges[1].tolist()),
        cells=tuple(cells),
    )


def periods_of(rows: OwnRows, model: str) -> tuple[Period, ...]:
    """Customers by month, quarter or year of their day; none where days are not known or all lie in one period."""
    if rows.day is None:
        return ()
    known = ~np.isnat(rows.day)
    names = _period_names(rows.day[known])
    if len(np.unique(names)) < 2:
        return ()
    risk, label = rows.probability[model][known], rows.label[known]
    edges: NDArray[np.float64] | None = None
    first = np.zeros(0)
    out = []
    for name in np.unique(names):
        part = names == name
        y = label[part & np.isin(label, (0.0, 1.0))]
        index = None
        if part.sum() >= LEAST_ROWS:
            if edges is None:
                edges, counted = group_edges(risk[part]), True
                first = _counts(risk[part], edges)
            else:
                counted = False
            now = Histogram.of(_counts(risk[part], edges), 0.0)
            index = None if counted else stability(Histogram.of(first, 0.0), now)
        bad = float(y.sum())
        out.append(
            Period(
                name=str(name),
                customers=int(part.sum()),
                defaults=int(bad),
                rate=share_of(bad, len(y) - bad, 0.0, 1, 1) if len(y) else None,
                index=index,
            )
        )
    return tuple(out)


def _period_names(day: NDArray[np.datetime64]) -> NDArray[np.str_]:
    """Month, quarter or year of each day, as few as keep to MOST_PERIODS."""
    month = day.astype("datetime64[M]").astype(int)
    year = 1970 + month // 12
    for names in (
        [f"{y}-{m % 12 + 1:02d}" for y, m in zip(year, month, strict=True)],
        [f"{y} Q{m % 12 // 3 + 1}" for y, m in zip(year, month, strict=True)],
    ):
        if len(set(names)) <= MOST_PERIODS:
            return np.array(names)
    return year.astype(str)


def _counts(values: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1).astype(float)


def _thirds(values: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.unique(np.quantile(values, np.arange(1, THIRDS) / THIRDS))


def _cell(y: NDArray[np.float64]) -> Part:
    bad = float(y.sum())
    return Part(customers=len(y), rate=share_of(bad, len(y) - bad, 0.0, 1, 1) if len(y) else None)
