"""Studies that people agree to first: a hub's desk and institutions' nodes over a grid, and hubs that lie."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from fedrisk.clients import approvals
from fedrisk.clients.app import app as client_app
from fedrisk.clients.approvals import MOST_MOVES, approve, refuse
from fedrisk.clients.outlet import Charges
from fedrisk.clients.store.proposal_store import MOST_WAITING
from fedrisk.engine.in_process_grid import InProcessGrid
from fedrisk.errors import BudgetError, ConfigError, PeerError, PolicyError
from fedrisk.protocol.payload import Payload, from_record, request
from fedrisk.recipes import find_recipe, recipe_of
from fedrisk.server.desk import Desk
from fedrisk.server.proposals import Proposals
from fedrisk.server.run import new_attempt, run_study
from fedrisk.server.runs import Runs
from support.consortium import joined

pytestmark = pytest.mark.study

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


class Deployed:
    """A consortium whose stores know a hub on another machine, with that hub, over a grid in this process."""

    def __init__(self, consortium, monkeypatch, *, accepted):
        self.consortium, self.study = consortium, recipe_of(consortium.study).checked(consortium.study)
        roles = {name: content["kind"] for name, content in consortium.content.items()}
        self.joined = joined(
            consortium.folder / "joined", roles, institutions=consortium.paths, accepted=accepted
        )
        self.hub = self.joined.hub
        self.grid = InProcessGrid(client_app, consortium.paths)
        self.proposals = Proposals(self.hub)
        self.now = NOW
        monkeypatch.setattr(approvals, "now_utc", lambda: self.now)
        self.desk = Desk(self.grid, self.hub, self.proposals, None, clock=lambda: self.now)

    def node(self, name):
        return self.consortium.nodes[name]

    def submit(self, study=None, **said):
        return self.proposals.submit(study or self.study, now=self.now, **said)

    def turn(self, **later):
        """A turn of the desk, so much later; ids of what is ready."""
        self.now += timedelta(**(later or {"seconds": 5}))
        return [p.id for p in self.desk.turn()]

    def approve(self, name, id, who="A. Officer"):
        return approve(self.node(name), id, who=who, find=find_recipe)

    def run(self, study=None, *, research_seed=None, attempt=None, without=()):
        study = study or self.study
        return run_study(
            self.grid,
            study,
            recipe_of(study),
            self.hub,
            engine="deployment",
            research_seed=research_seed,
            attempt=attempt,
            without=without,
        )

    def ask(self, name, action, **body):
        """One message of a hub to one node, and its answer."""
        (node,) = [n.node_id for n in self.grid.get_nodes() if n.name == name]
        (reply,) = self.grid.send_and_receive([request(Payload(body), action, node, ttl=60)])
        return from_record(reply.content)

    def propose(self, name, study=None, *, id="0123456789ab", seed=None, **changed):
        study = study or self.study
        terms = {
            "id": id,
            "study": study.model_dump(mode="json"),
            "digest": study.digest(),
            "research_seed": seed,
            "deadline": (self.now + timedelta(days=14)).isoformat(),
        }
        return self.ask(name, "propose", proposal={**terms, **changed})

    def describe(self, name, study=None, *, attempt=None, seed=None):
        study = study or self.study
        content = study.model_dump(mode="json")
        attempt = attempt or new_attempt()
        return self.ask(name, "describe", study=content, attempt=attempt, research_seed=seed)

    def why(self, name):
        """The last text of a node's own log."""
        lines = (self.node(name).store.path / "errors.log").read_text().splitlines()
        return json.loads(lines[-1])["text"]


@pytest.fixture
def deployed(kit, tmp_path, monkeypatch):
    def build(banks=("alfa",), holders=("tax",), *, accepted=True, **said):
        made = kit.build(tmp_path, banks, holders, enterprises=400, **said)
        return Deployed(made, monkeypatch, accepted=accepted)

    return build


def kinds(node):
    return [e.kind for e in node.trail.entries() if e.action in ("propose", "approve", "refuse")]


def test_a_study_runs_once_all_have_agreed_and_gives_what_it_gives_on_one_machine(deployed, kit, tmp_path):
    there = deployed()
    found = there.submit(research_seed=7)
    assert there.turn() == []
    assert there.proposals.find(found.id).members("waiting") == ("alfa", "tax")
    with pytest.raises(PeerError, match="refused"):
        there.run(research_seed=7)
    there.approve("alfa", found.id)
    assert there.turn() == []
    there.approve("tax", found.id)
    assert there.turn() == [found.id]
    results = there.run(research_seed=7)
    same = kit.build(tmp_path / "same", ("alfa",), ("tax",), enterprises=400).run(research_seed=7)
    assert results.card == same.results.card
    for name in ("alfa", "tax"):
        assert there.node(name).store.proposals.get(found.id).attempt == results.attempt
        assert kinds(there.node(name)) == ["proposal", "study_approved"]


