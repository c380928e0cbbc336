"""Parts of the common view as they travel, their running digest, and the codes that confirm it."""

import hashlib
import hmac

import numpy as np
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fedrisk.errors import ProtocolError
from fedrisk.protocol.common_view import (
    Part,
    confirmation,
    first_digest,
    next_digest,
    same,
    split,
    with_parts,
)
from fedrisk.protocol.payload import Payload, from_record, to_record

STUDY, ATTEMPT = "5" * 64, "0123456789abcdef"
PART = Part(1, "members", Payload({"study": STUDY, "seed": None}, {"bank": np.arange(6.0).reshape(3, 2)}))
CODES = {"tax": {"number": 1, "code": "c" * 64}}


def test_the_digest_depends_on_all_that_was_told_and_on_its_order():
    start = first_digest(STUDY, ATTEMPT)
    other = Part(2, "order", Payload({"training": 3}))
    whole = next_digest(next_digest(start, PART), other)
    seen = {
        start,
        whole,
        first_digest(STUDY, ATTEMPT[::-1]),
        first_digest(STUDY[1:], "5" + ATTEMPT),
        next_digest(start, PART),
        next_digest(start, other),
        next_digest(next_digest(start, other), PART),
        next_digest(start, Part(2, PART.name, PART.content)),
        next_digest(start, Part(1, "member", PART.content)),
        next_digest(start, Part(1, PART.name, Payload({"study": STUDY, "seed": 0}, PART.content.blobs))),
        next_digest(start, Part(1, PART.name, Payload(PART.content.body))),
        next_digest(start, Part(1, PART.name, Payload(PART.content.body, {"b": PART.content.blobs["bank"]}))),
        next_digest(
            start, Part(1, PART.name, Payload(PART.content.body, {"bank": np.arange(6.0).reshape(2, 3)}))
        ),
    }
    assert len(seen) == 13
    assert all(len(d) == 64 and set(d) <= set("0123456789abcdef") for d in seen)
    assert next_digest(next_digest(start, PART), other) == whole


def test_a_part_that_travelled_has_the_digest_that_it_had():
    sent = with_parts(Payload({"attempt": ATTEMPT}), [PART], {})
    _, (came,), _ = split(from_record(to_record(sent)))
    start = first_digest(STUDY, ATTEMPT)
    assert next_digest(start, came) == next_digest(start, PART)


def lengths(*fields):
    """Fields with their lengths before them, four bytes each, as the documentation says."""
    return b"".join(len(f).to_bytes(4, "big") + f for f in fields)


def test_a_code_by_hand():
    """HMAC-SHA256 under a key by HKDF-SHA256 of the pair's secret, over names, number and digest."""
    key = HKDF(hashes.SHA256(), 32, salt=None, info=b"fedrisk view confirmation key v1").derive(bytes(32))
    text = lengths(
        b"fedrisk view confirmation v1", b"tax", b"bank", (3).to_bytes(8, "big"), ("d" * 64).encode()
    )
    expected = hmac.new(key, text, hashlib.sha256).hexdigest()
    assert confirmation(bytes(32), sender="tax", receiver="bank", number=3, digest="d" * 64) == expected


def test_a_code_is_for_one_sender_receiver_number_and_digest():
    said = {"sender": "tax", "receiver": "bank", "number": 1, "digest": "d" * 64}
    codes = {
        confirmation(bytes(32), **{**said, **change})
        for change in (
            {},
            {"sender": "ta", "receiver": "xbank"},
            {"sender": "bank", "receiver": "tax"},  # what one says is no answer to it
            {"number": 2},
            {"digest": "e" * 64},
        )
    }
    assert len(codes) == 5
    assert confirmation(bytes(31) + b"\x01", **said) not in codes


def test_same_compares_whole_codes():
    assert same("a" * 64, "a" * 64)
    assert not same("a" * 64, "a" * 63 + "b")
    assert not same("a" * 64, "a" * 63)


def test_a_request_comes_apart_as_it_was_put_together():
    request = Payload({"attempt": ATTEMPT, "x": 1}, {"tax": b"sealed", "rows:alfa": np.arange(3)})
    second = Part(2, "order", Payload({"training": {"alfa": 3}}))
    own, parts, codes = split(from_record(to_record(with_parts(request, [PART, second], CODES))))
    assert own.digest() == request.digest()
    assert [(p.number, p.name, p.content.digest()) for p in parts] == [
        (p.number, p.name, p.content.digest()) for p in (PART, second)
    ]
    assert codes == CODES


def test_a_request_without_parts_or_codes_is_as_it_was():
    request = Payload({"attempt": ATTEMPT}, {"tax": b"sealed"})
    assert with_parts(request, [], {}) == request
    assert split(request) == (request, [], {})


def test_parts_with_numbers_that_begin_alike_keep_their_blobs():
    """Blobs of part 1 are not those of part 11."""
    one, eleven = (Part(n, "x", Payload({}, {"a": bytes([n])})) for n in (1, 11))
    _, parts, _ = split(with_parts(Payload(), [one, eleven], {}))
    assert [p.content.blobs for p in parts] == [{"a": b"\x01"}, {"a": b"\x0b"}]


def item(**change):
    return {"number": 1, "name": "members", "content": {}, **change}


@pytest.mark.parametrize(
    "body",
    [
        {"common": {}},
        {"common": "x"},
        {"common": None},
        {"common": [[]]},
        {"common": [{"number": 1, "name": "members"}]},
        {"common": [item(more=1)]},
        {"common": [item(number="1")]},
        {"common": [item(number=1.0)]},
        {"common": [item(number=True)]},
        {"common": [item(name=1)]},
        {"common": [item(content=[])]},
        {"confirmed": []},
        {"confirmed": "x"},
        {"confirmed": None},
    ],
)
def test_what_is_malformed_is_refused(body):
    with pytest.raises(ProtocolError, match="is malformed"):
        split(Payload(body))


@pytest.mark.parametrize("name", ["common/2/a", "common/x", "common/", "common/1"])
def test_a_blob_of_no_part_is_refused(name):
    with pytest.raises(ProtocolError, match="is malformed"):
        split(Payload({"common": [item()]}, {name: b"x"}))
