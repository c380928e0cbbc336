"""Messages of any size through Flower, in memory once: parts are sent and fetched one after the other.

Flower cuts a message into objects of at most 5 MB, each of which is a request of its own. Its own grid holds a message
about four times while it puts them together. Here an array grows as its parts come (pulling), and parts are views of
the array until each is sent (pushing). Needs names that are private to flwr; a contract test holds them against the
installed version.
"""

import io
import json
import time
from collections.abc import Callable, Iterable
from typing import Any

from flwr.app import Array, Error, Message, Metadata, RecordDict
from flwr.app.message import make_message, remove_content_from_message
from flwr.common.constant import SUPERLINK_NODE_ID, ErrorCode
from flwr.common.serde import message_to_proto
from flwr.proto.message_pb2 import ConfirmMessageReceivedRequest, PullObjectRequest, PushObjectRequest
from flwr.proto.node_pb2 import Node, NodeInfo
from flwr.proto.runtime_pb2 import GetNodesRequest, PullAppMessagesRequest, PushAppMessagesRequest
from flwr.serverapp import Grid
from flwr.supercore.constant import SYSTEM_MESSAGE_TYPE
from flwr.supercore.inflatable.inflatable_object import (
    InflatableObject,
    get_all_nested_objects,
    get_object_body,
    get_object_head_values_from_object_content,
    get_object_tree,
    no_object_id_recompute,
)
from flwr.supercore.inflatable.inflatable_utils import inflatable_class_registry
from flwr.supercore.run import Run
from flwr.supercore.runtime import RuntimeHttpClient

from fedrisk.errors import ProtocolError

PATIENCE = 120.0
"""Seconds for which a part may be missing before its message counts as lost: the sender is still sending it."""

DEEPEST = 8
"""Levels of objects in a message; ours have five."""

LONGEST = 1 << 33
"""Bytes of an array: few parts can stand for many where they are alike."""

Pull = Callable[[str], bytes]


class PartLost(Exception):
    """A part of a message that will not come."""


def inflate(object_id: str, pull: Pull, level: int = 0) -> InflatableObject:
    """An object of Flower from its parts, each fetched when it is needed; ProtocolError for one that is malformed."""
    if level > DEEPEST:
        raise ProtocolError("the message is nested too deeply; sender and receiver must run the same version")
    content = pull(object_id)
    kind, children, _ = get_object_head_values_from_object_content(content)
    if kind == Array.__qualname__:
        return _array(get_object_body(content, Array), children, pull)
    return inflatable_class_registry[kind].inflate(
        content, children={child: inflate(child, pull, level + 1) for child in children}
    )


def _array(body: bytes, children: list[str], pull: Pull) -> Array:
    """An array that grows as its parts come."""
    about = json.loads(body)
    chunk = inflatable_class_registry["ArrayChunk"]
    data = io.BytesIO()
    for index in about["arraychunk_ids"]:
        data.write(get_object_body(pull(children[index]), chunk))
        if data.tell() > LONGEST:
            raise ProtocolError("the message has an array that is too large; nothing was used of it")
    # No copy: BytesIO hands its own buffer out where nobody else uses it.
    return Array(str(about["dtype"]), tuple(about["shape"]), str(about["stype"]), data.getvalue())


class StreamedGrid(Grid):
    """A grid over a client of Flower's Runtime interface that holds one message at a time, once."""

    def __init__(self, client: RuntimeHttpClient) -> None:
        self._client = client
        self._node = Node(node_id=SUPERLINK_NODE_ID)
        self._run = Run.create_empty(0)

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
            taken = self._client.PushMessages(
                PushAppMessagesRequest(
                    messages_list=[message_to_proto(remove_content_from_message(message))],
                    message_object_trees=[get_object_tree(message)],
                )
            )
            wanted = set(taken.objects_to_push)
            for object_id, part in get_all_nested_objects(message).items():
                if object_id in wanted:
                    self._push_part(object_id, part.deflate(), taken.session_id)
        return str(taken.message_ids[0])

    def _push_part(self, object_id: str, content: bytes, session: str) -> None:
        self._client.PushObject(
            PushObjectRequest(
                node=self._node,
                run_id=self._run.run_id,
                object_id=object_id,
                object_content=content,
                session_id=session,
            )
        )

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """The answers that are there; one whose parts were lost on the way comes as an error of its sender."""
        got = self._client.PullMessages(PullAppMessagesRequest(message_ids=list(message_ids)))
        heads = [message.metadata for message in got.messages_list]
        return [self._pull(head.message_id, head.reply_to_message_id) for head in heads]

    def _pull(self, message_id: str, reply_to: str) -> Message:
        try:
            message = inflate(message_id, self._pull_part)
        except (PartLost, ProtocolError, KeyError, ValueError, TypeError, IndexError) as error:
            return self._lost(reply_to, type(error).__name__)
        finally:
            self._client.ConfirmMessageReceived(
                ConfirmMessageReceivedRequest(
                    node=self._node, run_id=self._run.run_id, message_object_id=message_id
                )
            )
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
