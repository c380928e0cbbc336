"""Fixed point: the integer norm never exceeds the bound, whatever the floats do."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fedrisk.errors import ConfigError, DataError
from fedrisk.secure import fixed_point as fp
from fedrisk.secure.ring import from_signed


def exact_square(row):
    return sum(int(v) ** 2 for v in row)


def test_by_hand():
    rows = np.array([[0.5, -0.25], [3.0, 4.0], [0.0, 0.0], [-0.99, 0.0], [1e-9, -1e-9]])
    assert fp.quantise_rows(rows, 1.0, 4).tolist() == [[8, -4], [9, 12], [0, 0], [-15, 0], [0, 0]]
    assert fp.quantise_rows(np.array([[0.3, 0.3]], np.float32), 10.0, 2).tolist() == [[1, 1]]
    assert fp.quantise_rows(np.array([[-7.0]]), 2.5, 1).tolist() == [[-5]]


def test_the_bound_is_the_floor():
    assert fp.bound(1.0) == 2**24
    assert fp.bound(0.3, 24) == math.floor(Fraction(0.3) * 2**24)
    assert fp.bound(2.0**28) == 2**52


finite = st.floats(allow_nan=False, allow_infinity=False)
sizes = st.tuples(st.integers(1, 4), st.integers(1, 7))


@settings(max_examples=120, deadline=None)
@given(
    arrays(
        np.float64, sizes, elements=st.one_of(finite, st.floats(-2, 2), st.sampled_from([1.0, -1.0, 0.0]))
    ),
    st.one_of(st.floats(0.01, 100.0), st.sampled_from([1.0, 0.5, 1 / 3, 2.0**28])),
    st.sampled_from([24, 7, 20]),
)
def test_norm_direction_and_truncation(rows, radius, bits):
    limit = fp.bound(radius, bits)
    out = fp.quantise_rows(rows, radius, bits)
    for row, q in zip(rows.tolist(), out.tolist(), strict=True):
        assert exact_square(q) <= limit**2
        exact = [Fraction(v) for v in row]
        square = sum(v * v for v in exact)
        if square <= Fraction(radius) ** 2 * Fraction(999_999, 1_000_000):
            assert q == [math.trunc(v * 2**bits) for v in exact]
        elif square > Fraction(radius) ** 2:
            # along the clipped vector, short of it by less than a unit, a few rounding errors, and what
            # _shorten may take
            norm = Fraction(math.isqrt(math.floor(square * 2**200)), 2**100)
            for v, w in zip(exact, q, strict=True):
                goal = v * Fraction(radius) * 2**bits / norm
                slack = 2 + abs(goal) * Fraction(1, 10**5)
                assert abs(w) <= abs(goal) + abs(goal) * Fraction(1, 10**14) and abs(goal) - abs(w) <= slack
                assert w == 0 or (w > 0) == (v > 0)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 40), st.sampled_from([0.7, 1.0, 3.3]))
def test_clipped_rows_of_one_axis_and_of_many(seed, d, radius):
    """Rows exactly at the bound, where float sums leave doubt."""
    rng = np.random.default_rng(seed)
    rows = np.vstack([np.eye(d) * radius, np.eye(d) * 50, rng.normal(size=(30, d)) * 10.0])
    out = fp.quantise_rows(rows, radius)
    limit = fp.bound(radius)
    norms = np.array([math.isqrt(exact_square(row)) for row in out])
    assert norms.max() <= limit
    clipped = np.linalg.norm(rows, axis=1) >= radius
    assert norms[clipped].min() >= limit - math.isqrt(d) - 2 - limit // 10**5


def test_a_row_left_too_long_is_shortened(monkeypatch):
    """A clipping that is wrong by a part in a thousand changes nothing in the guarantee."""
    clip = fp._clip

    def wrong(block, radius, bits):
        clip(block, radius, bits)
        block *= 1.001

    monkeypatch.setattr(fp, "_clip", wrong)
    rows = np.random.default_rng(0).normal(size=(20, 5)) * 9.0
    assert all(exact_square(row) <= fp.bound(1.0) ** 2 for row in fp.quantise_rows(rows, 1.0))


def test_extreme_sizes_are_clipped_all_the_same():
    big = np.finfo(np.float64).max
    rows = np.array([[big, big, -big], [big, 1.0, 0.0], [5e-324, 0.0, 0.0], [1e200, 1e-200, -1e200]])
    out = fp.quantise_rows(rows, 1.0)
    third, half = 2**24 / math.sqrt(3), 2**24 / math.sqrt(2)
    expected = [[third, third, -third], [2**24, 0, 0], [0, 0, 0], [half, 0, -half]]
    assert np.abs(out - np.array(expected)).max() < 2**24 * 1e-5
    assert all(exact_square(row) <= 2**48 for row in out)
    single = np.full((1, 3), np.finfo(np.float32).max, np.float32)
    assert exact_square(fp.quantise_rows(single, 1.0)[0]) <= 2**48


def test_blocks_do_not_change_the_result(monkeypatch):
    rows = np.random.default_rng(1).normal(size=(37, 11))
    whole = fp.quantise_rows(rows, 2.0)
    for size in (1, 12, 100):
        monkeypatch.setattr(fp, "_BLOCK", size)
        assert np.array_equal(fp.quantise_rows(rows, 2.0), whole)


def test_input_is_left_alone_and_may_be_empty_or_a_view():
    rows = np.random.default_rng(2).normal(size=(6, 4)) * 7
    before = rows.copy()
    assert np.array_equal(fp.quantise_rows(rows[:, ::2], 1.0), fp.quantise_rows(rows[:, ::2].copy(), 1.0))
    assert np.array_equal(rows, before)
    assert fp.quantise_rows(np.empty((0, 4)), 1.0).shape == (0, 4)
    assert fp.quantise_rows(np.empty((3, 0)), 1.0).shape == (3, 0)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_rows_with_nan_or_infinity_count_as_zeros(bad, kind):
    """A refusal would tell whoever asked of one row, without noise."""
    rows = np.array([[0.5, 0.25], [0.5, bad], [3.0, 4.0]], kind)
    assert fp.quantise_rows(rows, 1.0, 4).tolist() == [[8, 4], [0, 0], [9, 12]]


def test_other_refusals():
    for radius, bits in [(0.0, 24), (math.nan, 24), (math.inf, 24), (2.0**29, 24), (2.0**-25, 24), (1.0, -1)]:
        with pytest.raises(ConfigError):
            fp.quantise_rows(np.zeros((1, 1)), radius, bits)
    for rows in (np.zeros(3), np.zeros((2, 2), np.int64), np.zeros((2, 2), complex)):
        with pytest.raises(DataError, match="matrix of floats"):
            fp.quantise_rows(rows, 1.0)
    with pytest.raises(DataError, match="int64"):
        fp.dequantise(np.zeros(2))


@given(st.lists(st.integers(-(2**52), 2**52), min_size=1, max_size=5), st.integers(0, 52))
def test_dequantise_is_exact_below_two_to_the_53(numbers, bits):
    for total in (np.array(numbers, np.int64), from_signed(np.array(numbers), "uint64")):
        assert [Fraction(v) for v in fp.dequantise(total, bits).tolist()] == [
            Fraction(v, 2**bits) for v in numbers
        ]


def test_ring_bound():
    """2**63 holds 2**39 rows of 2**24, less the noise: 17 contributors of 40 x 2**40 are below 2**50."""
    fp.check_ring(2**38, 1.0, 2.0**40, 17)
    with pytest.raises(DataError, match="fewer rows"):
        fp.check_ring(2**39, 1.0, 0.0, 17)
    with pytest.raises(DataError, match="2\\*\\*63"):
        fp.check_ring(1, 1.0, 2.0**54, 17)
    for sigma, contributors in [(math.inf, 2), (math.nan, 2), (-1.0, 2), (1.0, 0)]:
        with pytest.raises(DataError, match="contributors"):
            fp.check_ring(1, 1.0, sigma, contributors)
