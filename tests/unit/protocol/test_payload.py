"""Payloads: they arrive as they were sent, on the wire and on the disk, and anything else is refused."""

import json

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.clientapp import ClientApp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from fedrisk.engine.in_process_grid import InProcessGrid
from fedrisk.errors import ProtocolError
from fedrisk.protocol.payload import (
    Payload,
    from_record,
    pack,
    refused,
    reply,
    request,
    spends_in,
    to_record,
    unpack,
)

DTYPES = ("uint8", "uint16", "uint32", "uint64", "int32", "int64", "float64")
NAMES = st.text(
    st.characters(categories=("Ll", "Lu", "Nd"), include_characters=".:@_-"), min_size=1, max_size=12
)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False), st.text(max_size=8)
)
BODIES = st.dictionaries(
    st.text(max_size=8),
    st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)
ARRAYS = st.sampled_from(DTYPES).flatmap(
    lambda name: npst.arrays(
        np.dtype(name), npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5)
    )
)
PAYLOADS = st.builds(Payload, BODIES, st.dictionaries(NAMES, st.binary(max_size=40) | ARRAYS, max_size=4))


def assert_same(got, sent):
    assert got.body == sent.body
    assert list(got.blobs) == list(sent.blobs)
    for name, blob in sent.blobs.items():
        if isinstance(blob, bytes):
            assert got.raw(name) == blob
        else:
            assert got.array(name).dtype == blob.dtype.newbyteorder("=")
            assert got.array(name).shape == blob.shape
            np.testing.assert_array_equal(got.array(name), blob)
    assert got.size() == sent.size()


@settings(max_examples=150, deadline=None)
@given(PAYLOADS)
def test_a_payload_survives_the_wire_and_the_disk(payload):
    assert_same(from_record(to_record(payload)), payload)
    assert_same(unpack(pack(payload)), payload)


@pytest.mark.parametrize("way", [lambda p: from_record(to_record(p)), lambda p: unpack(pack(p))])
@pytest.mark.parametrize(
    "array",
    [
        np.arange(12, dtype=np.int64).reshape(3, 4).T,  # columns first
        np.arange(12, dtype=np.uint32)[::-3],
        np.broadcast_to(np.uint16(7), (2, 3)),
        np.array([1, 2**31], dtype=">u4"),  # the other byte order: values count, not bytes
        np.array([1.5, -np.inf], dtype=">f8"),
        np.zeros((0, 5), np.uint8),
        np.array(3.25),
    ],
)
def test_arrays_of_every_layout_arrive_with_their_values(way, array):
    assert_same(way(Payload({}, {"x": array})), Payload({}, {"x": array}))


def test_what_arrives_cannot_be_written_to():
    got = from_record(to_record(Payload({}, {"x": np.arange(3)}))).array("x")
    with pytest.raises(ValueError, match="read-only"):
        got[0] = 1


def test_nothing_is_pickled():
    with pytest.raises(ProtocolError, match="blob x has dtype object; allowed are"):
        to_record(Payload({}, {"x": np.array([{}], object)}))
    with pytest.raises(ProtocolError, match="dtype float16"):
        to_record(Payload({}, {"x": np.zeros(2, np.float16)}))


def test_numbers_of_the_body_keep_their_value():
    body = {"a": 2**63, "b": 0.1, "c": float("inf"), "d": [1, [2]], "e": "ä\u2028"}
    assert from_record(to_record(Payload(body))).body == body


def test_a_body_that_json_cannot_hold_is_an_error_at_the_sender():
    with pytest.raises(TypeError):
        to_record(Payload({"x": np.arange(2)}))


# --- what is not as it should be ----------------------------------------------------------------------------


def record(body="{}", **blobs):
    arrays = ArrayRecord()
    for name, blob in blobs.items():
        arrays[name] = blob
    return RecordDict({"body": ConfigRecord({"json": body}), "blobs": arrays})


