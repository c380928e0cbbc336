"""Commands of a hub that concern its studies, without a hub that serves."""

import json

import pytest

from fedrisk.engine.hub_figures import Progress
from fedrisk.server.proposals import Answer, Proposals
from support.consortium import joined

ROLES = {"bank": "bank", "tax": "holder", "power": "holder"}
STUDY = """\
name = "s"
purpose = "p"
institutions = [
    { name = "bank", role = "bank" },
    { name = "tax", role = "holder" },
    { name = "power", role = "holder" },
]

[privacy]
epsilon = 1.0

[alignment]
authority = "tax"
"""


@pytest.fixture
def hub(tmp_path, fedrisk_home):
    made = joined(tmp_path / "c", ROLES)
    (tmp_path / "study.toml").write_text(STUDY, encoding="utf-8")
    return made


def submitted(fedrisk, hub):
    code, out, _ = fedrisk("hub", "submit", hub.home.path, "study.toml")
    assert code == 0
    (proposal,) = Proposals(hub.hub).all()
    assert f"proposal {proposal.id} of study s, open until" in out
    assert "asked: bank, tax, power" in out
    return proposal


def test_a_submitted_study_is_listed_and_shown_with_each_members_word(fedrisk, hub):
    proposal = submitted(fedrisk, hub)
    Proposals(hub.hub).answered(proposal.id, "bank", Answer(state="agreed", at=proposal.submitted))
    code, out, err = fedrisk("hub", "runs", hub.home.path)
    assert code == 0
    assert "1 of 3" in out
    assert "tax, power" in out
    assert "no hub serves" in err
    code, out, _ = fedrisk("hub", "show", hub.home.path, proposal.id[:6])
    assert code == 0
    assert [line.split()[:3] for line in out.splitlines() if line.startswith(("bank", "tax"))] == [
        ["bank", "bank", "agreed"],
        ["tax", "holder", "not"],
    ]


def test_a_study_is_not_proposed_twice(fedrisk, hub):
    submitted(fedrisk, hub)
    code, _, err = fedrisk("hub", "submit", hub.home.path, "study.toml")
    assert code == 3
    assert "is proposed already" in err


def test_a_results_folder_goes_with_waiting(fedrisk, hub):
    code, _, err = fedrisk("hub", "submit", hub.home.path, "study.toml", "--out", "r")
    assert code == 2
    assert "--wait" in err
    assert Proposals(hub.hub).all() == []


def test_a_failed_proposal_says_why_and_who_was_charged(fedrisk, hub):
    proposal = submitted(fedrisk, hub)
    Progress(hub.hub, proposal.id).write(said="power was lost", charged=["bank"])
    Proposals(hub.hub).update(proposal.id, state="failed", code="peer", attempt="a" * 32)
    code, out, _ = fedrisk("hub", "show", hub.home.path, proposal.id)
    assert code == 0
    assert "power was lost. Charged, as far as the hub heard: bank" in out
    code, _, err = fedrisk("hub", "resume", hub.home.path, proposal.id)
    assert code == 3
    assert "no run of study s of the last day can be resumed" in err


def test_only_what_failed_is_resumed(fedrisk, hub):
    proposal = submitted(fedrisk, hub)
    code, _, err = fedrisk("hub", "resume", hub.home.path, proposal.id)
    assert code == 3
    assert "is open; only one whose run failed can go on" in err


def test_everything_is_there_as_json(fedrisk, hub):
    proposal = submitted(fedrisk, hub)
    code, out, _ = fedrisk("hub", "runs", hub.home.path, "--json")
    assert code == 0
    content = json.loads(out)
    assert [p["id"] for p in content["proposals"]] == [proposal.id]
    assert (content["runs"], content["nodes"]) == ([], None)
    code, out, _ = fedrisk("hub", "show", hub.home.path, proposal.id, "--json")
    assert json.loads(out)["proposal"]["digest"] == proposal.digest


def test_an_id_that_nothing_has_is_an_error(fedrisk, hub):
    code, _, err = fedrisk("hub", "show", hub.home.path, "abcdef12")
    assert code == 3
    assert "no run is called abcdef12" in err


def test_a_study_is_run_over_a_hub_only_where_it_serves(fedrisk, hub):
    code, _, err = fedrisk("run", "study.toml", "--engine", "deployment", "--out", "r")
    assert code == 2
    code, _, err = fedrisk(
        "run", "study.toml", "--engine", "deployment", "--hub", hub.home.path, "--out", "r"
    )
    assert code in (3, 75)
    assert "no hub serves" in err
    assert Proposals(hub.hub).all() == []


def test_a_proposal_is_taken_back(fedrisk, hub):
    proposal = submitted(fedrisk, hub)
    code, out, _ = fedrisk("hub", "withdraw", hub.home.path, proposal.id[:6])
    assert code == 0
    assert "is withdrawn" in out
    assert Proposals(hub.hub).find(proposal.id).state == "withdrawn"
