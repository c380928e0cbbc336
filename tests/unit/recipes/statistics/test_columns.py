"""One row never moves the integers of a release by more than is claimed, whatever stands in it."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.data.features import Feature
from fedrisk.recipes import study_from
from fedrisk.recipes.statistics.columns import codes, matrix, plain_matrix, table_sums
from fedrisk.recipes.statistics.plan import BITS, layout_of, release_of, sensitivity
from fedrisk.releases.axes import axis_codes
from fedrisk.releases.statistics import UNKNOWN

CATEGORIES = ("north", "south", "no", "(other)")
SPECIAL = (("-9", "no record"), ("-8", "closed"))


def study(**changes):
    content = {
        "by": ["tax.county", "tax.size"],
        "measures": [
            {"kind": "count"},
            {"kind": "sum", "column": "tax.sales"},
            {"kind": "mean", "column": "tax.sales"},
            {"kind": "variance", "column": "tax.sales"},
            {"kind": "variance", "column": "tax.sales", "name": "tight", "low": -1e-7, "high": 3e-9},
            {"kind": "quantiles", "column": "tax.sales", "bins": [-10.0, 0.0, 1e-300, 10.0]},
            {"kind": "share", "column": "tax.county", "values": ["no", "south"]},
            {"kind": "share", "column": "tax.late"},
            {"kind": "mean", "column": "tax.late"},
        ],
        "levels": {"region": {"axis": "county", "groups": {"N": ["north", "no"], "S": ["south", "(other)"]}}},
        "tables": [{"by": ["county", "size"]}, {"by": ["region"], "weight": 2}, {"by": []}],
    }
    return study_from(
        {
            "name": "cells",
            "purpose": "p",
            "recipe": "statistics",
            "privacy": {"epsilon": 1.0},
            "institutions": [{"name": "tax", "role": "holder"}],
            "statistics": content | changes,
        }
    )


FEATURES = (
    Feature(institution="tax", column="county", kind="category", bins=CATEGORIES),
    Feature(institution="tax", column="size", low=0, high=9, bins=(3.0, 5.0), special=SPECIAL),
    Feature(institution="tax", column="sales", low=-1234.5, high=98765.4, special=(("-99999", "gone"),)),
    Feature(institution="tax", column="late", kind="flag", special=SPECIAL),
)
LAYOUT = layout_of(study(), FEATURES)
RELEASE = release_of(study(), LAYOUT)

# What a broken source, a broken check or a hostile table could hold.
numbers = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True, width=64),
    st.sampled_from([0.0, -0.0, 1.0, 0.5, -9.0, -8.0, -99999.0, -1234.5, 98765.4, 5e-324, 1.7e308, 3.0, 5.0]),
)
texts = st.one_of(st.none(), st.sampled_from([*CATEGORIES, UNKNOWN, "elsewhere", ""]), st.text(max_size=3))
rows = st.tuples(texts, numbers, numbers, numbers)


def frame_of(values):
    county, size, sales, late = zip(*values, strict=True) if values else ((), (), (), ())
    return pd.DataFrame(
        {
            "county": pd.Series(county, dtype=object),
            "size": pd.Series(size, dtype=float),
            "sales": pd.Series(sales, dtype=float),
            "late": pd.Series(late, dtype=float),
        }
    )


def sums_of(values):
    """The whole vector of a release of these rows, by table and measure, in Python's integers."""
    frame = frame_of(values)
    return {
        (t.name, m.name): [
            int(x) for x in table_sums(codes(LAYOUT, t, frame), matrix(m, frame), LAYOUT.cells(t)).ravel()
        ]
        for t in LAYOUT.tables
        for m in LAYOUT.measures
    }


def moved(one, other):
    return {
        key: math.sqrt(sum((a - b) ** 2 for a, b in zip(one[key], other[key], strict=True))) for key in one
    }


CASES = (st.lists(rows, max_size=4), rows, rows)


