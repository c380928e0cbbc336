"""Bins of a study with a threshold: how many, where they are fine, and that they rise."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import norm

from fedrisk.models.warning_bins import ABOVE, BELOW, FINE, warning_bins


def card(low=520.0, high=600.0, within=30.0):
    return SimpleNamespace(classes=lambda: (low, high, within))


@pytest.mark.parametrize("k", [4, 5, 17, 40, 100])
@pytest.mark.parametrize("rate", [0.001, 0.052, 0.5])
@pytest.mark.parametrize("gap", [0.0, 30.0, 90.0])
def test_there_are_so_many_and_they_rise(k, rate, gap):
    edges = warning_bins(card(600 - gap), k, rate)
    assert edges.shape == (k - 1,) and np.isfinite(edges).all()
    assert (np.diff(edges) > 0).all()


def test_most_of_them_are_around_the_stated_rate():
    edges = warning_bins(card(), 40, 0.052)
    alarms = norm.cdf((edges - 600) / 30)
    inside = (alarms >= 0.052 / BELOW - 1e-9) & (alarms <= 0.052 * ABOVE + 1e-9)
    assert inside.sum() == round(FINE * 40)
    near = np.abs(alarms - 0.052).min()
    assert near < 0.003 and inside[: len(inside) // 2].any()
