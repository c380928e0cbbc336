"""Tables from a database: which file, which query, and why it refuses, without a word of the driver's."""

import sqlite3

import pytest

from fedrisk.data.dictionary import load_dictionary
from fedrisk.data.source import TableSource
from fedrisk.data.table import read_table
from fedrisk.errors import ConfigError, DataError

NUMBER = {"name": "x", "kind": "number", "meaning": "m", "low": 0, "high": 1e6}
DICTIONARY = load_dictionary({"id": "id", "id_scheme": "opaque", "columns": [NUMBER]})


@pytest.fixture
def database(tmp_path):
    with sqlite3.connect(tmp_path / "t.db") as opened:
        opened.execute("CREATE TABLE t (id, x)")
        opened.executemany("INSERT INTO t VALUES (?, ?)", [("a", 1.234), ("b", "1.234,5"), ("c", 3)])
    opened.close()
    return tmp_path


def read(folder, query="SELECT * FROM t", url="sqlite:///t.db", **table):
    return read_table(TableSource(source=url, query=query, **table), DICTIONARY, base=folder)


def test_numbers_among_texts_are_not_read_in_the_notation_of_texts(database):
    assert read(database, decimal=",", thousands=".").frame["x"].tolist() == [1.234, 1234.5, 3.0]


def test_a_relative_file_starts_at_the_institution_file(database, tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert len(read(database, "SELECT id, 1 AS x FROM t")) == 3


def test_no_file_is_made_for_a_path_that_is_wrong(database):
    with pytest.raises(ConfigError, match="no file .*absent.db"):
        read(database, url="sqlite:///absent.db")
    assert not (database / "absent.db").exists()


@pytest.mark.parametrize(
    "query",
    [
        "SELECT id, 1 AS x FROM t WHERE ' :a' <> ''",
        "SELECT id, 1 AS x FROM t WHERE '%H:%M' <> strftime('%H:%M', 'now')",
        "SELECT id, json_extract('{\"a:b\": 1}', '$.a:b') + 1 > 0 OR 1 AS x FROM t",
        "-- :note\nSELECT id, 1 AS x FROM t",
        "SELECT id, 1 AS x FROM t;",
    ],
)
def test_a_colon_is_a_part_of_the_query(database, query):
    assert len(read(database, query)) == 3


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("SELECT * FROM s3cret", "names a table that is not there"),
        ("SELECT s3cret FROM t", "names a column that is not there"),
        ("SELEC * FROM s3cret", "no valid SQL"),
        ("SELECT 1; SELECT 's3cret'", "one statement alone"),
        ("DELETE FROM t", "write a SELECT"),
    ],
)
def test_why_a_database_refuses_is_said_in_own_words(database, query, words):
    with pytest.raises(DataError, match=words) as caught:
        read(database, query)
    assert "s3cret" not in str(caught.value)
    assert len(read(database, "SELECT id, 1 AS x FROM t")) == 3


def test_a_folder_of_parts_is_named(tmp_path):
    (tmp_path / "t.parquet").mkdir()
    with pytest.raises(ConfigError, match="is a folder"):
        read_table(TableSource(source="t.parquet"), DICTIONARY, base=tmp_path)
