"""Running a bank's service for its loan system: HTTP and gRPC on loopback, until it is told to stop.

Anybody on the machine can reach a loopback port, so the token is asked for there too. On another address the service is
given over TLS alone.
"""

import contextlib
import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc
import uvicorn

from fedrisk.clients.node import Node
from fedrisk.deploy.node_home import NodeHome
from fedrisk.errors import ConfigError, StoreError
from fedrisk.files import PUT_BACK, read_kept
from fedrisk.serving.bank import BankService
from fedrisk.serving.http import make_app
from fedrisk.serving.loans import make_server
from fedrisk.serving.relay import Relay
from fedrisk.serving.service_token import ServiceToken

LOOPBACK: Final = "127.0.0.1"

SECONDS: Final = 10.0
"""Seconds for which the end waits for requests in hand."""

_BACKLOG: Final = 128


@dataclass(frozen=True)
class Listening:
    """Where the service listens. http, grpc: ports, 0 for any free one, None for none.

    certificate, key: PEM files, without which it listens on loopback alone. names: other names by which it is asked.
    """

    http: int | None
    grpc: int | None = None
    host: str = LOOPBACK
    certificate: Path | None = None
    key: Path | None = None
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ConfigError("a certificate and its key go together; name both files")
        if not _is_loopback(self.host) and self.certificate is None:
            raise ConfigError(
                f"{self.host} is reached from other machines, where the token would travel in clear; name a "
                f"certificate and its key, or listen on {LOOPBACK}"
            )

    @property
    def is_tls(self) -> bool:
        """Whether the service is given over TLS."""
        return self.certificate is not None


@dataclass(frozen=True)
class Address:
    """Where a running service listens: ports of HTTP and gRPC, None where it has none, and the token's file."""

    http: int | None
    grpc: int | None
    token: Path


def serve_bank(home: NodeHome, node: Node, relay: Relay, stop: threading.Event) -> None:
    """Serve the loan system of a node's bank on the ports of node.toml until ``stop`` is set.

    ConfigError where the institution is no bank, or a port is taken.
    """
    service = BankService(node, relay)
    listening = Listening(home.service, home.service_grpc)
    with contextlib.closing(service), serving(service, home.path, listening):
        stop.wait()


@contextlib.contextmanager
def serving(service: BankService, folder: Path, listening: Listening) -> Iterator[Address]:
    """The service on its ports, in threads of its own; the end of the block ends it once requests in hand are done.

    folder: of the token, which is made on first use.
    """
    token = ServiceToken(folder)
    with contextlib.ExitStack() as stack:
        http = grpc_port = None
        if listening.http is not None:
            http = stack.enter_context(_http(service, token, listening, listening.http))
        if listening.grpc is not None:
            grpc_port = stack.enter_context(_grpc(service, token, listening, listening.grpc))
        yield Address(http, grpc_port, token.path)


@contextlib.contextmanager
def _http(service: BankService, token: ServiceToken, listening: Listening, port: int) -> Iterator[int]:
    with contextlib.closing(_bound(listening.host, port)) as bound:
        port = bound.getsockname()[1]
        hosts = {listening.host, *listening.names}
        hosts |= {LOOPBACK, "localhost"} if _is_loopback(listening.host) else set()
        app = make_app(
            service, token, _names(hosts, port, is_default=port == (443 if listening.is_tls else 80))
        )
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                ws="none",
                lifespan="off",
                limit_concurrency=1000,
                timeout_keep_alive=30,
                timeout_graceful_shutdown=int(SECONDS),
                ssl_certfile=listening.certificate,
                ssl_keyfile=listening.key,
            )
        )
        with _thread(
            lambda: server.run(sockets=[bound]), lambda: setattr(server, "should_exit", True)
        ) as thread:
            while thread.is_alive() and not server.started:
                time.sleep(0.01)
            if not server.started:
                raise ConfigError(
                    f"the service did not start on port {port}; check that certificate and key belong together"
                )
            yield port


def _names(hosts: Iterable[str], port: int, *, is_default: bool) -> list[str]:
    """Hosts as browsers and clients name them: with the port, and without where it is the scheme's own."""
    shown = [f"[{host}]" if ":" in host else host for host in hosts]
    return [f"{host}:{port}" for host in shown] + (shown if is_default else [])


@contextlib.contextmanager
def _thread(run: Callable[[], None], end: Callable[[], None]) -> Iterator[threading.Thread]:
    thread = threading.Thread(target=run, name="loan-system", daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        end()
        thread.join(2 * SECONDS)


@contextlib.contextmanager
def _grpc(service: BankService, token: ServiceToken, listening: Listening, port: int) -> Iterator[int]:
    server = make_server(service, token)
    host = f"[{listening.host}]" if ":" in listening.host else listening.host
    try:
        found = (
            server.add_secure_port(f"{host}:{port}", _credentials(listening.key, listening.certificate))
            if listening.key is not None and listening.certificate is not None
            else server.add_insecure_port(f"{host}:{port}")
        )
    except RuntimeError:
        raise _taken(port) from None
    server.start()
    try:
        yield found
    finally:
        server.stop(SECONDS).wait(2 * SECONDS)


def _credentials(key: Path, certificate: Path) -> grpc.ServerCredentials:
    pair = read_kept(key, PUT_BACK), read_kept(certificate, PUT_BACK)
    return grpc.ssl_server_credentials([pair])


def _bound(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=_BACKLOG
        )
    except OSError as error:
        if error.errno in (98, 48):
            raise _taken(port) from None
        raise StoreError(
            f"port {port} of {host} cannot be listened on: {error.strerror}; choose another"
        ) from None


def _taken(port: int) -> ConfigError:
    return ConfigError(
        f"port {port} is used by another program; choose another one, or stop what listens there"
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
