"""The same values give the same table from a CSV, a Parquet file and a database: random tables through all three."""

import os
import sqlite3
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fedrisk.data.dictionary import load_dictionary
from fedrisk.data.source import TableSource
from fedrisk.data.table import examine_table

MANY = int(os.environ.get("FEDRISK_RANDOM_TABLES", 200))
"""How many in make long, each with a column of every kind; 1,000 is what was claimed, and takes a minute or two."""

COLUMNS = {
    "amount": {
        "kind": "number",
        "low": -1e6,
        "high": 1e6,
        "outside": 1,
        "special": {"-1000001": "no record", "1000000.5": "not asked"},
        "missing_values": [-7, "?", 9007199254740993],
    },
    "sector": {
        "kind": "category",
        "categories": ["01", "1", "NA", "1E3", "103100000026000123", "贸易", "null"],
        "outside": 1,
        "missing_values": ["x", 7],
    },
    "own": {"kind": "flag", "special": {"9": "not stated"}},
    "day": {"kind": "date", "feature": False, "missing_values": ["1900-01-01"]},
}
LABEL = {"column": "bad", "positive": [1, "BAD"], "negative": [0, "GOOD"], "horizon": "h"}


DICTIONARY = load_dictionary(
    {
        "id": "id",
        "id_scheme": "opaque",
        "columns": [{"name": name, "meaning": "m", **column} for name, column in COLUMNS.items()],
        "label": LABEL,
    }
)
TEXTS = [
    "01",
    "1",
    "1.0",
    "NA",
    "1E3",
    "1000",
    "103100000026000123",
    "103100000026000124",
    "贸易",
    "１",
    "x",
    " 1 ",
]
TEXTS += [
    "TRUE",
    "true",
    "null",
    "NULL",
    "a,b",
    'say "x"',
    "7",
    "-7",
    "?",
    "1e-3",
    "\u00a01",
    "\ufeff01",
    "0x1",
    "1_0",
]
FLAGS = ["1", "0", "Y", "no", "TRUE", "False", "9", "9.0", "NA", "maybe"]
DAYS = [
    "2024-09-01",
    "20240901",
    "2024-09-01T00:00:00+08:00",
    "1900-01-01",
    "2024/9/1",
    "NaT",
    "01/09/2024",
    "2024-02-30",
]


def gaps(g, values):
    return [None if g.random() < 0.2 else v for v in values]


def doubles(g, n):
    return np.where(g.random(n) < 0.2, np.nan, np.round(g.normal(size=n) * 10.0 ** g.integers(-8, 9), 3))


def whole(g, n):
    return g.choice([-7, -1000001, 0, 1, 9007199254740992, 9007199254740993, 5, 103100000026000123], n)


def amounts(g, n):
    """Numbers as each type that holds them."""
    kind = g.integers(7)
    if kind == 0:
        return pd.array(doubles(g, n))
    if kind == 1:
        return pd.array(gaps(g, whole(g, n).tolist()), dtype="Int64")
    if kind == 2:
        return whole(g, n)
    if kind == 3:
        return doubles(g, n).astype(np.float32)
    if kind == 4:
        return np.array(gaps(g, [Decimal(int(v)).scaleb(-2) for v in g.integers(-999, 999, n)]), dtype=object)
    if kind == 5:
        return g.choice([True, False], n)
    return np.array(gaps(g, g.choice([*TEXTS, "1000000.50", "-1000001.0"], n).tolist()), dtype=object)


def codes(g, n):
    kind = g.integers(4)
    if kind == 0:
        return g.choice([1, 7, 1000, 103100000026000123, 103100000026000124], n)
    if kind == 1:
        return g.choice([1.0, 7.0, np.nan, 2.5], n)
    if kind == 2:
        return pd.array(gaps(g, [True, False][: max(1, n)] * n)[:n], dtype="boolean")
    return np.array(gaps(g, g.choice(TEXTS, n).tolist()), dtype=object)


def flags(g, n):
    kind = g.integers(4)
    if kind == 0:
        return g.choice([0, 1, 9], n)
    if kind == 1:
        return g.choice([0.0, 1.0, np.nan], n)
    if kind == 2:
        return g.choice([True, False], n)
    return np.array(gaps(g, g.choice(FLAGS, n).tolist()), dtype=object)


