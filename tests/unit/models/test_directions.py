"""Directions: what is kept of a turn, how points run, and what is proposed for a further study."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrisk.data.features import Feature
from fedrisk.models.binning import Bins
from fedrisk.models.directions import (
    course_finding,
    course_of,
    follow_direction,
    follow_directions,
    proposed_direction,
)


def number(bins=4, **stated):
    feature = Feature(institution="bank", column="x", low=0, high=bins, **stated)
    return Bins(feature, tuple(float(k) for k in range(1, bins)))


UP = number(direction="increasing")
"""Four ordered bins and one for missing values."""

# --- what is kept of a turn ---------------------------------------------------------------------------------


def test_a_turn_is_kept_as_far_as_it_exceeds_its_errors_by_hand():
    """Bins 2 and 3 fall by .4 against errors of .1: pooled at .2, chi2 = (.2 / .1)^2 * 2 = 8, so 7/8 is kept."""
    f, e = np.array([-0.3, 0.4, 0.0, 0.5, -9.0]), np.full(5, 0.1)
    assert follow_direction(UP, f, e).tolist() == pytest.approx([-0.3, 0.375, 0.025, 0.5, -9.0])
    # With errors of .3 chi2 is 8/9: below what noise alone makes of it, so nothing is left.
    assert follow_direction(UP, f, 3 * e).tolist() == pytest.approx([-0.3, 0.2, 0.2, 0.5, -9.0])


def test_stretches_are_pooled_by_the_precision_of_their_bins():
    """Errors .3 and .6 count four to one: (4 * .4 + 0) / 5."""
    f, e = np.array([-0.3, 0.4, 0.0, 0.5, 0.0]), np.array([1.0, 0.3, 0.6, 1.0, 1.0])
    assert follow_direction(UP, f, e)[1:3].tolist() == pytest.approx([0.32, 0.32])


def test_only_an_expected_direction_changes_contributions():
    f, e = np.array([0.5, 0.0, 0.1, 0.2, 0.3]), np.ones(5)
    for stated in ({}, {"monotone": "increasing"}):  # the constraint is for make_monotone
        assert follow_direction(number(**stated), f, e) is f
    both = follow_directions([UP, number()], [f, f], [e, e])
    assert both[0].tolist() == pytest.approx([0.2, 0.2, 0.2, 0.2, 0.3])
    assert both[1] is f


curves = st.lists(st.floats(-2, 2), min_size=5, max_size=5).map(np.array)
errors_of = st.lists(st.floats(0.01, 2), min_size=5, max_size=5).map(np.array)


@given(curves, errors_of)
def test_what_runs_as_expected_stays_and_the_mirror_image_is_mirrored(f, e):
    rising = np.r_[np.sort(f[:4]), f[4]]
    assert follow_direction(UP, rising, e) == pytest.approx(rising)
    down = number(direction="decreasing")
    assert follow_direction(down, -f, e) == pytest.approx(-follow_direction(UP, f, e))


@given(curves, errors_of)
def test_turns_shrink_and_never_grow(f, e):
    """Falls against the direction get smaller, the precision-weighted mean stays, the missing bin too."""
    got = follow_direction(UP, f, e)
    falls, left = np.maximum(-np.diff(f[:4]), 0).sum(), np.maximum(-np.diff(got[:4]), 0).sum()
    assert left <= falls + 1e-9
    assert np.average(got[:4], weights=e[:4] ** -2) == pytest.approx(np.average(f[:4], weights=e[:4] ** -2))
    assert got[4] == f[4]


# --- how points run -----------------------------------------------------------------------------------------


def test_the_course_of_points_by_hand():
    """Points 9, -3, 6, 2 with errors of 3: risk rises by 12, falls by 9, each over 3 sqrt(2)."""
    course = course_of(number(), (9, -3, 6, 2, 0), (3.0,) * 5)
    assert (course.rise, course.fall) == pytest.approx((12 / 18**0.5, 9 / 18**0.5))
    assert course.turns
    assert course.clearly
    assert course.way is None
    noisy = course_of(number(), (20, -3, 6, 2, 0), (4.0,) * 5)
    assert noisy.turns
    assert not noisy.clearly  # 9 / sqrt(32) is below 2
    assert noisy.way == "increasing"


def test_without_order_or_errors_there_is_no_course():
    flagless = Bins.public(Feature(institution="b", column="c", kind="category", bins=("a", "b")))
    assert course_of(flagless, (1, 2, 3, 4), (1.0,) * 4) is None
    assert course_of(number(), (9, -3, 6, 2, 0), None) is None
    assert course_finding(number(), (9, -3, 6, 2, 0), None) is None
    assert course_of(number(1), (3, 0), (1.0, 1.0)) is None  # one bin, and missing


@pytest.mark.parametrize(
    ("stated", "points", "error", "code"),
    [
        ({}, (9, -3, 6, 2), 3.0, "curve_turns"),
        ({"direction": "increasing"}, (9, -3, 6, 2), 3.0, "curve_turns_against"),
        ({}, (20, -3, 6, 2), 4.0, "curve_noise"),
        ({}, (9, -3, 6, 2), 6.0, "curve_unclear"),
        ({}, (9, 6, 2, -3), 3.0, "curve_one_way"),
        ({"direction": "decreasing"}, (9, 6, 2, -3), 3.0, "curve_other_way"),
        ({"direction": "increasing"}, (9, 6, 2, -3), 3.0, "curve_one_way"),
        ({}, (1, 0, 1, 0), 3.0, "curve_unclear"),
        ({"monotone": "increasing"}, (9, 6, 2, -3), 3.0, "curve_monotone"),
    ],
)
def test_what_a_report_says(stated, points, error, code):
    bins = number(**stated)
    assert course_finding(bins, (*points, 0), (error,) * 5).code == code


@given(st.lists(st.integers(-50, 50), min_size=5, max_size=5), st.floats(0.3, 20))
def test_points_that_run_one_way_never_turn_and_a_mirror_image_runs_the_other_way(points, error):
    errors = (error,) * 5
    falling = (*sorted(points[:4], reverse=True), points[4])
    assert not course_of(number(), falling, errors).turns
    one, other = (course_of(number(), tuple(s * p for p in points), errors) for s in (1, -1))
    assert (one.rise, one.fall) == pytest.approx((other.fall, other.rise))


def test_noise_alone_is_seldom_said_to_turn():
    """Flat curves with independent errors: one in twenty turns, or moves one way, by chance (2,000 of each)."""
    rng = np.random.default_rng(3)
    for k in (4, 8, 24):
        bins, errors = number(k), (1.0,) * (k + 1)
        flat = [course_of(bins, rng.normal(0, 1, k + 1), errors) for _ in range(2000)]
        assert np.mean([c.clearly for c in flat]) < 0.065
        assert np.mean([c.way is not None for c in flat]) < 0.065
        trend = [course_of(bins, rng.normal(0, 1, k + 1) - 2 * np.arange(k + 1), errors) for _ in range(500)]
        assert np.mean([c.clearly for c in trend]) < 0.01


# --- proposals ----------------------------------------------------------------------------------------------


def test_a_direction_is_proposed_where_points_run_one_way_within_their_errors():
    run = (9, 6, 7, -3, 0)
    assert proposed_direction(number(), run, (1.0,) * 5) == "increasing"
    assert proposed_direction(number(), tuple(-p for p in run), (1.0,) * 5) == "decreasing"
    assert proposed_direction(number(), (9, -3, 6, 2, 0), (1.0,) * 5) is None  # turns
    assert proposed_direction(number(), (1, 0, 1, 0, 0), (1.0,) * 5) is None  # says nothing
    assert proposed_direction(UP, run, (1.0,) * 5) is None  # states one already
    assert proposed_direction(number(), run, None) is None
    flag = Bins.public(Feature(institution="b", column="f", kind="flag"))
    assert proposed_direction(flag, (9, -9, 0), (1.0,) * 3) is None
    assert proposed_direction(replace(UP, feature=replace(UP.feature, direction=None)), run, (1.0,) * 5)
