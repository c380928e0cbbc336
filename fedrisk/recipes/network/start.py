"""What hub and banks alike do with the scorecard at which a network begins: edges are taken over, curves put on bins.

Nothing is released by it: the card came of released numbers, and its own study paid for them.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedrisk.data.features import Feature
from fedrisk.models.binning import Bins
from fedrisk.models.knowledge import Knowledge
from fedrisk.models.knowledge_file import digest_of
from fedrisk.recipes.network.settings import KnownStart

Floats = NDArray[np.float64]

PART = "start"
"""Part of the common view by which members are told the card's curves."""


def stated(known: Knowledge, intercept: float) -> KnownStart | None:
    """The start as a study states it; None where nothing is known."""
    if known.prior is None:
        return None
    return KnownStart(digest=digest_of(known), source=known.prior.source, intercept=intercept)


def taken_over(features: Sequence[Feature], known: Knowledge) -> tuple[Feature, ...]:
    """Columns whose edges would come from a noisy histogram, with those of the card.

    Where institution, name, kind, bounds, grid, special codes and missing values are the same: then the card's curve
    is on the very bins, and nothing is released for edges that are public already.
    """
    if known.prior is None:
        return tuple(features)
    there = {_column(c.bins.feature): c.bins.edges for c in known.prior.curves}
    return tuple(
        f.with_bins(there[_column(f)]) if f.private_edges and there.get(_column(f)) else f for f in features
    )


def curves_on(bins: Sequence[Bins], known: Knowledge) -> tuple[Floats | None, ...]:
    """The card's curve of every column on its bins, log-odds shifts (bins.size,); None where the card has none."""
    return (None,) * len(bins) if known.prior is None else known.prior.on(bins)


def _column(feature: Feature) -> tuple[object, ...]:
    f = feature
    codes = tuple(code for code, _ in f.special)
    return f.institution, f.column, f.kind, f.low, f.high, f.grid, codes, f.missing
