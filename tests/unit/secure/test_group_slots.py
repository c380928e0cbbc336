"""Slots of a grouping: room for every way in which rows fall into cells, and each row once whatever is permuted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.errors import DataError, ProtocolError
from fedrisk.secure.group_slots import MOST_CELLS, STAGES, Slots


def grouped(slots, places, rows):
    for stage in STAGES:
        padded = np.concatenate([rows, np.zeros((slots.sizes[stage] - len(rows), rows.shape[1]), np.uint64)])
        rows = slots.summed(stage, padded[places[stage]])
    return rows


@st.composite
def codes_in_cells(draw):
    """Cells of rows, from all in one to all apart."""
    cells, rows = draw(st.integers(1, 40)), draw(st.integers(1, 120))
    kind = draw(st.sampled_from(["one", "even", "any", "falling"]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    if kind == "one":
        return np.full(rows, draw(st.integers(0, cells - 1))), cells
    if kind == "even":
        return np.arange(rows) % cells, cells
    if kind == "any":
        return rng.integers(0, cells, rows), cells
    return np.minimum(rng.geometric(0.3, rows) - 1, cells - 1), cells


@settings(max_examples=200, deadline=None)
@given(given_codes=codes_in_cells())
def test_every_division_of_rows_into_cells_has_room(given_codes):
    codes, cells = given_codes
    slots = Slots(len(codes), cells)
    rng = np.random.default_rng(0)
    keys = [rng.integers(0, 2**63, size).astype(np.uint64) for size in (slots.inputs[1], slots.sizes[0])]
    for places in (slots.place(codes), slots.spread(slots.place(codes), *keys)):
        check_grouped(slots, places, codes, cells)


def check_grouped(slots, places, codes, cells):
    for stage in STAGES:
        assert sorted(places[stage].tolist()) == list(range(slots.sizes[stage]))
    one_hot = np.eye(len(codes), dtype=np.uint64)
    expected = np.zeros((cells, len(codes)), np.uint64)
    expected[codes, np.arange(len(codes))] = 1
    assert np.array_equal(grouped(slots, places, one_hot), expected)


@settings(max_examples=100, deadline=None)
@given(rows=st.integers(1, 60), cells=st.integers(1, 30), seed=st.integers(0, 2**32))
def test_no_permutation_counts_a_row_twice(rows, cells, seed):
    """The largest norm that a row can get, over permutations of a party that lies, is 1."""
    slots, rng = Slots(rows, cells), np.random.default_rng(seed)
    places = [rng.permutation(size) for size in slots.sizes]
    weights = grouped(slots, places, np.eye(rows, dtype=np.uint64)).astype(int)
    assert set(np.unique(weights)) <= {0, 1}
    assert weights.sum(0).max() <= 1


def test_slots_are_about_as_many_as_rows():
    """By hand: 60,000 rows in 1,313 cells take less than two slots each, one-hot codes 1,313 numbers."""
    slots = Slots(60_000, 1_313)
    assert sum(slots.sizes) < 2 * slots.rows
    assert slots.ranks[0] == -(-60_000 // slots.chunk)
    assert Slots(1_000_000, 1_313).sizes[0] < 1_100_000
    # More cells than rows: the ranks beyond have no room, as nobody can be there.
    assert Slots(2, 5).ranks.tolist()[2:] == [0, 0, 0]


def test_what_is_no_cell_is_refused():
    slots = Slots(3, 2)
    for wrong in (np.array([0, 1]), np.array([0, 1, 2]), np.array([0, 1, -1]), np.array([0.0, 1.0, 0.0])):
        with pytest.raises(DataError):
            slots.place(wrong)
    for rows, cells in ((0, 1), (1, 0), (1, MOST_CELLS + 1)):
        with pytest.raises(ProtocolError):
            Slots(rows, cells)


def test_a_rows_slot_is_uniform_whatever_its_cell_is():
    """Chi-squared of 4,000 draws over 20 slots: false alarms below 1e-3, with a fixed seed."""
    slots, rng = Slots(14, 3), np.random.default_rng(5)
    assert slots.sizes[0] == 20
    for codes in ([0] * 14, [2, *[0] * 13], [0, *[2] * 13]):
        found = np.zeros(slots.sizes[0])
        for _ in range(4000):
            keys = [
                rng.integers(0, 2**63, size).astype(np.uint64) for size in (slots.inputs[1], slots.sizes[0])
            ]
            first, _, _ = slots.spread(slots.place(np.array(codes)), *keys)
            found[np.flatnonzero(first == 0)] += 1
        assert ((found - 200) ** 2 / 200).sum() < 43.8
