"""The ClientApp: a refusal is a code, whatever the message was and whatever goes wrong with the refusal itself."""

import pytest
from flwr.app import RecordDict

from fedrisk.clients import app
from fedrisk.engine.in_process_grid import InProcessGrid
from fedrisk.protocol.payload import Payload, from_record, request


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
    assert from_record(reply.content).refusal == "protocol"
