"""Predicted against realised: by hand, coverage of both intervals, too few, not matured; and two models side by side."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr, ndtri

from fedrisk.analysis.validation.noisy_binomial import jeffreys_interval
from fedrisk.analysis.watch.back_testing import BackTestRules, back_test, cohort
from fedrisk.analysis.watch.challenge import agreement, contest
from fedrisk.analysis.watch.common_shocks import shock_interval
from fedrisk.analysis.watch.portfolio import migrations, month_risk
from fedrisk.metrics import Measured
from fedrisk.models.comparison import Difference

FEW = settings(max_examples=20)


def other(difference):
    """The same of the two models the other way round."""
    return replace(difference, value=-difference.value)


def test_grades_by_hand():
    probability = np.r_[np.full(200, 0.003), np.full(100, 0.03)]
    outcome = np.r_[np.zeros(200), np.ones(15), np.zeros(85)]
    found = back_test("2026-05", probability, outcome)
    there = {g.grade: (g.size, g.defaults) for g in found.grades if g.size}
    assert there == {"B": (200, 0), "E": (100, 15)}
    assert found.too_low == ("E",) and found.few
    e = next(g for g in found.grades if g.grade == "E")
    assert (e.low, e.high) == pytest.approx(jeffreys_interval(15, 100, 0.95))
    assert found.cohort.expected == pytest.approx(3.6) and found.cohort.matured
    assert found.to_dict()["too_low"] == ["E"]


def test_a_month_of_which_defaults_alone_are_known_is_not_matured():
    outcome = np.r_[np.ones(5), np.full(95, np.nan)]
    found = cohort("2026-05", np.full(100, 0.05), outcome, BackTestRules())
    assert (found.loans, found.known, found.defaults, found.matured) == (100, 5, 5, False)
    assert back_test("2026-05", np.full(3, 0.05), np.full(3, np.nan)).grades == ()


def test_the_area_is_held_against_development_with_both_errors():
    rng = np.random.default_rng(1)
    p = rng.uniform(0.01, 0.3, 2000)
    y = (rng.random(2000) < p).astype(float)
    before = Measured(value=0.9, sampling=0.01, noise=0.02)
    found = back_test("2026-05", p, y, development=before)
    z = (0.9 - found.cohort.auc.value) / np.hypot(before.error, found.cohort.auc.error)
    assert found.fall.z == pytest.approx(z) and found.fall.p < 0.001


def test_without_shocks_the_interval_is_jeffreys_and_wider_with_them():
    assert shock_interval(7, 300, 0.95, 0.0) == jeffreys_interval(7, 300, 0.95)
    wide = [shock_interval(7, 300, 0.95, rho) for rho in (0.001, 0.02, 0.1)]
    assert wide[0] == pytest.approx(jeffreys_interval(7, 300, 0.95), abs=0.002)
    assert all(a[0] >= b[0] and a[1] <= b[1] for a, b in itertools.pairwise(wide))
    assert shock_interval(0, 50, 0.95, 0.05)[0] == 0 and shock_interval(50, 50, 0.95, 0.05)[1] == 1


@pytest.mark.parametrize("correlation", [0.03, 0.15])
def test_of_very_many_loans_the_common_factor_alone_is_left(correlation):
    """Its 95 % are known: Vasicek (2002)."""
    middle, reach = np.sqrt(1 - correlation) * ndtri(0.02), 1.96 * np.sqrt(correlation)
    found = shock_interval(20_000, 1_000_000, 0.95, correlation)
    assert found == pytest.approx((ndtr(middle - reach), ndtr(middle + reach)), rel=2e-3)


@FEW
@given(st.integers(1, 400), st.floats(0, 1), st.floats(0.001, 0.3))
def test_an_interval_with_shocks_holds_what_was_observed(size, part, correlation):
    defaults = round(part * size)
    low, high = shock_interval(defaults, size, 0.95, correlation)
    assert 0 <= low <= defaults / size <= high <= 1


@pytest.mark.parametrize("years", [60, pytest.param(2000, marks=pytest.mark.long)])
def test_intervals_with_common_shocks_cover_the_rate_over_good_and_bad_years(years):
    """Jeffreys's do not: they are of the year that was observed."""
    rng, rate, rho, n = np.random.default_rng(3), 0.04, 0.05, 1500
    shock = ndtr((ndtri(rate) - np.sqrt(rho) * rng.normal(size=years)) / np.sqrt(1 - rho))
    wide = alone = 0
    for d in rng.binomial(n, shock):
        low, high = shock_interval(int(d), n, 0.95, rho)
        wide += low <= rate <= high
        low, high = jeffreys_interval(int(d), n, 0.95)
        alone += low <= rate <= high
    assert abs(wide / years - 0.95) <= 3 * np.sqrt(0.95 * 0.05 / years)
    assert alone / years < 0.7


def test_the_same_model_twice_is_alike_and_a_better_one_is_found():
    rng = np.random.default_rng(5)
    odds = rng.normal(-2.5, 1.2, 800)
    y = (rng.random(800) < 1 / (1 + np.exp(-odds))).astype(float)
    good, poor = (1 / (1 + np.exp(-v)) for v in (odds, odds + rng.normal(0, 1.5, 800)))
    found, zero = contest("2026-05", y, poor, good), Difference(value=0.0, error=1.0)
    assert replace(found, auc=zero, log_loss=zero).verdict == "alike"
    assert found.verdict == "better" and replace(found, auc=other(found.auc)).verdict == "worse"
    assert contest("2026-05", y[:20] * 0, good[:20], poor[:20]) is None


@FEW
@given(st.lists(st.tuples(st.floats(0.0001, 0.9), st.floats(0.0001, 0.9)), min_size=1, max_size=40))
def test_agreement_adds_up(pairs):
    p, q = (np.array(v) for v in zip(*pairs, strict=True))
    found = agreement("2026-05", p, q)
    assert found.grades.sum() == found.loans == len(pairs)
    assert found.alike + found.safer + found.riskier == pytest.approx(1)
    assert found.alike <= found.within_one


@FEW
@given(
    st.dictionaries(st.integers(0, 30), st.floats(0.0001, 0.9)),
    st.dictionaries(st.integers(0, 30), st.floats(0.0001, 0.9)),
)
def test_migrations_add_up_to_both_months(before, now):
    def of(loans):
        return np.array([str(k) for k in loans], object), np.array(list(loans.values()), float)

    found = migrations("2026-04", of(before), of(now))
    assert found.moved.sum() == len(before.keys() & now.keys())
    assert sum(found.new) == len(now.keys() - before.keys())
    assert sum(found.gone) == len(before.keys() - now.keys())
    assert min(found.new) >= 0 and min(found.gone) >= 0
    assert found.better + found.worse + np.trace(found.moved) == found.moved.sum()


def test_risk_of_a_month_without_a_score():
    found = month_risk("2026-05", 4, [], [])
    assert (found.scored, found.defaults, sum(found.grades), found.loss) == (0, 0, 0, None)
    assert np.isnan(found.probability)
