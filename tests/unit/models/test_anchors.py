"""What an earlier evaluation says of the next card, by hand where it can be worked out."""

import math
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrisk.data.features import Feature
from fedrisk.models.anchors import (
    Anchor,
    anchor_of_card,
    expected_given,
    factors,
    observed,
    weights,
)
from fedrisk.models.binning import Bins
from fedrisk.models.calibration import Calibration
from fedrisk.models.scorecard import Scorecard

WORLDS = np.array([0.66, 0.7, 0.74, 0.78])


def anchor(auc: float = 0.75, noise: float = 0.03, sampling: float = 0.01) -> Anchor:
    return Anchor(auc=auc, noise=noise, sampling=sampling)


def test_an_exact_evaluation_is_taken_as_it_is() -> None:
    mean, spread = expected_given(WORLDS, WORLDS + 0.02, 0.72, 0.0)
    assert mean == pytest.approx(0.74) and spread == pytest.approx(0.0, abs=1e-9)


def test_a_noisy_one_is_taken_by_half_where_its_variance_is_that_of_the_worlds() -> None:
    deviation = float(WORLDS.std())
    mean, spread = expected_given(WORLDS, WORLDS, 0.8, deviation)
    assert mean == pytest.approx((0.72 + 0.8) / 2)
    assert spread == pytest.approx(deviation / math.sqrt(2))


def test_one_that_knows_nothing_changes_nothing() -> None:
    mean, spread = expected_given(WORLDS, WORLDS, 0.9, 100.0)
    assert mean == pytest.approx(0.72, abs=1e-4) and spread == pytest.approx(float(WORLDS.std()), rel=1e-4)


@given(
    st.floats(0.5, 0.95),
    st.floats(0, 0.2),
    st.lists(st.floats(0.5, 0.9), min_size=4, max_size=4),
    st.floats(0, 2),
)
def test_an_evaluation_never_widens_what_is_expected(
    auc: float, error: float, before: list[float], slope: float
) -> None:
    x = np.array(before)
    y = slope * x + np.array([0.01, -0.01, 0.02, 0.0])
    assert expected_given(x, y, auc, error)[1] <= float(y.std()) + 1e-9


def test_noise_averages_out_and_the_sampling_of_one_hold_out_does_not() -> None:
    both = [anchor(0.7), anchor(0.8)]
    auc, error = observed(both)
    assert weights(both).tolist() == [0.5, 0.5] and auc == pytest.approx(0.75)
    assert error == pytest.approx(math.hypot(0.03 / math.sqrt(2), 0.01))


def test_factors_are_evenly_spread_and_alike_for_both_kinds_of_world() -> None:
    found = np.log(factors(32, 0.1))
    assert found[::2].tolist() == found[1::2].tolist()
    assert abs(found.mean()) < 0.02 and 0.07 < found.std() < 0.11
    assert found[0] < 0 < found[2]


@pytest.mark.parametrize("wrong", [{"auc": math.nan}, {"noise": math.inf}, {"rows": -1.0}, {"auc": 1.2}])
def test_numbers_out_of_range_are_not_used(wrong: dict[str, float]) -> None:
    assert anchor().usable and not replace(anchor(), **wrong).usable


def test_a_calibrated_card_says_its_auc() -> None:
    """Two normal classes whose log-odds are right: means s squared apart, of deviation s."""
    flag = Bins.public(Feature(institution="bank", column="late", kind="flag", missing=False))
    s, rate = 1.0, 0.1
    card = Scorecard(
        study="s",
        bins=(flag,),
        points=((10, -30),),
        base_points=550,
        averages=(2.0,),
        intercept=-2.0,
        rate=rate,
        sd=30.0,
        gap=25.0,
        partial_sd={"bank": 30.0},
        calibration=Calibration(-1.0, -2.0, 0.5, 0.0, (-2.0, 0.5)),
    )
    total = s**2 + rate * (1 - rate) * s**4
    found = anchor_of_card(replace(card, sd=math.sqrt(total) * 20 / math.log(2)))
    assert found is not None and found.auc == pytest.approx(NormalDist().cdf(s / math.sqrt(2)))
    assert anchor_of_card(replace(card, calibration=None)) is None
