"""The ClientApp: a refusal is a code, whatever the message was and whatever goes wrong with the refusal itself."""

import pytest
from flwr.app import Message, RecordDict

from fedrisk.clients import app
from fedrisk.clients.node import Node
from fedrisk.engine.in_process_grid import InProcessGrid
from fedrisk.errors import VersionError
from fedrisk.protocol.payload import Payload, from_record, protocol_of, request, to_record
from fedrisk.protocol.versions import PROTOCOL, Spoken


@pytest.fixture
def ask(consortium):
    grid = InProcessGrid(app.app, {"bank": consortium.paths["bank"]})
    (node,) = grid.get_node_ids()

    def ask(body, action="describe"):
        (reply,) = grid.send_and_receive([request(Payload(body), action, node, ttl=60.0)])
        assert not reply.has_error()
        return from_record(reply.content)

    return ask


STUDIES = [5, None, [], {"recipe": {"a": 1}}, {"gram": {"rows": 1}, "scorecard": 1}, {"institutions": 3}]


@pytest.mark.parametrize("study", STUDIES)
def test_a_study_that_is_none_is_refused_with_a_code(ask, study):
    answer = ask({"attempt": "0123456789", "study": study, "research_seed": None})
    assert answer.refusal in ("config", "protocol")


@pytest.mark.parametrize("action", ["describe", "blind", "close", "step"])
def test_a_refusal_that_cannot_be_entered_is_a_code_still(ask, monkeypatch, action):
    """Flower sends the text of an exception to the server."""

    def broken(*args):
        raise ValueError("a secret")

    monkeypatch.setattr(app, "record_refusal", broken)
    assert ask({"attempt": 3}, action).refusal == "protocol"


def test_an_error_that_nobody_foresaw_is_a_code(ask, monkeypatch):
    def broken(*args):
        raise ValueError("a secret")

    monkeypatch.setattr(app, "from_record", broken)
    assert ask({"attempt": "0123456789"}).body == {"refused": "internal"}


def test_a_message_without_records_is_refused(consortium):
    grid = InProcessGrid(app.app, {"bank": consortium.paths["bank"]})
    message = request(Payload(), "describe", grid.get_node_ids()[0], ttl=60.0)
    message.content = RecordDict()
    (reply,) = grid.send_and_receive([message])
    # It names no protocol.
    assert from_record(reply.content).refusal == "version"


@pytest.mark.parametrize("kind", ["query.no_such_action", "query.default", "train.step", "evaluate"])
def test_an_action_that_is_not_known_is_refused_as_of_another_version(consortium, kind):
    """Flower itself would raise, and the hub would see a node that was lost."""
    grid = InProcessGrid(app.app, {"bank": consortium.paths["bank"]})
    message = Message(to_record(Payload({"attempt": "0123456789"})), grid.get_node_ids()[0], kind, ttl=60.0)
    (reply,) = grid.send_and_receive([message])
    answer = from_record(reply.content)
    assert answer.body == {"refused": "version", **Spoken.here().to_dict()}
    said = Node.open(consortium.paths["bank"]).store.errors.of("0123456789")[-1]
    assert "Upgrade fedrisk here" in said["text"]


def test_an_action_of_another_recipe_is_refused_as_of_another_version(consortium):
    with pytest.raises(VersionError, match="does not know; the hub runs a later"):
        app.action_of(Node.open(consortium.paths["bank"]), "no_such_action", Payload())


@pytest.mark.parametrize(
    ("protocol", "whom"), [(0, "at the hub has to be upgraded"), (9, "upgrade fedrisk here")]
)
def test_a_protocol_that_is_not_known_is_refused_with_what_is_spoken(consortium, protocol, whom):
    grid = InProcessGrid(app.app, {"bank": consortium.paths["bank"]})
    message = request(
        Payload({"attempt": "0123456789"}), "close", grid.get_node_ids()[0], ttl=60.0, protocol=protocol
    )
    (reply,) = grid.send_and_receive([message])
    assert Spoken.found(from_record(reply.content).body) == Spoken.here()
    assert protocol_of(reply.content) == PROTOCOL
    assert whom in Node.open(consortium.paths["bank"]).store.errors.of("none")[-1]["text"]
