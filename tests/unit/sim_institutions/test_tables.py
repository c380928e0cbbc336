"""The Parquet tables of a block: columns, types, order of rows."""

import numpy as np
import pyarrow as pa
import pytest

from sim_institutions.block import Constants
from sim_institutions.observations import Category, Observations
from sim_institutions.random_streams import MONTHS
from sim_institutions.tables import block_tables, history_table, point_table
from sim_institutions.views.banks import LABEL

IDS = pa.array(["a", "b"])


def observed():
    months = np.arange(2 * MONTHS, dtype=np.float32).reshape(2, MONTHS)
    months[1, 0] = np.nan
    columns = {
        "amount": np.array([1.5, np.nan], dtype=np.float32),
        "sector": Category(np.array([1, -1]), ("x", "y")),
        LABEL: np.array([0, 1], dtype=np.float32),
    }
    return Observations(np.arange(2), columns, {"load": months})


def test_the_point_in_time_table_has_ids_columns_and_a_whole_label():
    table = point_table(IDS, observed())
    assert table.column_names == ["uscc", "amount", "sector", LABEL]
    assert table["amount"].to_pylist() == [1.5, None]
    assert table["sector"].to_pylist() == ["y", None]
    assert table[LABEL].type == pa.int8()


def test_the_history_table_has_one_column_for_each_month_oldest_first():
    table = history_table(IDS, observed())
    assert table.column_names == ["uscc", *(f"load_m{month:02d}" for month in range(1, 19))]
    assert table["load_m01"].to_pylist() == [0.0, None]
    assert table["load_m18"].to_pylist() == [17.0, 35.0]


@pytest.fixture(scope="module")
def tables():
    return block_tables(("demo", 1, 0, 500, Constants(asked=0.0, intercept=-3.0)))


def test_both_tables_of_an_institution_have_the_same_rows(tables):
    histories = [name for name in tables if name.startswith("histories/")]
    assert len(histories) == 6
    for name in histories:
        ids = pa.ipc.open_stream(tables[name.replace("histories", "data")]).read_all()["uscc"]
        assert pa.ipc.open_stream(tables[name]).read_all()["uscc"].equals(ids), name


def test_the_same_block_gives_the_same_bytes(tables):
    assert block_tables(("demo", 1, 0, 500, Constants(asked=0.0, intercept=-3.0))) == tables
