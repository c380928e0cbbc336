"""Whether a hub or node is alive and ready, and its figures in the form of Prometheus.

    health = Health("node", certificates=[home.ca])
    health.follow()                               # figures of exchanges come from the log's events, see below
    with served(health, home.health):             # GET /live, /ready, /metrics; nothing where the address is None
        health.ready = True                       # once the connection stands; False, with a reason, when it is lost
        health.beat()                             # in the main loop; /live fails after `patience` seconds without

/live answers 200 while the main loop turns (else a supervisor should restart the process), /ready 200 while work can be
done (else one waits). /metrics is on a registry of its own.

What was done need not be told twice: :meth:`Health.follow` listens to the logger "fedrisk" and counts the events
``exchange`` (hub) and ``served`` (node): ``action``, ``seconds`` and ``bytes`` (sent), ``received`` with ``bytes``,
``question`` (about scores) with ``seconds`` and ``code``, ``attends`` and ``left`` with ``peer`` (the relay of scores),
and whatever else has a ``code`` (a refusal). A child process, as a study's, sends its events with :func:`forward` to
the process that serves the figures, by a datagram socket in the folder (``health.follow(home.path / FIGURES)``). Call
``logs.start`` first: it sets the level from which on events are made.

The hub's figures say what its operator sees anyway: sizes, times, codes, who is connected. What is left of a privacy
budget exists at the node alone. All of it is for this machine: served on loopback, or on a Unix socket that only its
owner opens.
"""

import contextlib
import json
import logging
import os
import re
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, Final, Literal

from cryptography import x509
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from fedrisk.errors import ConfigError

PATIENCE: Final = 120.0
"""Seconds without a beat after which a process counts as stuck; the units' WatchdogSec."""

FIGURES: Final = "health.sock"
"""Datagram socket in a folder, to which the processes beside the one that serves the figures send what they did."""

QUESTION_SECONDS: Final = (
    0.005,
    0.01,
    0.02,
    0.03,
    0.04,
    0.06,
    0.08,
    0.1,
    0.15,
    0.2,
    0.4,
    0.8,
    2,
    5,
    10,
    30,
    60,
)
"""Upper ends of the histogram of questions about scores, in seconds."""

SECONDS: Final = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600)
"""Upper ends of the histogram of exchanges, in seconds."""

_WORD = re.compile(r"[a-z][a-z_]{0,39}")
_NAME = re.compile(r"[\w.-]{1,80}")
_COUNTED = ("event", "action", "peer", "seconds", "bytes", "code")
_MOST_LABELS = 200
_DATAGRAM = 4096


