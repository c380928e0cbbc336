"""``fedrisk node scoring``: a node's part in models that serve, a process of its own beside ``fedrisk node serve``."""

import contextlib
import threading
import time
from typing import TYPE_CHECKING

from fedrisk import layout
from fedrisk.cli.hub_scoring import Supervised
from fedrisk.cli.node import NodeFolder, node_app
from fedrisk.cli.output import alert, note
from fedrisk.errors import FedriskError
from fedrisk.language import _
from fedrisk.language_patterns import retold

if TYPE_CHECKING:
    from fedrisk.clients.node import Node
    from fedrisk.deploy.node_home import NodeHome
    from fedrisk.deploy.serving import Status
    from fedrisk.serving.holder import Holder
    from fedrisk.serving.hub_relay import HubRelay


@node_app.command("scoring")
def node_scoring(node: NodeFolder, supervised: Supervised = False) -> None:
    """Answer questions about scores, and at a bank serve its loan system; for example fedrisk node scoring /srv/bank.

    `node serve` starts this by itself where node.toml has scoring. Calls the hub's relay and is never called; a bank's
    service listens on loopback alone, where node.toml has service or service_grpc.
    """
    from fedrisk.cli.node_serve import of_this_folder, stopping
    from fedrisk.clients.node import Node
    from fedrisk.deploy import health, logs
    from fedrisk.deploy.children import until_orphaned
    from fedrisk.deploy.node_home import NodeHome
    from fedrisk.deploy.serving import SCORING, serving

    home = NodeHome.load(node)
    layout.NODE.open(home.path)
    institution = Node.open(home.institution)
    of_this_folder(institution, home)
    with serving(home.path, SCORING) as status, stopping() as stop:
        logs.start(home.log, "scoring")
        health.forward(home.path / health.FIGURES)
        status.say(name=institution.name, relay=home.scoring)
        if supervised:
            until_orphaned(stop.set)
        _serve(home, institution, status, stop)
    note(_("{name} serves no scores any more", name=institution.name))


def _serve(home: "NodeHome", institution: "Node", status: "Status", stop: threading.Event) -> None:
    """Attend at the hub's relay; at a bank with a port for its loan system serve that too."""
    from fedrisk.clients.agents import Listed, not_agents
    from fedrisk.serving.channel import Files
    from fedrisk.serving.holder import Holder
    from fedrisk.serving.hub_relay import HubRelay
    from fedrisk.serving.link import Attending

    files = Files.of(home, institution.name)
    relay = HubRelay(files)

    def news(connected: bool, why: str) -> None:
        status.say(connected=connected, since=time.time(), reason=why or None)
        note(
            _("connected to the hub's relay of scores") if connected else _("waiting: {why}", why=retold(why))
        )

    if wrong := not_agents(institution.institution.policy.serving.agents, Listed.of(institution)):
        alert(retold(wrong), style="red")
    holder = Holder(institution, relay.keys)
    attending = Attending(files, holder, stop=stop, news=news)
    with contextlib.ExitStack() as stack:
        stack.callback(relay.close)
        thread = threading.Thread(target=attending.run, name="fedrisk-attending")
        thread.start()
        stack.callback(thread.join)
        tidying = threading.Thread(target=_tidy, args=(holder, stop), name="fedrisk-tidy")
        tidying.start()
        stack.callback(tidying.join)
        stack.callback(stop.set)
        if home.service is None and home.service_grpc is None:
            stop.wait()
        else:
            _serve_bank(home, institution, relay, stop)


def _tidy(holder: "Holder", stop: threading.Event) -> None:
    """Open the table before anybody asks; delete keys of weeks that are over, also where nobody does."""
    with contextlib.suppress(FedriskError, OSError):
        holder.ready()
    while not stop.wait(3600):
        with contextlib.suppress(FedriskError, OSError):
            holder.tidy()


def _serve_bank(home: "NodeHome", institution: "Node", relay: "HubRelay", stop: threading.Event) -> None:
    from fedrisk.serving.serve_bank import serve_bank

    serve_bank(home, institution, relay, stop)
