"""What the best card on some columns would tell of defaults, by the released sums alone.

The estimator's moment b of labels and shape columns, and their Gram matrix D (at the scale h = rate (1 - rate)), are
those of all columns at once. The best linear card on the columns of S has the weights D_SS^-1 b_S, and tells

    V(S) = b_S' D_SS^-1 b_S / (h n)

the variance of its log-odds, as Fisher's discriminant has it (Fisher 1936). A released b would flatter: noise lets
every column tell something. So b is the moment that the study's prior believes after all releases (draws of
models/moment_posterior); and D_SS, which noise makes singular here and there, is inverted with a ridge of the size of
its noise. V never falls when columns are added.

V becomes AUC and explained deviance as for two normal classes of the same spread (cf. recipes/scorecard/verdict). A
rare bin with many defaults has a far larger moment than information, so that each feature's moment is first multiplied
by the root of the information that its curve has over what two normal classes with the same moment would have.

Where positives were few and no Gram matrix was released, curves are taken to agree as the card's own scale takes
them to (`score_moments.CORRELATION`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.special import ndtr

from fedrisk.analysis.card_sums import CardSums, curves_of
from fedrisk.models.curves import Curves
from fedrisk.models.estimator import moment_equations
from fedrisk.models.label_counts import with_known
from fedrisk.models.moment_posterior import moment_draws
from fedrisk.models.score_moments import CORRELATION, class_shares

Floats = NDArray[np.float64]

MEASURES = ("deviance", "auc")
"""Share of the deviance that is explained, and AUC above one half."""

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(41)
GRID = 600
"""Points at which variance is turned into measures; between them by interpolation."""

MOST = 0.95
"""Greatest V, in units of 1/h: at 1/h two normal classes would have no spread."""

INFORMATION = (0.2, 1.2)
"""Bounds of a feature's information over that of normal classes with its moment."""


@dataclass(frozen=True, kw_only=True)
class CardValue:
    """Moments from which the value of any set of features follows.

    design: (M, M), at the scale h n, with its ridge. mean: (M, 1), moment that is expected. noise, all: (M, K), draws
    as in `moment_posterior.MomentDraws`. feature: (M,), feature of each shape column. rate: of defaults.
    """

    design: Floats
    mean: Floats
    noise: Floats
    all: Floats
    feature: NDArray[np.int64]
    rate: float

    @classmethod
    def of(cls, sums: CardSums, draws: int, rng: np.random.Generator) -> "CardValue":
        """From what a study released."""
        counts = with_known(sums.counts, sums.bins)
        curves = curves_of(sums.counts, sums.bins, sums.prior)
        told = np.sqrt([information(curves, j) for j in range(len(curves.curve))])
        if sums.second is None:
            return _curves_alone(curves, counts.variance, told, draws, rng)
        equations = moment_equations(sums.bases, counts, curves, sums.second.gram, sums.second.variance)
        found = moment_draws(equations, draws, rng)
        feature = np.repeat(np.arange(len(sums.bases)), [b.shape[1] for b in sums.bases])
        scale = 1 / (curves.total * curves.rate * (1 - curves.rate))
        # Half the spectral norm of the noise about each row (Wigner 1955).
        ridge = np.sqrt(equations.gram_noise.sum(1)) + 1e-6 * np.diag(equations.design) + 1e-9
        by = (told[feature] * scale)[:, None]
        return cls(
            design=(equations.design + np.diag(ridge)) * scale,
            mean=found.mean[:, None] * by,
            noise=found.noise * by,
            all=found.all * by,
            feature=feature,
            rate=curves.rate,
        )

    @cached_property
    def moments(self) -> Floats:
        """Mean and all draws side by side, (M, 1 + 2 K)."""
        return np.concatenate([self.mean, self.noise, self.all], 1)

    def variance(self, features: Sequence[int]) -> Floats:
        """V of a set of features for mean and draws, (1 + 2 K,)."""
        if not len(features):
            return np.zeros(1 + 2 * self.all.shape[1])
        columns = np.flatnonzero(np.isin(self.feature, list(features)))
        return np.asarray(np.square(self._reduced(columns)).sum(0))

    def path(self, order: Sequence[Sequence[int]]) -> Floats:
        """V after each group of features, in this order, (groups, 1 + 2 K): one factorisation for the whole way."""
        groups = [np.flatnonzero(np.isin(self.feature, list(group))) for group in order]
        square = np.square(self._reduced(np.concatenate(groups)))
        ends = np.cumsum([len(g) for g in groups])
        return np.stack([square[a:b].sum(0) for a, b in zip([0, *ends[:-1]], ends, strict=True)]).cumsum(0)

    def _reduced(self, columns: NDArray[np.int64]) -> Floats:
        factor = np.linalg.cholesky(self.design[np.ix_(columns, columns)])
        out: Floats = solve_triangular(factor, self.moments[columns], lower=True, check_finite=False)
        return out

    def measures(self, variance: Floats) -> Floats:
        """Both MEASURES of a variance of the log-odds: (..., 2)."""
        grid, table = self._table
        return np.stack([np.interp(variance, grid, t) for t in table.T], -1)

    @cached_property
    def _table(self) -> tuple[Floats, Floats]:
        grid = MOST / (self.rate * (1 - self.rate)) * np.linspace(0, 1, GRID) ** 2
        return grid, normal_measures(grid, self.rate)


