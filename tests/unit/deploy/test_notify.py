"""What is told to the supervisor arrives at its socket."""

import os
import socket

import pytest

from fedrisk.deploy import notify


@pytest.fixture(params=["path", "abstract"])
def supervisor(request, tmp_path, monkeypatch):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    name = str(tmp_path / "n") if request.param == "path" else f"\0fedrisk-{os.getpid()}"
    s.bind(name)
    s.settimeout(2)
    monkeypatch.setenv("NOTIFY_SOCKET", name.replace("\0", "@"))
    with s:
        yield s


def test_states_arrive(supervisor):
    assert notify.ready("3 nodes\nX=1") and supervisor.recv(999) == b"READY=1\nSTATUS=3 nodes X=1"
    assert notify.alive() and supervisor.recv(999) == b"WATCHDOG=1"
    assert notify.alive("busy") and supervisor.recv(999) == b"WATCHDOG=1\nSTATUS=busy"
    assert notify.stopping() and supervisor.recv(999) == b"STOPPING=1"


@pytest.mark.parametrize("address", [None, "", "relative", "/no/such/socket"])
def test_nobody_listens(monkeypatch, address):
    if address is None:
        monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    else:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    assert notify.ready() is False


@pytest.mark.parametrize(
    ("text", "owner", "seconds"),
    [
        ("120000000", "", 60.0),
        ("120000000", "own", 60.0),
        ("120000000", "1", None),
        ("0", "", None),
    ],
)
def test_half_of_what_the_watchdog_waits(monkeypatch, text, owner, seconds):
    monkeypatch.setenv("WATCHDOG_USEC", text)
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if owner == "own" else owner)
    assert notify.every() == seconds
