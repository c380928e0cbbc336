"""Months stay as they are: ages, levels, and the shares that begin and end."""

import numpy as np
import pytest

from sim_institutions.pace import AGE_SCALE, AGE_SHAPE, MODE, MONTHLY, closing, entry_ages
from sim_institutions.random_streams import stream


def test_who_is_founded_and_closes_keeps_the_ages():
    rng = np.random.default_rng(1)
    n = 40_000
    age = rng.gamma(AGE_SHAPE, AGE_SCALE, n) + 0.5
    before = np.quantile(age, (0.1, 0.5, 0.9))
    for _ in range(36):
        age = age[rng.random(len(age)) >= closing(age)] + 1 / 12
        age = np.concatenate([age, entry_ages(rng, round(MONTHLY.founded * n))])
    assert len(age) == pytest.approx(n, rel=0.01)
    # Standard errors of the deciles are .01, .03 and .07 years.
    np.testing.assert_allclose(np.quantile(age, (0.1, 0.5, 0.9)), before, atol=0.25)


def test_enterprises_come_in_young():
    ages = entry_ages(stream(1, "x"), 1000)
    assert ages.min() >= 0.5 and ages.max() <= 0.5 + MODE
    assert closing(ages).max() == pytest.approx(0, abs=1e-9)