class Health:
    """State and figures of one process. Every method may be called from any thread.

    part: "hub" or "node". certificates: PEM files of which the first to expire is told; read again each time, since
    certificates are renewed under a running process. patience: as in the module.
    """

    def __init__(
        self,
        part: Literal["hub", "node"],
        *,
        certificates: Sequence[Path] = (),
        patience: float = PATIENCE,
    ) -> None:
        self.part, self.patience = part, patience
        self.ready, self.reason = False, "starting"
        self._beat = time.monotonic()
        self._listeners: list[Callable[[], None]] = []
        r = self.registry = CollectorRegistry()
        self._seconds = Histogram(
            "fedrisk_exchange_seconds", "Time of an exchange", ["action"], registry=r, buckets=SECONDS
        )
        self._bytes = Counter("fedrisk_bytes", "Bytes of messages", ["direction"], registry=r)
        self._refusals = Counter("fedrisk_refusals", "Refused messages by code", ["code"], registry=r)
        self._last = Gauge("fedrisk_last_message_timestamp", "When the last message was answered", registry=r)
        self._questions = Counter(
            "fedrisk_questions",
            "Questions about scores by code, ok where all was answered",
            ["code"],
            registry=r,
        )
        self._waited = Histogram(
            "fedrisk_question_seconds",
            "Time of a question about scores",
            registry=r,
            buckets=QUESTION_SECONDS,
        )
        self._skew = Gauge(
            "fedrisk_clock_skew_seconds", "Seconds by which this clock is ahead of the hub's", registry=r
        )
        self._waiting = Gauge(
            "fedrisk_proposals_waiting", "Proposals that wait for a person's word", registry=r
        )
        if certificates:
            until = Gauge(
                "fedrisk_certificate_expiry_seconds", "Seconds until a certificate expires", registry=r
            )
            until.set_function(lambda: expiry(certificates))
        self._labels: set[str] = set()
        self._epsilon = (
            Gauge("fedrisk_epsilon_left", "What is left of the lifetime budget", registry=r)
            if part == "node"
            else None
        )
        self._online = (
            Gauge("fedrisk_node_online", "Whether a node is connected", ["name"], registry=r)
            if part == "hub"
            else None
        )
        self._attending = (
            Gauge(
                "fedrisk_scoring_online",
                "Whether a member attends at the relay of scores",
                ["name"],
                registry=r,
            )
            if part == "hub"
            else None
        )

    def beat(self) -> None:
        """The main loop turned once more."""
        self._beat = time.monotonic()

    def state(self, ready: bool, reason: str = "") -> None:
        """Set whether work can be done, and in a word why not."""
        self.ready, self.reason = ready, reason

    @property
    def live(self) -> bool:
        """Whether the main loop turned within the last ``patience`` seconds."""
        return time.monotonic() - self._beat <= self.patience

    def exchange(self, action: str, seconds: float) -> None:
        """An exchange (hub), or the serving of one message (node), that was answered."""
        self._seconds.labels(self._label(action)).observe(seconds)
        self._last.set(time.time())

    def moved(self, direction: Literal["sent", "received"], size: int) -> None:
        """So many bytes of messages went or came."""
        self._bytes.labels(direction).inc(max(size, 0))

    def refusal(self, code: str) -> None:
        """A message was refused, here or by an institution, with this code."""
        self._refusals.labels(self._label(code)).inc()

    def question(self, code: str, seconds: float) -> None:
        """A question about scores, relayed (hub) or answered (node). code: why an answer is missing, else empty."""
        self._questions.labels(self._label(code or "ok")).inc()
        self._waited.observe(seconds)
        self._last.set(time.time())

    def attends(self, name: str, there: bool) -> None:
        """Whether a member is at the relay of scores now. Nothing at a node."""
        if self._attending is not None and _NAME.fullmatch(name):
            self._attending.labels(name).set(there)

    def clock_skew(self, seconds: float) -> None:
        """By how many seconds this machine's clock is ahead of the hub's."""
        self._skew.set(seconds)

    def proposals_waiting(self, number: int) -> None:
        """How many proposals wait: at a node for its person, at the hub for any member."""
        self._waiting.set(number)

    def epsilon_left(self, epsilon: float) -> None:
        """What is left of the lifetime budget, by the node's own ledger. Not at a hub: ValueError."""
        if self._epsilon is None:
            raise ValueError("a hub knows no institution's budget and shows none")
        self._epsilon.set(epsilon)

    def nodes(self, online: dict[str, bool]) -> None:
        """Who of the roster is connected now; names that are no longer listed go. At a hub alone: ValueError."""
        if self._online is None:
            raise ValueError("a node does not know who else is connected")
        self._online.clear()
        for name, there in online.items():
            if _NAME.fullmatch(name):
                self._online.labels(name).set(there)

    def metrics(self) -> bytes:
        """All figures, in Prometheus's text form."""
        return generate_latest(self.registry)

    def follow(self, inbox: Path | None = None) -> None:
        """Count the events that this process logs and, where ``inbox`` is given, those that others :func:`forward`.

        Ends with :meth:`close`. The socket is for its owner only.
        """
        handler = _Counting(self.count)
        logger = logging.getLogger("fedrisk")
        logger.addHandler(handler)
        self._listeners.append(lambda: logger.removeHandler(handler))
        if inbox is not None:
            self._listeners.append(_receive(inbox, self.count))

    def count(self, event: dict[str, Any]) -> None:
        """Count one event, as a log line has it; what is not as it must be is passed over."""
        name, action, seconds = event.get("event"), event.get("action"), event.get("seconds")
        size, code = event.get("bytes"), event.get("code")
        if name in ("question", "attends", "left", "scoring_begins"):
            self._of_scores(event)
            return
        if name in ("exchange", "served") and isinstance(action, str) and isinstance(seconds, int | float):
            self.exchange(action, float(seconds))
        if name in ("exchange", "served", "received") and isinstance(size, int):
            self.moved("received" if name == "received" else "sent", size)
        if isinstance(code, str) and code:
            self.refusal(code)

    def _of_scores(self, event: dict[str, Any]) -> None:
        """Count an event of the relay, or of a node that answers."""
        name, peer, seconds, code = (event.get(key) for key in ("event", "peer", "seconds", "code"))
        if name == "question" and isinstance(seconds, int | float):
            self.question(code if isinstance(code, str) else "", float(seconds))
        elif name in ("attends", "left") and isinstance(peer, str):
            self.attends(peer, name == "attends")
        elif name == "scoring_begins" and self._attending is not None:
            self._attending.clear()

    def close(self) -> None:
        """Follow no longer."""
        while self._listeners:
            self._listeners.pop()()

    def _label(self, word: str) -> str:
        # Words come from messages: whoever could choose them freely could fill the memory, or write what it likes.
        if not _WORD.fullmatch(word) or (word not in self._labels and len(self._labels) >= _MOST_LABELS):
            return "other"
        self._labels.add(word)
        return word


