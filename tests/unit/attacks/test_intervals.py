"""Intervals of the hub's attacks: by hand, and by drawing."""

import numpy as np
import pytest
from scipy import stats

from fedrisk.attacks.attack import Estimate, Measured
from fedrisk.attacks.intervals import CONFIDENCE, FIGURES, deviation, share, uneven


def test_all_figures_together_fail_a_sound_product_once_in_a_thousand_runs():
    assert pytest.approx(1e-3) == FIGURES * (1 - CONFIDENCE) / 2


@pytest.mark.parametrize("p", [0.02, 0.5, 0.9])
def test_a_share_lies_below_its_interval_no_more_often_than_said(p):
    """The chance is summed over all outcomes: nothing is drawn."""
    n, confidence = 40, 0.99
    hits = np.arange(n + 1)
    below = np.array([share(int(k), n, confidence).low > p for k in hits])
    assert stats.binom.pmf(hits[below], n, p).sum() <= (1 - confidence) / 2


def test_a_deviation_is_that_of_its_draws():
    found = deviation(np.array([3.0, -4.0, 0.0, 5.0]))
    assert found.value == pytest.approx(np.sqrt(50 / 4))
    assert found.low < found.value < found.high and found.trials == 4


def test_even_digits_are_no_bits_and_one_digit_alone_is_all_of_them():
    assert uneven(np.full(16, 100)).value == 0.0
    alone = np.zeros(16, int)
    alone[3] = 10_000
    assert uneven(alone).value == pytest.approx(4.0, abs=0.01) and uneven(alone).low > 3.9
    slightly = np.full(16, 10_000)
    slightly[0] += 2_000
    assert 0 < uneven(slightly).low < uneven(slightly).value < uneven(slightly).high


def test_what_is_certain_is_broken_by_one_case():
    about = {"attack": "a", "target": "t", "figure": "got_through", "claimed": 0.0, "method": "exact"}
    assert Measured(**about, **vars(Estimate.exact(True))).verdict == "broken"
    assert Measured(**about, **vars(Estimate.exact(False))).verdict == "held"
    assert Measured(**about, **vars(Estimate.exact(True)), control="x").verdict == "control succeeded"
