"""Figures of the index from release records: what they are without noise, their errors with it, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from fedrisk.analysis.fragility_panel import CellSums, assemble, panel_of
from fedrisk.errors import ConfigError
from fedrisk.releases.statistics import RELEASE, Measure
from support import quarters

ROWS = np.full(len(quarters.CELLS), 400.0)
SETTINGS = quarters.settings(5)


def records(sigma, seed=0):
    means = quarters.moves(5, 1)
    return means, [[quarters.record(means[:, q], ROWS, sigma, seed + q)] for q in range(5)]


def test_without_noise_the_figures_are_the_means():
    means, found = records(0.0)
    panel = panel_of(SETTINGS, found)
    assert panel.cells == tuple(sorted(quarters.CELLS))
    order = [quarters.CELLS.index(cell) for cell in panel.cells]
    # Bounds are -2 and 2.
    assert np.allclose(panel.values, 2 * means[:, :, order])
    assert np.allclose(panel.rows, 400)
    assert not panel.errors.any()
    assert panel.groups == (("crafts",), ("trade",))
    assert [p.studies for p in panel.prices] == [("quarterly",)] * 5
    assert panel.prices[0].epsilon == pytest.approx(1.0, rel=0.1)


def test_the_errors_hold_the_noise():
    truth = panel_of(SETTINGS, records(0.0)[1])
    ratio = []
    for seed in range(6):
        panel = panel_of(SETTINGS, records(12.0, 100 * seed)[1])
        ratio.append((panel.values - truth.values) ** 2 / panel.errors)
    assert np.mean(ratio) == pytest.approx(1.0, abs=0.12)


def test_small_cells_have_figures_since_counts_are_pooled():
    """60 rows beside a noise of 24 in each count: one quarter's ratio is nothing, the pooled count is known."""
    rows = np.full(len(quarters.CELLS), 60.0)
    means = quarters.moves(5, 1)
    panel = panel_of(SETTINGS, [[quarters.record(means[:, q], rows, 12.0, q)] for q in range(5)])
    assert np.isfinite(panel.values).mean() > 0.95
    empty = panel_of(SETTINGS, [[quarters.record(means[:, q], 0 * rows, 12.0, q)] for q in range(5)])
    assert np.isfinite(empty.values).mean() < 0.05


def sums(kind, total, variance=1.0, **more):
    cells = (("a",), ("b",))
    measure = Measure(name="m", kind=kind, column=None if kind == "count" else "tax.m", **more)
    values = np.array(total, float)
    return CellSums(measure=measure, whose=("tax",), cells=cells, total=values, variance=np.full(2, variance))


def test_shares_counts_and_sums():
    plain = quarters.settings(5, cells=("county",), common=())
    one = plain.model_copy(update={"indicators": plain.indicators[:1]})
    share = assemble(one, {(0, q): sums("share", [[30, 70], [90, 10]], 0.0) for q in range(5)})
    assert np.allclose(share.values[0, 0], [0.3, 0.9])
    assert share.relative == (False,)
    total = assemble(one, {(0, q): sums("sum", [[5], [9]], 4.0, low=-10.0, high=2.0) for q in range(5)})
    assert np.allclose(total.values[0, 0], [50, 90])
    assert np.allclose(total.errors[0, 0], 400)
    count = assemble(one, {(0, q): sums("count", [[5], [9]], 4.0) for q in range(5)})
    assert np.allclose(count.values[0, 0], [5, 9])
    assert count.relative == (True,)


def test_what_is_refused():
    _, found = records(1.0)
    with pytest.raises(
        ConfigError, match=r"2 records of 2024Q1 have the measure growth by county and sector"
    ):
        panel_of(SETTINGS, [[found[0][0]] * 2, *found[1:]])
    other = SETTINGS.model_copy(
        update={"indicators": (SETTINGS.indicators[0].model_copy(update={"measure": "nothing"}),)}
    )
    with pytest.raises(
        ConfigError, match=r"no record has nothing by county and sector; there are: growth by"
    ):
        panel_of(other, found)
    bare = replace(found[0][0], releases=())
    with pytest.raises(ConfigError, match="statistics"):
        panel_of(SETTINGS, [[bare], *found[1:]])


def test_an_indicator_may_be_absent_from_a_quarter():
    _, found = records(1.0)
    released = found[1][0].release(RELEASE)
    layout = {**released.about["layout"]}
    layout["measures"] = [m for m in layout["measures"] if m["name"] != "late"]
    shorter = replace(
        released,
        blocks=tuple(b for b in released.blocks if not b.name.endswith("late")),
        about={"layout": layout},
    )
    panel = panel_of(SETTINGS, [found[0], [found[1][0].with_release(shorter)], *found[2:]])
    assert panel.absent == (("2024Q2", "Late"),)
    assert np.isnan(panel.values[2, 1]).all()
    assert np.isfinite(panel.values[2, 2]).all()
