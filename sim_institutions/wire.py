"""A network cable of one's own: forwards TCP connections on loopback until it is cut, and again once it is mended.

For tests and benchmarks of what happens to two sides that lose each other in the middle of something.
"""

import contextlib
import selectors
import socket
import threading
from types import TracebackType
from typing import Self

CHUNK = 1 << 16


class Wire:
    """Forwards connections to ``port`` of loopback to ``target`` of loopback. Use it in a ``with`` block.

    cut: every connection ends at once (with a reset, as when a firewall forgets it), and new ones are refused. freeze:
    connections stay open and nothing passes any more, as when a cable is pulled; new ones are taken and hang. mend:
    new connections pass, and frozen ones go on.
    """

    def __init__(self, target: int, port: int = 0) -> None:
        self.target = target
        self._lock = threading.Lock()
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._listener: socket.socket | None = None
        self._frozen = self._over = False
        self.port = port
        self._listen()
        self._thread = threading.Thread(target=self._run, name="wire", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        self._wake.send(b"x")
        self._thread.join(10)
        self.cut()
        self._selector.close()
        self._wake.close()
        self._woken.close()

    @property
    def connections(self) -> int:
        """How many connections are open."""
        with self._lock:
            return len(self._pairs) // 2

    def cut(self) -> None:
        """End every connection, and refuse new ones."""
        with self._lock:
            if self._listener is not None:
                self._forget(self._listener)
                self._listener = None
            for one in list(self._pairs):
                self._end(one)
        self._wake.send(b"x")

    def freeze(self) -> None:
        """Let nothing pass, and end nothing."""
        with self._lock:
            self._frozen = True
        self._wake.send(b"x")

    def mend(self) -> None:
        """Let connections pass again."""
        with self._lock:
            self._frozen = False
            if self._listener is None:
                self._listen()
        self._wake.send(b"x")

    def _listen(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(64)
        self.port = int(listener.getsockname()[1])
        self._listener = listener
        self._selector.register(listener, selectors.EVENT_READ)

    def _run(self) -> None:
        self._selector.register(self._woken, selectors.EVENT_READ)
        while not self._over:
            ready = [key.fileobj for key, _ in self._selector.select(1.0)]
            with self._lock:
                for one in ready:
                    assert isinstance(one, socket.socket)
                    if one is self._woken:
                        one.recv(CHUNK)
                    elif self._frozen:
                        continue
                    elif one is self._listener:
                        self._accept(one)
                    elif one in self._pairs:
                        self._forward(one)
            if self._frozen:
                # What is ready stays ready: looked at again when mended, and not in a busy loop.
                threading.Event().wait(0.02)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            near, _ = listener.accept()
            try:
                far = socket.create_connection(("127.0.0.1", self.target), timeout=5)
            except OSError:
                near.close()
                return
            for a, b in ((near, far), (far, near)):
                a.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                a.settimeout(30)
                self._pairs[a] = b
                self._selector.register(a, selectors.EVENT_READ)

    def _forward(self, one: socket.socket) -> None:
        try:
            data = one.recv(CHUNK)
            if data:
                self._pairs[one].sendall(data)
                return
        except OSError:
            pass
        self._end(one)

    def _end(self, one: socket.socket) -> None:
        for end in (one, self._pairs.pop(one, one)):
            self._pairs.pop(end, None)
            with contextlib.suppress(OSError):
                # A reset in place of an orderly end: nobody says goodbye on a cut line.
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            self._forget(end)

    def _forget(self, one: socket.socket) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(one)
        one.close()
