"""How well a score tells defaults from others: AUC, Gini and KS with intervals, and whether they fell.

AUC of cells: Mann & Whitney's statistic, ties one half; its sampling variance by placements (DeLong et al. 1988). Of
counts with noise nothing is clipped at zero, since clipping makes the tails longer and the area smaller; the noise adds
to the variance what the area moves with each count. KS: the distance of the two distributions at the score where the
probabilities themselves put it; the largest of all distances would be too large by its own noise.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from fedrisk.analysis.intervals import reach
from fedrisk.analysis.score_counts import ScoreCounts
from fedrisk.analysis.validation.grade_counts import residuals
from fedrisk.metrics import from_histogram

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A figure with its standard error, by sampling and by noise."""

    value: float
    sampling: float
    noise: float

    @property
    def error(self) -> float:
        """By both."""
        return math.hypot(self.sampling, self.noise)

    def interval(self, level: float, low: float = 0.0, high: float = 1.0) -> tuple[float, float]:
        """Two-sided interval, within bounds."""
        half = reach(level) * self.error
        return max(self.value - half, low), min(self.value + half, high)


@dataclass(frozen=True, kw_only=True)
class Fallen:
    """One figure against that of development. fall: development less now; z, p: one-sided, small where it fell."""

    fall: float
    z: float
    p: float


def enough(counts: ScoreCounts) -> bool:
    """Whether there are clearly defaults and others: two of each, and more than four times their totals' noise."""
    least = max(4 * math.sqrt(counts.variance * len(counts.positives)), 1.5)
    return bool(min(counts.positives.sum(), counts.negatives.sum()) > least)


def area(counts: ScoreCounts) -> Measured | None:
    """AUC; None without enough defaults and others.

    In the bins of a released histogram, customers of one bin are not told apart; what the score tells within bins is
    added from the predicted probabilities (metrics.from_histogram), which brings no noise.
    """
    if not enough(counts):
        return None
    n1, n0, v = counts.positives, counts.negatives, counts.variance
    p, n = float(n1.sum()), float(n0.sum())
    below, above = (np.cumsum(n0) - n0 / 2) / n, (p - np.cumsum(n1) + n1 / 2) / p
    value = float(n1 @ below / p)
    sampling = float(n1 @ (below - value) ** 2) / (p * max(p - 1, 1))
    sampling += float(n0 @ (above - value) ** 2) / (n * max(n - 1, 1))
    noise = v * (((below - value) ** 2).sum() / p**2 + ((above - value) ** 2).sum() / n**2)
    return Measured(
        value=value + _within_bins(counts),
        sampling=math.sqrt(max(sampling, 0.0)),
        noise=math.sqrt(max(float(noise), 0.0)),
    )


def _within_bins(counts: ScoreCounts) -> float:
    if counts.exact or counts.probability is None:
        return 0.0
    both = [
        from_histogram(counts.positives, counts.negatives, counts.probability, within_bin=b).auc
        for b in (True, False)
    ]
    return both[0] - both[1]


def distance(counts: ScoreCounts) -> Measured | None:
    """KS at the score where the predicted probabilities put the largest distance; None without enough counts."""
    if not enough(counts):
        return None
    found = residuals(counts)
    expected = [
        np.cumsum(found.size * q) / max(float(found.size @ q), 1e-12) for q in (found.pd, 1 - found.pd)
    ]
    cut = int(np.argmax(expected[1] - expected[0]))
    shares, sampling, noise = [], 0.0, 0.0
    for part in (counts.positives, counts.negatives):
        total = float(part.sum())
        share = float(part[: cut + 1].sum()) / total
        shares.append(share)
        sampling += max(share * (1 - share), 0.0) / total
        below, k = cut + 1, len(part)
        noise += counts.variance * (below * (1 - share) ** 2 + (k - below) * share**2) / total**2
    return Measured(value=shares[1] - shares[0], sampling=math.sqrt(sampling), noise=math.sqrt(noise))


def fallen(before: Measured, now: Measured) -> Fallen:
    """Whether a figure fell from one sample to another that has no customer in common with it.

    >>> fallen(Measured(value=.8, sampling=.03, noise=0), Measured(value=.75, sampling=0, noise=.04)).z
    1.0
    """
    fall = before.value - now.value
    z = fall / max(math.hypot(before.error, now.error), 1e-12)
    return Fallen(fall=fall, z=round(z, 12), p=float(ndtr(-z)))
