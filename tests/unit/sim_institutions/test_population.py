"""One population over quarters: what stays, what moves, and what a shock does, a quarter before defaults rise."""

import itertools

import numpy as np
import pytest

from sim_institutions.block import Constants, generate_block
from sim_institutions.enterprises import draw_enterprises
from sim_institutions.geography import COUNTIES, SECTORS, draw_geography
from sim_institutions.health import DISTRESS
from sim_institutions.pace import QUARTERLY
from sim_institutions.population import Population
from sim_institutions.profiles import PROFILES
from sim_institutions.random_streams import MONTHS
from sim_institutions.shocks import Shock

CONSTANTS = Constants(asked=-0.84, intercept=-4.41)
DEMO, N, QUARTERS = PROFILES["demo"], 6000, 5
# Every second county, so that cells with and without a shock are alike; enterprises enough for rates.
SHOCKS = tuple(
    Shock(quarter=3, county=county, sectors=SECTORS[:2], depth=0.5, lasting=3) for county in COUNTIES[::2]
)


def population(quarters=QUARTERS, shocks=(), n=N):
    return list(Population(DEMO, 4, 0, n, CONSTANTS, quarters, shocks).windows())


@pytest.fixture(scope="module")
def quiet():
    return population()


@pytest.fixture(scope="module")
def shocked():
    return population(shocks=SHOCKS)


def hit(window):
    return (window.enterprises.county % 2 == 0) & (window.enterprises.sector < 2)


def test_the_first_quarter_is_the_single_simulation(quiet):
    block = generate_block(DEMO, 4, 0, N, CONSTANTS)
    first = quiet[0]
    assert np.array_equal(first.enterprises.ids, block.enterprises.ids)
    assert np.array_equal(first.lending.loan, block.lending.loan)
    for name, path in block.health.paths.items():
        np.testing.assert_array_equal(first.health.paths[name], path)
        np.testing.assert_array_equal(first.effects[name], block.effects[name])
    np.testing.assert_allclose(first.health.risk, block.health.risk, atol=1e-4)


def test_enterprises_stay_some_are_founded_and_some_close(quiet):
    for before, after in itertools.pairwise(quiet):
        old = len(before.enterprises)
        assert np.array_equal(after.enterprises.ids[:old], before.enterprises.ids)
        assert len(after.enterprises) - old == round(QUARTERLY.founded * N)
        # Who has closed does not come back, and has no loan.
        assert not (after.there[:old] & ~before.there).any()
        assert not after.lending.loan[~after.there].any()
        assert 0 < (before.there & ~after.there[:old]).mean() < 0.03
        assert after.enterprises.age[:old].mean() == pytest.approx(
            before.enterprises.age.mean() + 0.25, abs=1e-3
        )
    ids = quiet[-1].enterprises.ids
    assert len(np.unique(ids, axis=0)) == len(ids)


def test_ids_of_what_is_founded_are_of_no_other_block(quiet):
    founded = {i.tobytes() for i in quiet[-1].enterprises.ids[N:]}
    for number in range(1, QUARTERS + 1):
        others = draw_enterprises(DEMO, draw_geography(4), 4, number, 200).ids
        assert not founded & {i.tobytes() for i in others}
    other = list(Population(DEMO, 4, 1, 200, CONSTANTS, 2).windows())[-1].enterprises.ids[200:]
    assert not founded & {i.tobytes() for i in other}


def test_months_that_two_quarters_share_are_the_same(quiet):
    for before, after in itertools.pairwise(quiet):
        n = len(before.enterprises)
        for name, path in before.health.paths.items():
            assert np.array_equal(after.health.paths[name][:n, :-3], path[:, 3:])
        assert np.array_equal(after.effects["sales"][:n, :-3], before.effects["sales"][:, 3:])
        assert after.geography.first == (before.geography.first + 3) % 12


def test_the_first_quarters_are_the_same_whatever_follows(quiet):
    for short, long in zip(population(quarters=2), quiet, strict=False):
        assert np.array_equal(short.health.risk, long.health.risk)
        assert np.array_equal(short.lending.loan, long.lending.loan)
        assert np.array_equal(short.bank_default, long.bank_default)


def test_distress_goes_on_begins_anew_and_ends(quiet):
    shares = [(w.health.course == DISTRESS).mean() for w in quiet]
    assert min(shares) > 0.035
    assert max(shares) < 0.07
    first, last = quiet[0].health.course == DISTRESS, quiet[-1].health.course[:N] == DISTRESS
    # Within a year all earlier distress is over.
    assert (first & last).sum() < 0.2 * first.sum()


def test_who_becomes_late_was_labelled_so_and_leaves(quiet):
    for before, after in itertools.pairwise(quiet):
        n = len(before.enterprises)
        fell = after.came_due[:n] & before.lending.loan
        assert fell.any()
        assert not (fell & ~before.bank_default).any()
        # Within the quarter they are still in the table, and in the next one they are not.
        assert not (after.lending.loan[:n] & before.came_due).any()
        kept = (after.lending.loan[:n] & before.lending.loan).sum() / before.lending.loan.sum()
        assert 0.85 < kept < 0.97
        assert after.lending.loan.sum() == pytest.approx(before.lending.loan.sum(), rel=0.05)


def test_lateness_within_a_year_has_the_rate_of_the_profile(quiet):
    borrower = quiet[0].lending.borrower
    # 5,300 borrowers: a standard error of .0033.
    assert quiet[0].bank_default.any(axis=1)[borrower].mean() == pytest.approx(DEMO.default_rate, abs=0.015)


def test_a_shock_shows_in_sales_then_in_load_then_in_staff(quiet, shocked):
    def fall(window, other, name, months):
        rows = hit(window)
        return (other.effects[name] - window.effects[name])[rows][:, months].mean(axis=0)

    assert all(
        np.array_equal(a.effects["sales"], b.effects["sales"])
        for a, b in zip(quiet[:2], shocked[:2], strict=True)
    )
    months = slice(MONTHS - 3, MONTHS)
    sales, load, staff = (fall(shocked[2], quiet[2], f, months) for f in ("sales", "activity", "staffing"))
    # The depth is .5 at the median, .52 on average, and comes in by .6 and .9.
    np.testing.assert_allclose(sales, [0.31, 0.47, 0.52], atol=0.02)
    np.testing.assert_allclose(load, [0, 0.31, 0.47], atol=0.02)
    np.testing.assert_allclose(staff, [0, 0, 0.31], atol=0.02)
    others = ~hit(shocked[2])
    assert np.array_equal(shocked[2].effects["sales"][others], quiet[2].effects["sales"][others])


def test_defaults_rise_one_quarter_after_the_shock(quiet, shocked):
    def late(windows):
        return [w.came_due.any(axis=1)[hit(w) & w.lending.borrower].mean() for w in windows]

    before, after = late(quiet), late(shocked)
    # The same enterprises are late; who has a loan may differ a little, since nobody repays who is about to be late.
    np.testing.assert_allclose(after[:3], before[:3], rtol=0.03)
    # 1.5 % of 1,500 borrowers a quarter: a standard error of .3 %; the rate is two to four times as high.
    assert after[3] > 1.6 * before[3]
    assert after[4] > 1.6 * before[4]


def test_a_quarter_ends_three_months_after_the_one_before():
    assert [QUARTERLY.month(q) for q in (1, 2, 8)] == [18, 21, 39]
