"""A node's signs of life follow its loop and its connection."""

import socket

import pytest

from fedrisk.cli import node_watch
from fedrisk.cli.node_watch import NodeWatch, watching
from fedrisk.deploy.node_home import NodeHome
from fedrisk.engine.fleet import LinkState


@pytest.fixture
def home(tmp_path):
    return NodeHome.create(tmp_path / "node", {"hub": "hub.example:9490", "institution": "bank.toml"})


@pytest.fixture
def supervisor(tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(str(tmp_path / "n"))
        s.settimeout(2)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "n"))
        yield s


def test_it_is_ready_once_it_is_connected_and_says_so_once(home, supervisor):
    watch, state = NodeWatch(home), LinkState(connected=False)
    watch.connected(state)
    assert supervisor.recv(99) == b"WATCHDOG=1" and not watch.health.ready
    state.connected = True
    state.ahead = 1.5
    for _ in range(2):
        watch._look()
    assert [supervisor.recv(99) for _ in range(3)] == [
        b"WATCHDOG=1",
        b"READY=1\nSTATUS=connected to hub.example:9490",
        b"WATCHDOG=1",
    ]
    assert watch.health.ready and b"fedrisk_clock_skew_seconds 1.5" in watch.health.metrics()
    state.connected = False
    watch._look()
    assert (watch.health.ready, watch.health.reason) == (False, "the hub is away")


def test_a_loop_that_does_not_turn_is_stuck(home, supervisor, monkeypatch):
    watch = NodeWatch(home)
    monkeypatch.setattr(node_watch, "LONGEST_STEP", -1.0)
    # Before there was a connection it may wait for its hub for as long as it takes.
    watch._look()
    assert supervisor.recv(99) == b"WATCHDOG=1"
    watch.connected(LinkState(connected=True))
    assert supervisor.recv(99).startswith(b"READY=1")
    watch.health._beat -= 1000
    watch._look()
    supervisor.setblocking(False)
    with pytest.raises(BlockingIOError):
        supervisor.recv(99)
    assert not watch.health.live


def test_the_end_is_told(home, supervisor):
    with watching(home) as watch:
        assert watch.health.live
    assert supervisor.recv(99) == b"STOPPING=1"
