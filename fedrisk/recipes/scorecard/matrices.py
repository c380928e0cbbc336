"""An institution's matrices in a scorecard study: histograms, one-hot bins, labels, shape rows.

Arithmetic on arrays alone; what comes out is exact and stays at the institution until the outlet adds masks and noise.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedrisk.analysis.card_sums import own_pairs
from fedrisk.errors import ProtocolError
from fedrisk.models.binning import Bins
from fedrisk.secure.product import Shape, one_hot
from fedrisk.secure.ring import from_signed

RingArray = NDArray[Any]
Codes = NDArray[Any]
Rows = NDArray[np.int64]


def table_codes(frame: pd.DataFrame, bins: Sequence[Bins]) -> Codes:
    """Bin codes of a whole table, (rows + 1, features); the last row is that of an unknown enterprise."""
    kind = np.uint8 if all(b.size <= 256 for b in bins) else np.uint16
    codes = np.empty((len(frame) + 1, len(bins)), kind)
    for j, b in enumerate(bins):
        known = not b.feature.is_column
        codes[:-1, j] = 0 if known else b.codes(frame[b.feature.column])
        codes[-1, j] = b.size - 1
    return codes


def label_matrix(
    label: NDArray[np.float64], weight: NDArray[np.float64] | None, scale_bits: int, *, binary: bool
) -> NDArray[np.int64]:
    """(rows, 2): w y and w (1 - y) in ring units, zeros where there is no label; each row's norm is at most one unit.

    ProtocolError where ``binary`` says that all labels are 0 or 1 without weights, and they are not.
    """
    weights = np.ones(len(label)) if weight is None else weight
    # Refused for labels that are not there as well: the others then count as negative whoever has no label.
    if binary and not (np.isin(label, (0.0, 1.0)).all() and (weights == 1).all()):
        raise ProtocolError(
            "the hub takes soft, weighted or absent labels for plain ones; run the study again"
        )
    there = ~np.isnan(label)
    label, weights = np.where(there, label, 0.0), np.where(there, weights, 0.0)
    whole = np.rint(weights * 2**scale_bits).astype(np.int64)
    # p^2 + (w - p)^2 <= w^2 however p is rounded.
    positive = np.rint(label * whole).astype(np.int64)
    return np.stack([positive, whole - positive], 1)


def label_counts(codes: Codes, sizes: Sequence[int], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """(bins, 2) sums of the label matrix by bin of each feature; codes and labels of the same rows."""
    columns = [
        np.stack([np.bincount(codes[:, j], labels[:, k], size) for k in (0, 1)], 1)
        for j, size in enumerate(sizes)
    ]
    return np.rint(np.concatenate(columns)).astype(np.int64)


def histogram(codes: Codes, sizes: Sequence[int], scale_bits: int) -> NDArray[np.int64]:
    """(bins, 1) rows in each bin of each feature, in ring units."""
    columns = [np.bincount(codes[:, j], minlength=size) for j, size in enumerate(sizes)]
    return np.concatenate(columns)[:, None].astype(np.int64) << scale_bits


def gram_vector(lists: Sequence[NDArray[np.int64]], owners: Sequence[int]) -> NDArray[np.uint64]:
    """Entries of one role's columns of different features, summed over lists of shape rows, modulo 2^64."""
    total = np.zeros((len(owners), len(owners)), np.uint64)
    for psi in lists:
        total += _gram(psi)
    left, right = own_pairs(owners)
    return total[list(left), list(right)]


def _gram(psi: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Gram matrix psi'psi exactly, modulo 2^64; entries of psi are small, so 21-bit halves multiply exactly in BLAS."""
    high = psi >> 20
    low = (psi - (high << 20)).astype(float)
    top = high.astype(float)
    total = np.zeros((psi.shape[1],) * 2, np.int64)
    # In blocks of 2^12 rows: 2^20 * 2^20 * 2^12 stays below 2^53.
    for start in range(0, len(psi), 4096):
        a, b = top[start : start + 4096], low[start : start + 4096]
        cross = (a.T @ b).astype(np.int64)
        total += ((a.T @ a).astype(np.int64) << 40) + ((cross + cross.T) << 20) + (b.T @ b).astype(np.int64)
    return total.view(np.uint64)


def blocks_of(matrix: NDArray[Any], shape: Shape) -> Iterator[RingArray]:
    """A matrix block of rows by block of rows, as ring elements."""
    for k in range(shape.blocks):
        start, stop = shape.span(k)
        part = matrix[start:stop]
        yield from_signed(part, shape.dtype) if part.dtype.kind == "i" else part


def one_hot_blocks(codes: Codes, rows: Rows, sizes: Sequence[int], shape: Shape) -> Iterator[RingArray]:
    """One-hot bins of some rows without each feature's last bin, block of rows by block of rows."""
    for k in range(shape.blocks):
        start, stop = shape.span(k)
        yield one_hot(codes[rows[start:stop]], sizes, shape.dtype, last=False)
