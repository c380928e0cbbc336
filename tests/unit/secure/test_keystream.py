"""Labels, and the streams drawn for them."""

import hashlib
import hmac
from dataclasses import fields, replace

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from fedrisk.errors import ProtocolError
from fedrisk.secure.keystream import Label, encode_fields, expand

LABEL = Label(
    study="s",
    attempt="1",
    release="A",
    sender="bank",
    counterparty="tax",
    bank_list="bank",
    matrix="counts",
    role="R",
    block=2,
)
SECRET = bytes(range(32))


def test_encoding_by_hand():
    parts = [b"fedrisk key stream v1", b"s", b"1", b"A", b"bank", b"tax", b"bank", b"counts", b"R"]
    parts.append(bytes(7) + b"\x02")
    assert LABEL.encode() == b"".join(len(p).to_bytes(4, "big") + p for p in parts)


@given(st.lists(st.binary(max_size=6), max_size=5), st.lists(st.binary(max_size=6), max_size=5))
def test_field_lists_share_an_encoding_only_if_equal(a, b):
    assert (encode_fields(b"v", *a) == encode_fields(b"v", *b)) == (a == b)


def test_stream_is_hkdf_then_aes_counter_mode():
    prk = hmac.new(bytes(32), SECRET, hashlib.sha256).digest()
    key = hmac.new(prk, LABEL.encode() + b"\x01", hashlib.sha256).digest()
    ecb = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    stream = b"".join(ecb.update(counter.to_bytes(16, "big")) for counter in range(4))
    assert expand(SECRET, LABEL, (3, 5), "uint32").tobytes() == stream[:60]
    assert expand(SECRET, LABEL, (7,), "uint64").astype("<u8").tobytes() == stream[:56]


def test_stream_is_the_same_across_the_inner_pieces():
    whole = expand(SECRET, LABEL, (600_000,), "uint32")  # more than two pieces of 1 MiB
    ecb = Cipher(algorithms.AES(_key()), modes.ECB()).encryptor()
    last = 600_000 * 4 // 16 - 1
    assert whole[-4:].astype("<u4").tobytes() == ecb.update(last.to_bytes(16, "big"))


def _key():
    prk = hmac.new(bytes(32), SECRET, hashlib.sha256).digest()
    return hmac.new(prk, LABEL.encode() + b"\x01", hashlib.sha256).digest()


@pytest.mark.parametrize("name", [f.name for f in fields(Label)])
def test_every_field_changes_the_stream(name):
    other = replace(LABEL, **{name: 3 if name == "block" else getattr(LABEL, name) + "x"})
    a, b = (expand(SECRET, label, (64,), "uint32") for label in (LABEL, other))
    assert np.count_nonzero(a == b) < 5  # five or more of 64 equal by chance: below 1e-40


def test_secret_changes_the_stream():
    a, b = (expand(secret, LABEL, (64,), "uint32") for secret in (SECRET, SECRET + b"x"))
    assert np.count_nonzero(a == b) < 5


def test_result_is_writable_and_empty_shapes_work():
    out = expand(SECRET, LABEL, (0, 4), "uint64")
    assert out.shape == (0, 4)
    assert expand(SECRET, LABEL, (2,), "uint64").flags.writeable


@pytest.mark.parametrize(
    ("secret", "shape", "dtype", "text"),
    [
        (bytes(31), (2,), "uint32", "31 bytes"),
        (SECRET, (2,), "int32", "int32"),
        (SECRET, (2,), "float64", "float64"),
        (SECRET, (-1,), "uint32", "negative"),
    ],
)
def test_refusals(secret, shape, dtype, text):
    with pytest.raises(ProtocolError, match=text):
        expand(secret, LABEL, shape, dtype)


def test_negative_block_is_refused():
    with pytest.raises(ProtocolError, match="block"):
        replace(LABEL, block=-1)
