"""The cable of tests: what passes, what a cut and a frozen one do, and that a mended one passes again."""

import socket
import threading

import pytest

from sim_institutions.wire import Wire


@pytest.fixture
def echo():
    """A server that says what it is told; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            while True:
                try:
                    one, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(one,), daemon=True).start()

        def answer(one):
            try:
                while data := one.recv(4096):
                    one.sendall(data)
            except OSError:
                return

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]


def connected(wire):
    one = socket.create_connection(("127.0.0.1", wire.port), timeout=10)
    one.sendall(b"hello")
    assert one.recv(100) == b"hello"
    return one


def ended(one):
    """Whether the other side is gone: an end, or a reset."""
    try:
        return one.recv(10) == b""
    except OSError:
        return True


def test_a_cut_ends_what_is_there_and_refuses_what_is_new_until_it_is_mended(echo):
    with Wire(echo) as wire:
        with connected(wire) as one:
            assert wire.connections == 1
            wire.cut()
            assert ended(one)
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", wire.port), timeout=10)
        wire.mend()
        with connected(wire):
            pass


def test_what_was_sent_into_a_frozen_wire_arrives_once_it_is_mended(echo):
    with Wire(echo) as wire, connected(wire) as one:
        wire.freeze()
        one.sendall(b"late")
        one.settimeout(0.3)
        with pytest.raises(TimeoutError):
            one.recv(10)
        wire.mend()
        one.settimeout(10)
        assert one.recv(10) == b"late"


def test_large_content_passes_whole_in_both_directions(echo):
    content = bytes(range(256)) * 4096
    with Wire(echo) as wire, connected(wire) as one:
        got = bytearray()
        sender = threading.Thread(target=one.sendall, args=(content,))
        sender.start()
        while len(got) < len(content):
            got += one.recv(1 << 16)
        sender.join()
        assert bytes(got) == content
