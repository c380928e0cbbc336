"""Messages between a hub's run and a node over the real SuperLink: whole, of any size, lost ones as errors."""

import os
import subprocess
import sys

import numpy as np
import pytest
from cryptography.hazmat.primitives import serialization

from fedrisk.engine import superlink_nodes, superlink_runs
from fedrisk.protocol.payload import Payload, from_record, request
from tests.support.hub_process import hub_home, new_key, serving, wait_for

pytestmark = pytest.mark.slow

ECHO = """
import signal, sys, threading, time
from pathlib import Path
from fedrisk.engine.fleet import Fleet, connect
from fedrisk.protocol.payload import from_record, reply
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
hub, folder = sys.argv[1], Path(sys.argv[2])
fleet = Fleet(hub=hub, ca=folder / "ca.pem", key=folder / "alpha.key", claim=folder / "claim")
with connect(fleet, stop=stop) as link:
    while not stop.is_set():
        message = link.receive()
        if message is None:
            time.sleep(0.05)
        else:
            link.send(reply(from_record(message.content), message))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A grid of a run with one node that sends everything back; with the hub's folder."""
    home = hub_home(tmp_path_factory.mktemp("hub") / "home")
    key, public = new_key()
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption())
    (home.path / "alpha.key").write_bytes(key.private_bytes(*form))
    superlink_nodes.register(home, "alpha", public)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    with serving(home):
        echo = subprocess.Popen([sys.executable, "-c", ECHO, home.address, str(home.path)], env=environment)
        try:
            number = superlink_runs.start_run(home.path, "desk")
            with superlink_runs.task_grid(home.path, superlink_runs.take_task(home.path, number)) as grid:
                wait_for(grid.get_nodes, 60)
                yield home, grid
        finally:
            echo.terminate()
            echo.wait(30)


def sent(grid, payload):
    """The node's answer to a payload."""
    (node,) = grid.get_nodes()
    assert node.name == "alpha"
    (answer,) = grid.send_and_receive([request(payload, "echo", node.node_id, ttl=60)], timeout=60)
    assert not answer.has_error()
    return from_record(answer.content)


def test_bodies_and_blobs_come_back_as_they_went(run):
    _, grid = run
    payload = Payload(
        {"a": [1, "x"]}, {"raw": b"sealed", "numbers": np.arange(7, dtype=np.uint64), "none": b""}
    )
    again = sent(grid, payload)
    assert again.body == payload.body
    assert again.raw("raw") == b"sealed"
    assert again.raw("none") == b""
    assert again.array("numbers").tolist() == list(range(7))


def test_an_envelope_of_many_parts_comes_back_whole_and_leaves_nothing_in_the_database(run):
    home, grid = run
    mark = os.urandom(64)
    blob = mark + os.urandom(23 << 20) + mark
    assert sent(grid, Payload({}, {"raw": blob})).raw("raw") == blob
    # Deleted, and overwritten where it stood; the log of changes is cut when it is copied.
    from fedrisk.engine.hub_work import tidy

    tidy(home.database)
    kept = b"".join(file.read_bytes() for file in home.path.glob("flower.sqlite*"))
    assert mark not in kept
    assert len(kept) < 4 << 20


def test_parts_that_are_alike_travel_once(run):
    _, grid = run
    assert sent(grid, Payload({}, {"raw": bytes(12 << 20)})).raw("raw") == bytes(12 << 20)


def test_a_message_to_nobody_is_not_taken(run):
    _, grid = run
    assert grid.push_messages([request(Payload(), "echo", 4711, ttl=60)]) in ([""], ["4711"])


def test_a_message_whose_parts_are_gone_comes_as_an_error(run, monkeypatch):
    _, grid = run
    (node,) = grid.get_nodes()

    def gone(object_id):
        raise KeyError(object_id)

    monkeypatch.setattr(grid, "_pull_part", gone)
    (answer,) = grid.send_and_receive([request(Payload({"a": 1}), "echo", node.node_id, ttl=60)], timeout=60)
    assert answer.has_error()
    assert "KeyError" in answer.error.reason
