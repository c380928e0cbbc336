"""From released numbers to a scorecard: arithmetic alone, so it can be done again at no cost in privacy.

:func:`fit_card` is what the hub does; :func:`refit` does the same from a kept record, by the same code.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fedrisk.errors import ConfigError
from fedrisk.models.binning import Bins
from fedrisk.models.estimator import (
    Curves,
    LabelCounts,
    combine_counts,
    fit_curves,
    fit_weights,
    shape_bases,
)
from fedrisk.models.scorecard import Scorecard
from fedrisk.recipes.scorecard.forms import own_pairs
from fedrisk.releases.record import ReleasedBlock, ReleasedSums, ReleaseRecord
from fedrisk.study import BANK, NO_PRIVACY

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class GramMatrix:
    """Noisy Gram matrix of all shape columns, (M, M), and the variance of its entries, at the scale of the counts."""

    gram: Floats
    variance: Floats


def label_counts(released: ReleasedSums, sizes: Mapping[str, Sequence[int]]) -> LabelCounts:
    """Label counts per feature, roles in the order of ``sizes``."""
    n1: list[Floats] = []
    n0: list[Floats] = []
    variance: list[float] = []
    for role, widths in sizes.items():
        if not widths:
            continue
        block = released.block(role)
        for part in np.split(block.total, np.cumsum(widths)[:-1]):
            n1.append(part[:, 0])
            n0.append(part[:, 1])
            variance.append(_variance(block))
    return LabelCounts(tuple(n1), tuple(n0), np.array(variance))


def _variance(block: ReleasedBlock) -> float:
    if block.variance is None:
        raise ConfigError(
            f"block {block.name} of the record says no variance; a scorecard's counts always have one"
        )
    return block.variance


def sizes_of(bins: Sequence[Bins], roles: Sequence[str]) -> dict[str, list[int]]:
    """Number of bins of each feature, by role."""
    return {role: [b.size for b in bins if b.feature.institution == role] for role in roles}


def combine_recount(
    counts: LabelCounts, released: ReleasedSums, bins: Sequence[Bins], chosen: Mapping[str, Sequence[int]]
) -> LabelCounts:
    """Both counts as one. chosen: features that were counted a second time, by role."""
    owner = [b.feature.institution for b in bins]
    first = {role: owner.index(role) if role in owner else 0 for role in chosen}
    sizes = {role: [bins[first[role] + j].size for j in own] for role, own in chosen.items()}
    order = [first[role] + j for role, own in chosen.items() for j in own]
    return combine_counts(counts, label_counts(released, sizes), order)


def gram_matrix(
    released: ReleasedSums, bases: Sequence[Floats], owner: Sequence[str], share: float
) -> GramMatrix:
    """The whole matrix from its released blocks.

    share: brings the matrix of a sample to the scale of the counts.
    """
    column_feature = [j for j, b in enumerate(bases) for _ in range(b.shape[1])]
    column_owner = np.array([owner[j] for j in column_feature])
    gram = np.zeros((len(column_feature),) * 2)
    variance = np.zeros_like(gram)
    for block in released.blocks:
        rows, columns = (np.flatnonzero(column_owner == role) for role in (block.left, block.right))
        value, noise = block.total, np.full(block.total.shape, _variance(block))
        if block.left == block.right:
            i, j = own_pairs([column_feature[k] for k in rows])
            upper = (rows[list(i)], rows[list(j)])
            lower = (rows[list(j)], rows[list(i)])
            gram[upper], gram[lower] = value, value.T
            variance[upper], variance[lower] = noise, noise.T
        else:
            gram[np.ix_(rows, columns)], gram[np.ix_(columns, rows)] = value, value.T
            variance[np.ix_(rows, columns)], variance[np.ix_(columns, rows)] = noise, noise.T
    return GramMatrix(gram * share, variance * share**2)


def fit_card(
    study: str, bins: Sequence[Bins], counts: LabelCounts, curves: Curves, second: GramMatrix | None
) -> Scorecard:
    """The scorecard; without a Gram matrix the curves are added up as they are (few positives)."""
    if second is None:
        return Scorecard.from_weights(study, bins, curves.curve, counts, curves)
    bases = shape_bases(curves)
    weights = fit_weights(bases, counts, curves, second.gram, second.variance)
    return Scorecard.from_weights(study, bins, weights, counts, curves, bases=bases, gram=second.gram)


def refit(record: ReleaseRecord) -> Scorecard:
    """The scorecard again, from a study's record; ConfigError where the record is of another recipe."""
    bins = [Bins.from_dict(b) for b in record.release("counts").about["bins"]]
    roles = [BANK, *(m["name"] for m in record.study["institutions"] if m["role"] == "holder")]
    counts = label_counts(record.release("counts"), sizes_of(bins, roles))
    again, gram = record.find("recount"), record.find("gram")
    second = None
    if again is not None:
        counts = combine_recount(counts, again, bins, {r: again.about["chosen"][r] for r in roles})
    curves = fit_curves(counts, bins)
    if gram is not None:
        owner = [b.feature.institution for b in bins]
        second = gram_matrix(gram, shape_bases(curves), owner, gram.about["share"])
    card = fit_card(str(record.study["name"]), bins, counts, curves, second)
    return replace(card, notice=NO_PRIVACY) if record.research else card
