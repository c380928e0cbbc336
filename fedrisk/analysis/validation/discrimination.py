"""How well a score tells defaults from others: AUC, Gini and KS with intervals, and whether they fell.

Both are those that every page quotes (metrics.area, metrics.distance). The KS of rows is the largest distance, which is
too large by chance, more so in the smaller sample; that is taken off for intervals and for the fall.
"""

import math
from dataclasses import dataclass

from scipy.special import ndtr

from fedrisk import metrics
from fedrisk.analysis.score_counts import ScoreCounts
from fedrisk.metrics import Measured


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
    """AUC (metrics.area); None without enough defaults and others."""
    return metrics.area(counts.positives, counts.negatives, counts.variance) if enough(counts) else None


def distance(counts: ScoreCounts) -> Measured | None:
    """KS (metrics.distance); None without enough defaults and others."""
    if not enough(counts):
        return None
    return metrics.distance(counts.positives, counts.negatives, counts.variance, counts.probability)[0]


def fallen(before: Measured, now: Measured) -> Fallen:
    """Whether a figure fell from one sample to another that has no customer in common with it.

    >>> fallen(Measured(value=.8, sampling=.03, noise=0), Measured(value=.75, sampling=0, noise=.04)).z
    1.0
    """
    fall = (before.value - before.optimism) - (now.value - now.optimism)
    z = fall / max(math.hypot(before.error, now.error), 1e-12)
    return Fallen(fall=fall, z=round(z, 12), p=float(ndtr(-z)))
