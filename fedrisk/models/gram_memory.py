"""Gram matrices of earlier studies, brought into this study's shape columns and combined with its own.

Each study has shape columns of its own, since they follow from its curves. A feature's new columns are written as
combinations of its old ones as far as they can be (least squares over the enterprises by bin), and the old matrix goes
with them; what the old columns cannot say is unknown up to the usual correlation between columns of two features. From
study to study correlations wander, by a step that the evidence chooses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fedrisk.models.binning import Bins
from fedrisk.models.curves import Curves
from fedrisk.models.knowledge import GramMatrix, PastStudy, places

Floats = NDArray[np.float64]

WALKS = (0.0, 0.003, 0.01, 0.03)
"""Candidate steps of the correlation of two shape columns from one study to the next."""

LEAST_CORRELATION = 0.05
"""Least usual correlation of shape columns of two features."""

MUCH = 0.01
"""Squared correlation from which noise makes an entry say less about the usual one."""

ALIKE = 1e-6
"""Singular values, relative to the largest, below which a feature's old columns are taken as dependent."""

LEAST_NOISE = 1e-12
"""Variance added to a correlation's, for research runs have none."""

TINY = 1e-12
"""In place of zero in a denominator."""


def remember_gram(
    memory: Sequence[PastStudy],
    bins: Sequence[Bins],
    bases: Sequence[Floats],
    curves: Curves,
    second: GramMatrix | None,
) -> GramMatrix | None:
    """A study's Gram matrix with those of earlier studies, in its own shape columns; None where there is none at all.

    memory: oldest first. bins, bases: of this study's features, M shape columns in all. second: this study's own, None
    where it counted again instead. Entries of features of which no study says anything are zero, with the variance of
    the usual correlation. Entries within a feature follow from the counts and are not used.
    """
    past = [_brought(p, p.second, bins, bases, curves) for p in memory if p.second is not None and p.bases]
    if not past:
        return second
    feature = np.repeat(np.arange(len(bases)), [b.shape[1] for b in bases])
    pairs = np.nonzero(feature[:, None] < feature)
    norm = np.sqrt(
        np.concatenate([w @ b**2 for w, b in zip(curves.weight, bases, strict=True)]) * curves.total
    )
    size = np.maximum(norm[pairs[0]] * norm[pairs[1]], TINY)
    parts = [p.correlations(pairs, size) for p in past]
    if second is not None:
        own = second.gram[pairs] / size, second.variance[pairs] / size**2
        parts.append(_Pairs(*own, np.zeros(len(size)), np.ones(len(size), bool)))
    curve = np.diff(feature, prepend=-1) > 0
    kind = curve[pairs[0]].astype(np.int64) + curve[pairs[1]]
    mean, variance = _combined(parts, kind, waits=second is None)
    gram, noise = np.zeros((2, len(norm), len(norm)))
    for whole, part in ((gram, mean * size), (noise, variance * size**2)):
        whole[pairs] = part
        whole += whole.T
    return GramMatrix(gram, noise)


class _Pairs(NamedTuple):
    """Correlations of columns of different features, (pairs,) each.

    value, noise: and their noise variance. unsaid: share of the columns' product that the study cannot say. seen:
    whether it has both features.
    """

    value: Floats
    noise: Floats
    unsaid: Floats
    seen: NDArray[np.bool_]


class _Brought(NamedTuple):
    """An earlier matrix in new columns: entries and their noise variance, (M, M).

    lost: share of each column's square that the old columns cannot say; seen: whether the study had the feature, (M,).
    """

    gram: Floats
    noise: Floats
    lost: Floats
    seen: NDArray[np.bool_]

    def correlations(self, pairs: tuple[NDArray[np.int64], ...], size: Floats) -> _Pairs:
        left, right = pairs
        unsaid = 1 - (1 - self.lost[left]) * (1 - self.lost[right])
        return _Pairs(
            self.gram[pairs] / size, self.noise[pairs] / size**2, unsaid, self.seen[left] & self.seen[right]
        )


