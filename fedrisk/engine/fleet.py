"""The node's connection to its hub: Flower's Fleet client, and all names of flwr that are private on the node's side.

A node calls, and is never called. It announces itself with its P-384 key, says every few seconds that it is there, asks
for messages, and answers. It never asks for the hub's bundle: what it runs is what is installed here.

Flower lets one process serve a key at a time, by heartbeats: who is silent for 20 s is taken for lost. A node that was
killed takes its own claim back at once when it begins again; a second one with a copied key is told so and ends. Where
the network or the hub is away a node waits, for as long as it takes, and says so once.

Messages travel in chunks (`engine/fleet_objects`).
"""

import contextlib
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import Error, Message
from flwr.app.message import remove_content_from_message
from flwr.common.constant import ErrorCode
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto import fleet_pb2, heartbeat_pb2, message_pb2, node_pb2, run_pb2
from flwr.supercore.error import ApiErrorCode, FlowerError
from flwr.supercore.inflatable.inflatable_object import (
    get_all_nested_objects,
    get_object_tree,
    no_object_id_recompute,
)
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supercore.task_identity import TaskIdentity
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from fedrisk.engine import hub_probe
from fedrisk.engine.claim import LAPSE, Claim
from fedrisk.engine.fleet_files import Fleet as Fleet
from fedrisk.engine.fleet_files import LinkState as LinkState
from fedrisk.engine.fleet_files import check_flower, load_key
from fedrisk.engine.fleet_objects import AT_ONCE, inflated, side_by_side
from fedrisk.errors import FedriskError, LaterError

HEARTBEAT = LAPSE / 2
"""Seconds that a node promises between two signs of life; Flower's least. Twice as long a silence is a lost node."""

_LONGEST_WAIT = 20.0
_LAST_TRIES = 10.0
_GLITCH = 5.0

log = logging.getLogger("fedrisk")


class _RunIsOver(Exception):
    """The run that a message belongs to has ended; nobody waits for the answer."""


class _LetGo(Exception):
    """The hub is away while the node is being stopped; what is in hand is sent when the hub asks again."""


@contextlib.contextmanager
def connect(
    fleet: Fleet,
    *,
    stop: threading.Event,
    patience: float | None = None,
    news: Callable[["LinkState"], None] = lambda _: None,
) -> Iterator["FleetLink"]:
    """A connection to the hub for as long as the context lasts; then the hub hears that this node is gone.

    stop: once set, nothing is waited for any more. patience: seconds for which a hub that is away is waited for; None
    is for ever. news: told how the connection is whenever that changes, by whichever thread.

    Raises:
        LaterError: the hub is away, or the clocks differ too much.
        EnvelopeError: a certificate does not hold, or the hub does not take this node's key.
        ConfigError, StoreError: version of flwr, key or CA file.
    """
    check_flower()
    key = load_key(fleet.key)
    link = FleetLink(fleet, key, stop, news)
    try:
        link.begin(patience)
        yield link
    except KeyboardInterrupt:
        # A second signal: end at once. The next start takes the claim back.
        link.end(orderly=False)
        raise
    finally:
        link.end(orderly=True)


