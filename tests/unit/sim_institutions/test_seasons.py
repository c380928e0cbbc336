"""Published seasonal indices of the simulated province: valid for the product, near the seasons that are simulated."""

import numpy as np
import pytest

from fedrisk.models.series import Series
from sim_institutions.geography import SEASONS, SECTORS
from sim_institutions.institutions import offices
from sim_institutions.monthly import monthly
from sim_institutions.months import Moving
from sim_institutions.profiles import PROFILES
from sim_institutions.seasons import BY_SERIES, LOAD, OTHER, SALES, indices


def test_an_index_is_a_months_share_of_its_year():
    half = [1.0] * 6 + [3.0] * 6
    found = indices(np.array([half, [2.0] * 12, [np.nan] * 12]), ["farming", SECTORS[0], "farming"])
    assert found["farming"] == [0.5] * 6 + [1.5] * 6
    assert found[SECTORS[0]] == [1.0] * 12
    assert found[OTHER] == [0.75] * 6 + [1.25] * 6


@pytest.mark.parametrize(("published", "strength"), [(SALES, 0.85), (LOAD, 0.425)])
def test_published_indices_are_near_the_seasons(published, strength):
    """Up to what enterprises do at the ends of quarters, which is a tenth of sales."""
    assert published.keys() == {*SECTORS, OTHER}
    season = Series(name="x", low=0, high=1, season=published).season
    for sector, effect in zip(SECTORS, SEASONS.astype(float), strict=True):
        true = np.exp(strength * effect)
        assert np.abs(np.log(season[sector]) - np.log(true / true.mean())).max() < 0.1


def test_files_of_a_province_that_moves_on_state_them():
    months = Moving("province", 1000, 1, 1).history_months
    stated = {
        one["name"]: "season" in one
        for office in offices(PROFILES["province"])
        if office.bank is None
        for one in monthly(office, months).series
    }
    assert {name for name, seasonal in stated.items() if seasonal} == BY_SERIES.keys()
    assert not stated["headcount"]
