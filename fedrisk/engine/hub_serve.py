"""What ``fedrisk hub serve`` does: Flower's SuperLink behind two doors, and the process that does the hub's work.

The public door speaks TLS and knows nine paths; the other one is a socket file in the hub's folder
(engine/superlink). The hub's work (engine/hub_work) is a process of its own, and so is the relay of scores where there
is one (server/score_serve); each is started again when it dies: whatever happens in a study, nodes stay connected.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import uvicorn
from cryptography import x509

from fedrisk.deploy import notify
from fedrisk.deploy.children import supervise
from fedrisk.deploy.health import Health, served
from fedrisk.deploy.hub_home import HubHome
from fedrisk.deploy.roster import Roster, epochs
from fedrisk.engine.heap import return_memory
from fedrisk.engine.hub_figures import FIGURES
from fedrisk.engine.superlink import App, front, make_app
from fedrisk.engine.superlink_clients import SOCKET, socket_path
from fedrisk.engine.superlink_nodes import nodes, register, settle, unregister
from fedrisk.errors import ConfigError, FedriskError, StoreError
from fedrisk.files import private_append
from fedrisk.server.hub import Hub
from fedrisk.server.proposals import Proposals

log = logging.getLogger("fedrisk")

_LOOK = 5.0
_RELAY_PAUSE = 4.0
"""Longest pause before the relay of scores is started again: banks ask it while somebody waits at the counter."""


class _Server(uvicorn.Server):
    """A server that leaves signals alone: two of them run in one process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing is captured."""
        yield


def serve(
    home: HubHome, *, ready: Callable[[], None] = lambda: None, work: Sequence[str] | None = None
) -> None:
    """Serve until SIGTERM or SIGINT. work: the command of the hub's work, by default ``fedrisk hub work``.

    ready: called once when nodes can connect. ConfigError or StoreError, before anything listens, where another serves
    already, the certificate cannot be used, or the port is taken.
    """
    logging.getLogger("flwr").setLevel(logging.WARNING)
    return_memory()
    health = Health("hub", certificates=[home.path / "server.pem", home.path / "ca.pem"])
    with contextlib.ExitStack() as stack:
        stack.enter_context(alone(home, "serve"))
        check_certificate(home)
        public = stack.enter_context(_public_socket(home))
        inner = stack.enter_context(_inner_socket(home))
        stack.enter_context(served(health, home.health))
        health.follow(home.path / FIGURES)
        stack.callback(health.close)
        app = make_app(home.database)
        own = [sys.executable, "-m", "fedrisk.cli", "hub", "work", str(home.path)]

        def is_ready() -> None:
            health.state(True)
            notify.ready(f"hub of {home.name}")
            ready()

        asyncio.run(_serve(home, app, (inner, public), is_ready, own if work is None else work, health))


@contextlib.contextmanager
def alone(home: HubHome, what: str) -> Iterator[None]:
    """Hold the lock of a process there is one of; ConfigError, naming the other one, where it is held."""
    file = home.path / f"{what}.lock"
    with private_append(file) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with contextlib.suppress(OSError):
                other = file.read_text().strip()
            raise ConfigError(
                f"fedrisk hub {what} is running already with {home.path} (process {other or 'unknown'}); stop that one "
                "first, one hub has one database"
            ) from None
        os.ftruncate(lock, 0)
        os.write(lock, str(os.getpid()).encode())
        yield


def check_certificate(home: HubHome) -> datetime:
    """When the server's certificate ends; ConfigError where it or its key is missing, does not fit, or has expired."""
    certificate, key = home.path / "server.pem", home.path / "server.key"
    for file in (certificate, key):
        if not file.is_file():
            raise ConfigError(
                f"{file} is missing; bring it back from its copy, or make it anew with fedrisk hub renew-certificate"
            )
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
        made = x509.load_pem_x509_certificate(certificate.read_bytes())
    except (ssl.SSLError, ValueError, OSError) as error:
        raise ConfigError(
            f"{certificate} and {key} cannot be used together ({type(error).__name__}); bring both back from their "
            "copy, or make them anew with fedrisk hub renew-certificate"
        ) from None
    now = datetime.now(UTC)
    if made.not_valid_after_utc <= now:
        raise ConfigError(
            f"the server's certificate {certificate} has expired {made.not_valid_after_utc:%Y-%m-%d}, and no node "
            "would connect; make a new one with fedrisk hub renew-certificate"
        )
    if made.not_valid_before_utc > now:
        raise ConfigError(
            f"the server's certificate {certificate} begins to hold {made.not_valid_before_utc:%Y-%m-%d %H:%M} UTC, "
            "and it is earlier by this machine's clock; set the clock"
        )
    return made.not_valid_after_utc


