"""The hub's side of Flower: its SuperLink application, who may reach what of it, and runs whose ServerApp is ours.

The only file with names of the hub's side that are private to flwr (a contract test holds them against the installed
version). Flower's SuperLink is one application with three interfaces: Fleet for nodes, Control and Runtime for whoever
starts code. Control and Runtime ask nobody who they are, so they are served on a socket file in the hub's folder alone,
which its owner's programs can open and nobody else; the public port has nine paths of Fleet (:func:`front`).

A run of Flower needs a bundle of code. Ours is a constant stub of a few hundred bytes that nobody fetches; what runs is
the installed fedrisk (Flower's "process" isolation: somebody takes the run's task and does it).
"""

import contextlib
import functools
import io
import json
import os
import threading
import time
import zipfile
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx
from cryptography.hazmat.primitives import serialization
from flwr.common.constant import SubStatus
from flwr.proto.control_pb2 import (
    ListNodesRequest,
    ListRunsRequest,
    RegisterNodeRequest,
    StartRunRequest,
    StopRunRequest,
    UnregisterNodeRequest,
)
from flwr.proto.fab_pb2 import Fab
from flwr.proto.runtime_pb2 import (
    AcquireTaskRequest,
    PullTaskInputRequest,
    PushTaskOutputRequest,
    SendTaskHeartbeatRequest,
)
from flwr.proto.transport_pb2 import Scalar
from flwr.supercore.constant import TaskType
from flwr.supercore.control.control_http_client import ControlHttpClient
from flwr.supercore.interceptors import RuntimeTokenHttpInterceptor, RuntimeVersionHttpInterceptor
from flwr.supercore.run import Run
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.supercore.task_identity import TaskIdentity

from fedrisk.deploy.hub_home import HubHome
from fedrisk.deploy.keys import public_key_of
from fedrisk.engine.streamed_grid import StreamedGrid
from fedrisk.errors import ConfigError, PeerError
from fedrisk.files import PUT_BACK, locked, read_json, write_atomic

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

SOCKET = "control.sock"
"""The socket file of Control and Runtime, in the hub's folder."""

PATIENCE = 60.0
"""Seconds for which a request to the hub's own SuperLink is tried again, while that starts anew."""

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

_BEAT = 15.0
_STUB = """[project]
name = "fedrisk-installed"
version = "1.0.0"
license = "Apache-2.0"
dependencies = []

[tool.flwr.app]
publisher = "fedrisk"

[tool.flwr.app.components]
serverapp = "fedrisk.server.app:app"
clientapp = "fedrisk.clients.app:app"

[tool.flwr.app.config]
proposal = ""
"""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
T = TypeVar("T")


# The application ---------------------------------------------------------------------------------------------------


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


# Talking to it from the hub's own programs --------------------------------------------------------------------------


@functools.cache
def socket_path(folder: Path) -> str:
    """The socket's path, short enough for the system (107 bytes) wherever the hub's folder lies."""
    path = folder / SOCKET
    if len(os.fsencode(path)) <= 100:
        return str(path)
    # Stays open: the path goes through this process's handle of the folder.
    return f"/proc/self/fd/{os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)}/{SOCKET}"


def _http(folder: Path, timeout: float = 30.0) -> httpx.Client:
    transport = httpx.HTTPTransport(uds=socket_path(folder))
    return httpx.Client(transport=transport, timeout=timeout, trust_env=False)


class _Control(ControlHttpClient):
    def __init__(self, folder: Path) -> None:
        version = RuntimeVersionHttpInterceptor(component_name="flwr CLI")
        super().__init__("http://hub", interceptors=[version])
        self._client.close()
        self._client = _http(folder)


class _Runtime(RuntimeHttpClient):
    """Tries again while the SuperLink is not there, for `PATIENCE` seconds; then PeerError."""

    def __init__(self, folder: Path, token: str = "") -> None:
        version = RuntimeVersionHttpInterceptor(component_name="flwr-serverapp")
        secret = [RuntimeTokenHttpInterceptor(token=token)] if token else []
        super().__init__("http://hub", interceptors=[version, *secret])
        self._client.close()
        self._client = _http(folder)

    def _unary_unary(self, **arguments: Any) -> Any:
        deadline, pause = time.monotonic() + PATIENCE, 0.1
        while True:
            try:
                return super()._unary_unary(**arguments)
            except httpx.HTTPStatusError as error:
                status = error.response.status_code
                if status < 500 or time.monotonic() > deadline:
                    raise PeerError(_LOST.format(f"{status} at {arguments['path']}")) from None
            except httpx.TransportError as error:
                if time.monotonic() > deadline:
                    raise PeerError(_LOST.format(type(error).__name__)) from None
            time.sleep(pause)
            pause = min(pause * 2, 2.0)


