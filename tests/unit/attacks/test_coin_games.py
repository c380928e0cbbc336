"""Figures of games with a coin: what mu allows, and intervals that hold."""

import math

import numpy as np
import pytest
from scipy.special import ndtri

from fedrisk.attacks.coin_games import (
    CONFIDENCE,
    FAMILY,
    FIGURES,
    accuracy,
    area,
    by_study,
    gdp_accuracy,
    gdp_area,
    gdp_power,
    power,
    share,
    threshold_of,
)


def test_all_figures_together_keep_to_one_false_alarm_in_a_thousand():
    wrong = (1 - CONFIDENCE) / 2 * FIGURES
    assert wrong == pytest.approx(FAMILY)


@pytest.mark.parametrize("mu", [0.2, 1.0, 3.0])
def test_two_normals_mu_apart_reach_every_bound(mu):
    """By hand: they are the worst case of mu-GDP."""
    rng = np.random.default_rng(1)
    coin = rng.random(200_000) < 0.5
    score = rng.normal(size=len(coin)) + mu * coin
    assert area(score, coin).value == pytest.approx(gdp_area(mu), abs=0.01)
    assert accuracy(score, coin, mu / 2).value == pytest.approx(gdp_accuracy(mu), abs=0.01)
    found = power(score, coin, -ndtri(0.01))
    assert found.false.value == pytest.approx(0.01, abs=0.002)
    assert found.true.value == pytest.approx(gdp_power(0.01, mu), abs=0.01)
    # The upper end of false alarms makes the bound larger, never smaller.
    assert found.bound(mu) > gdp_power(found.false.value, mu)


def test_no_privacy_is_no_bound():
    assert gdp_power(0.5, math.inf) == gdp_area(math.inf) == gdp_accuracy(math.inf) == 1.0
    assert gdp_power(0.0, 1.0) == 0.0


def test_an_area_by_hand():
    """One pair of four stands the wrong way round."""
    coin = np.array([True, False, True, False])
    found = area(np.array([4.0, 3.0, 2.0, 1.0]), coin)
    assert found.value == 0.75
    assert found.low == share(1.5, 2).low
    assert area(np.zeros(4), coin).value == 0.5
    assert area(np.zeros(2), np.array([True, True])).low == 0.0


def test_a_threshold_is_met_by_the_tail_of_a_normal_where_trials_are_few():
    rng = np.random.default_rng(2)
    for trials in (400, 20_000):
        threshold = threshold_of(rng.normal(size=trials), np.zeros(trials, bool))
        assert threshold == pytest.approx(-ndtri(1e-3), abs=0.5)


def test_a_mean_over_studies_has_the_interval_of_student():
    found = by_study(np.array([0.0, 1.0] * 50), 100)
    assert found.value == 0.5
    # Some four and a half errors of one twentieth.
    assert 0.2 < found.low < 0.3
