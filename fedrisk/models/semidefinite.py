"""Symmetric matrices that noise left with eigenvalues which they cannot have: the nearest one without, and its root."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def semidefinite(matrix: Floats, least: float = 0.0) -> Floats:
    """The nearest symmetric matrix whose eigenvalues are at least ``least`` (Higham 1988), (n, n).

    >>> semidefinite(np.array([[0.0, 1.0], [1.0, 0.0]])).round(6).tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """
    symmetric: Floats = (matrix + matrix.T) / 2
    if _above(symmetric, least):
        return symmetric
    value, vector = np.linalg.eigh(symmetric)
    out: Floats = (vector * np.maximum(value, least)) @ vector.T
    return out


def _above(matrix: Floats, least: float) -> bool:
    """Whether all eigenvalues of a symmetric matrix are above ``least``: a Cholesky factor tells it much faster."""
    if not np.isfinite(matrix).all():
        return False
    try:
        np.linalg.cholesky(matrix - least * np.eye(len(matrix)))
    except np.linalg.LinAlgError:
        return False
    return True


def symmetric_root(matrix: Floats) -> Floats:
    """The symmetric square root of a matrix, eigenvalues below zero taken as zero, (n, n); it is unique.

    >>> symmetric_root(np.diag([4.0, 9.0])).tolist()
    [[2.0, 0.0], [0.0, 3.0]]
    """
    value, vector = np.linalg.eigh((matrix + matrix.T) / 2)
    out: Floats = (vector * np.sqrt(np.maximum(value, 0.0))) @ vector.T
    return out
