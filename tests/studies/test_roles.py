"""Whole studies with a guarantor, a bureau and a regulator: what each is asked for, and what it gets."""

import json
from dataclasses import replace

import pytest

from fedrisk.audit.table import TABLES_FILE, SignedTable, tables_from_json, tables_to_json
from fedrisk.audit.witness import latest_witnessed
from fedrisk.clients.app import app as client_app
from fedrisk.clients.observed import DIFFER_FILE, observe
from fedrisk.engine.in_process import register
from fedrisk.engine.in_process_grid import InProcessGrid
from fedrisk.errors import ConfigError, EnvelopeError, PeerError, PolicyError
from fedrisk.protocol.actions import TABLES
from fedrisk.protocol.common_view import CONFIRM, split
from fedrisk.protocol.payload import Payload
from fedrisk.recipes import recipe_of
from fedrisk.server.run import run_study
from fedrisk.study import study_from

pytestmark = pytest.mark.study


@pytest.fixture(scope="module")
def observed(kit, scratch):
    """A bank, a guarantor, a bureau; the tax office's key; a regulator that observes."""
    consortium = kit.build(
        scratch(),
        ["alfa"],
        ["tax", "power"],
        roles={"tax": "guarantor", "power": "bureau"},
        regulators=["office"],
        study={"alignment": {"authority": "tax"}},
        enterprises=1500,
    )
    return consortium, consortium.run()


def sent_to(run, name):
    return {step.action: step.sent[name] for step in run.steps if name in step.sent}


def answers_of(run, name):
    return {step.action: step.answers[name] for step in run.steps if name in step.answers}


def test_guarantor_and_bureau_are_holders_in_everything(observed):
    _, run = observed
    assert run.study.holders == ("tax", "power")
    assert {f.institution for f in run.plan.features} == {"bank", "tax", "power"}
    assert run.results.institutions["tax"].role == "guarantor"
    assert run.results.institutions["power"].role == "bureau"
    assert run.results.auc is not None
    for name in ("tax", "power"):
        assert {"count", "score"} & set(answers_of(run, name)) or "score" in answers_of(run, name)
        assert run.nodes[name].ledger.figures()[1] > 0


def test_scores_go_to_the_bank_alone(observed):
    _, run = observed
    assert len(run.scores("alfa"))
    for name in ("tax", "power", "office"):
        assert not (run.nodes[name].store.results(run.attempt) / "scores.parquet").exists()
        assert "deliver" not in sent_to(run, name)


def test_a_regulator_that_observes_is_asked_for_nothing_but_to_agree_and_to_confirm(observed):
    _, run = observed
    assert run.study.observers == ("office",)
    # Flower's grid hands out numbers until the members are known.
    assert set(sent_to(run, "office")) <= {"describe", "blind", "close"}
    answer = answers_of(run, "office")["blind"]
    assert not answer.blobs
    assert set(answer.body) == {"new", CONFIRM}
    assert answer.body["new"] == 0
    assert set(answer.body[CONFIRM]["codes"]) == {"alfa", "tax", "power"}


def test_a_regulator_gets_heads_and_statements_and_no_numbers_else(observed):
    _, run = observed
    own, parts, _ = split(sent_to(run, "office")["blind"])
    assert [part.name for part in parts] == ["members"]
    assert not own.blobs and not parts[0].content.blobs
    assert set(parts[0].content.body) == {
        "study",
        "protocol",
        "research_seed",
        "keys",
        "hub_key",
        "signed_heads",
        "witnessed",
        "statements",
    }
    for other in ("alfa", "tax", "power"):
        # It keeps the heads, so that a trail that is rewritten later shows there too.
        assert latest_witnessed(run.nodes["office"].trail_path, other).attempt == run.attempt


def test_a_regulator_states_nothing_and_is_charged_nothing(observed):
    _, run = observed
    said = run.roster.statements["office"]
    assert (said.role, said.rows, said.features, said.label) == ("regulator", 0, [], None)
    node = run.nodes["office"]
    assert node.ledger.figures() == (0, 0.0)
    kinds = {json.loads(line).get("event") for line in node.trail_path.read_text().splitlines()}
    assert "release" not in kinds and "score" not in kinds and "delivery" not in kinds
    facts = run.results.institutions["office"]
    assert (facts.role, facts.rows, facts.scores, facts.budget_left) == ("regulator", 0, None, None)


def test_the_others_wait_for_the_regulators_confirmation(kit, tmp_path):
    """A hub that tells the regulator other facts than the rest is found out before anything is charged."""
    consortium = kit.build(
        tmp_path, ["alfa"], ["tax"], regulators=["office"], study=_KEY_AT_TAX, enterprises=600
    )

    def fewer(part):
        said = {n: dict(s) for n, s in part.body["statements"].items()}
        said["alfa"]["rows"] -= 1
        return Payload({**part.body, "statements": said}, part.blobs)

    def change(record, step):
        kit.retold(step, "members", fewer, only=["office"])

    with pytest.raises(PeerError, match="alfa \\(protocol\\)|tax \\(protocol\\)"):
        consortium.run(change=change)
    assert all(node.ledger.figures()[0] == 0 for name, node in consortium.nodes.items() if name != "office")


_KEY_AT_TAX = {"alignment": {"authority": "tax"}}


def test_a_regulator_keeps_the_key_where_nobody_else_is_named(kit, tmp_path):
    consortium = kit.build(tmp_path, ["alfa"], ["tax"], regulators=["office"], enterprises=600)
    run = consortium.run()
    assert run.study.authority == "office" and run.study.observers == ()
    assert set(sent_to(run, "office")) <= {"describe", "blind", "evaluate", "close"}
    assert (run.nodes["office"].store.path / "epochs").is_dir()
    assert run.results.auc is not None


