"""The binomial test with noise: by hand without noise, exact size with it, bounds that are never 0 by luck."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.special import betainc
from scipy.stats import norm

from fedrisk.analysis.validation import noisy_binomial as nb


def tail_by_hand(least, n, p):
    return sum(math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(least, n + 1))


def test_without_noise_it_is_the_binomial_test():
    assert nb.upper_tail(4 - 20 * 0.1, 20, 0.1, 0.0) == pytest.approx(tail_by_hand(4, 20, 0.1))
    assert nb.lower_tail(1 - 20 * 0.1, 20, 0.1, 0.0) == pytest.approx(1 - tail_by_hand(2, 20, 0.1))


def test_jeffreys_is_the_incomplete_beta_function():
    assert nb.jeffreys_test(3, 50, 0.02) == pytest.approx(betainc(3.5, 47.5, 0.02))
    low, high = nb.jeffreys_interval(3, 50, 0.9)
    assert betainc(3.5, 47.5, low) == pytest.approx(0.05) and betainc(3.5, 47.5, high) == pytest.approx(0.95)


def test_as_noise_vanishes_it_is_the_mid_p_test_which_jeffreys_is_near():
    size, pd = 400, 0.03
    for defaults in (8, 12, 18):
        mid = tail_by_hand(defaults + 1, size, pd) / 2 + tail_by_hand(defaults, size, pd) / 2
        assert nb.upper_tail(defaults - size * pd, size, pd, 1e-6) == pytest.approx(mid, rel=1e-6)
        assert nb.jeffreys_test(defaults, size, pd) == pytest.approx(mid, rel=0.1)


def test_with_noise_alone_it_is_the_normal_test():
    assert nb.upper_tail(5.0, 0, 0.1, 25.0) == pytest.approx(norm.sf(1.0))


@given(st.integers(1, 3000), st.floats(0.001, 0.4), st.floats(0.5, 400.0))
@settings(max_examples=40, deadline=None)
def test_its_size_is_exact(size, pd, noise):
    """The residual that is rejected at 5 % is exceeded by binomial plus noise once in twenty times: by another sum."""
    reach = 8 * math.sqrt(size * pd * (1 - pd) + noise) + 8
    at = brentq(lambda r: nb.upper_tail(r, size, pd, noise) - 0.05, -reach, reach)
    draws = np.random.default_rng(size).binomial(size, pd, 20_000) - size * pd
    exceeded = norm.sf((at - draws) / math.sqrt(noise)).mean()
    assert exceeded == pytest.approx(0.05, abs=0.009)


def test_many_customers_are_taken_as_normal_without_a_step():
    near, far = (nb.upper_tail(60.0, n, 0.3, 30.0) for n in (230_000, 236_000))
    assert near == pytest.approx(far, abs=2e-3)


def test_bounds_by_hand():
    assert nb.upper_bound(0, 100, 0.0, 0.9) == pytest.approx(1 - 0.1 ** (1 / 100))
    assert nb.upper_bound(100, 100, 0.0, 0.9) == nb.upper_bound(0, 0, 0.0, 0.9) == 1.0
    assert nb.upper_bound(2, 100, 0.0, 0.9) < nb.upper_bound(2, 100, 50.0, 0.9)


@given(st.floats(-40.0, 60.0), st.floats(30.0, 500.0), st.floats(1.0, 200.0))
@example(-8.0, 429.0, 1.0)
@settings(max_examples=40, deadline=None)
def test_intervals_with_noise_are_whole(defaults, size, noise):
    low, high = nb.interval(defaults, size, noise, 0.95)
    assert 0 <= low <= high <= 1 and high > 0
    bounds = [nb.upper_bound(defaults, size, noise, confidence) for confidence in (0.9, 0.975)]
    assert bounds[0] <= bounds[1] + 1e-9 and bounds[1] <= 1


def test_far_fewer_defaults_than_noise_explains_have_a_small_bound():
    """Eight below none where noise has a deviation of 1: the tail is below the rounding of 1."""
    assert 0 < nb.upper_bound(-8.0, 429.0, 1.0, 0.975) < 0.02
