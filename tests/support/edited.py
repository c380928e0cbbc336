"""Three columns of five bins with known effects, and exact sums of rows, for cards that are edited."""

import numpy as np
from scipy.special import expit

from fedrisk.analysis.card_sums import CardSums
from fedrisk.data.features import Feature
from fedrisk.models.binning import Bins
from fedrisk.models.curves import fit_curves, shape_bases
from fedrisk.models.knowledge import GramMatrix
from fedrisk.models.label_counts import LabelCounts

SMALL = [
    Bins.public(Feature(institution="bank", column=name, bins=(1.0, 2.0, 3.0, 4.0), missing=False))
    for name in "abc"
]


def sums_of(bins, seed, n=5000, *, codes=None, label=None):
    """(codes, label, sums): label counts with a stated variance, and the exact Gram matrix of the shape columns."""
    rng = np.random.default_rng(seed)
    if codes is None:
        common = rng.normal(size=n)
        values = [0.6 * common + 0.8 * rng.normal(size=n) for _ in bins]
        codes = [np.searchsorted([-0.9, -0.3, 0.3, 0.9], v) for v in values]
        label = (rng.random(n) < expit(-2 + 0.7 * values[0] - 0.4 * values[1])).astype(float)
    n1 = tuple(np.bincount(c, label, b.size) for c, b in zip(codes, bins, strict=True))
    n0 = tuple(np.bincount(c, 1 - label, b.size) for c, b in zip(codes, bins, strict=True))
    counts = LabelCounts(n1, n0, np.full(len(bins), 4.0))
    bases = shape_bases(fit_curves(counts, bins))
    rows = np.concatenate([b[c] for b, c in zip(bases, codes, strict=True)], 1)
    gram = rows.T @ rows
    second = GramMatrix(gram, np.zeros_like(gram))
    return codes, label, CardSums(bins=tuple(bins), counts=counts, bases=bases, second=second)
