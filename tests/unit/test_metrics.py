"""Metrics: by hand, against brute force, and from histograms."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrisk import metrics
from fedrisk.errors import ConfigError, DataError

pytestmark = pytest.mark.slow


def brute_auc(y, r):
    pairs = [
        (a > b) + (a == b) / 2
        for a, la in zip(r, y, strict=True)
        if la
        for b, lb in zip(r, y, strict=True)
        if not lb
    ]
    return sum(pairs) / len(pairs)


def test_auc_and_ks_by_hand():
    assert metrics.auc([0, 1, 0, 1], [1, 2, 3, 4]) == 0.75
    assert metrics.auc([0, 1], [5, 5]) == 0.5
    assert metrics.auc([0, 1], [1, 2]) == 1.0
    assert metrics.ks([0, 1, 0, 1], [1, 2, 3, 4]) == 0.5
    assert metrics.ks([0, 0, 1], [1, 2, 3]) == 1.0


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=2, max_size=40))
def test_auc_equals_pair_counting(rows):
    y = np.array([int(a) for a, _ in rows])
    r = [b for _, b in rows]
    if y.min() == y.max():
        with pytest.raises(DataError):
            metrics.auc(y, r)
        return
    assert metrics.auc(y, r) == pytest.approx(brute_auc(y, r), abs=1e-12)
    n1, n0 = np.bincount(r, y, 7), np.bincount(r, 1 - y, 7)
    found = metrics.from_histogram(n1, n0)
    assert found.auc == pytest.approx(brute_auc(y, r), abs=1e-12)
    assert found.ks == pytest.approx(metrics.ks(y, r), abs=1e-12)


def test_brier_from_histogram_equals_rows():
    y = np.array([0, 0, 1, 0, 1, 1])
    p = np.array([0.1, 0.1, 0.1, 0.6, 0.6, 0.6])
    found = metrics.from_histogram([1, 2], [2, 1], [0.1, 0.6])
    assert found.brier == pytest.approx(metrics.brier(y, p))
    assert (found.positives, found.negatives, found.gini) == (3.0, 3.0, pytest.approx(2 * found.auc - 1))


def test_noisy_negative_counts_stay_and_empties_are_guarded():
    """By hand: -1 default with 1 other below it and 5 with 3, of 4 each; clipped, the area would be .75."""
    assert metrics.from_histogram([-1, 5], [2, 2]).auc == pytest.approx((-1 * 1 + 5 * 3) / 16)
    assert math.isnan(metrics.from_histogram([-5, 3], [3, -2]).auc)
    empty = metrics.from_histogram([-1, 0], [4, 4], [0.1, 0.2])
    assert math.isnan(empty.auc)
    assert math.isnan(empty.ks)
    assert empty.brier == 0.0
    assert math.isnan(metrics.from_histogram([0], [0], [0.5]).brier)
    assert math.isnan(metrics.psi([0, 0], [1, 1]))


def test_a_calibration_fit_finds_the_slope_and_both_rates():
    """Expected counts of a model that states log-odds 1.25 times too far apart."""
    stated = np.linspace(-5, 1, 24)
    true = 1 / (1 + np.exp(-(0.2 + 0.8 * stated)))
    n = 1000 * np.exp(-0.5 * (stated + 2.5) ** 2)
    q = 1 / (1 + np.exp(-stated))
    found = metrics.calibration_fit(n * true, n * (1 - true), q, 0.0)
    assert found.slope == pytest.approx(0.8, abs=1e-9)
    assert found.predicted == pytest.approx(n @ q / n.sum())
    assert found.observed == pytest.approx(n @ true / n.sum())


def test_errors_of_a_calibration_fit_hold_sampling_and_noise():
    """400 draws: slope and rate spread as their errors say, within 15 % (four standard errors of a spread), unbiased."""
    rng = np.random.default_rng(4)
    stated = np.linspace(-5, 1, 24)
    p = 1 / (1 + np.exp(-stated))
    n = (1000 * np.exp(-0.5 * (stated + 2.5) ** 2)).astype(int)
    found = []
    for _ in range(400):
        n1 = rng.binomial(n, p)
        noise = rng.normal(0, 10, (2, 24))
        found.append(metrics.calibration_fit(n1 + noise[0], n - n1 + noise[1], p, 100.0))
    slope, rate = np.array([f.slope for f in found]), np.array([f.observed for f in found])
    assert slope.std() == pytest.approx(np.mean([f.slope_error for f in found]), rel=0.15)
    assert rate.std() == pytest.approx(np.mean([f.observed_error for f in found]), rel=0.15)
    assert abs(slope.mean() - 1) < 4 * slope.std() / 20


def test_a_calibration_fit_needs_both_labels_and_several_risks():
    assert metrics.calibration_fit([0, 0], [5, 5], [0.1, 0.2], 0.0) is None
    assert metrics.calibration_fit([1], [5], [0.1], 0.0) is None
    assert metrics.calibration_fit([1, 1], [5, 5], [0.1, 0.1], 0.0) is None


def test_within_bin_correction_recovers_the_fine_auc():
    rng = np.random.default_rng(1)
    score = rng.normal(0, 1, 200_000)
    p = 1 / (1 + np.exp(1.5 - 1.2 * score))
    y = (rng.random(len(p)) < p).astype(int)
    fine = metrics.auc(y, score)
    edges = np.quantile(score, np.arange(1, 8) / 8)
    bin_ = np.searchsorted(edges, score)
    n1, n0 = np.bincount(bin_, y, 8), np.bincount(bin_, 1 - y, 8)
    mean = np.array([p[bin_ == k].mean() for k in range(8)])
    plain = metrics.from_histogram(n1, n0).auc
    better = metrics.from_histogram(n1, n0, mean, within_bin=True).auc
    assert fine - plain > 0.003
    assert abs(better - fine) < 0.4 * (fine - plain)


def test_auc_standard_error_matches_simulation():
    n1 = np.array([20.0, 40, 80, 160])
    n0 = np.array([700.0, 400, 200, 100])
    rng = np.random.default_rng(3)
    drawn = [
        metrics.from_histogram(n1 + rng.normal(0, 3, 4), n0 + rng.normal(0, 3, 4)).auc for _ in range(20_000)
    ]
    found = metrics.auc_standard_error(n1, n0, 9.0, sampling=False)
    assert found == pytest.approx(np.std(drawn), rel=0.05)  # sd of 20,000 draws: 0.5 % standard error
    assert metrics.auc_standard_error(n1, n0, 9.0) > found
    assert metrics.auc_standard_error(n1, n0, 0.0, sampling=False) == 0.0


def test_sampling_error_is_delongs():
    # Two bins of (1, 3) defaults and (3, 1) others, A = .75: placements are .375 and .875 on either side.
    found = metrics.auc_standard_error([1, 3], [3, 1], 0.0)
    assert found == pytest.approx(math.sqrt(2 * (0.375**2 + 3 * 0.125**2) / (4 * 3)))
    assert metrics.area([1, 3], [3, 1], 0.0).value == 0.75


def test_the_ks_of_noisy_counts_stands_where_probabilities_put_it():
    """By hand: the noise of the third bin would make it the largest."""
    n1, n0, p = [10, 20, -30, 70], [60, 30, 20, 10], [0.1, 0.4, 0.6, 0.9]
    found, at = metrics.distance(n1, n0, 100.0, p)
    assert at == 2 and found.value == pytest.approx(90 / 120 - 30 / 70) and found.optimism == 0
    assert metrics.from_histogram(n1, n0, p, variance=100.0).ks == pytest.approx(found.value)
    assert metrics.distance(n1, n0, 0.0, p)[1] == 3


def test_the_interval_of_the_largest_distance_contains_the_truth():
    """Normal classes 1 apart: KS 2 Phi(1 / 2) - 1. With 25 defaults, of 500 samples 95 % are within 3 standard errors.

    The largest distance is .06 too large there; about itself, the interval contains the truth in 83 %.
    """
    from scipy.special import ndtr

    rng, truth = np.random.default_rng(2), 2 * ndtr(0.5) - 1
    found, hits = [], 0
    for _ in range(500):
        risk = np.r_[rng.normal(1, 1, 25), rng.normal(0, 1, 375)]
        label = (np.arange(400) < 25)[np.argsort(risk)]
        one = metrics.distance(label, ~label, 0.0)[0]
        found.append(one)
        hits += one.interval(0.95)[0] <= truth <= one.interval(0.95)[1]
    assert np.mean([f.value - f.optimism for f in found]) == pytest.approx(truth, abs=0.02)
    assert np.mean([f.value for f in found]) > truth + 0.04
    assert hits >= 440


def test_psi_by_hand():
    assert metrics.psi([1, 1], [1, 3]) == pytest.approx(0.25 * math.log(1.5) + 0.25 * math.log(2))
    assert math.isfinite(metrics.psi([0, 10], [10, 0]))


@pytest.mark.parametrize(
    "call",
    [
        lambda: metrics.psi([1], [1, 2]),
        lambda: metrics.from_histogram([1], [1, 2]),
        lambda: metrics.from_histogram([1, 2], [1, 2], within_bin=True),
        lambda: metrics.from_histogram([1, math.nan], [1, 2]),
        lambda: metrics.auc_standard_error([1, 2], [1, 2], -1.0),
    ],
)
def test_bad_histograms_are_refused(call):
    with pytest.raises(ConfigError):
        call()


@pytest.mark.parametrize(
    ("y", "p"), [([0, 2], [0.1, 0.2]), ([0, 1], [0.1, math.nan]), ([0, 1], [0.1]), ([], [])]
)
def test_bad_rows_are_refused(y, p):
    with pytest.raises(DataError):
        metrics.auc(y, p)
