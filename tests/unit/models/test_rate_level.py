"""The level at which probabilities have a given mean."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logit

from fedrisk.models.rate_level import at_rate


def test_two_rows_by_hand():
    """Log-odds a and -a have mean probability a half at level 0, whatever a is."""
    level, p = at_rate(np.array([2.0, -2.0]), 0.5, begin=1.3)
    assert level == pytest.approx(0.0, abs=1e-9)
    assert p.sum() == pytest.approx(1.0)


def test_rows_that_do_not_count_do_not_move_it():
    level, _ = at_rate(np.array([0.0, 9.0]), 0.2, np.array([1.0, 0.0]))
    assert level == pytest.approx(logit(0.2))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.001, 0.9), st.floats(0.0, 6.0), st.floats(-8.0, 8.0))
def test_the_mean_is_the_rate_wherever_it_begins(seed, rate, spread, begin):
    rng = np.random.default_rng(seed)
    score, weight = spread * rng.normal(size=40), rng.uniform(0.1, 1.0, 40)
    weight /= weight.sum()
    _, p = at_rate(score, rate, weight, begin)
    assert weight @ p == pytest.approx(rate, abs=1e-9)
