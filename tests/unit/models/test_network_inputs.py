"""Inputs of networks: hand-worked codings, scales, and what the same bins must give everywhere."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.data.features import Feature
from fedrisk.errors import ConfigError, DataError
from fedrisk.models.binning import Bins
from fedrisk.models.network_inputs import encode, from_dict, input_columns, to_dict, width

AGE = Bins(Feature(institution="bank", column="age", low=0, high=80), edges=(20.0, 40.0, 60.0))
SECTOR = Bins.public(Feature(institution="bank", column="sector", kind="category", bins=("A", "B")))
FLAG = Bins.public(Feature(institution="bank", column="flag", kind="flag", missing=False))
MONEY = Bins(Feature(institution="bank", column="money", low=0, high=1e4, grid="log"), edges=(10.0, 1000.0))


def table(**columns):
    return pd.DataFrame(
        {k: pd.Series(v, dtype=object if k == "sector" else float) for k, v in columns.items()}
    )


def test_steps_by_hand():
    # Squares: one number of 1/6, so the common scale is sqrt(6); three inputs: sqrt(6 / 3).
    got = encode(table(age=[19.0, 20.0, 59.0, 80.0]), [AGE])
    steps = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1]]) - [0.75, 0.5, 0.25]
    np.testing.assert_allclose(got[:, :3], steps * np.sqrt(2), rtol=1e-6)
    assert (got[:, 3] == 0).all()


def test_piecewise_linear_by_hand():
    got = encode(table(age=[10.0, 50.0, -5.0, 100.0]), [AGE], "piecewise")
    parts = np.array([[0.5, 0, 0, 0], [1, 1, 0.5, 0], [0, 0, 0, 0], [1, 1, 1, 1]])
    np.testing.assert_allclose(
        got[:, :4], (parts - [0.875, 0.625, 0.375, 0.125]) * np.sqrt(6 / 4), rtol=1e-5, atol=1e-7
    )


def test_piecewise_linear_follows_a_logarithmic_grid():
    mark = np.sqrt(11.0 * 1001.0) - 1  # half way between log(1 + 10) and log(1 + 1000); the unit is 1e4 / 1e4
    got = encode(table(money=[mark]), [MONEY], "piecewise")[0]
    column = input_columns([MONEY], "piecewise")[0]
    np.testing.assert_allclose(got[:3] / column.scale + column.centre, [1, 0.5, 0], atol=1e-6)


@pytest.mark.parametrize("coding", ["steps", "piecewise"])
def test_a_missing_value_has_its_own_input_and_zeros_elsewhere(coding):
    got = encode(table(age=[np.nan], sector=[None]), [AGE, SECTOR], coding)[0]
    columns = input_columns([AGE, SECTOR], coding)
    last = columns[0].width - 1
    assert got[last] > 0 and got[-1] > 0
    assert not got[:last].any() and not got[last + 1 : -1].any()


def test_categories_known_other_and_codes_that_are_numbers():
    bins = Bins.public(Feature(institution="bank", column="sector", kind="category", bins=("1", "2")))
    got = encode(pd.DataFrame({"sector": pd.Series([1, 2.0, "7"], dtype=object)}), [bins])
    column = input_columns([bins])[0]
    one_hot = got[:, :3] / column.scale + 1 / 3
    np.testing.assert_allclose(one_hot, np.eye(3), atol=1e-6)


def test_missing_is_refused_where_the_dictionary_allows_none():
    with pytest.raises(DataError, match="1 values are missing"):
        encode(table(flag=[1.0, np.nan]), [FLAG])
    with pytest.raises(DataError, match="column flag is absent"):
        encode(table(age=[1.0]), [FLAG])


def test_quantile_bins_give_centred_rows_of_length_one():
    rng = np.random.default_rng(1)
    names = [f"x{k}" for k in range(40)]
    bins = [
        Bins(
            Feature(institution="bank", column=n, low=0, high=1, missing=False),
            edges=tuple(np.arange(1, 16) / 16),
        )
        for n in names
    ]
    got = encode(pd.DataFrame({n: rng.random(4000) for n in names}), bins).astype(float)
    assert got.shape == (4000, 600)
    assert abs(np.square(got).sum(1).mean() - 17 / 16) < 0.02  # K + 2 over K + 1 for K inputs a column
    assert abs(got.mean(0)).max() < 6 * 0.5 * np.sqrt(6 / 40 / 15 / 4000)


@given(st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(float("nan"))), min_size=1, max_size=20))
@settings(max_examples=50, deadline=None)
def test_steps_say_what_the_bin_codes_say(values):
    got = encode(table(age=values), [AGE])
    codes = AGE.codes(np.array(values))
    for row, code in zip(got, codes, strict=True):
        expected = -1 if row[3] > 0 else int((row[:3] > 0).sum())
        assert expected == (-1 if code == 4 else code)


def test_the_design_survives_json_and_says_its_width():
    for coding in ("steps", "piecewise"):
        columns = input_columns([AGE, SECTOR, FLAG, MONEY], coding)
        assert from_dict(json.loads(json.dumps(to_dict(columns)))) == columns
        frame = table(age=[1.0], sector=["A"], flag=[1.0], money=[5.0])
        assert encode(frame, [AGE, SECTOR, FLAG, MONEY], coding).shape == (
            1,
            width([AGE, SECTOR, FLAG, MONEY], coding),
        )


def test_malformed_forms_are_refused():
    with pytest.raises(ConfigError, match="malformed"):
        from_dict([{"column": "a"}])
    with pytest.raises(ConfigError, match="coding"):
        input_columns([AGE], "splines")
    with pytest.raises(ConfigError, match="at least one column"):
        input_columns([])


TRADES = Bins(
    Feature(
        institution="bank",
        column="trades",
        low=0,
        high=80,
        special=(("-9", "no record"), ("99", "never asked")),
    ),
    edges=(20.0, 40.0, 60.0),
)


@pytest.mark.parametrize("coding", ["steps", "piecewise"])
def test_a_special_code_is_no_number_but_an_input_of_its_own(coding):
    got = encode(table(trades=[-9.0, 99.0, np.nan, 5.0]), [TRADES], coding)
    plain = encode(table(age=[5.0]), [AGE], coding)
    inputs = plain.shape[1] - 1
    assert got.shape[1] == inputs + 3
    np.testing.assert_allclose(got[3, :inputs], plain[0, :inputs], rtol=1e-6)
    assert not got[:3, :inputs].any() and not got[3, inputs:].any()
    own = got[:3, inputs:]
    assert (own[own > 0] == own[0, 0]).all()
    assert ((own > 0) == np.eye(3, dtype=bool)).all()


def test_inputs_with_special_codes_go_round_and_older_designs_load():
    columns = input_columns([TRADES, AGE])
    assert columns[0].special == (-9.0, 99.0)
    stored = json.loads(json.dumps(to_dict(columns)))
    assert from_dict(stored) == columns
    del stored[1]["special"]
    assert from_dict(stored) == columns
