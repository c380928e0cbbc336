"""Trees as arrays say what scikit-learn says, to the last digit, and nothing is lost in the file."""

import numpy as np
import pandas as pd
import pytest

from fedrisk.errors import ConfigError, DataError
from fedrisk.models import champion
from fedrisk.models.champion import fit_champion
from fedrisk.models.forest import SURE, Forest
from fedrisk.models.own_model import OwnModel
from fedrisk.models.personal import LinearModel

ROWS = 900


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(3)
    grades = np.array(["A", "B", "C", "D", None], object)[rng.integers(0, 5, ROWS)]
    many = np.array([f"r{k}" for k in rng.integers(0, 320, ROWS)], object)
    numbers = rng.normal(size=ROWS)
    return pd.DataFrame(
        {
            "grade": grades,
            "number": np.where(rng.random(ROWS) < 0.2, np.nan, numbers),
            "many": many,
            "flag": rng.random(ROWS) < 0.5,
            "nothing": np.full(ROWS, None, object),
        }
    )


@pytest.fixture(scope="module")
def label(table):
    rng = np.random.default_rng(4)
    risk = table["number"].fillna(0.4) + (table["grade"] == "B") - (table["many"] < "r2")
    return (risk + 0.8 * rng.normal(size=ROWS) > 0.8).to_numpy(int)


@pytest.fixture(scope="module")
def fitted(table, label):
    told = label + np.random.default_rng(5).normal(size=ROWS)
    return fit_champion(table, label, told, max_rounds=30), told


def test_every_row_is_what_scikit_learn_says(fitted, table):
    """Also where values are missing, or of a category that no training saw."""
    model, told = fitted
    other = table.copy()
    other.loc[:99, "grade"], other.loc[50:80, "number"], told = "Z", np.nan, np.where(told > 2, np.nan, told)
    assert (Forest.of(model).log_odds(other, told) == model.log_odds(other, told)).all()
    one = {c: other[c].iloc[60:61].to_numpy() for c in other}
    assert Forest.of(model).log_odds(one, told[60:61])[0] == model.log_odds(other.iloc[60:61], told[60:61])[0]


def test_a_row_is_told_alike_alone_and_among_others(table, label):
    # numpy would add a single row's members up in another order.
    model = fit_champion(table[["number", "flag"]][:300], label[:300], max_rounds=5)
    forest = Forest.of(model)
    whole = forest.log_odds(table)
    alone = [forest.log_odds({c: table[c].iloc[k : k + 1].to_numpy() for c in table})[0] for k in range(60)]
    assert alone == whole[:60].tolist()


def test_numbers_alone_need_no_codes(table, label):
    model = fit_champion(table[["number"]], label, max_rounds=10)
    assert (Forest.of(model).log_odds(table) == model.log_odds(table)).all()
    assert SURE == champion.SURE


def test_rows_are_walked_in_parts(fitted, table, monkeypatch):
    model, told = fitted
    monkeypatch.setattr("fedrisk.models.forest.AT_ONCE", 1)
    some = table.iloc[:7]
    assert (Forest.of(model).log_odds(some, told[:7]) == model.log_odds(some, told[:7])).all()


def test_an_absent_column_is_named(fitted, table):
    model, told = fitted
    with pytest.raises(DataError, match="column many is absent"):
        Forest.of(model).log_odds(table.drop(columns="many"), told)


def test_the_file_holds_everything(fitted, table):
    model, told = fitted
    forest, linear = Forest.of(model), LinearModel(0.1, np.array([1 / 3, 2.0]), np.array([0.0, -1e-17]))
    kept = OwnModel(
        {"boosted": forest, "near": linear, "alone": -2.5}, {"champion": {"boosted": 0.25}}, "champion"
    )
    read = OwnModel.from_bytes(kept.to_bytes())
    assert (read.weights, read.best, read.beside_holders) == (kept.weights, "champion", True)
    assert read.columns == forest.columns
    assert (read.members["boosted"].log_odds(table, told) == forest.log_odds(table, told)).all()
    assert (read.members["near"].intercept, read.members["alone"]) == (0.1, -2.5)
    assert (read.members["near"].weights == linear.weights).all()


@pytest.mark.parametrize("cut", [0, 10, 200])
def test_a_damaged_file_is_no_model(fitted, cut):
    raw = OwnModel({"boosted": Forest.of(fitted[0])}).to_bytes()
    with pytest.raises(ConfigError, match="own models is damaged"):
        OwnModel.from_bytes(raw[:cut])
    with pytest.raises(ConfigError, match="own models is damaged"):
        OwnModel.from_bytes(raw[:100] + b"\x00" * 50 + raw[150:])
