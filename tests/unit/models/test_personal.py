"""Personal models: the regression by hand, what strengths do, and banks that are like the others or not."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.sparse import csr_array
from scipy.special import expit

from fedrisk.errors import ConfigError, DataError
from fedrisk.metrics import auc
from fedrisk.models import personal
from fedrisk.models.personal import (
    LinearModel,
    fit_linear,
    folds_of,
    log_loss_terms,
    personal_models,
    stratified_folds,
    without_fold,
)

pytestmark = pytest.mark.slow


def bank(weights, n=600, seed=0, intercept=-1.0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, len(weights))) / np.sqrt(len(weights))
    return x, (rng.random(n) < expit(intercept + x @ weights)).astype(float)


def spans(k):
    return tuple((j, j + 1) for j in range(k))


def test_the_regression_minimises_what_it_says():
    x, y = bank(np.array([2.0, -1.0, 0.0]), 200)
    ridge, centre = np.array([1.0, 5.0, 20.0]), np.array([1.0, 0.0, -1.0])

    def loss(v):
        return log_loss_terms(v[0] + x @ v[1:], y).sum() + 0.5 * (ridge * (v[1:] - centre) ** 2).sum()

    expected = minimize(loss, np.zeros(4), tol=1e-10).x
    weights, intercept = fit_linear(x, y, ridge, centre)
    np.testing.assert_allclose(np.r_[intercept, weights], expected, atol=1e-4)


def test_the_regression_holds_on_separable_rows():
    x, y = np.array([[-50.0], [-49.0], [49.0], [50.0]]), np.array([0.0, 0, 1, 1])
    weights, _ = fit_linear(x, y, np.array([1e-3]))
    assert 0 < weights[0] < 10


def test_great_strength_is_recalibration():
    x, y = bank(np.array([2.0, -1.0]), 500)
    centre = np.array([2.0, -1.0])
    weights, intercept = fit_linear(x, y, np.full(2, 1e9), centre)
    np.testing.assert_allclose(weights, centre, atol=1e-5)
    assert expit(intercept + x @ weights).mean() == pytest.approx(y.mean(), abs=1e-6)


def test_wrong_arguments_are_refused():
    x, y = bank(np.ones(2), 50)
    with pytest.raises(ConfigError, match="positive"):
        fit_linear(x, y, np.zeros(2))
    with pytest.raises(DataError, match="fit_linear"):
        fit_linear(x, y[:-1], np.ones(2))
    with pytest.raises(DataError, match="one entry"):
        personal_models(x, y, np.ones(50, bool), np.zeros(49), x, spans(2), total_rows=100)


def test_folds_spread_both_classes():
    y = np.r_[np.zeros(37), np.ones(13)]
    folds = stratified_folds(y, 5, 1)
    for side in (0, 1):
        sizes = np.bincount(folds[y == side], minlength=5)
        assert sizes.max() - sizes.min() <= 1
    assert (folds == stratified_folds(y, 5, 1)).all() and (folds != stratified_folds(y, 5, 2)).any()


def test_taking_a_fold_out_agrees_with_training_without_it():
    x, y = bank(np.array([1.5, -1.0, 0.5]), 800)
    ridge = np.full(3, 800 / 1500)
    weights, intercept = fit_linear(x, y, ridge)
    folds = stratified_folds(y, 5, 0)
    curves = x * weights
    clean, total = without_fold(x, y, intercept + x @ weights, curves, spans(3), folds, 800)
    for k in range(5):
        without, constant = fit_linear(x[folds != k], y[folds != k], ridge)
        exact = constant + x[folds == k] @ without
        moved = exact - (intercept + x[folds == k] @ weights)
        left = exact - total[folds == k]
        assert np.abs(left).max() < 0.25 * np.abs(moved).max()
        np.testing.assert_allclose(
            clean[folds == k], x[folds == k] * without, atol=0.25 * np.abs(curves).max() * 0.2
        )


def test_a_small_bank_like_the_others_gains():
    truth = np.random.default_rng(5).normal(0, 3, 40)
    gains = []
    for seed in range(5):
        x, y = bank(truth, 2400, seed)
        train = np.arange(2400) < 300
        found = personal_models(x, y, train, x @ truth - 1, x * truth, spans(40), total_rows=20_000)
        test = ~train
        gains.append(auc(y[test], found.logits["personal"][test]) - auc(y[test], found.logits["local"][test]))
        assert found.best in ("shared", "personal")
        assert found.validation["shared"].log_loss < found.validation["local"].log_loss
    assert min(gains) > 0


def test_a_bank_that_differs_loses_little():
    truth = np.random.default_rng(5).normal(0, 3, 10)
    for seed in range(3):
        x, y = bank(truth, 4000, seed)
        train = np.arange(4000) < 2000
        found = personal_models(x, y, train, -x @ truth, -x * truth, spans(10), total_rows=20_000)
        test = ~train
        local, personal, shared = (
            auc(y[test], found.logits[k][test]) for k in ("local", "personal", "shared")
        )
        assert personal > local - 0.005 > 0.7 and shared < 0.5
        assert found.best != "shared"


def test_with_too_few_labels_the_shared_model_is_best():
    x, y = bank(np.ones(3), 60)
    y[:] = 0
    y[:9] = 1
    found = personal_models(x, y, np.ones(60, bool), x.sum(1), x, spans(3), total_rows=600)
    assert found.best == "shared" and not found.models and not found.validation


def test_hold_out_rows_are_not_looked_at():
    x, y = bank(np.ones(4), 500)
    train = np.arange(500) < 300
    other = y.copy()
    other[~train] = 1 - other[~train]
    a, b = (personal_models(x, v, train, x.sum(1), x, spans(4), total_rows=900) for v in (y, other))
    assert a.best == b.best and a.validation == b.validation
    np.testing.assert_array_equal(a.logits["personal"], b.logits["personal"])


def test_a_model_says_what_its_parts_say():
    model = LinearModel(0.5, np.array([2.0]), np.array([1.0, -1.0]))
    assert model.logits(np.array([[3.0, 1.0]]), np.array([[0.25]])).tolist() == [3.0]


def test_a_sparse_design_is_the_same():
    x, y = bank(np.array([1.5, -1.0, 0.5]), 300)
    x[np.abs(x) < 0.3] = 0.0
    folds, shared, parts = stratified_folds(y, 3, 0), x.sum(1), ((0, 2), (2, 3))
    curves = np.stack([x[:, :2].sum(1), x[:, 2], y], 1)  # the last one has no columns
    dense, sparse = (without_fold(d, y, shared, curves, parts, folds, 900) for d in (x, csr_array(x)))
    for one, other in zip(dense, sparse, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)
    assert (dense[0][:, 2] == y).all() and (dense[0][:, :2] != curves[:, :2]).any(0).all()


def test_a_bank_with_many_rows_chooses_strengths_by_some(monkeypatch):
    """Its models are hardly others, and each training row still has a prediction that did not see it."""
    weights = np.array([1.5, -1.0, 0.5])
    x, y = bank(weights, 1200)
    args = (x, y, np.ones(1200, bool), x @ weights - 1, x * weights, spans(3))
    slow = personal_models(*args, total_rows=5000)
    monkeypatch.setattr(personal, "CHOICE_ROWS", 500)
    assert set(folds_of(y)) == {0, 1, 2, 3, 4}
    some = personal._some_rows(y)
    assert 400 <= some.sum() <= 402 and y[some].mean() == pytest.approx(y.mean(), abs=0.005)
    fast = personal_models(*args, total_rows=5000)
    assert fast.held_out["personal"].shape == y.shape
    assert auc(y, fast.held_out["personal"]) == pytest.approx(auc(y, slow.held_out["personal"]), abs=0.01)
    assert np.corrcoef(fast.logits["personal"], slow.logits["personal"])[0, 1] > 0.98


def test_log_loss_is_stable_for_large_log_odds():
    z = np.array([-800.0, -30.0, 0.0, 30.0, 800.0])
    np.testing.assert_allclose(log_loss_terms(z, np.zeros(5)), np.logaddexp(0, z), rtol=1e-14)
