"""The group ristretto255 and the hashes of RFC 9497: the vectors of the RFCs, inverses, and the distribution's library."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrisk.alignment import ristretto
from fedrisk.elliptic import libsodium
from fedrisk.errors import ProtocolError

# RFC 9497, appendix A.1.2: ristretto255-SHA512, VOPRF mode.
SEED, INFO = bytes.fromhex("a3" * 32), b"test key"
KEY = bytes.fromhex("e6f73f344b79b379f1a0dd37e07ff62e38d9f71345ce62ae3a9bc60b04ccd909")
PUBLIC = bytes.fromhex("c803e2cc6b05fc15064549b5920659ca4a77b2cca6f04f6b357009335476ad4e")
BLIND = bytes.fromhex("64d37aed22a27f5191de1c1d69fadb899d8862b58eb4220029e036ec4c1f6706")
VECTORS = [
    (
        b"\x00",
        "863f330cc1a1259ed5a5998a23acfd37fb4351a793a5b3c090b642ddc439b945",
        "aa8fa048764d5623868679402ff6108d2521884fa138cd7f9c7669a9a014267e",
        "b58cfbe118e0cb94d79b5fd6a6dafb98764dff49c14e1770b566e42402da1a7d"
        "a4d8527693914139caee5bd03903af43a491351d23b430948dd50cde10d32b3c",
    ),
    (
        b"\x5a" * 17,
        "cc0b2a350101881d8a4cba4c80241d74fb7dcbfde4a61fde2f91443c2bf9ef0c",
        "60a59a57208d48aca71e9e850d22674b611f752bed48b36f7a91b372bd7ad468",
        "8a9a2f3c7f085b65933594309041fc1898d42d0858e59f90814ae90571a6df60"
        "356f4610bf816f27afdd84f47719e480906d27ecd994985890e5f539e7ea74b6",
    ),
]
# RFC 9496, appendix A.1: the generator.
GENERATOR = bytes.fromhex("e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76")


def test_the_key_of_the_vectors():
    assert ristretto.derive_scalar(SEED, INFO) == KEY
    assert ristretto.times_generator(KEY) == PUBLIC


@pytest.mark.parametrize(("text", "blinded", "evaluated", "output"), VECTORS, ids=["00", "5a x 17"])
def test_vectors(text, blinded, evaluated, output):
    assert ristretto.hash_multiply([text], [BLIND]).hex() == blinded
    assert ristretto.evaluate_chunk(bytes.fromhex(blinded), KEY).hex() == evaluated
    assert ristretto.finalise_chunk([text], BLIND, bytes.fromhex(evaluated)).hex() == output
    assert ristretto.output_chunk([text], KEY).hex() == output
    assert ristretto.blind_pseudonyms([text], BLIND, bytes.fromhex(evaluated)).hex() == output[:64]
    assert ristretto.key_pseudonyms([text], KEY).hex() == output[:64]


def test_random_scalars_are_in_range_and_differ():
    scalars = ristretto.random_scalars(50)
    values = {int.from_bytes(scalars[i : i + 32], "little") for i in range(0, 1600, 32)}
    assert len(values) == 50 and all(0 < v < ristretto.ORDER for v in values)


def test_a_chunk_is_blinded_by_the_blinds_it_returns():
    ids = [b"a", b"b"]
    blinds, points = ristretto.blind_chunk(ids)
    assert points == ristretto.hash_multiply(ids, [blinds[:32], blinds[32:]])


def test_a_zero_scalar_has_no_inverse():
    with pytest.raises(ProtocolError, match="blind is zero"):
        ristretto.inverses((5).to_bytes(32, "little") + bytes(32))


def test_vectors_together():
    texts = [v[0] for v in VECTORS]
    assert ristretto.hash_multiply(texts, [BLIND, BLIND]).hex() == VECTORS[0][1] + VECTORS[1][1]
    answer = bytes.fromhex(VECTORS[0][2] + VECTORS[1][2])
    assert ristretto.finalise_chunk(texts, BLIND * 2, answer).hex() == VECTORS[0][3] + VECTORS[1][3]


def test_single_points():
    two, zero = (2).to_bytes(32, "little"), bytes(32)
    assert ristretto.times_generator(two) == ristretto.add(GENERATOR, GENERATOR)
    assert ristretto.times(two, PUBLIC) == ristretto.add(PUBLIC, PUBLIC)
    assert ristretto.times(zero, PUBLIC) == ristretto.times_generator(zero) == ristretto.IDENTITY
    assert ristretto.add(ristretto.IDENTITY, PUBLIC) == PUBLIC
    assert ristretto.is_point(PUBLIC)
    assert not any(map(ristretto.is_point, (ristretto.IDENTITY, PUBLIC[:31], b"\x01" + bytes(31))))
    with pytest.raises(ProtocolError, match="canonical"):
        ristretto.add(PUBLIC, b"\x01" + bytes(31))


@given(*[st.integers(0, ristretto.ORDER - 1)] * 3)
def test_minus_product(one, factor, other):
    parts = [value.to_bytes(32, "little") for value in (one, factor, other)]
    found = int.from_bytes(ristretto.minus_product(*parts), "little")
    assert found == (one - factor * other) % ristretto.ORDER


def test_one_times_the_generator():
    assert ristretto.evaluate_chunk(GENERATOR, (1).to_bytes(32, "little")) == GENERATOR
    assert ristretto.evaluate_chunk(b"", KEY) == b""


@given(st.lists(st.integers(1, ristretto.ORDER - 1), max_size=8))
def test_inverses(values):
    found = ristretto.inverses(b"".join(v.to_bytes(32, "little") for v in values))
    inverted = [int.from_bytes(x, "little") for x in found]
    assert [v * i % ristretto.ORDER for v, i in zip(values, inverted, strict=True)] == [1] * len(values)


def test_the_distributions_library_serves_as_well(monkeypatch):
    try:
        libsodium._from_distribution()
    except OSError:
        pytest.skip("no libsodium.so.23 on this machine")

    def nothing():
        raise AttributeError

    monkeypatch.setattr(libsodium, "_from_rbcl", nothing)
    library = libsodium.libsodium.__wrapped__()
    monkeypatch.setattr(ristretto, "libsodium", lambda: library)
    assert ristretto.hash_multiply([VECTORS[0][0]], [BLIND]).hex() == VECTORS[0][1]


def test_expand_message_matches_a_plain_reading_of_rfc_9380():
    tag = b"QUUX-V01-CS02-with-expander-SHA512-256"
    prime = tag + bytes([len(tag)])
    first = hashlib.sha512(bytes(128) + b"abc" + b"\x00\x40" + b"\x00" + prime).digest()
    assert ristretto._Expander(tag)(b"abc") == hashlib.sha512(first + b"\x01" + prime).digest()
