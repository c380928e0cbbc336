"""Forced signs and shapes: the nearest weights, by hand and against a search."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.data.features import Feature
from fedrisk.models.binning import Bins
from fedrisk.models.bounded_weights import Bound, bound_rows, least_distance

AGE = Bins.public(Feature(institution="bank", column="age", bins=(1.0, 2.0), missing=True))


def test_rows_by_hand():
    weight = np.array([0.25, 0.5, 0.25, 0.0])
    assert bound_rows(Bound(0, 1, True), AGE, weight).tolist() == [[-1, 1, 0, 0], [0, -1, 1, 0]]
    # Falling: the slope of the line through the bins, centred on their mean place, which is the second.
    assert bound_rows(Bound(0, -1, False), AGE, weight)[0].tolist() == [0.25, 0, -0.25, 0]


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_the_shortest_of_all_that_keep_to_the_bounds(seed):
    """It keeps to them, and moving towards any other point that does is no shorter (Kuhn & Tucker 1951)."""
    rng = np.random.default_rng(seed)
    matrix, inside = rng.normal(size=(3, 5)), rng.normal(size=5)
    least = matrix @ inside - rng.exponential(size=3)
    y = least_distance(matrix, least)
    assert (matrix @ y >= least - 1e-8).all()
    assert float(y @ (inside - y)) >= -1e-7 * (1 + float(inside @ inside))


def test_nothing_is_moved_where_the_bounds_hold():
    assert least_distance(np.eye(2), np.array([-1.0, -2.0])).tolist() == pytest.approx([0.0, 0.0])
