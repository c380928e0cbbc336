"""Tables of all kinds of columns in all kinds of sources, for rows that are looked up."""

import os
import sqlite3
from decimal import Decimal

import numpy as np
import pandas as pd

from fedrisk.data.table import read_table
from fedrisk.institution import Institution
from fedrisk.serving.current import CurrentData
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


def replaced(frame, file):
    """Put a CSV in the place of another, whole at once."""
    frame.to_csv(file.with_suffix(".new"), index=False)
    os.replace(file.with_suffix(".new"), file)
