"""What is left of a study as evidence: a score is followed back, and what was damaged on the way is had again."""

import hashlib
import json
from dataclasses import asdict
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

import fedrisk
from fedrisk.audit.crosscheck import crosscheck
from fedrisk.audit.usage import attempt_rows
from fedrisk.clients import approvals
from fedrisk.clients.app import app as client_app
from fedrisk.clients.store.attempt_store import Begun
from fedrisk.engine.in_process import register
from fedrisk.engine.in_process_grid import InProcessGrid
from fedrisk.errors import PeerError
from fedrisk.models.scorecard import Scorecard
from fedrisk.protocol.payload import Payload, from_record, to_record
from fedrisk.recipes import find_recipe, recipe_of
from fedrisk.server.desk import Desk
from fedrisk.server.proposals import Proposals
from fedrisk.server.run import run_study
from support.consortium import joined

pytestmark = pytest.mark.study

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


@pytest.fixture(scope="module")
def agreed(kit, scratch):
    """A study that people of both members approved, and that then ran: the consortium, the proposal, the results."""
    own = kit.build(scratch(), ("alfa",), ("tax",), enterprises=300)
    study = recipe_of(own.study).checked(own.study)
    roles = {name: content["kind"] for name, content in own.content.items()}
    there = joined(own.folder / "joined", roles, institutions=own.paths, accepted=True)
    grid, proposals = InProcessGrid(client_app, own.paths), Proposals(there.hub)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(approvals, "now_utc", lambda: NOW)
        found = proposals.submit(study, now=NOW)
        desk = Desk(grid, there.hub, proposals, None, clock=lambda: NOW)
        desk.turn()
        for name, node in own.nodes.items():
            approvals.approve(node, found.id, who=f"officer of {name}", find=find_recipe)
        results = run_study(grid, study, recipe_of(study), there.hub, engine="deployment")
    return own, study, found, results


def test_a_score_is_followed_back_to_its_releases_its_study_and_who_approved_it(agreed, tmp_path):
    own, study, proposal, results = agreed
    # From the bank's file of scores: its folder is the attempt, and the card beside it makes each score again.
    (file,) = (own.nodes["alfa"].store.path / "results").glob("*/scores.parquet")
    attempt, scores = file.parent.name, pd.read_parquet(file)
    card = Scorecard.from_json((file.parent / "scorecard.json").read_text())
    assert np.allclose(card.probability(scores["score"].to_numpy()), scores["probability"])
    # From the attempt: the study as it was described to each member, to the digest.
    for node in own.nodes.values():
        begun = node.store.attempt(attempt).load(Begun)
        assert find_recipe(begun.study)[0].digest() == study.digest()
    # From the trail, which holds: who was given scores of how many, and every release with its price.
    trails = {name: list(node.trail.entries(attempt=attempt)) for name, node in own.nodes.items()}
    assert crosscheck(trails, attempt) == []
    (given,) = [e for e in trails["tax"] if e.event == "score"]
    (taken,) = [e for e in trails["alfa"] if e.event == "delivery"]
    assert (given.counterparty, given.rows, taken.rows) == ("alfa", len(scores), len(scores))
    # From each release of the trail: the ledger's charge, and the numbers in the record that the hub signed.
    record = results.record
    assert record is not None and attempt == results.attempt
    for name, node in own.nodes.items():
        released = {e.spend["release"]: e.spend["mu"] for e in trails[name] if e.spend is not None}
        charged = {e.spend.release: e.spend.mu for e in node.ledger.entries() if e.spend.attempt == attempt}
        assert released == charged and set(released) >= {"counts", "calibration", "evaluation"}
        assert {r.name for r in record.releases} >= set(released)
        assert attempt_rows(trails[name])[0].releases == len(released)
    # From the study: who approved it, by a hash in the trail that fits what stands in the institution's own store.
    for name, node in own.nodes.items():
        said = [e for e in node.trail.entries() if e.action == "approve"]
        assert len(said) == 1 and said[0].study == study.name and said[0].index < trails[name][0].index
        kept = node.store.proposals.find(proposal.id)
        assert kept.decision.who == f"officer of {name}" and kept.attempt == attempt
        evidence = {"id": kept.id, "digest": study.digest(), "research_seed": None, **asdict(kept.decision)}
        assert said[0].digest == hashlib.sha256(json.dumps(evidence, sort_keys=True).encode()).hexdigest()


def test_the_record_is_of_the_hub_that_members_pinned(agreed, tmp_path):
    own, _, _, results = agreed
    results.record.save(tmp_path)
    for node in own.nodes.values():
        assert fedrisk.load_record(tmp_path, hub=node.store.pins.of_hub()).releases


class Damaging(InProcessGrid):
    """Flips one bit of one envelope on its way to one node, once."""

    def __init__(self, institutions, who, action):
        super().__init__(client_app, institutions)
        self.who, self.action, self.times = who, action, 1

    def _serve(self, message):
        name = self._names.get(message.metadata.dst_node_id)
        if name == self.who and message.metadata.message_type == f"query.{self.action}" and self.times:
            self.times -= 1
            payload = from_record(message.content)
            blobs = {
                n: bytes([b[0] ^ 1]) + b[1:] if isinstance(b, bytes) else b for n, b in payload.blobs.items()
            }
            assert blobs != payload.blobs
            message.content = to_record(Payload(payload.body, blobs), payload.protocol)
        return super()._serve(message)


def test_a_message_that_was_damaged_on_the_way_is_refused_unpaid_and_entered_and_the_study_runs_again(
    kit, tmp_path
):
    own = kit.build(tmp_path, ("alfa",), ("tax",), enterprises=300)

    def run(grid):
        register(own.nodes, own.hub)
        return run_study(grid, own.study, recipe_of(own.study), own.hub, engine="in-process", research_seed=3)

    with pytest.raises(PeerError):
        run(Damaging(own.paths, "tax", "release"))
    tax = own.nodes["tax"]
    assert [e.spend.release for e in tax.ledger.entries()] == ["edges"], "what does not open is not paid for"
    (refused,) = [e for e in tax.trail.entries() if e.event == "refusal"]
    assert (refused.action, refused.code) == ("release", "envelope")
    results = run(InProcessGrid(client_app, own.paths))
    assert results.attempt != refused.attempt and results.auc is not None
    assert [e.spend.release for e in tax.ledger.entries() if e.spend.attempt == refused.attempt] == ["edges"]
