"""Binning: codes, labels, round trips and private edges."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrisk.data.features import Feature, known_feature
from fedrisk.errors import ConfigError, DataError
from fedrisk.models.binning import (
    Bins,
    default_bin_count,
    drowned,
    edges_from_histogram,
    even_edges,
    grid_histogram,
    grid_marks,
)


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
        Bins(number(strength="weak"), edges=(1.5,)),
    ],
)
def test_round_trip(bins):
    assert Bins.from_dict(bins.to_dict()) == bins


def test_bins_of_an_older_card_have_no_strength():
    stored = Bins(number(), edges=(1.0,)).to_dict()
    del stored["strength"]
    assert Bins.from_dict(stored) == Bins(number(), edges=(1.0,))


def test_even_edges_are_even_on_the_declared_grid():
    """By hand: linear from 0 to 4; on the log grid the middle of symmetric bounds is zero."""
    assert even_edges(number(low=0.0, high=4.0), 4) == (1.0, 2.0, 3.0)
    log = even_edges(number(low=-100.0, high=100.0, grid="log"), 4)
    assert log[1] == pytest.approx(0.0) and log[0] == pytest.approx(-log[2])
    assert 0.9 < log[2] < 1.0  # a hundredth of the bound, halfway between it and a 10,000th


def test_a_histogram_drowns_where_it_is_no_more_than_its_noise():
    """By hand: 100 cells of deviation 5 have a sum of deviation 50."""
    assert drowned(np.full(100, 0.5), 25.0) and not drowned(np.full(100, 0.51), 25.0)
    f = number(low=0.0, high=8.0)
    assert edges_from_histogram(np.r_[7.0, np.zeros(7)], f, 8.0, 4) == even_edges(f, 4)


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


TRADES = (("-9", "no record"), ("-8", "no usable trade"))


def test_special_codes_have_bins_behind_the_values_and_before_missing():
    bins = Bins(number(special=TRADES), edges=(10.0, 20.0))
    assert bins.labels() == ["< 10", "10 to < 20", ">= 20", "no record", "no usable trade", "missing"]
    assert bins.codes(np.array([-9.0, -8.0, -8.5, -10.0, 15.0, np.nan])).tolist() == [3, 4, 0, 0, 1, 5]
    assert (bins.ordered, bins.levels, bins.missing_place, bins.apart, bins.size) == (3, 3, 5, 3, 6)
    assert bins.reasons() == ["x", "x", "x", "x (no record)", "x (no usable trade)", "x"]
    strict = Bins(number(special=TRADES, missing=False), edges=(10.0,))
    assert (strict.size, strict.apart, strict.labels()[-1]) == (4, 2, "no usable trade")
    with pytest.raises(DataError, match="1 values are missing"):
        strict.codes(np.array([-9.0, np.nan]))


def test_a_code_at_a_bound_or_beside_public_edges_is_no_value():
    at_bound = Bins.public(number(special=(("0", "closed"),), bins=(10.0,)))
    assert at_bound.codes(np.array([0.0, -0.0, 5e-324, 10.0])).tolist() == [2, 2, 0, 1]
    flag = Bins.public(Feature(institution="tax", column="f", kind="flag", special=(("9", "not stated"),)))
    assert (flag.ordered, flag.labels()) == (2, ["no", "yes", "not stated", "missing"])
    assert flag.codes(np.array([0.0, 1.0, 9.0, np.nan])).tolist() == [0, 1, 2, 3]


def test_special_codes_count_in_no_cell_of_the_edge_histogram():
    f = number(low=0.0, high=4.0, special=(*TRADES, ("4", "full"), ("99", "never")))
    x = np.array([-9.0, -8.0, 99.0, 4.0, np.nan, 0.5, 3.9, -3.0, 7.0])
    assert grid_histogram(x, f, 4).tolist() == [2, 0, 0, 2]


def test_bins_with_special_codes_go_round_and_older_ones_still_load():
    coded = Bins(number(special=TRADES), edges=(1.5,))
    assert Bins.from_dict(json.loads(json.dumps(coded.to_dict()))) == coded
    older = Bins(number(), edges=(1.5,)).to_dict()
    del older["special"]
    assert Bins.from_dict(older) == Bins(number(), edges=(1.5,))
    with pytest.raises(ConfigError, match="malformed"):
        Bins.from_dict({**coded.to_dict(), "special": [["-9"]]})


# --- enterprises that a holder does not know -----------------------------------------------------------------


def test_unknown_ones_have_the_last_bin_behind_gaps():
    special = (("-9", "no record"),)
    feature = Feature(institution="tax", column="x", low=0, high=9, special=special)
    bins = Bins(feature, (3.0, 6.0), unknown=True)
    assert (bins.ordered, bins.levels, bins.missing_place, bins.known, bins.size, bins.apart) == (
        3,
        3,
        4,
        5,
        6,
        2,
    )
    assert bins.codes(np.array([1.0, 4.0, 7.0, -9.0, np.nan])).tolist() == [0, 1, 2, 3, 4]
    assert bins.labels() == ["< 3", "3 to < 6", ">= 6", "no record", "missing", "unknown"]
    assert len(bins.reasons()) == bins.size
    without = replace(bins, unknown=False)
    assert (without.known, without.size, without.labels()) == (5, 5, bins.labels()[:-1])


def test_a_gap_is_no_unknown_enterprise():
    """Without a bin for missing values a gap is an error at a holder as at a bank."""
    feature = Feature(institution="tax", column="x", low=0, high=9, missing=False)
    bins = Bins(feature, (3.0,), unknown=True)
    assert (bins.known, bins.size) == (2, 3)
    with pytest.raises(DataError, match="1 values are missing"):
        bins.codes(np.array([1.0, np.nan]))


def test_whether_an_enterprise_is_known():
    bins = Bins.public(known_feature("tax"))
    assert (bins.size, bins.ordered, bins.known, bins.apart) == (2, 0, 1, 0)
    assert bins.labels() == ["known", "unknown"]
    assert bins.codes(np.array([5.0, np.nan, 7.0])).tolist() == [0, 0, 0]
    assert Bins.from_dict(json.loads(json.dumps(bins.to_dict()))) == bins


def test_a_form_from_before_unknown_bins_is_read():
    bins = Bins(Feature(institution="tax", column="x", low=0, high=9), (3.0,), unknown=True)
    stored = json.loads(json.dumps(bins.to_dict()))
    assert Bins.from_dict(stored) == bins
    del stored["unknown"]
    assert Bins.from_dict(stored) == replace(bins, unknown=False)