def test_on_one_machine_nothing_has_to_be_approved(kit, tmp_path):
    kit.build(tmp_path, ("alfa",), ("tax",), enterprises=400).run(research_seed=1)


def test_an_approval_is_for_one_attempt(deployed):
    there = deployed()
    there.propose("tax")
    there.approve("tax", "0123456789ab")
    attempt = new_attempt()
    assert there.describe("tax", attempt=attempt).get("member")
    assert there.describe("tax", attempt=attempt).get("member")
    there.node("tax").store.attempt(attempt).save(Charges(spends={"counts": {}}))
    assert there.describe("tax").refusal == "refused"
    assert "has used that" in there.why("tax")
    assert there.propose("tax").body["code"] == "used"


def test_an_attempt_without_rows_gives_way_to_another_a_few_times_and_is_over(deployed):
    there = deployed()
    there.propose("tax")
    there.approve("tax", "0123456789ab")
    first, second = new_attempt(), new_attempt()
    assert there.describe("tax", attempt=first).get("member")
    assert there.describe("tax", attempt=second).get("member")
    assert there.node("tax").store.attempt(first).over
    assert not there.node("tax").store.attempt(second).over
    assert there.node("tax").store.proposals.get("0123456789ab").attempt == second
    for _ in range(MOST_MOVES - 1):
        assert there.describe("tax").get("member")
    assert there.describe("tax").refusal == "refused"


def test_a_hub_that_describes_another_study_than_it_proposed_is_refused(deployed):
    there = deployed()
    there.propose("tax")
    there.approve("tax", "0123456789ab")
    for changes in ({"privacy": {"epsilon": 9.0}}, {"evaluation": {"bins": 30}}):
        other = recipe_of(there.study).checked(there.consortium.with_study(**changes))
        assert there.describe("tax", other).refusal == "refused"
        assert "never proposed" in there.why("tax")
    assert there.describe("tax", seed=3).refusal == "refused"
    assert there.describe("tax").get("member")


def test_a_hub_that_says_another_digest_or_a_price_is_refused(deployed):
    there = deployed()
    cheap = recipe_of(there.study).checked(there.consortium.with_study(privacy={"epsilon": 0.5}))
    assert there.propose("tax", digest=cheap.digest()).refusal == "protocol"
    assert there.propose("tax", price={"tax": 0.1}).refusal == "version"
    assert there.propose("tax", deadline="tomorrow").refusal == "protocol"
    assert there.propose("tax", deadline="2026-03-09T00:00:00").refusal == "protocol"
    assert there.propose("tax", id="../../../../x").refusal == "protocol"
    assert there.node("tax").store.proposals.all() == []


def test_an_id_is_for_one_study(deployed):
    there = deployed()
    assert there.propose("tax").body["state"] == "waiting"
    there.approve("tax", "0123456789ab")
    other = recipe_of(there.study).checked(there.consortium.with_study(evaluation={"bins": 30}))
    assert there.propose("tax", other).refusal == "protocol"
    assert there.propose("tax", seed=4).refusal == "protocol"
    assert there.describe("tax", other).refusal == "refused"


@pytest.mark.long
def test_a_thousand_proposals_fill_no_disk(deployed):
    there = deployed()
    node = there.node("tax")
    for number in range(MOST_WAITING):
        assert there.propose("tax", id=f"{number:012x}").body["state"] == "waiting"
    size = sum(f.stat().st_size for f in node.store.path.rglob("*") if f.is_file())
    entries = node.trail.head()[0]
    for number in range(MOST_WAITING, 150):
        assert there.propose("tax", id=f"{number:012x}").body == {
            "state": "refused",
            "digest": there.study.digest(),
            "code": "full",
        }
    for _ in range(20):
        there.propose("tax", id="000000000000")
    assert node.trail.head()[0] == entries
    assert sum(f.stat().st_size for f in node.store.path.rglob("*") if f.is_file()) == size
    big = there.study.model_copy(update={"settings": {"note": "x" * 70_000}})
    assert there.propose("tax", big, id="ffffffffffff").refusal == "protocol"


def test_refused_proposals_fill_no_disk_either(deployed):
    there = deployed(policy={"recipes": ["network"]})
    for number in range(203):
        said = there.propose("tax", id=f"{number:012x}").body
        assert said["code"] == ("refused" if number < 200 else "full")
    there.now += timedelta(days=2)
    assert there.propose("tax", id="aaaaaaaaaaaa").body["code"] == "refused"
    assert len(there.node("tax").store.proposals.all()) == 200


