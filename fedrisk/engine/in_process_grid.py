"""A Flower grid in this process: messages to a ClientApp are function calls, nothing else is different.

The default engine of a study on one machine. Every message passes through Flower's own serialisation
(``wire``), so that what works here works between machines. Needs names that are private to flwr, which is
why its version is pinned to one minor release and a contract test runs this grid against Flower's own.
"""

import itertools
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.constant import SUPERLINK_NODE_ID, ErrorCode
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, no_object_id_recompute
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity


class InProcessGrid(Grid):
    """Nodes of one process, one for each institution file.

    One grid a process at a time: Flower keeps who a message comes from in a process-wide place.
    """

    def __init__(self, client_app: ClientApp, institutions: Mapping[str, Path], *, wire: bool = True) -> None:
        self._run = Run.create_empty(secrets.randbits(62))
        self._app = client_app
        self._wire = wire
        self._numbers = itertools.count(1)
        self._replies: dict[str, Message] = {}
        self._contexts = {
            node: Context(
                run_id=self._run.run_id,
                node_id=node,
                node_config={"institution": str(path)},
                state=RecordDict(),
                run_config={},
            )
            for path in institutions.values()
            for node in [secrets.randbits(62)]
        }
        self._names = dict(zip(self._contexts, institutions, strict=True))
        TaskIdentity.task_id, TaskIdentity.run_id = 1, self._run.run_id
        TaskIdentity.node_id = SUPERLINK_NODE_ID

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
        """Ids of all nodes; they are all there from the start."""
        return list(self._contexts)

    def get_nodes(self) -> list[Any]:
        """Nodes with the names of their institutions, as a SuperLink has those under which nodes were registered."""
        return [NodeInfo(node_id=node, name=name, status="online") for node, name in self._names.items()]

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Serve each message at once and keep the replies until they are pulled."""
        ids = []
        for message in messages:
            name = f"message-{next(self._numbers)}"
            message.metadata.__dict__["_message_id"] = name
            answer = self._serve(message)
            answer.metadata.__dict__["_message_id"] = f"message-{next(self._numbers)}"
            answer.metadata.__dict__["_reply_to_message_id"] = name
            self._replies[name] = answer
            ids.append(name)
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Replies to these messages, each handed out once."""
        return [self._replies.pop(i) for i in list(message_ids) if i in self._replies]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """Push and pull in one call; there is nothing to wait for."""
        return self.pull_messages(self.push_messages(messages))

    def _serve(self, message: Message) -> Message:
        context = self._contexts.get(message.metadata.dst_node_id)
        if context is None:
            return Message(Error(ErrorCode.NODE_UNAVAILABLE, "unknown node"), reply_to=message)
        try:
            return self._copy(self._app(self._copy(message), context))
        except Exception:
            return Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, "refused"), reply_to=message)

    def _copy(self, message: Message) -> Message:
        """The message as it arrives elsewhere: written out in Flower's format and read back."""
        if not self._wire:
            return message
        # Else every object is hashed once more for each object that it is part of.
        with no_object_id_recompute():
            parts = {key: item.deflate() for key, item in get_all_nested_objects(message).items()}
            copy: Message = inflate_object_from_contents(message.object_id, parts)  # type: ignore[assignment]
        copy.metadata.__dict__["_message_id"] = message.metadata.message_id
        return copy
