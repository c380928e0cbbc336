"""A store that is put back from a copy has forgotten charges: everybody notices, and nothing heals it but a person."""

import json
import shutil
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from fedrisk.attacks.lies import retell
from fedrisk.audit.witness import marks_of
from fedrisk.cli import app
from fedrisk.clients import witness
from fedrisk.errors import PeerError

pytestmark = pytest.mark.study

ROOMY = {"cap_epsilon": 100.0}  # so that no budget refuses in place of what is tested

TRIES = 12
"""Each refusal adds entries: before there were marks, the restored trail passed the lost one at the eighth try."""


@pytest.fixture(scope="module")
def put_back(kit, tmp_path_factory):
    """A consortium in which the tax office's store is the one from before two studies, and a copy of all its files."""
    folder = tmp_path_factory.mktemp("put_back")
    consortium = kit.build(folder / "now", ("alfa",), ("tax",), enterprises=400, policy=ROOMY)
    consortium.run()
    store = consortium.nodes["tax"].store.path
    shutil.copytree(store, folder / "backup")
    consortium.run()
    consortium.run()
    shutil.rmtree(store)
    shutil.copytree(folder / "backup", store)
    shutil.copytree(consortium.folder, folder / "kept")
    return consortium, folder / "kept"


@pytest.fixture
def restored(put_back):
    """That consortium, for one test alone."""
    consortium, kept = put_back
    shutil.rmtree(consortium.folder)
    shutil.copytree(kept, consortium.folder)
    return consortium


def tries(consortium, times=TRIES, **how):
    """Which of so many attempts ran, and what the refusing institutions wrote down."""
    ran, said = [], {name: [] for name in consortium.content}
    for _ in range(times):
        try:
            consortium.run(**how)
            ran.append(True)
        except PeerError:
            ran.append(False)
            for name, node in consortium.nodes.items():
                said[name] += [e["text"] for e in node.store.errors.of(consortium.last.attempt)]
    return ran, said


def log_of(consortium, name):
    return consortium.nodes[name].store.path / "audit.jsonl"


def answer(consortium, name, peer, *more):
    arguments = ["audit", "answer", str(consortium.paths[name]), peer, "--reason", "disk lost", *more]
    return CliRunner().invoke(app, arguments)


def test_a_store_from_a_copy_takes_part_in_nothing_until_somebody_answers(restored):
    ran, said = tries(restored)
    assert ran == [False] * TRIES
    assert "has lost part of its own history" in said["tax"][0] and "charges are forgotten" in said["tax"][0]
    assert "contradict each other" in said["alfa"][0]
    # From the second attempt on each refuses when the study is described, with the rule and the command.
    for name, peer in (("alfa", "tax"), ("tax", "tax")):
        assert all(f"'fedrisk audit answer FILE {peer} --reason TEXT'" in text for text in said[name][1:])
        assert marks_of(log_of(restored, name), peer)
    assert not marks_of(log_of(restored, "tax"), "alfa")


@pytest.mark.long
def test_both_have_to_answer_and_then_studies_run_again(restored):
    tries(restored, 1)
    before = {name: node.trail.head()[0] for name, node in restored.nodes.items()}
    assert answer(restored, "alfa", "tax", "--who", "A. Person").exit_code == 0
    assert tries(restored, 2)[0] == [False, False]
    done = answer(restored, "tax", "tax")
    assert done.exit_code == 0 and "charge by hand" in done.output
    assert tries(restored, 3)[0] == [True] * 3
    for name, peer in (("alfa", "tax"), ("tax", "tax")):
        node = restored.nodes[name]
        (note,) = node.trail.entries(event="note", kind="contradiction_answered")
        assert note.counterparty == peer and note.index >= before[name]
        kept = list((node.store.path / "audit.jsonl.contradictions").glob("*/answered/*.json"))
        assert [json.loads(file.read_text())["reason"] for file in kept] == ["disk lost"]
        assert not marks_of(log_of(restored, name), peer)
    # The ledger has the act too, as after a restore of its file alone.
    assert restored.nodes["tax"].ledger.audit() > 0
    assert answer(restored, "alfa", "tax").exit_code == 3  # nothing is left to answer for


def test_a_copy_from_just_before_one_charge_shows_by_the_trail_alone(kit, tmp_path):
    """The others know the trail as it was before that charge: same number of entries, other hash."""
    consortium = kit.build(tmp_path, ("alfa",), ("tax",), enterprises=400, policy=ROOMY)
    consortium.run()
    store = consortium.nodes["tax"].store.path
    shutil.copytree(store, tmp_path / "backup")
    consortium.run()
    shutil.rmtree(store)
    shutil.copytree(tmp_path / "backup", store)
    ran, said = tries(consortium, 3)
    assert ran == [False] * 3
    assert "two different trails" in said["alfa"][0] and "another trail" in said["tax"][0]


