"""How well a sum of points tells the bin of one of its columns: what a card gives away by its form alone.

A card whose points leave wide gaps between the bins of one column, and narrow ones elsewhere, tells that column with
every score, within all limits of range and values. It need not be made so on purpose, but it can be: whoever invents
the totals of a study chooses the points. Points are public to a study's members, so that each can work this out before
it approves a model.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

READABLE = 0.5
"""From here a column counts as readable: ordinary cards reach .1 to .2, crafted ones .6 and more."""


def readable(points: Sequence[Sequence[int]]) -> list[float]:
    """Of each column, how much better than blindly its points are guessed from the sum over all columns: 0 to 1.

    Every column is taken to have each of its different points equally often, and independently of the others, so that
    nothing depends on records. 1 where the sum decides the points of the column; 0 where it says nothing, and for
    columns whose points are all the same.

    >>> [round(v, 2) for v in readable([(0, 10, 20), (0, 1), (0, 1, 2)])]
    [1.0, 0.33, 0.5]
    >>> readable([(5, 5)])
    [0.0]
    """
    values = [np.unique(np.asarray(p, np.int64)) for p in points]
    shares = [_share(v) for v in values]
    out = []
    for j, own in enumerate(values):
        if len(own) == 1:
            out.append(0.0)
            continue
        rest = np.ones(1)
        for k, share in enumerate(shares):
            if k != j:
                rest = np.convolve(rest, share)
        table = np.zeros((len(own), len(rest) + int(own[-1] - own[0])))
        for row, v in enumerate(own - own[0]):
            table[row, v : v + len(rest)] = rest / len(own)
        blind = 1 / len(own)
        out.append(float(np.clip((table.max(0).sum() - blind) / (1 - blind), 0.0, 1.0)))
    return out


def _share(values: NDArray[np.int64]) -> NDArray[np.float64]:
    """Shares of a column's points, from the least to the greatest."""
    out = np.zeros(int(values[-1] - values[0]) + 1)
    out[values - values[0]] = 1 / len(values)
    return out
