"""Draws of the laboratory: exact numbers, streams that do not disturb one another, skew that can be computed by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrisk.lab.draws import counts, dealt, dealt_unlike, kept, second, stream


@pytest.mark.parametrize(
    ("n", "weights", "whole"),
    [
        (10, [1, 1], [5, 5]),
        (10, [1, 1, 1], [4, 3, 3]),
        (7, [5, 1, 1], [5, 1, 1]),
        (10, [0.55, 0.45], [6, 4]),
        (0, [1, 2], [0, 0]),
    ],
)
def test_counts_by_hand(n, weights, whole):
    assert counts(n, weights).tolist() == whole


@given(st.integers(0, 500), st.lists(st.floats(0.01, 100), min_size=1, max_size=8))
def test_counts_add_up_and_are_within_one_of_the_share(n, weights):
    found = counts(n, weights)
    assert found.sum() == n
    assert np.all(np.abs(found - n * np.array(weights) / sum(weights)) <= 1 + 1e-9)


@given(st.integers(1, 300), st.data())
def test_exactly_so_many_are_kept(n, data):
    keep = data.draw(st.integers(0, n))
    assert kept(n, keep, stream(data.draw(st.integers(0, 9)), "any")).sum() == keep


def test_a_stream_is_of_its_seed_and_purpose():
    first = stream(1, "a").random(4)
    assert np.array_equal(first, stream(1, "a").random(4))
    assert not np.array_equal(first, stream(2, "a").random(4))
    assert not np.array_equal(first, stream(1, "b").random(4))


def test_rows_are_dealt_in_the_numbers_of_the_weights():
    assert np.bincount(dealt(10, [3, 1, 1], stream(1, "x"))).tolist() == [6, 2, 2]


def test_banks_are_alike_with_a_large_alpha_and_unlike_with_a_small_one():
    groups = np.repeat([0, 1], 500)
    alike = dealt_unlike(groups, [1, 1], 1e9, stream(1, "x"))
    assert [int((alike[groups == g] == 0).sum()) for g in (0, 1)] == [250, 250]
    unlike = dealt_unlike(groups, [1, 1], 1e-6, stream(1, "x"))
    assert all(int((unlike[groups == g] == 0).sum()) in (0, 500) for g in (0, 1))


def test_the_mean_of_dirichlet_shares_is_that_of_the_weights():
    """Variance of a share of 3/4 with parameters 1.5 and .5 is .0625; of the mean of 400 groups the error is .0125."""
    groups = np.repeat(np.arange(400), 40)
    share = (dealt_unlike(groups, [3, 1], 1.0, stream(3, "x")) == 0).mean()
    assert share == pytest.approx(0.75, abs=5 * 0.0125)


@given(st.integers(2, 6), st.floats(0, 1), st.integers(0, 5))
def test_a_second_owner_is_another_for_exactly_the_share(owners, share, seed):
    owner = np.arange(60) % owners
    other = second(owner, owners, share, stream(seed, "x"))
    assert (other >= 0).sum() == round(share * 60)
    assert np.all(other != owner) and other.max(initial=-1) < owners
