"""The level at which the probabilities of given log-odds have a given mean."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

Floats = NDArray[np.float64]

ROUNDS = 60
"""Most steps of Newton's method; a step is at most one, and a dozen do for what is not degenerate."""

CLOSE = 1e-12
"""Step from which on the level is found."""


def at_rate(
    score: Floats, rate: float, weight: Floats | None = None, begin: float | None = None
) -> tuple[float, Floats]:
    """The level that, added to log-odds ``score``, (n,), makes their mean probability ``rate``; and the probabilities.

    weight: of each row, adding up to one, (n,); None where all count alike. begin: a level to begin at, the rate's own
    log-odds where none is given.

    >>> at_rate(np.array([0.7, 0.7]), 0.5)[0].__round__(9)
    -0.7
    """
    share = np.full(len(score), 1 / len(score)) if weight is None else weight
    level = float(logit(rate)) if begin is None else begin
    p: Floats = expit(level + score)
    for _ in range(ROUNDS):
        step = float(np.clip((share @ p - rate) / max(float(share @ (p * (1 - p))), 1e-12), -1.0, 1.0))
        level -= step
        p = expit(level + score)
        if abs(step) < CLOSE:
            break
    return level, p
