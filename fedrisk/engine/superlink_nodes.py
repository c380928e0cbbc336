"""Nodes at the hub's SuperLink: who is registered and heard of, who is let in and shut out."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from flwr.proto.control_pb2 import ListNodesRequest, RegisterNodeRequest, UnregisterNodeRequest

from fedrisk.deploy.hub_home import HubHome
from fedrisk.deploy.keys import public_key_of
from fedrisk.engine.superlink_clients import NotServing, told
from fedrisk.errors import ConfigError
from fedrisk.files import PUT_BACK, locked, read_json, write_atomic


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
    found = told(folder, lambda c: c.ListNodes(ListNodesRequest())).nodes_info
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
    told(folder, lambda c: c.RegisterNode(RegisterNodeRequest(public_key=key, name=name)))


def _strike(folder: Path, number: int) -> None:
    told(folder, lambda c: c.UnregisterNode(UnregisterNodeRequest(node_id=number)))


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
