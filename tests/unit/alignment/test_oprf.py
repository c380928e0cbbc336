"""The oblivious pseudo-random function: the RFC's own vectors first."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.alignment import oprf, ristretto
from fedrisk.errors import ConfigError, DataError, FedriskError, ProtocolError

pytestmark = pytest.mark.slow

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
# RFC 9496, appendix A.1 (generator) and A.2 (encodings that must be refused).
GENERATOR = bytes.fromhex("e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76")
BAD_POINTS = {
    "identity": bytes(32),
    "not reduced": bytes.fromhex("00" + "ff" * 31),
    "field order": bytes.fromhex("ed" + "ff" * 30 + "7f"),
    "negative": bytes.fromhex("01" + "00" * 31),
    "no square": bytes.fromhex("26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371"),
}


def test_vector_key():
    assert oprf.derive_key(SEED, INFO) == KEY


@pytest.mark.parametrize(("text", "blinded", "evaluated", "output"), VECTORS, ids=["00", "5a x 17"])
def test_vectors(text, blinded, evaluated, output):
    assert oprf.evaluate(bytes.fromhex(blinded), KEY).hex() == evaluated
    assert oprf.finalise([text], BLIND, bytes.fromhex(evaluated))[0].tobytes().hex() == output[:64]
    assert oprf.pseudonyms([text], KEY)[0].tobytes().hex() == output[:64]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.binary(max_size=30), max_size=12))
def test_blinding_gives_what_the_authority_computes_itself(ids):
    key = oprf.new_key()
    blinds, points = oprf.blind(ids)
    assert len(blinds) == len(points) == 32 * len(ids)
    found = oprf.finalise(ids, blinds, oprf.evaluate(points, key))
    assert found.dtype == np.uint8
    assert found.shape == (len(ids), 32)
    assert np.array_equal(found, oprf.pseudonyms(ids, key))


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
    with pytest.raises(ProtocolError, match="canonical"):
        oprf.finalise([b"id"], BLIND, bad)


def test_no_points_give_no_points():
    assert oprf.evaluate(b"", KEY) == b""


def test_a_zero_blind_is_refused():
    with pytest.raises(ProtocolError, match="zero"):
        oprf.finalise([b"a", b"b"], BLIND + bytes(32), GENERATOR * 2)


def test_what_does_not_belong_together_is_refused():
    with pytest.raises(ProtocolError, match="one request"):
        oprf.finalise([b"a", b"b"], BLIND, GENERATOR * 2)
    with pytest.raises(ProtocolError, match="one request"):
        oprf.finalise([b"a"], BLIND, GENERATOR * 2)
    with pytest.raises(ProtocolError, match="multiple of 32"):
        oprf.evaluate(GENERATOR[:31], KEY)


@pytest.mark.parametrize("key", [b"", bytes(32), b"\x01" * 31, ristretto.ORDER.to_bytes(32, "little")])
def test_wrong_keys_are_refused_and_not_shown(key):
    for call in (lambda: oprf.evaluate(GENERATOR, key), lambda: oprf.pseudonyms([b"id"], key)):
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
        assert not pool._processes  # a short list starts no process
        blinds, points = oprf.blind(ids, pool=pool)
        assert pool._processes
        evaluated = oprf.evaluate(points, KEY, pool=pool)
        found = oprf.finalise(ids, blinds, evaluated, pool=pool)
        with pytest.raises(ProtocolError, match="canonical"):
            oprf.evaluate(points[:-32] + bytes(32), KEY, pool=pool)
    for i in (0, 1, oprf.CHUNK - 1, oprf.CHUNK, len(ids) - 1):
        assert np.array_equal(found[i : i + 1], oprf.pseudonyms(ids[i : i + 1], KEY))
    assert len(np.unique(found, axis=0)) == len(ids)


ORPHAN = """
import os, sys
from fedrisk.alignment import oprf
if __name__ == "__main__":
    with oprf.workers(1) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        oprf.pseudonyms([b"%d" % i for i in range(60000)], oprf.new_key(), pool=pool)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_workers_end_with_a_killed_parent(tmp_path):
    (tmp_path / "orphan.py").write_text(ORPHAN)
    root = str(Path(oprf.__file__).parents[2])
    command = [sys.executable, str(tmp_path / "orphan.py")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": root}
    ) as parent:
        assert parent.stdout is not None
        worker = Path("/proc") / parent.stdout.readline().decode().strip()
        assert worker.exists()
        parent.kill()
    deadline = time.monotonic() + 20
    while worker.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not worker.exists()


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