class FleetLink:
    """A connection to the hub; errors of the network are waited out, what cannot be waited out is raised."""

    def __init__(
        self,
        fleet: Fleet,
        key: ec.EllipticCurvePrivateKey,
        stop: threading.Event,
        news: Callable[[LinkState], None],
    ) -> None:
        self.state = LinkState(since=time.time())
        self._fleet, self._stop, self._news = fleet, stop, news
        self._public = public_key_to_bytes(key.public_key())
        hub_probe.trusted(fleet.ca)
        self._client = FleetHttpClient.from_server_address(
            fleet.hub,
            False,
            fleet.ca.read_bytes(),
            interceptors=[NodeAuthHttpInterceptor(key, key.public_key())],
        )
        self._pool = ThreadPoolExecutor(AT_ONCE, "fedrisk-objects")
        self._claim = Claim(fleet.claim)
        self._node: node_pb2.Node | None = None
        self._ended = threading.Event()
        self._fault: FedriskError | None = None
        self._failures, self._failing, self._quiet_until = 0, 0.0, 0.0
        self._heard, self._tried = 0.0, 0.0
        self._twin_seen = False
        self._lock, self._changing = threading.Lock(), threading.Lock()
        self._thread = threading.Thread(target=self._stay_alive, name="fedrisk-heartbeat", daemon=True)

    # ---- beginning and end

    def begin(self, patience: float | None) -> None:
        """Look at the hub, take back what a killed predecessor left, announce this node; errors as in `connect`."""
        began = time.monotonic()
        while not self._stop.is_set():
            try:
                self._look()
                self._announce()
                break
            except LaterError as error:
                late = patience is not None and time.monotonic() - began >= patience
                if late or isinstance(error, hub_probe.ClockError):
                    raise
                self._away(str(error))
                self._stop.wait(self._pause())
        if self._node is not None:
            self._thread.start()

    def end(self, *, orderly: bool) -> None:
        """Stop the signs of life, tell the hub that this node is gone, close. A second call does nothing."""
        if self._ended.is_set():
            return
        self._ended.set()
        if self._thread.is_alive() and orderly:
            self._thread.join(HEARTBEAT)
        # A hub that is away takes this node for lost by itself.
        if orderly and self._node is not None and self.state.connected:
            with contextlib.suppress(httpx.HTTPError, OSError, ValueError):
                self._client.DeactivateNode(fleet_pb2.DeactivateNodeRequest(node_id=self._node.node_id))
                self._claim.release()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    def _look(self) -> None:
        seen = hub_probe.probe(self._fleet.hub, self._fleet.ca)
        self.state.ahead, self.state.certificate_until = seen.ahead, seen.certificate_until.timestamp()
        hub_probe.check_clock(seen.ahead, self._fleet.hub)

    def _announce(self) -> None:
        """Activate this node at the hub; EnvelopeError where the hub does not take its key."""
        if self._claim.is_own_and_fresh:
            with contextlib.suppress(httpx.HTTPStatusError), self._transport():
                self._client.DeactivateNode(
                    fleet_pb2.DeactivateNodeRequest(node_id=cast(int, self._claim.node))
                )
        deadline = time.monotonic() + LAPSE + 5
        while not self._activate():
            if self._claim.node is None:
                raise hub_probe.not_taken(self._fleet.hub)
            if not self._is_known(self._claim.node):
                raise hub_probe.not_admitted(self._fleet.hub)
            if time.monotonic() > deadline:
                raise hub_probe.two_with_one_key(self._fleet.hub)
            if self._stop.wait(2.0):
                raise LaterError("the node was stopped before the hub took it")
        self._now_connected()

    def _activate(self) -> bool:
        """Whether the hub takes this node as the one that serves its key."""
        request = fleet_pb2.ActivateNodeRequest(public_key=self._public, heartbeat_interval=HEARTBEAT)
        self._tried = _uptime()
        try:
            with self._transport():
                number = int(self._client.ActivateNode(request).node_id)
        except httpx.HTTPStatusError as error:
            if _code(error) == ApiErrorCode.FLEET_NODE_ACTIVATION_FAILED:
                return False
            raise self._judged(error) from None
        self._node = node_pb2.Node(node_id=number)
        self._heard = _uptime()
        self._claim.take(number)
        TaskIdentity.node_id = number
        return True

    def _is_known(self, number: int) -> bool:
        """Whether the hub has this key at all; asks for a run that is not there, which changes nothing."""
        try:
            with self._transport():
                self._client.GetRun(run_pb2.GetRunRequest(node=node_pb2.Node(node_id=number), run_id=0))
        except httpx.HTTPStatusError as error:
            return error.response.status_code != httpx.codes.UNAUTHORIZED
        return True

    # ---- signs of life

    def _stay_alive(self) -> None:
        wait = 0.0
        while not self._ended.wait(wait):
            try:
                self._sign()
            except FedriskError as error:
                self._fault = error
                return
            except Exception as error:
                self._away(f"{type(error).__name__} at a sign of life")
            wait = HEARTBEAT * random.uniform(0.35, 0.45)

    def _sign(self) -> None:
        """One sign of life. After a silence the hub may have let another process in: then announce anew."""
        with self._lock:
            if _uptime() - self._heard < LAPSE:
                self._tried = _uptime()
                request = heartbeat_pb2.SendNodeHeartbeatRequest(
                    node=self._node, heartbeat_interval=HEARTBEAT
                )
                try:
                    with self._transport():
                        known = self._client.SendNodeHeartbeat(request).success
                except httpx.HTTPStatusError as error:
                    _raise_lasting(self._judged(error), self._away)
                    return
                except LaterError as error:
                    self._away(str(error))
                    return
                if not known:
                    raise hub_probe.not_admitted(self._fleet.hub)
            elif not self._announced_anew():
                return
            self._heard = _uptime()
            self._claim.touch()
        self._now_connected()

    def _announced_anew(self) -> bool:
        # An earlier sign of ours may have reached the hub although its answer did not reach us.
        if self._twin_seen and _uptime() - self._tried < LAPSE + 2:
            return False
        try:
            if self._activate():
                self._twin_seen = False
                return True
            if self._node is not None and not self._is_known(self._node.node_id):
                raise hub_probe.not_admitted(self._fleet.hub)
        except LaterError as error:
            self._away(str(error))
            return False
        if self._twin_seen:
            raise hub_probe.two_with_one_key(self._fleet.hub)
        self._twin_seen = True
        return False

    # ---- messages

    def receive(self) -> Message | None:
        """The next message, whole; None where there is none, or the hub is away. Raises what cannot be waited out."""
        if self._fault is not None:
            raise self._fault
        if self._node is None or _uptime() - self._heard >= LAPSE or time.monotonic() < self._quiet_until:
            return None
        try:
            found = self._client.PullMessages(fleet_pb2.PullMessagesRequest(node=self._node))
        except (httpx.HTTPError, OSError, ValueError) as error:
            _raise_lasting(self._judged(error), self._away)
            self._pause()
            return None
        self._now_connected()
        if not found.messages_list:
            return None
        head, tree = message_from_proto(found.messages_list[0]), found.message_object_trees[0]
        del found
        try:
            return self._taken(head, tree)
        except (_RunIsOver, _LetGo) as error:
            log.warning("a message was dropped: %s", error, extra={"event": "message_dropped"})
            return None

    def _taken(self, head: Message, tree: message_pb2.ObjectTree) -> Message | None:
        run = head.metadata.run_id
        TaskIdentity.run_id, TaskIdentity.task_id = run, 1

        def pull(name: str) -> bytes:
            request = message_pb2.PullObjectRequest(node=self._node, run_id=run, object_id=name)
            while True:
                found = self._ask(self._client.PullObject, request)
                if found.object_available:
                    return cast(bytes, found.object_content)
                if not found.object_found:
                    raise _RunIsOver("the hub no longer has it")
                self._wait_or_let_go(0.5)

        try:
            message = inflated(tree, pull, self._pool)
            if not isinstance(message, Message):
                raise ValueError("no message")
        except (KeyError, ValueError, TypeError, IndexError, RecursionError, AttributeError):
            log.warning("a message was malformed", extra={"event": "message_malformed"})
            self.send(Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, "malformed"), reply_to=head))
            return None
        message.metadata.__dict__["_message_id"] = head.metadata.message_id
        received = message_pb2.ConfirmMessageReceivedRequest(
            node=self._node, run_id=run, message_object_id=head.metadata.message_id
        )
        self._ask(self._client.ConfirmMessageReceived, received)
        return message

    def send(self, reply: Message) -> None:
        """Send an answer; waits until the hub is back. One that nobody waits for any more is dropped."""
        with no_object_id_recompute():
            tree = get_object_tree(reply)
            reply.metadata.__dict__["_message_id"] = reply.object_id
            head = remove_content_from_message(reply) if reply.has_content() else reply
            request = fleet_pb2.PushMessagesRequest(
                node=self._node, messages_list=[message_to_proto(head)], message_object_trees=[tree]
            )
            try:
                # A session ends where nothing came for a while; what is missing then is pushed in a new one.
                for _ in range(3):
                    taken = self._ask(self._client.PushMessages, request)
                    if self._pushed(reply, set(taken.objects_to_push), taken.session_id):
                        return
                log.warning("an answer was not taken by the hub", extra={"event": "answer_dropped"})
            except (_RunIsOver, _LetGo) as error:
                log.warning("an answer was dropped: %s", error, extra={"event": "answer_dropped"})

    def _pushed(self, reply: Message, wanted: set[str], session: str) -> bool:
        """Whether the hub took all objects that it lacks of a reply."""

        def push(name: str, content: bytes) -> bool:
            request = message_pb2.PushObjectRequest(
                node=self._node,
                run_id=reply.metadata.run_id,
                object_id=name,
                object_content=content,
                session_id=session,
            )
            return bool(self._ask(self._client.PushObject, request).stored)

        objects = get_all_nested_objects(reply)
        calls = ((name, item.deflate()) for name, item in objects.items() if name in wanted)
        return all(side_by_side(self._pool, push, calls))

    # ---- the network

    def _ask(self, call: Callable[[Any], Any], request: Any) -> Any:
        """An answer of the hub; it is asked again until it is there."""
        given_up: float | None = None
        while True:
            if self._fault is not None:
                raise _LetGo(str(self._fault))
            try:
                answer = call(request)
            except (httpx.HTTPError, OSError, ValueError) as error:
                if isinstance(error, httpx.HTTPStatusError) and _code(error) == _OVER:
                    raise _RunIsOver("its run is over") from None
                _raise_lasting(self._judged(error), self._away)
            else:
                self._now_connected()
                return answer
            if self._stop.is_set():
                given_up = given_up or time.monotonic() + _LAST_TRIES
                if time.monotonic() > given_up:
                    raise _LetGo("the hub is away")
            self._ended.wait(min(self._pause(), 1.0) if self._stop.is_set() else self._pause())

    def _wait_or_let_go(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise _LetGo("the node is being stopped")

    @contextlib.contextmanager
    def _transport(self) -> Iterator[None]:
        """Errors of the connection in words; those that the hub states pass."""
        try:
            yield
        except httpx.HTTPStatusError:
            raise
        except (httpx.HTTPError, OSError, ValueError) as error:
            raise hub_probe.in_words(error, self._fleet.hub, self._fleet.ca) from None

    def _judged(self, error: BaseException) -> FedriskError:
        """What a failed request means: LaterError where it passes."""
        if not isinstance(error, httpx.HTTPStatusError):
            return hub_probe.in_words(error, self._fleet.hub, self._fleet.ca)
        status = error.response.status_code
        if status == httpx.codes.UNAUTHORIZED:
            ahead = hub_probe.seconds_ahead(error.response.headers.get("date"))
            self.state.ahead = self.state.ahead if ahead is None else ahead
            try:
                hub_probe.check_clock(self.state.ahead or 0.0, self._fleet.hub, slack=1.5)
            except hub_probe.ClockError as wrong:
                return wrong
            return hub_probe.not_admitted(self._fleet.hub)
        return LaterError(f"the hub at {self._fleet.hub} answers with HTTP {status}; ask its operator")

    def _away(self, reason: str) -> None:
        """A request failed; said once, and not for a single one that a busy hub let wait."""
        with self._changing:
            self._failures += 1
            self._failing = self._failing or time.monotonic()
            known = self.state.reason is not None and not self.state.connected
            if known or (self.state.connected and time.monotonic() - self._failing < _GLITCH):
                return
            self.state.connected, self.state.since, self.state.reason = False, time.time(), reason
        log.warning("the hub is away: %s", reason, extra={"event": "hub_away"})
        self._news(self.state)

    def _now_connected(self) -> None:
        with self._changing:
            self._failures, self._failing, self._quiet_until = 0, 0.0, 0.0
            if self.state.connected:
                return
            self.state.connected, self.state.since, self.state.reason = True, time.time(), None
        log.info("connected to the hub at %s", self._fleet.hub, extra={"event": "hub_connected"})
        self._news(self.state)

    def _pause(self) -> float:
        """Seconds until the next try: twice as long each time, spread so that nodes do not come all at once."""
        pause = min(_LONGEST_WAIT, 0.5 * 2.0 ** min(self._failures, 8)) * random.uniform(0.5, 1.0)
        self._quiet_until = time.monotonic() + pause
        return pause


_OVER = ApiErrorCode.FLEET_RUN_STATUS_NOT_ALLOWED


def _raise_lasting(error: FedriskError, away: Callable[[str], None]) -> None:
    """Note what passes by itself; raise the rest."""
    if not isinstance(error, LaterError) or isinstance(error, hub_probe.ClockError):
        raise error
    away(str(error))


def _code(error: httpx.HTTPStatusError) -> int | None:
    found = FlowerError.from_json(error.response.text)
    return None if found is None else found.code


def _uptime() -> float:
    """Seconds that pass while a machine sleeps as well."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
