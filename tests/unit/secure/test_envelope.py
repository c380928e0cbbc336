"""Sealed envelopes: published vectors, another implementation, and every way of tampering."""

import struct
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from pyhpke import AEADId, CipherSuite, KDFId, KEMId, KEMKeyPair

from fedrisk.errors import EnvelopeError, ProtocolError
from fedrisk.secure.envelope import Context, open_sealed, seal
from fedrisk.secure.identity import EphemeralKey, IdentityKey

DIGEST = "ab" * 32
CONTEXT = Context("s", "A", "1", "masked labels", "bank", "tax", (1.5, 2.0))
BANK, BANK_SIGNED = EphemeralKey.generate(IdentityKey.generate(), "bank", DIGEST, "1")
TAX, TAX_SIGNED = EphemeralKey.generate(IdentityKey.generate(), "tax", DIGEST, "1")
HEAD, FRAME, TAG = 36, 9, 16

# RFC 9180, A.1.3: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM, auth mode
RFC = {
    "info": "4f6465206f6e2061204772656369616e2055726e",
    "skE": "ff4442ef24fbc3c1ff86375b0be1e77e88a0de1e79b30896d73411c5ff4c3518",
    "pkE": "23fb952571a14a25e3d678140cd0e5eb47a0961bb18afcf85896e5453c312e76",
    "skR": "fdea67cf831f1ca98d8e27b1f6abeb5b7745e9d35348b80fa407ff6958f9137e",
    "pkR": "1632d5c2f71c2b38d0a8fcc359355200caa8b1ffdf28618080466c909cb69b2e",
    "skS": "dc4a146313cce60a278a5323d321f051c5707e9c45ba21a3479fecdf76fc69dd",
    "pkS": "8b0c70873dc5aecb7f9ee4e62406a397b350e57012be45cf53b7105ae731790b",
    "pt": "4265617574792069732074727574682c20747275746820626561757479",
}
RFC_SEALED = {
    0: "5fd92cc9d46dbf8943e72a07e42f363ed5f721212cd90bcfd072bfd9f44e06b80fd17824947496e21b680c141b",
    1: "d3736bb256c19bfa93d79e8f80b7971262cb7c887e35c26370cfed62254369a1b52e3d505b79dd699f002bc8ed",
    2: "122175cfd5678e04894e4ff8789e85dd381df48dcaf970d52057df2c9acc3b121313a2bfeaa986050f82d93645",
    4: "dae12318660cf963c7bcbef0f39d64de3bf178cf9e585e756654043cc5059873bc8af190b72afc43d1e0135ada",
    255: "55d53d85fe4d9e1e97903101eab0b4865ef20cef28765a47f840ff99625b7d69dee927df1defa66a036fc58ff2",
    256: "42fa248a0e67ccca688f2b1d13ba4ba84755acf764bd797c8f7ba3b9b1dc3330326f8d172fef6003c79ec72319",
}


def test_rfc_9180_auth_mode_vectors():
    raw = {name: bytes.fromhex(value) for name, value in RFC.items()}
    suite = CipherSuite.new(KEMId.DHKEM_X25519_HKDF_SHA256, KDFId.HKDF_SHA256, AEADId.AES128_GCM)
    private, public = suite.kem.deserialize_private_key, suite.kem.deserialize_public_key
    encapsulated, sender = suite.create_sender_context(
        public(raw["pkR"]),
        info=raw["info"],
        sks=private(raw["skS"]),
        eks=KEMKeyPair(private(raw["skE"]), public(raw["pkE"])),
    )
    assert encapsulated == raw["pkE"]
    receiver = suite.create_recipient_context(
        encapsulated, private(raw["skR"]), info=raw["info"], pks=public(raw["pkS"])
    )
    for number in range(257):
        aad = f"Count-{number}".encode()
        sealed = sender.seal(raw["pt"], aad)
        assert receiver.open(sealed, aad) == raw["pt"]
        if number in RFC_SEALED:
            assert sealed.hex() == RFC_SEALED[number]


def test_library_agrees_with_another_implementation():
    """Base mode, AES-256-GCM, both ways between pyhpke and cryptography."""
    ours = CipherSuite.new(KEMId.DHKEM_X25519_HKDF_SHA256, KDFId.HKDF_SHA256, AEADId.AES256_GCM)
    theirs = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
    key = X25519PrivateKey.generate()
    private = ours.kem.deserialize_private_key(key.private_bytes_raw())
    public = ours.kem.deserialize_public_key(key.public_key().public_bytes_raw())
    encapsulated, sender = ours.create_sender_context(public, info=b"i")
    assert theirs.decrypt(encapsulated + sender.seal(b"text"), key, b"i") == b"text"
    sent = theirs.encrypt(b"text", key.public_key(), b"i")
    assert ours.create_recipient_context(sent[:32], private, info=b"i").open(sent[32:]) == b"text"


def sealed(blocks=(b"one", b"", b"three")):
    return seal(BANK, TAX_SIGNED, CONTEXT, blocks)


def opened(envelope, context=CONTEXT):
    return list(open_sealed(TAX, BANK_SIGNED, context, envelope))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=200), min_size=1, max_size=5))
def test_round_trip(blocks):
    envelope = sealed(blocks)
    assert opened(envelope) == blocks
    assert len(envelope) == HEAD + sum(FRAME + len(b) + TAG for b in blocks)


