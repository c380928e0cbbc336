"""The roster at a node: what it holds as pending, what it pins once a person accepts, and what it refuses."""

import json
import os

import pytest

from fedrisk.clients.app import _answer_or_refuse
from fedrisk.clients.joining import deployment_of, join, rotate
from fedrisk.clients.roster import accept, needs_person, receive, refuse_strangers, roster_of, unsettled
from fedrisk.clients.store.attempt_store import Begun
from fedrisk.deploy.documents import now
from fedrisk.deploy.keys import new_node_key, node_public
from fedrisk.deploy.roster import after_epoch
from fedrisk.errors import ConfigError, EnvelopeError, PolicyError, StoreError
from fedrisk.protocol.payload import Payload, to_record
from fedrisk.protocol.versions import Spoken
from fedrisk.secure.identity import IdentityKey
from fedrisk.server.membership import admit_rotation, expel
from fedrisk.study import study_from
from support.consortium import institution_file, joined

STUDY = {
    "name": "s",
    "purpose": "credit_scoring",
    "institutions": [{"name": "bank", "role": "bank"}, {"name": "tax", "role": "holder"}],
    "privacy": {"epsilon": 1.0},
    "alignment": {"authority": "tax"},
    "expected": {"default_rate": 0.1},
}


@pytest.fixture
def pilot(tmp_path):
    return joined(tmp_path, {"bank": "bank", "tax": "holder"})


def more(pilot, name="power", role="holder"):
    """One more institution joins."""
    pilot.join(name, role, institution_file(pilot.home.path.parent / "institutions", name, "holder"))


def pins(pilot, name):
    return pilot.node(name).store.pins.institutions


def ask(pilot, name, *rosters):
    """The answer to the hub's message, or its refusal, as the app gives it; without what the node says it speaks."""
    *earlier, newest = [one.to_dict() for one in rosters]
    body = {"roster": newest, **({"earlier": earlier} if earlier else {})}
    message = type("M", (), {"content": to_record(Payload(body))})
    node = pilot.node(name)
    with node.store.one_at_a_time():
        body = dict(_answer_or_refuse(node, "roster", message).body)
    assert "refused" in body or body.pop("certificate")["until"] is None
    spoken = Spoken.here().to_dict()
    assert "refused" in body or {key: body.pop(key) for key in spoken} == spoken
    return body


def test_an_epoch_is_pending_until_a_person_accepts(pilot):
    more(pilot)
    assert ask(pilot, "bank", pilot.roster) == {"accepted": 3, "pending": 4, "lacks": None}
    assert [change.text for change in pilot.rosters("bank").changes()] == ["power joined as holder"]
    assert set(pins(pilot, "bank")) == {"bank", "tax"}
    accept(pilot.node("bank"), pilot.rosters("bank"))
    assert set(pins(pilot, "bank")) == {"bank", "tax", "power"}
    assert ask(pilot, "bank", pilot.roster) == {"accepted": 4, "pending": None, "lacks": None}
    (noted,) = pilot.node("bank").trail.entries(kind="roster_accepted", digest=pilot.roster.digest())
    assert noted.counterparty == "hub"
    with pytest.raises(ConfigError, match="no epoch of the roster is pending"):
        accept(pilot.node("bank"), pilot.rosters("bank"))


def test_a_node_that_was_away_says_what_it_lacks_and_takes_the_epochs_between(pilot):
    more(pilot)
    more(pilot, "water")
    *_, fourth, fifth = after_epoch(pilot.home, 0)
    assert ask(pilot, "bank", fifth) == {"accepted": 3, "pending": None, "lacks": 4}
    assert ask(pilot, "bank", fourth, fifth) == {"accepted": 3, "pending": 5, "lacks": None}
    accept(pilot.node("bank"), pilot.rosters("bank"))
    assert set(pins(pilot, "bank")) == {"bank", "tax", "power", "water"}


def test_an_older_or_another_roster_is_refused_and_noted(pilot):
    refusals = []
    old, accepted = after_epoch(pilot.home, 1)
    other = accepted.model_copy(update={"made": now(), "members": accepted.members[:1]}).signed(
        pilot.hub.identity
    )
    foreign = accepted.model_copy(update={"epoch": 4}).signed(IdentityKey.generate())
    for roster in (old, other, foreign):
        assert ask(pilot, "bank", roster) == {"refused": "envelope"}
        refusals = list(pilot.node("bank").trail.entries(event="refusal", action="roster"))
    assert [entry.code for entry in refusals] == ["envelope"] * 3
    assert not pilot.rosters("bank").pending
    log = (pilot.node("bank").store.path / "errors.log").read_text()
    for why in ("is old", "two different rosters", "not signed by the hub's pinned identity"):
        assert why in log


