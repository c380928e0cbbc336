"""What commands share that ask the members of a model: the bank behind a file or a node's folder, and the way there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fedrisk.clients.node import Node
    from fedrisk.deploy.node_home import NodeHome
    from fedrisk.serving.relay import Relay

Place = Annotated[
    Path,
    typer.Argument(
        help="A node's folder, or the institution's own file, for example /srv/bank or institutions/bank.toml.",
        show_default=False,
    ),
]
Members = Annotated[
    list[Path] | None,
    typer.Option(
        "--members",
        help="Without a hub: the members' own files on this machine, repeatable, for example institutions/tax.toml.",
        show_default=False,
    ),
]


def institution_file(place: Path) -> Path:
    """The institution's own file; ConfigError where there is none."""
    from fedrisk.deploy.node_home import NodeHome

    return NodeHome.load(place).institution if place.is_dir() else place


def _home_of(place: Path, node: "Node") -> "NodeHome | None":
    """The node's folder: as it was named, or the one with which the institution joined its consortium."""
    from fedrisk.clients.joining import deployment_of
    from fedrisk.deploy.node_home import NodeHome

    if place.is_dir():
        return NodeHome.load(place)
    joined = deployment_of(node.store)
    return None if joined is None else NodeHome.load(joined.node)


@contextmanager
def way_to_members(place: Path, node: "Node", members: list[Path] | None) -> "Iterator[Relay | None]":
    """The hub's relay, of a node's folder or an institution that joined, or the handlers of members on this machine.

    None where neither is there. A node may serve meanwhile: keys are those of its store, and every question has its
    own call.
    """
    from fedrisk.institution import load_institution

    if members:
        from fedrisk.serving.local_relay import LocalRelay

        files = {load_institution(file).name: file for file in members}
        local = LocalRelay({**files, node.name: institution_file(place)}, node.name)
        try:
            yield local
        finally:
            local.close()
        return
    home = _home_of(place, node)
    if home is None or home.scoring is None:
        yield None
        return
    from fedrisk.serving.channel import Files
    from fedrisk.serving.hub_relay import HubRelay

    relay = HubRelay(Files.of(home, node.name))
    try:
        yield relay
    finally:
        relay.close()
