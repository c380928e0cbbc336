"""Randomised labels are what they say."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrisk.lab.baselines.labels import turned_over, unbiased


@given(st.floats(0.01, 8))
def test_either_value_of_a_label_is_at_most_e_to_the_epsilon_likelier(epsilon):
    f = turned_over(epsilon)
    assert (1 - f) / f == pytest.approx(math.exp(epsilon))


@given(st.floats(0.01, 0.99), st.floats(0.1, 8))
def test_probabilities_come_back(p, epsilon):
    f = turned_over(epsilon)
    told = p * (1 - f) + (1 - p) * f
    assert unbiased(np.array([told]), epsilon)[0] == pytest.approx(p, abs=1e-9)
