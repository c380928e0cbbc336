"""Studies of institutions that joined a consortium: rosters that differ stop them, and keys change between two."""

import json

import pytest

from fedrisk.audit.verify import verify
from fedrisk.clients.app import app as client_app
from fedrisk.clients.approvals import approve
from fedrisk.clients.joining import rotate
from fedrisk.deploy.documents import now
from fedrisk.engine.in_process_grid import InProcessGrid
from fedrisk.errors import PeerError
from fedrisk.protocol.payload import Payload, from_record, request
from fedrisk.recipes import find_recipe, recipe_of
from fedrisk.server.desk import Desk
from fedrisk.server.membership import admit_rotation, expel
from fedrisk.server.proposals import Proposals
from fedrisk.server.run import run_study
from support.consortium import joined

pytestmark = pytest.mark.study

NAMES = ("bank", "tax", "power")


class Between:
    """The tiny consortium, joined to a hub, over a grid in this process."""

    def __init__(self, consortium, tmp_path):
        roles = {name: "bank" if name == "bank" else "holder" for name in NAMES}
        self.pilot = joined(tmp_path, roles, institutions=consortium.paths)
        study = consortium.study()
        self.study = recipe_of(study).checked(study)
        self.grid = InProcessGrid(client_app, consortium.paths)
        self.proposals = Proposals(self.pilot.hub)

    def agreed(self):
        """Propose the study and have it approved by all that wait for a person; its proposal when the desk has asked."""
        for earlier in self.proposals.all():
            self.proposals.update(earlier.id, state="finished")
        found = self.proposals.submit(self.study, research_seed=3, again=True)
        desk = Desk(self.grid, self.pilot.hub, self.proposals, None)
        desk.turn()
        for name in NAMES:
            node = self.pilot.node(name)
            if node.store.proposals.get(found.id) is not None:
                approve(node, found.id, who="A. Officer", find=find_recipe)
        desk = Desk(self.grid, self.pilot.hub, self.proposals, None)
        desk.turn()
        desk.turn()
        return self.proposals.find(found.id)

    def run(self):
        recipe = recipe_of(self.study)
        return run_study(self.grid, self.study, recipe, self.pilot.hub, engine="deployment", research_seed=3)

    def rotate(self, name):
        member = self.pilot.rosters(name).accepted.member(name)
        change = rotate(self.pilot.nodes[name], self.pilot.node(name), member)
        admit_rotation(self.pilot.home, change, self.pilot.register)

    def texts(self, name):
        log = self.pilot.node(name).store.path / "errors.log"
        return [json.loads(line)["text"] for line in log.read_text().splitlines()]


@pytest.fixture
def between(consortium, tmp_path):
    return Between(consortium, tmp_path)


def test_keys_change_between_two_studies_and_nothing_else_does(between):
    assert between.agreed().state == "ready"
    first = between.run()
    assert {one.roster for one in first_statements(between)} == {between.pilot.roster.digest()}
    for name in ("tax", "bank"):
        between.rotate(name)
    between.pilot.tell()
    assert between.agreed().members("waiting") == NAMES, "until the roster is accepted"
    between.pilot.accept()
    assert between.agreed().state == "ready"
    second = between.run()
    assert second.card == first.card
    for name in NAMES:
        node = between.pilot.node(name)
        *former, present = node.store.identities
        assert len(former) == (name != "power")
        assert verify(node.trail_path, present, (), name, former=former).ok


def first_statements(between):
    """What each member states, as the bank was told."""
    (attempt,) = (between.pilot.node("bank").store.path / "attempts").iterdir()
    node = between.pilot.node("bank")
    from fedrisk.clients.attempt import Attempt

    return Attempt(node, node.store.attempt(attempt.name)).statements.values()


def test_members_that_were_told_different_rosters_do_not_compute(between):
    """A hub makes a second epoch 4 for one member, with all keys as they are."""
    pilot = between.pilot
    bank, tax, power = pilot.roster.members
    other = pilot.roster.model_copy(
        update={
            "epoch": 5,
            "made": now(),
            "previous": pilot.roster.digest(),
            "members": (bank, tax, power.model_copy(update={"display_name": "Power"})),
        }
    )
    file = pilot.nodes["tax"].path / "roster-digests.json"
    known = json.loads(file.read_text())
    file.write_text(json.dumps({**known, "4": other.signed(pilot.hub.identity).digest()}))
    assert between.agreed().state == "ready"
    with pytest.raises(PeerError):
        between.run()
    assert any("accepted another roster than" in text for name in NAMES for text in between.texts(name))
    assert not [e for name in NAMES for e in pilot.node(name).ledger.entries()]


def test_an_expelled_member_is_in_no_study(between):
    assert between.agreed().state == "ready"
    expel(between.pilot.home, "power", between.pilot.unregister, reason="left")
    between.pilot.accept("bank", "tax")
    (node,) = [n.node_id for n in between.grid.get_nodes() if n.name == "bank"]
    content = {"study": between.study.model_dump(mode="json"), "attempt": "a" * 12, "research_seed": 3}
    (reply,) = between.grid.send_and_receive([request(Payload(content), "describe", node, ttl=60)])
    assert from_record(reply.content).refusal == "refused"
    assert "knows no power" in between.texts("bank")[-1]
