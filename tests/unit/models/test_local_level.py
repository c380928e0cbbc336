"""Levels that wander: hand-computed cases, honest variances, and what jumps do."""

import numpy as np
import pytest

from fedrisk.models.local_level import Candidates, Observed, levels, posterior_shares


def observed(value: np.ndarray, noise: float = 1.0, **changed: object) -> Observed:
    """Series of one or more elements, (S, J, B), of sizes 1 and no sampling."""
    studies, series, elements = value.shape
    parts = {
        "value": value,
        "noise": np.full(value.shape, noise),
        "seen": np.ones((studies, series), bool),
        "valid": np.ones((series, elements), bool),
        "size": np.ones((series, elements)),
        "sampling": np.zeros((series, elements)),
        "jumps": np.full((studies, series), 1e-12),
    }
    return Observed(**{**parts, **changed})


def test_levels_that_stand_still_are_averaged():
    value = np.array([1.0, 2.0, 6.0]).reshape(3, 1, 1)
    found = levels(observed(value), Candidates.of((0.0,)))
    assert found.mean.ravel() == pytest.approx([3.0, 3.0, 3.0])
    assert found.variance.ravel() == pytest.approx([1 / 3] * 3)
    assert found.weights.ravel() == pytest.approx([1 / 3] * 3)


def test_one_step_of_a_walk_by_hand():
    # Variance 1 ahead of a step of variance 1: 2; the gain is 2 / 3.
    found = levels(observed(np.array([0.0, 3.0]).reshape(2, 1, 1)), Candidates.of((1.0,)))
    assert found.mean[1].item() == pytest.approx(2.0)
    assert found.variance[1].item() == pytest.approx(2 / 3)
    # Back: by symmetry the first study's level is a third of the way.
    assert found.mean[0].item() == pytest.approx(1.0)
    assert found.variance[0].item() == pytest.approx(2 / 3)


def test_smoothing_is_the_regression_on_all_observations():
    rng = np.random.default_rng(1)
    value, walk, noise = rng.normal(size=(6, 1, 1)), 0.7, 1.3
    found = levels(observed(value, noise), Candidates.of((walk,)))
    steps = np.diff(np.eye(6), axis=0)
    precision = np.eye(6) / noise + steps.T @ steps / walk**2
    assert found.mean.ravel() == pytest.approx(np.linalg.solve(precision, value.ravel() / noise), abs=1e-5)
    assert found.variance.ravel() == pytest.approx(np.diag(np.linalg.inv(precision)), abs=1e-5)
    assert found.weights.ravel() @ value.ravel() == pytest.approx(found.mean[-1].item(), abs=1e-6)


def test_a_study_without_a_series_leaves_it_to_the_others():
    value = np.array([1.0, 99.0, 3.0]).reshape(3, 1, 1)
    seen = np.array([[True], [False], [True]])
    found = levels(observed(value, seen=seen), Candidates.of((0.0,)))
    assert found.mean[2].item() == pytest.approx(2.0)
    assert found.weights.ravel() == pytest.approx([0.5, 0.0, 0.5])


def test_a_series_may_begin_late():
    value = np.array([99.0, 2.0, 4.0]).reshape(3, 1, 1)
    seen = np.array([[False], [True], [True]])
    found = levels(observed(value, seen=seen), Candidates.of((0.0,)))
    assert found.mean[2].item() == pytest.approx(3.0)
    assert found.surprise[1].item() == 1.0


def test_the_walk_is_learnt_from_all_series():
    rng = np.random.default_rng(2)
    walks = (0.0, 0.1, 1.0)
    path = np.cumsum(rng.normal(0, 1.0, (10, 30, 4)), 0)
    moving = levels(observed(path + rng.normal(size=path.shape)), Candidates.of(walks))
    still = levels(observed(rng.normal(size=path.shape)), Candidates.of(walks))
    assert moving.posterior[2].mean() > 0.95
    assert still.posterior[2].mean() < 0.05


def test_stated_variances_are_those_of_the_errors():
    rng = np.random.default_rng(3)
    path = np.cumsum(rng.normal(0, 0.3, (12, 200, 8)), 0)
    value = path + rng.normal(size=path.shape)
    found = levels(observed(value, jumps=None), Candidates.of((0.0, 0.1, 0.3, 1.0)))
    z = (found.mean - path) / np.sqrt(found.variance)
    # 1,600 errors in each of 12 studies: the standard error of their standard deviation is below .02.
    assert np.sqrt((z**2).mean((1, 2))) == pytest.approx(np.ones(12), abs=0.08)


def test_a_jump_is_seen_and_the_past_forgotten():
    rng = np.random.default_rng(4)
    value = rng.normal(0, 0.1, (8, 20, 10))
    value[5:, 0] += np.where(np.arange(10) % 2, 1.0, -1.0)
    found = levels(observed(value, 0.01, jumps=None), Candidates.of((0.0, 0.1)))
    assert found.jumped[5, 0] > 0.99
    assert found.surprise[5, 0] < 1e-6
    assert found.weights[:5, 0].sum(0).max() < 0.05
    assert found.weights[:5, 1:].sum(0).min() > 0.4


def test_false_alarms_at_their_rate():
    rng = np.random.default_rng(5)
    value = rng.normal(size=(12, 400, 6))
    found = levels(observed(value, jumps=None), Candidates.of((0.0, 0.1)))
    # 4,400 tests at .01: 44 expected, standard deviation 6.6.
    assert (found.surprise < 0.01).sum() < 70


def test_redrawn_sampling_is_averaged_away_and_not_counted():
    rng = np.random.default_rng(6)
    value = rng.normal(0, np.sqrt(1 + 9), (12, 100, 5))
    candidates = Candidates.of((0.0,), redrawn=(0.0, 1.0))
    found = levels(observed(value, sampling=np.full((100, 5), 9.0)), candidates)
    assert found.posterior[1].min() > 0.9
    # 10 / 12 is less than the sampling variance that is added later on.
    assert found.variance[-1].mean() == pytest.approx(10 / 12, abs=0.05)
    assert found.noise[-1].mean() < 0.05


def test_shares_of_candidates_follow_their_prior_where_there_is_no_evidence():
    prior = np.array([0.2, 0.8])
    assert posterior_shares(np.zeros((2, 3)), prior)[:, 0] == pytest.approx(prior, abs=1e-9)


def test_studies_without_noise_are_no_trouble():
    value = np.ones((3, 1, 2))
    found = levels(observed(value, 0.0), Candidates.of((0.0, 0.1)))
    assert np.isfinite(found.mean).all()
    assert found.mean[-1].ravel() == pytest.approx([1.0, 1.0])
