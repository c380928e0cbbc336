"""``fedrisk node proposals``, ``approve``, ``refuse`` and ``hub withdraw`` as people call them."""

import fcntl
import json
import os
import threading
import time

import pytest

from fedrisk.clients.app import app as client_app
from fedrisk.engine.in_process_grid import InProcessGrid
from fedrisk.recipes import study_from
from fedrisk.server.desk import Desk
from fedrisk.server.proposals import Proposals
from support.consortium import joined

REASON = "the consent register is not ready"


@pytest.fixture
def there(tmp_path, fedrisk_home):
    """A bank and a tax office that joined, two studies proposed to them, and the folders."""
    made = joined(tmp_path, {"bank": "bank", "tax": "holder"})
    grid = InProcessGrid(client_app, {name: home.institution for name, home in made.nodes.items()})
    proposals = Proposals(made.hub)
    members = [
        {"name": "bank", "role": "bank", "display_name": "甲银行"},
        {"name": "tax", "role": "holder"},
    ]
    for name, epsilon in (("first", 1.0), ("second", 9.0)):
        content = {"name": name, "purpose": "credit_scoring", "institutions": members}
        proposals.submit(study_from({**content, "privacy": {"epsilon": epsilon}}))
    Desk(grid, made.hub, proposals, None).turn()
    made.first, made.second = proposals.all()[0], proposals.all()[1]
    if made.first.whole.name != "first":
        made.first, made.second = made.second, made.first
    made.folder = made.nodes["bank"].path
    return made


def test_all_proposals_at_a_glance(there, fedrisk):
    code, out, err = fedrisk("node", "proposals", there.folder)
    assert code == 0
    assert there.first.id in out
    assert "waiting" in out
    assert "refused" in out
    assert "1 wait for a decision" in err
    code, out, _ = fedrisk("node", "proposals", there.folder, "--json")
    found = {p["id"]: p for p in json.loads(out)["proposals"]}
    assert found[there.first.id]["state"] == "waiting"
    assert found[there.second.id]["state"] == "refused"
    assert "max_epsilon" in found[there.second.id]["decision"]["reason"]


def test_one_in_full_says_what_with_whom_at_which_price_and_what_leaves(there, fedrisk):
    code, out, _ = fedrisk("node", "proposals", there.folder, there.first.id[:5])
    assert code == 0
    for part in (
        f"proposal {there.first.id}: study first",
        f"it waits for fedrisk node approve {there.first.id}",
        "purpose credit_scoring, recipe scorecard",
        "甲银行 (bank), bank; tax, holder",
        "price here: epsilon 1 (mu ",
        "with room for 11 further studies like it",
        "meets every rule of the policy",
        "no standing rule",
        "pseudonyms: keyed by the authority; sealed for the hub",
        "label counts",
        "scores go to: 甲银行",
        f"digest {there.first.digest}",
    ):
        assert part in out, part
    code, out, _ = fedrisk("node", "proposals", there.folder, there.second.id)
    assert "breaks: privacy.epsilon = 9" in out
    assert "meets every rule" not in out


def test_the_price_is_that_of_policy_check(there, fedrisk, tmp_path):
    study = tmp_path / "study.toml"
    study.write_text(
        'name = "first"\npurpose = "credit_scoring"\nprivacy = { epsilon = 1.0 }\n'
        'institutions = [{ name = "bank", role = "bank", display_name = "甲银行" }, { name = "tax", role = "holder" }]\n'
    )
    _, out, _ = fedrisk("policy", "check", there.nodes["bank"].institution, study, "--json")
    checked = json.loads(out)
    _, out, _ = fedrisk("node", "proposals", there.folder, there.first.id, "--json")
    shown = json.loads(out)
    for key in ("mu", "mu_left", "mu_left_after", "further_studies"):
        assert shown[key] == checked[key]


