"""Binning: codes, labels, round trips and private edges."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrisk.data.features import Feature
from fedrisk.errors import ConfigError, DataError
from fedrisk.models.binning import Bins, default_bin_count, edges_from_histogram, grid_histogram, grid_marks


def number(**parts):
    return Feature(**{"institution": "bank", "column": "x", "low": 0.0, "high": 100.0, **parts})


def test_number_codes_by_hand():
    bins = Bins(number(missing=True), edges=(10.0, 20.0))
    got = bins.codes(pd.Series([9.9, 10.0, 19.0, 20.0, 1e9, -1e9, None]))
    assert got.tolist() == [0, 1, 1, 2, 2, 0, 3]
    assert got.dtype == np.uint8
    assert bins.labels() == ["< 10", "10 to < 20", ">= 20", "missing"]


def test_category_codes_by_hand():
    f = Feature(institution="tax", column="c", kind="category", bins=("1", "b"))
    bins = Bins.public(f)
    assert (bins.size, bins.ordered) == (4, 0)
    assert bins.codes(pd.Series([1, 1.0, "1", "b", "z", None], dtype=object)).tolist() == [0, 0, 0, 1, 2, 3]
    assert bins.codes(np.array([1.0, np.nan, 7.0])).tolist() == [0, 3, 2]
    assert bins.labels() == ["1", "b", "other", "missing"]


def test_category_codes_of_categorical_series():
    f = Feature(institution="tax", column="c", kind="category", bins=("a", "b"))
    assert Bins.public(f).codes(pd.Series(["b", "a", None], dtype="category")).tolist() == [1, 0, 3]


def test_flag_codes():
    bins = Bins.public(Feature(institution="tax", column="f", kind="flag"))
    assert bins.codes(pd.Series([True, False, True])).tolist() == [1, 0, 1]
    assert bins.codes(pd.Series([1, 0, None], dtype="Int64")).tolist() == [1, 0, 2]


def test_wide_codes_do_not_overflow():
    bins = Bins(number(missing=False), edges=tuple(float(k) for k in range(1, 300)))
    got = bins.codes(np.array([0.0, 299.0]))
    assert got.tolist() == [0, 299]
    assert got.dtype == np.uint16


def test_missing_without_a_bin_is_an_error_that_hides_values():
    with pytest.raises(DataError, match="1 values are missing"):
        Bins(number(missing=False), edges=(10.0,)).codes(np.array([5.0, np.nan]))
    with pytest.raises(DataError) as caught:
        Bins(number(), edges=(10.0,)).codes(pd.Series(["secret-value"]))
    assert "secret" not in str(caught.value)


def test_private_edges_have_no_public_bins():
    with pytest.raises(ConfigError):
        Bins.public(number())
    with pytest.raises(ConfigError):
        Bins(number(), edges=(2.0, 2.0))


@pytest.mark.parametrize(
    "bins",
    [
        Bins(number(monotone="increasing", grid="log"), edges=(1.5, 2.5)),
        Bins(number(direction="decreasing"), edges=(1.5, 2.5)),
        Bins.public(Feature(institution="t", column="c", kind="category", bins=("é", "b"), missing=False)),
        Bins.public(Feature(institution="t", column="f", kind="flag")),
        Bins.public(number(bins=(1.0, 2.0))),
    ],
)
def test_round_trip(bins):
    assert Bins.from_dict(bins.to_dict()) == bins


def test_a_form_from_before_directions_is_read():
    old = Bins(number(), edges=(1.0,)).to_dict()
    del old["direction"]
    assert Bins.from_dict(old) == Bins(number(), edges=(1.0,))


def test_malformed_form_is_refused():
    with pytest.raises(ConfigError):
        Bins.from_dict({"edges": []})
    good = Bins(number(), edges=(1.0,)).to_dict()
    with pytest.raises(ConfigError):
        Bins.from_dict({**good, "colour": "red"})


def test_histogram_clips_and_ignores_missing():
    f = number(low=0.0, high=4.0)
    assert grid_histogram(np.array([-1.0, 0.5, 1.0, 3.9, 4.0, 9.0, np.nan]), f, 4).tolist() == [2, 1, 0, 3]


@given(st.lists(st.floats(-200, 200) | st.just(float("nan")), max_size=30), st.integers(0, 29))
def test_one_row_moves_one_cell_by_one(values, leave):
    """The sensitivity of the edge histogram, on both grids."""
    x = np.array(values, dtype=float)
    for grid in ("linear", "log"):
        f = number(low=-50.0, high=100.0, grid=grid)
        change = grid_histogram(x, f, 16) - grid_histogram(
            np.delete(x, leave % max(len(x), 1)) if len(x) else x, f, 16
        )
        assert np.abs(change).sum() <= 1


def test_log_grid_is_symmetric_fine_at_zero_and_ends_on_the_bounds():
    marks = grid_marks(number(low=-1000.0, high=1000.0, grid="log"), 64)
    assert marks[0] == -1000.0
    assert marks[-1] == 1000.0
    assert np.allclose(marks, -marks[::-1])
    assert (np.diff(marks) > 0).all()
    assert np.diff(marks).min() < 0.1 < 100 < np.diff(marks).max()


def test_edges_without_noise_are_quantiles():
    f = number()
    x = np.linspace(0, 100, 10_001)
    got = edges_from_histogram(grid_histogram(x, f, 100), f, 0.0, 4)
    assert np.allclose(got, (25, 50, 75), atol=1.01)


def test_heavy_cell_gets_both_borders():
    f = number(low=0.0, high=10.0)
    counts = np.array([10.0, 10, 10, 10, 920, 8, 8, 8, 8, 8])
    assert edges_from_histogram(counts, f, 0.0, 8) == (4.0, 5.0)


def test_noisy_edges_stay_near_quantiles():
    f = number()
    counts = np.full(100, 200.0) + np.random.default_rng(0).normal(0, 60, 100)
    got = edges_from_histogram(counts, f, 3600.0, 4)
    # cumulated noise sd at most 60 * 10 / 2 = 300 of 20,000: 1.5 points; 8 points are over 5 sd
    assert np.abs(np.array(got) - [25, 50, 75]).max() < 8


def test_pure_noise_falls_back_to_an_even_grid():
    f = number()
    assert edges_from_histogram(np.full(100, -5.0), f, 100.0, 4) == (25.0, 50.0, 75.0)
    assert edges_from_histogram(np.full(100, 5.0), f, 100.0, 1) == ()


@given(st.lists(st.floats(-50, 500), min_size=4, max_size=40), st.integers(1, 30), st.floats(0, 100))
def test_edges_are_always_usable(counts, bins, variance):
    f = number(grid="log")
    edges = edges_from_histogram(np.array(counts), f, variance, bins)
    assert len(edges) <= bins - 1 or not edges
    assert Bins(f, edges).size == len(edges) + 2


def test_default_bin_count_steps():
    assert default_bin_count(100_000, 1.0, 25) == 24
    assert default_bin_count(10_000, 1.0, 25) == 16
    assert default_bin_count(2_000, 1.0, 25) == 8
