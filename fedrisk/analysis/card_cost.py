"""What an edit of a card costs in discrimination, by released numbers alone.

Nobody scored the hold-out by an edited card, so its AUC cannot be measured. But the released sums say of any card on
the same columns how far defaults lie from others in its score, and how far the score is spread: the gap of the means is
linear in the card's contributions, with the study's moment of labels and shape columns; the variance is quadratic, with
the Gram matrix. As two normal classes have it, AUC = Phi(gap / (sqrt 2 within)) (Green & Swets 1966).

The released moment would flatter the card that was fitted to it, and every edit would seem to cost something. So the
moment is the one that the study's prior believes after all releases, with draws for what noise and sampling leave open
(models/moment_posterior). Both cards are looked at in the same draw, so that what is common to them falls out.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from fedrisk.analysis.card_sums import CardSums, curves_of
from fedrisk.models.curves import Curves
from fedrisk.models.estimator import complete_gram, moment_equations
from fedrisk.models.knowledge import GramMatrix
from fedrisk.models.label_counts import with_known
from fedrisk.models.moment_posterior import moment_draws
from fedrisk.models.score_moments import CORRELATION, class_shares

Floats = NDArray[np.float64]

DRAWS = 400
"""Draws of what the releases leave open."""

LEVEL = 0.95
WIDER = 1.3
"""By how much the interval is wider than the draws, which leave out the form of the score; benchmarks/card_edit."""

MUCH = 0.01
"""Squared correlation from which noise makes an entry say less about the usual one."""

LEAST_SPREAD = 0.01
"""Least spread of the correlations of columns of two features."""

LEAST_WITHIN = 1 / 16
"""Least share of the variance of a score that lies within the classes."""


@dataclass(frozen=True, kw_only=True)
class AucChange:
    """Expected change of the AUC from one card to another, after less before, with its interval at LEVEL.

    before, after: AUC of either by the released sums; levels are those of two normal classes, and rather rough.
    """

    before: float
    after: float
    change: float
    low: float
    high: float
    error: float


@dataclass(frozen=True, kw_only=True)
class ScoreParts:
    """A score as the sums see it.

    contributions: log-odds of default by feature of the released card and bin there, zeros for what is not in it,
    (bins,) each. variance, gap: what pairs of columns add to either.
    """

    contributions: Sequence[Floats]
    variance: float = 0.0
    gap: float = 0.0


class CardSpread:
    """Gap and variance of any score on the columns of a study, from its released sums; draws are made once."""

    def __init__(self, sums: CardSums, *, draws: int = DRAWS, seed: int = 0) -> None:
        self.sums = sums
        self.curves = curves_of(sums.counts, sums.bins, sums.prior)
        rng = np.random.default_rng(seed)
        self._rate = self.curves.rate * (1 - self.curves.rate)
        if sums.second is None:
            self._moments = _curve_draws(self.curves, draws, rng)
            return
        counts, total = with_known(sums.counts, sums.bins), self.curves.total
        gram = believed_gram(sums.second, sums.bases, self.curves)
        equations = moment_equations(sums.bases, counts, self.curves, gram.gram, gram.variance)
        found = moment_draws(equations, draws, rng)
        self._draws = np.concatenate([found.mean[:, None], found.all], 1) / (total * self._rate)
        self._gram = complete_gram(sums.bases, self.curves, gram.gram) / total
        self._left = _moved(np.sqrt(gram.variance) / total, draws, rng)

    def auc(self, score: ScoreParts) -> Floats:
        """AUC by the moment that is expected, and in each draw, (1 + draws,)."""
        shifts = [f - float(w @ f) for f, w in zip(score.contributions, self.curves.weight, strict=True)]
        gap, variance = self._by_curves(shifts) if self.sums.second is None else self._by_gram(shifts)
        gap, variance = gap + score.gap, variance + score.variance
        within = np.maximum(variance - self._rate * gap**2, variance * LEAST_WITHIN)
        out: Floats = ndtr(gap / np.sqrt(2 * np.maximum(within, 1e-12)))
        return out

    def change(self, before: ScoreParts, after: ScoreParts) -> AucChange:
        """Expected change of the AUC from one score to another."""
        one, other = self.auc(before), self.auc(after)
        apart = (other - one)[1:]
        middle, spread = float(apart.mean()), float(apart.std())
        tails = np.quantile(apart, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        low, high = (middle + WIDER * (float(t) - middle) for t in tails)
        return AucChange(
            before=float(one[1:].mean()),
            after=float(other[1:].mean()),
            change=middle,
            low=low,
            high=high,
            error=WIDER * spread,
        )

    def _by_gram(self, shifts: Sequence[Floats]) -> tuple[Floats, Floats]:
        weights, rest = [], 0.0
        for base, share, f in zip(self.sums.bases, self.curves.weight, shifts, strict=True):
            root = np.sqrt(share)
            found = np.linalg.lstsq(root[:, None] * base, root * f, rcond=None)[0]
            weights.append(found)
            # What no shape column says goes with nothing else.
            rest += float(share @ (f - base @ found) ** 2)
        beta = np.concatenate(weights)
        left = np.einsum("i,kij,j->k", beta, self._left, beta, optimize=True)
        return beta @ self._draws, float(beta @ self._gram @ beta) + rest + np.r_[0.0, left]

    def _by_curves(self, shifts: Sequence[Floats]) -> tuple[Floats, Floats]:
        root = np.array([math.sqrt(float(w @ f**2)) for w, f in zip(self.curves.weight, shifts, strict=True)])
        cross = CORRELATION * np.outer(root, root)
        np.fill_diagonal(cross, root**2)
        gap = np.sum([f @ m for f, m in zip(shifts, self._moments, strict=True)], axis=0)
        return gap, np.full(len(gap), float(cross.sum()))


def believed_gram(second: GramMatrix, bases: Sequence[Floats], curves: Curves) -> GramMatrix:
    """The Gram matrix as it is believed: each correlation drawn to 0 by its noise, and the variance that is left.

    Correlations of columns of two features have a spread of their own where both are curves, one is or none is,
    found as their mean square less noise, weighted by how little noise there is (empirical Bayes; Efron 2010). As it
    was released, the matrix says little of a sum of many columns: a card that was fitted to it would seem to be spread
    less than it is. Entries within a feature follow from the counts and are left out.
    """
    norm = np.concatenate([w @ b**2 for w, b in zip(curves.weight, bases, strict=True)]) * curves.total
    size = np.sqrt(np.maximum(norm, 1e-12))
    both = np.outer(size, size)
    owner = np.repeat(np.arange(len(bases)), [b.shape[1] for b in bases])
    first = (np.diff(owner, prepend=-1) > 0).astype(np.int64)
    kind, apart = np.add.outer(first, first), owner[:, None] != owner
    value, noise = second.gram / both, second.variance / both**2
    share = np.zeros_like(value)
    for one in range(3):
        here = apart & (kind == one)
        trust = 1 / (noise[here] + MUCH) ** 2
        if len(trust):
            usual = float(trust @ (value[here] ** 2 - noise[here]) / trust.sum())
            usual = max(usual, LEAST_SPREAD**2)
            share[here] = usual / (usual + noise[here])
    return GramMatrix(second.gram * share, second.variance * share)


def _moved(deviation: Floats, draws: int, rng: np.random.Generator) -> Floats:
    """Draws of what may be added to each entry of a symmetric matrix, (draws, M, M)."""
    out = np.triu(rng.normal(size=(draws, *deviation.shape)) * deviation, 1)
    moved: Floats = out + np.swapaxes(out, 1, 2)
    return moved


def _curve_draws(curves: Curves, draws: int, rng: np.random.Generator) -> list[Floats]:
    """Share of each bin among defaults less that among others, by the curve and in draws of it, (bins, 1 + draws)."""
    out = []
    for j, (weight, curve) in enumerate(zip(curves.weight, curves.curve, strict=True)):
        value, vector = np.linalg.eigh(curves.covariance[j])
        moved = (vector * np.sqrt(np.maximum(value, 0.0))) @ rng.normal(size=(len(value), draws))
        each = np.concatenate([curve[:, None], curve[:, None] + moved], 1)
        ones = weight[:, None] * np.exp(each)
        ones = ones / ones.sum(0)
        zeros = (weight[:, None] - curves.rate * ones) / (1 - curves.rate)
        out.append(ones - zeros)
    return out


def information_value(curves: Curves, feature: int) -> float:
    """Information value of a feature's smoothed curve (Kullback & Leibler 1951; Siddiqi 2017)."""
    positive, rest = class_shares(curves, feature)
    negative = np.maximum(rest / (1 - curves.rate), 1e-12)
    positive = np.maximum(positive, 1e-12)
    return float((positive - negative) @ np.log(positive / negative))
