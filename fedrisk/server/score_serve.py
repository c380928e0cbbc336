"""The relay of scores as a process: its port, its certificates, and the roster looked at every second."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio

from fedrisk.deploy.hub_home import HubHome
from fedrisk.errors import ConfigError
from fedrisk.protocol import scoring as rules
from fedrisk.server.score_limits import Limits
from fedrisk.server.score_members import Certificates, Members
from fedrisk.server.score_relay import ScoreRelay

log = logging.getLogger("fedrisk")

LOOK = 1.0
"""Seconds between two looks at the roster: an expelled member is out so soon."""

_STOP = 1.0

_OPTIONS = (
    ("grpc.max_receive_message_length", rules.MOST_MESSAGE),
    ("grpc.max_send_message_length", rules.MOST_MESSAGE),
    ("grpc.max_concurrent_streams", 128),
    # A connection that is dead is noticed within ten seconds, whoever is silent.
    ("grpc.keepalive_time_ms", 5000),
    ("grpc.keepalive_timeout_ms", 4000),
    # Without this one a lost ping is waited for a minute.
    ("grpc.http2.ping_timeout_ms", 4000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 4000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 3000),
    # Who opens a connection and says nothing is gone soon.
    ("grpc.server_handshake_timeout_ms", 10000),
    # A port that another process has is no port of ours.
    ("grpc.so_reuseport", 0),
)
_MOST_CALLS = 2048


async def serve(
    home: HubHome,
    stop: asyncio.Event,
    *,
    limits: Limits | None = None,
    ready: Callable[[ScoreRelay], None] = lambda _: None,
) -> None:
    """Relay until ``stop`` is set. ready: called once when nodes can connect.

    ConfigError where this hub relays no scores, or the port is taken; StoreError where the roster cannot be read.
    """
    relay = ScoreRelay(Members(home), limits)
    relay.members.look()
    server = grpc.aio.server(options=_OPTIONS, maximum_concurrent_rpcs=_MOST_CALLS)
    server.add_generic_rpc_handlers((_handlers(relay),))
    _open(server, home)
    await server.start()
    log.info("the relay of scores serves", extra={"event": "scoring_begins"})
    ready(relay)
    try:
        while not stop.is_set():
            # Every signature of a new epoch is checked when it is read, and questions go on meanwhile.
            await asyncio.to_thread(relay.members.look)
            relay.put_out()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), LOOK)
    finally:
        await server.stop(_STOP)


def _handlers(relay: ScoreRelay) -> Any:
    """The service over bytes: what cannot be parsed is refused and noted as everything else that is malformed."""
    return grpc.method_handlers_generic_handler(
        rules.SERVICE,
        {
            "Attend": grpc.stream_stream_rpc_method_handler(relay.attend),
            "Ask": grpc.unary_unary_rpc_method_handler(relay.ask),
            "Keys": grpc.unary_unary_rpc_method_handler(relay.keys),
        },
    )


def _open(server: "grpc.aio.Server", home: HubHome) -> None:
    address = home.scoring_listen
    if address is None:
        raise ConfigError(
            f'hub {home.path} relays no scores; set scoring = "HOST:PORT" in its hub.toml, as nodes reach it'
        )
    try:
        found = server.add_secure_port(address, Certificates(home).credentials())
    except RuntimeError:
        found = 0
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"the certificates of hub {home.path} cannot be used for scores ({type(error).__name__}); bring "
            "server.pem, server.key and ca.pem back from their copy, or make them anew (fedrisk hub renew-certificate)"
        ) from None
    if not found:
        raise ConfigError(
            f"the port for scores {address} cannot be opened; end the program that has it, or set scoring_listen in "
            f"{home.path / 'hub.toml'} (and scoring, where nodes reach another port)"
        )
