"""Rows of a database, found by its index under every type and spelling of ids; databases that are away or change."""

import sqlite3
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
import sqlalchemy

from fedrisk.data.source import TableSource
from fedrisk.errors import AwayError, ConfigError, DataError
from fedrisk.serving import database_rows
from fedrisk.serving.drift import read_drift
from sim_institutions.postgresql import Unavailable, running
from support.current_data import (
    DICTIONARY,
    institution,
    opened,
    random_rows,
    same_as_in_a_study,
    written,
)


@pytest.fixture(scope="module")
def server():
    try:
        with running() as found:
            yield found.url
    except Unavailable as why:
        pytest.skip(str(why))


KEYS = {
    "text": (lambda ids: ids, "'X' || g"),
    "varchar(30)": (lambda ids: [i.lower() for i in ids], "'X' || g"),
    "char(24)": (lambda ids: ids, "'X' || g"),
    "bigint": (lambda ids: list(range(1000, 1000 + len(ids))), "1000000 + g"),
    "numeric(20, 0)": (lambda ids: [103100000026000123 + k for k in range(len(ids))], "g"),
    "numeric(20, 2)": (lambda ids: list(range(1000, 1000 + len(ids))), "1000000 + g"),
    "double precision": (lambda ids: list(range(1000, 1000 + len(ids))), "1000000 + g"),
    "uuid": (
        lambda ids: [f"00000000-0000-0000-0000-0000000{k:05x}" for k in range(len(ids))],
        "CAST(md5(CAST(g AS text)) AS uuid)",
    ),
}
"""Types of a column of ids: how its values are made of ids, and those of rows that the query leaves out."""

TYPES = '"Amount (yuan)" numeric, share real, sector text, place char(4), own text, unused float'
QUERY = 'SELECT * FROM t WHERE unused IS NOT NULL ORDER BY "share";'


def into(url, frame, key, others):
    """The table in PostgreSQL, with an index on its ids, among 20,000 rows that the query leaves out."""
    clean = frame.astype(object).where(frame.notna(), None)
    names = ", ".join(f'"{n}"' for n in clean)
    marks = ", ".join(f":p{k}" for k in range(1, clean.shape[1]))
    rows = [{f"p{k}": v for k, v in enumerate(row)} for row in clean.to_numpy().tolist()]
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        for statement in (
            "DROP TABLE IF EXISTS t",
            f"CREATE TABLE t (id {key}, {TYPES})",
            f"INSERT INTO t (id) SELECT {others} FROM generate_series(1, 20000) g",
        ):
            connection.execute(sqlalchemy.text(statement))
        connection.execute(
            sqlalchemy.text(f"INSERT INTO t ({names}) VALUES (CAST(:p0 AS {key}), {marks})"), rows
        )
        connection.execute(sqlalchemy.text("CREATE UNIQUE INDEX ON t (id)"))
        connection.execute(sqlalchemy.text("ANALYZE t"))
    engine.dispose()


def plan_of(data, ids):
    """How the database answers the question, in its own words."""
    seen = []
    engine = data._rows._engine

    def note(connection, cursor, statement, parameters, context, many):
        seen.append((statement, parameters))

    sqlalchemy.event.listen(engine, "before_cursor_execute", note)
    data.rows(ids)
    sqlalchemy.event.remove(engine, "before_cursor_execute", note)
    ((statement, parameters),) = seen
    explain = "EXPLAIN " if engine.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN "
    with engine.connect() as connection:
        return "\n".join(str(tuple(r)) for r in connection.exec_driver_sql(explain + statement, parameters))


USUAL = ("varchar(30)", "char(24)", "bigint", "numeric(20, 2)")


@pytest.mark.parametrize("key", [k if k in USUAL else pytest.param(k, marks=pytest.mark.long) for k in KEYS])
def test_rows_of_postgresql_are_those_of_a_study_and_found_by_the_index(server, tmp_path, key):
    frame, (made, others) = random_rows(5, 200), KEYS[key]
    frame["id"] = made(frame["id"].tolist())
    into(server, frame, key, others)
    scheme = "uscc" if key in ("text", "varchar(30)", "char(24)") else "opaque"
    found = institution(tmp_path, {"source": server, "query": QUERY}, {**DICTIONARY, "id_scheme": scheme})
    data = opened(found, tmp_path)
    read = same_as_in_a_study(found, data)
    for ids in (read.ids[:1], read.ids[:30]):
        plan = plan_of(data, ids.tolist())
        assert "Seq Scan" not in plan and "Index" in plan, plan
    data.close()


def sqlite(frame, folder, ids=None):
    table = written("sqlite", frame if ids is None else frame.assign(id=ids), folder)
    with sqlite3.connect(folder / "t.sqlite") as connection:
        connection.execute("CREATE INDEX by_id ON t (id)")
    connection.close()
    return table


