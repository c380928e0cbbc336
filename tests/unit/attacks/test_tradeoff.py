"""Bounds of mu from guesses: against Gaussians whose mu is known, and in cases that can be worked out by hand."""

import math

import numpy as np
import pytest
from scipy.special import ndtr

from fedrisk.attacks.tradeoff import mu_of_guesses, mu_of_rates, too_many

RUNS = 20_000


@pytest.mark.parametrize("mu", [0.3, 1.0, 3.0])
def test_rates_of_the_best_test_give_its_mu(mu):
    wrong = round(RUNS * ndtr(-mu / 2))
    found = mu_of_rates(wrong, wrong, RUNS, 1e-6)
    assert found.value == pytest.approx(mu, abs=0.01)
    assert mu - 0.2 < found.low < mu < found.high < mu + 0.2


def test_a_test_that_says_nothing_gives_no_mu():
    assert mu_of_rates(RUNS // 2, RUNS // 2, RUNS, 1e-6).low == 0.0
    assert mu_of_rates(RUNS, 0, RUNS, 1e-6).low == 0.0


def test_a_test_that_is_never_wrong_bounds_mu_by_the_number_of_runs():
    """Rates are at most 1 - alpha ** (1 / runs): at level .025 for each."""
    found = mu_of_rates(0, 0, 1000, 0.05)
    assert found.high == math.inf
    assert ndtr(-found.low / 2) == pytest.approx(1 - 0.025 ** (1 / 1000), rel=1e-6)


def test_bounds_from_runs_hold_at_their_rate():
    """1,000 audits of mu 1 at level .1: the lower bound is above it in no more than a tenth. False alarm below 1e-9."""
    rng = np.random.default_rng(1)
    false, missed = (rng.binomial(200, ndtr(-0.5), 1000) for _ in range(2))
    above = sum(mu_of_rates(int(a), int(b), 200, 0.1).low > 1.0 for a, b in zip(false, missed, strict=True))
    assert above < 100 + 6 * math.sqrt(90)


def guessed(mu, records, guesses, rng):
    """How many of the surest guesses about so many coins are right, by independent Gaussians."""
    coins = rng.integers(0, 2, records)
    score = mu * (coins - 0.5) + rng.normal(size=records)
    surest = np.argsort(-np.abs(score))[:guesses]
    return int(((score[surest] > 0) == coins[surest]).sum())


def test_one_run_bounds_mu_from_below():
    rng = np.random.default_rng(1)
    found = [mu_of_guesses(guessed(2.0, 1500, 150, rng), 150, 1500, 0.05).low for _ in range(20)]
    assert max(found) < 2.0
    assert min(found) > 0.8


def test_a_coin_that_is_guessed_by_chance_bounds_nothing():
    assert mu_of_guesses(50, 100, 1000, 0.05).low == 0.0


def test_of_one_coin_the_curve_itself_is_the_bound():
    """A right guess with probability alpha takes f(1 - alpha): at mu 0 no guess is right in more than half of cases."""
    assert too_many(1, 1, 1, 0.0, 0.51)
    assert not too_many(1, 1, 1, 0.0, 0.49)
    # At mu 1 in no more than Phi(1/2) = .691.
    assert too_many(1, 1, 1, 1.0, 0.70)
    assert not too_many(1, 1, 1, 1.0, 0.68)
