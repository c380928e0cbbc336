"""Columns that institutions make, by hand; gaps and coverage."""

import numpy as np
import pytest

from sim_institutions.observations import (
    Category,
    Sheet,
    arrow,
    covered,
    growth,
    rare,
    seasonal,
    skipped,
    variation,
    year_gaps,
    year_total,
)
from sim_institutions.random_streams import MONTHS, stream


def test_columns_by_hand():
    series = np.ones((1, MONTHS), dtype=np.float32)
    series[0, -6:] = 3
    assert growth(series).tolist() == [2.0]
    assert year_total(series).tolist() == [24.0]
    assert variation(series).tolist() == [0.5]
    gap = np.zeros((1, MONTHS), dtype=bool)
    gap[0, 8] = True
    made_up, lost = (skipped(series, gap, np.array([x])) for x in (True, False))
    assert year_gaps(made_up).tolist() == [1.0]
    assert made_up[0, 9] == 2
    assert lost[0, 9] == 1


def test_a_series_without_months_gives_missing_values():
    series = np.full((1, MONTHS), np.nan, dtype=np.float32)
    assert np.isnan(growth(series)).all()
    assert np.isnan(year_total(series)).all()
    assert year_gaps(series).tolist() == [12.0]


def test_a_sheet_collects_columns_with_gaps(block):
    rows = np.arange(6000)
    sheet = Sheet(block.enterprises, rows, stream(1, "x"))
    sheet.number("whole", np.full(6000, 123456.0))
    sheet.number("holes", np.full(6000, 1.0), gap=0.2)
    sheet.flag("flag", np.ones(6000, dtype=bool))
    sheet.category("sort", np.zeros(6000, dtype=np.int64), ("a", "b"), gap=0.2)
    late = rows < 10
    sheet.history("months", np.ones((6000, MONTHS), dtype=np.float32), delayed=late)
    observed = sheet.observations()
    assert set(observed.columns) == {"whole", "holes", "flag", "sort"}
    assert (observed.columns["whole"] == 123500).all()
    missing = np.isnan(observed.columns["holes"])
    assert 0.1 < missing.mean() < 0.4
    thin = block.enterprises.thin
    assert thin[missing].mean() > thin[~missing].mean()
    assert (observed.columns["sort"].code == -1).any()
    assert np.array_equal(np.isnan(observed.histories["months"][:, -1]), late)


def test_institutions_know_thin_records_less(block):
    known = covered(block.enterprises, 0.6, stream(1, "x"))
    assert len(set(known)) == len(known)
    thin = block.enterprises.thin
    rest = np.setdiff1d(np.arange(6000), known)
    assert thin[known].mean() < thin[rest].mean()
    assert not np.array_equal(known, np.sort(known))


def test_rare_counts_have_about_their_share():
    leaning = np.random.default_rng(0).standard_normal(20_000).astype(np.float32)
    count = rare(leaning, 0.05, stream(1, "x"), most=2)
    assert (count > 0).mean() == pytest.approx(0.05, abs=0.01)
    assert count.max() == 2
    assert leaning[count > 0].mean() > 0.4


def test_enterprises_follow_the_seasons_to_different_degrees():
    degree = seasonal(stream(1, "x"), 1000)
    assert degree.shape == (1000, 1)
    assert 0.6 <= degree.min() < degree.max() <= 1.1


def test_missing_values_are_nulls_in_arrow():
    assert arrow(np.array([1, np.nan], dtype=np.float32)).to_pylist() == [1.0, None]
    assert arrow(Category(np.array([1, -1]), ("a", "b"))).to_pylist() == ["b", None]