def test_sqlite_takes_its_index_too(tmp_path):
    frame = random_rows(6)
    data = opened(institution(tmp_path, sqlite(frame, tmp_path)), tmp_path)
    plan = plan_of(data, frame["id"].tolist())
    assert "SEARCH" in plan and "by_id" in plan and "SCAN" not in plan


def test_ids_that_no_database_takes_spoil_no_question(server, tmp_path):
    frame = random_rows(6)
    into(server, frame, "text", "'X' || g")
    table = {"source": server, "query": QUERY}
    data = opened(institution(tmp_path, table, {**DICTIONARY, "id_scheme": "opaque"}), tmp_path)
    asked = [
        "\ud800",
        "a\0b",
        "\x01",
        "x" * 5000,
        "' OR 1=1 --",
        "%s %(a)s :ids",
        "1E999999999",
        frame["id"].iloc[0],
    ]
    got = data.rows(asked)
    assert got.known.tolist() == [False] * 7 + [True] and got.malformed.tolist() == [True] * 3 + [False] * 5
    data.close()


def test_all_ids_of_a_question_are_one_query(tmp_path):
    frame = random_rows(6, 1000)
    data = opened(institution(tmp_path, sqlite(frame, tmp_path)), tmp_path)
    assert plan_of(data, frame["id"].tolist())
    assert data.rows(frame["id"].tolist()).known.all()


@pytest.mark.parametrize(
    "spelt",
    [
        lambda ids: [i.lower() for i in ids],
        lambda ids: [i.ljust(24) for i in ids],
        lambda ids: [f" {i[:9]} {i[9:].lower()}" for i in ids],
        lambda ids: [i.lower() if k % 3 else f" {i}" for k, i in enumerate(ids)],
    ],
)
def test_ids_are_found_however_they_are_stored(tmp_path, spelt):
    frame = random_rows(7)
    found = institution(tmp_path, sqlite(frame, tmp_path, spelt(frame["id"].tolist())))
    same_as_in_a_study(found, opened(found, tmp_path))


@pytest.mark.parametrize(
    "ids", [lambda n: range(n), lambda n: [f"{k}.0" for k in range(n)], lambda n: [k + 0.0 for k in range(n)]]
)
def test_ids_that_are_numbers_in_sqlite(tmp_path, ids):
    frame = random_rows(8)
    found = institution(
        tmp_path, sqlite(frame, tmp_path, list(ids(40))), {**DICTIONARY, "id_scheme": "opaque"}
    )
    same_as_in_a_study(found, opened(found, tmp_path))


def test_rows_that_only_leaves_out_are_not_known(tmp_path):
    frame = random_rows(7).assign(place=["4403", "3100"] * 20)
    found = institution(tmp_path, {**sqlite(frame, tmp_path), "only": {"place": "3100"}})
    data = opened(found, tmp_path)
    assert len(same_as_in_a_study(found, data)) == 20
    assert data.rows(frame["id"].tolist()).known.tolist() == [False, True] * 20


def test_a_lookup_of_its_own_finds_ids_that_are_stored_in_another_notation(tmp_path):
    frame = random_rows(7)
    table = sqlite(frame, tmp_path, [f"CN-{i}" for i in frame["id"]])
    table["query"] = 'SELECT substr(id, 4) AS id, "Amount (yuan)", share, sector, place, own FROM t'
    table["lookup"] = table["query"] + " WHERE substr(id, 4) IN (:ids) AND ':x' <> \"id\";"
    found = institution(tmp_path, table)
    same_as_in_a_study(found, opened(found, tmp_path))
    for wrong in ({"lookup": "SELECT 1"}, {"source": "t.csv", "query": None}):
        with pytest.raises(ValueError, match="lookup is for database URLs, and names the ids"):
            TableSource.model_validate({**table, **wrong})


def test_an_id_of_several_rows_in_a_database_is_not_known(tmp_path):
    frame = random_rows(2)
    ids = frame["id"].tolist()
    data = opened(institution(tmp_path, sqlite(frame, tmp_path, [ids[1].lower(), *ids[1:]])), tmp_path)
    assert data.rows(ids).known.tolist() == [False, False] + [True] * 38
    data.close()
    assert read_drift(tmp_path / "serving").total["id"] == {"repeated": 1}


def test_a_query_that_loses_a_column_goes_on_without_it(tmp_path):
    frame = random_rows(2)
    data = opened(institution(tmp_path, sqlite(frame, tmp_path)), tmp_path)
    assert data.rows(frame["id"].tolist()).frame["share"].notna().any()
    with sqlite3.connect(tmp_path / "t.sqlite") as connection:
        connection.execute("ALTER TABLE t DROP COLUMN share")
    connection.close()
    got = data.rows(frame["id"].tolist())
    assert got.known.all() and got.frame["share"].isna().all() and got.frame["amount"].notna().any()
    data.close()
    assert read_drift(tmp_path / "serving").total["share"]["gone"] == 40