def test_two_different_pending_epochs_are_refused(pilot):
    more(pilot)
    pilot.tell("bank")
    other = pilot.roster.model_copy(update={"made": "2999-01-01T00:00:00Z"}).signed(pilot.hub.identity)
    assert ask(pilot, "bank", other) == {"refused": "envelope"}


@pytest.mark.parametrize(
    "body", [{}, {"roster": 1}, {"roster": {}}, {"roster": {"format": 1}}, {"roster": {}, "x": 1}]
)
def test_a_malformed_message_is_refused(pilot, body):
    message = type("M", (), {"content": to_record(Payload(body))})
    node = pilot.node("bank")
    assert set(_answer_or_refuse(node, "roster", message).body) >= {"refused"}
    assert not pilot.rosters("bank").pending


def test_a_roster_that_gives_this_institution_another_key_is_refused(pilot):
    bank = pilot.roster.member("bank")
    for change in (
        {"identity": IdentityKey.generate().public.hex()},
        {"flower": node_public(new_node_key())},
    ):
        members = tuple(
            one.model_copy(update={**change, "since": 4, "changed": 4}) if one == bank else one
            for one in pilot.roster.members
        )
        lie = pilot.roster.model_copy(
            update={"epoch": 4, "made": now(), "previous": pilot.roster.digest(), "members": members}
        ).signed(pilot.hub.identity)
        with pytest.raises(EnvelopeError, match="gives bank a key that it does not have"):
            receive(pilot.node("bank"), pilot.rosters("bank"), [lie])


def test_the_first_epoch_of_a_node_is_the_one_in_which_it_joined(tmp_path):
    pilot = joined(tmp_path, {"bank": "bank", "tax": "holder"}, accepted=False)
    first, second, third = after_epoch(pilot.home, 0)
    assert ask(pilot, "bank", third) == {"accepted": 0, "pending": None, "lacks": 2}
    assert ask(pilot, "bank", first, second, third) == {"accepted": 0, "pending": 3, "lacks": None}
    pilot.accept("bank")
    assert pilot.rosters("bank").digests == {2: second.digest(), 3: third.digest()}


def test_members_of_a_study_state_the_same_epoch_whatever_others_do(pilot):
    study = study_from(STUDY)
    third = pilot.roster.digest()
    assert {roster_of(pilot.node(name), study) for name in ("bank", "tax")} == {third}
    more(pilot)
    pilot.accept("bank")
    assert roster_of(pilot.node("bank"), study) == third, "an institution that is no member changes nothing"
    change = rotate(pilot.nodes["tax"], pilot.node("tax"), pilot.rosters("tax").accepted.member("tax"))
    admit_rotation(pilot.home, change, pilot.register)
    pilot.accept("bank")
    assert roster_of(pilot.node("bank"), study) == pilot.roster.digest()
    assert roster_of(pilot.node("tax"), study) == third, "until it accepts, too"


def test_a_first_roster_without_this_institution_is_refused(tmp_path):
    pilot = joined(tmp_path, {"bank": "bank"}, accepted=False)
    first = after_epoch(pilot.home, 0)[0]
    with pytest.raises(EnvelopeError, match="does not name bank"):
        receive(pilot.node("bank"), pilot.rosters("bank"), [first])


def test_a_pending_file_that_was_changed_on_the_disk_is_not_accepted(pilot):
    more(pilot)
    pilot.tell("bank")
    file = pilot.nodes["bank"].path / "roster-pending.json"
    content = json.loads(file.read_text())
    content["epochs"][0]["members"][2]["identity"] = IdentityKey.generate().public.hex()
    file.write_text(json.dumps(content))
    with pytest.raises(EnvelopeError, match="not signed by the hub"):
        accept(pilot.node("bank"), pilot.rosters("bank"))
    assert set(pins(pilot, "bank")) == {"bank", "tax"}
    file.write_text("{}")
    with pytest.raises(StoreError, match="the hub tells it again"):
        _ = pilot.rosters("bank").pending


def test_a_roster_is_read_anew_once_its_bytes_are_others(pilot):
    """Also where file, size and time are those of before, as of two writes in one tick of the clock."""
    file = pilot.nodes["bank"].path / "roster.json"
    before, was = file.read_bytes(), file.stat()
    first = pilot.rosters("bank").accepted
    assert pilot.rosters("bank").accepted is first
    file.write_bytes(before.replace(b"holder", b"agents"))
    os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns))
    now = file.stat()
    assert (now.st_ino, now.st_size, now.st_mtime_ns) == (was.st_ino, was.st_size, was.st_mtime_ns)
    with pytest.raises(StoreError, match="damaged, cut off or edited"):
        _ = pilot.rosters("bank").accepted
    file.write_bytes(before)
    assert pilot.rosters("bank").accepted == first