_LOST = (
    "the hub's own Flower service gave up this run ({}): it was stopped, or hub serve was away for too long. What was "
    "released before stays charged"
)


class NotServing(ConfigError):
    """The hub's SuperLink does not run."""


def _told(folder: Path, what: Callable[[ControlHttpClient], T]) -> T:
    """What Control answers; NotServing, or ConfigError with Flower's own words."""
    client = _Control(folder)
    try:
        return what(client)
    except httpx.TransportError:
        raise NotServing(
            f"no hub serves in {folder}; start it with fedrisk hub serve {folder}, and see its log where that fails"
        ) from None
    except httpx.HTTPStatusError as error:
        raise ConfigError(f"the hub's Flower service refused: {_words(error.response)}") from None
    finally:
        client.close()


def _words(response: httpx.Response) -> str:
    with contextlib.suppress(ValueError, AttributeError):
        said = response.json()
        return str(said.get("public_message") or said.get("message") or said.get("detail") or said)[:300]
    return f"status {response.status_code}"


# Nodes ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NodeState:
    """A node as the SuperLink knows it. key: PEM. last: when it was heard last, ISO 8601 in UTC, or None."""

    number: int
    name: str
    key: bytes
    online: bool
    last: str | None
    activated: str | None


def pem(public_key: str | bytes) -> bytes:
    """A node's P-384 public key as the SuperLink keeps it, from OpenSSH or PEM; ConfigError where it is none."""
    raw = public_key.encode() if isinstance(public_key, str) else public_key
    try:
        loaded = public_key_of(raw)
    except ValueError as error:
        raise ConfigError(f"the node's public key cannot be read: {type(error).__name__}") from None
    return loaded.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def nodes(folder: Path) -> list[NodeState]:
    """All registered nodes by name; NotServing."""
    found = _told(folder, lambda c: c.ListNodes(ListNodesRequest())).nodes_info
    return sorted((_state(n) for n in found if n.status != "unregistered"), key=lambda n: (n.name, n.number))


def _state(node: Any) -> NodeState:
    last = None
    if node.HasField("online_until"):
        # Flower waits for two heartbeats; of a node that took its leave the end is the time itself.
        wait = 2 * node.heartbeat_interval if node.status == "online" else 0.0
        last = datetime.fromtimestamp(node.online_until - wait, UTC).isoformat(timespec="seconds")
    return NodeState(
        number=node.node_id,
        name=node.name,
        key=node.public_key,
        online=node.status == "online",
        last=last,
        activated=node.last_activated_at or None,
    )


def _enter(folder: Path, name: str, key: bytes) -> None:
    _told(folder, lambda c: c.RegisterNode(RegisterNodeRequest(public_key=key, name=name)))


def _strike(folder: Path, number: int) -> None:
    _told(folder, lambda c: c.UnregisterNode(UnregisterNodeRequest(node_id=number)))


def register(home: HubHome, name: str, public_key: str | bytes) -> bool:
    """Let a node in by its P-384 public key (OpenSSH or PEM) under a name; False: done when hub serve starts.

    A name may have several keys, while they rotate. ConfigError where the key cannot be read, is another's, or was shut
    out before: Flower never lets a key in again.
    """
    key = pem(public_key).decode()
    with _wanted(home) as wanted:
        before = wanted.get(key)
        if before is not None and (before["name"] != name or not before["in"]):
            raise ConfigError(
                f"the Flower key of {name} was let in as {before['name']}{'' if before['in'] else ' and shut out'} "
                "before, and a key is let in once; have its operator make new keys (fedrisk node rotate-keys)"
            )
        wanted[key] = {"name": name, "in": True}
    return _settled(home)


def unregister(home: HubHome, name: str, public_key: str | bytes | None = None) -> bool:
    """Shut out a name, or one of its keys alone, for good; False: done when hub serve starts."""
    only = None if public_key is None else pem(public_key).decode()
    with _wanted(home) as wanted:
        for key, entry in wanted.items():
            if entry["name"] == name and only in (None, key):
                entry["in"] = False
    return _settled(home)


def settle(home: HubHome) -> list[str]:
    """Let in and shut out at the running SuperLink whom the hub's folder says; what could not be done, as sentences.

    Also after the database was lost or brought back from a copy. A node that the folder does not know is left alone.
    """
    there, said = {node.key.decode(): node for node in nodes(home.path)}, []
    with _wanted(home) as wanted:
        for key, entry in wanted.items():
            try:
                if entry["in"] and key not in there:
                    _enter(home.path, entry["name"], key.encode())
                if not entry["in"] and key in there:
                    _strike(home.path, there[key].number)
            except NotServing:
                raise
            except ConfigError as error:
                said.append(f"{entry['name']}: {error}")
    return said


