"""A planted shift moves one column as far as it says."""

import numpy as np
import pytest

from sim_institutions.institutions import offices
from sim_institutions.observations import Category, Observations
from sim_institutions.profiles import PROFILES
from sim_institutions.shifts import Shift, asked, shifted

OFFICES = {office.name: office for office in offices(PROFILES["demo"])}
N = 4000


def moved(owner, column, size, values, number=3, **histories):
    found = Observations(np.arange(N), {column: values}, histories)
    office = OFFICES["city_bank" if owner == "bank" else owner]
    return shifted([Shift(owner, column, 3, size)], office, found, number, (1, 0))


def test_a_number_moves_by_its_spread_within_its_bounds():
    use = np.linspace(0, 1, N, dtype=np.float32)
    out = moved("bank", "limit_use", 0.5, use).columns["limit_use"]
    # Half the distance from the 16th to the 84th percentile is .34.
    np.testing.assert_allclose(out, np.minimum(use + 0.17, 1), atol=1e-3)
    assert np.array_equal(moved("bank", "limit_use", 0.5, use, number=2).columns["limit_use"], use)


def test_a_flag_gains_a_share_of_the_rows():
    out = moved("bank", "secured", 0.2, np.zeros(N, dtype=np.float32)).columns["secured"]
    # Standard error .0063.
    assert out.mean() == pytest.approx(0.2, abs=0.03)


def test_a_category_gains_a_share_of_the_rows():
    values = Category(np.repeat([0, 1, 2, -1], N // 4), ("a", "b", "c", "d"))
    code = moved("tax_office", "sector", 0.5, values).codes("sector")
    assert (code[: N // 4] == 0).all()
    assert (code[3 * N // 4 :] == -1).all()
    assert (code[N // 4 : 3 * N // 4] == 0).mean() == pytest.approx(0.5, abs=0.05)


def test_a_series_moves_from_its_month_on():
    path = np.full((N, 18), 1000, dtype=np.float32)
    out = moved("power_utility", "load", 0.5, np.zeros(N), number=4, load=path).histories["load"]
    assert (out[:, :16] == 1000).all()
    assert out[:, 16:] / 1000 == pytest.approx(np.exp(0.5), rel=1e-2)


def test_a_shift_is_written_as_it_is_asked_for():
    text = "bank.limit_use:m07:-0.5"
    (shift,) = asked([text], tuple(OFFICES.values()))
    assert shift == Shift("bank", "limit_use", 7, -0.5)
    assert shift.text == text