def test_a_hub_that_asks_a_regulator_for_more_gets_nothing(observed, kit, tmp_path):
    """Each action of a study, asked of the regulator with what a holder was sent."""
    consortium = kit.build(
        tmp_path, ["alfa"], ["tax", "power"], regulators=["office"], study=_KEY_AT_TAX, enterprises=600
    )

    def change(record, step):
        if step.action in ("describe", "blind", "close") or "power" not in step.sent:
            return
        step.sent["office"] = step.sent["power"]

    run = consortium.run(change=change)
    extra = {s.action: s.answers["office"] for s in run.steps if "power" in s.sent and "office" in s.answers}
    extra = {action: a for action, a in extra.items() if action not in ("describe", "blind")}
    assert {"pseudonyms", "edges", "mask", "release", "score"} <= extra.keys()
    assert {answer.refusal for answer in extra.values()} == {"protocol"}
    assert not any(answer.blobs for answer in extra.values())


def test_a_study_and_a_file_that_call_it_differently_are_refused(kit, tmp_path):
    consortium = kit.build(tmp_path, ["alfa"], ["tax"], roles={"tax": "bureau"}, enterprises=600)
    members = [{"name": "alfa", "role": "bank"}, {"name": "tax", "role": "holder"}]
    with pytest.raises(PeerError, match="no agreement from tax"):
        consortium.run(consortium.with_study(institutions=members))
    said = consortium.nodes["tax"].store.errors.of(consortium.last.attempt)[-1]["text"]
    assert "calls tax a holder, its own file says bureau; agree on one" in said


def test_a_policy_names_the_roles_that_it_takes(kit, tmp_path):
    consortium = kit.build(
        tmp_path,
        ["alfa"],
        ["tax"],
        roles={"tax": "bureau"},
        policy={"roles": ["bank", "holder"]},
        enterprises=600,
    )
    with pytest.raises(PeerError, match="no agreement from tax"):
        consortium.run()
    said = consortium.nodes["tax"].store.errors.of(consortium.last.attempt)[-1]["text"]
    assert "role bureau is not among policy.roles" in said


def test_two_regulators_observe_and_one_of_them_may_keep_the_key():
    content = {
        "name": "s",
        "purpose": "p",
        "privacy": {"epsilon": 1},
        "institutions": [
            {"name": "b", "role": "bank"},
            {"name": "r", "role": "regulator"},
            {"name": "q", "role": "regulator"},
        ],
    }
    assert (study_from(content).authority, study_from(content).observers) == ("r", ("q",))
    named = study_from({**content, "alignment": {"authority": "b"}})
    assert (named.authority, named.observers) == ("b", ("r", "q"))
    with pytest.raises(
        ConfigError, match="must be one of bank, holder, guarantor, bureau, authority, regulator"
    ):
        study_from({**content, "institutions": [{"name": "b", "role": "ministry"}]})


@pytest.mark.long
def test_a_regulator_is_given_the_signed_tables_of_all_members(kit, tmp_path, fedrisk):
    consortium = kit.build(
        tmp_path, ["alfa"], ["tax"], regulators=["office"], study=_KEY_AT_TAX, enterprises=600
    )
    register(consortium.nodes, consortium.hub)
    study, grid = consortium.study, InProcessGrid(client_app, consortium.paths)
    results = run_study(grid, study, recipe_of(study), consortium.hub, engine="in-process", timeout=60.0)
    folder = consortium.nodes["office"].store.results(results.attempt)
    tables = tables_from_json((folder / TABLES_FILE).read_bytes())
    assert {table.institution for table in tables} == {"alfa", "tax", "office"}
    assert {path.name for path in folder.iterdir()} == {TABLES_FILE}
    code, said, _ = fedrisk("audit", "compare", folder, "--institution", consortium.paths["office"])
    assert code == 0 and "3 signed tables, 1 attempts compared" in said
    # Nobody else takes them, and none that the pinned key did not sign.
    request = Payload({"attempt": results.attempt}, {TABLES: tables_to_json(tables)})
    with pytest.raises(PolicyError, match="tax is no regulator"):
        observe(consortium.nodes["tax"], request)
    # A hub that tells fewer later takes none away, and a member that signs another one is convicted by both.
    observe(
        consortium.nodes["office"],
        Payload({"attempt": results.attempt}, {TABLES: tables_to_json(tables[:1])}),
    )
    assert tables_from_json((folder / TABLES_FILE).read_bytes()) == tables
    (of_tax,) = [table for table in tables if table.institution == "tax"]
    other = SignedTable.sign(
        of_tax.study,
        of_tax.attempt,
        of_tax.head,
        (replace(of_tax.lines[0], bytes=of_tax.lines[0].bytes + 1), *of_tax.lines[1:]),
        consortium.nodes["tax"].store.identity,
    )
    bent = Payload({"attempt": results.attempt}, {TABLES: tables_to_json([other])})
    with pytest.raises(EnvelopeError, match="tax signed another table"):
        observe(consortium.nodes["office"], bent)
    assert tables_from_json((folder / TABLES_FILE).read_bytes()) == tables
    assert set(tables_from_json((folder / DIFFER_FILE).read_bytes())) == {of_tax, other}
    (folder / TABLES_FILE).unlink()
    for wrong in (tables_to_json(tables[:1] * 2), tables_to_json([replace(tables[0], study="other")]), b"{}"):
        with pytest.raises(EnvelopeError):
            observe(consortium.nodes["office"], Payload({"attempt": results.attempt}, {TABLES: wrong}))
    assert not (folder / TABLES_FILE).exists()
