"""Whether two groups of a bank's own customers differ in a score or a column: the population stability index, by rows.

For shares a and e of the same bins in two samples, PSI = sum of (a - e) ln(a / e) (Lewis 1994; Siddiqi 2017, where the
index of a column is called characteristic stability). Both samples vary by chance. Where nothing moved, the index over
(1/n + 1/m) follows about a chi-squared distribution of (bins - 1) degrees of freedom (Yurdakul & Naranjo 2020): what
lies within its 95% quantile says nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtri

from fedrisk.metrics import psi

STABLE, MOVED = 0.1, 0.25
"""Customary bounds of the index."""

GROUPS = 10
"""Groups of about equal size of the first sample, by which scores are compared."""

Verdict = Literal["stable", "shifting", "moved", "few"]


@dataclass(frozen=True, kw_only=True)
class Stability:
    """The index of two samples.

    index: PSI. by_chance: what it stays below nineteen times in twenty where nothing moved. rows: of both samples.
    verdict: by the customary bounds; ``few`` where the index is above the first of them and chance alone may be behind.
    """

    index: float
    by_chance: float
    rows: tuple[int, int]
    verdict: Verdict


def stability_of(before: ArrayLike, after: ArrayLike) -> Stability | None:
    """The index of counts of the same bins, (k,) each; None where either sample is empty.

    >>> found = stability_of([500, 500], [250, 750])
    >>> round(found.index, 3), found.verdict
    (0.275, 'moved')
    >>> stability_of([5, 5], [3, 7]).verdict
    'few'
    """
    one, other = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    there = one + other > 0
    one, other = one[there], other[there]
    n, m = float(one.sum()), float(other.sum())
    if n <= 0 or m <= 0:
        return None
    # Half a row more in each bin: a bin that nobody happens to be in would weigh too much.
    index = psi(one + 0.5, other + 0.5) if len(one) > 1 else 0.0
    chance = float(chdtri(max(len(one) - 1, 1), 0.05)) * (1 / n + 1 / m)
    return Stability(index=index, by_chance=chance, rows=(int(n), int(m)), verdict=_verdict(index, chance))


def counts_by_level(values: Sequence[NDArray[np.integer]]) -> NDArray[np.int64]:
    """How often each whole number occurs in each sample, (samples, levels)."""
    levels = np.unique(np.concatenate([np.asarray(v) for v in values]))
    return np.stack([np.bincount(np.searchsorted(levels, v), minlength=len(levels)) for v in values])


def counts_by_group(
    values: Sequence[NDArray[np.float64]], groups: int = GROUPS
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Counts of each sample in groups of about equal size of the first one, (samples, k), and their inner edges.

    A value equal to an edge falls in the upper group.
    """
    edges = np.unique(np.quantile(values[0], np.arange(1, groups) / groups))
    counts = [np.bincount(np.searchsorted(edges, v, side="right"), minlength=len(edges) + 1) for v in values]
    return np.stack(counts), edges


def _verdict(index: float, chance: float) -> Verdict:
    if index > STABLE and index <= chance:
        return "few"
    return "stable" if index <= STABLE else "shifting" if index <= MOVED else "moved"
