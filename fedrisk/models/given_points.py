"""What a holder gives for a sum of its points: every so many points, or bands; drawn up from released numbers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BANDS = 10
"""Bands that a card's coarse scores are drawn up in."""

LEAST_BAND_SHARE = 0.05
"""Least share of enterprises in a band; thinner bands are merged with their neighbour."""

MOST_OF_BAND = 0.9
"""Most that a single sum of points may be of its band."""


@dataclass(frozen=True)
class GivenPoints:
    """Points that stand for a sum of points: ``values[k]`` for sums from ``edges[k - 1]`` to below ``edges[k]``."""

    edges: tuple[int, ...]
    values: tuple[int, ...]

    def of(self, sums: NDArray[np.int64]) -> NDArray[np.int64]:
        """Given points of each sum, (n,)."""
        out: NDArray[np.int64] = np.array(self.values, np.int64)[
            np.searchsorted(np.array(self.edges, np.int64), sums, side="right")
        ]
        return out

    def on_grid(self, low: int, high: int, *, step: int) -> "GivenPoints":
        """The same with each value at the nearest number of the grid from ``low``, none above ``high``.

        >>> GivenPoints((3,), (1, 9)).on_grid(0, 7, step=3).values
        (0, 6)
        """
        most = (high - low) // step
        places = (min(max(round((v - low) / step), 0), most) for v in self.values)
        return GivenPoints(self.edges, tuple(low + step * k for k in places))

    @classmethod
    def grid(cls, low: int, high: int, *, step: int) -> "GivenPoints":
        """Every ``step``-th number from ``low`` to ``high``, each for the sums around it.

        >>> GivenPoints.grid(0, 7, step=3).of(np.arange(8)).tolist()
        [0, 0, 3, 3, 3, 6, 6, 6]
        """
        values = tuple(range(low, high + 1, step))
        return cls(tuple(v - step // 2 for v in values[1:]), values)


def common_step(spans: Iterable[tuple[int, int]], values: int) -> int:
    """Step of the grid on which all holders give points, so that their sum takes at most so many values.

    spans: least and greatest sum of each holder. With lengths s and step d the sum is one of 1 + sum floor(s / d)
    numbers d apart, and d is at least sum s / (values - 1).

    >>> common_step([(0, 100), (-50, 50)], 16)
    14
    """
    width = sum(high - low for low, high in spans)
    return max(1, -(-width // (values - 1)))


def most_values(spans: Iterable[tuple[int, int]], step: int) -> int:
    """Most different values of the sum of all holders' points on such a grid.

    >>> most_values([(0, 100), (-50, 50)], 14)
    15
    """
    return 1 + sum((high - low) // step for low, high in spans)


def sum_shares(points: Sequence[Sequence[int]], weights: Sequence[NDArray[np.float64]]) -> dict[int, float]:
    """Share of enterprises by sum of points, from released shares of bins, as if columns were independent.

    >>> sum_shares([(0, 5), (1, 2)], [np.array([0.5, 0.5]), np.array([0.25, 0.75])])
    {1: 0.125, 2: 0.375, 6: 0.125, 7: 0.375}
    """
    low, shares = 0, np.ones(1)
    for p, w in zip(points, weights, strict=True):
        one = np.bincount(np.asarray(p) - min(p), w)
        shares, low = np.convolve(shares, one), low + min(p)
    return {low + k: float(v) for k, v in enumerate(shares) if v > 0}


def holder_shares(
    points: Sequence[Sequence[int]], weights: Sequence[NDArray[np.float64]]
) -> dict[int, float]:
    """Share of enterprises by a holder's sum of points: of those that it knows as `sum_shares`, of the others one sum.

    Whether it knows an enterprise is one event for all its columns. As if each column decided it anew, the sum of all
    unknown enterprises would seem rare, and a band of hardly anybody else would pass for one of many sums.

    points, weights: of its columns, each with its last bin for unknown enterprises, then of whether it knows them.

    >>> holder_shares([(0, 5, 1), (2, 3)], [np.array([0.4, 0.1, 0.5]), np.array([0.5, 0.5])])
    {2: 0.4, 7: 0.1, 4: 0.5}
    """
    *columns, (here, gone) = points
    *parts, of_known = weights
    known = float(of_known[0] / of_known.sum())
    inside = sum_shares([p[:-1] for p in columns], [w[:-1] / w[:-1].sum() for w in parts])
    out = {total + here: known * share for total, share in inside.items()}
    alone = sum(p[-1] for p in columns) + gone
    out[alone] = out.get(alone, 0.0) + 1 - known
    return out


def merged_bands(edges: Sequence[int], values: Sequence[int], shares: Mapping[int, float]) -> GivenPoints:
    """Bands of which none holds few enterprises, or nearly one sum of points alone, by released shares.

    edges, values: of the bands as they are drawn up, one value more than edges. shares: of enterprises by sum. A band
    of less than LEAST_BAND_SHARE, or of which one sum is more than MOST_OF_BAND, is merged with the next: otherwise the
    bands of a holder with one yes-or-no column would be that column. No row is looked at: which bands there are must
    not depend on records, or one record would move the scores of others.
    """
    sums = np.array(sorted(shares), np.int64)
    mass = np.array([shares[int(s)] for s in sums])
    mass = mass / mass.sum()

    def enough(part: NDArray[np.bool_]) -> bool:
        return bool(
            mass[part].sum() >= LEAST_BAND_SHARE
            and mass[part].max(initial=0) <= MOST_OF_BAND * mass[part].sum()
        )

    kept: list[int] = []
    groups: list[list[int]] = [[values[0]]]
    low = int(sums[0])
    for edge, value in zip(edges, values[1:], strict=True):
        if enough((sums >= low) & (sums < edge)) and enough(sums >= edge):
            kept.append(edge)
            groups.append([value])
            low = edge
        else:
            groups[-1].append(value)
    return GivenPoints(tuple(kept), tuple(round(sum(g) / len(g)) for g in groups))
