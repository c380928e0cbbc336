"""The verifiable oblivious pseudo-random function: the RFC's own vectors first."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.alignment import dleq, multiscalar, oprf, ristretto
from fedrisk.errors import ConfigError, DataError, FedriskError, ProtocolError

pytestmark = pytest.mark.slow

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
# RFC 9496, appendix A.1 (generator) and A.2 (encodings that must be refused).
GENERATOR = bytes.fromhex("e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76")
BAD_POINTS = {
    "identity": bytes(32),
    "not reduced": bytes.fromhex("00" + "ff" * 31),
    "field order": bytes.fromhex("ed" + "ff" * 30 + "7f"),
    "negative": bytes.fromhex("01" + "00" * 31),
    "no square": bytes.fromhex("26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371"),
}


def answer_of(points, key):
    """The four last arguments of ``finalise``."""
    return points, *oprf.evaluate(points, key), oprf.public_key(key)


def test_vector_key():
    assert oprf.derive_key(SEED, INFO) == KEY
    assert oprf.public_key(KEY) == PUBLIC


@pytest.mark.parametrize(("text", "blinded", "evaluated", "output"), VECTORS, ids=["00", "5a x 17"])
def test_vectors(text, blinded, evaluated, output):
    answer = answer_of(bytes.fromhex(blinded), KEY)
    assert answer[1].hex() == evaluated
    assert oprf.finalise([text], BLIND, *answer)[0].tobytes().hex() == output[:64]
    assert oprf.pseudonyms([text], KEY)[0].tobytes().hex() == output[:64]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.binary(max_size=30), max_size=12))
def test_blinding_gives_what_the_authority_computes_itself(ids):
    key = oprf.new_key()
    blinds, points = oprf.blind(ids)
    assert len(blinds) == len(points) == 32 * len(ids)
    found = oprf.finalise(ids, blinds, *answer_of(points, key))
    assert found.dtype == np.uint8
    assert found.shape == (len(ids), 32)
    assert np.array_equal(found, oprf.pseudonyms(ids, key))


IDS = [b"%d" % i for i in range(35)]
BLINDS, POINTS = oprf.blind(IDS)
EVALUATED, PROOFS = oprf.evaluate(POINTS, KEY)
OTHER = oprf.evaluate(POINTS, oprf.new_key())[0]


def refused(evaluated=EVALUATED, proofs=PROOFS, public=PUBLIC, points=POINTS):
    with pytest.raises(ProtocolError) as caught:
        oprf.finalise(IDS, BLINDS, points, evaluated, proofs, public)
    assert caught.value.code == "protocol"
    return str(caught.value)


def swapped(one, other, i):
    return one[: 32 * i] + other[32 * i : 32 * i + 32] + one[32 * i + 32 :]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, len(IDS) - 1), st.integers(0, 255), st.integers(0, 511), st.integers(0, len(IDS) - 1))
def test_any_single_change_is_refused(place, bit, proof_bit, other_place):
    """One id under another key, one changed bit of a point or of the proof, two points exchanged."""
    assert oprf.finalise(IDS, BLINDS, POINTS, EVALUATED, PROOFS, PUBLIC).shape == (len(IDS), 32)
    assert "Tell the consortium's operator" in refused(evaluated=swapped(EVALUATED, OTHER, place))
    changed = bytearray(EVALUATED)
    changed[32 * place + bit // 8] ^= 1 << bit % 8
    refused(evaluated=bytes(changed))
    changed = bytearray(PROOFS)
    changed[proof_bit // 8] ^= 1 << proof_bit % 8
    refused(proofs=bytes(changed))
    if place != other_place:
        mine, theirs = (EVALUATED[32 * i : 32 * i + 32] for i in (place, other_place))
        refused(evaluated=swapped(swapped(EVALUATED, theirs * len(IDS), place), mine * len(IDS), other_place))


def test_a_change_is_refused_in_long_batches_too(monkeypatch):
    """Where sums are computed in buckets; they give the same proofs."""
    monkeypatch.setattr(multiscalar, "BUCKETS_FROM", 1)
    oprf.verify(POINTS, EVALUATED, PROOFS, PUBLIC)
    oprf.verify(POINTS, *oprf.evaluate(POINTS, KEY), PUBLIC)
    refused(evaluated=swapped(EVALUATED, OTHER, 17))
    refused(proofs=PROOFS[:40] + bytes([PROOFS[40] ^ 1]) + PROOFS[41:])
    refused(public=oprf.public_key(oprf.new_key()))


def test_another_stated_key_or_another_request_is_refused():
    refused(public=oprf.public_key(oprf.new_key()))
    refused(public=bytes(32))
    refused(points=oprf.blind(IDS)[1])


def test_proofs_of_several_batches(monkeypatch):
    """Each batch has its own proof, which holds nowhere else; indices begin anew in each."""
    monkeypatch.setattr(oprf, "TERMS", 4)
    monkeypatch.setattr(oprf, "BATCH", 12)
    evaluated, proofs = oprf.evaluate(POINTS, KEY)
    assert (evaluated, len(proofs)) == (EVALUATED, 64 * 3)
    found = oprf.finalise(IDS, BLINDS, POINTS, evaluated, proofs, PUBLIC)
    assert np.array_equal(found, oprf.pseudonyms(IDS, KEY))
    one_batch = oprf.evaluate(POINTS[: 32 * 12], KEY)[1]
    oprf.verify(POINTS[: 32 * 12], EVALUATED[: 32 * 12], one_batch, PUBLIC)
    refused(evaluated=swapped(EVALUATED, OTHER, 34), proofs=proofs)
    refused(proofs=proofs[64:128] + proofs[:64] + proofs[128:])


def test_a_batch_is_no_longer_than_the_rfc_allows():
    assert oprf.BATCH <= dleq.LONGEST_BATCH


def test_every_id_and_every_call_gets_a_fresh_blind():
    ids = [b"same"] * 50
    one, other = oprf.blind(ids), oprf.blind(ids)
    for part in (0, 1):
        assert len({x[part][i : i + 32] for x in (one, other) for i in range(0, 1600, 32)}) == 100


def test_another_key_gives_other_pseudonyms():
    one, other = (oprf.pseudonyms([b"id"], oprf.new_key()) for _ in range(2))
    assert not np.array_equal(one, other)


def test_new_keys_are_scalars_and_differ():
    keys = {oprf.new_key() for _ in range(20)}
    assert len(keys) == 20
    assert all(0 < int.from_bytes(k, "little") < ristretto.ORDER for k in keys)


@pytest.mark.parametrize("bad", BAD_POINTS.values(), ids=BAD_POINTS.keys())
def test_bad_points_are_refused_wherever_they_stand(bad):
    for points in (bad, bad + GENERATOR, GENERATOR + bad):
        with pytest.raises(ProtocolError, match="canonical"):
            oprf.evaluate(points, KEY)
    points, evaluated, proofs, public = answer_of(GENERATOR, KEY)
    for wrong in ((bad, evaluated), (points, bad)):
        with pytest.raises(ProtocolError, match="canonical"):
            oprf.finalise([b"id"], BLIND, *wrong, proofs, public)


def test_no_points_give_no_points():
    assert oprf.evaluate(b"", KEY) == (b"", b"")
    assert oprf.finalise([], b"", b"", b"", b"", PUBLIC).shape == (0, 32)


def test_a_zero_blind_is_refused():
    with pytest.raises(ProtocolError, match="zero"):
        oprf.finalise([b"a", b"b"], BLIND + bytes(32), *answer_of(GENERATOR * 2, KEY))


def test_what_does_not_belong_together_is_refused():
    points, evaluated, proofs, public = answer_of(GENERATOR * 2, KEY)
    for ids, blinds, parts in (
        ([b"a", b"b"], BLIND, (points, evaluated)),
        ([b"a"], BLIND, (points, evaluated)),
        ([b"a", b"b"], BLIND * 2, (points[:32], evaluated)),
        ([b"a", b"b"], BLIND * 2, (points, evaluated[:32])),
    ):
        with pytest.raises(ProtocolError, match="one request"):
            oprf.finalise(ids, blinds, *parts, proofs, public)
    for wrong in (b"", proofs[:-1], proofs * 2):
        with pytest.raises(ProtocolError, match="bytes of proofs"):
            oprf.finalise([b"a", b"b"], BLIND * 2, points, evaluated, wrong, public)
    with pytest.raises(ProtocolError, match="multiple of 32"):
        oprf.evaluate(GENERATOR[:31], KEY)


@pytest.mark.parametrize("key", [b"", bytes(32), b"\x01" * 31, ristretto.ORDER.to_bytes(32, "little")])
def test_wrong_keys_are_refused_and_not_shown(key):
    for call in (
        lambda: oprf.evaluate(GENERATOR, key),
        lambda: oprf.pseudonyms([b"id"], key),
        lambda: oprf.public_key(key),
    ):
        with pytest.raises(ConfigError, match="key of the epoch") as caught:
            call()
        assert not key or key.hex() not in str(caught.value)


def test_lengths_of_seed_info_and_id():
    with pytest.raises(ConfigError, match="seed"):
        oprf.derive_key(b"\xa3" * 31, b"")
    with pytest.raises(ConfigError, match="info"):
        oprf.derive_key(SEED, bytes(2**16))
    with pytest.raises(DataError, match="65535"):
        oprf.blind([bytes(2**16)])
    assert oprf.pseudonyms([bytes(2**16 - 1)], KEY).shape == (1, 32)


def test_workers_give_the_same_in_the_same_order():
    ids = [b"%d" % i for i in range(oprf.POOL_FROM + 7)]
    short = ids[: oprf.POOL_FROM - 1]
    with oprf.workers(1) as pool:
        oprf.pseudonyms(short[:9], KEY, pool=pool)
        assert not pool.processes  # a short list starts no process
        blinds, points = oprf.blind(ids, pool=pool)
        assert pool.processes
        answer = oprf.evaluate(points, KEY, pool=pool)
        found = oprf.finalise(ids, blinds, points, *answer, PUBLIC, pool=pool)
        with pytest.raises(ProtocolError, match="canonical"):
            oprf.evaluate(points[:-32] + bytes(32), KEY, pool=pool)
    for i in (0, 1, oprf.CHUNK - 1, oprf.CHUNK, len(ids) - 1):
        assert np.array_equal(found[i : i + 1], oprf.pseudonyms(ids[i : i + 1], KEY))
    assert len(np.unique(found, axis=0)) == len(ids)


class _Lost:
    def submit(self, *args):
        from concurrent.futures.process import BrokenProcessPool

        raise BrokenProcessPool


def test_a_lost_worker_is_reported_with_the_remedy():
    with pytest.raises(FedriskError, match="fewer workers"):
        oprf.pseudonyms([b"%d" % i for i in range(oprf.POOL_FROM)], KEY, pool=_Lost())


def test_number_of_workers():
    with pytest.raises(ConfigError, match="number of workers is 0"), oprf.workers(0):
        pass
