"""Priors of the weights by which a scorecard's curves are joined, and what a card from elsewhere says of the weights.

A feature next to others keeps about the same share of its curve as they do; how large the share is, how far features
differ in it, and how far curves bend beside each other is averaged over candidates by their evidence
(models/estimator). Where another study's card is known, weights may instead be a share of what they are there. That
share is a candidate like the others, so that a card that the sums contradict says nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SLOPE = 0.2
"""Scale of the curve's column in a shape row."""

CENTRES = (0.1, 0.3, 0.5, 0.7, 0.9, 1.1)
"""Candidate shares of the marginal curve."""

SLOPE_SPREADS = (0.1, 0.3, 1.0, 3.0)
"""Candidate prior standard deviations of a feature's share of its curve."""

BEND_SPREADS = (0.0, 0.1, 0.3, 1.0)
"""Candidate prior standard deviations of the modes."""

KNOWN_SHARES = (0.25, 0.5, 0.75, 1.0)
"""Candidate shares of a card from elsewhere."""

KNOWN_CENTRES, KNOWN_BENDS = (0.0, 0.2, 0.4), (0.0, 0.3)
"""Shares of the curves, and spreads of the modes, beside a share of a card from elsewhere."""

AGREES = 2.0
"""Standard errors by which the scores of a card from elsewhere have to go with the labels here, to be a candidate."""


class Candidate(NamedTuple):
    """A prior: variances of weights of curves and of modes, mean of all, (M,), and the log of its own weight."""

    curves: float
    modes: float
    mean: Floats
    belief: float = 0.0

    def variance(self, first: NDArray[np.bool_]) -> Floats:
        """Variance of all weights, (M,); first: (M,), which are of curves."""
        return np.where(first, self.curves, self.modes)


def candidate_priors(first: NDArray[np.bool_], known: Floats | None = None) -> list[Candidate]:
    """Every candidate prior of the weights.

    first: (M,), which columns are the curves themselves. known: weights of a card from elsewhere; then each of
    KNOWN_SHARES of it, and none of it, weigh the same in all.
    """
    alone = [
        Candidate(slope * slope, bend * bend, np.where(first, centre / SLOPE, 0.0))
        for slope in SLOPE_SPREADS
        for bend in BEND_SPREADS
        for centre in CENTRES
    ]
    if known is None:
        return alone
    beside = [
        Candidate(slope * slope, bend * bend, share * known + np.where(first, centre / SLOPE, 0.0))
        for share in KNOWN_SHARES
        for slope in SLOPE_SPREADS
        for bend in KNOWN_BENDS
        for centre in KNOWN_CENTRES
    ]
    more = math.log(len(alone) * len(KNOWN_SHARES) / len(beside))
    return alone + [c._replace(belief=more) for c in beside]


def known_weights(
    bases: Sequence[Floats], joint: Sequence[Floats | None], information: Sequence[Floats], cost: Floats
) -> Floats:
    """Weights of all shape columns, (M,), that come nearest to the parts of a card from elsewhere.

    bases: shape columns of every feature, (bins, k) each. joint: parts of the card, (bins,) each, None where not known.
    information: by feature, what a bin weighs, (bins,). cost: of a squared weight, (M,): a column of next to no
    variance would need a weight so large that the Gram matrix's noise times it drowned all else.
    """
    out, at = np.zeros(len(cost)), 0
    for base, part, weight in zip(bases, joint, information, strict=True):
        own = slice(at, at + base.shape[1])
        at = own.stop
        if part is None:
            continue
        weighed = base.T * weight
        square = weighed @ base
        ridge = np.diag(cost[own] + 1e-9 * np.trace(square) + 1e-12)
        out[own] = np.linalg.solve(square + ridge, weighed @ part)
    return out


def agrees(known: Floats, moment: Floats, covariance: Floats) -> bool:
    """Whether the scores of a card from elsewhere rise with the labels beyond what noise makes of the moment.

    Where the Gram matrix drowns in noise, evidence prefers whatever weights are smallest, of either sign; this asks the
    label counts alone. known: its weights, (M,). moment: of labels and columns, (M,), with its covariance, (M, M).
    """
    error = math.sqrt(max(float(known @ covariance @ known), 0.0))
    return float(known @ moment) > AGREES * error > 0.0
