"""The desk's rounds over a grid with real nodes and real rosters: who is asked, how often, and what counts."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import Error, Message
from flwr.proto.node_pb2 import NodeInfo

from fedrisk.clients import approvals
from fedrisk.clients.app import app as client_app
from fedrisk.clients.approvals import approve, refuse
from fedrisk.engine.in_process_grid import InProcessGrid
from fedrisk.protocol.payload import Payload, reply
from fedrisk.recipes import find_recipe, study_from
from fedrisk.server.certificates import certificate_of
from fedrisk.server.desk import FRESH, Desk, same_key
from fedrisk.server.proposals import Proposals
from support.consortium import joined

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
ROLES = {"bank": "bank", "tax": "holder", "power": "holder"}


def a_key():
    """A node's public key, as OpenSSH writes it."""
    raw = ec.generate_private_key(ec.SECP384R1()).public_key()
    return raw.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()


class Grid(InProcessGrid):
    """Nodes under the names and keys that a SuperLink would have; some are off, some answers are others'.

    keys: by name, as registered. off: names of nodes that get no message. asked: (name, action) of what was sent.
    instead: by name, an answer in place of the node's own.
    """

    def __init__(self, paths, keys):
        super().__init__(client_app, paths)
        self.keys, self.off, self.asked, self.instead, self.twice = dict(keys), set(), [], {}, ""

    def get_nodes(self):
        found = [
            NodeInfo(node_id=info.node_id, name=info.name, public_key=self.keys[info.name].encode())
            for info in super().get_nodes()
            if info.name not in self.off
        ]
        extra = [n for n in found if n.name == self.twice]
        return [*found, *extra]

    def _serve(self, message):
        name = self._names[message.metadata.dst_node_id]
        action = message.metadata.message_type.partition(".")[2]
        self.asked.append((name, action))
        answer = self.instead.get((name, action))
        if answer == "lost":
            return Message(Error(1, "lost"), reply_to=message)
        if answer is not None:
            return reply(answer, message)
        return super()._serve(message)


@dataclass
class Office:
    """A hub with its desk, and nodes of a consortium."""

    joined: object
    grid: Grid
    proposals: Proposals
    now: datetime = NOW
    desk: Desk = field(init=False)

    def __post_init__(self):
        self.open()

    def open(self, roster=None, certify=None):
        """A desk as it is after a start of the hub's work."""
        self.desk = Desk(
            self.grid,
            self.joined.hub,
            self.proposals,
            roster or self.joined.roster,
            clock=lambda: self.now,
            certify=certify,
        )

    def turn(self, **later):
        self.now += timedelta(**(later or {"seconds": 1}))
        self.grid.asked.clear()
        return [p.id for p in self.desk.turn()]

    def submit(self, *members, optional=(), **how):
        content = [{"name": m, "role": ROLES[m], "optional": m in optional} for m in members]
        study = study_from(
            {"name": "s", "purpose": "credit_scoring", "privacy": {"epsilon": 1.0}, "institutions": content}
        )
        return self.proposals.submit(study, now=self.now, **how)

    def approve(self, name, id):
        approve(self.joined.node(name), id, who="A", find=find_recipe)

    def words(self, id):
        return {n: (a.state, a.code) for n, a in self.proposals.find(id).answers.items()}


@pytest.fixture
def office(tmp_path, fedrisk_home, monkeypatch):
    def build(*names, accepted=True):
        made = joined(tmp_path, {n: ROLES[n] for n in names}, accepted=accepted)
        keys = {member.name: member.flower for member in made.roster.members}
        paths = {name: home.institution for name, home in made.nodes.items()}
        found = Office(made, Grid(paths, keys), Proposals(made.hub))
        monkeypatch.setattr(approvals, "now_utc", lambda: found.now)
        return found

    return build


