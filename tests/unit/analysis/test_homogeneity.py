"""Two noisy histograms: Pearson's test without noise, and false alarms at their rate with any noise and size."""

import numpy as np
import pytest
from scipy.stats import chi2_contingency

from fedrisk.analysis.homogeneity import Histogram, homogeneity, prepared
from fedrisk.analysis.stability import stability_of

PAIRS = 150
TOLERANCE = 0.0445
"""2.5 deviations of the rate of 150 trials at .05: one of a hundred such tests would fail by chance."""


def pair(rng, shares, enterprises, noise, ratio=1.0):
    old = rng.poisson(enterprises * shares) + rng.normal(0, noise, len(shares))
    new = rng.poisson(enterprises * ratio * shares) + rng.normal(0, noise, len(shares))
    return Histogram.of(old, noise**2), Histogram.of(new, noise**2)


def test_without_noise_it_is_pearsons_test():
    old, new = np.array([200.0, 300.0, 500.0]), np.array([120.0, 180.0, 220.0])
    found = homogeneity(Histogram.of(old, 0.0), Histogram.of(new, 0.0))
    expected = chi2_contingency(np.stack([old, new]), correction=False)
    assert found.degrees == expected.dof == 2
    assert found.p == pytest.approx(expected.pvalue, rel=0.02)


@pytest.mark.parametrize(
    ("bins", "enterprises", "noise", "ratio"),
    [
        (10, 20_000, 10.0, 1.3),
        (10, 300, 10.0, 1.0),
        (20, 100, 1.0, 1.0),
        (5, 60, 0.0, 0.7),
        (40, 2_000, 8.0, 1.0),
    ],
)
def test_false_alarms_are_no_more_frequent_than_stated(bins, enterprises, noise, ratio):
    rng = np.random.default_rng(bins + enterprises)
    alarms = said = 0
    for _ in range(PAIRS):
        shares = rng.dirichlet(np.ones(bins))
        found = homogeneity(*prepared(*pair(rng, shares, enterprises, noise, ratio)))
        if found is not None:
            said, alarms = said + 1, alarms + (found.p <= 0.05)
    assert said
    assert alarms / PAIRS <= 0.05 + TOLERANCE


@pytest.mark.long
@pytest.mark.parametrize("noise", [0.5, 3.0, 10.0, 40.0])
@pytest.mark.parametrize("enterprises", [100, 1_000, 100_000])
def test_the_rate_over_two_thousand_pairs(enterprises, noise):
    rng, alarms = np.random.default_rng(7), 0
    for _ in range(2000):
        found = homogeneity(*prepared(*pair(rng, rng.dirichlet(np.ones(12)), enterprises, noise)))
        alarms += found is not None and found.p <= 0.05
    # Three deviations: twelve such tests fail by chance in one of sixty runs.
    assert alarms / 2000 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 2000)


def test_a_shift_is_found_and_its_size_estimated():
    rng = np.random.default_rng(3)
    shares = np.full(8, 1 / 8)
    moved = shares * np.array([1.3, 1.2, 1, 1, 1, 1, 0.8, 0.7])
    old = Histogram.of(rng.poisson(8000 * shares) + rng.normal(0, 10, 8), 100.0)
    new = Histogram.of(rng.poisson(8000 * moved) + rng.normal(0, 10, 8), 100.0)
    found = homogeneity(old, new)
    true = float(((moved - shares) * np.log(moved / shares)).sum())
    index = stability_of(old, new, found)
    assert found.p < 1e-6
    assert index.low < true < index.high


@pytest.mark.parametrize(
    ("shift", "pairs"),
    [(0.25, 60), *(pytest.param(s, 1000, marks=pytest.mark.long) for s in (0.0, 0.1, 0.25))],
)
def test_intervals_of_the_index_cover_at_their_rate(shift, pairs):
    rng, covered = np.random.default_rng(5), 0
    for _ in range(pairs):
        p = rng.dirichlet(np.full(8, 5.0))
        q = p * np.exp(shift * rng.normal(size=8))
        q /= q.sum()
        old = Histogram.of(rng.poisson(10_000 * p) + rng.normal(0, 10, 8), 100.0)
        new = Histogram.of(rng.poisson(10_000 * q) + rng.normal(0, 10, 8), 100.0)
        index = stability_of(old, new, homogeneity(old, new))
        true = float(((q - p) * np.log(q / p)).sum())
        covered += index is not None and index.low - 1e-9 <= true <= index.high
    # Less three deviations.
    assert covered / pairs >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / pairs)


def test_noise_that_hides_the_total_says_nothing():
    old = Histogram.of(np.array([3.0, -2.0, 5.0]), 100.0)
    assert not old.says
    assert homogeneity(old, old) is None


def test_bins_of_few_are_joined_and_totals_kept():
    old, new = (
        Histogram.of(np.array([100.0, 1, 1, 2, 80]), 0.0),
        Histogram.of(np.array([90.0, 2, 1, 1, 70]), 0.0),
    )
    a, b = prepared(old, new)
    assert len(a.counts) < 5
    assert (a.total, b.total) == (old.total, new.total)


def test_a_fine_histogram_is_joined_to_groups_of_about_equal_weight():
    rng = np.random.default_rng(2)
    old, new = pair(rng, rng.dirichlet(np.ones(200)), 50_000, 5.0)
    a, b = prepared(old, new, most=10)
    assert len(a.counts) == len(b.counts) <= 10
    assert a.counts.min() > 2_000
    assert a.noise.sum() == pytest.approx(old.noise.sum())