def _settled(home: HubHome) -> bool:
    try:
        failed = settle(home)
    except NotServing:
        return False
    if failed:
        raise ConfigError("; ".join(failed))
    return True


@contextlib.contextmanager
def _wanted(home: HubHome) -> Iterator[dict[str, dict[str, Any]]]:
    """Who may come in, by key, to be changed; written back at the end. One process at a time."""
    file = home.path / "nodes.json"
    with locked(home.path / ".nodes.lock"):
        wanted = read_json(file, PUT_BACK) if file.exists() else {}
        before = json.dumps(wanted, sort_keys=True)
        yield wanted
        if json.dumps(wanted, sort_keys=True) != before:
            write_atomic(file, json.dumps(wanted, indent=1, sort_keys=True).encode())


# Runs and their tasks ------------------------------------------------------------------------------------------------


def stub() -> bytes:
    """The bundle of every run: always the same bytes, with no code in it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("pyproject.toml", (2026, 1, 1, 0, 0, 0)), _STUB)
    return buffer.getvalue()


def start_run(folder: Path, proposal: str) -> int:
    """Start a run of Flower whose configuration holds one string, the proposal's id (or "desk"); its number."""
    asked = StartRunRequest(
        fab=Fab(hash_str="", content=stub()), override_config={"proposal": Scalar(string=proposal)}
    )
    answer = _told(folder, lambda c: c.StartRun(asked))
    if not answer.run_id:
        raise ConfigError("the hub's Flower service did not start a run; see its log")
    return int(answer.run_id)


def unfinished(folder: Path) -> list[int]:
    """Numbers of runs that nobody ended."""
    runs = _told(folder, lambda c: c.ListRuns(ListRunsRequest())).run_dict
    return [number for number, run in runs.items() if run.status.status != "finished"]


def stop_run(folder: Path, run: int) -> None:
    """End a run that nobody works on; one that ended meanwhile is left as it is."""
    with contextlib.suppress(ConfigError):
        _told(folder, lambda c: c.StopRun(StopRunRequest(run_id=run)))


def take_task(folder: Path, run: int, *, seconds: float = 30.0) -> str:
    """The token of a run's task, which is then this process's to do or to hand on; PeerError where there is none.

    Tasks of other runs, which somebody left behind, are put down as failed.
    """
    deadline, client = time.monotonic() + seconds, _Runtime(folder)
    try:
        while time.monotonic() < deadline:
            got = client.AcquireTask(AcquireTaskRequest(supported_task_types=[TaskType.SERVER_APP.value]))
            if got.HasField("task") and got.token:
                if got.task.run_id == run:
                    return str(got.token)
                _finish(_Runtime(folder, got.token), SubStatus.FAILED, "left behind")
                continue
            time.sleep(0.1)
    finally:
        client.close()
    raise PeerError("the hub's Flower service has no task for the run that was just started; see its log")


@contextlib.contextmanager
def task_grid(folder: Path, token: str) -> Iterator[StreamedGrid]:
    """Do a task: a grid to its nodes, with heartbeats meanwhile; how it ended is entered in the end.

    One at a time in a process, since Flower keeps who a message comes from in a process-wide place. PeerError where
    the task is no longer to be done.
    """
    client = _Runtime(folder, token)
    given = client.PullTaskInput(PullTaskInputRequest())
    TaskIdentity.task_id, TaskIdentity.run_id = given.task_id, given.run.run_id
    TaskIdentity.node_id = given.context.node_id
    grid = StreamedGrid(client)
    grid.set_run(Run.create_empty(given.run.run_id))
    stop = threading.Event()
    beating = threading.Thread(target=_beat, args=(folder, token, stop), daemon=True)
    beating.start()
    status, detail = SubStatus.FAILED, ""
    try:
        yield grid
        status = SubStatus.COMPLETED
    except BaseException as error:
        detail = type(error).__name__
        raise
    finally:
        stop.set()
        with contextlib.suppress(PeerError):
            _finish(client, status, detail)
        grid.close()
        client.close()


def _beat(folder: Path, token: str, stop: threading.Event) -> None:
    """Heartbeats of a task: without them Flower gives it up after a minute. A connection of its own."""
    client = _Runtime(folder, token)
    while not stop.wait(_BEAT):
        # A task that was given up is noticed by the next request of the grid.
        with contextlib.suppress(PeerError):
            client.SendTaskHeartbeat(SendTaskHeartbeatRequest())
    client.close()


def _finish(client: RuntimeHttpClient, status: str, detail: str) -> None:
    # No context goes back: nothing of a study stays in Flower's database.
    client.PushTaskOutput(PushTaskOutputRequest(sub_status=status, details=detail))
