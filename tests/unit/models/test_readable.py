"""What a sum of points tells of one column, counted by hand and by going through all combinations."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrisk.models.readable import READABLE, readable


def by_hand(points):
    """Go through all combinations of different points, each as often as any other."""
    values = [sorted(set(p)) for p in points]
    every = list(itertools.product(*values))
    out = []
    for j, own in enumerate(values):
        if len(own) == 1:
            out.append(0.0)
            continue
        best = {}
        for combination in every:
            counts = best.setdefault(sum(combination), {})
            counts[combination[j]] = counts.get(combination[j], 0) + 1
        right = sum(max(counts.values()) for counts in best.values()) / len(every)
        out.append((right - 1 / len(own)) / (1 - 1 / len(own)))
    return out


columns = st.lists(st.lists(st.integers(-9, 9), min_size=1, max_size=4), min_size=1, max_size=4)


@given(columns)
def test_as_counted_by_going_through_all_combinations(points):
    assert readable(points) == pytest.approx(by_hand(points))


def test_digits_are_read_whole_and_equal_points_hide_each_other():
    assert readable([(0, 1, 2), (0, 3, 6), (0, 9, 18)]) == pytest.approx([1, 1, 1])
    many = [tuple(range(0, 40, 10))] * 12
    assert max(readable(many)) < READABLE / 2


def test_an_ordinary_card_is_not_readable_and_one_with_a_single_wide_column_is():
    rng = np.random.default_rng(1)
    card = [sorted(rng.integers(-30, 30, 6).tolist()) for _ in range(12)]
    assert max(readable(card)) < 0.3
    assert readable([*[(0, 3)] * 4, (0, 22, 44, 66)])[-1] > READABLE
