"""Columns of Arrow: the text of a value is the one that a text file has."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrisk.data.columns import exact_texts, float_texts, plain_numbers
from fedrisk.errors import DataError

MIDNIGHT = dt.datetime(2024, 9, 1)


@pytest.mark.parametrize(
    ("values", "kind", "texts"),
    [
        ([1, None], pa.int64(), ["1", None]),
        ([2**64 - 1], pa.uint64(), ["18446744073709551615"]),
        ([1.0, float("nan"), None, 0.1, 1e17], pa.float64(), ["1", None, None, "0.1", "1e+17"]),
        ([0.1, 20240901.0], pa.float32(), ["0.1", "2.02409e+07"]),
        ([np.float16(0.1)], pa.float16(), ["0.1"]),
        ([Decimal("1.50"), Decimal("0.00000001")], pa.decimal128(20, 8), ["1.50000000", "0.00000001"]),
        ([True, False], pa.bool_(), ["true", "false"]),
        ([dt.date(2024, 9, 1)], pa.date32(), ["2024-09-01"]),
        ([dt.date(2024, 9, 1)], pa.date64(), ["2024-09-01"]),
        (
            [MIDNIGHT, MIDNIGHT + dt.timedelta(hours=1)],
            pa.timestamp("ns"),
            ["2024-09-01", "2024-09-01 01:00:00"],
        ),
        ([MIDNIGHT], pa.timestamp("us", "Asia/Shanghai"), ["2024-09-01 08:00:00"]),
        ([dt.datetime(2024, 8, 31, 16)], pa.timestamp("s", "+08:00"), ["2024-09-01"]),
        ([MIDNIGHT.replace(microsecond=500000)], pa.timestamp("us"), ["2024-09-01 00:00:00.5"]),
        (["a", None], pa.large_string(), ["a", None]),
        (["a", None], pa.string_view(), ["a", None]),
        (["a", None, "a"], pa.dictionary(pa.int8(), pa.string()), ["a", None, "a"]),
        ([b"a", None], pa.binary(), ["a", None]),
        ([b"ab"], pa.binary(2), ["ab"]),
        ([None, None], pa.null(), [None, None]),
        ([b"\0" * 15 + b"\1"], pa.uuid(), ["00000000-0000-0000-0000-000000000001"]),
    ],
)
def test_every_simple_type_has_its_text(values, kind, texts):
    storage = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    column = (
        pa.array(values, storage).cast(kind)
        if storage == kind
        else pa.ExtensionArray.from_storage(kind, pa.array(values, storage))
    )
    assert exact_texts(column).to_pylist() == texts


@pytest.mark.parametrize(
    ("values", "kind"),
    [([[1]], pa.list_(pa.int8())), ([{"a": 1}], pa.struct({"a": pa.int8()})), ([1], pa.duration("s"))],
)
def test_types_without_text_are_named(values, kind):
    with pytest.raises(DataError, match=f"type {str(kind).partition('<')[0].partition('[')[0]}.*no text"):
        exact_texts(pa.array(values, kind))


def test_bytes_that_are_no_text_and_unknown_zones_are_named():
    with pytest.raises(DataError, match="bytes that are no text"):
        exact_texts(pa.array([b"\xff"]))
    with pytest.raises(DataError, match="time zone that this machine does not know"):
        exact_texts(pa.array([0]).cast(pa.timestamp("s")).cast(pa.timestamp("s", "Nowhere/Town")))


def test_doubles_only_where_they_are_exact():
    assert plain_numbers(pa.array([2**53])) is None
    assert plain_numbers(pa.array([Decimal("0.1")])) is None
    assert plain_numbers(pa.array([2**53 - 1, None])).tolist()[0] == 2**53 - 1
    assert plain_numbers(pa.array([True, False])).tolist() == [1, 0]
    assert plain_numbers(pa.array(["1"])) is None


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1))
def test_single_precision_is_the_number_that_it_prints_as(values):
    single = np.array(values, dtype=np.float32)
    assert plain_numbers(pa.array(single)).tolist() == [float(str(v)) for v in single]


def test_texts_of_doubles():
    assert float_texts(np.array([1.0, -0.0, np.nan, 1.5, 2.0**53, np.inf])) == [
        "1",
        "0",
        None,
        "1.5",
        "9.007199254740992e+15",
        "inf",
    ]
