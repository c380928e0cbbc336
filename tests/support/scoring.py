"""A relay of scores on loopback over TLS, in a thread of its own, and members that attend and ask."""

import asyncio
import contextlib
import threading
import time

from fedrisk.deploy.hub_home import HubHome
from fedrisk.deploy.keys import node_public
from fedrisk.files import write_atomic
from fedrisk.protocol import scoring as rules
from fedrisk.secure.identity import EphemeralKey
from fedrisk.server.certificates import certificate_of, renew_server
from fedrisk.server.score_serve import serve
from fedrisk.serving.channel import Files
from fedrisk.serving.hub_relay import HubRelay
from fedrisk.serving.link import Attending
from fedrisk.serving.relay import Reply
from support.consortium import Joined, joined
from support.hub_process import free_port, wait_for


def scoring_consortium(folder, names_and_roles) -> Joined:
    """A joined consortium whose hub relays scores, with certificates for all nodes."""
    made = joined(folder, names_and_roles)
    address = f"127.0.0.1:{free_port()}"
    for home in (made.home, *made.nodes.values()):
        file = home.path / ("hub.toml" if isinstance(home, HubHome) else "node.toml")
        extra = f'scoring = "{address}"\n' + (
            f'scoring_listen = "{address}"\n' if isinstance(home, HubHome) else ""
        )
        file.write_text(file.read_text() + extra)
    made.home = HubHome.load(made.home.path)
    made.nodes = {name: type(home).load(home.path) for name, home in made.nodes.items()}
    renew_server(made.home)
    for name in made.nodes:
        certify(made, name)
    return made


def certify(made: Joined, name: str, *, key_of: str | None = None) -> None:
    """Give a node the hub's certificate for its key, or for the key of another."""
    home = made.nodes[name]
    public = node_public(made.nodes[key_of or name].key.read_bytes())
    write_atomic(home.certificate, certificate_of(made.home, name, public).encode())


def files_of(made: Joined, name: str) -> Files:
    return Files.of(made.nodes[name], name)


class Relaying:
    """The relay in a thread; `relay` is its state while it serves."""

    def __init__(self, home: HubHome, limits=None) -> None:
        self._home, self._limits, self.relay = home, limits, None
        self._ready, self._error = threading.Event(), None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        async def main():
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()

            def ready(relay):
                self.relay = relay
                self._ready.set()

            await serve(self._home, self._stop, limits=self._limits, ready=ready)

        try:
            asyncio.run(main())
        except BaseException as error:
            self._error = error
            self._ready.set()

    def __enter__(self) -> "Relaying":
        self._thread.start()
        assert self._ready.wait(10)
        if self._error is not None:
            raise self._error
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive()


class Echo:
    """Answers each part with what it was sent, turned round; the same to the same."""

    def __init__(self, made: Joined, name: str) -> None:
        self._identity, self.name = made.node(name).store.identity, name
        self.asked, self.seconds, self.reply = [], 0.0, None
        self._keys = {}

    def answer(self, asker, id, model, envelope):
        self.asked.append((asker, id, model, envelope))
        time.sleep(self.seconds)
        return self.reply or Reply("", envelope[::-1])

    def key(self, epoch):
        if epoch not in self._keys:
            self._keys[epoch] = EphemeralKey.generate(self._identity, self.name, rules.SERVING, epoch)[1]
        return self._keys[epoch]


@contextlib.contextmanager
def attending(made: Joined, answering: Echo, relay: Relaying | None = None, **how):
    """A node that attends in threads of its own; with the relay: only once it is there."""
    stop = threading.Event()
    node = Attending(files_of(made, answering.name), answering, stop=stop, **how)
    thread = threading.Thread(target=node.run, daemon=True)
    thread.start()
    try:
        if relay is not None:
            wait_for(lambda: answering.name in relay.relay.connected, 10)
        yield node
    finally:
        stop.set()
        thread.join(10)
        assert not thread.is_alive()


@contextlib.contextmanager
def asking(made: Joined, name: str = "bank"):
    """A bank's connection to the relay."""
    relay = HubRelay(files_of(made, name))
    try:
        yield relay
    finally:
        relay.close()
