"""Concentration, stability and overrides, by hand."""

import math

import numpy as np
import pytest
from scipy.stats import chi2_contingency, norm

from fedrisk.analysis.homogeneity import Histogram
from fedrisk.analysis.validation.concentration import concentration, grown
from fedrisk.analysis.validation.overrides import overrides
from fedrisk.analysis.validation.stability_tests import shift, together


def test_concentration_by_its_formula():
    size = np.array([10.0, 30, 60])
    found = concentration(size, np.zeros(3))
    cv = math.sqrt(3 * sum((s - 1 / 3) ** 2 for s in (0.1, 0.3, 0.6)))
    assert found.variation == pytest.approx(cv)
    assert found.index == pytest.approx(1 + math.log((cv**2 + 1) / 3) / math.log(3))
    assert (found.largest, found.most) == (2, pytest.approx(0.6))
    before = concentration(np.array([30.0, 30, 40]), np.zeros(3))
    z, p = grown(before, found)
    assert z == pytest.approx(math.sqrt(2) * (cv - before.variation) / math.sqrt(cv**2 * (0.5 + cv**2)))
    assert p == pytest.approx(norm.sf(z))


def test_noise_alone_does_not_concentrate():
    """The mean over 400 draws is that without noise, within 4 of its errors; uncorrected it is far off."""
    size, v = np.array([400.0, 300, 200, 100]), 900.0
    rng = np.random.default_rng(0)
    true = concentration(size, np.zeros(4)).variation ** 2
    drawn = [size + rng.normal(0, v**0.5, 4) for _ in range(400)]
    found = np.array([concentration(d, np.full(4, v)).variation ** 2 for d in drawn])
    assert abs(found.mean() - true) < 4 * found.std() / 20
    assert concentration(np.array([5.0, -3]), np.full(2, 900.0)) is None


def test_a_shift_is_pearsons_test_and_many_are_adjusted():
    a, b = np.array([200.0, 300, 500]), np.array([150.0, 150, 200])
    found = shift("score", Histogram.of(a, 0.0), Histogram.of(b, 0.0))
    expected = chi2_contingency(np.stack([a, b]), correction=False)
    assert found.statistic == pytest.approx(expected.statistic, rel=0.03) and found.degrees == 2
    p, q = a / a.sum(), b / b.sum()
    assert found.plain == pytest.approx(((q - p) * np.log(q / p)).sum())
    assert found.index < found.plain
    same = shift("same", Histogram.of(a, 0.0), Histogram.of(a, 0.0))
    one, other = together([found, same])
    assert one.holm == pytest.approx(min(1, 2 * one.p)) and other.holm >= one.holm


def test_overrides_by_hand():
    found = overrides(
        np.array([0, 1, 1, 2]),
        np.array([0, 0, 2, 2]),
        np.array([0.0, 1.0, math.nan, 1.0]),
        np.array([0.01, 0.05, 0.05, 0.2]),
        3,
        0.05,
    )
    assert (found.recorded, found.rate) == (4, 0.5) and found.by_grade == ((0, 1), (2, 2), (0, 1))
    assert vars(found.better) == {"customers": 1, "labelled": 1, "defaults": 1, "expected": 0.05}
    assert (found.worse.customers, found.worse.labelled) == (1, 0)
    assert overrides(np.array([], int), np.array([], int), np.array([]), np.array([]), 3, 0.05) is None
