"""The sums that a card is fitted to, after bins were merged and columns dropped.

Label counts add up, and so do the variances of their noise. The Gram matrix is one of shape columns, not of bins: the
columns of an untouched feature stay as they are, and with them their products. A feature whose curve is another one
gets new shape columns, which are functions of its old bins like the old ones. They are written as combinations of these
as far as they can be (least squares over the enterprises by bin), and the matrix goes with them, with its noise; what
the old columns cannot say of the new ones is unknown up to the usual correlation (as in models/gram_memory). With up to
five bins the old columns say everything.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedrisk.models.card_edit import Edited, Origin
from fedrisk.models.curves import Curves, shape_bases
from fedrisk.models.gram_memory import ALIKE, LEAST_CORRELATION, TINY
from fedrisk.models.knowledge import GramMatrix
from fedrisk.models.label_counts import LabelCounts

Floats = NDArray[np.float64]


def edited_counts(counts: LabelCounts, columns: Edited) -> LabelCounts:
    """Label counts of the columns of an edited card, from those of the released one's.

    columns: of the edited card, with places among the released columns. Unmerged counts stay the very same numbers.
    """
    n1 = tuple(_added(counts.n1[o.place], o) for _, o in columns)
    n0 = tuple(_added(counts.n0[o.place], o) for _, o in columns)
    by_bin = tuple(_added(counts.variance_of(o.place), o) for _, o in columns)
    if not counts.by_bin and all(_plain(o) for _, o in columns):
        variance = np.asarray(counts.variance, dtype=np.float64)[[o.place for _, o in columns]]
        return LabelCounts(n1, n0, variance, counts.known_rate_error)
    variance = np.array([float(v.mean()) for v in by_bin])
    return LabelCounts(n1, n0, variance, counts.known_rate_error, by_bin)


def _added(values: Floats, origin: Origin) -> Floats:
    if _plain(origin):
        return values
    return np.asarray(np.bincount(origin.codes, weights=values), dtype=np.float64)


def _plain(origin: Origin) -> bool:
    return int(origin.codes[-1]) + 1 == len(origin.codes)


def edited_bases(bases: Sequence[Floats], features: Edited, curves: Curves) -> tuple[Floats, ...]:
    """Shape columns of an edited card: those of the released one where nothing changed, else of the new curve.

    bases: of all features of the released card. features: of the edited one; curves: on its bins.
    """
    if not any(o.changed for _, o in features):
        return tuple(bases[o.place] for _, o in features)
    new = shape_bases(curves)
    return tuple(new[k] if o.changed else bases[o.place] for k, (_, o) in enumerate(features))


def edited_gram(
    second: GramMatrix,
    before: Sequence[Floats],
    features: Edited,
    after: Sequence[Floats],
    curves: Curves,
) -> GramMatrix:
    """The Gram matrix in the shape columns of an edited card.

    second, before: matrix and shape columns of the released card; curves: on its bins. features, after: of the edited
    card, and their shape columns. Entries within a feature follow from the counts and are not used.
    """
    old_at = np.cumsum([0, *(b.shape[1] for b in before)])
    new_at = np.cumsum([0, *(b.shape[1] for b in after)])
    turn, lost = np.zeros((old_at[-1], new_at[-1])), np.zeros(new_at[-1])
    for k, (_, origin) in enumerate(features):
        there = slice(old_at[origin.place], old_at[origin.place + 1])
        here = slice(new_at[k], new_at[k + 1])
        if not origin.changed:
            turn[there, here] = np.eye(after[k].shape[1])
            continue
        weight = curves.weight[origin.place]
        root = np.sqrt(weight)[:, None]
        old, new = root * before[origin.place], root * after[k][origin.codes]
        part = np.linalg.lstsq(old, new, rcond=ALIKE)[0]
        turn[there, here] = part
        lost[here] = ((new - old @ part) ** 2).sum(0) / np.maximum((new**2).sum(0), TINY)
    gram, noise = turn.T @ second.gram @ turn, (turn.T**2) @ second.variance @ turn**2
    if not lost.any():
        return GramMatrix(gram, noise)
    size = _sizes(before, curves)
    usual = _usual(second, before, size)
    squares = np.concatenate([_squares(b, f, curves) for b, f in zip(after, features, strict=True)])
    unsaid = 1 - np.outer(1 - lost, 1 - lost)
    return GramMatrix(gram, noise + usual * unsaid * np.outer(squares, squares))


def _sizes(bases: Sequence[Floats], curves: Curves) -> Floats:
    """Sum of squares of every shape column over the enterprises, (M,)."""
    squares = [w @ b**2 for w, b in zip(curves.weight, bases, strict=True)]
    out: Floats = np.maximum(np.concatenate(squares) * curves.total, TINY)
    return out


def _squares(base: Floats, feature: tuple[object, Origin], curves: Curves) -> Floats:
    origin = feature[1]
    out: Floats = (curves.weight[origin.place] @ base[origin.codes] ** 2) * curves.total
    return out


def _usual(second: GramMatrix, bases: Sequence[Floats], size: Floats) -> float:
    """Usual squared correlation of shape columns of two features: the mean square less noise."""
    owner = np.repeat(np.arange(len(bases)), [b.shape[1] for b in bases])
    apart = owner[:, None] < owner
    both = np.outer(size, size)[apart]
    square = second.gram[apart] ** 2 / both - second.variance[apart] / both
    trust = 1 / (second.variance[apart] / both + 0.01) ** 2
    found = float(trust @ square / trust.sum()) if len(trust) else 0.0
    return max(found, LEAST_CORRELATION**2)
