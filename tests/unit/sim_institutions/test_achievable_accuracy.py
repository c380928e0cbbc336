"""What is computed from accuracies and histories, by hand; models are fitted in tests/studies."""

import numpy as np
import pytest

from sim_institutions.achievable_accuracy import AchievableAccuracy, shape
from sim_institutions.random_streams import MONTHS


def test_gain_and_share_are_means_over_banks():
    at = AchievableAccuracy(
        alone={"a": 0.70, "b": 0.74},
        pooled={"a": 0.80, "b": 0.80},
        additive={"a": 0.78, "b": 0.78},
        everything=0.82,
        best_column=(0.7, "bank.limit_use"),
    )
    assert at.gain == pytest.approx(0.08)
    assert at.additive_share == pytest.approx(0.75)


def test_the_shape_of_a_history_is_free_of_its_level():
    path = np.linspace(1, 2, MONTHS, dtype=np.float32)
    small, large = np.expm1(path)[None], np.expm1(path + 1)[None]
    columns = shape(np.concatenate([small, large]))
    assert columns.shape == (2, MONTHS + 1 + 9)
    level = MONTHS
    assert np.allclose(np.delete(columns[0], level), np.delete(columns[1], level), atol=1e-4)
    assert columns[1, level] - columns[0, level] == pytest.approx(1, abs=1e-4)


def test_a_history_without_months_has_no_shape():
    columns = shape(np.full((1, MONTHS), np.nan, dtype=np.float32))
    assert np.isnan(columns).all()
