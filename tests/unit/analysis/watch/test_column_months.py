"""An institution's own columns by month, over the bins of a model."""

import pytest

from fedrisk.analysis.watch.column_months import by_month, together
from fedrisk.data.features import Feature
from fedrisk.models.binning import Bins


def feature(column):
    return Feature(institution="tax", column=column, low=0, high=1)


BINS = {
    "share": Bins(feature("share"), edges=(0.3, 0.6), unknown=True),
    "own": Bins(feature("own"), edges=(0.5,), unknown=True),
    "(known)": Bins(Feature(institution="tax", column="(known)", kind="known", missing=False), unknown=True),
}


def test_all_months_together_against_the_study():
    shares = {"share": [0.25, 0.25, 0.25, 0.15, 0.1], "own": [0.4, 0.4, 0.1, 0.1], "(known)": [0.5, 0.5]}
    months = {
        "2026-10": {"share": [100, 100, 100, 60, 40], "own": [1, 0, 0, 0]},
        "2026-11": {"share": [150, 150, 150, 90, 60], "(known)": [900, 100]},
    }
    found = together(BINS, shares, months)
    assert [(s.column, s.rows, s.verdict) for s in found] == [
        ("share", 1000, "stable"),
        ("own", 1, "few"),
        ("(known)", 1000, "moved"),
    ]
    # (0.9 - 0.5) ln 1.8 + (0.1 - 0.5) ln 0.2, less what a thousand rows add by chance.
    assert found[2].index.index == pytest.approx(0.8789, abs=0.005)
    assert [s.verdict for s in together(BINS, shares, {})] == ["few"] * 3


def test_a_column_that_moves_is_named_in_its_month_and_not_in_the_next():
    calm, moved = [300, 300, 300, 50, 50], [100, 300, 500, 50, 50]
    months = {
        "2026-09": {"share": calm, "own": [500, 400, 50, 50]},
        "2026-10": {"share": moved, "own": [490, 410, 50, 50]},
        "2026-11": {"share": moved, "own": [500, 400, 50, 50]},
    }
    found = by_month(BINS, {}, months)
    assert {m: [(d.name, d.alarms) for d in each if d.alarms] for m, each in found.items()} == {
        "2026-09": [],
        "2026-10": [("share", ("month",))],
        "2026-11": [],
    }


def test_a_month_of_few_rows_says_nothing_and_is_no_reference():
    months = {
        "2026-09": {"own": [500, 400, 50, 50]},
        "2026-10": {"own": [3, 0, 0, 0]},
        "2026-11": {"own": [500, 400, 50, 50]},
    }
    found = by_month(BINS, {}, months)
    assert found["2026-10"] == () and found["2026-11"][0].by_month.index == 0
