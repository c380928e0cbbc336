"""Rounding: outward always, to few digits, and edges that hold enough rows."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fedrisk.data.draft.rounding import code_edges, outward, quantile, steps, up

finite = st.floats(-1e15, 1e15, allow_nan=False).filter(lambda x: x == 0 or abs(x) > 1e-12)


@given(st.floats(1e-12, 1e15))
def test_up_is_the_next_of_one_two_five(x):
    found = up(x)
    assert found >= x
    assert float(f"{found:.0e}"[0]) in (1, 2, 5)
    assert found / 2.5 <= x * (1 + 1e-9)


@given(finite, finite)
def test_bounds_lie_outside_and_in_order(a, b):
    low, high = min(a, b), max(a, b)
    for bounds in (outward(low, high), steps(low, high)):
        slack = 1e-9 * max(abs(low), abs(high))
        assert bounds[0] <= low + slack and bounds[1] >= high - slack
        assert bounds[0] < bounds[1]


@given(st.lists(st.integers(1, 400), min_size=2, max_size=12), st.integers(1, 60))
def test_every_bin_of_codes_has_enough_rows(counts, least):
    values = list(range(len(counts)))
    edges = code_edges(values, counts, least)
    cells = np.searchsorted(edges, values, side="right")
    rows = np.bincount(cells, weights=counts, minlength=len(edges) + 1)
    assert not edges or min(rows) >= least
    assert list(edges) == sorted(edges)


def test_quantiles_count_rows():
    values, counts = np.array([1.0, 2.0, 3.0]), np.array([98, 1, 1])
    assert [quantile(values, counts, s) for s in (0.5, 0.98, 0.99, 1.0)] == [1.0, 1.0, 2.0, 3.0]
    assert not math.isnan(quantile(values, counts, 0.0))
