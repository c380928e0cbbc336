"""Figures of a run, from its roster and what its recipe left."""

from types import SimpleNamespace

import numpy as np
import pytest

from fedrisk.metrics import from_histogram
from fedrisk.server import summary

pytestmark = pytest.mark.slow


def test_histograms_of_banks_are_laid_end_to_end_by_risk():
    a = (np.array([1.0, 3.0]), np.array([5.0, 2.0]), np.array([0.1, 0.4]))
    b = (np.array([2.0]), np.array([4.0]), np.array([0.2]))
    n1, n0, risk = summary.pooled({"a": a, "b": b})
    assert (n1.tolist(), n0.tolist(), risk.tolist()) == ([1, 2, 3], [5, 4, 2], [0.1, 0.2, 0.4])
    same = summary.pooled({"a": a, "b": a})
    assert (same[0].tolist(), same[1].tolist()) == ([2, 6], [10, 4])
    assert summary.pooled({"a": a}) is a
    assert summary.pooled({}) is None


def test_figures_by_bank(finished):
    """A private study publishes them only if it says so; never the banks' own models without noise."""
    counts = {
        "b1": (np.array([1.0, 4.0]), np.array([6.0, 2.0]), np.array([0.1, 0.6])),
        "b2": (np.array([2.0, 2.0]), np.array([5.0, 5.0]), np.array([0.1, 0.6])),
    }
    released = SimpleNamespace(evaluation=counts, figures={}, pooled_variance=0.0)

    def roster(by_bank, seed=None):
        study = SimpleNamespace(evaluation=SimpleNamespace(by_bank=by_bank), banks=("b1", "b2"))
        return SimpleNamespace(study=study, research_seed=seed, labelled_holdout={"b1": 13, "b2": 14})

    assert summary._by_bank(roster(False), released) is None
    table = summary._by_bank(roster(True), released)
    assert list(table) == ["b1", "b2"]
    assert table["b1"].auc == pytest.approx(from_histogram(*counts["b1"]).auc)
    assert table["b2"].auc == pytest.approx(0.5)
    assert [t.holdout for t in table.values()] == [13, 14]
    assert table["b1"].alone_auc is None
    assert summary._by_bank(roster(False, seed=1), released) == table
    total = SimpleNamespace(evaluation={"bank": counts["b1"]}, figures={}, pooled_variance=0.0)
    assert summary._by_bank(roster(True), total) is None  # one histogram of all banks is no bank's
