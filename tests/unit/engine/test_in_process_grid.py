"""The in-process grid: Flower's names that it needs are there, and it behaves as a network would."""

import ast
import importlib
import inspect
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid

from fedrisk.clients import app as app_module
from fedrisk.clients.app import SHARED
from fedrisk.clients.app import app as client_app
from fedrisk.clients.node import Node
from fedrisk.engine import in_process_grid as module
from fedrisk.engine.in_process import load_nodes, register, run_local
from fedrisk.engine.in_process_grid import InProcessGrid
from fedrisk.errors import ConfigError, EnvelopeError, PeerError
from fedrisk.protocol.packed import SMALL
from fedrisk.protocol.payload import Payload, from_record, refused, reply, request, to_record
from fedrisk.recipes import recipe_actions
from fedrisk.secure.identity import IdentityKey
from fedrisk.server.hub import Hub

pytestmark = pytest.mark.slow

SECRET = "enterprise 4711 owes 13 yuan"

ACTION_NAMES = sorted({action.name for action in (*SHARED, *recipe_actions())})


def names_of_flower():
    """(module, name) of everything that engine/grid.py imports from flwr."""
    for node in ast.walk(ast.parse(Path(module.__file__).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "flwr":
            yield from ((node.module, alias.name) for alias in node.names)


def echo_app(seen, change=None):
    """A ClientApp that keeps what it was given and sends the same content back."""
    app = ClientApp()

    @app.query("mask")
    def mask(message: Message, context: Context) -> Message:
        seen.append((message, context))
        if change:
            change(message)
        return reply(from_record(message.content), message)

    @app.query("release")
    def release(message: Message, context: Context) -> Message:
        raise RuntimeError(SECRET)

    return app


@pytest.fixture
def paths():
    return {"one": Path("/one.toml"), "two": Path("/two.toml")}


# --- contract with the installed Flower ---------------------------------------------------------------------


def test_the_names_are_read_from_the_source():
    assert ("flwr.supercore.task_identity", "TaskIdentity") in set(names_of_flower())


@pytest.mark.parametrize(("where", "name"), sorted(names_of_flower()))
def test_every_name_of_flower_exists(where, name):
    assert hasattr(importlib.import_module(where), name)


def test_the_private_fields_that_the_grid_sets_exist():
    InProcessGrid(ClientApp(), {})
    message = Message(RecordDict(), 1, "query.mask")
    assert {"_message_id", "_reply_to_message_id"} <= set(message.metadata.__dict__)
    assert isinstance(message.object_id, str)
    for name in ("task_id", "run_id", "node_id"):
        assert getattr(module.TaskIdentity, name) is not None
    assert hasattr(module.ErrorCode, "NODE_UNAVAILABLE")
    assert hasattr(module.ErrorCode, "CLIENT_APP_RAISED_EXCEPTION")


def test_the_grid_has_flowers_methods_with_flowers_parameters(paths):
    grid = InProcessGrid(ClientApp(), paths)
    assert isinstance(grid, Grid)
    assert not InProcessGrid.__abstractmethods__
    for name in Grid.__abstractmethods__ - {"run"}:
        ours = inspect.signature(getattr(InProcessGrid, name)).parameters
        theirs = inspect.signature(getattr(Grid, name)).parameters
        assert list(ours) == list(theirs), name


# --- messages -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wire", [True, False])
def test_messages_arrive_equal(paths, wire):
    seen = []
    grid = InProcessGrid(echo_app(seen), paths, wire=wire)
    node = grid.get_node_ids()[1]
    sent = Payload({"a": [1, None]}, {"x": np.arange(6, dtype=np.uint16).reshape(2, 3), "y": b"\x00raw"})
    (answer,) = grid.send_and_receive([request(sent, "mask", node, ttl=5.0)])
    message, context = seen[0]
    for got in (from_record(message.content), from_record(answer.content)):
        assert got.body == sent.body
        assert got.raw("y") == sent.raw("y")
        np.testing.assert_array_equal(got.array("x"), sent.array("x"))
    assert message.metadata.message_type == "query.mask"
    assert message.metadata.dst_node_id == context.node_id == node
    assert context.node_config == {"institution": "/two.toml"}


def test_messages_arrive_as_copies(paths):
    """A node that writes to what it was given changes nothing at the hub."""
    seen = []

    def change(message):
        message.content.config_records["body"]["json"] = '{"changed": true}'

    grid = InProcessGrid(echo_app(seen, change), paths)
    large = bytes(SMALL + 1)
    message = request(Payload({"a": 1}, {"x": large}), "mask", grid.get_node_ids()[0], ttl=5.0)
    (answer,) = grid.send_and_receive([message])
    assert from_record(message.content).body == {"a": 1}
    assert from_record(answer.content).body == {"changed": True}
    arrived = seen[0][0]
    assert arrived is not message
    assert arrived.content is not message.content
    assert answer.content is not arrived.content
    ours = message.content.array_records["blobs"]["x"]
    assert arrived.content.array_records["blobs"]["x"] is not ours


def test_answers_belong_to_their_messages_and_are_handed_out_once(paths):
    grid = InProcessGrid(echo_app([]), paths)
    one, two = grid.get_node_ids()
    ids = grid.push_messages([request(Payload({"n": n}), "mask", n, ttl=5.0) for n in (one, two)])
    assert len(set(ids)) == 2
    (second,) = grid.pull_messages([ids[1]])
    assert second.metadata.reply_to_message_id == ids[1]
    assert from_record(second.content).get("n") == two
    (first,) = grid.pull_messages(ids)
    assert first.metadata.reply_to_message_id == ids[0]
    assert first.metadata.message_id not in ids
    assert grid.pull_messages([*ids, "unheard-of"]) == []


def test_an_unknown_node_answers_with_an_error(paths):
    grid = InProcessGrid(echo_app([]), paths)
    (answer,) = grid.send_and_receive([request(Payload(), "mask", 12345, ttl=5.0)])
    assert answer.has_error()
    assert answer.error.code == module.ErrorCode.NODE_UNAVAILABLE


@pytest.mark.parametrize("action", ["release", "deliver"])
def test_what_a_node_raises_never_reaches_the_hub(paths, action):
    """A handler that raises, and an action that the app does not know."""
    grid = InProcessGrid(echo_app([]), paths)
    (answer,) = grid.send_and_receive([request(Payload(), action, grid.get_node_ids()[0], ttl=5.0)])
    assert answer.has_error()
    assert SECRET not in repr(answer.error.reason)
    assert answer.error.reason == "refused"


def test_state_of_a_node_is_its_own(paths):
    grid = InProcessGrid(echo_app(seen := []), paths)
    for node in grid.get_node_ids():
        grid.send_and_receive([request(Payload(), "mask", node, ttl=5.0)])
    assert len({context.node_id for _, context in seen}) == 2
    assert len({context.run_id for _, context in seen}) == 1
    assert {context.node_config["institution"] for _, context in seen} == {"/one.toml", "/two.toml"}


def test_a_message_of_flowers_own_making(paths):
    grid = InProcessGrid(echo_app([]), paths)
    content = to_record(Payload({"a": 1}))
    message = grid.create_message(content, "query.mask", grid.get_node_ids()[0], "group", ttl=3.0)
    (answer,) = grid.send_and_receive([message])
    assert from_record(answer.content).body == {"a": 1}


# --- the real ClientApp -------------------------------------------------------------------------------------


def asked(grid, action, payload):
    (answer,) = grid.send_and_receive([request(payload, action, grid.get_node_ids()[0], ttl=5.0)])
    return answer


def test_errors_of_a_real_node_stay_in_its_log(consortium, monkeypatch):
    def fail(node, payload):
        raise ValueError(SECRET)

    describe = replace(app_module.SHARED[0], serve=fail)
    monkeypatch.setattr(app_module, "SHARED", (describe, *app_module.SHARED[1:]))
    grid = InProcessGrid(client_app, consortium.paths)
    described = {"attempt": "a" * 16, "study": {}, "research_seed": None}
    answer = asked(grid, "describe", Payload(described))
    assert not answer.has_error()
    assert dict(from_record(answer.content).body) == {"refused": "internal"}
    assert SECRET not in repr(answer.content)
    (entry,) = Node.load(consortium.paths["bank"]).store.errors.of("a" * 16)
    # At home stands where it arose; the message of an error that nobody foresaw may quote a row, and stands nowhere.
    assert entry["code"] == "internal" and "ValueError" in entry["text"] and "in fail" in entry["traceback"]
    assert SECRET not in repr(entry)


def test_a_full_disk_turns_no_refusal_into_an_exception(consortium, monkeypatch):
    def full(*_, **__):
        raise OSError(28, SECRET)

    monkeypatch.setattr("fedrisk.clients.store.error_log.ErrorLog.add", full)
    grid = InProcessGrid(client_app, consortium.paths)
    answer = asked(grid, "mask", Payload({"attempt": "a" * 16}))
    assert from_record(answer.content).refusal == "protocol"


def test_a_node_without_a_readable_file_refuses_with_a_code(fedrisk_home):
    answer = asked(InProcessGrid(client_app, {"x": Path("/nowhere.toml")}), "describe", Payload())
    assert from_record(answer.content).refusal == "config"


def test_closing_what_never_began_is_no_error(consortium):
    answer = asked(InProcessGrid(client_app, consortium.paths), "close", Payload({"attempt": "a" * 16}))
    assert dict(from_record(answer.content).body) == {}


@pytest.mark.parametrize("action", [a for a in ACTION_NAMES if a not in ("describe", "close")])
def test_no_action_is_served_before_the_study_is_described(consortium, action):
    grid = InProcessGrid(client_app, consortium.paths)
    answer = from_record(asked(grid, action, Payload({"attempt": "a" * 16, "release": "counts"})).content)
    # Most actions know no field "release".
    assert answer.refusal in ("protocol", "version")
    assert answer.body == refused(answer.refusal).body and not answer.blobs


# --- studies on one machine ---------------------------------------------------------------------------------


def test_registration_pins_everybody_at_everybody(consortium):
    nodes, hub = load_nodes(consortium.paths), Hub.default()
    register(nodes, hub)
    register(nodes, hub)
    keys = {name: node.store.identity.public for name, node in nodes.items()}
    assert hub.pins == keys
    for node in nodes.values():
        assert node.store.pins.hub == hub.identity.public
        assert dict(node.store.pins.institutions) == keys


def test_a_renewed_key_has_to_be_looked_at(consortium):
    nodes, hub = load_nodes(consortium.paths), Hub.default()
    register(nodes, hub)
    (nodes["tax"].store.path / "identity.key").unlink()
    IdentityKey.generate().save(nodes["tax"].store.path / "identity.key")
    with pytest.raises(EnvelopeError, match="the key of tax is not the one pinned"):
        register(load_nodes(consortium.paths), hub)


def test_files_are_held_against_the_names_of_the_study(consortium):
    paths = consortium.paths
    with pytest.raises(ConfigError, match=r"says name = power; the study expects tax"):
        load_nodes({**paths, "tax": paths["power"]})


def test_a_refusal_on_one_machine_tells_the_reason(consortium):
    with pytest.raises(PeerError) as caught:
        run_local(consortium.study("purpose=marketing"), consortium.paths)
    text = str(caught.value)
    assert "no agreement from bank, tax, power (refused, refused, refused)" in text
    assert "tax: tax takes no part in study tiny: purpose marketing is not among policy.purposes" in text
    assert all(node.ledger.spent() == 0 for node in load_nodes(consortium.paths).values())
