"""The ClientApp: finds the node and the handler of an action, serves it, and answers.

Which institution a process is comes from the node's own configuration (``institution``: path of its file) and from
nothing that the hub says. An error's text stays in the node's log; the hub gets its code.
"""

import contextlib
import logging
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from flwr.app import Context
from flwr.app import Message as FlowerMessage
from flwr.clientapp import ClientApp

import fedrisk
from fedrisk.clients import align, common_view, proposals, roster
from fedrisk.clients.describe import Closed, Described, close, describe
from fedrisk.clients.hand_over import HAND_OVER
from fedrisk.clients.node import Node
from fedrisk.clients.observed import OBSERVED
from fedrisk.clients.resend import Incoming, goes_by
from fedrisk.clients.trail import Message, record_later, record_refusal, record_request
from fedrisk.errors import LATER, ConfigError, FedriskError, StoreError, VersionError, code_of
from fedrisk.protocol.actions import Action, Disclosure
from fedrisk.protocol.form import Form
from fedrisk.protocol.payload import Payload, from_record, protocol_of, refused, reply
from fedrisk.protocol.versions import check_of_hub
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
    OBSERVED,
)
"""What every node answers, whatever the recipe."""

_ACTION_NAME = re.compile(r"[a-z][a-z_]{0,39}")
Serve = Callable[[FlowerMessage, Context], FlowerMessage]
Mod = Callable[[FlowerMessage, Context, Serve], FlowerMessage]
"""Something around each answer, in Flower's words."""


def action_of(node: Node, name: str, request: Payload) -> Action:
    """The action of that name: one of all recipes, or one of the recipe of the attempt's study; VersionError."""
    for action in SHARED:
        if action.name == name:
            return action
    if name not in _names():
        raise VersionError(
            f"the hub asks for action {name}, which fedrisk {fedrisk.__version__} does not know; the hub runs a later "
            "version. Upgrade fedrisk here"
        )
    study = node.attempt(request).study
    for action in recipe_of(study).actions():
        if action.name == name:
            return action
    raise VersionError(
        f"the hub asks for action {name}, which recipe {study.recipe} does not have in fedrisk {fedrisk.__version__}; "
        "the hub runs another version. Run the same one here"
    )


def _names() -> set[str]:
    """Names of all actions that this version knows."""
    return {action.name for action in (*SHARED, *recipe_actions())}


def serve(name: str, message: FlowerMessage, context: Context) -> FlowerMessage:
    """Answer one message; never raises, because Flower would send the text of an exception to the server."""
    try:
        node = Node.open(institution_file(context))
        with node.store.one_at_a_time():
            return reply(_answer_or_refuse(node, name, message), message)
    except Exception as error:
        # The institution's file or its store cannot be opened: there is nowhere to write to.
        logging.getLogger("fedrisk").error("%s refused: %s", name, error)
        return reply(refused(LATER if goes_by(error) else code_of(error)), message)


def _answer_or_refuse(node: Node, name: str, message: FlowerMessage) -> Payload:
    """The answer, or the refusal; the attempt is over before any other message is served."""
    payload = None
    try:
        check_of_hub(protocol_of(message.content))
        payload = from_record(message.content)
        return _answer_with_room(node, name, payload)
    except Exception as error:
        if payload is not None and goes_by(error):
            return _later(node, name, payload, error)
        _refuse(node, name, payload, error)
        return refused(code_of(error))


def _answer_with_room(node: Node, name: str, payload: Payload) -> Payload:
    """The answer; once more where the disk is full and the attempt kept room. All messages may be asked twice."""
    try:
        return _answer(node, name, payload)
    except StoreError:
        if not _give_back_room(node, payload):
            raise
    # Outside the handler, so that the first error does not become the context of a second one.
    return _answer(node, name, payload)


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
    incoming = Incoming(Message(node, name, payload, action))
    if action.entered:
        incoming.record()
    answer = incoming.kept() if action.in_attempt else None
    if answer is None:
        request = common_view.take(node, payload, action)
        answer = common_view.confirmed(node, payload, action, action.serve(node, request))
        if action.in_attempt:
            incoming.keep(answer)
        elif action.name == "describe":
            incoming.remember()
    if action.last or (action.last_of_authority and not node.institution.has_table):
        # Not before: others wait for this member's confirmation of what came with the message.
        node.attempt(payload).state.forget_secrets()
    if action.entered:
        incoming.record_answer(answer)
    return answer


def _later(node: Node, name: str, payload: Payload, error: Exception) -> Payload:
    """Refuse for now: the reason is kept at home, and the attempt goes on once the fault is gone."""
    with contextlib.suppress(Exception):
        node.store.errors.add(str(payload.body.get("attempt", "none")), name, error)
    with contextlib.suppress(Exception):
        record_later(Message(node, name, payload, None), LATER)
    return refused(LATER)


def _refuse(node: Node, name: str, payload: Payload | None, error: Exception) -> None:
    """Keep the reason at home, enter the refusal, and take no further part in the attempt."""
    attempt = "none" if payload is None else str(payload.body.get("attempt", "none"))
    # Nothing, be it a full disk or a message that no entry can hold, may turn the refusal into an exception.
    with contextlib.suppress(Exception):
        node.store.errors.add(attempt, name, error)
    with contextlib.suppress(Exception):
        record_refusal(Message(node, name, payload or Payload(), None), error)
    with contextlib.suppress(Exception):
        node.store.attempt(attempt).forget_secrets()
    with contextlib.suppress(Exception):
        node.store.attempt(attempt).drop_answer()


def institution_file(context: Context) -> Path:
    """Path of the institution's file; ConfigError where the node's configuration does not name it."""
    if "institution" in context.node_config:
        return Path(str(context.node_config["institution"]))
    raise ConfigError(
        "this node does not know its institution: start it with --node-config 'institution=\"/path/NAME.toml\"'"
    )


class NodeApp(ClientApp):
    """Flower's ClientApp, which also answers what it has no action for: an exception would say nothing to the hub.

    names: of the actions that it has.
    """

    names: frozenset[str] = frozenset()

    def __call__(self, message: FlowerMessage, context: Context) -> FlowerMessage:
        """Answer a message: by its action, or by a refusal with the code ``version``."""
        kind, _, name = message.metadata.message_type.partition(".")
        if kind == "query" and name in self.names:
            return super().__call__(message, context)
        # A name that the hub chose goes into the trail and the log: only one that could be an action's.
        known = _ACTION_NAME.fullmatch(name) and kind == "query"
        return serve(name if known else "unknown", message, context)


def make_app(mods: list[Mod] | None = None) -> ClientApp:
    """A ClientApp that answers the actions of all recipes, and refuses others as of another version.

    mods: Flower's, around each answer.
    """
    made = NodeApp()
    made.names = frozenset(_names())
    for name in made.names:
        made.query(name, mods=mods)(partial(serve, name))
    return made


app = make_app()
