"""The whole text of an error for a log at home: what libraries say of a table's cells and rows is not in it."""

import io

import pandas as pd
import pyarrow.csv
import pytest

from fedrisk.errors import StoreError
from fedrisk.tracebacks import redacted

NAME = "Lotus Trading"


class Database(Exception):
    """As a driver of a database says it."""


def text_of(step):
    with pytest.raises(Exception) as caught:
        step()
    assert NAME in str(caught.value)
    return redacted(caught.value).splitlines()[-1]


def database():
    raise Database(
        f"duplicate key value violates unique constraint\nDETAIL:  Key (name)=({NAME}) already exists."
    )


@pytest.mark.parametrize(
    "step",
    [
        lambda: float(NAME),
        lambda: {}[NAME],
        lambda: pyarrow.csv.read_csv(io.BytesIO(f"a,b\n{NAME},x,bad\n".encode())),
        lambda: pd.to_datetime([NAME], format="%Y"),
        lambda: pd.Series([NAME]).astype("int64"),
        lambda: pd.DataFrame({NAME: [1]}).set_index(NAME).loc[[NAME]],
        lambda: (_ for _ in ()).throw(ValueError(f"cannot use '{NAME}: x' here")),
        database,
    ],
)
def test_no_cell_of_a_table_is_told(step):
    said = text_of(step)
    assert "Lotus" not in said and "Trading" not in said


def test_what_fedrisk_and_the_system_say_is_told_in_full():
    assert "store /x (full): free space" in redacted(StoreError("store /x (full): free space"))
    assert "/x/y: gone" in redacted(FileNotFoundError("/x/y: gone"))


def test_what_was_wrong_is_still_told():
    assert (
        redacted(ValueError("arrays differ in length: 7 and 9")) == "ValueError: arrays differ in length…\n"
    )
