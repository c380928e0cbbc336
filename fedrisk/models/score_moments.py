"""How a score is spread, in total and within the classes, from released numbers alone.

A scorecard's scale, its intercept and its score bins follow from these moments before anything was scored.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedrisk.models.binning import Bins
from fedrisk.models.calibration import class_scores, logistic_fit
from fedrisk.models.curves import Curves
from fedrisk.models.estimator import complete_gram
from fedrisk.models.label_counts import LabelCounts

Floats = NDArray[np.float64]

CORRELATION = 0.1
"""Correlation of any two curves that is taken for granted where no Gram matrix was released."""


@dataclass(frozen=True)
class ScoreMoments:
    """Moments of the summed contributions (log-odds of default), from released numbers.

    Attributes:
        variance: over enterprises.
        gap: mean among defaults less mean among others.
        partial: by institution, variance of its part.
        columns: by institution, variance of the part of its columns, without whether it knows the enterprise.
    """

    variance: float
    gap: float
    partial: dict[str, float]
    columns: dict[str, float]


def score_moments(
    contributions: Sequence[Floats],
    counts: LabelCounts,
    curves: Curves,
    bins: Sequence[Bins],
    bases: Sequence[Floats] | None = None,
    gram: Floats | None = None,
) -> ScoreMoments:
    """Variance of the score, in total and by institution, and the gap between the classes.

    Without bases and gram (where release B was a second count) any two features are taken to be correlated by
    CORRELATION: as independent ones they would make a sum of many look far less spread than it is.
    """
    variances = np.array([float(w @ f**2) for w, f in zip(curves.weight, contributions, strict=True)])
    root = np.sqrt(variances)
    cross = CORRELATION * np.outer(root, root)
    if bases is not None and gram is not None:
        full = complete_gram(bases, curves, gram) / curves.total
        at = [0, *np.cumsum([b.shape[1] for b in bases]).tolist()]
        beta = np.zeros((at[-1], len(variances)))
        for j, (base, weight, f) in enumerate(zip(bases, curves.weight, contributions, strict=True)):
            scale = np.sqrt(weight)
            fit = np.linalg.lstsq(scale[:, None] * base, scale * f, rcond=None)[0]
            beta[at[j] : at[j + 1], j] = fit
        cross = beta.T @ full @ beta
    np.fill_diagonal(cross, variances)
    holders = np.array([b.feature.institution for b in bins])
    columns = np.array([b.feature.is_column for b in bins])
    gap = sum(
        float(f @ n1) / counts.positives - float(f @ n0) / counts.negatives
        for f, n1, n0 in zip(contributions, counts.n1, counts.n0, strict=True)
    )
    return ScoreMoments(
        max(float(cross.sum()), 1e-12),
        gap,
        {name: _block(cross, holders == name) for name in dict.fromkeys(holders.tolist())},
        {name: _block(cross, (holders == name) & columns) for name in dict.fromkeys(holders.tolist())},
    )


def _block(cross: Floats, of: NDArray[np.bool_]) -> float:
    return max(float(cross[np.ix_(of, of)].sum()), 1e-12)


def first_calibration(contributions: Sequence[Floats], curves: Curves, spread: float) -> tuple[float, float]:
    """(intercept, slope) that make these contributions, whose sum has that standard deviation, log-odds of default.

    The intercept is of enterprises with the mean contribution. See `fedrisk.models.calibration`.
    """
    positive, negative = zip(*(class_shares(curves, j) for j in range(len(contributions))), strict=True)
    ones, zeros = class_scores(contributions, positive, negative, curves.rate, spread)
    return logistic_fit(curves.rate, ones, zeros)


def class_shares(curves: Curves, j: int) -> tuple[Floats, Floats]:
    """Shares of a feature's bins among defaults and among others, as its curve says."""
    positive = curves.weight[j] * np.exp(curves.curve[j])
    positive = positive / positive.sum()
    return positive, curves.weight[j] - curves.rate * positive


def unknown_log_odds(
    contributions: Sequence[Floats], curves: Curves, bins: Sequence[Bins], institution: str, variance: float
) -> float:
    """Log-odds that being unknown to a holder adds, where it is known to say nothing.

    An enterprise at average *log-odds* is safer than the average enterprise, since the few risky ones make most of the
    defaults. An unknown one is as risky as the average of those that the holder knows: its odds are the mean of theirs,
    log E exp(s) over the others of a sample with the holder's part s spread by ``variance``.
    """
    own = [j for j, b in enumerate(bins) if b.feature.institution == institution and b.feature.is_column]
    inside = [slice(0, bins[j].known) for j in own]
    known = float(np.mean([curves.weight[j][k].sum() for j, k in zip(own, inside, strict=True)]))
    shares = [class_shares(curves, j) for j in own]
    _, zeros = class_scores(
        [contributions[j][k] for j, k in zip(own, inside, strict=True)],
        [p[k] for (p, _), k in zip(shares, inside, strict=True)],
        [n[k] for (_, n), k in zip(shares, inside, strict=True)],
        curves.rate,
        math.sqrt(variance / max(known, 1e-3)),
    )
    return float(np.log(np.mean(np.exp(np.clip(zeros, -30.0, 30.0)))))