def test_an_expelled_institution_is_unpinned_and_studies_with_it_are_refused(pilot):
    study = study_from(STUDY)
    bank = pilot.node("bank")
    refuse_strangers(bank, study)
    expel(pilot.home, "tax", pilot.unregister, reason="left")
    pilot.tell("bank")
    assert unsettled(bank, study) == ["tax"]
    refuse_strangers(bank, study)
    pilot.accept("bank")
    assert set(pins(pilot, "bank")) == {"bank"}
    with pytest.raises(PolicyError, match="knows no tax"):
        refuse_strangers(bank, study)
    assert pilot.hub.pins.keys() == {"bank"}
    assert [name for name, _ in pilot.registered] == ["bank"]


def test_who_was_expelled_and_comes_back_with_another_key_is_for_a_person(pilot, tmp_path):
    expel(pilot.home, "tax", pilot.unregister, reason="left")
    file = institution_file(tmp_path / "again", "tax", "holder")
    del pilot.nodes["tax"]
    node, request = join(pilot.kit("tax", "holder"), file, tmp_path / "node_again")
    from fedrisk.server.membership import admit

    admit(pilot.home, request, pilot.register)
    pilot.nodes["tax"] = node
    pilot.tell("bank")
    assert needs_person(pilot.node("bank"), pilot.rosters("bank"))
    assert [change.kind for change in pilot.rosters("bank").changes()] == ["left", "joined"]
    before = pins(pilot, "bank")["tax"]
    pilot.accept("bank")
    assert pins(pilot, "bank")["tax"] == bytes.fromhex(request.identity) != before


def test_keys_in_an_open_attempt_are_not_changed_under_it(pilot):
    state = pilot.node("bank").store.begin("attempt01", Begun(study=STUDY, research_seed=None))
    expel(pilot.home, "tax", pilot.unregister, reason="left")
    pilot.tell("bank")
    with pytest.raises(PolicyError, match="attempt attempt01 is open and uses keys of tax"):
        accept(pilot.node("bank"), pilot.rosters("bank"))
    assert set(pins(pilot, "bank")) == {"bank", "tax"}
    state.forget_secrets()
    pilot.accept("bank")
    assert set(pins(pilot, "bank")) == {"bank"}


@pytest.fixture
def trusting(tmp_path):
    """A consortium in which the bank's policy pins what the roster says."""
    more = '[policy]\npin = "first_use_by_roster"\n'
    file = institution_file(tmp_path / "institutions", "bank", "bank", more)
    return joined(tmp_path, {"bank": "bank", "tax": "holder"}, institutions={"bank": file}, accepted=False)


def test_a_policy_may_pin_by_the_roster(trusting):
    trusting.tell("bank")
    assert set(pins(trusting, "bank")) == {"bank", "tax"}
    assert trusting.rosters("bank").accepted == trusting.roster
    more(trusting)
    trusting.tell("bank")
    assert set(pins(trusting, "bank")) == {"bank", "tax", "power"}


def test_even_then_a_changed_role_or_an_open_attempt_waits_for_a_person(trusting):
    trusting.tell("bank")
    members = tuple(
        one.model_copy(update={"role": "authority"}) if one.name == "tax" else one
        for one in trusting.roster.members
    )
    changed = trusting.roster.model_copy(
        update={"epoch": 4, "made": now(), "previous": trusting.roster.digest(), "members": members}
    ).signed(trusting.hub.identity)
    receive(trusting.node("bank"), trusting.rosters("bank"), [changed])
    assert [one.epoch for one in trusting.rosters("bank").pending] == [4]


def test_by_default_nothing_is_pinned_by_itself(pilot):
    assert pilot.node("bank").institution.policy.pin == "by_hand"
    more(pilot)
    pilot.tell("bank")
    assert set(pins(pilot, "bank")) == {"bank", "tax"}


def test_on_one_machine_there_is_no_roster(consortium):
    from fedrisk.clients.node import Node

    node = Node.load(consortium.paths["bank"])
    assert deployment_of(node.store) is None
    refuse_strangers(node, consortium.study())
    assert unsettled(node, consortium.study()) == []


def test_the_next_authority_reaches_a_node_that_nobody_looks_at(pilot):
    from fedrisk.deploy.pki import certificates
    from fedrisk.server.certificates import hand_out_authority, use_next_authority

    first = pilot.nodes["bank"].ca.read_bytes()
    hand_out_authority(pilot.home)
    with pytest.raises(ConfigError, match="already"):
        hand_out_authority(pilot.home)
    pilot.tell("bank")
    assert len(certificates(pilot.nodes["bank"].ca.read_bytes())) == 2
    with pytest.raises(PolicyError, match="handed out 0 days ago"):
        use_next_authority(pilot.home)
    use_next_authority(pilot.home, at_once=True)
    pilot.accept("bank")
    assert pilot.nodes["bank"].ca.read_bytes() == (pilot.home.path / "ca.pem").read_bytes() != first
    with pytest.raises(ConfigError, match="no next authority"):
        use_next_authority(pilot.home)