def test_values_without_text_are_missing(server, tmp_path):
    engine = sqlalchemy.create_engine(server)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("DROP TABLE IF EXISTS lists"))
        connection.execute(sqlalchemy.text("CREATE TABLE lists (id text, own integer[], share real)"))
        connection.execute(sqlalchemy.text("INSERT INTO lists VALUES ('A', '{1}', 0.5), ('B', NULL, 0.25)"))
    engine.dispose()
    table = {"source": server, "query": "SELECT * FROM lists"}
    data = opened(institution(tmp_path, table, {**DICTIONARY, "id_scheme": "opaque"}), tmp_path)
    got = data.rows(["b", "a"])
    assert got.known.all() and got.frame["own"].isna().all() and got.frame["share"].tolist() == [0.25, 0.5]
    data.close()
    assert read_drift(tmp_path / "serving").total["own"] == {"unreadable": 1}


def test_connections_that_broke_are_opened_again(server, tmp_path):
    frame = random_rows(5)
    into(server, frame, "text", "'X' || g")
    data = opened(institution(tmp_path, {"source": server, "query": QUERY}), tmp_path)
    assert data.rows(frame["id"].tolist()).known.all()
    engine = sqlalchemy.create_engine(server)
    with engine.begin() as connection:
        ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"
        assert connection.execute(sqlalchemy.text(ended)).scalar() >= 1
    engine.dispose()
    assert data.rows(frame["id"].tolist()).known.all()
    data.close()


def test_a_database_that_is_away_is_said_to_be_and_nothing_is_raised_at_the_beginning(tmp_path):
    url = "postgresql+psycopg://someone:secret@127.0.0.1:9/x"
    data = opened(institution(tmp_path, {"source": url, "query": "SELECT * FROM t"}), tmp_path)
    with pytest.raises(AwayError, match="does not answer") as error:
        data.rows([random_rows(1)["id"].iloc[0]])
    assert "secret" not in str(error.value) and error.value.__cause__ is None


def test_a_query_that_is_wrong_says_so_without_its_words(tmp_path):
    frame = random_rows(2)
    table = {**sqlite(frame, tmp_path), "query": "SELECT * FROM not_there"}
    data = opened(institution(tmp_path, table), tmp_path)
    with pytest.raises(DataError, match="a table that is not there") as error:
        data.rows(frame["id"].tolist())
    assert not isinstance(error.value, AwayError)
    assert frame["id"].iloc[0] not in str(error.value) and "not_there" not in str(error.value)


def test_a_query_that_takes_too_long_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(database_rows, "STATEMENT_SECONDS", 0.2)
    frame = random_rows(2)
    endless = "(WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c)"
    table = {**sqlite(frame.drop(columns="share"), tmp_path), "query": f"SELECT *, {endless} AS share FROM t"}
    data = opened(institution(tmp_path, table), tmp_path)
    with pytest.raises(AwayError, match="took too long"):
        data.rows(frame["id"].tolist()[:1])


@pytest.mark.parametrize("change", [{"id": "@row", "id_scheme": "opaque"}, {}])
def test_rows_that_have_no_key_are_not_looked_up(tmp_path, change):
    table = sqlite(random_rows(1), tmp_path)
    if not change:
        table["part"] = {"number": 1, "of": 2}
    with pytest.raises(ConfigError, match="looked up by their id"):
        opened(institution(tmp_path, table, {**DICTIONARY, **change}), tmp_path)


def test_rows_are_as_of_now_unless_a_column_says_their_day(tmp_path):
    frame = random_rows(2)
    now = datetime.now(UTC).date()
    data = opened(institution(tmp_path, sqlite(frame, tmp_path)), tmp_path)
    assert (data.rows(frame["id"].tolist()).day == np.datetime64(now, "D")).all()
    days = [
        "2026-01-31",
        "20260131",
        "2026/1/31 10:30",
        None,
        "31/01/2026",
        "2999-01-01",
        *["2026-01-30"] * 34,
    ]
    (tmp_path / "days").mkdir()
    table = sqlite(frame.assign(seen=days), tmp_path / "days")
    found = institution(tmp_path / "days", {**table, "updated": "seen"})
    data = opened(found, tmp_path / "days")
    got = data.rows([*frame["id"].tolist(), "not an id"])
    assert pd.isna(got.day).tolist() == [False] * 3 + [True] * 2 + [False] * 35 + [True]
    assert got.day[:3].astype(str).tolist() == ["2026-01-31"] * 3
    assert got.usable(now.replace(year=2026, month=2, day=1), 1).tolist() == [True] * 3 + [False] * 38
    data.close()
    assert read_drift(tmp_path / "days" / "serving").total["seen"] == {"undated": 2, "ahead": 1}