def test_approve_then_refuse(there, fedrisk):
    code, out, err = fedrisk("node", "approve", there.folder, there.first.id[:4], "--who", "A. Officer")
    assert code == 0
    assert "approved by A. Officer" in out
    assert "within 14 days" in err
    code, out, err = fedrisk("node", "approve", there.folder, there.first.id)
    assert (code, out) == (3, "")
    assert "approved by A. Officer" in err
    code, out, _ = fedrisk("node", "refuse", there.folder, there.first.id, "--reason", REASON)
    assert code == 0
    assert "the hub learns the code refused alone" in out
    _, out, _ = fedrisk("node", "proposals", there.folder, there.first.id)
    assert f"reason, kept here: {REASON}" in out
    store = there.node("bank").store
    assert REASON not in store.trail_path.read_text()
    assert (
        json.loads((store.path / "proposals" / f"{there.first.id}.json").read_text())["decision"]["reason"]
        == REASON
    )
    code, out, _ = fedrisk("audit", "verify", there.nodes["bank"].institution)
    assert code == 0
    _, out, _ = fedrisk("audit", "show", there.nodes["bank"].institution)
    assert "a person approved a study" in " ".join(out.split())


def test_what_breaks_a_rule_cannot_be_approved(there, fedrisk):
    code, _, err = fedrisk("node", "approve", there.folder, there.second.id)
    assert code == 3
    assert "refused by policy" in err


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (("approve", "0000"), 3, "no proposal 0000"),
        (("approve",), 2, "name the proposal"),
        (("refuse", "--reason", "x"), 2, "name the proposal"),
        (("refuse", "0000"), 2, "--reason"),
        (("refuse", "ID", "--reason", " "), 3, "--reason"),
        (("approve", "ID", "--who", "x" * 501), 3, "--who"),
    ],
)
def test_called_wrongly(there, fedrisk, words, code, why):
    filled = [there.first.id if word == "ID" else word for word in words[1:]]
    found, _, err = fedrisk("node", words[0], there.folder, *filled)
    assert found == code
    assert why in err
    assert there.node("bank").store.proposals.get(there.first.id).decision is None


def test_the_folder_is_named_once_for_all(there, fedrisk, monkeypatch):
    monkeypatch.setenv("FEDRISK_NODE", str(there.folder))
    assert there.first.id in fedrisk("node", "proposals")[1]
    assert "study first" in fedrisk("node", "proposals", there.first.id[:4])[1]
    assert fedrisk("node", "approve", there.first.id[:4])[0] == 0
    assert fedrisk("node", "refuse", there.first.id[:4], "--reason", "no")[0] == 0
    assert fedrisk("node", "proposals", there.nodes["tax"].path)[0] == 0


def test_a_decision_waits_for_the_message_in_hand(there, fedrisk):
    """The store's lock is one for commands and the node that serves."""
    held = os.open(there.node("bank").store.path / ".lock", os.O_WRONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    released = []

    def release():
        time.sleep(0.5)
        released.append(there.node("bank").store.proposals.get(there.first.id).decision)
        os.close(held)

    thread = threading.Thread(target=release)
    thread.start()
    assert fedrisk("node", "approve", there.folder, there.first.id)[0] == 0
    thread.join()
    assert released == [None]


def test_nothing_proposed_yet(tmp_path, fedrisk_home, fedrisk):
    made = joined(tmp_path, {"bank": "bank"})
    code, out, err = fedrisk("node", "proposals", made.nodes["bank"].path)
    assert (code, out) == (0, "")
    assert "nothing was proposed to bank yet" in err


def test_withdraw(there, fedrisk):
    code, out, _ = fedrisk("hub", "withdraw", there.home.path, there.first.id[:6])
    assert code == 0
    assert f"proposal {there.first.id} of study first is withdrawn" in out
    assert Proposals(there.hub).find(there.first.id).state == "withdrawn"
    code, _, err = fedrisk("hub", "withdraw", there.home.path, "ffff")
    assert code == 3
    assert "no proposal" in err
