"""A consortium by its commands: invitation, request, words, admission, roster, new keys, expulsion."""

import json
import re

import pytest

from fedrisk.clients.node import Node
from fedrisk.clients.roster import Rosters, receive
from fedrisk.deploy.hub_home import HubHome
from fedrisk.deploy.node_home import NodeHome
from fedrisk.deploy.roster import after_epoch
from support.consortium import institution_file


def words_in(text, what):
    """The words that a screen shows of something."""
    return re.search(rf"words of {what}: +((?:[a-z]+ ){{7}}[a-z]+)", text).group(1)


@pytest.fixture
def hub(fedrisk, tmp_path):
    code, out, _ = fedrisk("hub", "init", "hub", "--name", "Pilot", "--address", "127.0.0.1:9490")
    assert code == 0
    return words_in(out, "the hub")


@pytest.fixture
def invited(fedrisk, tmp_path, hub):
    """A bank with a request on its way; the words of it."""
    assert fedrisk("hub", "invite", "hub", "bank", "--role", "bank")[0] == 0
    file = institution_file(tmp_path / "inst", "bank", "bank")
    code, out, _ = fedrisk("node", "init", "node", "bank.kit.json", "--institution", file, "--words", hub)
    assert code == 0
    return words_in(out, "this request")


@pytest.fixture
def admitted(fedrisk, invited):
    """A bank that was admitted; nothing is accepted there."""
    assert fedrisk("hub", "admit", "hub", "bank.request.json", "--words", invited)[0] == 0


def tell(hub="hub", node="node"):
    """What the hub's process does: the node receives all epochs that it lacks."""
    home = NodeHome.load(node)
    rosters = Rosters(home)
    known = rosters.newest
    lacks = after_epoch(HubHome.load(hub), 0 if known is None else known.epoch)
    receive(Node.open(home.institution), rosters, lacks)


def test_the_words_are_asked_for_before_anything_is_done(fedrisk, invited):
    code, out, err = fedrisk("hub", "admit", "hub", "bank.request.json")
    assert code == 3
    assert "were not compared" in err
    assert invited not in out + err, "whoever types them must have heard them"
    wrong = " ".join(reversed(invited.split()))
    code, _, err = fedrisk("hub", "admit", "hub", "bank.request.json", "--words", wrong)
    assert code == 7
    assert "compare again" in err.lower()
    assert json.loads(fedrisk("hub", "roster", "hub", "--json")[1])["members"] == []


def test_the_hubs_words_are_asked_for_at_the_node(fedrisk, tmp_path, hub):
    fedrisk("hub", "invite", "hub", "bank", "--role", "bank", "--out", "k.json")
    file = institution_file(tmp_path / "inst", "bank", "bank")
    base = ("node", "init", "node", "k.json", "--institution", file)
    assert fedrisk(*base)[0] == 3
    assert fedrisk(*base, "--words", "toy fame budget assume tragic ocean kid make")[0] == 7
    assert not (tmp_path / "node").exists()
    assert fedrisk(*base, "--yes", "--out", "r.json")[0] == 0
    assert (tmp_path / "r.json").exists()


def test_admission_is_shown_and_done_once(fedrisk, invited):
    code, out, _ = fedrisk("hub", "admit", "hub", "bank.request.json", "--words", invited)
    assert code == 0
    assert "bank is a member of Pilot as bank, from epoch 2" in out
    code, _, err = fedrisk("hub", "admit", "hub", "bank.request.json", "--words", invited)
    assert code == 3
    assert "already" in err
    code, out, _ = fedrisk("hub", "roster", "hub")
    assert code == 0
    assert re.search(r"bank +bank +epoch 2", out)


def test_a_wrong_file_is_named(fedrisk, invited, tmp_path):
    assert "is a kit" in fedrisk("hub", "admit", "hub", "bank.kit.json")[2]
    (tmp_path / "x.json").write_text("rubbish")
    assert fedrisk("hub", "admit", "hub", "x.json")[0] == 7
    assert "cannot be read" in fedrisk("hub", "admit", "hub", "nothing.json")[2]
    code, _, err = fedrisk(
        "node", "init", "n2", "bank.request.json", "--institution", tmp_path / "inst" / "bank.toml"
    )
    assert code == 7
    assert "damaged, cut off or edited" in err


def test_a_kit_is_not_written_over_a_file(fedrisk, hub):
    assert fedrisk("hub", "invite", "hub", "bank", "--role", "bank")[0] == 0
    code, _, err = fedrisk("hub", "invite", "hub", "bank", "--role", "bank", "--renew")
    assert code == 3
    assert "--force" in err
    assert fedrisk("hub", "invite", "hub", "bank", "--role", "bank", "--renew", "--force")[0] == 0


