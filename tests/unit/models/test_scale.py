"""Scales of a score: by hand, and what a card does on another one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.errors import ConfigError
from fedrisk.models.scale import STANDARD, Scale


def test_by_hand():
    """660 points for odds of 15 to 1; 40 more double them: 700 points are 30 to 1."""
    scale = Scale(40.0, 660.0, 15.0)
    assert scale.log_odds(700.0) == pytest.approx(-np.log(30))
    assert scale.score_of(-np.log(60)) == pytest.approx(740.0)
    assert scale.ratio == 2.0
    assert STANDARD.ratio == 1.0


@given(st.floats(5, 200), st.floats(-1000, 1000), st.floats(0.1, 1000), st.floats(-8, 8))
@settings(max_examples=50, deadline=None)
def test_scores_and_log_odds_are_inverse(double, score, odds, log_odds):
    scale = Scale(double, score, odds)
    assert float(scale.log_odds(scale.score_of(log_odds))) == pytest.approx(log_odds, abs=1e-9)


@pytest.mark.parametrize("wrong", [{"double": 1.0}, {"odds": 0.0}, {"score": np.inf}, {"double": np.nan}])
def test_out_of_bounds_is_refused(wrong):
    with pytest.raises(ConfigError, match="must lie between"):
        Scale(**wrong)
