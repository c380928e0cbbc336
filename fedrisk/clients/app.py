"""The ClientApp: one handler an action, each of which finds the node, does its work and answers.

Which institution a process is comes from the node's own configuration (``institution``: path of its file),
or, in a simulation on one machine, from the partition's number among the institution files. An error's text
stays in the node's own log; the hub gets its code.
"""

import contextlib
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from fedrisk.clients import agree, align, conclude, deliver, release, score, train
from fedrisk.clients.node import Node
from fedrisk.clients.trail import record_answer, record_refusal, record_request
from fedrisk.errors import ConfigError, FedriskError
from fedrisk.protocol import Payload, from_record, refused, reply

Handler = Callable[[Node, Payload], Payload]

HANDLERS: dict[str, Handler] = {
    "describe": agree.describe,
    "blind": align.blind,
    "evaluate": align.evaluate,
    "pseudonyms": align.pseudonyms,
    "edges": release.edges,
    "mask": release.mask_matrices,
    "release": release.release_sums,
    "score": score.score,
    "deliver": deliver.deliver,
    "prepare": train.prepare,
    "shares": train.shares,
    "step": train.step,
    "unmask": train.unmask,
    "conclude": conclude.conclude,
    "close": agree.close,
}

app = ClientApp()


def serve(action: str, message: Message, context: Context) -> Message:
    """Answer one message; never raises, because Flower would send the text of an exception to the server."""
    payload, node = None, None
    try:
        node = Node.load(institution_file(context))
        payload = from_record(message.content)
        with node.store.one_at_a_time():
            record_request(node, action, payload)
            answer = HANDLERS[action](node, payload)
            record_answer(node, action, payload, answer)
        return reply(answer, message)
    except Exception as error:
        if node is not None:
            with node.store.one_at_a_time():
                _refuse(node, action, payload, error)
        else:  # the institution's own file cannot be read: there is no store to write to
            logging.getLogger("fedrisk").error("%s refused: %s", action, error)
        return reply(refused(error.code if isinstance(error, FedriskError) else "internal"), message)


def _refuse(node: Node, action: str, payload: Payload | None, error: Exception) -> None:
    """Keep the reason at home, enter the refusal, and take no further part in the attempt."""
    attempt = "none" if payload is None else str(payload.body.get("attempt", "none"))
    with contextlib.suppress(OSError):  # a full disk must not turn the refusal into an exception
        node.store.log_error(attempt, action, error)
    with contextlib.suppress(FedriskError, OSError):
        record_refusal(node, action, payload, error)
    with contextlib.suppress(FedriskError, OSError):
        node.store.attempt(attempt).forget_secrets()


def institution_file(context: Context) -> Path:
    """Path of the own institution file; ConfigError where neither node nor run configuration tells it."""
    if "institution" in context.node_config:
        return Path(str(context.node_config["institution"]))
    if "partition-id" in context.node_config and context.run_config.get("study"):
        files = sorted(
            (Path(str(context.run_config["study"])).resolve().parent / "institutions").glob("*.toml")
        )
        number = int(context.node_config["partition-id"])
        if number < len(files):
            return files[number]
    raise ConfigError(
        "this node does not know its institution: start it with --node-config 'institution=\"/path/NAME.toml\"'"
    )


for _action in HANDLERS:
    app.query(_action)(partial(serve, _action))
