"""Gains and cut-offs by hand, and with ties."""

import numpy as np
import pytest

from fedrisk.models.gains import APPROVED, cutoffs, gains, table_of

LABEL = [1, 1, 0, 1, 0, 0, 0, 0, 0, 0]
RISK = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05]


def test_gains_by_hand():
    first, second, *rest = gains(LABEL, RISK, 5)
    assert first == {
        "customers": 2,
        "defaults": 2,
        "rate": 1.0,
        "caught": pytest.approx(2 / 3),
        "lift": 1 / 0.3,
    }
    assert (second["defaults"], second["caught"]) == (1, 1.0)
    assert [g["defaults"] for g in rest] == [0, 0, 0]


def test_rows_of_one_risk_stay_together():
    risk = np.array([0.5] * 10)
    (all_of_them,) = gains(LABEL, risk)
    assert (all_of_them["customers"], all_of_them["caught"], all_of_them["lift"]) == (10, 1.0, 1.0)
    for cut in cutoffs(LABEL, risk):
        assert (cut["approved"], cut["refused_rate"], cut["kept_out"]) == (1.0, None, 0.0)


def test_cutoffs_by_hand():
    (cut,) = cutoffs(LABEL, RISK, (0.6,), scores=[10, 20, 30, 40, 50, 60, 70, 80, 90, 95])
    assert cut == {
        "wanted": 0.6,
        "approved": 0.6,
        "risk": 0.5,
        "default_rate": 0.0,
        "refused_rate": 0.75,
        "kept_out": 1.0,
        "score": 50,
    }


def test_no_more_are_approved_than_was_asked_for():
    rng = np.random.default_rng(0)
    risk = rng.integers(0, 30, 500) / 30
    label = rng.random(500) < risk
    for cut in cutoffs(label, risk):
        assert cut["approved"] <= cut["wanted"]
    assert [cut["wanted"] for cut in cutoffs(label, risk)] == list(APPROVED)
    groups = gains(label, risk)
    assert sum(g["customers"] for g in groups) == 500 and groups[-1]["caught"] == pytest.approx(1.0)


def test_the_table_has_the_figures_of_the_metrics():
    table = table_of(LABEL, RISK)
    assert table["auc"] == pytest.approx(20 / 21) and table["gini"] == pytest.approx(2 * 20 / 21 - 1)
