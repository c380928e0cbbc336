"""Variances with known errors taken out, and robust middles."""

import numpy as np
import pytest

from fedrisk.analysis.random_effects import HUBER, excess_variance, huber_weights, weighted_median


@pytest.mark.parametrize("truth", [0.0, 0.5, 4.0])
def test_known_errors_are_subtracted(truth):
    rng = np.random.default_rng(3)
    errors = rng.uniform(0.5, 3.0, 20_000)
    residuals = rng.normal(0, np.sqrt(errors + truth))
    assert excess_variance(residuals, errors) == pytest.approx(truth, abs=0.08)


def test_a_share_of_the_variance():
    rng = np.random.default_rng(4)
    errors, share = np.ones(20_000), rng.uniform(1, 3, 20_000)
    residuals = rng.normal(0, np.sqrt(errors + share * 2.0))
    assert excess_variance(residuals, errors, share) == pytest.approx(2.0, rel=0.06)


def test_shocks_among_the_residuals_hardly_count():
    rng = np.random.default_rng(5)
    residuals = rng.normal(0, np.sqrt(3.0), 10_000)
    residuals[:500] += 20
    assert excess_variance(residuals, np.ones(10_000)) == pytest.approx(2.0, rel=0.25)
    assert np.mean(residuals**2) - 1 > 15


def test_rare_events_have_a_variance():
    """Nine in ten never move, so that their middle is 0."""
    residuals = np.r_[np.zeros(900), np.ones(100)]
    assert excess_variance(residuals, np.zeros(1000)) > 0.005


def test_too_few_or_no_residuals():
    assert excess_variance(np.array([1.0, 2.0]), np.zeros(2)) == 0.0
    assert excess_variance(np.full(9, np.nan), np.zeros(9)) == 0.0


def test_the_weighted_median_passes_over_what_is_missing():
    values = np.array([[3.0, 1.0, np.nan, 2.0], [np.nan, np.nan, np.nan, np.nan]])
    weights = np.array([[1.0, 1.0, 100.0, 1.0], [1.0, 1.0, 1.0, 1.0]])
    assert weighted_median(values, weights).tolist() == [2.0, 0.0]


def test_hubers_middle_of_one_outlier():
    """Three figures at -1, 0, 1 and one far off: it pulls as one at HUBER standard deviations would."""
    values = np.array([-1.0, 0.0, 1.0, 100.0])[:, None]
    weights = huber_weights(values, np.ones((4, 1)), np.ones((4, 1), dtype=bool))
    middle = float((weights * values).sum())
    assert weights.sum() == pytest.approx(1.0)
    assert middle == pytest.approx(HUBER / 3, abs=0.02)
    assert values.mean() == 25


def test_figures_that_are_not_used_have_no_weight():
    use = np.array([[True], [False], [True]])
    weights = huber_weights(np.array([[1.0], [np.nan], [3.0]]), np.ones((3, 1)), use)
    assert weights[:, 0].tolist() == pytest.approx([0.5, 0.0, 0.5])
    assert huber_weights(np.full((3, 1), np.nan), np.ones((3, 1)), np.zeros((3, 1), dtype=bool)).sum() == 0
