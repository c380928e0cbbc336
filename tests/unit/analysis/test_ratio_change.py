"""Ratios of cells in two releases: false alarms no more frequent than stated, also where denominators are mostly noise."""

import numpy as np
import pytest

from fedrisk.analysis.ratio_change import Cells, ratio_change

PAIRS = 100
TOLERANCE = 0.0545
"""2.5 deviations of the rate of 100 trials at .05."""


def shares(rng, sizes, part, noise):
    n = len(sizes)
    ones = rng.poisson(sizes * part) + rng.normal(0, noise, n)
    others = rng.poisson(sizes * (1 - part)) + rng.normal(0, noise, n)
    return Cells.of_share(ones, others, noise**2)


@pytest.mark.parametrize(("enterprises", "noise"), [(20_000, 10.0), (500, 10.0), (400, 1.0), (100, 0.0)])
def test_false_alarms_of_shares(enterprises, noise):
    rng, alarms = np.random.default_rng(enterprises), 0
    for _ in range(PAIRS):
        sizes, part = enterprises * rng.dirichlet(np.ones(12)), rng.uniform(0, 0.4, 12)
        found = ratio_change(shares(rng, sizes, part, noise), shares(rng, sizes * 1.2, part, noise))
        alarms += found.degrees > 0 and found.p <= 0.05
    assert alarms / PAIRS <= 0.05 + TOLERANCE


@pytest.mark.parametrize("sizes", [np.full(10, 30.0), np.full(10, 2000.0)])
def test_false_alarms_of_means(sizes):
    rng, alarms = np.random.default_rng(4), 0

    def cells(means):
        counts = rng.poisson(sizes)
        total = np.array(
            [
                rng.choice([-1.0, 1.0], k, p=[(1 - m) / 2, (1 + m) / 2]).sum()
                for k, m in zip(counts, means, strict=True)
            ]
        )
        noise = np.full(10, 100.0)
        return Cells(
            count=counts + rng.normal(0, 10, 10),
            total=total + rng.normal(0, 10, 10),
            of_count=noise,
            of_total=noise,
            together=np.zeros(10),
        )

    for _ in range(PAIRS):
        means = rng.uniform(-0.9, 0.9, 10)
        alarms += ratio_change(cells(means), cells(means), -1.0).p <= 0.05
    assert alarms / PAIRS <= 0.05 + TOLERANCE


def test_a_cell_that_changed_is_named_by_its_chance():
    rng = np.random.default_rng(1)
    sizes, before = np.full(6, 3000.0), np.full(6, 0.2)
    after = before.copy()
    after[4] = 0.3
    found = ratio_change(shares(rng, sizes, before, 10.0), shares(rng, sizes, after, 10.0))
    assert found.p < 1e-6
    assert int(np.argmin(found.by_cell)) == 4
    assert found.old == pytest.approx(0.2, abs=0.01)


def test_exact_equal_ratios_are_no_change():
    cells = Cells.of_share(np.array([10.0, 20.0]), np.array([30.0, 20.0]), 0.0)
    found = ratio_change(cells, cells)
    assert found.statistic == pytest.approx(0.0, abs=1e-3)
    assert found.p > 0.99


def test_cells_of_too_few_are_left_out():
    cells = Cells.of_share(np.array([1.0, 900.0]), np.array([2.0, 800.0]), 0.0)
    found = ratio_change(cells, cells)
    assert found.degrees == 1
    assert np.isnan(found.by_cell[0])
