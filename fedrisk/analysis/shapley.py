"""Shapley values: what each player adds to a value on the average over all orders in which players come (Shapley 1953).

They add up to the value of all players together, give nothing to a player who never adds anything, and the same to
players who are alike. Exact over all subsets; beyond some number of players over sampled orders (Castro, Gomez & Tejada
2009). Where players come in groups, the columns of institutions, each group comes as a whole: Owen's values (1977), by
which the columns of an institution add up to the institution.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Path = Callable[[Sequence[int]], Floats]
"""Order of players -> value after each of them, (players, ...); nothing has the value 0."""


def shapley_values(values: Floats) -> Floats:
    """Exact values, (players, ...), from those of all subsets, (2^players, ...): bit i of a subset is player i.

    >>> shapley_values(np.array([0.0, 1.0, 2.0, 4.0])).tolist()
    [1.5, 2.5]
    """
    players = int(values.shape[0]).bit_length() - 1
    subsets = np.arange(values.shape[0])
    size = np.array([int(s).bit_count() for s in subsets])
    weight = np.array(
        [1 / (players * math.comb(players - 1, k)) if k < players else 0.0 for k in range(players + 1)]
    )
    out = []
    for i in range(players):
        without = subsets[(subsets >> i) & 1 == 0]
        out.append(np.tensordot(weight[size[without]], values[without | 1 << i] - values[without], 1))
    return np.array(out)


def orders_of(groups: Sequence[Sequence[int]], pairs: int, rng: np.random.Generator) -> list[list[int]]:
    """Random orders of players in which each group stays together, each order followed by its reverse.

    >>> sorted(orders_of([[0, 1], [2]], 1, np.random.default_rng(0))[0])
    [0, 1, 2]
    """
    out = []
    for _ in range(pairs):
        order = [
            int(player) for g in rng.permutation(len(groups)) for player in rng.permutation(list(groups[g]))
        ]
        out += [order, order[::-1]]
    return out


def sampled_values(path: Path, orders: Sequence[Sequence[int]]) -> tuple[Floats, Floats]:
    """(values, standard errors of the sampling of orders), (players, ...) each; orders in pairs of `orders_of`."""
    total = square = None
    for k in range(0, len(orders), 2):
        pair: Floats = sum(_gains(path, order) for order in orders[k : k + 2]) / 2  # type: ignore[assignment]
        total = pair if total is None else total + pair
        square = pair**2 if square is None else square + pair**2
    assert total is not None
    assert square is not None
    pairs = len(orders) // 2
    mean = total / pairs
    spread = np.maximum(square / pairs - mean**2, 0.0) / max(pairs - 1, 1)
    return mean, np.sqrt(spread)


def _gains(path: Path, order: Sequence[int]) -> Floats:
    """What each player adds in one order, by player."""
    values = path(order)
    gains: Floats = np.diff(values, axis=0, prepend=np.zeros_like(values[:1]))
    out = np.empty_like(gains)
    out[list(order)] = gains
    return out


def adding_up(values: Floats, groups: Sequence[Sequence[int]], wholes: Floats) -> Floats:
    """Sampled values of players brought to what their groups have exactly, in proportion.

    values: (players, ...). wholes: (groups, ...). Where a group's players have nothing together, they share alike.

    >>> adding_up(np.array([1.0, 3.0]), [[0, 1]], np.array([2.0])).tolist()
    [0.5, 1.5]
    """
    out = values.copy()
    for group, whole in zip(groups, wholes, strict=True):
        own = values[list(group)]
        found = own.sum(0)
        alike = np.broadcast_to(whole / len(group), own.shape)
        nothing = np.abs(found) < 1e-15
        out[list(group)] = np.where(nothing, alike, own * whole / np.where(nothing, 1.0, found))
    return out