def test_what_the_policy_forbids_is_refused_at_once_and_nobody_can_approve_it(deployed):
    there = deployed(policy={"max_epsilon": 1.0})
    assert there.propose("tax").body == {
        "state": "refused",
        "digest": there.study.digest(),
        "code": "refused",
    }
    kept = there.node("tax").store.proposals.get("0123456789ab")
    assert kept.decision.by == "policy"
    assert "max_epsilon" in kept.decision.reason
    with pytest.raises(ConfigError, match="proposed anew"):
        there.approve("tax", "0123456789ab")
    assert kinds(there.node("tax")) == ["proposal", "study_refused"]


def test_a_budget_that_does_not_suffice_is_said_with_its_code(deployed):
    there = deployed(policy={"max_epsilon": 20.0, "cap_epsilon": 1.0})
    assert there.propose("tax").body["code"] == "budget"


def test_a_policy_that_changed_since_the_approval_withdraws_it(deployed):
    there = deployed()
    assert there.propose("tax").body["state"] == "waiting"
    there.approve("tax", "0123456789ab")
    assert there.propose("tax").body["state"] == "agreed"
    there.consortium.content["tax"]["policy"] = {
        **there.consortium.content["tax"]["policy"],
        "max_epsilon": 1.0,
    }
    there.consortium.write("tax")
    assert there.describe("tax").refusal == "refused"
    assert there.propose("tax").body["state"] == "refused"


def test_approving_looks_at_the_rules_once_more(deployed):
    there = deployed()
    there.propose("tax")
    rules = there.consortium.content["tax"]["policy"]
    there.consortium.content["tax"]["policy"] = {**rules, "cap_epsilon": 1.0}
    there.consortium.write("tax")
    with pytest.raises(BudgetError, match="left"):
        there.approve("tax", "0123456789ab")
    there.consortium.content["tax"]["policy"] = {**rules, "purposes": ["else"]}
    there.consortium.write("tax")
    with pytest.raises(PolicyError, match="purpose"):
        there.approve("tax", "0123456789ab")


def test_an_approval_lapses_and_a_person_may_approve_again(deployed):
    there = deployed(policy={"approval_days": 3})
    there.propose("tax")
    there.approve("tax", "0123456789ab")
    there.now += timedelta(days=2.9)
    assert there.propose("tax").body["state"] == "agreed"
    there.now += timedelta(days=0.2)
    assert there.propose("tax").body["state"] == "waiting"
    assert there.describe("tax").refusal == "refused"
    assert "lapsed after 3 days" in there.why("tax")
    there.approve("tax", "0123456789ab")
    assert there.describe("tax").get("member")


def test_an_attempt_that_began_goes_on_after_the_approval_lapsed(deployed):
    there = deployed(policy={"approval_days": 3})
    there.propose("tax")
    there.approve("tax", "0123456789ab")
    attempt = new_attempt()
    assert there.describe("tax", attempt=attempt).get("member")
    there.now += timedelta(days=30)
    assert there.describe("tax", attempt=attempt).get("member")
    assert there.describe("tax").refusal == "refused"


def test_a_refusal_stays_at_home_and_the_hub_learns_a_code(deployed):
    there = deployed()
    found = there.submit()
    there.turn()
    there.approve("tax", found.id)
    there.turn()
    refuse(there.node("tax"), found.id, reason="the register is not ready", who="A. Officer")
    assert there.describe("tax").refusal == "refused"
    there.approve("alfa", found.id)
    there.turn(minutes=2)
    there.turn()
    now = there.proposals.find(found.id)
    assert (now.state, now.code) == ("refused", "refused")
    assert "register" not in json.dumps(now.to_dict())
    trail = there.node("tax").trail_path.read_text()
    assert "register is not" not in trail
    assert "Officer" not in trail
    assert kinds(there.node("tax")) == ["proposal", "study_approved", "study_refused"]
    with pytest.raises(ConfigError, match="proposed anew"):
        there.approve("tax", found.id)


def test_an_agreement_is_asked_for_again_before_the_study_is_ready(deployed):
    there = deployed(policy={"approval_days": 3})
    found = there.submit(days=30)
    there.turn()
    there.approve("alfa", found.id)
    assert there.turn() == []
    there.now += timedelta(days=4)
    there.approve("tax", found.id)
    assert there.turn() == []
    assert there.turn() == []
    assert there.proposals.find(found.id).members("waiting") == ("alfa",)
    there.approve("alfa", found.id)
    assert there.turn(seconds=20) == [found.id]


def test_a_study_is_told_to_its_members_alone(deployed, kit):
    there = deployed(("alfa",), ("tax", "power"))
    smaller = there.study.without(["power"])
    there.submit(recipe_of(smaller).checked(smaller))
    there.turn()
    assert len(there.node("tax").store.proposals.all()) == 1
    assert there.node("power").store.proposals.all() == []
    assert "propose" not in {e.action for e in there.node("power").trail.entries()}


