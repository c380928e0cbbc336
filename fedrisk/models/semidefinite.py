"""Symmetric matrices that noise left with eigenvalues which they cannot have: the nearest one without, and its root."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def semidefinite(matrix: Floats, least: float = 0.0) -> Floats:
    """The nearest symmetric matrix whose eigenvalues are at least ``least`` (Higham 1988), (n, n).

    >>> semidefinite(np.array([[0.0, 1.0], [1.0, 0.0]])).round(6).tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """
    value, vector = np.linalg.eigh((matrix + matrix.T) / 2)
    out: Floats = (vector * np.maximum(value, least)) @ vector.T
    return out


def symmetric_root(matrix: Floats) -> Floats:
    """The symmetric square root of a matrix, eigenvalues below zero taken as zero, (n, n); it is unique.

    >>> symmetric_root(np.diag([4.0, 9.0])).tolist()
    [[2.0, 0.0], [0.0, 3.0]]
    """
    value, vector = np.linalg.eigh((matrix + matrix.T) / 2)
    out: Floats = (vector * np.sqrt(np.maximum(value, 0.0))) @ vector.T
    return out
