"""Small blobs travel as one: all come back as they were, in their order, and rubbish is an error."""

import json

import numpy as np
import pytest
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects
from hypothesis import given
from hypothesis import strategies as st

from fedrisk.protocol.packed import DTYPES, SMALL, TOGETHER, gather, spread
from fedrisk.protocol.payload import Payload, from_record, to_record

BLOBS = st.dictionaries(
    st.text(max_size=5),
    st.one_of(
        st.binary(max_size=20),
        st.builds(
            lambda kind, n: np.arange(n).astype(kind), st.sampled_from(sorted(DTYPES)), st.integers(0, 9)
        ),
    ),
    max_size=6,
)


def same(one, other):
    assert type(one) is type(other)
    if isinstance(one, np.ndarray):
        assert one.dtype == other.dtype and one.shape == other.shape
    return np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other


@given(BLOBS)
def test_what_is_gathered_is_spread(blobs):
    found = spread(*gather(blobs))
    assert list(found) == list(blobs)
    assert all(same(found[name], blobs[name]) for name in blobs)


def test_large_blobs_stay_apart_and_the_order_is_kept():
    blobs = {"z": b"1", "big": bytes(SMALL + 1), "a": np.zeros((2, 0)), "last": b""}
    packed, large = gather(blobs)
    assert list(large) == ["big"]
    assert large["big"] is blobs["big"]
    assert list(spread(packed, large)) == list(blobs)


def test_no_more_than_a_few_megabytes_are_packed():
    blobs = {str(n): bytes(SMALL) for n in range(TOGETHER // SMALL + 3)}
    packed, large = gather(blobs)
    assert len(large) == 3
    assert TOGETHER <= len(packed) < TOGETHER + 4096


def test_a_message_of_many_small_blobs_is_two_objects_besides_its_head():
    blobs = {f"bank:{n}": np.arange(n) for n in range(40)}
    assert len(get_all_nested_objects(to_record(Payload({}, blobs)))) == 2
    assert list(from_record(to_record(Payload({}, blobs))).blobs) == list(blobs)


def test_arrays_arrive_read_only():
    (array,) = spread(*gather({"x": np.arange(3)})).values()
    assert not array.flags.writeable


def stored(head, rest=b""):
    start = json.dumps(head).encode()
    return len(start).to_bytes(8, "big") + start + rest


RUBBISH = {
    "empty head": stored(None),
    "head is a number": stored(3),
    "head is cut": stored([["a", 1]], b"x")[:12],
    "name twice": stored([["a", 1], ["a", 1]], b"xy"),
    "name is a number": stored([[1, 1]], b"x"),
    "length below zero": stored([["a", 2], ["b", -1]], b"x"),
    "length is true": stored([["a", True]], b"x"),
    "longer than there is": stored([["a", 5]], b"x"),
    "bytes left over": stored([["a", 1]], b"xy"),
    "shape of another size": stored([["a", 8, "uint32", [3]]], b"12345678"),
    "shape below zero": stored([["a", 8, "uint32", [-2, -1]]], b"12345678"),
    "shape is none": stored([["a", 8, "uint32", None]], b"12345678"),
    "objects": stored([["a", 8, "object", [1]]], b"12345678"),
    "kind is a list": stored([["a", 8, ["uint32"], [2]]], b"12345678"),
    "something more": stored([["a", 8, "uint32", [2], 1]], b"12345678"),
    "a large one that is not there": stored([["a"]]),
}


@pytest.mark.parametrize("packed", RUBBISH.values(), ids=RUBBISH)
def test_rubbish_is_an_error(packed):
    with pytest.raises((ValueError, KeyError, TypeError)):
        spread(packed, {})


def test_a_large_blob_that_the_head_does_not_name_is_an_error():
    with pytest.raises(ValueError, match="more than the head says"):
        spread(stored([["a", 1]], b"x"), {"hidden": b"y"})
