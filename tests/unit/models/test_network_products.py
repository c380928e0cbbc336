"""Scores and products of columns: by hand, centred, bounded in number, and as a design's stored form."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from fedrisk.data.features import Feature
from fedrisk.errors import ConfigError
from fedrisk.models.binning import Bins
from fedrisk.models.network_inputs import encode, input_columns
from fedrisk.models.network_products import MOST_COLUMNS, ROOM, Products

BINS = [
    Bins(Feature(institution="bank", column="age", low=0, high=80), edges=(20.0, 40.0, 60.0)),
    Bins.public(Feature(institution="bank", column="town", kind="category", bins=("a", "b"))),
    Bins(Feature(institution="bank", column="debt", low=0, high=1), edges=(0.5,)),
]
COLUMNS = input_columns(BINS)
FRAME = pd.DataFrame(
    {
        "age": [10.0, 30.0, 50.0, 70.0, np.nan],
        "town": pd.Series(["a", "b", "else", None, "a"], dtype=object),
        "debt": [0.2, 0.7, 0.2, np.nan, 0.9],
    }
)


def numbers(n):
    return input_columns(
        [Bins(Feature(institution="bank", column=f"c{k}", low=0, high=1), edges=(0.5,)) for k in range(n)]
    )


def test_scores_are_normal_scores_of_bins_by_hand():
    made = Products.of(COLUMNS, 0.0)
    assert made.column == (0, 2) and made.gain == 1.0
    age = norm.ppf([1 / 8, 3 / 8, 5 / 8, 7 / 8])
    age /= age.std()
    got = encode(FRAME, BINS) @ made.matrix
    np.testing.assert_allclose(got[:, 0], [*age, 0.0], atol=1e-5)
    np.testing.assert_allclose(got[:, 1], [-1, 1, -1, 0, 1], atol=1e-5)


def test_a_category_is_scored_by_its_known_curve():
    curve = np.array([1.0, 2.0, 3.0, 7.0])
    made = Products.of(COLUMNS, 0.0, [None, curve, None])
    assert made.column == (0, 1, 2) and len(made.pairs[0]) == 3
    got = (encode(FRAME, BINS) @ made.matrix)[:, 1]
    step = np.sqrt(1.5)
    np.testing.assert_allclose(got, [-step, 0, step, 0, -step], atol=1e-5)


def test_noise_lowers_the_gain():
    assert Products.of(COLUMNS, 4 * ROOM).gain == 0.5
    assert Products.of(COLUMNS, ROOM / 2).gain == 1.0


def test_of_many_columns_the_strongest_are_multiplied():
    many = numbers(MOST_COLUMNS + 2)
    with pytest.raises(ConfigError, match=r"network\.start"):
        Products.of(many, 0.0)
    curves = [np.array([0.0, float(k), 0.0]) for k in range(len(many))]
    assert Products.of(many, 0.0, curves).column == tuple(range(2, len(many)))


def test_one_column_has_no_product():
    with pytest.raises(ConfigError, match="fewer than two"):
        Products.of(numbers(1), 0.0)


def test_the_stored_form_reads_back_and_is_checked():
    made = Products.of(COLUMNS, 0.003)
    plain = json.loads(json.dumps(made.to_dict()))
    assert Products.from_dict(plain, COLUMNS) == made
    for wrong in (
        {"column": [0, 0]},
        {"column": [0, 5]},
        {"gain": 0.0},
        {"gain": float("nan")},
        {"scores": [[1.0], [1.0]]},
        {"scores": [[float("inf")] * 4, [1.0, 0.0]]},
    ):
        with pytest.raises(ConfigError, match="does not fit"):
            Products.from_dict({**plain, **wrong}, COLUMNS)
    with pytest.raises(ConfigError, match="malformed"):
        Products.from_dict({"column": 3}, COLUMNS)
