"""The group ristretto255 and the hashes of RFC 9497: the vectors of the RFCs, inverses, and the library."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrisk.alignment import ristretto
from fedrisk.errors import ConfigError, ProtocolError

# RFC 9497, appendix A.1.1: ristretto255-SHA512, OPRF mode.
SEED, INFO = bytes.fromhex("a3" * 32), b"test key"
KEY = bytes.fromhex("5ebcea5ee37023ccb9fc2d2019f9d7737be85591ae8652ffa9ef0f4d37063b0e")
BLIND = bytes.fromhex("64d37aed22a27f5191de1c1d69fadb899d8862b58eb4220029e036ec4c1f6706")
VECTORS = [
    (
        b"\x00",
        "609a0ae68c15a3cf6903766461307e5c8bb2f95e7e6550e1ffa2dc99e412803c",
        "7ec6578ae5120958eb2db1745758ff379e77cb64fe77b0b2d8cc917ea0869c7e",
        "527759c3d9366f277d8c6020418d96bb393ba2afb20ff90df23fb7708264e2f3"
        "ab9135e3bd69955851de4b1f9fe8a0973396719b7912ba9ee8aa7d0b5e24bcf6",
    ),
    (
        b"\x5a" * 17,
        "da27ef466870f5f15296299850aa088629945a17d1f5b7f5ff043f76b3c06418",
        "b4cbf5a4f1eeda5a63ce7b77c7d23f461db3fcab0dd28e4e17cecb5c90d02c25",
        "f4a74c9c592497375e796aa837e907b1a045d34306a749db9f34221f7e750cb4"
        "f2a6413a6bf6fa5e19ba6348eb673934a722a7ede2e7621306d18951e7cf2c73",
    ),
]
# RFC 9496, appendix A.1: the generator.
GENERATOR = bytes.fromhex("e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76")


def test_the_key_of_the_vectors():
    assert ristretto.derive_scalar(SEED, INFO) == KEY


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


def test_one_times_the_generator():
    assert ristretto.evaluate_chunk(GENERATOR, (1).to_bytes(32, "little")) == GENERATOR
    assert ristretto.evaluate_chunk(b"", KEY) == b""


@given(st.lists(st.integers(1, ristretto.ORDER - 1), max_size=8))
def test_inverses(values):
    found = ristretto.inverses(b"".join(v.to_bytes(32, "little") for v in values))
    inverted = [int.from_bytes(x, "little") for x in found]
    assert [v * i % ristretto.ORDER for v, i in zip(values, inverted, strict=True)] == [1] * len(values)


def test_without_any_libsodium_the_remedy_is_named(monkeypatch):
    def nothing():
        raise OSError

    monkeypatch.setattr(ristretto, "_from_rbcl", nothing)
    monkeypatch.setattr(ristretto, "_from_distribution", nothing)
    with pytest.raises(ConfigError, match="rbcl"):
        ristretto._sodium.__wrapped__()


def test_the_distributions_library_serves_as_well(monkeypatch):
    try:
        ristretto._from_distribution()
    except OSError:
        pytest.skip("no libsodium.so.23 on this machine")

    def nothing():
        raise AttributeError

    monkeypatch.setattr(ristretto, "_from_rbcl", nothing)
    library = ristretto._sodium.__wrapped__()
    monkeypatch.setattr(ristretto, "_sodium", lambda: library)
    assert ristretto.hash_multiply([VECTORS[0][0]], [BLIND]).hex() == VECTORS[0][1]


def test_expand_message_matches_a_plain_reading_of_rfc_9380():
    tag = b"QUUX-V01-CS02-with-expander-SHA512-256"
    prime = tag + bytes([len(tag)])
    first = hashlib.sha512(bytes(128) + b"abc" + b"\x00\x40" + b"\x00" + prime).digest()
    assert ristretto._Expander(tag)(b"abc") == hashlib.sha512(first + b"\x01" + prime).digest()
