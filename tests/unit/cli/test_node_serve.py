"""``fedrisk node serve``, ``status`` and ``errors``: what is refused before anything is connected, and what is shown."""

import json

import pytest

from fedrisk.deploy.serving import serving
from fedrisk.errors import PolicyError
from support.consortium import joined
from support.hub_process import free_port


@pytest.fixture
def made(fedrisk, tmp_path):
    return joined(tmp_path / "c", {"bank": "bank"}, address=f"127.0.0.1:{free_port()}")


@pytest.fixture
def node(made):
    return made.nodes["bank"].path


def test_a_hub_that_is_away_is_temporary(fedrisk, made, node, monkeypatch):
    monkeypatch.setattr("fedrisk.cli.node_serve.ONCE", 0.0)
    code, _, err = fedrisk("node", "serve", node, "--once")
    assert code == 75
    assert f"the hub at {made.nodes['bank'].hub} does not answer" in err
    assert "error (later)" in err


def test_a_node_without_its_own_institution_file_does_not_begin(fedrisk, made, node):
    made.nodes["bank"].institution.unlink()
    code, _, err = fedrisk("node", "serve", node)
    assert code == 3
    assert "bank.toml" in err


def test_a_folder_whose_store_belongs_to_another_node_does_not_begin(fedrisk, made, node):
    """Two hubs, or two folders, for one institution would be two of its ledger's readers."""
    file = made.node("bank").store.deployment_path
    file.write_text(json.dumps({**json.loads(file.read_text()), "node": "/other/node"}))
    code, _, err = fedrisk("node", "serve", node)
    assert code == 3
    assert "belongs to the node in /other/node" in err
    file.unlink()
    code, _, err = fedrisk("node", "serve", node)
    assert code == 3
    assert "is in no consortium" in err


def test_a_folder_is_served_by_one_process(fedrisk, node):
    with serving(node):
        code, _, err = fedrisk("node", "serve", node)
    assert code == 9
    assert "is served already by process" in err


def test_a_folder_that_is_no_node(fedrisk, tmp_path):
    for command in ("serve", "status", "errors"):
        code, _, err = fedrisk("node", command, tmp_path)
        assert code == 3
        assert "is no node's folder" in err


def test_status_of_a_node_that_does_not_run(fedrisk, node):
    code, out, _ = fedrisk("node", "status", node)
    assert code == 1
    assert "bank at the hub 127.0.0.1:" in out and "not running" in out
    assert "does not answer" in out
    about = json.loads(fedrisk("node", "status", node, "--json")[1])
    assert about["running"] is False and about["connected"] is False
    assert about["roster_epoch"] == 2 or about["roster_epoch"] == 1
    assert about["proposals_waiting"] == 0


def test_status_beside_a_node_that_serves(fedrisk, node):
    with serving(node) as status:
        status.say(name="bank", connected=True, since=0.0, ahead=1.2, last_message=60.0, last_action="mask")
        status.say(certificate_until=4e9)
        code, out, _ = fedrisk("node", "status", node)
        about = json.loads(fedrisk("node", "status", node, "--json")[1])
    assert code == 0
    assert "connected since 1970-01-01T00:00:00Z" in out
    assert "1970-01-01T00:01:00Z (mask)" in out and "+1 s against the hub" in out
    assert about["connected"] is True and about["certificate_days"] > 0


def test_errors_are_for_people_at_home(fedrisk, made, node):
    store = made.node("bank").store
    assert "no errors" in fedrisk("node", "errors", node)[1]
    store.errors.add("aaaa1111", "describe", PolicyError("the purpose is not allowed"))
    store.errors.add("bbbb2222", "mask", PolicyError("another reason"))
    out = fedrisk("node", "errors", node)[1]
    assert "the purpose is not allowed" in out and "another reason" in out
    out = fedrisk("node", "errors", node, "--attempt", "bbbb")[1]
    assert "another reason" in out and "purpose" not in out
    (last,) = json.loads(fedrisk("node", "errors", node, "--last", 1, "--json")[1])
    assert last["attempt"] == "bbbb2222" and last["code"] == "refused"
