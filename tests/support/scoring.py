"""A relay of scores on loopback over TLS, in a thread of its own, and members that attend and ask."""

import asyncio
import contextlib
import queue
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc

from fedrisk.deploy.hub_home import HubHome
from fedrisk.deploy.keys import node_public
from fedrisk.files import write_atomic
from fedrisk.protocol import scoring as rules
from fedrisk.protocol import scoring_pb2 as pb
from fedrisk.secure.identity import EphemeralKey
from fedrisk.server.certificates import certificate_of, renew_server
from fedrisk.server.score_serve import serve
from fedrisk.serving.channel import OPTIONS, Files
from fedrisk.serving.hub_relay import HubRelay
from fedrisk.serving.link import Attending, epoch_now
from fedrisk.serving.relay import Reply
from support.consortium import Joined, joined
from support.hub_process import free_port, wait_for


def scoring_consortium(folder, names_and_roles, **how) -> Joined:
    """A joined consortium whose hub relays scores, with certificates for all nodes."""
    made = joined(folder, names_and_roles, **how)
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


class Raw:
    """A member that speaks to the relay in bytes, as its certificate lets it."""

    def __init__(self, made: Joined, name: str, credentials: grpc.ChannelCredentials | None = None) -> None:
        files = files_of(made, name)
        self.name, self.address = name, files.address
        self._channel = grpc.secure_channel(self.address, credentials or files.credentials(), OPTIONS)

    def __enter__(self) -> "Raw":
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def call(self, method: str, content: bytes, seconds: float = 5.0) -> bytes:
        found = self._channel.unary_unary(f"/{rules.SERVICE}/{method}", None, None)
        return found(content, timeout=seconds)

    def code(self, method: str, content: bytes, seconds: float = 5.0) -> str:
        """The word with which a call is refused; "" where it is answered."""
        try:
            self.call(method, content, seconds)
        except grpc.RpcError as error:
            return error.details() if error.details() in WORDS else error.code().name
        return ""

    def stream(self, *messages: bytes) -> "RawStream":
        return RawStream(self._channel, messages)


WORDS = ("form", "stranger", "many", "version", "keys", "envelope", "replaced", "internal")


class RawStream:
    """A stream of Attend in bytes."""

    def __init__(self, channel: grpc.Channel, messages) -> None:
        self._out = queue.SimpleQueue()
        for message in messages:
            self._out.put(message)
        call = channel.stream_stream(f"/{rules.SERVICE}/Attend", None, None)
        self._call = call(iter(self._out.get, None), timeout=60)

    def send(self, message: bytes) -> None:
        self._out.put(message)

    def next(self) -> "pb.ToNode":
        return pb.ToNode.FromString(next(self._call))

    def end(self) -> str:
        """The word with which the stream was ended."""
        try:
            for _ in self._call:
                pass
        except grpc.RpcError as error:
            return error.details() if error.details() in WORDS else error.code().name
        finally:
            self._out.put(None)
        return ""

    def close(self) -> None:
        self._out.put(None)
        self._call.cancel()


def hello(answering: Echo, *, protocol: int = rules.PROTOCOL, **changed) -> bytes:
    """A member's first message; changed: fields of its key."""
    key = answering.key(epoch_now())
    fields = {
        "institution": key.institution,
        "epoch": key.attempt,
        "public": key.public,
        "signature": key.signature,
        **changed,
    }
    said = pb.Hello(protocol=protocol, fedrisk="0.1.0", key=pb.SignedKey(**fields))
    return pb.FromNode(hello=said).SerializeToString()


def question(id: int | str, *members: str, content: bytes = b"sealed", **changed) -> bytes:
    """A question with the same bytes for each member."""
    parts = [pb.Sealed(member=member, envelope=content) for member in members]
    name = id if isinstance(id, str) else f"{id:032x}"
    fields = {"protocol": rules.PROTOCOL, "id": name, "model": "0" * 16, "seconds": 5.0, **changed}
    return pb.Question(parts=parts, **fields).SerializeToString()


class Lying:
    """A relay with the hub's certificate that says what it is told to.

    answer: (method, request) -> bytes of a unary call. parts: messages for whoever attends. answers: what came of them.
    """

    def __init__(self, made: Joined, *, answer=None, parts=(), server=None) -> None:
        self.called, self.answers = [], []
        self._answer, self._parts = answer or (lambda method, raw: b""), parts
        key, chain = server or ((made.home.path / n).read_bytes() for n in ("server.key", "server.pem"))
        roots = (made.home.path / "ca.pem").read_bytes()
        credentials = grpc.ssl_server_credentials([(key, chain)], roots, require_client_auth=True)
        self._server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
        handlers = {m: grpc.unary_unary_rpc_method_handler(self._unary(m)) for m in ("Ask", "Keys")}
        handlers["Attend"] = grpc.stream_stream_rpc_method_handler(self._attend)
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(rules.SERVICE, handlers),)
        )
        assert self._server.add_secure_port(made.home.scoring_listen, credentials)

    def _unary(self, method):
        def answer(raw, context):
            self.called.append(method)
            return self._answer(method, raw)

        return answer

    def _attend(self, requests, context):
        next(requests)
        yield pb.ToNode(welcome=pb.Welcome(protocol=1)).SerializeToString()
        yield from self._parts
        for raw in requests:
            self.answers.append(pb.FromNode.FromString(raw).answer)

    def __enter__(self) -> "Lying":
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(0).wait(5)