def test_arrays_travel_as_little_endian_rows():
    array = np.arange(6, dtype=np.uint64).reshape(2, 3)
    assert opened(sealed([array, array.T, array.astype(">u8")])) == [
        array.astype("<u8").tobytes(),
        np.ascontiguousarray(array.T).astype("<u8").tobytes(),
        array.astype("<u8").tobytes(),
    ]


def test_two_envelopes_of_the_same_blocks_have_nothing_in_common():
    assert sealed()[4:36] != sealed()[4:36]
    assert b"three" not in sealed()


def test_every_flipped_bit_is_noticed():
    envelope = sealed()
    for position in range(len(envelope)):
        for bit in (1, 128):
            changed = bytearray(envelope)
            changed[position] ^= bit
            with pytest.raises(EnvelopeError):
                opened(changed)


def test_every_truncation_and_extension_is_noticed_before_a_block_comes_out():
    envelope = sealed()
    for length in range(len(envelope)):
        with pytest.raises(EnvelopeError, match="bank"):
            open_sealed(TAX, BANK_SIGNED, CONTEXT, envelope[:length])
    for more in (b"\0", envelope[HEAD:], bytes(FRAME + TAG)):
        with pytest.raises(EnvelopeError):
            open_sealed(TAX, BANK_SIGNED, CONTEXT, envelope + more)


def frames_of(envelope):
    frames, position = [], HEAD
    while position < len(envelope):
        last, size = struct.unpack_from(">BQ", envelope, position)
        frames.append((last, envelope[position + FRAME : position + FRAME + size]))
        position += FRAME + size
    return frames


def rebuilt(envelope, order):
    """The frames in another order, with the last flag where it would be expected."""
    frames = frames_of(envelope)
    parts = [
        struct.pack(">BQ", i == len(order) - 1, len(frames[k][1])) + frames[k][1] for i, k in enumerate(order)
    ]
    return envelope[:HEAD] + b"".join(parts)


@pytest.mark.parametrize(
    "order", [(0,), (0, 1), (1, 2), (0, 2), (1, 0, 2), (0, 2, 1), (0, 1, 1), (0, 1, 2, 2)]
)
def test_left_out_swapped_and_repeated_blocks_are_noticed(order):
    envelope = sealed((b"same", b"same", b"same"))
    assert rebuilt(envelope, (0, 1, 2)) == envelope
    with pytest.raises(EnvelopeError):
        opened(rebuilt(envelope, order))


def test_blocks_before_a_change_are_authentic_and_the_change_raises():
    changed = bytearray(sealed())
    changed[-1] ^= 1
    blocks = open_sealed(TAX, BANK_SIGNED, CONTEXT, changed)
    assert [next(blocks), next(blocks)] == [b"one", b""]
    with pytest.raises(EnvelopeError):
        next(blocks)


@pytest.mark.parametrize(
    "change",
    [
        {"study": "t"},
        {"release": "B"},
        {"direction": "masked bins"},
        {"radii": (1.5,)},
        {"radii": (2.0, 1.5)},
        {"radii": ()},
        {"study": "sA", "release": ""},
    ],
)
def test_opens_in_its_own_place_only(change):
    with pytest.raises(EnvelopeError):
        opened(sealed(), replace(CONTEXT, **change))


def test_ends_and_attempt_must_belong_to_the_keys():
    for context in (
        replace(CONTEXT, sender="tax"),
        replace(CONTEXT, receiver="x"),
        replace(CONTEXT, attempt="2"),
    ):
        with pytest.raises(EnvelopeError):
            seal(BANK, TAX_SIGNED, context, [b"x"])
        with pytest.raises(EnvelopeError):
            open_sealed(TAX, BANK_SIGNED, context, sealed())


def test_only_the_two_ends_can_seal_and_open():
    other, other_signed = EphemeralKey.generate(IdentityKey.generate(), "bank", DIGEST, "1")
    with pytest.raises(EnvelopeError):  # made by another key than the signed one
        opened(seal(other, TAX_SIGNED, CONTEXT, [b"x"]))
    with pytest.raises(EnvelopeError):  # expected from another key
        list(open_sealed(TAX, other_signed, CONTEXT, sealed()))
    stranger, _ = EphemeralKey.generate(IdentityKey.generate(), "tax", DIGEST, "1")
    with pytest.raises(EnvelopeError):
        list(open_sealed(stranger, BANK_SIGNED, CONTEXT, sealed()))


def test_an_envelope_does_not_open_the_other_way_round():
    back = replace(CONTEXT, sender="tax", receiver="bank")
    with pytest.raises(EnvelopeError):
        list(open_sealed(BANK, TAX_SIGNED, back, sealed()))


def test_refusals():
    with pytest.raises(ProtocolError, match="at least one block"):
        sealed(())
    with pytest.raises(ProtocolError, match="finite"):
        replace(CONTEXT, radii=(float("nan"),))
    with pytest.raises(EnvelopeError, match="tax is degenerate"):
        seal(BANK, replace(TAX_SIGNED, public=bytes(32)), CONTEXT, [b"x"])


def test_sealing_and_opening_hold_the_payload_once():
    size, count = 1 << 20, 32

    def peak(work):
        tracemalloc.start()
        result = work()
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return result, top / (size * count)

    envelope, sealing = peak(lambda: seal(BANK, TAX_SIGNED, CONTEXT, (bytes(size) for _ in range(count))))
    assert sealing < 1.35  # the envelope, the buffer's spare eighth, a few blocks
    total, opening = peak(lambda: sum(map(len, open_sealed(TAX, BANK_SIGNED, CONTEXT, envelope))))
    assert total == size * count
    assert opening < 0.15
