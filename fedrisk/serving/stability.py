"""How the enterprises that are asked about differ from those of the study: the population stability index.

For shares a of the bins among those that are asked about, and e in the study's released counts, PSI = sum of (a - e)
ln(a / e): the symmetric Kullback-Leibler divergence (Lewis 1994; Siddiqi 2017). Below 0.1 is usually called stable,
above 0.25 moved. Without any drift it is about (bins - 1) / rows on average, so few rows make it large: n PSI then
follows a chi-squared distribution of (bins - 1) degrees of freedom (Yurdakul 2018), and what lies within its 95%
quantile says nothing.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri

from fedrisk.models.binning import Bins

STABLE, MOVED = 0.1, 0.25
"""Customary bounds of the index."""

LEAST_SHARE = 1e-4
"""Least share of a bin that is counted with: logarithms need one, and released shares are noisy."""


@dataclass(frozen=True)
class Stability:
    """The index of one feature. verdict: stable, shifting, moved, or ``few`` where chance alone may be behind it."""

    column: str
    rows: int
    index: float
    verdict: str


def key_of(bins: Bins) -> str:
    """What counts of a feature's bins are kept under: its column, and a digest of the bins.

    >>> from fedrisk.data.features import Feature
    >>> key_of(Bins(Feature(institution="tax", column="sales", low=0, high=9), edges=(3.0,)))[:6]
    'sales@'
    """
    stored = json.dumps(bins.to_dict(), sort_keys=True).encode()
    return f"{bins.feature.column}@{hashlib.sha256(stored).hexdigest()[:16]}"


def stability_index(counts: Sequence[int], shares: Sequence[float]) -> float:
    """PSI of counts against shares of the same bins.

    >>> round(stability_index([500, 500], [0.5, 0.5]), 6), round(stability_index([800, 200], [0.5, 0.5]), 2)
    (0.0, 0.41)
    """
    # Half a row more in each bin: a bin that nobody happened to be in would weigh too much.
    asked, expected = _shares(np.asarray(counts, float) + 0.5), _shares(np.asarray(shares, float))
    return float(((asked - expected) * np.log(asked / expected)).sum())


def stability(
    bins: Sequence[Bins],
    shares: Sequence[Sequence[float]],
    months: Mapping[str, Mapping[str, Sequence[int]]],
) -> list[Stability]:
    """The index of each feature of a model, of all months that are kept.

    bins, shares: of the model's features, with the study's released share of each bin. months: Drift.bins.
    """
    found = []
    for b, expected in zip(bins, shares, strict=True):
        rows = [counts[key] for counts in months.values() if (key := key_of(b)) in counts]
        total: NDArray[Any] = np.sum(rows, axis=0) if rows else np.zeros(b.size)
        n = int(total.sum())
        index = stability_index(total.tolist(), expected) if n else 0.0
        found.append(Stability(b.feature.column, n, index, _verdict(index, n, b.size)))
    return found


def _verdict(index: float, n: int, size: int) -> str:
    if n == 0 or (index > STABLE and n * index <= chdtri(max(size - 1, 1), 0.05)):
        return "few"
    return "stable" if index <= STABLE else "shifting" if index <= MOVED else "moved"


def _shares(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    part = np.maximum(weights / weights.sum(), LEAST_SHARE)
    return np.asarray(part / part.sum())