def _brought(
    past: PastStudy, second: GramMatrix, bins: Sequence[Bins], bases: Sequence[Floats], curves: Curves
) -> _Brought:
    old_at = np.cumsum([0, *(b.shape[1] for b in past.bases)])
    new_at = np.cumsum([0, *(b.shape[1] for b in bases)])
    turn = np.zeros((old_at[-1], new_at[-1]))
    lost, seen = np.ones(new_at[-1]), np.zeros(new_at[-1], bool)
    for j, k in enumerate(places(past.bins, bins)):
        if k is None:
            continue
        root = np.sqrt(curves.weight[j])[:, None]
        old, new = root * past.bases[k], root * bases[j]
        here = slice(new_at[j], new_at[j + 1])
        part = np.linalg.lstsq(old, new, rcond=ALIKE)[0]
        turn[old_at[k] : old_at[k + 1], here] = part
        lost[here] = ((new - old @ part) ** 2).sum(0) / np.maximum((new**2).sum(0), TINY)
        seen[here] = True
    scale = curves.total / (past.counts.positives + past.counts.negatives)
    gram, noise = scale * (turn.T @ second.gram @ turn), scale**2 * ((turn.T**2) @ second.variance @ turn**2)
    return _Brought(gram, noise, np.clip(lost, 0.0, 1.0), seen)


def _combined(parts: Sequence[_Pairs], kind: NDArray[np.int64], *, waits: bool) -> tuple[Floats, Floats]:
    """Correlations and their variance after all studies, averaged over the walk's candidates by evidence.

    kind: how many of a pair are curves; curves of risk go together more than other columns do. waits: whether a
    further study follows, which has no matrix of its own.
    """
    usual = _usual(parts, kind)
    found = [_walked(parts, usual, walk) for walk in WALKS]
    evidence = np.array([f[2] for f in found])
    share = np.exp(evidence - evidence.max())
    share /= share.sum()
    mean: Floats = sum(s * f[0] for s, f in zip(share, found, strict=True))
    variance: Floats = sum(
        s * (f[1] + waits * walk**2 + (f[0] - mean) ** 2)
        for s, f, walk in zip(share, found, WALKS, strict=True)
    )
    seen = np.any([p.seen for p in parts], axis=0)
    return mean, np.where(seen, variance, usual)


def _walked(parts: Sequence[_Pairs], usual: Floats, walk: float) -> tuple[Floats, Floats, float]:
    """Level, variance and log evidence of the correlations as random walks (see fedrisk.models.local_level).

    What old columns cannot say of new ones is about the same in all studies, so it does not average out.
    """
    mean, variance, shared = np.zeros((3, len(parts[0].value)))
    known = np.zeros(len(mean), bool)
    evidence = 0.0
    for p in parts:
        unsaid = p.unsaid * usual
        ahead = variance + walk**2
        both = known & p.seen
        spread = ahead + shared**2 + p.noise + unsaid + LEAST_NOISE
        error = p.value - mean
        evidence -= 0.5 * float((error**2 / spread + np.log(spread))[both].sum())
        gain = np.where(both, (ahead + shared**2) / spread, p.seen & ~known)
        mean = mean + gain * error
        variance = np.where(known, (1 - gain) ** 2 * ahead, 0.0) + gain**2 * p.noise
        shared = (1 - gain) * shared + gain * np.sqrt(unsaid)
        known |= p.seen
    return mean, variance + shared**2, evidence


def _usual(parts: Sequence[_Pairs], kind: NDArray[np.int64]) -> Floats:
    """Usual squared correlation of pairs of each kind: the mean square less noise, weighted by how little noise."""
    out = np.zeros(len(kind))
    for one in np.unique(kind):
        square = weight = 0.0
        for p in parts:
            here = p.seen & (kind == one)
            trust = 1 / (p.noise[here] + MUCH) ** 2
            square += float((trust * (p.value[here] ** 2 - p.noise[here])).sum())
            weight += float(trust.sum())
        out[kind == one] = max(square / weight if weight else 0.0, LEAST_CORRELATION**2)
    return out
