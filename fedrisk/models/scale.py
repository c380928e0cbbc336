"""The scale of a scorecard: which score stands for which odds of repaying, and how many points double them.

Credit practice states it by three numbers (Siddiqi 2017). A scale says how log-odds are written; it changes neither a
probability nor who stands before whom.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fedrisk.errors import ConfigError

Floats = NDArray[np.float64]

DOUBLE = (5.0, 200.0)
"""Bounds of the points that double the odds: with fewer, whole points would say little; more need four digits."""

SCORE = (-10_000.0, 10_000.0)
"""Bounds of the score at the base odds."""

ODDS = (0.01, 10_000.0)
"""Bounds of the odds at the base score."""


@dataclass(frozen=True)
class Scale:
    """How log-odds are written as a score; higher is safer.

    Attributes:
        double: points that double the odds of repaying.
        score: score at which they are ``odds`` to 1.
        odds: of repaying, at that score.

    >>> Scale().log_odds(600.0).round(3).tolist()
    -3.401

    ConfigError where one of them is out of its bounds.
    """

    double: float = 20.0
    score: float = 600.0
    odds: float = 30.0

    def __post_init__(self) -> None:
        for name, value, (low, high) in (
            ("points that double the odds", self.double, DOUBLE),
            ("base score", self.score, SCORE),
            ("base odds", self.odds, ODDS),
        ):
            if not (math.isfinite(value) and low <= value <= high):
                raise ConfigError(f"scale: {name} is {value:g}, must lie between {low:g} and {high:g}")

    @property
    def factor(self) -> float:
        """Points per unit of log-odds."""
        return self.double / math.log(2)

    @property
    def ratio(self) -> float:
        """Points of this scale for one of the standard scale."""
        return self.double / STANDARD.double

    def log_odds(self, score: ArrayLike) -> Floats:
        """Log-odds of default that a score stands for, in its shape."""
        s = np.asarray(score, dtype=np.float64)
        out: Floats = -(s - self.score) / self.factor - math.log(self.odds)
        return out

    def score_of(self, log_odds: float) -> float:
        """The score that stands for log-odds of default; inverse of :meth:`log_odds`."""
        return self.score - self.factor * (log_odds + math.log(self.odds))


STANDARD = Scale()
"""The scale of every card as its study makes it: 600 points for odds of 30 to 1, and 20 double them."""
