"""How far customers are concentrated in few grades: Herfindahl index, largest grade, and whether it grew.

The index is scaled as in the ECB's instructions for reporting validation results (2019, concentration in rating
grades): with the coefficient of variation CV = sqrt(K sum (R_k - 1/K)^2) of the shares R of K grades, HI = 1 +
log((CV^2 + 1) / K) / log K, which is 0 where all grades are alike and 1 where one has everybody. The test against
development is theirs too. Noise alone makes the sum of squared shares larger; that is taken off.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Concentration:
    """index: HI. variation: CV. shares: of customers by grade, (K,), never below 0. largest: place of the largest."""

    index: float
    variation: float
    shares: tuple[float, ...]
    largest: int

    @property
    def most(self) -> float:
        """Share of customers in the largest grade."""
        return self.shares[self.largest]


def concentration(size: Floats, noise: Floats) -> Concentration | None:
    """Concentration of customers over grades; None where there are none.

    size: by grade, (K,). noise: variance of the noise of each.

    >>> concentration(np.array([5.0, 5.0]), np.zeros(2)).index
    0.0
    >>> concentration(np.array([5.0, 0.0]), np.zeros(2)).index
    1.0
    """
    total, k = float(size.sum()), len(size)
    if k < 2 or total <= 4 * math.sqrt(float(noise.sum())) or total <= 0:
        return None
    shares = size / total
    # Of a share's square: noise of the grade itself, and of the total.
    extra = float((noise * (1 - 2 * shares) + shares**2 * noise.sum()).sum()) / total**2
    squares = min(max(float(shares @ shares) - extra, 1 / k), 1.0)
    kept = np.maximum(shares, 0.0)
    kept = kept / kept.sum()
    return Concentration(
        index=max(0.0, 1 + math.log(squares) / math.log(k)),
        variation=math.sqrt(max(k * squares - 1, 0.0)),
        shares=tuple(float(s) for s in kept),
        largest=int(kept.argmax()),
    )


def grown(before: Concentration, now: Concentration) -> tuple[float, float]:
    """(statistic, p): whether concentration grew, one-sided, by the ECB's approximation over K grades."""
    k, cv = len(now.shares), max(now.variation, 1e-9)
    z = math.sqrt(k - 1) * (cv - before.variation) / math.sqrt(cv**2 * (0.5 + cv**2))
    return z, float(ndtr(-z))
