"""What a holder gives for a sum of points: bands that disguise no column, or a grid of a limited number of values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrisk.models.given_points import (
    LEAST_BAND_SHARE,
    MOST_OF_BAND,
    GivenPoints,
    holder_shares,
    merged_bands,
    sum_shares,
)

EDGES, VALUES = (-20, 0, 20), (-30, -10, 10, 30)


def uniform(sums):
    return dict.fromkeys(sums, 1 / len(sums))


# --- shares of sums -----------------------------------------------------------------------------------------


def test_shares_of_sums_by_hand():
    """Two flags: 3 and 13 for the one, -1 and 4 for the other; the shares of the pairs are products."""
    shares = sum_shares([(3, 13), (4, -1)], [np.array([0.9, 0.1]), np.array([0.25, 0.75])])
    assert shares == pytest.approx({2: 0.675, 7: 0.225, 12: 0.075, 17: 0.025})


def test_sums_that_come_about_in_two_ways_are_counted_together():
    shares = sum_shares([(0, 1), (0, 1)], [np.array([0.5, 0.5])] * 2)
    assert shares == pytest.approx({0: 0.25, 1: 0.5, 2: 0.25})


def test_sums_of_nobody_are_left_out():
    assert sum_shares([(0, 5, 9)], [np.array([0.5, 0.0, 0.5])]) == {0: 0.5, 9: 0.5}
    assert sum_shares([(7,)], [np.array([1.0])]) == {7: 1.0}


def test_unknown_enterprises_have_one_sum():
    """Half of the enterprises are unknown in both columns at once, and get -3 for it and nothing for the columns."""
    flag = np.array([0.25, 0.25, 0.5])
    shares = holder_shares([(-10, 10, 0), (-1, 1, 0), (1, -3)], [flag, flag, np.array([0.5, 0.5])])
    assert shares == pytest.approx({-10: 0.125, -8: 0.125, 10: 0.125, 12: 0.125, -3: 0.5})


def test_no_band_is_of_hardly_anybody_but_unknown_enterprises():
    """Six columns, half of the enterprises unknown: their sum is in a band with at least one tenth of known ones."""
    points, weight = (-14, -7, 7, 14, 0), np.array([0.125] * 4 + [0.5])
    columns, weights = [*[points] * 6, (2, -2)], [*[weight] * 6, np.array([0.5, 0.5])]
    edges = tuple(range(-40, 50, 10))
    shares = holder_shares(columns, weights)
    bands = merged_bands(edges, tuple(range(-45, 55, 10)), shares)
    assert len(bands.values) > 2

    def unknown(edges):
        place = np.searchsorted(edges, list(shares), side="right")
        same = place == np.searchsorted(edges, -2, side="right")
        return 0.5 / np.array(list(shares.values()))[same].sum()

    assert unknown(edges) > MOST_OF_BAND >= unknown(bands.edges)


COLUMN = st.integers(1, 5).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(-200, 200), min_size=n, max_size=n),
        st.lists(st.floats(0.01, 1.0), min_size=n, max_size=n),
    )
)


@given(st.lists(COLUMN, min_size=1, max_size=4))
def test_shares_equal_those_of_all_combinations(columns):
    points = [p for p, _ in columns]
    weights = [np.array(w) / sum(w) for _, w in columns]
    expected = {0: 1.0}
    for p, w in zip(points, weights, strict=True):
        after = {}
        for s, mass in expected.items():
            for value, share in zip(p, w, strict=True):
                after[s + value] = after.get(s + value, 0.0) + mass * share
        expected = after
    assert sum_shares(points, weights) == pytest.approx(expected)


# --- points that stand for sums -----------------------------------------------------------------------------


def test_given_points_by_hand():
    """An edge belongs to the upper band."""
    table = GivenPoints(EDGES, VALUES)
    sums = np.array([-99, -21, -20, -1, 0, 19, 20, 99])
    assert table.of(sums).tolist() == [-30, -30, -10, -10, 10, 10, 30, 30]
    assert GivenPoints((), (7,)).of(sums).tolist() == [7] * 8


def test_a_grid_by_hand():
    table = GivenPoints.grid(-3, 4, step=3)
    assert table.values == (-3, 0, 3)
    assert table.of(np.arange(-3, 5)).tolist() == [-3, -3, 0, 0, 0, 3, 3, 3]


def test_a_grid_of_single_steps_changes_nothing():
    sums = np.arange(-7, 12)
    assert np.array_equal(GivenPoints.grid(-7, 11, step=1).of(sums), sums)
    assert GivenPoints.grid(5, 5, step=1).of(np.array([5])).tolist() == [5]


@given(st.integers(-2000, 2000), st.integers(0, 3000), st.integers(1, 500))
def test_a_grid_is_ordered_and_near(low, width, step):
    table = GivenPoints.grid(low, low + width, step=step)
    sums = np.arange(low, low + width + 1)
    out = table.of(sums)
    assert (np.diff(out) >= 0).all()
    away = np.abs(out - sums)
    assert (away[sums <= table.values[-1]] <= step // 2).all()
    assert (away < step).all()  # above the last value of the grid
    assert len(table.values) == width // step + 1


HOLDER = st.lists(st.lists(st.integers(-200, 200), min_size=1, max_size=6), min_size=1, max_size=5)


@given(st.lists(HOLDER, min_size=1, max_size=20), st.integers(16, 1 << 10), st.integers(0, 2**32 - 1))
def test_the_sum_of_all_holders_has_few_values_for_any_points(holders, values, seed):
    """What the bank opens: however the points are chosen, no more different numbers than the policy says.

    The grids as :func:`given_points` draws them up. A hub that chooses the points cannot write columns into the digits
    of a score beyond that.
    """
    spans = [(sum(map(min, h)), sum(map(max, h))) for h in holders]
    width = sum(high - low for low, high in spans)
    step = max(1, -(-width // (values - 1)))
    rng = np.random.default_rng(seed)
    total, reached = np.zeros(2000, np.int64), []
    for points, span in zip(holders, spans, strict=True):
        table = GivenPoints.grid(*span, step=step)
        sums = sum(rng.choice(p, 2000) for p in points)
        total += table.of(sums)
        reached.append(table.values)
    assert len(np.unique(total)) <= values
    # For certain, not only for the rows that were drawn: all sums lie on one grid from the least to the greatest.
    low, high = sum(v[0] for v in reached), sum(v[-1] for v in reached)
    assert (high - low) // step + 1 <= values
    assert ((total - low) % step == 0).all()


# --- bands --------------------------------------------------------------------------------------------------


def test_bands_that_hold_enough_stay_as_they_were_drawn():
    table = merged_bands(EDGES, VALUES, uniform(range(-40, 40)))
    assert table == GivenPoints(EDGES, VALUES)


def test_one_flag_makes_one_band():
    """Bands of one yes-or-no column would be that column."""
    table = merged_bands(EDGES, VALUES, {-25: 0.5, 25: 0.5})
    assert table == GivenPoints((), (0,))


def test_a_band_of_nearly_one_sum_is_merged():
    """Of sums below 0, more than nine in ten are one and the same."""
    shares = {-10: 0.47, -5: 0.03, 10: 0.25, 15: 0.25}
    assert merged_bands((0,), (-7, 12), shares) == GivenPoints((), (2,))
    shares = {-10: 0.44, -5: 0.06, 10: 0.25, 15: 0.25}
    assert merged_bands((0,), (-7, 12), shares) == GivenPoints((0,), (-7, 12))


@pytest.mark.parametrize(("share", "edges"), [(0.049, (0,)), (0.051, (-20, 0))])
def test_a_thin_band_is_merged_with_the_next(share, edges):
    rest = 1 - share
    shares = {-30: share / 2, -25: share / 2, **dict.fromkeys((-10, -5, 5, 10), rest / 4)}
    table = merged_bands((-20, 0), (-25, -8, 8), shares)
    assert table.edges == edges
    assert table.values == (
        (-16, 8) if edges == (0,) else (-25, -8, 8)
    )  # a merged band has the mean, here -16.5


def test_what_would_be_left_above_the_last_edge_must_be_enough_too():
    shares = {**dict.fromkeys((-30, -25, -10, -5, 5, 10), 0.16), 30: 0.02, 35: 0.02}
    assert merged_bands(EDGES, (-28, -8, 8, 32), shares) == GivenPoints((-20, 0), (-28, -8, 20))


def test_shares_need_not_add_up_to_one():
    shares = uniform(range(-40, 40))
    assert merged_bands(EDGES, VALUES, {s: 7 * v for s, v in shares.items()}) == merged_bands(
        EDGES, VALUES, shares
    )


SHARES = st.dictionaries(st.integers(-60, 60), st.floats(1e-4, 1.0), min_size=1, max_size=60)


@given(SHARES, st.lists(st.integers(-60, 60), unique=True, max_size=9), st.data())
def test_every_band_holds_enough_and_no_single_sum(shares, edges, data):
    edges = sorted(edges)
    values = sorted(
        data.draw(st.lists(st.integers(-60, 60), min_size=len(edges) + 1, max_size=len(edges) + 1))
    )
    table = merged_bands(edges, values, shares)
    assert set(table.edges) <= set(edges)
    assert len(table.values) == len(table.edges) + 1
    assert list(table.values) == sorted(table.values)
    if not table.edges:
        return
    sums = np.array(sorted(shares))
    mass = np.array([shares[s] for s in sums]) / sum(shares.values())
    places = np.searchsorted(table.edges, sums, side="right")
    for place in range(len(table.values)):
        band = mass[places == place]
        assert band.sum() >= LEAST_BAND_SHARE * (1 - 1e-9)
        assert band.max() <= MOST_OF_BAND * band.sum() * (1 + 1e-9)
        assert len(band) > 1