def check_moves(others, row, changed):
    """A row that leaves moves each block by what is claimed for it, and all together by what is paid."""
    with_row, without = sums_of([*others, row]), sums_of(others)
    leaves = moved(with_row, without)
    assert max(leaves.values()) <= sensitivity(joined=False)
    spent = [(move / RELEASE.block(f"{t}|{m}").sigma["tax"]) ** 2 for (t, m), move in leaves.items()]
    assert math.sqrt(math.fsum(spent)) <= RELEASE.mu
    # One row in place of another: it leaves its cell, and comes into another.
    assert max(moved(with_row, sums_of([*others, changed])).values()) <= 2 * sensitivity(joined=False)


@settings(max_examples=10, deadline=None)
@given(*CASES)
def test_a_row_that_leaves_or_changes_moves_the_release_by_no_more_than_claimed(others, row, changed):
    check_moves(others, row, changed)


@pytest.mark.long
@settings(max_examples=500, deadline=None)
@given(*CASES)
def test_a_row_that_leaves_or_changes_moves_the_release_by_no_more_than_claimed_in_many_cases(
    others, row, changed
):
    check_moves(others, row, changed)


@settings(max_examples=30, deadline=None)
@given(st.lists(rows, min_size=1, max_size=20))
def test_a_row_counts_in_exactly_one_cell_of_each_table(values):
    frame = frame_of(values)
    for table in LAYOUT.tables:
        cells = codes(LAYOUT, table, frame)
        assert cells.dtype == np.int64
        assert ((cells >= 0) & (cells < LAYOUT.cells(table))).all()
        count = table_sums(cells, matrix(LAYOUT.measure("count"), frame), LAYOUT.cells(table))
        assert int(count.sum()) == len(values) << BITS


def test_values_find_their_categories():
    frame = frame_of([("north", 2.9, 0, 0), ("elsewhere", 3.0, 0, 0), (None, 5.0, 0, 0), ("no", -9.0, 0, 0)])
    assert axis_codes(LAYOUT.axis("county"), frame["county"]).tolist() == [0, 4, 4, 2]
    assert axis_codes(LAYOUT.axis("size"), frame["size"]).tolist() == [0, 1, 2, 3]
    assert LAYOUT.axis("size").categories == ("< 3", "3 to < 5", ">= 5", "no record", "closed", UNKNOWN)
    region = LAYOUT.table("region")
    assert codes(LAYOUT, region, frame).tolist() == [0, 2, 2, 0]
    both = LAYOUT.table("county, size")
    assert codes(LAYOUT, both, frame).tolist() == [0, 4 * 6 + 1, 4 * 6 + 2, 2 * 6 + 3]


def test_numbers_of_a_row_are_those_that_the_layout_says():
    frame = frame_of(
        [
            ("no", 0, 98765.4, 1.0),
            ("north", 0, -1234.5, 0.0),
            (None, 0, -99999.0, -9.0),
            ("a", 0, 1e9, np.nan),
        ]
    )

    def of(name):
        return plain_matrix(LAYOUT.measure(name), frame)

    assert of("sum_sales")[:, 0] == pytest.approx([1.0, -1234.5 / 98765.4, 0.0, 1.0])
    assert of("mean_sales")[0] == pytest.approx([0.5, math.sqrt(0.75)])
    assert of("mean_sales")[1] == pytest.approx([0.5, -math.sqrt(0.75)])
    assert of("mean_sales")[2].tolist() == [0.0, 0.0]
    assert of("variance_sales")[1] == pytest.approx([0.4, -0.6, math.sqrt(0.48)])
    assert of("quantiles_sales").argmax(axis=1).tolist() == [4, 0, 0, 4]
    assert of("quantiles_sales").sum(axis=1).tolist() == [1.0, 1.0, 0.0, 1.0]
    assert of("share_county")[:3].tolist() == [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]
    assert of("share_late").tolist() == [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0], [0.0, 0.0]]


def test_sums_are_exact():
    many = 200_000
    numbers = np.full((many, 1), (1 << BITS) - 1, np.int64)
    assert table_sums(np.zeros(many, np.int64), numbers, 2).tolist() == [[many * ((1 << BITS) - 1)], [0]]
