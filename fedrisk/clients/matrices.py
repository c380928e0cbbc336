"""An institution's own matrices in a release: histograms, one-hot bins, labels, shape rows.

Everything here is exact and stays at home; clients/release adds masks and noise before anything leaves.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.alignment.matching import TRAINING
from fedrisk.clients.node import Attempt
from fedrisk.data.features import Feature, features_from
from fedrisk.errors import DataError, ProtocolError
from fedrisk.models.binning import Bins, grid_histogram
from fedrisk.models.plan import Block, Product, Release, own_pairs
from fedrisk.models.shape_rows import shape_rows
from fedrisk.secure.product import Shape, one_hot
from fedrisk.secure.ring import from_signed

RingArray = NDArray[Any]


def lists_of(attempt: Attempt) -> tuple[str, ...]:
    """Trainers on whose lists the institution has rows: a trainer on its own, another holder on all."""
    trainers = attempt.study.trainers
    return (attempt.name,) if attempt.name in trainers else trainers


def all_features(attempt: Attempt) -> list[Feature]:
    """Public features of all roles, as the hub tells them."""
    return features_from(attempt.state["features"])


def own_features(attempt: Attempt) -> list[Feature]:
    """Public features of the own role."""
    return [f for f in all_features(attempt) if f.institution == attempt.role]


def edge_counts(attempt: Attempt, release: Release) -> NDArray[np.int64]:
    """Cell counts of own columns without public bins over training rows, (columns, cells), in ring units."""
    frame = attempt.read().frame
    rows = np.concatenate([training_rows(attempt, bank) for bank in lists_of(attempt)])
    rows = rows[rows >= 0]
    private = [f for f in own_features(attempt) if f.private_edges]
    cells = attempt.study.bins.cells
    counts: NDArray[np.int64] = np.stack(
        [grid_histogram(frame[f.column].to_numpy()[rows], f, cells) for f in private]
    )
    return counts << release.scale_bits


def own_counts(attempt: Attempt, release: Release) -> RingArray:
    """(bins, 2) label counts of the bank's own columns, scaled to ring units."""
    codes, sizes = chosen_codes(attempt, attempt.state["chosen"])
    part = codes[training_rows(attempt, attempt.name)]
    labels = label_matrix(attempt, release)
    columns = [
        np.stack([np.bincount(part[:, j], labels[:, k], size) for k in (0, 1)], 1)
        for j, size in enumerate(sizes)
    ]
    return from_signed(np.rint(np.concatenate(columns)).astype(np.int64), release.ring)


def own_histogram(attempt: Attempt, release: Release, block: Block) -> NDArray[np.int64]:
    """(bins, 1) rows in each bin of a holder's own columns, in ring units; zeros at a bank, which only adds noise."""
    if block.left != attempt.role:
        return np.zeros(block.shape, np.int64)
    codes, sizes = chosen_codes(attempt, attempt.state["chosen"])
    rows = np.concatenate([training_rows(attempt, bank) for bank in lists_of(attempt)])
    columns = [np.bincount(codes[rows, j], minlength=size) for j, size in enumerate(sizes)]
    return np.concatenate(columns)[:, None].astype(np.int64) << release.scale_bits


def own_gram(attempt: Attempt, release: Release) -> RingArray:
    """Entries of own columns of different features over the sample of own training rows, as a vector."""
    owners = attempt.state["owners"][attempt.role]
    total = np.zeros((len(owners), len(owners)), np.uint64)
    for bank in lists_of(attempt):
        total += _gram(shape_matrix(attempt, release, bank))
    left, right = own_pairs(owners)
    return total[list(left), list(right)].astype(release.ring)


def _gram(psi: NDArray[np.int64]) -> NDArray[np.uint64]:
    """psi'psi exactly, modulo 2^64; entries of psi are small, so 21-bit halves multiply exactly in BLAS."""
    high = psi >> 20
    low = (psi - (high << 20)).astype(float)
    top = high.astype(float)
    total = np.zeros((psi.shape[1],) * 2, np.int64)
    for start in range(0, len(psi), 4096):  # 2^20 * 2^20 * 2^12 stays below 2^53
        a, b = top[start : start + 4096], low[start : start + 4096]
        cross = (a.T @ b).astype(np.int64)
        total += ((a.T @ a).astype(np.int64) << 40) + ((cross + cross.T) << 20) + (b.T @ b).astype(np.int64)
    return total.view(np.uint64)


