"""The index: parts that add up, shocks found, false alarms at their rate, intervals that hold, withheld cells."""

import numpy as np
import pytest

from fedrisk.analysis.deviations import Figures, change_matrix, deviations
from fedrisk.analysis.fragility_index import USUAL, judge, judge_all
from fedrisk.analysis.fragility_panel import panel_of
from fedrisk.errors import ConfigError
from support import quarters

COUNT = 8
SIGN = np.array([-1, -1, 1])
HIT = np.arange(0, 80, 20)


def panel(seed, *, sigma=12.0, depth=0.0, rows=1500.0, settings=None):
    means = quarters.moves(COUNT, seed)
    means[:, -1, HIT] += depth * SIGN[:, None]
    by_cell = np.full(len(quarters.CELLS), rows)
    by_cell[-5:] = min(rows, 120.0)
    chosen = settings or quarters.settings(COUNT)
    records = [[quarters.record(means[:, q], by_cell, sigma, 50 * seed + q)] for q in range(COUNT)]
    found = panel_of(chosen, records)
    where = [quarters.CELLS.index(cell) for cell in found.cells]
    return found, chosen, np.isin(where, HIT)


def test_contributions_add_up_to_the_index():
    found, chosen, _ = panel(1, depth=0.05)
    judged = judge(found, chosen, COUNT - 1)
    said = ~judged.withheld
    total = np.nansum(judged.contributions, axis=0)
    assert said.sum() > 60
    assert np.allclose(total[said], judged.index[said] - USUAL)
    assert np.allclose(judged.high - judged.index, judged.index - judged.low, equal_nan=True)


def test_shocks_are_found_and_are_ranked_first():
    found, chosen, hit = panel(2, depth=0.1)
    judged = judge(found, chosen, COUNT - 1)
    assert judged.alarm[hit].all()
    assert sorted(judged.rank[hit]) == [1, 2, 3, 4]
    assert (judged.index[hit] > 70).all()
    assert (judged.worst[hit] > 0.9).all()
    # Fragile is low growth and load, and high lateness: all three drive it.
    assert (judged.contributions[:, hit] > 0).all()


@pytest.mark.parametrize(
    ("series", "low", "high"), [(4, 0.01, 0.1), pytest.param(40, 0.03, 0.065, marks=pytest.mark.long)]
)
def test_false_alarms_at_their_rate(series, low, high):
    """Series without any shock, 80 cells each, at a rate of .05: 3 standard errors are .037 of 4 and .012 of 40."""
    alarms = [judge(*panel(seed)[:2], COUNT - 1) for seed in range(series)]
    said = sum((~j.withheld).sum() for j in alarms)
    assert low < sum(j.alarm.sum() for j in alarms) / said < high


def test_the_interval_holds_the_index_without_noise():
    """The same weights on the deviations of exact figures; what all cells of a sector do is taken out of both."""
    inside = []
    for seed in range(2):
        noisy, chosen, _ = panel(seed)
        exact, _, _ = panel(seed, sigma=0.0)
        judged = judge(noisy, chosen, COUNT - 1)
        true = np.zeros(len(noisy.cells))
        for i in range(len(chosen.indicators)):
            figures = Figures(
                values=exact.values[i],
                errors=exact.errors[i],
                change=change_matrix(COUNT, 0),
                rows=exact.rows[i],
                group=exact.group,
            )
            true += SIGN[i] * judged.weights[i] * deviations(figures, list(range(COUNT))).value[-1]
        for g in (0, 1):
            true[exact.group == g] -= np.nanmedian(true[exact.group == g])
        said = ~judged.withheld
        inside.append((judged.low <= USUAL + true)[said] & (USUAL + true <= judged.high)[said])
    assert np.mean(np.concatenate(inside)) > 0.93


def test_what_moved_everywhere_is_no_cells_own():
    found, chosen, _ = panel(3)
    moved = found.values.copy()
    moved[:2, -1] -= 0.4
    after = judge(type(found)(**{**vars(found), "values": moved}), chosen, COUNT - 1)
    before = judge(found, chosen, COUNT - 1)
    assert np.allclose(after.index, before.index, equal_nan=True)
    assert (after.common > before.common + 5).all()


def test_cells_that_say_less_than_their_noise_are_nowhere():
    found, chosen, _ = panel(4, rows=1500.0, sigma=40.0)
    judged = judge(found, chosen, COUNT - 1)
    small = np.isin([quarters.CELLS.index(c) for c in found.cells], np.arange(75, 80))
    assert judged.withheld[small].all()
    assert not judged.withheld.all()
    for figures in (judged.index, judged.low, judged.high, judged.strength, judged.worst):
        assert np.isnan(figures[judged.withheld]).all()
    assert np.isnan(judged.contributions[:, judged.withheld]).all()
    assert np.isnan(judged.contribution_errors[:, judged.withheld]).all()
    assert not judged.alarm[judged.withheld].any()
    assert not judged.rank[judged.withheld].any()
    assert (judged.finds[judged.withheld] < 0.5).all()


def test_nothing_says_anything():
    found, chosen, _ = panel(5, sigma=4000.0)
    judged = judge(found, chosen, COUNT - 1)
    assert judged.withheld.all()
    assert not judged.alarm.any()
    # What moved everywhere would be a figure of these cells.
    assert np.isnan(judged.common).all()
    assert np.isnan(judged.common_parts).all()


def test_a_group_without_figures_is_withheld_and_harms_no_other():
    found, chosen, _ = panel(8)
    values = found.values.copy()
    values[:, :, found.group == 0] = np.nan
    judged = judge(type(found)(**{**vars(found), "values": values}), chosen, COUNT - 1)
    assert np.isnan(judged.common[0])
    assert 0 < judged.common_error[1] < 100
    assert judged.withheld[found.group == 0].all()
    assert not judged.withheld[found.group == 1].all()


def test_ranks_are_chances():
    found, chosen, _ = panel(6, depth=0.03)
    judged = judge(found, chosen, COUNT - 1)
    said = ~judged.withheld
    assert judged.worst[said].sum() == pytest.approx(chosen.worst, abs=1e-6)
    assert sorted(judged.rank[said]) == list(range(1, said.sum() + 1))
    assert (judged.rank_low[said] <= judged.rank_high[said]).all()


def test_quarters_with_enough_earlier_ones_are_judged():
    found, chosen, _ = panel(7)
    assert [j.quarter for j in judge_all(found, chosen)] == list(found.quarters[4:])
    yearly = [{**i.model_dump(), "transformation": "year"} for i in chosen.indicators]
    other = quarters.settings(COUNT, indicators=yearly)
    found = panel(7, settings=other)[0]
    with pytest.raises(ConfigError, match="8 quarters are too few: an index needs 5 and 4 more"):
        judge_all(found, other)
    quarterly = quarters.settings(COUNT, indicators=[{**i, "transformation": "quarter"} for i in yearly])
    assert [j.quarter for j in judge_all(panel(7, settings=quarterly)[0], quarterly)] == list(
        found.quarters[5:]
    )
