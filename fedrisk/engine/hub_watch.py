"""What a hub that serves tells its supervisor and whoever watches it: signs of life, who is connected, figures."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fedrisk.deploy import logs, notify
from fedrisk.deploy.health import Health, forward, served
from fedrisk.deploy.hub_home import HubHome
from fedrisk.engine.superlink import nodes
from fedrisk.errors import FedriskError
from fedrisk.server.hub import Hub
from fedrisk.server.proposals import Proposals

EVERY = 5.0
"""Seconds between two looks at the nodes."""

INBOX: Final = "health.sock"
"""Socket in the hub's folder to which its other processes send what they logged, so that it is counted."""


@contextlib.contextmanager
def watched(home: HubHome) -> Iterator[Health]:
    """Log to the hub's file, and serve figures on its health port where it has one. ConfigError: the port is taken."""
    logs.start(home.log, "hub")
    health = Health("hub", certificates=[home.path / "server.pem"])
    health.follow(home.path / INBOX)
    try:
        with served(health, home.health):
            yield health
    finally:
        health.close()
        logs.stop()


def of_a_child(home: HubHome, part: str) -> None:
    """Log to the hub's file from another of its processes; what is logged is counted by the one that serves."""
    logs.start(home.log, part)
    forward(home.path / INBOX)


async def pulse(home: HubHome, health: Health) -> None:
    """Signs of life while the event loop turns, and who is connected; until it is cancelled."""
    health.state(True)
    notify.ready(f"{home.name}, for nodes at {home.listen}")
    while True:
        health.beat()
        notify.alive()
        online, waiting = await asyncio.to_thread(_look, home.path)
        health.nodes(online)
        health.proposals_waiting(waiting)
        await asyncio.sleep(EVERY)


def _look(folder: Path) -> tuple[dict[str, bool], int]:
    online: dict[str, bool] = {}
    waiting = 0
    with contextlib.suppress(FedriskError, OSError):
        online = {node.name: node.online for node in nodes(folder)}
        waiting = sum(p.state == "open" for p in Proposals(Hub(folder)).all())
    return online, waiting
