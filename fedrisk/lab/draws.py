"""Seeded draws that make one table many: which rows are kept, which bank gets them, what a holder knows.

Every draw has a stream of its own, named by its purpose, so that a change of one leaves the others as they were.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def stream(seed: int, purpose: str) -> np.random.Generator:
    """The random numbers of one purpose under a seed, on any machine the same."""
    digest = hashlib.sha256(purpose.encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "big")])


def kept(n: int, keep: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """(n,) booleans of which exactly ``keep`` are true.

    >>> int(kept(10, 4, stream(1, "example")).sum())
    4
    """
    out = np.zeros(n, dtype=bool)
    out[rng.permutation(n)[:keep]] = True
    return out


def counts(n: int, weights: Sequence[float] | NDArray[np.float64]) -> Ints:
    """The number n divided by weights into whole numbers whose sum is n: the largest remainders are rounded up.

    >>> counts(10, [1, 1, 1]).tolist(), counts(7, [5, 1, 1]).tolist()
    ([4, 3, 3], [5, 1, 1])
    """
    share = np.asarray(weights, dtype=np.float64)
    exact = n * share / share.sum()
    whole: Ints = np.floor(exact).astype(np.int64)
    order = np.argsort(-(exact - whole), kind="stable")
    whole[order[: n - int(whole.sum())]] += 1
    return whole


def dealt(n: int, weights: Sequence[float] | NDArray[np.float64], rng: np.random.Generator) -> Ints:
    """(n,) which of the weights' owners gets each of n rows, at random, in numbers by :func:`counts`."""
    owner = np.repeat(np.arange(len(weights)), counts(n, weights))
    return np.asarray(rng.permutation(owner), dtype=np.int64)


def dealt_unlike(groups: Ints, weights: Sequence[float], alpha: float, rng: np.random.Generator) -> Ints:
    """(n,) owners where each group of rows is divided by shares of its own, drawn from a Dirichlet distribution.

    groups: (n,) numbers of the rows' groups. Its parameters are ``alpha`` times the number of owners times their
    weights, so that shares are on average as the weights are (Hsu, Qi & Brown 2019).
    """
    weight = np.asarray(weights, dtype=np.float64)
    parameters = alpha * len(weight) * weight / weight.sum()
    out = np.zeros(len(groups), dtype=np.int64)
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        # A tiny alpha may draw zeros throughout.
        share = np.maximum(rng.dirichlet(parameters), 1e-12)
        out[rows] = dealt(len(rows), share, rng)
    return out


def second(owner: Ints, owners: int, share: float, rng: np.random.Generator) -> Ints:
    """(n,) another owner for a share of rows, -1 for all others."""
    n = len(owner)
    chosen = kept(n, round(share * n), rng)
    other = (owner + 1 + rng.integers(0, owners - 1, n)) % owners
    return np.where(chosen, other, -1)
