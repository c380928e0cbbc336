"""The proof that one key evaluated a list: the vectors of RFC 9497 A.1.2, and what is refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.alignment import dleq, ristretto

# RFC 9497, appendix A.1.2: ristretto255-SHA512, VOPRF mode.
KEY = bytes.fromhex("e6f73f344b79b379f1a0dd37e07ff62e38d9f71345ce62ae3a9bc60b04ccd909")
PUBLIC = bytes.fromhex("c803e2cc6b05fc15064549b5920659ca4a77b2cca6f04f6b357009335476ad4e")
BLINDS = [
    bytes.fromhex("64d37aed22a27f5191de1c1d69fadb899d8862b58eb4220029e036ec4c1f6706"),
    bytes.fromhex("222a5e897cf59db8145db8d16e597e8facb80ae7d4e26d9881aa6f61d645fc0e"),
]
# Inputs, nonce of the proof, blinded elements, evaluated elements, proof.
VECTORS = [
    (
        [b"\x00"],
        "222a5e897cf59db8145db8d16e597e8facb80ae7d4e26d9881aa6f61d645fc0e",
        "863f330cc1a1259ed5a5998a23acfd37fb4351a793a5b3c090b642ddc439b945",
        "aa8fa048764d5623868679402ff6108d2521884fa138cd7f9c7669a9a014267e",
        "ddef93772692e535d1a53903db24367355cc2cc78de93b3be5a8ffcc6985dd06"
        "6d4346421d17bf5117a2a1ff0fcb2a759f58a539dfbe857a40bce4cf49ec600d",
    ),
    (
        [b"\x5a" * 17],
        "222a5e897cf59db8145db8d16e597e8facb80ae7d4e26d9881aa6f61d645fc0e",
        "cc0b2a350101881d8a4cba4c80241d74fb7dcbfde4a61fde2f91443c2bf9ef0c",
        "60a59a57208d48aca71e9e850d22674b611f752bed48b36f7a91b372bd7ad468",
        "401a0da6264f8cf45bb2f5264bc31e109155600babb3cd4e5af7d181a2c9dc0a"
        "67154fabf031fd936051dec80b0b6ae29c9503493dde7393b722eafdf5a50b02",
    ),
    (
        [b"\x00", b"\x5a" * 17],
        "419c4f4f5052c53c45f3da494d2b67b220d02118e0857cdbcf037f9ea84bbe0c",
        "863f330cc1a1259ed5a5998a23acfd37fb4351a793a5b3c090b642ddc439b945"
        "90a0145ea9da29254c3a56be4fe185465ebb3bf2a1801f7124bbbadac751e654",
        "aa8fa048764d5623868679402ff6108d2521884fa138cd7f9c7669a9a014267e"
        "cc5ac221950a49ceaa73c8db41b82c20372a4c8d63e5dded2db920b7eee36a2a",
        "cc203910175d786927eeb44ea847328047892ddf8590e723c37205cb74600b0a"
        "5ab5337c8eb4ceae0494c2cf89529dcf94572ed267473d567aeed6ab873dee08",
    ),
]
SEED = dleq.seed_of(PUBLIC)


@pytest.mark.parametrize(("texts", "nonce", "blinded", "evaluated", "proof"), VECTORS, ids=["1", "2", "3"])
def test_vectors(texts, nonce, blinded, evaluated, proof):
    points = ristretto.hash_multiply(texts, BLINDS[: len(texts)])
    answer = ristretto.evaluate_chunk(points, KEY)
    assert (points.hex(), answer.hex()) == (blinded, evaluated)
    m, z = dleq.fold(SEED, 0, points, answer)
    assert dleq.fold_blinded(SEED, 0, points, answer) == m
    assert dleq.prove(KEY, m, nonce=bytes.fromhex(nonce)).hex() == proof
    assert dleq.holds(PUBLIC, m, z, bytes.fromhex(proof))


def test_parts_of_a_batch_add_up_to_the_whole():
    points = ristretto.hash_multiply([b"%d" % i for i in range(9)], [BLINDS[0]] * 9)
    answer = ristretto.evaluate_chunk(points, KEY)
    whole = dleq.fold(SEED, 0, points, answer)
    parts = [
        dleq.fold(SEED, i, points[32 * i : 32 * i + 96], answer[32 * i : 32 * i + 96]) for i in (0, 3, 6)
    ]
    for part, total in zip(zip(*parts, strict=True), whole, strict=True):
        assert ristretto.add(ristretto.add(part[0], part[1]), part[2]) == total


def test_two_proofs_have_different_nonces():
    assert dleq.prove(KEY, PUBLIC) != dleq.prove(KEY, PUBLIC)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 8 * dleq.PROOF - 1))
def test_every_changed_bit_of_a_proof_is_refused(bit):
    m, z = PUBLIC, ristretto.times(KEY, PUBLIC)
    proof = bytearray(dleq.prove(KEY, m))
    assert dleq.holds(PUBLIC, m, z, bytes(proof))
    proof[bit // 8] ^= 1 << bit % 8
    assert not dleq.holds(PUBLIC, m, z, bytes(proof))


def test_scalars_have_one_encoding():
    """A proof with c + order or s + order would be another encoding of the same numbers."""
    m, z = PUBLIC, ristretto.times(KEY, PUBLIC)
    proof = dleq.prove(KEY, m)
    for start in (0, 32):
        number = int.from_bytes(proof[start : start + 32], "little") + ristretto.ORDER
        changed = proof[:start] + number.to_bytes(32, "little") + proof[start + 32 :]
        assert not dleq.holds(PUBLIC, m, z, changed)


@pytest.mark.parametrize("public", [bytes(32), b"\x01" + bytes(31), b"", PUBLIC + b"\0"])
def test_a_public_key_that_is_no_point_is_refused(public):
    assert not dleq.holds(public, PUBLIC, PUBLIC, dleq.prove(KEY, PUBLIC))


def test_another_public_key_is_refused():
    m = PUBLIC
    other = ristretto.times_generator(BLINDS[0])
    assert not dleq.holds(other, m, ristretto.times(KEY, m), dleq.prove(KEY, m))
    assert not dleq.holds(PUBLIC, m, ristretto.times(BLINDS[0], m), dleq.prove(KEY, m))
