"""Anchors: what the evaluations of earlier cards say of how much there is to find, beside what their curves say.

Curves of released counts are noisy and smoothed, and how columns go together is known worse still; the AUC of a card
on its hold-out is one number, but of just what is to be expected again. Worlds are drawn weaker and stronger by a
factor, the earlier study is simulated in each, and the AUC that is expected of the next one is that of a normal
distribution of both, given the AUC that was released (`expected_given`). All of it follows from released numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from fedrisk.data.features import Feature
from fedrisk.models.knowledge import NOTHING, Knowledge
from fedrisk.models.scorecard import Scorecard
from fedrisk.study import Study

Floats = NDArray[np.float64]

FACTORS = 0.1
"""Log-deviation of the factor by which worlds are weaker and stronger than the curves that are known of them.

About a deviation of .025 of the AUC: with it, nine of ten studies of the provinces and sets on which it was chosen lie
within the bounds.
"""

LEAST_ERROR = 0.004
"""Least standard error of an AUC that worlds are held against: simulated studies are not exact."""

OF_CARD = 0.025
"""Standard error of the AUC that a scorecard itself says it has (benchmarks/planner)."""

ELSEWHERE = 0.01
"""Standard deviation of the AUC of two regions' cards beyond what is known of them, where one is a prior."""


@dataclass(frozen=True, kw_only=True)
class Anchor:
    """An earlier card's AUC on its hold-out, and the study that made it.

    auc: as released. noise, sampling: its standard errors by either. study, features, rows: the earlier study, the
    columns that it counted and its training rows. knowledge: what it knew beforehand. elsewhere: of another region or
    product, so that it is known from a prior. card: instead of all these, a scorecard whose own numbers say its AUC.
    """

    auc: float
    noise: float
    sampling: float
    study: Study | None = None
    features: tuple[Feature, ...] = ()
    rows: float = 0.0
    knowledge: Knowledge = NOTHING
    elsewhere: bool = False
    card: Scorecard | None = None

    @property
    def usable(self) -> bool:
        """Whether numbers are finite and in range, as they come from a file."""
        numbers = (self.auc, self.noise, self.sampling, self.rows)
        return all(math.isfinite(v) and v >= 0 for v in numbers) and 0.0 < self.auc < 1.0


def anchor_of_card(card: Scorecard) -> Anchor | None:
    """The AUC that a calibrated card says it has; None of one without calibration.

    Its log-odds are right on average, as its calibration makes them, so that of a normal score whose standard deviation
    within classes is s the means of the classes lie s squared apart, and the AUC is Phi(s / sqrt 2).
    """
    if card.calibration is None or not math.isfinite(card.sd):
        return None
    total = (card.sd / card.scale.factor) ** 2
    # total = v + r (1 - r) v^2, by the rate r, where classes lie v apart: solved for v.
    share = card.rate * (1 - card.rate)
    within = (math.sqrt(1 + 4 * share * total) - 1) / (2 * share) if share > 0 else total
    return Anchor(
        auc=float(ndtr(math.sqrt(within / 2))), noise=OF_CARD, sampling=0.0, elsewhere=True, card=card
    )


def factors(worlds: int, deviation: float) -> Floats:
    """Factors of so many worlds, (worlds,): log-normal, evenly spread; two neighbours, of two kinds, have the same.

    >>> factors(4, 0.0).tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    place = np.array([_inverse(k // 2 + 2) for k in range(worlds)])
    out: Floats = np.exp(deviation * ndtri(place))
    return out


def _inverse(k: int) -> float:
    """Number k of the sequence of van der Corput (1935) to base 2."""
    out, digit = 0.0, 0.5
    while k:
        out, k, digit = out + digit * (k % 2), k // 2, digit / 2
    return out


def weights(anchors: Sequence[Anchor]) -> Floats:
    """By what the AUCs of several studies of the same hold-out are averaged, (anchors,), summing to 1: noise alone."""
    precision = np.array([1 / (a.noise**2 + LEAST_ERROR**2) for a in anchors])
    out: Floats = precision / precision.sum()
    return out


def observed(anchors: Sequence[Anchor]) -> tuple[float, float]:
    """Mean AUC of anchors by their weights, and its standard error: noise averages out, sampling does not."""
    w = weights(anchors)
    noise = math.sqrt(sum((v * a.noise) ** 2 for v, a in zip(w, anchors, strict=True)))
    sampling = sum(v * a.sampling for v, a in zip(w, anchors, strict=True))
    return float(w @ [a.auc for a in anchors]), math.hypot(noise, float(sampling))


def expected_given(before: Floats, after: Floats, auc: float, error: float) -> tuple[float, float]:
    """Mean and standard deviation of a study's AUC, given what came out of an earlier one.

    before, after: AUC of both in the same worlds, (worlds,). auc, error: as released. Normal in both (Raiffa &
    Schlaifer 1961): the earlier one's error makes less of the difference.

    >>> expected_given(np.array([0.6, 0.7, 0.8]), np.array([0.65, 0.75, 0.85]), 0.8, 0.0)
    (0.85, 0.0)
    """
    x, y = before - before.mean(), after - after.mean()
    spread = float(x @ x) / len(x)
    slope = float(x @ y) / len(x) / max(spread + error**2, 1e-12)
    mean = float(after.mean()) + slope * (auc - float(before.mean()))
    left = float(y @ y) / len(x) - slope**2 * (spread + error**2)
    return round(mean, 12), math.sqrt(max(round(left, 12), 0.0))
