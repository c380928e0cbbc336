"""Shapley and Owen values by hand and by their axioms."""

import itertools

import numpy as np
import pytest

from fedrisk.analysis.shapley import adding_up, orders_of, sampled_values, shapley_values


def test_exact_values_are_the_mean_over_all_orders():
    rng = np.random.default_rng(3)
    values = np.r_[0.0, rng.random(15)]
    expected = np.zeros(4)
    for order in itertools.permutations(range(4)):
        subset = 0
        for player in order:
            expected[player] += values[subset | 1 << player] - values[subset]
            subset |= 1 << player
    assert shapley_values(values) == pytest.approx(expected / 24)
    assert shapley_values(values).sum() == pytest.approx(values[-1])


def test_players_who_never_add_and_players_who_are_alike():
    # 0 and 1 tell the same, 2 tells nothing.
    values = np.array([0.0 if s & 0b011 == 0 else 1.0 for s in range(8)])
    assert shapley_values(values) == pytest.approx([0.5, 0.5, 0.0])


def test_orders_keep_groups_together_and_come_with_their_reverse():
    orders = orders_of([[0, 1, 2], [3], [4, 5]], 20, np.random.default_rng(0))
    for order, back in zip(orders[::2], orders[1::2], strict=True):
        assert back == order[::-1]
        groups = [0 if p < 3 else 1 if p == 3 else 2 for p in order]
        assert len(list(itertools.groupby(groups))) == 3


def test_sampled_values_come_near_the_exact_ones_within_their_errors():
    weight = np.array([1.0, 2.0, 3.0, 4.0])

    def path(order):
        return np.sqrt(np.cumsum(weight[list(order)]))

    exact = shapley_values(
        np.array([np.sqrt(weight[[bool(s >> k & 1) for k in range(4)]].sum()) for s in range(16)])
    )
    found, error = sampled_values(path, orders_of([[0], [1], [2], [3]], 400, np.random.default_rng(1)))
    assert found.sum() == pytest.approx(exact.sum())
    # A true error is beyond four of its standard errors once in 4,000 runs with four values; the seed is fixed.
    assert (np.abs(found - exact) < 4 * error).all()
    assert (error < 0.05).all()


def test_columns_are_brought_to_what_their_institutions_have():
    values = np.array([[1.0, 2.0], [3.0, 2.0], [0.0, 0.0], [0.0, 0.0]])
    out = adding_up(values, [[0, 1], [2, 3]], np.array([[8.0, 4.0], [1.0, 0.0]]))
    assert out.tolist() == [[2.0, 2.0], [6.0, 2.0], [0.5, 0.0], [0.5, 0.0]]
