"""Sums of rows whose last digit does not depend on how many rows there are.

A matrix product, and numpy's sum over the first axis, add up a single row in another order than one of many. A score of
one enterprise is to be the one that it has in a list, to the last digit.
"""

from collections.abc import Iterable
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def by_row(x: NDArray[Any], weights: Floats) -> Floats:
    """Weighted sums of rows x (n, k), (n,), each added up in the order of its own columns."""
    out: Floats = np.multiply(x, weights, dtype=np.float64, order="C").sum(axis=1)
    return out


def added_up(parts: Iterable[Floats]) -> Floats:
    """The sum of one or more arrays of a shape, one after the other.

    >>> added_up([np.array([1.0, 2.0]), np.array([3.0, 4.0])]).tolist()
    [4.0, 6.0]
    """
    return reduce(np.add, parts)
