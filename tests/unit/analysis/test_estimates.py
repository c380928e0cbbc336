"""Estimates from records: exact without noise, withheld at every level alike, and intervals that cover at their rate."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fedrisk.analysis import marking
from fedrisk.analysis.estimates import computed, estimates
from fedrisk.analysis.intervals import Interval
from fedrisk.analysis.measures import QUANTILES
from fedrisk.analysis.sums import statistics
from fedrisk.errors import ConfigError
from fedrisk.releases.statistics import FIGURES
from support.statistics import coverage_experiment

experiment = coverage_experiment()


@pytest.fixture(scope="module")
def layout():
    return experiment.layout_of()


@pytest.fixture(scope="module")
def rows(layout):
    return experiment.Rows(layout, np.random.default_rng(4))


@pytest.fixture(scope="module")
def exact(layout, rows):
    return rows.sums(layout)


def record(layout, exact, mu, seed=1):
    return experiment.record_of(layout, exact, np.random.default_rng(seed), mu)


def test_without_noise_every_figure_is_exact(layout, rows, exact):
    found = estimates(record(layout, exact, float("inf")))
    assert {t.name for t in found.tables} == {
        "county_sector",
        "county",
        "all",
        "prefecture, sector",
        "prefecture",
    }
    for table in found.tables:
        cells = layout.cells(table)
        for measure in layout.measures:
            own = found.frame[(found.frame["table"] == table.name) & (found.frame["measure"] == measure.name)]
            truth = rows.truth(measure, table, cells)
            known = ~np.isnan(truth).ravel()
            assert own["says"].to_numpy().tolist() == known.tolist()
            low, high = own["low"].to_numpy()[known], own["high"].to_numpy()[known]
            assert (low <= truth.ravel()[known] + 1e-6).all()
            assert (high >= truth.ravel()[known] - 1e-6).all()
            if measure.kind != "quantiles":
                assert own["estimate"].to_numpy()[known] == pytest.approx(truth.ravel()[known], abs=1e-6)


def test_the_frame_has_the_columns_that_others_read(layout, exact):
    frame = estimates(record(layout, exact, 1.0)).frame
    axes = ["county", "prefecture", "sector"]
    assert list(frame) == [
        *("table", "measure", "kind", "quantile"),
        *axes,
        *("estimate", "standard_error", "low", "high", "says", "unit"),
    ]
    cells = 30 + 10 + 1 + 12 + 4
    assert len(frame) == cells * (9 + len(QUANTILES))
    of_counties = frame[frame["table"] == "county"]
    assert of_counties["sector"].isna().all()
    assert list(of_counties["county"].unique()) == [*"abcdefghi", "(unknown)"]
    assert frame[frame["measure"] != "quantiles"]["quantile"].isna().all()


def test_a_figure_that_is_withheld_is_withheld_at_every_level(layout, exact):
    noisy = record(layout, exact, 1.0)
    found = {level: estimates(noisy, level=level).frame for level in (0.5, 0.95)}
    silent = ~found[0.95]["says"]
    assert 0.2 < silent.mean() < 0.9
    for frame in found.values():
        assert (frame["says"] == ~silent).all()
        assert frame.loc[silent, list(FIGURES)].isna().all(axis=None)
        assert frame.loc[~silent, list(FIGURES)].notna().all(axis=None)
    narrow, wide = found[0.5], found[0.95]
    assert (narrow["high"] - narrow["low"] <= wide["high"] - wide["low"])[~silent].all()
    assert estimates(noisy).withheld == silent.sum()
    assert computed(noisy).frame.loc[silent, "estimate"].notna().any()


def test_intervals_cover_at_their_rate_on_nasty_cells():
    """A sample of benchmarks/statistics/coverage.py; each of 74 checks fails by chance less than once in 1,000."""
    for included in (1.0, 0.7):
        for measure, classes in experiment.experiment(6, 11, included).items():
            for name, counted in classes.items():
                assert experiment.covers(counted), (measure, included, name, dict(counted))


def test_a_narrower_interval_would_not_pass_as_covering(monkeypatch):
    monkeypatch.setattr(experiment, "reach", lambda level: 1.4)
    found = experiment.experiment(8, 11)
    short = [m for m, classes in found.items() if not all(map(experiment.covers, classes.values()))]
    assert {"count", "sales", "half"} <= set(short)


def test_records_of_other_recipes_and_damaged_ones_are_refused(layout, exact):
    good = record(layout, exact, 1.0)
    released = good.releases[0]
    with pytest.raises(ConfigError, match="no statistics study"):
        estimates(replace(good, releases=()))
    with pytest.raises(ConfigError, match="does not say what its statistics are of"):
        estimates(replace(good, releases=(replace(released, about={}),)))
    block = released.blocks[0]
    for bad, what in (
        (replace(block, total=block.total[:-1]), "30 cells by 1 numbers"),
        (replace(block, total=block.total * np.nan), "30 cells by 1 numbers"),
        (replace(block, variance=None), "variance of its noise"),
    ):
        broken = replace(released, blocks=(bad, *released.blocks[1:]))
        with pytest.raises(ConfigError, match=what):
            estimates(replace(good, releases=(broken,)))
    with pytest.raises(ConfigError, match="between 0 and 1"):
        estimates(good, level=95)


def test_tables_agree_and_levels_follow(layout, exact):
    found = statistics(record(layout, exact, 1.0))
    assert found.consistent
    for measure in layout.measures:
        by = {t.name: found.sums[t.name, measure.name].total for t in found.tables}
        assert by["county_sector"].reshape(10, 3, -1).sum(1) == pytest.approx(by["county"])
        assert by["prefecture"].sum(0) == pytest.approx(by["all"][0])
        variances = {t.name: found.sums[t.name, measure.name].variance for t in found.tables}
        released = 1 / (layout.table("county").share * measure.share)
        assert (variances["county"] < released).all()


def test_too_many_cells_are_left_as_they_were_released(layout, exact, monkeypatch):
    monkeypatch.setattr("fedrisk.analysis.consistency.MOST_COARSE", 5)
    noisy = record(layout, exact, 1.0)
    found = statistics(noisy)
    assert not found.consistent
    assert found.tables == layout.tables
    block = noisy.releases[0].block("county|count")
    assert (found.sums["county", "count"].total == block.total).all()


# --- marking ------------------------------------------------------------------------------------------------


def test_at_most_one_in_forty_of_what_is_told_from_zero_is_nothing():
    """1,000 tables of 200 empty and 40 large cells; the mean share of empty ones has a deviation below .001."""
    rng, parts = np.random.default_rng(2), []
    for _ in range(1000):
        z = rng.normal(size=240) + np.where(np.arange(240) < 200, 0.0, 6.0)
        told = marking.told_from_zero(z, np.ones(240))
        assert told[200:].sum() >= 35
        parts.append(told[:200].sum() / max(told.sum(), 1))
    assert 0.01 < np.mean(parts) < 0.028


def interval(estimate, low, high, bounded=True):
    return Interval(
        estimate=np.array([estimate]),
        error=np.array([0.0]),
        low=np.array([low]),
        high=np.array([high]),
        bounded=np.array([bounded]),
    )


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (interval(0.01, 0.0, 0.08), True),
        (interval(0.01, 0.0, 0.14), False),
        (interval(0.3, 0.1, 0.5), True),
        (interval(0.4, 0.1, 0.7), False),
        (interval(0.4, 0.39, 0.41, bounded=False), False),
    ],
    ids=["a tenth of the range", "more than its size", "half of its size", "half of the range", "unbounded"],
)
def test_what_a_share_has_to_be_to_be_shown(found, says):
    assert marking.within_range(found, 0.0, 1.0).tolist() == [says]


def test_the_unit_stays(layout, exact):
    measures = tuple(replace(m, unit="yuan" if m.kind == "sum" else None) for m in layout.measures)
    frame = estimates(record(replace(layout, measures=measures), exact, 1.0)).frame
    assert set(frame[frame["kind"] == "sum"]["unit"]) == {"yuan"}
    assert isinstance(frame, pd.DataFrame)


@pytest.mark.parametrize(("count", "shown"), [(0.5, False), (9.0, True)])
def test_a_sum_over_what_may_be_nobody_is_not_shown(layout, count, shown):
    one = replace(
        layout, axes=(), tables=(replace(layout.tables[2], share=1.0),), measures=layout.measures[:2]
    )
    made = experiment.record_of(
        one, {"all|count": np.array([[count]]), "all|sales": np.array([[4.0]])}, None, float("inf")
    )
    released = made.releases[0]
    blocks = tuple(replace(b, variance=1.0) for b in released.blocks)
    frame = estimates(replace(made, releases=(replace(released, blocks=blocks),))).frame
    assert frame[frame["measure"] == "sales"]["says"].tolist() == [shown]