def test_nodes_are_told_the_newest_roster_once_and_all_that_they_lack(office):
    there = office("bank", "tax", accepted=False)
    there.turn()
    assert sorted(there.grid.asked) == [("bank", "roster"), ("tax", "roster")]
    # The bank joined in epoch 1 and hears of epoch 2 first, so it asks for what lies between.
    for _ in range(3):
        there.turn(seconds=5)
    newest = there.joined.roster.epoch
    for name in ("bank", "tax"):
        assert there.joined.rosters(name).newest.epoch == newest
    there.turn(seconds=5)
    assert there.grid.asked == []


def test_a_node_that_refuses_the_roster_is_not_pressed(office):
    there = office("bank", "tax")
    there.grid.instead["tax", "roster"] = Payload({"refused": "envelope"})
    there.turn()
    assert ("tax", "roster") in there.grid.asked
    for _ in range(5):
        there.turn(minutes=1)
        assert ("tax", "roster") not in there.grid.asked
    there.turn(minutes=6)
    assert ("tax", "roster") in there.grid.asked


def test_members_alone_are_asked_every_few_seconds(office):
    there = office("bank", "tax", "power")
    there.turn()
    found = there.submit("bank", "tax")
    there.turn()
    assert sorted(there.grid.asked) == [("bank", "propose"), ("tax", "propose")]
    assert there.words(found.id) == {"bank": ("waiting", None), "tax": ("waiting", None)}
    for _ in range(2):
        there.turn()
        assert there.grid.asked == []
    there.turn()
    assert len(there.grid.asked) == 2
    there.turn(days=1)
    for _ in range(14):
        there.turn()
        assert there.grid.asked == []
    there.turn()
    assert len(there.grid.asked) == 2


def test_who_agreed_is_asked_again_only_before_the_study_is_ready(office):
    there = office("bank", "tax")
    found = there.submit("bank", "tax")
    there.turn()
    there.approve("bank", found.id)
    there.turn(seconds=5)
    for _ in range(3):
        there.turn(minutes=5)
        assert there.grid.asked == [("tax", "propose")]
    there.approve("tax", found.id)
    assert there.turn(minutes=5) == []
    assert there.grid.asked == [("tax", "propose")]
    assert there.turn() == [found.id]
    assert there.grid.asked == [("bank", "propose")]


def test_what_is_ready_is_said_until_it_runs_also_after_a_restart(office):
    there = office("bank", "tax")
    found = there.submit("bank", "tax")
    there.turn()
    for name in ("bank", "tax"):
        there.approve(name, found.id)
    assert there.turn(seconds=5) == [found.id]
    there.open()
    assert there.turn() == [found.id]
    there.proposals.update(found.id, state="running")
    assert there.turn() == []


def test_a_study_does_not_begin_while_a_needed_node_is_off(office):
    there = office("bank", "tax")
    found = there.submit("bank", "tax", days=1)
    there.turn()
    there.approve("bank", found.id)
    there.turn(seconds=5)
    there.grid.off.add("bank")
    there.approve("tax", found.id)
    there.now += FRESH
    for _ in range(4):
        assert there.turn(seconds=30) == []
    there.grid.off.clear()
    assert there.turn(seconds=30) == [found.id]


def test_a_lost_node_is_asked_again(office):
    there = office("bank", "tax")
    found = there.submit("bank", "tax")
    there.grid.instead["tax", "propose"] = "lost"
    there.turn()
    assert there.words(found.id) == {"bank": ("waiting", None)}
    there.grid.instead.clear()
    there.turn(seconds=4)
    assert set(there.words(found.id)) == {"bank", "tax"}


@pytest.mark.parametrize("code", ["later", "store", "internal"])
def test_a_fault_that_passes_is_no_refusal(office, code):
    there = office("bank", "tax")
    found = there.submit("bank", "tax")
    there.grid.instead["tax", "propose"] = Payload({"refused": code})
    there.turn()
    there.turn(seconds=30)
    assert there.grid.asked == [("bank", "propose")]
    there.grid.instead.clear()
    there.turn(seconds=31)
    assert there.words(found.id)["tax"] == ("waiting", None)


