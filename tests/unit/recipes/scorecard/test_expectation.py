"""The bounds of a gain before a study: by hand with constants of our own, and what must hold whatever they are."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrisk.recipes.scorecard import expectation, gain_constants
from fedrisk.recipes.scorecard.expectation import (
    LEVELS,
    GainSizes,
    expected_gain,
    line,
    noise_cost,
    share_below,
    terms,
)
from fedrisk.report.words import sentence

SIZES = GainSizes(positives=400, mu=0.1, own=12, external=4, banks=4, known=0.5, held=100)


@pytest.fixture
def constants(monkeypatch):
    for name, value in {
        "HALF": 10.0,
        "LINE": (0.05, -0.2, 0.4, 0.01),
        "SPREAD": (0.0004, 0.04, 0.16, 0.0),
        "LEAST_SPREAD": 0.01,
        "QUANTILES": (-2.0, -1.5, -1.0, 0.0, 1.0, 1.5, 2.0),
    }.items():
        monkeypatch.setattr(gain_constants, name, value)


def test_by_hand(constants):
    """Room 400 * .1 / 4 = 10 is where noise takes half; a quarter of the columns for half of the enterprises is 1/8."""
    assert SIZES.room == 10.0
    assert SIZES.noise == 0.5
    assert terms(SIZES, 0.5) == [1.0, 0.5, 0.0625, -1.0]
    mean, spread = line(SIZES)
    assert mean == pytest.approx(0.05 - 0.1 + 0.025 - 0.01)
    assert spread == pytest.approx(math.sqrt(0.0004 + 0.01 + 0.000625))
    found, noise = expected_gain(SIZES)
    assert found.code == "gain_between"
    assert found.values["low"] == pytest.approx(mean - 2 * spread)
    assert found.values["middle"] == pytest.approx(mean)
    assert found.values["high"] == pytest.approx(mean + 2 * spread)
    assert found.values["lower"] == pytest.approx(mean - spread)
    assert found.values["upper"] == pytest.approx(mean + spread)
    # Zero is .334 spreads above the mean: a third of the way from one half to three quarters.
    assert found.values["lose"] == pytest.approx(0.5 + 0.25 * 0.035 / spread)
    # Without noise: .05 + .4 / 8 - .02 = .08, and .035 below it with.
    assert noise.values["cost"] == pytest.approx(0.08 + 0.035)
    assert "lose" in sentence(found)
    assert f"{noise.values['cost']:.2f} of AUC" in sentence(noise)


def test_no_noise_costs_nothing(constants):
    sizes = replace(SIZES, mu=math.inf)
    assert (sizes.noise, noise_cost(sizes)) == (0.0, 0.0)
    assert [f.code for f in expected_gain(sizes)] == ["gain_between"]


def test_a_large_study_is_not_told_to_lessen_its_noise(constants):
    assert len(expected_gain(replace(SIZES, positives=40_000))) == 1


def test_banks_without_columns():
    (found,) = expected_gain(replace(SIZES, own=0))
    assert found.code == "gain_nothing_own"
    assert sentence(found)


def test_shares_by_interpolation():
    quantiles = [-2.0, -1.5, -1.0, 0.0, 1.0, 1.5, 2.0]
    assert [share_below(q, quantiles) for q in quantiles] == pytest.approx(list(LEVELS))
    assert share_below(-9.0, quantiles) == LEVELS[0]
    assert share_below(0.5, quantiles) == pytest.approx(0.625)


@given(
    st.floats(0, 1e6),
    st.floats(0, 100),
    st.integers(1, 200),
    st.integers(0, 200),
    st.integers(1, 50),
    st.floats(0.01, 1),
    st.floats(0, 1e6),
)
def test_bounds_are_in_order_and_finite(positives, mu, own, external, banks, known, held):
    sizes = GainSizes(
        positives=positives, mu=mu, own=own, external=external, banks=banks, known=known, held=held
    )
    found = expected_gain(sizes)[0]
    low, middle, high, lose = (found.values[k] for k in ("low", "middle", "high", "lose"))
    assert -0.5 <= low <= high <= 0.5
    assert math.isfinite(middle)
    assert LEVELS[0] <= lose <= LEVELS[-1]
    assert 0 <= sizes.noise <= 1
    assert sizes.noise >= replace(sizes, mu=2 * mu).noise
    assert replace(sizes, own=own + 5).noise >= sizes.noise


def test_the_fitted_constants_say_what_was_seen():
    """Signs: noise costs, columns of holders help, and outer quantiles lie on either side."""
    _, noise, columns, _ = gain_constants.LINE
    assert noise < 0 < columns
    assert all(v >= 0 for v in gain_constants.SPREAD)
    quantiles = gain_constants.QUANTILES
    assert list(quantiles) == sorted(quantiles)
    assert quantiles[0] < 0 < quantiles[-1]
    assert len(quantiles) == len(expectation.LEVELS)