def test_a_hub_that_keeps_the_others_heads_back_is_noticed(restored):
    """Without them a node cannot see that it was put back; whoever gave a head sees that it was not relayed."""

    def hide(record, step):
        retell(step, "members", lambda c: c.update(witnessed={name: {} for name in c["witnessed"]}))

    _, said = tries(restored, 1, change=hide)
    assert "did not relay the signed heads that alfa gave" in said["alfa"][0]


def test_a_hub_that_relays_an_old_head_in_place_of_the_new_one_is_refused(restored):
    """The head of before the loss would hide it; it is not of this attempt."""
    old = restored.nodes["alfa"].trail.witnessed("tax")[-1]

    def replay(record, step):
        retell(step, "members", lambda c: c["signed_heads"].update(tax=json.loads(old.to_json())))

    _, said = tries(restored, 1, change=replay)
    assert "another institution's, of another attempt, or not signed" in said["alfa"][0]
    assert not marks_of(log_of(restored, "alfa"), "tax")  # a hub cannot make a mark


@pytest.mark.sampled(2)
@pytest.mark.parametrize("signed", [True, False])
def test_a_head_that_the_institution_never_signed_makes_no_mark(kit, tmp_path, signed):
    """A hub, or another institution, cannot block anybody with a head of its own making."""
    consortium = kit.build(tmp_path, ("alfa",), ("tax",), enterprises=400, policy=ROOMY)
    consortium.run()

    def forge(record, step):
        def change(content):
            kept = content["witnessed"]["alfa"]
            kept["tax"] = {**kept["tax"], "count": 10**6} if signed else record_of_alfa

        retell(step, "members", change, members=["tax"])

    record_of_alfa = json.loads(consortium.nodes["alfa"].trail.signed_head().to_json())
    ran, said = tries(consortium, 1, change=forge)
    assert ran == [False] and "that tax never signed" in said["tax"][0]
    assert not marks_of(log_of(consortium, "tax"), "tax")
    assert tries(consortium, 1)[0] == [True]


@pytest.mark.long
def test_a_ledger_that_alone_is_put_back_with_its_guard_shows(kit, tmp_path):
    """The trail is whole: it has charges that the ledger has forgotten, and no other institution is needed to see it."""
    consortium = kit.build(tmp_path, ("alfa",), ("tax",), enterprises=400, policy=ROOMY)
    consortium.run()
    store = consortium.nodes["tax"].store.path
    for file in ("ledger.sqlite", "ledger.seal"):
        shutil.copy(store / file, tmp_path / file)
    consortium.run()
    consortium.run()
    for file in ("ledger.sqlite", "ledger.seal"):
        shutil.copy(tmp_path / file, store / file)
    ran, said = tries(consortium, 3)
    assert ran == [False] * 3
    assert "does not agree with the audit trail" in said["tax"][0] and "is missing in it" in said["tax"][0]
    assert "budget restore" in said["tax"][0]


@pytest.mark.long
def test_a_clock_that_is_ahead_of_everybody_stops_the_study(kit, tmp_path, monkeypatch):
    consortium = kit.build(tmp_path, ("alfa",), ("tax", "power"), enterprises=400, policy=ROOMY)
    consortium.run()
    spent = {name: node.ledger.lifetime() for name, node in consortium.nodes.items()}
    now = datetime.now(UTC)
    monkeypatch.setattr(witness, "_now", lambda: now + timedelta(days=1, hours=1))
    ran, said = tries(consortium, 1)
    assert ran == [False]
    assert "1 day(s) ahead of every other institution" in said["power"][0]
    assert "Set the machine's date right" in said["power"][0]
    assert spent == {name: node.ledger.lifetime() for name, node in consortium.nodes.items()}
    monkeypatch.setattr(witness, "_now", lambda: now + timedelta(hours=23))
    assert tries(consortium, 1)[0] == [True]


def test_a_mark_stops_a_study_before_anything_is_computed(restored):
    from fedrisk.engine.check import check_study

    tries(restored, 1)
    found = check_study(restored.study, restored.paths)
    lines = {line.name: " ".join(line.findings) for line in found.institutions}
    assert found.broken and "lost part of its own history" in lines["tax"]
    assert "until a person answers" in lines["alfa"]