def optional(consortium, *names):
    members = [m.model_dump(exclude_none=True) for m in consortium.study.institutions]
    members = [{**m, "optional": m["name"] in names} for m in members]
    return recipe_of(consortium.study).checked(consortium.with_study(institutions=members))


def test_an_optional_member_counts_as_absent_after_the_deadline(deployed):
    there = deployed(("alfa",), ("tax", "power"))
    there.study = optional(there.consortium, "power")
    found = there.submit(days=2, research_seed=1)
    there.turn()
    for name in ("alfa", "tax"):
        there.approve(name, found.id)
    assert there.turn() == []
    there.now += timedelta(days=2)
    assert there.turn() == [found.id]
    assert there.proposals.find(found.id).absent == ("power",)
    results = there.run(research_seed=1, without=("power",))
    assert results.left_out == ("power",)
    # At once, and not after a roll call that it would only refuse.
    assert len(Runs(there.hub).all()) == 1


def test_an_optional_member_that_refuses_is_not_waited_for(deployed):
    there = deployed(("alfa",), ("tax", "power"))
    there.study = optional(there.consortium, "power")
    found = there.submit()
    there.turn()
    for name in ("alfa", "tax"):
        there.approve(name, found.id)
    refuse(there.node("power"), found.id, reason="no", who="B")
    assert there.turn() == [found.id]


def test_an_approval_covers_the_study_without_optional_members_and_no_other(deployed):
    there = deployed(("alfa",), ("tax", "power"))
    there.study = optional(there.consortium, "power")
    there.propose("tax")
    there.approve("tax", "0123456789ab")

    def without(*names):
        smaller = there.study.without(names)
        return recipe_of(smaller).checked(smaller)

    assert there.describe("tax", without("power")).get("member")
    assert there.describe("alfa", without("power")).refusal == "refused"
    there.propose("alfa", without("power"))
    there.approve("alfa", "0123456789ab")
    assert there.describe("alfa", without("power")).get("member")
    # One that has more members than were agreed to is another study, optional or not.
    assert there.describe("alfa").refusal == "refused"


def test_a_member_that_is_not_optional_cannot_be_left_out(deployed):
    there = deployed(("alfa",), ("tax", "power"))
    there.propose("tax")
    there.approve("tax", "0123456789ab")
    smaller = there.study.without(["power"])
    assert there.describe("tax", recipe_of(smaller).checked(smaller)).refusal == "refused"


def test_a_proposal_lapses_with_its_deadline_here_and_at_the_hub(deployed):
    there = deployed()
    found = there.submit(days=5)
    there.turn()
    there.approve("alfa", found.id)
    there.turn(days=5)
    now = there.proposals.find(found.id)
    assert (now.state, now.code) == ("lapsed", "lapsed")
    with pytest.raises(ConfigError, match="lapsed"):
        there.approve("tax", found.id)
    assert there.propose("tax", id=found.id).body["code"] == "lapsed"


STANDING = {
    "study": "whol?",
    "recipe": "scorecard",
    "purpose": "credit_scoring",
    "counterparties": ["alfa", "tax"],
    "max_epsilon": 8.0,
    "every": "28d",
    "until": "2026-12-31",
}


def test_a_standing_rule_approves_so_often_and_each_run_once(deployed):
    there = deployed(policy={"standing": [STANDING]})
    found = there.submit()
    assert there.turn() == [found.id]
    there.run()
    there.proposals.update(found.id, state="finished")
    decision = there.node("tax").store.proposals.get(found.id).decision
    assert (decision.by, decision.who) == ("rule", "whol?")
    assert kinds(there.node("tax")) == ["proposal", "study_approved_by_rule"]
    again = there.submit(again=True)
    assert there.turn() == []
    assert there.proposals.find(again.id).members("waiting") == ("alfa", "tax")
    with pytest.raises(PeerError):
        there.run()
    there.turn(days=13)
    assert there.proposals.find(again.id).members("waiting") == ("alfa", "tax")
    later = there.submit(there.consortium.with_study(evaluation={"bins": 30}), days=30)
    there.turn(days=16)
    assert there.turn() == [later.id]


def test_a_standing_rule_never_covers_a_research_run(deployed):
    there = deployed(policy={"standing": [{**STANDING, "max_epsilon": 100.0}]})
    found = there.submit(research_seed=1)
    assert there.turn() == []
    assert there.proposals.find(found.id).members("waiting") == ("alfa", "tax")


def test_nothing_is_approved_before_the_roster_is_accepted(deployed):
    there = deployed(policy={"standing": [STANDING]}, accepted=False)
    assert there.propose("tax").body["state"] == "waiting"
    with pytest.raises(ConfigError, match="roster"):
        there.approve("tax", "0123456789ab")
    there.joined.accept()
    assert there.propose("tax").body["state"] == "agreed"
