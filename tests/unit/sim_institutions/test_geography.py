"""The province of a seed: prefectures, counties and common shocks."""

import numpy as np
import pytest

from sim_institutions.geography import PREFECTURE_OF_COUNTY, PREFECTURES, draw_geography
from sim_institutions.random_streams import MONTHS


def test_there_are_eleven_prefectures_with_a_hundred_counties():
    assert len(PREFECTURES) == 11
    assert len(PREFECTURE_OF_COUNTY) == 100
    assert sorted(set(PREFECTURE_OF_COUNTY)) == list(range(11))


def test_a_seed_gives_one_province():
    one, same, other = draw_geography(1), draw_geography(1), draw_geography(2)
    assert np.array_equal(one.weights, same.weights)
    assert not np.array_equal(one.weights, other.weights)
    assert one.weights.sum() == pytest.approx(1, abs=1e-5)


def test_common_shocks_average_to_zero_over_the_last_six_months():
    province = draw_geography(1)
    for shocks, groups in (
        (province.sector_shocks, 4),
        (province.county_shocks, 100),
        (province.cluster_shocks, 3),
    ):
        assert shocks.shape == (groups, MONTHS)
        assert np.allclose(shocks[:, -6:].mean(axis=1), 0, atol=1e-6)


def test_the_season_of_a_calendar_month_recurs_after_a_year():
    seasons = draw_geography(1).seasons
    assert seasons.shape == (4, MONTHS)
    assert np.array_equal(seasons[:, :6], seasons[:, 12:])
