"""An institution's matrices, by hand and against plain arithmetic."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.analysis.card_sums import own_pairs
from fedrisk.data.features import Feature, known_feature
from fedrisk.errors import ProtocolError
from fedrisk.models.binning import Bins
from fedrisk.recipes.scorecard.matrices import (
    blocks_of,
    gram_vector,
    histogram,
    label_counts,
    label_matrix,
    one_hot_blocks,
    table_codes,
)
from fedrisk.secure.product import Shape

CODES = np.array([[0, 1], [1, 0], [1, 2], [0, 2]], np.uint8)
"""Two features with 2 and 3 bins; the last bin of each is for the unknown."""

SIZES = [2, 3]


def bins(*edges):
    return Bins.from_dict(
        {**Bins(Feature(institution="tax", column="x", low=0, high=4, missing=True), edges).to_dict()}
    )


def test_codes_of_a_table_end_with_the_unknown_enterprise():
    b = bins(1.0, 2.0)
    codes = table_codes(pd.DataFrame({"x": [0.5, 1.5, 3.0]}), [b])
    assert codes.dtype == np.uint8
    assert codes[:, 0].tolist() == [0, 1, 2, b.size - 1]


def test_a_holders_codes_tell_gaps_from_unknown_ones():
    columns = [replace(bins(1.0, 2.0), unknown=True), Bins.public(known_feature("tax"))]
    codes = table_codes(pd.DataFrame({"x": [0.5, np.nan, 3.0]}), columns)
    assert codes.dtype == np.uint8
    assert codes.tolist() == [[0, 0], [3, 0], [2, 0], [4, 1]]
    wide = table_codes(pd.DataFrame({"x": [0.5]}), [bins(*np.linspace(0.01, 3.9, 300)), columns[1]])
    assert wide.dtype == np.uint16 and wide[:, 1].tolist() == [0, 1]


def test_labels_by_hand():
    hard = label_matrix(np.array([1.0, 0.0]), None, 0, binary=True)
    assert hard.tolist() == [[1, 0], [0, 1]]
    soft = label_matrix(np.array([0.25, 1.0]), np.array([1.0, 0.5]), 8, binary=False)
    assert soft.tolist() == [[64, 192], [128, 0]]


@settings(max_examples=50)
@given(st.floats(0, 1), st.floats(0, 1), st.integers(0, 12))
def test_a_row_of_labels_is_never_longer_than_one_unit(label, weight, bits):
    (row,) = label_matrix(np.array([label]), np.array([weight]), bits, binary=False).tolist()
    assert min(row) >= 0
    assert row[0] ** 2 + row[1] ** 2 <= 4**bits


def test_a_row_without_a_label_is_zeros():
    made = label_matrix(np.array([1.0, np.nan, 0.0]), None, 3, binary=False)
    assert made.tolist() == [[8, 0], [0, 0], [0, 8]]
    weighted = label_matrix(np.array([np.nan, 0.5]), np.array([0.75, 1.0]), 2, binary=False)
    assert weighted.tolist() == [[0, 0], [2, 2]]


@pytest.mark.parametrize(("label", "weight"), [([0.5], None), ([1.0], [0.5]), ([np.nan], None)])
def test_plain_labels_are_checked_before_they_are_taken_for_plain(label, weight):
    weights = None if weight is None else np.array(weight)
    with pytest.raises(ProtocolError, match="soft, weighted or absent labels for plain ones"):
        label_matrix(np.array(label), weights, 0, binary=True)


def test_counts_by_hand():
    labels = np.array([[1, 0], [0, 1], [1, 0], [0, 1]])
    assert label_counts(CODES, SIZES, labels).tolist() == [
        *([1, 1], [1, 1]),
        *([0, 1], [1, 0], [1, 1]),
    ]
    assert histogram(CODES, SIZES, 3).tolist() == [[16], [16], [8], [8], [16]]
    assert histogram(CODES[:0], SIZES, 0).tolist() == [[0]] * 5


def test_the_gram_vector_by_hand():
    """Columns 0 and 1 are of one feature, so only their products with column 2 are released."""
    psi = np.array([[1, 2, 3], [-1, 0, 5]])
    assert gram_vector([psi], [0, 0, 1]).astype(np.int64).tolist() == [-2, 6]
    assert gram_vector([psi, psi], [0, 0, 1]).astype(np.int64).tolist() == [-4, 12]
    assert gram_vector([psi[:0]], [0, 0, 1]).tolist() == [0, 0]


def test_the_gram_vector_is_exact_for_large_numbers_and_many_rows():
    """More than one block of rows, entries up to 2^39: against integers of any size, modulo 2^64."""
    rng = np.random.default_rng(0)
    psi = rng.integers(-(2**39), 2**39, (4100, 3))
    left, right = own_pairs([0, 1, 2])
    columns = psi.T.tolist()
    wanted = [
        sum(a * b for a, b in zip(columns[i], columns[j], strict=True)) % 2**64
        for i, j in zip(left, right, strict=True)
    ]
    assert gram_vector([psi], [0, 1, 2]).tolist() == wanted


def test_blocks_of_rows_make_up_the_whole():
    shape = Shape(rows=5, left=2, right=1, dtype="uint32")
    matrix = np.arange(10).reshape(5, 2) - 3
    parts = list(blocks_of(matrix, shape))
    whole = np.concatenate(parts)
    assert {p.dtype.name for p in parts} == {"uint32"}
    assert whole.astype(np.int32).tolist() == matrix.tolist()


def test_one_hot_rows_leave_out_each_features_last_bin():
    shape = Shape(rows=4, left=3, right=1, dtype="uint16")
    (block,) = one_hot_blocks(CODES, np.array([3, 0, 1, 2]), SIZES, shape)
    assert block.dtype == np.uint16
    assert block.tolist() == [[1, 0, 0], [1, 0, 1], [0, 1, 0], [0, 0, 0]]