MALFORMED = {
    "empty": RecordDict(),
    "small blobs that are no bytes": RecordDict({"body": ConfigRecord({"json": "{}", "small": "x"})}),
    "small blobs that are rubbish": RecordDict(
        {"body": ConfigRecord({"json": "{}", "small": b"rubbish!rubbish!"})}
    ),
    "small blobs of no length": RecordDict({"body": ConfigRecord({"json": "{}", "small": b"\0" * 8})}),
    "something more": RecordDict({"body": ConfigRecord({"json": "{}", "other": 1})}),
    "no body": RecordDict({"blobs": ArrayRecord()}),
    "no json": RecordDict({"body": ConfigRecord({}), "blobs": ArrayRecord()}),
    "body is a number": RecordDict({"body": ConfigRecord({"json": 3}), "blobs": ArrayRecord()}),
    "body is no json": record("{"),
    "body is a list": record("[]"),
    "body is null": record("null"),
    "nested without end": record("[" * 100_000),
    "pickled array": record(x=Array("uint8", (2,), "numpy.ndarray", b"ab")),
    "dtype not allowed": record(x=Array("object", (1,), "fedrisk.array", b"12345678")),
    "dtype unheard of": record(x=Array("uint7", (1,), "fedrisk.array", b"1")),
    "too short": record(x=Array("uint32", (2,), "fedrisk.array", b"1234567")),
    "shape of another size": record(x=Array("uint32", (3,), "fedrisk.array", b"12345678")),
    "negative shape": record(x=Array("uint32", (-2, -1), "fedrisk.array", b"12345678")),
}


@pytest.mark.parametrize("content", MALFORMED.values(), ids=MALFORMED)
def test_malformed_content_is_a_protocol_error(content):
    with pytest.raises(ProtocolError, match="same version|update fedrisk"):
        from_record(content)


@settings(max_examples=60, deadline=None)
@given(
    st.text(max_size=30),
    st.sampled_from([*DTYPES, "complex64", ""]),
    st.binary(max_size=20),
    st.text(max_size=5),
)
def test_no_content_raises_anything_else(body, dtype, data, kind):
    kinds = ("fedrisk.array", "fedrisk.bytes", kind)
    for stype in kinds:
        try:
            got = from_record(record(body, x=Array(dtype, (len(data) // 4,), stype, data)))
        except ProtocolError:
            continue
        assert isinstance(got.body, dict)
        assert isinstance(json.loads(body), dict)


def test_missing_parts_are_protocol_errors_that_name_them():
    payload = Payload({"a": 1}, {"bytes": b"x", "array": np.arange(2)})
    for ask, name in (
        (payload.array, "bytes"),
        (payload.array, "none"),
        (payload.raw, "array"),
        (payload.get, "b"),
    ):
        with pytest.raises(ProtocolError, match=f"the message lacks .* {name}; sender and receiver"):
            ask(name)


def test_a_refusal_is_a_code_and_nothing_else():
    answer = from_record(to_record(refused("budget")))
    assert answer.refusal == "budget"
    assert dict(answer.body) == {"refused": "budget"}
    assert not answer.blobs
    assert Payload({"a": 1}).refusal is None


def test_size_by_hand():
    assert Payload({"a": 1}, {"x": b"123", "y": np.zeros(2, np.uint64)}).size() == len('{"a":1}') + 3 + 16


def test_messages_and_their_answers():
    InProcessGrid(ClientApp(), {})  # says who is sending, as Flower's engines do
    payload = Payload({"a": 1}, {"x": b"123"})
    message = request(payload, "mask", 42, ttl=7.0)
    assert (message.metadata.dst_node_id, message.metadata.message_type) == (42, "query.mask")
    assert message.metadata.ttl == 7.0
    assert_same(from_record(message.content), payload)
    message.metadata.__dict__["_message_id"] = "m1"
    answer = reply(refused("data"), message)
    assert isinstance(answer, Message)
    assert answer.metadata.reply_to_message_id == "m1"
    assert from_record(answer.content).refusal == "data"


def test_a_message_holds_a_body_and_blobs_and_nothing_else():
    for key, value in (("more", ConfigRecord({"x": 1})), ("other", ArrayRecord())):
        record = to_record(Payload({"a": 1}))
        record[key] = value
        with pytest.raises(ProtocolError, match="malformed"):
            from_record(record)
    record = to_record(Payload({"a": 1}))
    record.config_records["body"]["second"] = "{}"
    with pytest.raises(ProtocolError, match="malformed"):
        from_record(record)


def test_blobs_that_nobody_asked_for_are_refused():
    payload = Payload({}, {"a": b"1", "b": b"2"})
    payload.only(("a", "b", "c"))
    with pytest.raises(ProtocolError, match="nobody asked for"):
        payload.only(("a",))


def test_prices_in_an_answer_are_its_own_and_of_what_others_release_of_it():
    spend, further = {"release": "calibration", "mu": 0.1}, {"release": "evaluation", "mu": 0.2}
    assert spends_in(Payload()) == []
    assert spends_in(Payload({"spend": spend})) == [spend]
    assert spends_in(Payload({"spend": spend, "further_spends": []})) == [spend]
    assert spends_in(Payload({"further_spends": [further]})) == [further]
    got = spends_in(Payload({"spend": spend, "further_spends": [further, spend]}))
    assert got == [spend, further, spend]
    got[1]["mu"] = 9.0
    assert further["mu"] == 0.2
