"""The hub's side of Flower: its SuperLink application, and who may reach what of it.

With `superlink_clients`, `superlink_nodes` and `superlink_runs` the only files with names of the hub's side that are
private to flwr (a contract test holds them against the installed version). Flower's SuperLink is one application with
three interfaces: Fleet for nodes, Control and Runtime for whoever starts code. Control and Runtime ask nobody who they
are, so they are served on a socket file in the hub's folder alone, which its owner's programs can open and nobody else;
the public port has nine paths of Fleet (:func:`front`).
"""

from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

PUBLIC = frozenset(
    f"/v1/fleet/{path}"
    for path in (
        *("activate-node", "deactivate-node", "send-node-heartbeat", "get-run"),
        *("pull-messages", "push-messages", "push-object", "pull-object", "confirm-message-received"),
    )
)
"""All that institutions can reach. Left out of Fleet: register-node, unregister-node (a node is registered by the hub's
operator) and get-fab (nobody runs the bundle)."""

LARGEST = 16 << 20
"""Bytes of a request's body at the public port; Flower cuts what is larger than 5 MB into parts."""

PRAGMAS = (
    ("busy_timeout", "20000"),
    ("journal_mode", "WAL"),
    ("synchronous", "NORMAL"),
    ("foreign_keys", "ON"),
    ("cache_size", "-4000"),
    ("temp_store", "MEMORY"),
    ("mmap_size", "0"),
    ("journal_size_limit", "16777216"),
    ("secure_delete", "ON"),
)
"""How each connection to the database is set. Flower's own take up to 64 MB a connection and map the file; what was
deleted is overwritten here, and the log of changes is cut again."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class _Lifespan:
    """What Flower's own command starts beside the application, for other ways to run a ServerApp: nothing here."""

    def __init__(self, config: object, state_factory: object) -> None:
        self.config, self.state_factory = config, state_factory

    def startup(self) -> None:
        """Nothing to start."""

    def shutdown(self) -> None:
        """Nothing to stop."""


def make_app(database: Path) -> App:
    """Flower's SuperLink with its database in a file: nodes by their keys alone, and nothing is ever installed."""
    from flwr.common.constant import ISOLATION_MODE_PROCESS, TRANSPORT_TYPE_GRPC_RERE
    from flwr.supercore import sql_mixin
    from flwr.superlink.config_loader import SuperLinkLifespanConfig, load_control_authn_plugin
    from flwr.superlink.main import create_app

    vars(sql_mixin)["SQLITE_PRAGMAS"] = PRAGMAS
    config = SuperLinkLifespanConfig(
        control_address="",
        health_server_address=None,
        host="127.0.0.1",
        port=0,
        insecure=False,
        certificates=None,
        superexec_auth_secret=None,
        authn_plugin=load_control_authn_plugin(),
        event_log_plugin=None,
        fleet_event_log_plugin=None,
        enable_event_log=False,
        artifact_provider=None,
        enable_supernode_auth=True,
        fleet_api_type=TRANSPORT_TYPE_GRPC_RERE,
        fleet_api_address=None,
        simulation=False,
        ssl_ca_certfile=None,
        ssl_certfile=None,
        ssl_keyfile=None,
        database=str(database),
        isolation=ISOLATION_MODE_PROCESS,
        runtime_dependency_install=False,
    )
    app: App = create_app(config, _Lifespan)  # type: ignore[arg-type]
    return app


def front(app: App) -> App:
    """The same application with nine paths and nothing else: 404, whatever the method, spelling or query.

    A body above `LARGEST` is refused (413) before it is in memory: it arrives before anybody is asked who they are.
    """

    async def filtered(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        path = scope["path"]
        # The raw path differs where letters were written as %XX.
        plain = scope.get("raw_path", path.encode()) == path.encode() and not scope.get("query_string")
        if scope["method"] != "POST" or path not in PUBLIC or not plain:
            await _answer(send, 404)
            return
        sizes = [value for name, value in scope["headers"] if name == b"content-length"]
        if any(not size.isdigit() or int(size) > LARGEST for size in sizes):
            await _answer(send, 413)
            return
        await app(scope, _bounded(receive), send)

    return filtered


def _bounded(receive: Receive) -> Receive:
    """Says that the sender went away where a body without a stated length grows too large."""
    seen = 0

    async def bounded() -> MutableMapping[str, Any]:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        return message if seen <= LARGEST else {"type": "http.disconnect"}

    return bounded


async def _answer(send: Send, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})
