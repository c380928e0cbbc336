"""Signatures: the vectors of RFC 8032, and both libraries of one opinion."""

import itertools

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.errors import ConfigError
from fedrisk.serving import ed25519
from support import edwards
from support.edwards import ORDER

# Section 7.1, tests 1 to 3: key, message, signature.
RFC8032 = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe2465"
        "5141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb0"
        "0d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc0"
        "27beceea1ec40a",
    ),
]


def libsodium():
    try:
        return ed25519.by_libsodium()
    except ConfigError:
        pytest.skip("no libsodium on this machine")


@pytest.mark.parametrize("library", ["libsodium", "openssl"])
def test_rfc_8032(library):
    verify = libsodium() if library == "libsodium" else ed25519.by_openssl
    for vector in RFC8032:
        key, text, signature = map(bytes.fromhex, vector)
        assert verify(key, signature, text)
        assert not verify(key, signature, text + b"x")
        # The same modulo the group's order: a second signature of one text, which both refuse.
        other = int.from_bytes(signature[32:], "little") + ORDER
        assert not verify(key, signature[:32] + other.to_bytes(32, "little"), text)


@settings(max_examples=30, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=500), st.integers(0, 96 * 8 - 1))
def test_both_libraries_take_and_refuse_the_same(seed, text, bit):
    private = Ed25519PrivateKey.from_private_bytes(seed)
    key, signature = private.public_key().public_bytes_raw(), private.sign(text)
    changed = (int.from_bytes(key + signature, "big") ^ 1 << bit).to_bytes(96, "big")
    by_libsodium = libsodium()
    assert by_libsodium(key, signature, text) and ed25519.by_openssl(key, signature, text)
    for verify in (by_libsodium, ed25519.by_openssl):
        assert not verify(changed[:32], changed[32:], text)
        assert not verify(key, signature, text + b"\0")


@pytest.fixture(params=["libsodium", "openssl"])
def signed(request, monkeypatch):
    """Verification as a holder does it that has this library."""
    verify = libsodium() if request.param == "libsodium" else ed25519.by_openssl
    monkeypatch.setattr(ed25519, "_verifier", lambda: verify)
    return ed25519.signed


def test_a_key_of_small_order_signs_nothing(signed):
    """Under the point (0, 1) a signature of zeros would hold for every text, and OpenSSL alone would take it."""
    identity = bytes([1, *bytes(31)])
    assert ed25519.by_openssl(identity, identity + bytes(32), b"whatever")
    assert not signed(identity, identity + bytes(32), b"whatever")


def test_holders_with_different_libraries_agree_at_the_edges(signed):
    """The edge cases of Chalkias, Garillot, Nikolaenko (2020), made from their definition: keys and points with a
    part of small order or of that alone, in another spelling, and a number beyond the group's order.
    """
    small, (a, r) = edwards.small_points(), (0x1234567 << 200, 0x7654321 << 190)
    keys, points = (
        {secret: edwards.times(secret, edwards.BASE) for secret in secrets} for secrets in ((a, 0), (r, 0))
    )
    taken = mixed = 0
    for (a, key), (r, point), i, j in itertools.product(keys.items(), points.items(), range(8), range(8)):
        key_raw, point_raw = (edwards.written(edwards.added(p, small[k])) for p, k in ((key, i), (point, j)))
        for text in (b"1", b"2", b"3", b"4"):
            h = edwards.challenge(point_raw, key_raw, text)
            number = (r + h * a) % ORDER
            # The equation without the cofactor; of points of small order, some libraries take every one.
            holds = (j + h * i) % 8 == 0 and a > 0 and r > 0
            assert signed(key_raw, point_raw + number.to_bytes(32, "little"), text) == holds
            beyond = (number + ORDER).to_bytes(32, "little")
            assert not signed(key_raw, point_raw + beyond, text)
            taken, mixed = taken + holds, mixed + (holds and i > 0)
    assert 4 < mixed < taken


def test_other_lengths_are_refused_before_a_library_sees_them():
    key, text, signature = map(bytes.fromhex, RFC8032[1])
    assert ed25519.signed(key, signature, text)
    for wrong in (
        (key[:-1], signature),
        (key + b"x", signature),
        (key, signature[:-1]),
        (key, b""),
        (b"", signature),
    ):
        assert not ed25519.signed(*wrong, text)


def test_without_libsodium_openssl_verifies(monkeypatch):
    def gone():
        raise ConfigError("no libsodium")

    monkeypatch.setattr(ed25519, "libsodium", gone)
    assert ed25519._verifier.__wrapped__() is ed25519.by_openssl
