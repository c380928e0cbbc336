"""Figures by group: by hand without noise, and withheld where they say less than their noise."""

from types import SimpleNamespace

import numpy as np
import pytest

from fedrisk.analysis.fairness import fairness
from fedrisk.releases.record import ReleasedBlock, ReleasedSums

# Bands below .1, to .2, above; cut-off .2. Defaults before others.
COUNTS = np.array(
    [
        [[10, 290], [20, 180], [50, 50]],
        [[4, 96], [16, 84], [100, 100]],
        [[0, 0], [0, 0], [0, 0]],
    ],
    float,
)
PREDICTED = (0.05, 0.15, 0.4)


def record(counts=COUNTS, variance=0.0, levels=("trade", "farming", "(unknown)")):
    about = {
        "columns": [{"name": "sector", "categories": levels}],
        "band_edges": [0.1, 0.2],
        "cut_offs": [0.2],
        "predicted": PREDICTED,
    }
    block = ReleasedBlock(name="by sector", left="bank", right="bank", total=counts, variance=variance)
    sums = ReleasedSums(name="groups", population="holdout", mu=0.1, blocks=(block,), about=about)
    return SimpleNamespace(find=lambda name: sums if name == "groups" else None, research=False)


def test_figures_of_groups_by_hand():
    found = fairness(record())
    trade, farming, unknown = found.columns[0].groups
    assert trade.size.value == 600
    assert trade.observed.value == pytest.approx(80 / 600)
    # 300 * .05 + 200 * .15 + 100 * .4 = 85
    assert trade.predicted.value == pytest.approx(85 / 600)
    assert trade.calibration.value == pytest.approx(80 / 85)
    assert trade.approvals[0].rate.value == pytest.approx(500 / 600)
    assert farming.approvals[0].rate.value == pytest.approx(0.5)
    assert farming.approvals[0].ratio.value == pytest.approx(0.6)
    assert farming.approvals[0].four_fifths == "below"
    assert trade.approvals[0].ratio.error == 0
    assert not unknown.says
    assert found.withheld == 1
    assert found.together.size.value == 1000


def test_auc_of_a_group_by_hand():
    (trade, *_), _ = fairness(record()).columns[0].groups, None
    n1, n0 = COUNTS[0].T
    pairs = sum(n1[i] * (n0[:i].sum() + n0[i] / 2) for i in range(3))
    assert trade.auc.value == pytest.approx(pairs / (80 * 520))


def test_intervals_contain_the_noise():
    exact, noisy = (fairness(record(variance=v)).columns[0].groups[0] for v in (0.0, 25.0))
    for name in ("size", "observed", "predicted", "calibration", "auc"):
        assert getattr(noisy, name).error > getattr(exact, name).error, name
    assert exact.size.error == 0
    # Six cells of deviation 5.
    assert noisy.size.error == pytest.approx(5 * 6**0.5)


def test_a_group_that_says_less_than_its_noise_has_no_figure():
    found = fairness(record(variance=200.0**2))
    assert found.withheld == 3
    for group in found.columns[0].groups:
        assert group.size is None and group.observed is None and group.auc is None and group.approvals == ()
    assert found.differences == ()


def test_rates_are_withheld_where_defaults_drown_and_sizes_do_not():
    """Size 600 against a deviation of 74; 80 defaults against 52."""
    group = fairness(record(variance=900.0)).columns[0].groups[0]
    assert group.says
    assert group.observed is None and group.calibration is None and group.auc is None


def test_differences_are_adjusted_over_all_comparisons():
    found = fairness(record())
    approvals = [d for d in found.differences if d.measure == "approval"]
    assert {d.level for d in approvals} == {"trade", "farming"}
    assert approvals[0].value == pytest.approx(500 / 600 - 0.5)
    assert all(d.sure for d in approvals)
    for d in found.differences:
        assert d.p <= d.adjusted <= 1
    smallest = min(found.differences, key=lambda d: d.p)
    assert smallest.adjusted == pytest.approx(min(1, len(found.differences) * smallest.p))


def test_noise_alone_makes_no_sure_difference():
    """Two halves of one population; adjusted at 5 %, two of 200 sure ones in 40 runs would already be too many by far."""
    rng, sure = np.random.default_rng(3), 0
    for _ in range(40):
        half = rng.multinomial(6000, (COUNTS[0] / COUNTS[0].sum()).ravel(), size=2).reshape(2, 3, 2)
        noisy = half + rng.normal(0, 12, half.shape)
        found = fairness(record(noisy, variance=144.0, levels=("a", "b")))
        sure += any(d.sure for d in found.differences)
    # Expected 2 at most; more than 9 with a chance below 1e-4.
    assert sure <= 9


def test_a_record_without_groups_has_no_figures():
    assert fairness(SimpleNamespace(find=lambda name: None, research=False)) is None
