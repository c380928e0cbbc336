"""Between machines: each side's part of a check, and results as complete as on one machine, by folders that joined."""

import json

import pytest

from fedrisk.clients.app import app as client_app
from fedrisk.clients.approvals import approve, refuse
from fedrisk.engine.handed_over import compare
from fedrisk.engine.in_process_grid import InProcessGrid
from fedrisk.findings import Finding
from fedrisk.recipes import find_recipe, load_study, recipe_of
from fedrisk.server.desk import Desk
from fedrisk.server.proposals import Proposals
from fedrisk.server.run import run_study
from fedrisk.server.runs import Runs
from support.consortium import joined

pytestmark = pytest.mark.study

ROLES = {"bank": "bank", "tax": "holder", "power": "holder"}


@pytest.fixture
def there(consortium, tmp_path):
    """The tiny consortium with a hub's and three nodes' folders."""
    return joined(tmp_path / "joined", ROLES, institutions=consortium.paths)


def proposed(there, consortium):
    """The study as a proposal that every node has heard of; the grid."""
    grid = InProcessGrid(client_app, {name: node.institution for name, node in there.nodes.items()})
    study = load_study(consortium.study_file)
    found = Proposals(there.hub).submit(recipe_of(study).checked(study), research_seed=None)
    desk = Desk(grid, there.hub, Proposals(there.hub), None)
    for _ in range(2):
        desk.turn()
    return found, grid


def last(text):
    return text.strip().splitlines()[-1]


def test_the_hub_checks_what_is_public(there, consortium, fedrisk):
    code, out, _ = fedrisk("hub", "check", there.home.path, consortium.study_file)
    assert code == 0 and last(out) == "study tiny: by what is public would run"
    assert "fedrisk node check" in out and "positive" not in out
    found = json.loads(fedrisk("hub", "check", there.home.path, consortium.study_file, "--json")[1])
    assert found["public"] and not found["refused"] and found["cost"] == []
    assert {i["name"] for i in found["institutions"] if i["mu"] > 0} == set(ROLES)
    text = consortium.study_file.read_text()
    consortium.study_file.write_text(text.replace('"power"', '"water"'))
    code, out, _ = fedrisk("hub", "check", there.home.path, consortium.study_file)
    assert code == 1 and "would be refused, for 1 reason" in last(out)
    assert "water is not in the roster" in out


def test_a_node_checks_its_own_part_and_its_peoples_word(there, consortium, fedrisk):
    tax = there.nodes["tax"].path
    check = ("node", "check", tax, consortium.study_file)
    code, out, _ = fedrisk(*check)
    assert code == 0 and last(out) == "study tiny: tax alone would take part; 1 thing worth a look"
    assert "No hub has proposed exactly this study" in out
    found, _ = proposed(there, consortium)
    code, out, _ = fedrisk("node", "check", tax, found.id[:6])
    assert code == 0 and "is not approved: it waits for fedrisk node approve" in out
    node = there.node("tax")
    with node.store.one_at_a_time():
        approve(node, found.id, who="A. Officer", find=find_recipe)
    code, out, _ = fedrisk(*check)
    assert code == 0 and last(out) == "study tiny: tax alone would take part"
    with node.store.one_at_a_time():
        refuse(node, found.id, reason="no longer", who="A. Officer")
    code, out, _ = fedrisk(*check)
    assert code == 1 and "was refused by A. Officer" in out and "no longer" not in out
    assert json.loads(fedrisk(*check, "--json")[1])["alone"]


def test_a_node_says_what_its_own_policy_and_pins_refuse(consortium, tmp_path, fedrisk):
    there = joined(tmp_path / "joined", ROLES, institutions=consortium.paths, accepted=False)
    there.accept("bank", "power")
    path = consortium.paths["tax"]
    path.write_text(path.read_text().replace("[policy]\n", '[policy]\npurposes = ["statistics"]\n'))
    code, out, _ = fedrisk("node", "check", there.nodes["tax"].path, consortium.study_file)
    assert code == 1 and "for 2 reasons" in last(out)
    assert "policy.purposes" in out and "tax knows no bank, power" in out
    assert fedrisk("node", "check", there.nodes["bank"].path, consortium.study_file)[0] == 0


def test_neither_part_writes_anything(there, consortium, fedrisk):
    def content():
        folders = [there.home.path, *(there.node(name).store.path for name in ROLES)]
        files = [f for folder in folders for f in folder.rglob("*") if f.is_file()]
        return {f: f.read_bytes() for f in files if "ledger" not in f.name}

    before = content()
    fedrisk("hub", "check", there.home.path, consortium.study_file)
    fedrisk("node", "check", there.nodes["tax"].path, consortium.study_file)
    assert content() == before


def test_results_are_as_complete_as_on_one_machine(there, consortium, tmp_path, fedrisk):
    found, grid = proposed(there, consortium)
    for name in ROLES:
        node = there.node(name)
        with node.store.one_at_a_time():
            approve(node, found.id, who="A. Officer", find=find_recipe)
    study = found.whole
    results = run_study(grid, study, recipe_of(study), there.hub, engine="deployment")
    assert {t.institution for t in results.tables} == set(ROLES)
    assert results.disclosures and results.disagreements == () and results.auc is not None
    assert results.findings[-1] == Finding("kept_at_banks", {"names": "bank", "run": results.attempt[:8]})
    kept = Runs(there.hub).path / results.attempt
    assert compare(kept).ok
    # What people decided is in nobody's table.
    text = (kept / "disclosures.json").read_text()
    assert "approved" not in text and "proposal" not in text and "A. Officer" not in text
    code, out, _ = fedrisk("hub", "show", there.home.path, results.attempt[:8], "--out", tmp_path / "out")
    assert code == 0 and "fedrisk results FILE show" in out
    check = ("audit", "compare", tmp_path / "out", "--institution", consortium.paths["tax"])
    assert fedrisk(*check)[0] == 0