def expiry(files: Sequence[Path]) -> float:
    """Seconds until the first of the certificates in these PEM files expires; negative after it, nan without any."""
    ends = []
    for file in files:
        with contextlib.suppress(OSError, ValueError):
            found = x509.load_pem_x509_certificates(file.read_bytes())
            # Of several authorities in one file the newest counts: an old one stays until its successor is used.
            ends.append(max(c.not_valid_after_utc.timestamp() for c in found))
    return min(ends) - time.time() if ends else float("nan")


class _Counting(logging.Handler):
    def __init__(self, count: Callable[[dict[str, Any]], None]) -> None:
        super().__init__()
        self._count = count

    def emit(self, record: logging.LogRecord) -> None:
        self._count(event_of(record))


def event_of(record: logging.LogRecord) -> dict[str, Any]:
    """The fields of a log record that are counted."""
    found = {name: getattr(record, name, None) for name in _COUNTED}
    return {name: value for name, value in found.items() if isinstance(value, str | int | float)}


class _Forwarding(logging.Handler):
    def __init__(self, inbox: Path) -> None:
        super().__init__()
        self._to, self._socket = str(inbox), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):
            self._socket.sendto(json.dumps(event_of(record)).encode()[:_DATAGRAM], self._to)

    def close(self) -> None:
        self._socket.close()
        super().close()


def forward(inbox: Path) -> None:
    """Send this process's events to the one that serves the figures; lost silently where it is not there."""
    logging.getLogger("fedrisk").addHandler(_Forwarding(inbox))


def _receive(inbox: Path, count: Callable[[dict[str, Any]], None]) -> Callable[[], None]:
    """Count what arrives at a datagram socket, in a thread; what ends it."""
    inbox.unlink(missing_ok=True)
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        s.bind(str(inbox))
    except OSError:
        # Its path is too long for a socket: the figures of children are missing, and nothing else.
        s.close()
        return lambda: None
    inbox.chmod(0o600)

    def listen() -> None:
        while raw := s.recv(_DATAGRAM):
            with contextlib.suppress(ValueError):
                event = json.loads(raw)
                if isinstance(event, dict):
                    count(event)

    thread = threading.Thread(target=listen, name="figures", daemon=True)
    thread.start()

    def end() -> None:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stop:
            stop.sendto(b"", str(inbox))
        thread.join(timeout=2)
        s.close()
        inbox.unlink(missing_ok=True)

    return end


class _UnixServer(socketserver.ThreadingMixIn, HTTPServer):
    address_family = socket.AF_UNIX
    daemon_threads = True

    def server_bind(self) -> None:
        path = Path(str(self.server_address))
        path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            socketserver.TCPServer.server_bind(self)
        finally:
            os.umask(before)
        self.server_name, self.server_port = "localhost", 0


class _LoopbackServer(socketserver.ThreadingMixIn, HTTPServer):
    daemon_threads = True

    def server_bind(self) -> None:
        # As in the base class, without a look-up of the machine's name.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", int(self.server_address[1])


@contextlib.contextmanager
def served(health: Health, address: int | Path | None) -> Iterator[int | Path | None]:
    """Serve /live, /ready and /metrics while the block runs; where, with the port that was taken for 0.

    address: a port on loopback, the path of a Unix socket, or None for neither. ConfigError where it is taken.
    """
    if address is None:
        yield None
        return
    server = _server(health, address)
    thread = threading.Thread(target=server.serve_forever, name="health", daemon=True)
    thread.start()
    try:
        yield address if isinstance(address, Path) else server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=2)
        if isinstance(address, Path):
            address.unlink(missing_ok=True)


def _server(health: Health, address: int | Path) -> HTTPServer:
    handler = _handler(health)
    try:
        if isinstance(address, Path):
            return _UnixServer(str(address), handler)  # type: ignore[arg-type]
        return _LoopbackServer(("127.0.0.1", address), handler)
    except OSError as error:
        raise ConfigError(
            f"health = {address}: {error.strerror or error}; choose a free port or another path, or leave it out"
        ) from None


def _handler(health: Health) -> type[BaseHTTPRequestHandler]:
    class Answer(BaseHTTPRequestHandler):
        """GET of three paths, and nothing else."""

        server_version, sys_version = "fedrisk", ""

        def do_GET(self) -> None:
            answers: dict[str, Callable[[], tuple[int, bytes]]] = {
                "/live": lambda: (200, b"live\n") if health.live else (503, b"stuck\n"),
                "/ready": lambda: (
                    (200, b"ready\n") if health.ready else (503, health.reason.encode() + b"\n")
                ),
                "/metrics": lambda: (200, health.metrics()),
            }
            status, body = answers.get(self.path, lambda: (404, b""))()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def address_string(self) -> str:
            return "local"

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: a supervisor asks every few seconds."""

    return Answer
