"""The ClientApp: finds the node and the handler of an action, serves it, and answers.

Which institution a process is comes from the node's own configuration (``institution``: path of its file) and from
nothing that the hub says. An error's text stays in the node's log; the hub gets its code.
"""

import contextlib
import logging
from functools import partial
from pathlib import Path

from flwr.app import Context
from flwr.app import Message as FlowerMessage
from flwr.clientapp import ClientApp
from flwr.clientapp.typing import Mod

from fedrisk.clients import align, common_view, proposals, roster
from fedrisk.clients.describe import Closed, Described, close, describe
from fedrisk.clients.hand_over import HAND_OVER
from fedrisk.clients.node import Node
from fedrisk.clients.trail import Message, record_answer, record_refusal, record_request
from fedrisk.errors import ConfigError, FedriskError, ProtocolError, StoreError, code_of
from fedrisk.protocol.actions import Action, Disclosure
from fedrisk.protocol.form import Form
from fedrisk.protocol.payload import Payload, from_record, refused, reply
from fedrisk.recipes import find_recipe, recipe_actions, recipe_of

SHARED: tuple[Action, ...] = (
    Action(
        name="describe",
        serve=partial(describe, find=find_recipe),
        form=Form(body=Described),
        in_attempt=False,
        answers=Disclosure("agreement", "public_to_study"),
    ),
    *align.ACTIONS,
    *roster.ACTIONS,
    Action(
        name="propose",
        serve=partial(proposals.propose, find=find_recipe),
        form=proposals.FORM,
        in_attempt=False,
        entered=False,
    ),
    Action(name="close", serve=close, form=Form(body=Closed), in_attempt=False),
    HAND_OVER,
)
"""What every node answers, whatever the recipe."""


def action_of(node: Node, name: str, request: Payload) -> Action:
    """The action of that name: one of all recipes, or one of the recipe of the attempt's study; ProtocolError."""
    for action in SHARED:
        if action.name == name:
            return action
    study = node.attempt(request).study
    for action in recipe_of(study).actions():
        if action.name == name:
            return action
    raise ProtocolError(
        f"recipe {study.recipe} has no action {name}; hub and institution must run the same version"
    )


def serve(name: str, message: FlowerMessage, context: Context) -> FlowerMessage:
    """Answer one message; never raises, because Flower would send the text of an exception to the server."""
    try:
        node = Node.open(institution_file(context))
        with node.store.one_at_a_time():
            return reply(_answer_or_refuse(node, name, message), message)
    except Exception as error:
        # The institution's file or its store cannot be opened: there is nowhere to write to.
        logging.getLogger("fedrisk").error("%s refused: %s", name, error)
        return reply(refused(code_of(error)), message)


def _answer_or_refuse(node: Node, name: str, message: FlowerMessage) -> Payload:
    """The answer, or the refusal; the attempt is over before any other message is served."""
    payload = None
    try:
        payload = from_record(message.content)
        try:
            return _answer(node, name, payload)
        except StoreError:
            # Of all messages the same may be asked a second time.
            if not _give_back_room(node, payload):
                raise
            return _answer(node, name, payload)
    except Exception as error:
        _refuse(node, name, payload, error)
        return refused(code_of(error))


def _give_back_room(node: Node, request: Payload) -> bool:
    """Let go of the room that the attempt kept on the disk, once the disk is full; whether there was any."""
    try:
        return node.store.attempt(str(request.body.get("attempt"))).give_back_room()
    except FedriskError:
        return False


def _answer(node: Node, name: str, payload: Payload) -> Payload:
    try:
        action = action_of(node, name, payload)
    except FedriskError:
        record_request(Message(node, name, payload, None))
        raise
    message = Message(node, name, payload, action)
    if action.entered:
        record_request(message)
    request = common_view.take(node, payload, action)
    answer = common_view.confirmed(node, payload, action, action.serve(node, request))
    if action.last:
        # Not before: others wait for this member's confirmation of what came with the message.
        node.attempt(request).state.forget_secrets()
    if action.entered:
        record_answer(message, answer)
    return answer


def _refuse(node: Node, name: str, payload: Payload | None, error: Exception) -> None:
    """Keep the reason at home, enter the refusal, and take no further part in the attempt."""
    attempt = "none" if payload is None else str(payload.body.get("attempt", "none"))
    # Nothing, be it a full disk or a message that no entry can hold, may turn the refusal into an exception.
    with contextlib.suppress(Exception):
        node.store.log_error(attempt, name, error)
    with contextlib.suppress(Exception):
        record_refusal(Message(node, name, payload or Payload(), None), error)
    with contextlib.suppress(Exception):
        node.store.attempt(attempt).forget_secrets()


def institution_file(context: Context) -> Path:
    """Path of the institution's file; ConfigError where the node's configuration does not name it."""
    if "institution" in context.node_config:
        return Path(str(context.node_config["institution"]))
    raise ConfigError(
        "this node does not know its institution: start it with --node-config 'institution=\"/path/NAME.toml\"'"
    )


def make_app(mods: list[Mod] | None = None) -> ClientApp:
    """A ClientApp that answers the actions of all recipes; ``mods`` are Flower's, around each answer."""
    made = ClientApp()
    every = [*SHARED, *recipe_actions()]
    for name in dict.fromkeys(action.name for action in every):
        made.query(name, mods=mods)(partial(serve, name))
    return made


app = make_app()
