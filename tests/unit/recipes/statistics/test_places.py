"""A joined release moves by no more than is claimed when a record of either side goes or changes, whatever it holds."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.data.features import Feature
from fedrisk.recipes import study_from
from fedrisk.recipes.statistics.columns import table_sums
from fedrisk.recipes.statistics.groupings import finer_of, groupings
from fedrisk.recipes.statistics.places import cells_of, numbers_of
from fedrisk.recipes.statistics.plan import layout_of, release_of, sensitivity
from fedrisk.releases.statistics import UNKNOWN, block_name
from fedrisk.secure import group_sums

STUDY = study_from(
    {
        "name": "cells",
        "purpose": "p",
        "recipe": "statistics",
        "privacy": {"epsilon": 1.0},
        "institutions": [{"name": "alfa", "role": "bank"}, {"name": "reg", "role": "holder"}],
        "statistics": {
            "by": ["reg.county", "reg.size"],
            "measures": [
                {"kind": "count"},
                {"kind": "mean", "column": "reg.age"},
                {"kind": "sum", "column": "bank.debt"},
                {"kind": "variance", "column": "bank.debt", "weight": 3.0},
                {"kind": "quantiles", "column": "bank.debt", "bins": [-1.0, 0.0, 1e-300]},
                {"kind": "share", "column": "bank.grade", "values": ["B"]},
            ],
            "levels": {"region": {"axis": "county", "groups": {"N": ["a", "c"], "S": ["b"]}}},
            "tables": [{"by": ["county", "size"]}, {"by": ["region"], "weight": 2.0}, {"by": []}],
        },
    }
)
FEATURES = (
    Feature(institution="bank", column="debt", low=-99.5, high=1e6, special=(("-700", "none"),)),
    Feature(institution="bank", column="grade", kind="category", bins=("A", "B")),
    Feature(institution="reg", column="county", kind="category", bins=("a", "b", "c")),
    Feature(institution="reg", column="size", low=0, high=9, bins=(3.0,)),
    Feature(institution="reg", column="age", low=0, high=50),
)
LAYOUT = layout_of(STUDY, FEATURES)
RELEASE = release_of(STUDY, LAYOUT, 100)
BITS = RELEASE.scale_bits
(GROUPING,) = groupings(STUDY, LAYOUT)

numbers = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True, width=64),
    st.sampled_from([0.0, -0.0, 1.0, -700.0, -99.5, 1e6, 5e-324, 1.7e308, 3.0, 50.0]),
)
texts = st.one_of(st.none(), st.sampled_from(["a", "b", "c", "A", "B", UNKNOWN, "", "elsewhere"]))
of_bank, of_registry = st.tuples(numbers, texts), st.tuples(texts, numbers, numbers)


def frame_of(rows, *columns):
    kinds = {"county": object, "grade": object}
    values = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
    return pd.DataFrame(
        {c: pd.Series(v, dtype=kinds.get(c, float)) for c, v in zip(columns, values, strict=True)}
    )


def released(registry, bank, places):
    """The exact numbers of a release by the code of both sides; places: rows of the registry by place of the list."""
    cells, mine = frame_of(registry, "county", "size", "age"), frame_of(bank, "debt", "grade")
    rows = np.array(places)
    shape = GROUPING.shape(LAYOUT, len(bank))
    label = GROUPING.label(STUDY, "attempt1")
    left, right = b"l" * 32, b"r" * 32
    factors = group_sums.coefficients(b"k" * 32, label, shape)
    spots = shape.slots.place(cells_of(LAYOUT, GROUPING.table, cells)[rows])
    own = numbers_of(GROUPING.measures(LAYOUT), mine, BITS)[: len(bank)]
    dealt = group_sums.deal(left, right, label, shape)
    first = list(group_sums.right_first(right, label, own, factors, shape))
    message = group_sums.left_message(left, label, spots, shape)
    carried, share = group_sums.right_second(right, label, dealt, message, factors, shape)
    fine = share + group_sums.left_share(left, label, spots, first, carried, shape)
    out = {}
    for table in LAYOUT.tables:
        start = 0
        for measure in LAYOUT.measures:
            if measure not in GROUPING.measures(LAYOUT):
                numbers = numbers_of([measure], cells, BITS)[rows]
                total = table_sums(cells_of(LAYOUT, table, cells)[rows], numbers, LAYOUT.cells(table))
            else:
                part = fine[:, start : start + measure.columns]
                total = group_sums.aggregate(part, finer_of(LAYOUT, table)[1], LAYOUT.cells(table)).view(
                    np.int32
                )
                start += measure.columns
            out[block_name(table, measure)] = total.astype(np.int64)
    return out


def moves(one, other):
    return {name: math.sqrt(int(((one[name] - other[name]) ** 2).sum())) for name in one}


def spent(found):
    """Price of a move, as the noise of the bank alone, or of the registry where the bank has none, hides it."""
    sigma = {b.name: b.sigma["reg"] for b in RELEASE.blocks}
    return math.sqrt(math.fsum((move / sigma[name]) ** 2 for name, move in found.items()))


CASES = (st.lists(st.tuples(of_registry, of_bank), min_size=1, max_size=4), of_registry, st.booleans())


def check_moves(both, other, known):
    registry, bank = [r for r, _ in both], [b for _, b in both]
    places = [*range(len(both) - 1), len(both) - 1 if known else -1]
    before = released(registry, bank, places)
    # The bank's record made zero.
    gone = released(registry, [*bank[:-1], (math.nan, None)], places)
    most = moves(before, gone)
    assert max(most.values()) <= sensitivity(joined=False, bits=BITS)
    # The registry's made zero: its enterprise is one that nobody knows; or another enterprise's.
    unknown = moves(before, released(registry, bank, [*places[:-1], -1]))
    assert max(unknown.values()) <= sensitivity(joined=True, bits=BITS)
    changed = moves(before, released([*registry[:-1], (*other[:2], registry[-1][2])], bank, places))
    assert max(changed.values()) <= sensitivity(joined=True, bits=BITS)
    assert max(spent(most), spent(unknown), spent(changed)) <= RELEASE.mu


@settings(max_examples=10, deadline=None)
@given(*CASES)
def test_a_record_of_either_side_moves_the_release_by_no_more_than_claimed(both, other, known):
    check_moves(both, other, known)


@pytest.mark.long
@settings(max_examples=120, deadline=None)
@given(*CASES)
def test_a_record_of_either_side_moves_the_release_by_no_more_than_claimed_in_many_cases(both, other, known):
    check_moves(both, other, known)


def test_an_enterprise_that_moves_between_cells_moves_the_release_by_all_that_is_claimed():
    """The bound is met, so that no smaller noise would do."""
    bank = [(1e6, "B")]
    moved = moves(released([("a", 1.0, 1.0)], bank, [0]), released([("b", 5.0, 1.0)], bank, [0]))
    assert moved["county, size|sum_debt"] == pytest.approx(math.sqrt(2) * 2**BITS)
    assert moved["(all)|sum_debt"] == 0.0


def test_places_that_the_cells_owner_does_not_know_are_in_the_last_cell():
    frame = frame_of([("a", 1.0, 10.0)], "county", "size", "age")
    table = LAYOUT.table("county, size")
    assert cells_of(LAYOUT, table, frame)[[-1, 0]].tolist() == [LAYOUT.cells(table) - 1, 0]
    mean, count = LAYOUT.measure("mean_age"), LAYOUT.measure("count")
    assert numbers_of([mean, count], frame, BITS)[[-1]].tolist() == [[0, 0, 1 << BITS]]
