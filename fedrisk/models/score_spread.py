"""How scores spread over enterprises, by released numbers: the two classes, and bins of the score for histograms.

Scores of defaults and of others are taken as normal, with the released means and one spread within classes. From this
follow the bins of the calibration and of the evaluation, which cover both classes, and the mean probability in a bin.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import ndtr

from fedrisk.errors import ConfigError

Floats = NDArray[np.float64]

POINTS_IN_BIN = 400
"""Scores at which the mean probability of a bin is worked out."""

CALIBRATION_REACH = (-2.5, 4.5)
"""How far calibration bins reach towards safety and towards risk, in standard deviations of the score."""


class ScoreSpread(ABC):
    """What a card says of the spread of its own scores (models/scorecard has the numbers)."""

    base_points: int
    averages: tuple[float, ...]
    rate: float
    sd: float
    gap: float

    @abstractmethod
    def probability(self, score: ArrayLike) -> Floats:
        """Probability of default for scores, in the shape of ``score``."""

    def calibration_bins(self, k: int) -> Floats:
        """Inner edges of k score bins for a calibration histogram, shape (k - 1,), rising in the score.

        Evenly spaced, further towards risk: what has to be right there is the tail, whatever its shape.

        Raises:
            ConfigError: k is below 3.
        """
        if k < 3:
            raise ConfigError(f"calibration bins: k is {k}, must be at least 3")
        mean, sd = self.score_distribution()
        return mean + sd * np.linspace(-CALIBRATION_REACH[1], -CALIBRATION_REACH[0], k - 1)

    def score_distribution(self) -> tuple[float, float]:
        """Mean and standard deviation of the score over enterprises, from released numbers."""
        return self.base_points + sum(self.averages), self.sd

    def score_bins(self, k: int) -> Floats:
        """Inner edges of k score bins for an evaluation histogram, shape (k - 1,), rising in the score.

        They are quantiles of an even mixture of the two classes, each normal with the released means and the
        spread within classes, so that both classes cover all bins.

        Raises:
            ConfigError: k is below 2.
        """
        if k < 2:
            raise ConfigError(f"score bins: k is {k}, must be at least 2")
        low, high, within = self.classes()

        def excess(x: float, share: float) -> float:
            return float((ndtr((x - low) / within) + ndtr((x - high) / within)) / 2 - share)

        span = (low - 8 * within, high + 8 * within)
        return np.array([brentq(excess, *span, args=(i / k,)) for i in range(1, k)])

    def classes(self) -> tuple[float, float, float]:
        """Mean score of defaults and of others, and the spread within each, from released numbers."""
        mean, sd = self.score_distribution()
        gap = float(np.clip(self.gap, 0.0, 3 * sd))
        within = math.sqrt(max(sd**2 - self.rate * (1 - self.rate) * gap**2, (sd / 4) ** 2))
        return mean - (1 - self.rate) * gap, mean + self.rate * gap, within

    def risk_bins(self, score: ArrayLike, edges: ArrayLike) -> NDArray[np.int64]:
        """Bin of each score in order of *rising risk* (0 is safest), as `metrics.from_histogram` needs it."""
        inner = np.asarray(edges, dtype=np.float64)
        return len(inner) - np.searchsorted(inner, np.asarray(score), side="right").astype(np.int64)

    def bin_probabilities(self, edges: ArrayLike) -> Floats:
        """Mean probability of default in each score bin, in order of rising risk, shape (k,).

        Scores spread in a bin as in the mixture of two normal classes from which the bins come. In the outer bins,
        which are wide, the probability at a middle would be too small by a twentieth to a sixth of it.
        """
        inner = np.asarray(edges, dtype=np.float64)
        low, high, within = self.classes()
        ends = (min(low, inner[0]) - 6 * within, max(high, inner[-1]) + 6 * within)
        knots = np.r_[ends[0], inner, ends[1]]
        # An even grid inside each bin, so that a narrow bin has points too.
        score = knots[:-1, None] + np.diff(knots)[:, None] * (np.arange(POINTS_IN_BIN) + 0.5) / POINTS_IN_BIN
        classes = np.stack([-(((score - m) / within) ** 2) / 2 for m in (low, high)])
        weight = np.logaddexp(classes[0] + math.log(self.rate), classes[1] + math.log1p(-self.rate))
        weight = np.exp(weight - weight.max(axis=1, keepdims=True))
        out: Floats = (weight * self.probability(score)).sum(1) / weight.sum(1)
        return out[::-1].copy()

    def mean_probability(self) -> float:
        """Mean probability of default over enterprises, scores spread as for `bin_probabilities`."""
        low, high, within = self.classes()
        grid = np.linspace(low - 6 * within, high + 6 * within, 4 * POINTS_IN_BIN + 1)
        ones, zeros = (np.exp(-(((grid - m) / within) ** 2) / 2) for m in (low, high))
        weight = self.rate * ones / ones.sum() + (1 - self.rate) * zeros / zeros.sum()
        return float(weight @ self.probability(grid))

    def bin_middles(self, edges: ArrayLike) -> Floats:
        """Middle of each score bin, rising in the score, (k,); half a step beyond the last edges in the outer bins."""
        inner = np.asarray(edges, dtype=np.float64)
        step = np.diff(inner) if len(inner) > 1 else np.array([self.sd])
        middle: Floats = np.r_[inner[0] - step[0] / 2, (inner[:-1] + inner[1:]) / 2, inner[-1] + step[-1] / 2]
        return middle
