"""``fedrisk hub scoring``: the hub's relay of questions about scores, a process of its own."""

import asyncio
import signal
from typing import TYPE_CHECKING, Annotated

import typer

from fedrisk.cli.hub import HubFolder, hub_app
from fedrisk.cli.output import note
from fedrisk.language import _

if TYPE_CHECKING:
    from fedrisk.deploy.hub_home import HubHome

Supervised = Annotated[
    bool,
    typer.Option("--supervised", help="End when the process that started this one is gone."),
]


@hub_app.command("scoring")
def hub_scoring(hub: HubFolder, supervised: Supervised = False) -> None:
    """Relay questions about scores between members; for example fedrisk hub scoring /srv/hub.

    `hub serve` starts this by itself where hub.toml has scoring. What is relayed is sealed, and nothing is kept.
    """
    from fedrisk.deploy import health, logs
    from fedrisk.deploy.children import until_orphaned
    from fedrisk.deploy.hub_home import HubHome
    from fedrisk.deploy.serving import SCORING, serving

    home = HubHome.load(hub)
    with serving(home.path, SCORING) as status:
        logs.start(home.log, "scoring")
        health.forward(home.path / health.FIGURES)
        status.say(listen=home.scoring_listen)
        if supervised:
            until_orphaned(lambda: signal.raise_signal(signal.SIGTERM))
        asyncio.run(_until_stopped(home))


async def _until_stopped(home: "HubHome") -> None:
    from fedrisk.server.score_serve import serve

    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    await serve(
        home,
        stop,
        ready=lambda served: note(
            _("scores are relayed at {scoring_listen}, to members alone", scoring_listen=home.scoring_listen),
            style=None,
        ),
    )
