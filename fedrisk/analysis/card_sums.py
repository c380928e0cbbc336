"""What a scorecard study released, as its estimator takes it: label counts, Gram matrix and bins, from a record."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fedrisk.errors import ConfigError
from fedrisk.models.binning import Bins
from fedrisk.models.curves import Curves, fit_curves, shape_bases
from fedrisk.models.gram_memory import remember_gram
from fedrisk.models.knowledge import NOTHING, GramMatrix, Knowledge
from fedrisk.models.knowledge_file import from_bytes, to_bytes
from fedrisk.models.label_counts import LabelCounts, combine_counts, with_known
from fedrisk.models.memory import remember_counts
from fedrisk.models.prior import Prior
from fedrisk.releases.record import ReleasedBlock, ReleasedSums, ReleaseRecord
from fedrisk.study_members import BANK, HOLDING

Floats = NDArray[np.float64]

LOGISTIC = "logistic"
"""How a record's Gram matrix says that weights are those of a logistic regression; others say nothing."""

KNOWLEDGE = "knowledge"
"""Under what a record keeps what its study knew beforehand, as the file of `fedrisk.models.knowledge_file`."""


def own_pairs(features: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Columns (i, j), i < j, of one role that belong to different features.

    >>> own_pairs([0, 0, 1])
    ((0, 1), (2, 2))
    """
    pairs = [
        (i, j)
        for i in range(len(features))
        for j in range(i + 1, len(features))
        if features[i] != features[j]
    ]
    return tuple(i for i, _ in pairs), tuple(j for _, j in pairs)


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
            variance.append(noise_variance(block))
    return LabelCounts(tuple(n1), tuple(n0), np.array(variance))


def noise_variance(block: ReleasedBlock) -> float:
    """Variance of the noise in each number of a block; ConfigError where the record does not say it."""
    if block.variance is None:
        raise ConfigError(
            f"block {block.name} of the record says no variance; a scorecard's counts always have one"
        )
    return block.variance


def columns_of(bins: Sequence[Bins]) -> list[Bins]:
    """The bins of columns, which are counted; the others are made up from their counts."""
    return [b for b in bins if b.feature.is_column]


def sizes_of(bins: Sequence[Bins], roles: Sequence[str]) -> dict[str, list[int]]:
    """Number of bins of each column, by role."""
    return {role: [b.size for b in columns_of(bins) if b.feature.institution == role] for role in roles}


def curves_of(counts: LabelCounts, bins: Sequence[Bins], prior: Prior | None = None) -> Curves:
    """Curves of all features from the label counts of the columns, and what is known of them from elsewhere."""
    if prior is None:
        return fit_curves(with_known(counts, bins), bins)
    return fit_curves(with_known(counts, bins), bins, prior.on(bins), prior.joint_on(bins))


def combine_recount(
    counts: LabelCounts, released: ReleasedSums, bins: Sequence[Bins], chosen: Mapping[str, Sequence[int]]
) -> LabelCounts:
    """Both counts as one. chosen: features that were counted a second time, by role."""
    bins = columns_of(bins)
    owner = [b.feature.institution for b in bins]
    first = {role: owner.index(role) if role in owner else 0 for role in chosen}
    sizes = {role: [bins[first[role] + j].size for j in own] for role, own in chosen.items()}
    order = [first[role] + j for role, own in chosen.items() for j in own]
    return combine_counts(counts, label_counts(released, sizes), order)


def gram_matrix(
    released: ReleasedSums,
    bases: Sequence[Floats],
    owner: Sequence[str],
    share: float,
    bank_share: float | None = None,
) -> GramMatrix:
    """The whole matrix from its released blocks.

    share: brings the matrix of a sample to the scale of the counts; bank_share: entries in which banks have a part,
    where theirs is another one, since customers without a label are not in them.
    """
    column_feature = [j for j, b in enumerate(bases) for _ in range(b.shape[1])]
    column_owner = np.array([owner[j] for j in column_feature])
    gram = np.zeros((len(column_feature),) * 2)
    variance = np.zeros_like(gram)
    for block in released.blocks:
        rows, columns = (np.flatnonzero(column_owner == role) for role in (block.left, block.right))
        scale = share if bank_share is None or BANK not in (block.left, block.right) else bank_share
        value = block.total * scale
        noise = np.full(block.total.shape, noise_variance(block) * scale**2)
        if block.left == block.right:
            i, j = own_pairs([column_feature[k] for k in rows])
            upper = (rows[list(i)], rows[list(j)])
            lower = (rows[list(j)], rows[list(i)])
            gram[upper], gram[lower] = value, value.T
            variance[upper], variance[lower] = noise, noise.T
        else:
            gram[np.ix_(rows, columns)], gram[np.ix_(columns, rows)] = value, value.T
            variance[np.ix_(rows, columns)], variance[np.ix_(columns, rows)] = noise, noise.T
    return GramMatrix(gram, variance)


@dataclass(frozen=True, kw_only=True)
class CardSums:
    """All that a scorecard is fitted to.

    bins: of all features. counts: of the columns; both counts as one, where they were counted a second time. bases:
    shape columns of every feature, and second: their Gram matrix; none where positives are few. prior: curves known
    from elsewhere. logistic: whether weights are those of a logistic regression (models/logistic_step).
    """

    bins: tuple[Bins, ...]
    counts: LabelCounts
    bases: tuple[Floats, ...] = ()
    second: GramMatrix | None = None
    prior: Prior | None = None
    logistic: bool = False

    @classmethod
    def of(cls, record: ReleaseRecord) -> "CardSums":
        """From a study's record, with what it remembered; ConfigError where it is of another recipe, or has no card."""
        own, known = cls.released(record), knowledge_of(record)
        counts, bases, second = with_memory(known, own.bins, own.counts, own.bases, own.second)
        return replace(own, counts=counts, bases=bases, second=second, prior=known.prior)

    @classmethod
    def released(cls, record: ReleaseRecord) -> "CardSums":
        """What the study itself released, without what it remembered; errors as of :meth:`of`."""
        bins = [Bins.from_dict(b) for b in record.release("counts").about["bins"]]
        roles = [BANK, *(m["name"] for m in record.study["institutions"] if m["role"] in HOLDING)]
        counts = label_counts(record.release("counts"), sizes_of(bins, roles))
        again, gram = record.find("recount"), record.find("gram")
        second = None
        if again is not None:
            counts = combine_recount(counts, again, bins, {r: again.about["chosen"][r] for r in roles})
        bases: tuple[Floats, ...] = ()
        if gram is not None:
            owner = [b.feature.institution for b in bins]
            bases = _bases_of(gram, bins, counts)
            second = gram_matrix(gram, bases, owner, gram.about["share"], gram.about.get("bank_share"))
        return cls(bins=tuple(bins), counts=counts, bases=bases, second=second, logistic=_is_logistic(gram))


def _is_logistic(gram: ReleasedSums | None) -> bool:
    """Whether the record says so; ConfigError where it names a step that this version does not have."""
    step = None if gram is None else gram.about.get("weights")
    if step not in (None, LOGISTIC):
        raise ConfigError(
            "the record's Gram matrix names a step for its weights that this version of fedrisk does not have; read "
            "the record with the version that made it, or a later one"
        )
    return step == LOGISTIC


def _bases_of(gram: ReleasedSums, bins: Sequence[Bins], counts: LabelCounts) -> tuple[Floats, ...]:
    """Shape columns whose Gram matrix was released; records of earlier versions do not say them, and they follow."""
    said = gram.about.get("bases")
    if said is None:
        return shape_bases(curves_of(counts, bins))
    return tuple(np.asarray(b, float).reshape(len(b), -1) for b in said)


def with_memory(
    known: Knowledge,
    bins: Sequence[Bins],
    counts: LabelCounts,
    bases: tuple[Floats, ...],
    second: GramMatrix | None,
) -> tuple[LabelCounts, tuple[Floats, ...], GramMatrix | None]:
    """A study's own counts of columns, shape columns and Gram matrix, with those of earlier studies."""
    if not known.memory:
        return counts, bases, second
    counts = remember_counts(known.memory, columns_of(bins), counts).counts
    curves = curves_of(counts, bins, known.prior)
    bases = bases or shape_bases(curves)
    return counts, bases, remember_gram(known.memory, bins, bases, curves, second)


def knowledge_of(record: ReleaseRecord) -> Knowledge:
    """What a study knew beforehand, as its record keeps it; ConfigError where that is damaged."""
    kept = record.context.get(KNOWLEDGE)
    return NOTHING if kept is None else from_bytes(base64.b64decode(kept))


def knowledge_context(known: Knowledge) -> dict[str, str]:
    """What is known beforehand, for the context of a record; nothing where that is nothing."""
    return {KNOWLEDGE: base64.b64encode(to_bytes(known)).decode()} if known else {}