@pytest.mark.parametrize("code", ["config", "version", "protocol"])
def test_a_refusal_of_a_needed_member_ends_it_with_its_code(office, code):
    there = office("bank", "tax")
    found = there.submit("bank", "tax")
    there.grid.instead["tax", "propose"] = Payload({"refused": code})
    there.turn()
    now = there.proposals.find(found.id)
    assert (now.state, now.code) == ("refused", code)


@pytest.mark.parametrize(
    "answer",
    [
        {"state": "agreed", "digest": "0" * 64, "code": None},
        {"state": "agreed"},
        {"state": "yes", "digest": None, "code": None},
        {},
    ],
)
def test_a_word_on_another_study_is_no_agreement(office, answer):
    there = office("bank", "tax")
    found = there.submit("bank", "tax")
    there.grid.instead["tax", "propose"] = Payload(answer)
    there.turn()
    assert there.words(found.id)["tax"] == ("refused", "version")


def test_a_node_under_a_members_name_with_another_key_is_told_nothing(office, caplog):
    there = office("bank", "tax")
    there.grid.keys["tax"] = a_key()
    there.submit("bank", "tax")
    there.turn()
    assert {name for name, _ in there.grid.asked} == {"bank"}
    assert "no key of it in the roster" in caplog.text


def test_of_two_nodes_of_one_name_none_is_asked(office):
    there = office("bank", "tax")
    there.grid.twice = "tax"
    there.submit("bank", "tax")
    there.turn()
    assert {name for name, _ in there.grid.asked} == {"bank"}


def test_who_is_not_in_the_roster_refuses_and_an_optional_one_is_absent(office):
    there = office("bank", "tax")
    found = there.submit("bank", "power", optional=["power"])
    there.turn()
    assert there.words(found.id)["power"] == ("refused", "roster")
    there.approve("bank", found.id)
    assert there.turn(seconds=5) == [found.id]
    assert there.proposals.find(found.id).absent == ("power",)


def test_a_member_of_another_protocol_is_not_asked_and_the_log_says_whom_to_upgrade(office, caplog):
    there = office("bank", "tax")
    there.turn()
    roster = there.joined.roster
    old = [
        one.model_copy(update={"protocols": (900,)} if one.name == "tax" else {}) for one in roster.members
    ]
    there.open(roster.model_copy(update={"members": tuple(old)}))
    there.desk._told.update(bank=99, tax=99)
    found = there.submit("bank", "tax")
    there.turn()
    assert there.grid.asked == [("bank", "propose")]
    assert there.words(found.id)["tax"] == ("waiting", "version")
    assert "upgrade fedrisk at the hub" in caplog.text
    there.open(roster)
    there.turn(seconds=20)
    assert ("tax", "propose") in there.grid.asked


def stage(there, name, id):
    return there.joined.node(name).store.proposals.get(id).stage(there.now, 14)


def test_a_withdrawn_proposal_is_said_to_be_so_once_and_asked_for_no_more(office):
    there = office("bank", "tax")
    found = there.submit("bank", "tax")
    there.turn()
    there.approve("bank", found.id)
    there.proposals.withdraw(found.id)
    there.turn(seconds=20)
    assert there.grid.asked == [("bank", "propose"), ("tax", "propose")]
    for name in ("bank", "tax"):
        assert stage(there, name, found.id) == "refused"
        assert there.joined.node(name).store.proposals.get(found.id).decision_code == "withdrawn"
    there.turn(seconds=20)
    assert there.grid.asked == []
    assert there.proposals.find(found.id).state == "withdrawn"


def test_others_need_not_decide_once_a_member_has_refused(office):
    there = office("bank", "tax")
    found = there.submit("bank", "tax")
    there.turn()
    refuse(there.joined.node("tax"), found.id, reason="no", who="B")
    there.turn(seconds=5)
    assert there.proposals.find(found.id).state == "refused"
    there.turn(seconds=5)
    assert stage(there, "bank", found.id) == "refused"
    assert there.grid.asked == [("bank", "propose")]