def host_and_port(address: str) -> tuple[str, int]:
    """Both parts of HOST:PORT; brackets around an IPv6 address are taken off.

    >>> host_and_port("[::1]:9490"), host_and_port("0.0.0.0:9490")
    (('::1', 9490), ('0.0.0.0', 9490))
    """
    host, _, port = address.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


@contextlib.contextmanager
def _public_socket(home: HubHome) -> Iterator[socket.socket]:
    host, port = host_and_port(home.listen)
    try:
        family, _, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        opened = socket.create_server((where[0], port), family=family, backlog=256)
    except OSError as error:
        raise ConfigError(
            f"the public port {home.listen} cannot be opened: {error.strerror or error}; end the program that has it, "
            f"or set listen in {home.path / 'hub.toml'} (and address, where nodes reach another port)"
        ) from None
    with opened:
        yield opened


@contextlib.contextmanager
def _inner_socket(home: HubHome) -> Iterator[socket.socket]:
    file = home.path / SOCKET
    # Left behind by a hub that was killed: the lock says that none serves now.
    file.unlink(missing_ok=True)
    opened = socket.socket(socket.AF_UNIX)
    mask = os.umask(0o177)
    try:
        opened.bind(socket_path(home.path))
    except OSError as error:
        raise StoreError(
            f"{file} cannot be made: {error.strerror}; put the hub's folder on a local disk"
        ) from None
    finally:
        os.umask(mask)
    try:
        yield opened
    finally:
        opened.close()
        file.unlink(missing_ok=True)


async def _serve(
    home: HubHome,
    app: App,
    doors: tuple[socket.socket, socket.socket],
    ready: Callable[[], None],
    command: Sequence[str],
    health: Health,
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    servers = [_server(app, lifespan="on"), _server(front(app), lifespan="off", folder=home.path)]
    tasks = [asyncio.create_task(s.serve([k])) for s, k in zip(servers, doors, strict=True)]
    try:
        while not all(s.started for s in servers):
            if any(task.done() for task in tasks):
                raise StoreError("Flower's SuperLink did not start; the hub's log says why")
            await asyncio.sleep(0.02)
        for sentence in await asyncio.to_thread(_let_in, home):
            log.warning("a node could not be let in or shut out", extra={"event": "nodes"})
            print(sentence, file=sys.stderr)
        ready()
        watching = asyncio.create_task(_watch(home, health))
        children = [supervise(command, stop, what="work", stopping=notify.stopping)]
        if home.scoring is not None:
            children.append(supervise(_relay(home), stop, what="scoring", longest=_RELAY_PAUSE))
        await asyncio.gather(*children)
        watching.cancel()
    finally:
        health.state(False, "stopping")
        for server in servers:
            server.should_exit = True
        await asyncio.gather(*tasks, return_exceptions=True)


def _relay(home: HubHome) -> list[str]:
    """The command of the relay of scores."""
    return [sys.executable, "-m", "fedrisk.cli", "hub", "scoring", str(home.path), "--supervised"]


def _let_in(home: HubHome) -> list[str]:
    """Let in and shut out whom the newest roster and the hub's folder say; what could not be done, as sentences.

    The roster is what was signed and compared, whatever became of Flower's database.
    """
    said = []
    if epochs(home):
        roster = Roster.latest(home)
        acts = [(register, one) for one in roster.members] + [(unregister, one) for one in roster.expelled]
        for act, one in acts:
            try:
                act(home, one.name, one.flower)
            except ConfigError as error:
                said.append(f"{one.name}: {error}")
    return said or settle(home)


async def _watch(home: HubHome, health: Health) -> None:
    """Say that all is well, and who is connected, every few seconds."""
    pause = min(_LOOK, notify.every() or _LOOK)
    proposals = Proposals(Hub(home.path))
    while True:
        with contextlib.suppress(FedriskError):
            found = await asyncio.to_thread(nodes, home.path)
            online = {node.name: False for node in found} | {node.name: True for node in found if node.online}
            health.nodes(online)
            health.proposals_waiting(len(await asyncio.to_thread(proposals.open)))
            notify.alive(f"{sum(online.values())} of {len(online)} nodes are connected")
        health.beat()
        await asyncio.sleep(pause)


def _server(app: App, *, lifespan: str, folder: Path | None = None) -> _Server:
    return _Server(
        uvicorn.Config(
            app,
            lifespan=lifespan,  # type: ignore[arg-type]
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            ws="none",
            timeout_graceful_shutdown=5,
            ssl_certfile=None if folder is None else folder / "server.pem",
            ssl_keyfile=None if folder is None else folder / "server.key",
        )
    )
