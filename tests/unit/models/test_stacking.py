"""Stacking: weights by hand, votes for few rows, evidence for many, and what is refused."""

import numpy as np
import pytest
from scipy.special import expit

from fedrisk.errors import DataError
from fedrisk.models.stacking import RIDGE, averaged, stacking_weights


def rows(n, seed=0):
    """Two halves of the truth, a model that knows each, one that knows nothing; labels."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, n))
    label = (rng.random(n) < expit(a + b)).astype(float)
    return {"a": a, "b": b, "none": 2 * rng.normal(size=n)}, label


def test_weights_minimise_loss_and_pull():
    held, y = rows(400)
    two = {k: held[k] for k in ("a", "none")}
    found = stacking_weights(two, y, {"a": 1, "none": 1})

    def loss(w):
        z = w * held["a"] + (1 - w) * held["none"]
        return np.logaddexp(0, z).sum() - y @ z + RIDGE / 2 * 2 * (w - 0.5) ** 2

    grid = np.linspace(0, 1, 2001)
    assert found["a"] == pytest.approx(grid[np.argmin([loss(w) for w in grid])], abs=2e-3)
    assert sum(found.values()) == pytest.approx(1)


def test_few_rows_follow_the_votes_and_many_the_evidence():
    votes = {"a": 2, "b": 1, "none": 1}
    held, y = rows(20_000)
    few = stacking_weights({k: v[:6] for k, v in held.items()}, y[:6], votes)
    assert [few[k] for k in votes] == pytest.approx([0.5, 0.25, 0.25], abs=0.05)
    many = stacking_weights(held, y, votes)
    assert many["none"] < 0.02 and many["a"] == pytest.approx(many["b"], abs=0.05)
    assert all(0 <= w <= 1 for w in many.values())


def test_one_model_and_equal_models():
    held, y = rows(50)
    assert stacking_weights({"a": held["a"]}, y, {"a": 3}) == {"a": 1.0}
    same = stacking_weights({"x": held["a"], "y": held["a"]}, y, {"x": 3, "y": 1})
    assert same == pytest.approx({"x": 0.75, "y": 0.25}, abs=1e-6)


def test_great_log_odds_stay_finite():
    y = np.array([0.0, 1, 0, 1])
    held = {"x": 1e4 * np.array([1.0, -1, 1, -1]), "y": np.zeros(4)}
    weights = stacking_weights(held, y, {"x": 1, "y": 1})
    assert sum(weights.values()) == pytest.approx(1) and weights["y"] > 0.9
    assert np.isfinite(averaged(held, weights)).all()


def test_what_does_not_fit_is_refused():
    held, y = rows(50)
    with pytest.raises(DataError, match="same models"):
        stacking_weights(held, y, {"a": 1})
    with pytest.raises(DataError, match="same models"):
        stacking_weights({"a": held["a"]}, y[:-1], {"a": 1})
    with pytest.raises(DataError, match="same models"):
        stacking_weights({}, y, {})
    with pytest.raises(DataError, match="finite"):
        stacking_weights({"a": np.full(50, np.nan)}, y, {"a": 1})
