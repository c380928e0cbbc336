"""The node's side of Flower against a hub that really serves: what it is told in words, and what it survives.

Nodes run in processes of their own: Flower keeps who a message is from in one place of a process, and so does the hub's
grid of these tests.
"""

import contextlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading

import numpy as np
import pytest
from cryptography.hazmat.primitives import serialization

from fedrisk.engine import fleet_files, hub_probe, superlink_nodes, superlink_runs
from fedrisk.engine.claim import Claim
from fedrisk.engine.fleet import Fleet, connect
from fedrisk.errors import ConfigError, EnvelopeError, LaterError, StoreError
from fedrisk.protocol.payload import Payload, from_record, request
from support.hub_process import free_port, hub_home, new_key, serving, wait_for

pytestmark = pytest.mark.slow

NODE = """
import signal, sys, threading, time
from pathlib import Path
from fedrisk.clients import resident
from fedrisk.engine import fleet
from fedrisk.errors import FedriskError
from fedrisk.protocol.payload import Payload, from_record, reply

stop, folder = threading.Event(), Path(sys.argv[1])
signal.signal(signal.SIGTERM, lambda *_: stop.set())

def app(message, context):
    asked = from_record(message.content)
    print("got", flush=True)
    time.sleep(asked.body.get("seconds", 0))
    return reply(asked, message)

where = fleet.Fleet(hub=sys.argv[2], ca=folder / "ca.pem", key=folder / "flower.key", claim=folder / "claim")
try:
    with fleet.connect(where, stop=stop, news=lambda s: print("connected" if s.connected else "away", flush=True)) as link:
        print("ended after", resident.serve(link, app, resident.context_of(folder), stop=stop), flush=True)
except FedriskError as error:
    sys.exit(f"{error.code}: {error}")
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    home = hub_home(tmp_path_factory.mktemp("hub") / "home")
    with serving(home):
        yield home


@pytest.fixture(scope="module")
def grid(hub):
    run = superlink_runs.start_run(hub.path, "test")
    with superlink_runs.task_grid(hub.path, superlink_runs.take_task(hub.path, run)) as grid:
        yield grid


def folder_of(hub, folder, *, admitted):
    """A node's folder; its key is admitted under the folder's name."""
    folder.mkdir()
    key, public = new_key()
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption())
    (folder / "flower.key").write_bytes(key.private_bytes(*form))
    shutil.copy(hub.path / "ca.pem", folder / "ca.pem")
    if admitted:
        superlink_nodes.register(hub, folder.name, public)
    return folder


def fleet_of(folder, address):
    return Fleet(hub=address, ca=folder / "ca.pem", key=folder / "flower.key", claim=folder / "claim")


class Process:
    """A node that echoes what it is asked."""

    def __init__(self, folder, address):
        self.output = folder.with_suffix(".out")
        self.handle = self.output.open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-c", NODE, str(folder), address],
            stdout=self.handle,
            stderr=self.handle,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )

    def said(self):
        return self.output.read_text()

    def connected(self, times=1):
        wait_for(lambda: self.said().count("connected") >= times, 60)
        return self

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        code = self.process.wait(60)
        self.handle.close()
        return code


@pytest.fixture
def start(hub):
    began = []

    def make(folder):
        began.append(Process(folder, hub.address))
        return began[-1]

    yield make
    for one in began:
        if one.process.poll() is None:
            one.end(signal.SIGKILL)


def number_of(hub, name):
    return next(n.number for n in superlink_nodes.nodes(hub.path) if n.name == name)


def online(hub, name):
    return any(n.online for n in superlink_nodes.nodes(hub.path) if n.name == name)


def send(hub, grid, name, payload):
    (found,) = grid.push_messages([request(payload, "describe", number_of(hub, name), ttl=300.0)])
    return found


def answer(grid, found, seconds=60):
    got = []
    wait_for(lambda: got or got.extend(grid.pull_messages([found])), seconds)
    return from_record(got[0].content)


def test_messages_go_both_ways_whatever_their_size(hub, grid, start, tmp_path):
    """Chunks of 5 MB, equal ones among them, arrive as they were sent; a clean stop is heard at the hub."""
    node = start(folder_of(hub, tmp_path / "echo", admitted=True)).connected()
    blobs = {
        "large": os.urandom((11 << 20) + 3),
        "equal": np.zeros(4 << 20, dtype=np.uint32),
        "small": np.arange(5, dtype=np.int32),
        "none": b"",
    }
    back = answer(grid, send(hub, grid, "echo", Payload({"a": [1, 2]}, blobs)))
    assert back.body == {"a": [1, 2]} and list(back.blobs) == list(blobs)
    assert back.raw("large") == blobs["large"] and back.raw("none") == b""
    assert np.array_equal(back.array("equal"), blobs["equal"]) and np.array_equal(
        back.array("small"), blobs["small"]
    )
    assert node.end() == 0
    assert not online(hub, "echo")
    assert Claim(tmp_path / "echo" / "claim").node == number_of(hub, "echo")


def test_a_node_that_is_stopped_finishes_what_is_in_hand(hub, grid, start, tmp_path):
    node = start(folder_of(hub, tmp_path / "stopped", admitted=True)).connected()
    found = send(hub, grid, "stopped", Payload({"seconds": 3, "kept": True}))
    wait_for(lambda: "got" in node.said(), 30)
    node.process.send_signal(signal.SIGTERM)
    assert answer(grid, found).body["kept"] is True
    assert node.process.wait(30) == 0
    assert "ended after 1" in node.said()


def test_a_killed_node_is_back_as_soon_as_it_has_started(hub, grid, start, tmp_path):
    """It takes its own claim back: Flower would take its key for served for another 20 s."""
    folder = folder_of(hub, tmp_path / "killed", admitted=True)
    start(folder).connected().end(signal.SIGKILL)
    assert online(hub, "killed")
    start(folder).connected(2)
    assert answer(grid, send(hub, grid, "killed", Payload({"n": 1}))).body == {"n": 1}


@pytest.mark.long
def test_a_second_node_with_a_copied_folder_is_told_so_and_the_first_goes_on(hub, grid, start, tmp_path):
    folder = folder_of(hub, tmp_path / "first", admitted=True)
    first = start(folder).connected()
    shutil.copytree(folder, tmp_path / "copy")
    with (
        pytest.raises(EnvelopeError, match="another process serves this node's key"),
        once(tmp_path / "copy", hub.address),
    ):
        pass
    assert answer(grid, send(hub, grid, "first", Payload({"n": 1}))).body == {"n": 1}
    assert first.process.poll() is None


def test_a_running_node_that_is_expelled_ends_in_words(hub, start, tmp_path):
    node = start(folder_of(hub, tmp_path / "expelled", admitted=True)).connected()
    superlink_nodes.unregister(hub, "expelled")
    assert node.process.wait(60) == 1
    assert "does not take this node's key" in node.said()


@pytest.mark.long
def test_a_node_waits_out_a_hub_that_is_started_again(tmp_path):
    home = hub_home(tmp_path / "home")
    with serving(home):
        node = Process(folder_of(home, tmp_path / "waits", admitted=True), home.address).connected()
    try:
        wait_for(lambda: "away" in node.said(), 60)
        with serving(home):
            node.connected(2)
            wait_for(lambda: online(home, "waits"), 30)
            assert node.end() == 0
        assert node.said().splitlines().count("away") == 1
    finally:
        node.process.kill()


def once(folder, address):
    return connect(fleet_of(folder, address), stop=threading.Event(), patience=0)


def test_a_key_that_was_never_admitted(hub, tmp_path):
    folder = folder_of(hub, tmp_path / "foreign", admitted=False)
    with (
        pytest.raises(EnvelopeError, match=r"not admitted there.*compare the words"),
        once(folder, hub.address),
    ):
        pass
    assert not (folder / "claim").exists()


def test_a_hub_that_is_away(hub, tmp_path):
    folder = folder_of(hub, tmp_path / "away", admitted=False)
    with (
        pytest.raises(LaterError, match=r"does not answer.*refused"),
        once(folder, f"127.0.0.1:{free_port()}"),
    ):
        pass


def test_a_certificate_of_a_foreign_authority(hub, tmp_path):
    folder = folder_of(hub, tmp_path / "node", admitted=False)
    other = hub_home(tmp_path / "other")
    shutil.copy(other.path / "ca.pem", folder / "ca.pem")
    with pytest.raises(EnvelopeError, match="foreign authority"), once(folder, hub.address):
        pass
    # While authorities change, a node trusts both.
    both = (other.path / "ca.pem").read_bytes() + (hub.path / "ca.pem").read_bytes()
    (folder / "ca.pem").write_bytes(both)
    with pytest.raises(EnvelopeError, match="not admitted"), once(folder, hub.address):
        pass


@pytest.mark.parametrize(("ahead", "words"), [(8, "[789] s ahead of"), (-400, "(399|40[01]) s behind")])
def test_a_clock_that_is_wrong_is_said_before_connecting(hub, tmp_path, monkeypatch, ahead, words):
    folder = folder_of(hub, tmp_path / "clock", admitted=True)
    real = hub_probe.time.time
    monkeypatch.setattr(hub_probe.time, "time", lambda: real() + ahead)
    with (
        pytest.raises(LaterError, match=words),
        connect(fleet_of(folder, hub.address), stop=threading.Event()),
    ):
        pass


def test_a_clock_a_little_off_is_taken(hub, tmp_path, monkeypatch):
    seen = hub_probe.probe(hub.address, hub.path / "ca.pem")
    assert abs(seen.ahead) < 3
    for ahead in (-290.0, 4.0):
        hub_probe.check_clock(ahead, hub.address)


def test_keys_and_authorities_that_cannot_be_used(hub, tmp_path):
    folder = folder_of(hub, tmp_path / "broken", admitted=False)
    (folder / "flower.key").write_text("none")
    with pytest.raises(ConfigError, match=r"flower\.key holds no P-384 key"), once(folder, hub.address):
        pass
    (folder / "flower.key").unlink()
    with pytest.raises(StoreError, match=r"flower\.key cannot be read"), once(folder, hub.address):
        pass
    folder = folder_of(hub, tmp_path / "no_ca", admitted=False)
    (folder / "ca.pem").write_text("none")
    with pytest.raises(ConfigError, match="holds no certificate"), once(folder, hub.address):
        pass


def test_another_release_of_flower_is_refused(monkeypatch):
    monkeypatch.setattr(fleet_files, "version", lambda _: "1.42.0")
    with pytest.raises(ConfigError, match=r"flwr 1\.42\.0 is installed.*flwr 1\.41"):
        fleet_files.check_flower()


def test_an_expired_certificate(tmp_path):
    """hub serve refuses to begin with one; a bare server stands in for a hub whose certificate expired meanwhile."""
    home = hub_home(tmp_path / "home", days=(-3.0, -1.0))
    with tls_server(home) as address, pytest.raises(EnvelopeError, match=r"has expired.*clock is wrong"):
        hub_probe.probe(address, home.path / "ca.pem")


def test_a_certificate_for_another_name(tmp_path):
    home = hub_home(tmp_path / "home")
    with tls_server(home, "127.0.0.2") as address, pytest.raises(EnvelopeError, match="is for another name"):
        hub_probe.probe(address, home.path / "ca.pem")


def test_what_answers_without_tls(hub):
    with tls_server(None) as address, pytest.raises(EnvelopeError, match="speaks no TLS"):
        hub_probe.probe(address, hub.path / "ca.pem")


@contextlib.contextmanager
def tls_server(home, host="127.0.0.1"):
    """Answers one connection with a hub's certificate, or without TLS."""

    def answer_once():
        with contextlib.suppress(OSError):
            connection, _ = server.accept()
            with connection:
                if home is None:
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                else:
                    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                    context.load_cert_chain(home.path / "server.pem", home.path / "server.key")
                    context.wrap_socket(connection, server_side=True).close()

    with socket.create_server((host, 0)) as server:
        thread = threading.Thread(target=answer_once, daemon=True)
        thread.start()
        yield f"{host}:{server.getsockname()[1]}"
        thread.join(10)
