"""A grid whose messages may be of any size: in memory once, sent and fetched in parts (`engine/fleet_objects`).

Flower cuts a message into objects of at most 5 MB, each of which is a request of its own. Its own grid holds a message
about four times while it puts them together. Needs names that are private to flwr; a contract test holds them against
the installed version.
"""

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from flwr.app import Error, Message, Metadata, RecordDict
from flwr.app.message import make_message, remove_content_from_message
from flwr.common.constant import SUPERLINK_NODE_ID, ErrorCode
from flwr.common.serde import message_to_proto
from flwr.proto.message_pb2 import (
    ConfirmMessageReceivedRequest,
    ObjectTree,
    PullObjectRequest,
    PushObjectRequest,
)
from flwr.proto.node_pb2 import Node, NodeInfo
from flwr.proto.runtime_pb2 import GetNodesRequest, PullAppMessagesRequest, PushAppMessagesRequest
from flwr.serverapp import Grid
from flwr.supercore.constant import SYSTEM_MESSAGE_TYPE
from flwr.supercore.inflatable.inflatable_object import (
    get_all_nested_objects,
    get_object_tree,
    no_object_id_recompute,
)
from flwr.supercore.run import Run
from flwr.supercore.runtime import RuntimeHttpClient

from fedrisk.engine.fleet_objects import AT_ONCE, inflated, side_by_side

PATIENCE = 120.0
"""Seconds for which a part may be missing before its message counts as lost: the sender is still sending it."""

_TRIES = 3


class PartLost(Exception):
    """A part of a message that will not come."""


class StreamedGrid(Grid):
    """A grid over a client of Flower's Runtime interface that holds one message at a time, once."""

    def __init__(self, client: RuntimeHttpClient) -> None:
        self._client = client
        self._node = Node(node_id=SUPERLINK_NODE_ID)
        self._run = Run.create_empty(0)
        self._pool = ThreadPoolExecutor(AT_ONCE, "fedrisk-objects")

    def set_run(self, run: Run) -> None:
        """Take over a run's identity, as Flower's engines do."""
        self._run = run

    @property
    def run(self) -> Run:
        """The run."""
        return self._run

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """Kept for Flower's interface; messages are made by fedrisk.protocol."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> list[int]:
        """Numbers of the nodes that are connected."""
        return [node.node_id for node in self.get_nodes()]

    def get_nodes(self) -> list[NodeInfo]:
        """The nodes that are connected, with the names under which they were let in."""
        return list(self._client.GetNodes(GetNodesRequest()).nodes)

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Send messages one after the other; their ids, empty for one that Flower did not take."""
        return [self._push(message) for message in messages]

    def _push(self, message: Message) -> str:
        with no_object_id_recompute():
            message.metadata.__dict__["_message_id"] = message.object_id
            head = PushAppMessagesRequest(
                messages_list=[message_to_proto(remove_content_from_message(message))],
                message_object_trees=[get_object_tree(message)],
            )
            # A session ends where nothing came for a while; what is missing then is pushed in a new one.
            for _ in range(_TRIES):
                taken = self._client.PushMessages(head)
                if not taken.message_ids[0]:
                    return ""
                if self._pushed(message, set(taken.objects_to_push), taken.session_id):
                    return str(taken.message_ids[0])
        return ""

    def _pushed(self, message: Message, wanted: set[str], session: str) -> bool:
        """Whether Flower took all objects that it lacks of a message."""

        def push(name: str, content: bytes) -> bool:
            part = PushObjectRequest(
                node=self._node,
                run_id=self._run.run_id,
                object_id=name,
                object_content=content,
                session_id=session,
            )
            return bool(self._client.PushObject(part).stored)

        objects = get_all_nested_objects(message)
        parts = ((name, part.deflate()) for name, part in objects.items() if name in wanted)
        return all(side_by_side(self._pool, push, parts))

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """The answers that are there; one whose parts were lost on the way, or are malformed, comes as an error."""
        got = self._client.PullMessages(PullAppMessagesRequest(message_ids=list(message_ids)))
        heads = [message.metadata for message in got.messages_list]
        pairs = zip(heads, got.message_object_trees, strict=True)
        return [self._pull(tree, head.message_id, head.reply_to_message_id) for head, tree in pairs]

    def _pull(self, tree: ObjectTree, message_id: str, reply_to: str) -> Message:
        try:
            message = inflated(tree, self._pull_part, self._pool)
        except (
            PartLost,
            KeyError,
            ValueError,
            TypeError,
            IndexError,
            RecursionError,
            AttributeError,
        ) as error:
            return self._lost(reply_to, type(error).__name__)
        finally:
            received = ConfirmMessageReceivedRequest(
                node=self._node, run_id=self._run.run_id, message_object_id=message_id
            )
            self._client.ConfirmMessageReceived(received)
        if not isinstance(message, Message):
            return self._lost(reply_to, "no message")
        message.metadata.__dict__["_message_id"] = message_id
        return message

    def _pull_part(self, object_id: str) -> bytes:
        asked = PullObjectRequest(node=self._node, run_id=self._run.run_id, object_id=object_id)
        deadline, pause = time.monotonic() + PATIENCE, 0.05
        while True:
            part = self._client.PullObject(asked)
            if part.object_found and part.object_available:
                return bytes(part.object_content)
            if not part.object_found or time.monotonic() > deadline:
                raise PartLost(object_id)
            time.sleep(pause)
            pause = min(pause * 2, 1.0)

    def close(self) -> None:
        """End what pushes and pulls in parallel."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _lost(self, reply_to: str, why: str) -> Message:
        metadata = Metadata(
            run_id=self._run.run_id,
            message_id="",
            src_node_id=SUPERLINK_NODE_ID,
            dst_node_id=SUPERLINK_NODE_ID,
            message_type=SYSTEM_MESSAGE_TYPE,
            group_id="",
            ttl=0,
            reply_to_message_id=reply_to,
            created_at=time.time(),
        )
        return make_message(metadata=metadata, error=Error(ErrorCode.MESSAGE_UNAVAILABLE, why))

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Any]:
        """Push messages, and pull until all answers are there or ``timeout`` seconds are over."""
        waiting, answers = set(self.push_messages(messages)), list[Message]()
        deadline = None if timeout is None else time.monotonic() + timeout
        while waiting and (deadline is None or time.monotonic() < deadline):
            for answer in self.pull_messages(waiting):
                answers.append(answer)
                waiting.discard(answer.metadata.reply_to_message_id)
            if waiting:
                time.sleep(0.2)
        return answers
