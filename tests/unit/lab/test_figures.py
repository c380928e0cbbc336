"""Figures of a model on a hold-out, by hand and against scikit-learn."""

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from fedrisk.errors import DataError
from fedrisk.lab.figures import figures


def drawn(rows=4000, slope=1.0, seed=3):
    rng = np.random.default_rng(seed)
    stated = rng.normal(-1.2, 1.1, rows)
    label = (rng.random(rows) < expit(0.3 + slope * stated)).astype(float)
    return label, expit(stated)


def test_figures_are_those_of_scikit_learn():
    label, p = drawn()
    found = figures(label, p)
    assert found["auc"] == pytest.approx(roc_auc_score(label, p))
    assert found["brier"] == pytest.approx(brier_score_loss(label, p))
    assert found["log_loss"] == pytest.approx(log_loss(label, p))
    assert found["auc_low"] < found["auc"] < found["auc_high"]


@pytest.mark.parametrize("slope", [0.5, 1.0, 1.6])
def test_the_line_of_recalibration_is_found(slope):
    # 40,000 rows leave standard errors of about .015.
    label, p = drawn(40_000, slope)
    found = figures(label, p)
    assert found["calibration_slope"] == pytest.approx(slope, abs=0.08)
    assert found["calibration_intercept"] == pytest.approx(0.3, abs=0.08)


def test_intercept_and_slope_leave_nothing_to_recalibrate():
    label, p = drawn(3000, 0.6)
    first = figures(label, p)
    better = expit(first["calibration_intercept"] + first["calibration_slope"] * logit(p))
    again = figures(label, better)
    assert again["calibration_slope"] == pytest.approx(1, abs=1e-6)
    assert again["calibration_intercept"] == pytest.approx(0, abs=1e-6)


def test_the_interval_covers_as_often_as_it_says():
    """Of 200 hold-outs 95 % of the intervals cover the true AUC; fewer than 180 would be a chance of 1e-4."""
    whole, p = drawn(400_000, seed=5)
    true = roc_auc_score(whole, p)
    inside = 0
    for k in range(200):
        part = slice(2000 * k, 2000 * (k + 1))
        found = figures(whole[part], p[part])
        inside += found["auc_low"] <= true <= found["auc_high"]
    assert inside >= 180


def test_where_all_labels_are_equal_only_losses_are_told():
    found = figures([0, 0], [0.1, 0.2])
    assert found["auc"] is None and found["calibration_slope"] is None
    assert found["brier"] == pytest.approx(0.025)


def test_one_certain_mistake_has_a_bounded_loss():
    assert figures([1, 0], [0.0, 0.5])["log_loss"] < 8


def test_what_is_no_probability_or_label_is_refused():
    with pytest.raises(DataError, match="between 0 and 1"):
        figures([0, 1], [0.2, 1.2])
    with pytest.raises(DataError, match="no rows"):
        figures([], [])