def days(g, n):
    kind = g.integers(5)
    moments = pd.Series(pd.Timestamp("2024-01-01") + pd.to_timedelta(g.integers(0, 10**7, n), unit="s"))
    if kind == 0:
        return moments
    if kind == 1:
        return moments.dt.tz_localize("Asia/Shanghai").where(g.random(n) < 0.8)
    if kind == 2:
        return moments.dt.date
    if kind == 3:
        return g.choice([20240901, 19000101, 20240230], n)
    return np.array(gaps(g, g.choice(DAYS, n).tolist()), dtype=object)


def labels(g, n):
    kind = g.integers(4)
    if kind == 0:
        return g.choice([0, 1], n)
    if kind == 1:
        return g.choice([0.0, 1.0, np.nan], n)
    if kind == 2:
        return g.choice([True, False], n)
    return np.array(
        gaps(g, g.choice(["BAD", "GOOD", "1", "0.0", "pending", "NA", "01"], n).tolist()), dtype=object
    )


def ids(g, n):
    kind, numbers = g.integers(4), np.unique(g.integers(0, 10**6, 4 * n))[:n]
    if kind == 0:
        return numbers + 10**17
    if kind == 1:
        return numbers.astype(np.float64)
    if kind == 2:
        return [f"{k:08d}" for k in numbers]
    return [f" ｉ{k}\u00a0" for k in numbers]


def random_table(g):
    n = int(g.integers(1, 12))
    makers = {"id": ids, "amount": amounts, "sector": codes, "own": flags, "day": days, "bad": labels}
    return pd.DataFrame({name: make(g, n) for name, make in makers.items()})


def write(frame, folder):
    """The frame in all three forms."""
    frame.to_csv(folder / "t.csv", index=False)
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), folder / "t.parquet")
    stored = frame.copy()
    for name in stored:
        kind = str(stored[name].dtype)
        if kind == "float32":
            # A database's numbers are doubles; the value is the one that single precision prints.
            stored[name] = stored[name].astype(str).astype(float)
        if kind.startswith("datetime"):
            stored[name] = stored[name].dt.tz_localize(None).astype(str)
        elif (
            kind == "object"
            and len(stored[name].dropna())
            and not isinstance(stored[name].dropna().iloc[0], str)
        ):
            stored[name] = [None if v is None else str(v) for v in stored[name]]
    stored = stored.astype(object).where(stored.notna() & (stored != "NaT"), None)
    with sqlite3.connect(folder / "t.db") as database:
        database.execute("PRAGMA synchronous = OFF")
        database.execute("DROP TABLE IF EXISTS t")
        database.execute(f"CREATE TABLE t ({', '.join(stored.columns)})")
        marks = ", ".join("?" * len(stored.columns))
        rows = [
            [v.item() if hasattr(v, "item") else v for v in row] for row in stored.itertuples(index=False)
        ]
        database.executemany(f"INSERT INTO t VALUES ({marks})", rows)
    database.close()


def seen(source, folder):
    """What is known of a table: its digest, and everything that is said of its columns."""
    table, checks = examine_table(source, DICTIONARY, base=folder)
    # Where numbers have a type, nobody has to ask what their points mean: a question about texts, and no meaning.
    said = [str(c) for c in checks if "number with a point" not in c.rule]
    broken = {c.column for c in checks if c.severity == "error"}
    return None if table is None else table.digest, said, broken


@pytest.mark.slow
@pytest.mark.parametrize("tables", [25, pytest.param(MANY, marks=pytest.mark.long)])
def test_random_tables_are_the_same_from_three_sources(tmp_path, tables):
    g = np.random.default_rng(20240901)
    sources = (
        TableSource(source="t.csv"),
        TableSource(source="t.parquet"),
        TableSource(source=f"sqlite:///{tmp_path}/t.db", query="SELECT * FROM t"),
    )
    right = dict.fromkeys(COLUMNS, 0)
    for k in range(tables):
        frame = random_table(g)
        write(frame, tmp_path)
        csv, parquet, database = (seen(source, tmp_path) for source in sources)
        assert csv == parquet == database, (k, frame.to_dict("list"))
        for name in COLUMNS:
            right[name] += csv[0] is not None and name not in csv[2]
    # Others break rules, for all reasons that there are, and then in the same words.
    assert min(right.values()) > tables / 10
    assert sum(right.values()) < tables * len(COLUMNS)
