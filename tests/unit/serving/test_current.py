"""Rows that are looked up one by one are those that a study reads, from every kind of source and spelling."""

import sqlite3
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import sqlalchemy

from fedrisk.data.table import read_table
from fedrisk.institution import Institution
from fedrisk.serving.current import CurrentData
from sim_institutions.postgresql import Unavailable, running
from support.own_data import code

COLUMNS = [
    {
        "name": "amount",
        "source": "Amount (yuan)",
        "kind": "number",
        "low": -1e6,
        "high": 1e6,
        "outside": 1,
        "special": {"-1000001": "no record", "1000000.5": "not asked"},
        "missing_values": [-7, "n/k", 9007199254740993],
    },
    {"name": "share", "kind": "number", "low": 0, "high": 1, "outside": 1},
    {
        "name": "sector",
        "kind": "category",
        "categories": ["01", "1", "NA", "1E3", "贸易", "null"],
        "outside": 1,
        "missing_values": ["x", 7],
    },
    {"name": "place", "kind": "category", "categories": ["44", "31"], "prefix": 2, "outside": 1},
    {"name": "own", "kind": "flag", "special": {"9": "not stated"}},
]
DICTIONARY = {"id": "id", "columns": [{"meaning": "m", **c} for c in COLUMNS]}
AMOUNTS = [-7, 0.1, 1e-7, 2e6, -1000001, 1000000.5, 123.45, 5, None]
TEXTS = ["01", "1", "1.0", "NA", "1E3", "贸易", "x", " 1 ", "null", "other", "7", None, ""]


def random_rows(seed, n=40, *, scheme="uscc"):
    """A table of all kinds of columns, with ids in odd spellings, and its ids in their one spelling."""
    g = np.random.default_rng(seed)
    ids = [code(int(k)) for k in g.permutation(10 * n)[:n]]
    if scheme == "opaque":
        ids = [f"E{k:05d}" for k in g.permutation(10 * n)[:n]]
    table = {
        "id": ids,
        "Amount (yuan)": [AMOUNTS[k] for k in g.integers(0, len(AMOUNTS), n)],
        "share": np.where(g.random(n) < 0.2, np.nan, g.normal(0.5, 0.5, n).round(3)),
        "sector": [TEXTS[k] for k in g.integers(0, len(TEXTS), n)],
        "place": [["4403", "3100", "5101", None][k] for k in g.integers(0, 4, n)],
        "own": [["1", "0", "Y", "no", "9", None][k] for k in g.integers(0, 6, n)],
        "unused": g.normal(size=n),
    }
    return pd.DataFrame(table)


def written(kind, frame, folder):
    """The table as a source of a kind; what [table] says of it."""
    if kind == "csv":
        frame.to_csv(folder / "t.csv", index=False)
        return {"source": "t.csv"}
    if kind == "comma":
        text = frame.copy()
        text["Amount (yuan)"] = [
            None if v is None else f"{Decimal(repr(v)):f}".replace(".", ",") for v in text["Amount (yuan)"]
        ]
        text["share"] = [None if pd.isna(v) else str(v).replace(".", ",") for v in text["share"]]
        text.to_csv(folder / "t.csv", index=False, sep=";")
        return {"source": "t.csv", "decimal": ",", "delimiter": ";"}
    if kind == "parquet":
        frame.to_parquet(folder / "t.parquet")
        return {"source": "t.parquet"}
    with sqlite3.connect(folder / "t.sqlite") as connection:
        clean = frame.astype(object).where(frame.notna(), None)
        names = ", ".join(f'"{n}"' for n in clean)
        connection.execute("DROP TABLE IF EXISTS t")
        connection.execute(f"CREATE TABLE t ({names})")
        marks = ", ".join("?" * clean.shape[1])
        connection.executemany(f"INSERT INTO t VALUES ({marks})", clean.to_numpy().tolist())
    connection.close()
    return {"source": "sqlite:///t.sqlite", "query": "SELECT * FROM t -- all of it"}


def institution(folder, table, dictionary=DICTIONARY, **more):
    return Institution(
        name="tax",
        kind="holder",
        table=table,
        dictionary=dictionary,
        store=str(folder / "store"),
        folder=folder,
        **more,
    )


def opened(found, folder):
    return CurrentData.open(found, folder / "serving")


def same_as_in_a_study(found, data, ids=None):
    """Every row of a study's table, asked for alone, in blocks and in any order, is the study's row."""
    table = read_table(found.table, found.dictionary, base=found.folder)
    order = np.random.default_rng(0).permutation(len(table))
    ids = table.ids if ids is None else ids
    got = data.rows(ids[order].tolist())
    assert got.known.all() and not got.malformed.any()
    pd.testing.assert_frame_equal(got.frame, table.frame.iloc[order].reset_index(drop=True))
    for k in order[:7]:
        one = data.rows([ids[k]])
        assert values(one.frame) == values(table.frame.iloc[[k]])
    return table


def values(frame):
    """Rows as plain values, None where one is missing: pandas may give few values another type than many."""
    return frame.astype(object).where(frame.notna(), None).to_numpy().tolist()


@pytest.mark.parametrize("kind", ["csv", "comma", "parquet", "sqlite"])
@pytest.mark.parametrize("seed", range(4))
def test_rows_are_those_of_a_study(tmp_path, kind, seed):
    frame = random_rows(seed)
    found = institution(tmp_path, written(kind, frame, tmp_path))
    table = same_as_in_a_study(found, opened(found, tmp_path))
    assert len(table) == len(frame) and table.frame["amount"].isin([-1000001, 1000000.5]).any()


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
