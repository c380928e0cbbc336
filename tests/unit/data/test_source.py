"""Sources of tables: what a source may be, which columns and rows are read, and how values arrive."""

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from fedrisk.data import source as source_module
from fedrisk.data.checks import Check, Checks
from fedrisk.data.dictionary import load_dictionary
from fedrisk.data.place import expand
from fedrisk.data.source import Part, TableSource, by_value, read_source, where
from fedrisk.errors import ConfigError, DataError

NUMBER = {"name": "income", "source": "amount", "kind": "number", "meaning": "m", "low": 0, "high": 9}
DICTIONARY = load_dictionary({"id": "id", "id_scheme": "opaque", "columns": [NUMBER]})


def save(folder, **columns):
    pd.DataFrame(columns).to_csv(folder / "t.csv", index=False)


def read(folder, **fields):
    checks = Checks()
    found = read_source(TableSource(**{"source": "t.csv", **fields}), DICTIONARY, folder, checks)
    return found, checks


def test_only_the_columns_of_the_dictionary_are_read(tmp_path):
    save(tmp_path, other=["x", "y"], amount=["1", " "], id=["a", "b"])
    found, checks = read(tmp_path)
    assert list(found.columns) == ["id", "amount"]
    assert found["id"].tolist() == ["a", "b"]
    assert found["amount"].isna().tolist() == [False, True]
    assert [(c.column, c.rule, c.severity) for c in checks] == [
        ("table", "1 columns are not in the dictionary", "note")
    ]


def test_missing_and_repeated_columns_are_errors_and_nothing_is_read(tmp_path):
    (tmp_path / "t.csv").write_text("id,id\na,b\n")
    found, checks = read(tmp_path)
    assert found is None
    assert [(c.column, c.severity) for c in checks] == [("amount", "error"), ("id", "error")]


def test_only_and_part_select_rows_and_keep_their_numbers(tmp_path, monkeypatch):
    save(tmp_path, id=list("abcdef"), amount=range(6), bank=["x", "y", "x", "1.0", "x", "y"])
    for rows in (100_000, 2):
        monkeypatch.setattr(source_module, "BLOCK_ROWS", rows)
        assert read(tmp_path, only={"bank": "x"})[0].index.tolist() == [0, 2, 4]
        assert read(tmp_path, only={"bank": ["y", "1"]})[0].index.tolist() == [1, 3, 5]
    parts = [read(tmp_path, part=Part(number=k, of=2))[0].index.tolist() for k in (1, 2)]
    assert sorted(parts[0] + parts[1]) == list(range(6)) and len(parts[0]) == 3


def test_parts_are_disjoint_and_the_same_for_the_same_seed():
    assert Part(number=1, of=2).rows(7).tolist() == Part(number=1, of=2).rows(7).tolist()
    both = np.concatenate([Part(number=k, of=2, seed=3).rows(7) for k in (1, 2)])
    assert sorted(both.tolist()) == list(range(7))
    with pytest.raises(ValidationError, match="number 3 of 2; count from 1"):
        Part(number=3, of=2)


def test_a_meaning_is_computed_once_for_each_value():
    asked = []

    def meaning(value):
        asked.append(value)
        return float(len(value))

    found = by_value(pd.Series(["bb", "a", None, "bb"]), meaning)
    np.testing.assert_array_equal(found, [2, 1, np.nan, 2])
    assert asked == ["bb", "a"]


def test_checks_count_shares_and_leave_out_zero_rows():
    checks = Checks()
    checks.total = 200
    checks.note("a", "rule", 0, "remedy")
    checks.note("a", "rule", 3, "remedy", "warning")
    checks.always("b", "rule", "remedy")
    assert checks == [
        Check("a", "rule", 3, 0.015, "warning", "remedy"),
        Check("b", "rule", 0, 0.0, "error", "remedy"),
    ]
    assert [str(c) for c in checks] == ["warning: a: rule (3 rows, 1.50%); remedy", "error: b: rule; remedy"]


def test_a_name_never_shows_a_database_url():
    assert where(TableSource(source="sqlite:///secret.db", query="SELECT 1")) == "table from the database"
    assert where(TableSource(source="folder/t.csv")) == "table t.csv"


def test_environment_variables(tmp_path, monkeypatch):
    monkeypatch.setenv("FEDRISK_TEST_PLACE", str(tmp_path))
    save(tmp_path, id=["a"], amount=["1"])
    assert expand("${FEDRISK_TEST_PLACE}/x") == f"{tmp_path}/x"
    assert len(read(tmp_path.parent, source="${FEDRISK_TEST_PLACE}/t.csv")[0]) == 1
    monkeypatch.delenv("FEDRISK_TEST_PLACE")
    with pytest.raises(ConfigError, match=r"FEDRISK_TEST_PLACE is not set; set it"):
        expand("${FEDRISK_TEST_PLACE}/t.csv")
    with pytest.raises(ConfigError, match=r"no file .*absent\.csv; correct the path"):
        read(tmp_path, source="absent.csv")


def test_an_unknown_encoding_is_named(tmp_path):
    save(tmp_path, id=["a"], amount=["1"])
    with pytest.raises(DataError, match="encoding nonsense"):
        read(tmp_path, encoding="nonsense")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"source": "sqlite:///x.db"}, "needs a query"),
        ({"source": "x.csv", "query": "SELECT 1"}, "remove it"),
        ({"source": "x.xlsx"}, "must end in"),
        ({"source": "x.csv", "sheet": "1"}, "Extra inputs"),
    ],
)
def test_sources_are_checked(fields, words):
    with pytest.raises(ValidationError, match=words):
        TableSource(**fields)