def table_codes(attempt: Attempt, bins: Sequence[Bins]) -> NDArray[Any]:
    """Bin codes of the whole table, (rows, features), with one last row: that of an unknown enterprise."""
    frame = attempt.read().frame
    kind = np.uint8 if all(b.size <= 256 for b in bins) else np.uint16
    codes = np.empty((len(frame) + 1, len(bins)), kind)
    for j, b in enumerate(bins):
        codes[:-1, j] = b.codes(frame[b.feature.column])
        codes[-1, j] = b.size - 1
    return codes


def chosen_codes(attempt: Attempt, chosen: Sequence[int]) -> tuple[NDArray[Any], list[int]]:
    codes = attempt.state.get("codes")
    sizes = attempt.state["sizes"][attempt.role]
    if list(chosen) != list(range(codes.shape[1])):
        codes = codes[:, list(chosen)]
    return codes, [sizes[j] for j in chosen]


def training_rows(attempt: Attempt, bank: str, *, sample: bool = False) -> NDArray[np.int64]:
    """Own row numbers of a list's training places; -1, the last row of codes, for unknown enterprises.

    ``sample``: only those on which the Gram matrix is computed.
    """
    rows: NDArray[np.int64] = attempt.state.get(f"rows_{bank}")
    wanted = attempt.state.get(f"use_{bank}") == TRAINING
    if sample and attempt.state.has(f"sample_{bank}"):
        wanted &= attempt.state.get(f"sample_{bank}") == 1
    training: NDArray[np.int64] = rows[wanted]
    return training


def release_rows(attempt: Attempt, release: Release, bank: str) -> NDArray[np.int64]:
    """Own row numbers of a list's places that a release is computed on."""
    return training_rows(attempt, bank, sample=release.name == "gram")


def label_matrix(attempt: Attempt, release: Release) -> NDArray[np.int64]:
    """(training rows, 2): w y and w (1 - y) in ring units; each row's norm is at most one unit of scale.

    ProtocolError where the hub says that all labels are 0 or 1 and they are not.
    """
    table = attempt.read()
    if table.label is None:
        raise DataError(f"{attempt.name} is a bank and has no label; name it in [dictionary.label]")
    rows = training_rows(attempt, attempt.name)
    label = table.label[rows]
    weight = np.ones(len(rows)) if table.weight is None else table.weight[rows]
    if attempt.state.facts.get("whole") and not (np.isin(label, (0.0, 1.0)).all() and (weight == 1).all()):
        raise ProtocolError("the hub takes soft or weighted labels for plain ones; run the study anew")
    unit = 2**release.scale_bits
    whole = np.rint(weight * unit).astype(np.int64)
    positive = np.rint(label * whole).astype(np.int64)  # p^2 + (w - p)^2 <= w^2 however p is rounded
    return np.stack([positive, whole - positive], 1)


def label_columns(attempt: Attempt, release: Release, product: Product) -> RingArray:
    """The bank's matrix in a product of label counts: y, or y and 1 - y, (training rows, 1 or 2) in the ring."""
    columns = release.columns_of(product)[1]
    return from_signed(
        label_matrix(attempt, release)[:, :columns], release.ring_of(release.block(product.block))
    )


def shape_matrix(attempt: Attempt, release: Release, bank: str) -> NDArray[np.int64]:
    """Shape rows of a list in fixed point, (rows of the sample, own columns), each of norm at most the own radius.

    Made once for a message: several products on a list take the same.
    """
    made: dict[str, NDArray[np.int64]] = attempt.__dict__.setdefault("_shape_rows", {})
    if bank not in made:
        codes = attempt.state.get("codes")[release_rows(attempt, release, bank)]
        bases = [np.asarray(b, float) for b in attempt.state["bases"]]
        radius = float(attempt.state["radii"][attempt.role])
        made[bank] = shape_rows(list(codes.T), bases, radius, release.scale_bits // 2)
    return made[bank]


def matrix_blocks(
    attempt: Attempt, release: Release, product: Product, side: str, shape: Shape
) -> Iterator[NDArray[Any]]:
    """Own matrix of a product, block of rows by block of rows, in ring elements."""
    if release.name == "gram":
        whole = shape_matrix(attempt, release, product.bank_list)
        for k in range(shape.blocks):
            start, stop = shape.span(k)
            yield from_signed(whole[start:stop], shape.dtype)
    elif side == "right":
        labels = label_columns(attempt, release, product)
        for k in range(shape.blocks):
            start, stop = shape.span(k)
            yield labels[start:stop]
    else:
        rows = release_rows(attempt, release, product.bank_list)
        codes, sizes = chosen_codes(attempt, attempt.state["chosen"])
        for k in range(shape.blocks):
            start, stop = shape.span(k)
            yield one_hot(codes[rows[start:stop]], sizes, shape.dtype, last=False)
