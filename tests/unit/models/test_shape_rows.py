"""Shape rows: the integer norm never exceeds the radius, and the sensitivity holds for every row."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.errors import ConfigError, DataError
from fedrisk.models.shape_rows import gram_sensitivity, radius_units, shape_rows


def test_rows_by_hand():
    codes = [np.array([0, 1]), np.array([1, 0])]
    bases = (np.array([[0.5], [3.0]]), np.array([[4.0], [-0.25]]))
    # (0.5, -0.25) is inside the radius; (3, 4) has norm 5 and is clipped to norm 2
    got = shape_rows(codes, bases, 2.0, 3)
    assert got.tolist() == [[4, -2], [9, 12]]
    assert got.dtype == np.int64


def test_truncation_is_toward_zero():
    got = shape_rows([np.array([0, 1])], (np.array([[0.99], [-0.99]]),), 5.0, 0)
    assert got.tolist() == [[0], [0]]


@settings(max_examples=150)
@given(st.integers(0, 2**32 - 1), st.integers(0, 24), st.floats(0.6, 60))
def test_integer_norm_is_bounded_exactly(seed, bits, radius):
    rng = np.random.default_rng(seed)
    if math.floor(radius * 2.0**bits) < 1:
        return
    bases = tuple(rng.normal(0, 10.0 ** rng.integers(-3, 4), (5, k)) for k in (1, 3, 4))
    got = shape_rows([rng.integers(0, 5, 40) for _ in bases], bases, radius, bits)
    limit = radius_units(radius, bits)
    assert all(sum(int(v) ** 2 for v in row) <= limit**2 for row in got.tolist())  # Python integers


def test_a_row_exactly_on_the_radius_stays():
    base = np.array([[3.0, 4.0]])
    assert shape_rows([np.array([0])], (base,), 5.0, 10).tolist() == [[3072, 4096]]


def test_the_radius_in_units_is_rounded_down_and_binds():
    # radius 1.9 with no fraction bits is 1 unit, though the float row would truncate to (1, 1)
    got = shape_rows([np.array([0])], (np.array([[1.3, 1.3]]),), 1.9, 0)
    assert int((got**2).sum()) <= 1


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_zeroing_one_row_moves_the_released_entries_by_at_most_the_sensitivity(seed):
    """Random rows of three institutions, with the row scaled to its radius to press against the bound."""
    rng = np.random.default_rng(seed)
    radii, bits = rng.uniform(0.5, 8, 3), int(rng.integers(4, 16))
    parts, feature, k = [], [], 0
    for r in radii:
        count = int(rng.integers(1, 4))
        bases = tuple(
            rng.normal(0, 50, (3, int(rng.integers(1, 5)))) for _ in range(count)
        )  # clipping is active
        parts.append(shape_rows([rng.integers(0, 3, 6) for _ in bases], bases, float(r), bits))
        for b in bases:
            feature += [k] * b.shape[1]
            k += 1
    x, of = np.concatenate(parts, axis=1), np.array(feature)
    i, j = np.triu_indices(len(of), 1)
    keep = of[i] != of[j]
    bound = gram_sensitivity([radius_units(float(r), bits) for r in radii])
    for row in range(len(x)):
        less = x.copy()
        less[row] = 0
        change = ((x.T @ x) - (less.T @ less))[i, j][keep]
        assert sum(int(v) ** 2 for v in change) <= bound**2


def test_the_bound_is_nearly_reached():
    """Many features of equal norm: the bound is tight up to sqrt(1 - 1 / features), so it is not idle."""
    features = 64
    row = np.full(features, 100)
    i, j = np.triu_indices(features, 1)
    moved = math.sqrt(float(((row[i] * row[j]) ** 2).sum()))
    bound = gram_sensitivity([800])
    assert 0.99 * bound < moved <= bound


def test_splitting_a_row_over_institutions_does_not_help_the_adversary():
    """Directed search: norms of features maximised by random restarts stay under the bound."""
    rng = np.random.default_rng(0)
    radii = np.array([3.0, 5.0, 1.0])
    worst = 0.0
    for _ in range(3000):
        share = [rng.dirichlet(np.full(4, 0.5)) * r**2 for r in radii]
        a = np.concatenate(share)
        worst = max(worst, math.sqrt((a.sum() ** 2 - (a**2).sum()) / 2))
    assert worst <= gram_sensitivity([3, 5, 1])
    assert worst > 0.8 * gram_sensitivity([3, 5, 1])


@pytest.mark.parametrize(
    ("radius", "bits"), [(0.0, 8), (math.nan, 8), (math.inf, 8), (1.0, 41), (1.0, 31), (0.4, 0)]
)
def test_bad_radii_are_refused(radius, bits):
    with pytest.raises(ConfigError):
        radius_units(radius, bits)


def test_bad_calls_are_refused():
    with pytest.raises(DataError):
        shape_rows([np.array([0, 2])], (np.ones((2, 1)),), 1.0, 8)
    with pytest.raises(ConfigError):
        shape_rows([], (), 1.0, 8)
    for radii in ([], [0], [1.5]):
        with pytest.raises(ConfigError):
            gram_sensitivity(radii)


def test_blocks_of_rows_agree_with_one_block():
    rng = np.random.default_rng(2)
    base = rng.normal(0, 2, (7, 3))
    code = rng.integers(0, 7, 70_000)
    got = shape_rows([code], (base,), 1.5, 12)
    table = shape_rows([np.arange(7)], (base,), 1.5, 12)
    assert np.array_equal(got, table[code])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_basis_that_is_no_number_is_refused(value):
    """Its row would be the least integer, which no clipping sees: its square is 0 in 64 bits."""
    with pytest.raises(ConfigError, match="not finite"):
        shape_rows([np.array([0, 1])], (np.array([[1.0], [value]]),), 2.0, 3)
