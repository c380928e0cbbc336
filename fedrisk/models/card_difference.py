"""What the scores of two versions of one card differ by, column by column."""

from collections.abc import Mapping

import numpy as np

from fedrisk.models.binning import Bins
from fedrisk.models.model_part import ModelPart

_NO_CATEGORY = "\x00"
"""A text that no table has: what falls into "other"."""


def moved_points(one: ModelPart, other: ModelPart) -> Mapping[str, tuple[int, ...]]:
    """Points by ``one`` less those by ``other``, by column, for each bin that either of them tells apart.

    A column that one of them lacks gives no points there. Both are parts of one institution, of cards of one study.
    """
    sides = [
        {str(b["column"]): (Bins.from_dict(b), p) for b, p in zip(m.bins, m.points, strict=True)}
        for m in (one, other)
    ]
    out = {}
    for name in dict.fromkeys((*sides[0], *sides[1])):
        mine, theirs = (side.get(name) for side in sides)
        if mine is None or theirs is None:
            out[name] = tuple(mine[1]) if mine else tuple(-p for p in theirs[1]) if theirs else ()
            continue
        codes = _common(mine[0], theirs[0])
        out[name] = tuple(mine[1][a] - theirs[1][b] for a, b in codes)
    return out


def _common(one: Bins, other: Bins) -> list[tuple[int, int]]:
    """Codes by either of two bins of one column, for each bin that one of them tells apart."""
    if one.feature.kind == "category":
        texts = [text for texts in one.category_texts() + other.category_texts() for text in texts]
        values = np.array([*texts, _NO_CATEGORY], dtype=object)
    elif one.edges or other.edges:
        edges = sorted({*one.edges, *other.edges})
        values = np.array([np.nextafter(edges[0], -np.inf), *edges])
    else:
        # Pairs, and whether the holder knows an enterprise: by their places, as far as both have them.
        return list(zip(range(one.size), range(other.size), strict=False))
    levels = [(int(a), int(b)) for a, b in zip(_levels(one, values), _levels(other, values), strict=True)]
    behind = zip(range(one.levels, one.size), range(other.levels, other.size), strict=False)
    return list(dict.fromkeys([*levels, *behind]))


def _levels(bins: Bins, values: np.ndarray) -> np.ndarray:
    """Codes of values that are no special code."""
    if bins.feature.kind == "category":
        return np.asarray(bins.codes(values))
    return np.searchsorted(np.asarray(bins.edges), values, side="right")