def test_members_that_never_heard_of_it_hear_nothing_of_its_end(office):
    there = office("bank", "tax")
    there.grid.off.add("tax")
    found = there.submit("bank", "tax")
    there.turn()
    there.proposals.withdraw(found.id)
    there.grid.off.clear()
    there.turn(seconds=5)
    assert ("tax", "propose") not in there.grid.asked
    assert there.joined.node("tax").store.proposals.all() == []


def test_a_late_deadline_waits_an_hour_for_a_node_that_is_off(office):
    there = office("bank", "tax", "power")
    found = there.submit("bank", "tax", "power", optional=["power"], days=1)
    there.turn()
    for name in ("bank", "tax"):
        there.approve(name, found.id)
    there.turn(seconds=5)
    there.grid.off.add("tax")
    there.turn(days=1)
    assert there.turn(minutes=30) == []
    assert there.proposals.find(found.id).state == "open"
    there.turn(minutes=31)
    assert there.proposals.find(found.id).state == "lapsed"


def test_one_key_in_two_forms():
    text = a_key()
    key = serialization.load_ssh_public_key(text.encode())
    pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert same_key(pem, text)
    assert same_key(text.encode(), text)
    assert not same_key(pem, a_key())
    for rubbish in (b"", b"-----BEGIN", b"ssh-rsa"):
        assert not same_key(rubbish, text)
        assert not same_key(rubbish, rubbish.decode())


def certifying(there, made):
    """A desk that hands out certificates, whose names and keys it adds to ``made``."""

    def certify(name, public):
        made.append((name, public))
        return certificate_of(there.joined.home, name, public)

    there.open(certify=certify)


def test_a_node_gets_a_certificate_once_and_the_next_one_a_month_before_it_ends(office):
    there, made = office("bank", "tax"), []
    there.now = datetime.now(UTC)
    certifying(there, made)
    for _ in range(8):
        there.turn(seconds=5)
    keys = {name: there.joined.roster.member(name).flower for name in ("bank", "tax")}
    assert sorted(made) == sorted(keys.items())
    assert all(home.certificate.exists() for home in there.joined.nodes.values())
    assert ("tax", "roster") not in there.grid.asked
    there.turn(days=59)
    assert len(made) == 2
    there.turn(days=2)
    assert len(made) == 4


def test_a_node_that_says_nothing_of_certificates_is_sent_none(office):
    """One of the version before, which would refuse a field that it does not know."""
    there, made = office("bank", "tax"), []
    there.now = datetime.now(UTC)
    old = {"accepted": there.joined.roster.epoch, "pending": None, "lacks": None}
    there.grid.instead["tax", "roster"] = Payload(old)
    certifying(there, made)
    for _ in range(8):
        there.turn(seconds=5)
    assert [name for name, _ in made] == ["bank"]


def test_a_key_that_the_roster_has_not_is_given_no_certificate(office):
    there, made = office("bank", "tax"), []
    there.now = datetime.now(UTC)
    said = {
        "accepted": there.joined.roster.epoch,
        "pending": None,
        "lacks": None,
        "certificate": {"key": there.joined.roster.member("bank").flower, "until": "soon"},
    }
    there.grid.instead["tax", "roster"] = Payload(said)
    certifying(there, made)
    for _ in range(8):
        there.turn(seconds=5)
    assert [name for name, _ in made] == ["bank"]


def test_an_authority_that_cannot_sign_stops_nothing_else(office):
    there = office("bank", "tax")
    (there.joined.home.path / "ca.key").write_bytes(b"damaged")
    certifying(there, [])
    there.turn()
    there.turn(seconds=5)
    id = there.submit("bank", "tax").id
    there.turn(seconds=5)
    assert ("tax", "propose") in there.grid.asked
    assert there.words(id)["tax"][0] == "waiting"