def test_a_node_accepts_what_is_pending_once_words_were_compared(fedrisk, admitted, tmp_path, hub):
    assert "nothing is pending" in fedrisk("node", "roster", "node")[1]
    tell()
    assert fedrisk("node", "roster", "node", "--accept")[0] == 0, "only itself is new"
    fedrisk("hub", "invite", "hub", "tax", "--role", "holder", "--display-name", "税务局")
    file = institution_file(tmp_path / "inst", "tax", "holder")
    _, out, _ = fedrisk("node", "init", "node_tax", "tax.kit.json", "--institution", file, "--yes")
    fedrisk("hub", "admit", "hub", "tax.request.json", "--words", words_in(out, "this request"))
    tell()
    _, out, _ = fedrisk("node", "roster", "node")
    assert "pending: epoch 3" in out
    words = re.search(r"tax \(税务局\) joined as holder; words: (.*)", out).group(1)
    assert fedrisk("node", "roster", "node", "--accept")[0] == 3
    assert fedrisk("node", "roster", "node", "--accept", "--words", f"tax: {words} x")[0] == 7
    assert json.loads(fedrisk("node", "roster", "node", "--json")[1])["pending"] == 3
    code, out, _ = fedrisk("node", "roster", "node", "--accept", "--words", f"tax: {words}", "--json")
    found = json.loads(out)
    assert (code, found["accepted"]["epoch"], found["pending"]) == (0, 3, None)
    code, _, err = fedrisk("node", "roster", "node", "--accept")
    assert code == 3
    assert "no epoch of the roster is pending" in err


def test_keys_are_changed_and_old_ones_retired(fedrisk, admitted, tmp_path):
    code, _, err = fedrisk("node", "rotate-keys", "node")
    assert code == 3
    assert "join first" in err
    tell()
    fedrisk("node", "roster", "node", "--accept", "--yes")
    key = (tmp_path / "node" / "flower.key").read_bytes()
    code, out, _ = fedrisk("node", "rotate-keys", "node")
    assert code == 0
    words = words_in(out, "this rotation")
    code, out, _ = fedrisk("hub", "admit", "hub", "bank.rotation.json", "--words", words)
    assert code == 0
    assert "hub retire hub bank" in out
    assert fedrisk("hub", "admit", "hub", "bank.rotation.json", "--words", words)[0] == 3
    tell()
    assert (tmp_path / "node" / "flower.key").read_bytes() == key
    code, out, err = fedrisk("node", "roster", "node", "--accept")
    assert code == 0
    assert "start fedrisk node serve again" in err
    assert (tmp_path / "node" / "flower.key").read_bytes() != key
    assert "1 earlier key(s)" in fedrisk("hub", "retire", "hub", "bank")[1]
    assert fedrisk("audit", "verify", tmp_path / "inst" / "bank.toml")[0] == 0
    fedrisk("audit", "export", tmp_path / "inst" / "bank.toml", "--to", "handed")
    assert len((tmp_path / "handed" / "bank.public").read_text().split()) == 2
    code, out, _ = fedrisk("audit", "compare", "handed")
    assert code == 0
    assert "entries hold" in out


def test_an_expulsion_is_told(fedrisk, admitted):
    assert fedrisk("hub", "expel", "hub", "tax", "--reason", "x")[0] == 3
    code, out, _ = fedrisk("hub", "expel", "hub", "bank", "--reason", "contract ended")
    assert code == 0
    assert "bank was expelled from Pilot, in epoch 3" in out
    assert "bank was expelled in epoch 3" in fedrisk("hub", "roster", "hub")[1]


def test_certificates_are_renewed(fedrisk, hub, tmp_path):
    before = (tmp_path / "hub" / "server.pem").read_bytes()
    code, out, _ = fedrisk("hub", "renew-certificate", "hub")
    assert code == 0
    assert "397 days left" in out
    assert (tmp_path / "hub" / "server.pem").read_bytes() != before
    assert fedrisk("hub", "renew-certificate", "hub", "--use-next")[0] == 3
    assert fedrisk("hub", "renew-certificate", "hub", "--next")[0] == 0
    assert fedrisk("hub", "renew-certificate", "hub", "--use-next")[0] == 5
    assert fedrisk("hub", "renew-certificate", "hub", "--use-next", "--at-once")[0] == 0