def normal_measures(variance: Floats, rate: float) -> Floats:
    """Explained deviance and AUC less one half of two normal classes whose log-odds have that variance, (..., 2).

    >>> normal_measures(np.array([0.0, 1.0]), 0.05).round(3).tolist()
    [[0.0, 0.0], [0.122, 0.266]]
    """
    h = rate * (1 - rate)
    # Distance of the means, in units of the spread within a class.
    apart = np.sqrt(variance / (1 - np.minimum(h * variance, MOST)))
    centre, weight = math.log(rate / (1 - rate)), WEIGHTS / WEIGHTS.sum()
    wide = apart[..., None]
    ones = np.logaddexp(0, -(centre + wide * (wide / 2 + NODES))) @ weight
    zeros = np.logaddexp(0, centre + wide * (NODES - wide / 2)) @ weight
    entropy = -(rate * math.log(rate) + (1 - rate) * math.log(1 - rate))
    deviance = 1 - (rate * ones + (1 - rate) * zeros) / entropy
    return np.stack([np.maximum(deviance, 0.0), ndtr(apart / math.sqrt(2)) - 0.5], -1)


def information(curves: Curves, feature: int) -> float:
    """Information of a feature's curve over that of two normal classes with the same moment; 1 where it tells nothing.

    Within INFORMATION.
    """
    rate, weight = curves.rate, curves.weight[feature]
    filled = weight > 0
    risk = np.full(len(weight), rate)
    risk[filled] = np.clip(rate * class_shares(curves, feature)[0][filled] / weight[filled], 1e-6, 1 - 1e-6)
    h = rate * (1 - rate)
    moment = float(weight @ (risk - rate) ** 2) / h**2
    entropy = -(rate * math.log(rate) + (1 - rate) * math.log(1 - rate))
    told = (
        float(weight @ (risk * np.log(risk / rate) + (1 - risk) * np.log((1 - risk) / (1 - rate)))) / entropy
    )
    normal = float(normal_measures(np.array(min(moment, MOST / h)), rate)[0])
    return 1.0 if normal < 1e-6 else float(np.clip(told / normal, *INFORMATION))


def _curves_alone(
    curves: Curves, variance: Floats, told: Floats, draws: int, rng: np.random.Generator
) -> CardValue:
    """Without a Gram matrix: each feature's curve on the scale of one, which agrees with any other by CORRELATION.

    Curves vary as their covariance says (models/smoothing); the noise's part of it by what it has of the variance of
    the defaults in a bin.
    """
    root = np.sqrt(np.maximum(curves.spread, 1e-12))
    slope = [w * c / r for w, c, r in zip(curves.weight, curves.curve, root, strict=True)]
    spread = np.array([max(float(s @ c @ s), 0.0) for s, c in zip(slope, curves.covariance, strict=True)])
    defaults = curves.total * curves.rate / np.array([len(c) for c in curves.curve])
    share = variance / (variance + defaults)
    noise = root[:, None] + np.sqrt(spread * share)[:, None] * rng.normal(size=(len(root), draws))
    every = noise + np.sqrt(spread * (1 - share))[:, None] * rng.normal(size=(len(root), draws))
    by = told[:, None]
    return CardValue(
        design=CORRELATION + (1 - CORRELATION) * np.eye(len(root)),
        mean=root[:, None] * by,
        noise=np.maximum(noise, 0.0) * by,
        all=np.maximum(every, 0.0) * by,
        feature=np.arange(len(root)),
        rate=curves.rate,
    )
