"""Joining at home: keys stay, files are refused that do not fit, and keys change with the old ones' word."""

import stat

import pytest

from fedrisk.audit.verify import verify
from fedrisk.clients.books import audit_books
from fedrisk.clients.joining import deployment_of, join, next_node_key, rotate
from fedrisk.clients.node import Node
from fedrisk.clients.roster import accept
from fedrisk.clients.store.attempt_store import Begun
from fedrisk.deploy.keys import node_public
from fedrisk.errors import ConfigError, EnvelopeError, PolicyError
from fedrisk.server.membership import admit, admit_rotation, check_rotation
from support.consortium import institution_file, joined, make_joined_hub

STUDY = {"institutions": [{"name": "bank"}, {"name": "tax"}]}


@pytest.fixture
def hub(tmp_path):
    return make_joined_hub(tmp_path)


@pytest.fixture
def pilot(tmp_path):
    return joined(tmp_path, {"bank": "bank", "tax": "holder"})


def change_keys(pilot, name, **which):
    """New keys, made at the institution and admitted at the hub."""
    member = pilot.rosters(name).accepted.member(name)
    rotation = rotate(pilot.nodes[name], pilot.node(name), member, **which)
    admit_rotation(pilot.home, rotation, pilot.register)
    return rotation


def test_a_node_is_made_with_its_keys_for_its_owner_alone(hub, tmp_path):
    file = institution_file(tmp_path, "bank", "bank")
    home, request = join(hub.kit("bank", "bank"), file, tmp_path / "node")
    store = Node.open(file).store
    assert request.identity == store.identity.public.hex()
    assert request.flower == node_public(home.key.read_bytes())
    for secret in (home.key, store.path / "identity.key"):
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert {one.name for one in home.path.iterdir()} == {
        *("node.toml", "flower.key", "ca.pem", "kit.json", "request.json", "VERSION"),
    }
    found = deployment_of(store)
    assert (found.consortium, found.hub, found.node) == ("pilot", hub.hub.identity.public.hex(), home.path)
    assert store.deployed
    assert store.pins.of_hub() == hub.hub.identity.public
    assert home.hub == "127.0.0.1:9490"
    assert home.institution == file


def test_joining_once_more_keeps_the_keys(hub, tmp_path):
    file = institution_file(tmp_path, "bank", "bank")
    first = join(hub.kit("bank", "bank"), file, tmp_path / "node")[1]
    again = join(hub.kit("bank", "bank", renew=True), file, tmp_path / "node")[1]
    assert (first.identity, first.flower) == (again.identity, again.flower)
    assert first.token != again.token
    with pytest.raises(EnvelopeError, match="answers no invitation"):
        admit(hub.home, first, hub.register)
    admit(hub.home, again, hub.register)


def test_a_kit_for_another_name_or_kind_is_refused(hub, tmp_path):
    file = institution_file(tmp_path, "bank", "bank")
    with pytest.raises(ConfigError, match="invites tax, and .*bank.toml is of bank"):
        join(hub.kit("tax", "holder"), file, tmp_path / "node")
    for role in ("holder", "regulator", "bureau"):
        with pytest.raises(ConfigError, match=f"as {role}, which needs an institution file of that kind"):
            join(hub.kit("bank", role, renew=True), file, tmp_path / "node")
    assert not (tmp_path / "node").exists()
    assert not (tmp_path / "stores").exists(), "nothing was made"


def test_two_hubs_for_one_node_are_refused(hub, tmp_path):
    file = institution_file(tmp_path, "bank", "bank")
    join(hub.kit("bank", "bank"), file, tmp_path / "node")
    other = make_joined_hub(tmp_path / "other", name="another")
    kit = other.kit("bank", "bank")
    for folder in ("node", "second"):
        with pytest.raises(ConfigError, match="is in consortium pilot already"):
            join(kit, file, tmp_path / folder)
    assert not (tmp_path / "second").exists()
    stranger = institution_file(tmp_path / "s", "tax", "holder")
    with pytest.raises(ConfigError, match="is a node of pilot, and the kit is of another"):
        join(other.kit("tax", "holder"), stranger, tmp_path / "node")
    with pytest.raises(ConfigError, match="name another folder"):
        join(hub.kit("tax", "holder"), stranger, tmp_path / "node")


def test_a_store_that_knows_another_hub_from_before_is_refused(hub, consortium, tmp_path):
    from fedrisk.engine.in_process import load_nodes, register
    from fedrisk.server.hub import Hub

    register(load_nodes(consortium.paths), Hub(tmp_path / "local_hub"))
    with pytest.raises(EnvelopeError, match="another FEDRISK_HOME"):
        join(hub.kit("bank", "bank"), consortium.paths["bank"], tmp_path / "node")


def test_nothing_changes_at_home_before_the_roster_has_the_new_keys(pilot):
    before, flower = pilot.node("tax").store.identity, pilot.nodes["tax"].key.read_bytes()
    member = pilot.rosters("tax").accepted.member("tax")
    rotation = rotate(pilot.nodes["tax"], pilot.node("tax"), member)
    again = rotate(pilot.nodes["tax"], pilot.node("tax"), member)
    assert (rotation.identity, rotation.flower) == (again.identity, again.flower), "the same new keys"
    assert pilot.node("tax").store.identity == before
    assert pilot.nodes["tax"].key.read_bytes() == flower
    content = rotation.to_bytes()
    assert b"PRIVATE" not in content
    assert pilot.node("tax").store.next_identity.private.hex().encode() not in content


def test_new_keys_take_the_place_of_old_ones_everywhere(pilot):
    old, flower = pilot.node("tax").store.identity.public, pilot.nodes["tax"].key.read_bytes()
    fingerprint = pilot.node("bank").store.fingerprint("tax")
    rotation = change_keys(pilot, "tax")
    assert pilot.registered[-1] == ("tax", rotation.flower)
    assert ("tax", node_public(flower)) in pilot.registered, "the old one still lets its node in"
    assert pilot.hub.pins["tax"].hex() == rotation.identity
    pilot.accept()
    new = pilot.node("tax").store.identity.public
    assert new.hex() == rotation.identity
    assert node_public(pilot.nodes["tax"].key.read_bytes()) == rotation.flower
    assert not next_node_key(pilot.nodes["tax"]).exists()
    assert pilot.node("tax").store.next_identity is None
    for name in ("bank", "tax"):
        pins = pilot.node(name).store.pins
        assert (pins.of("tax"), pins.former["tax"]) == (new, (old,))
    assert pilot.node("bank").store.fingerprint("tax") == fingerprint, "its quota goes on"
    assert pilot.node("tax").store.identities == (old, new)


@pytest.mark.parametrize("which", ["identity", "flower"])
def test_one_key_may_change_alone(pilot, which):
    old = pilot.roster.member("tax")
    change_keys(pilot, "tax", identity=which == "identity", flower=which == "flower")
    pilot.accept()
    new = pilot.roster.member("tax")
    assert (old.identity != new.identity, old.flower != new.flower) == (
        which == "identity",
        which == "flower",
    )
    store = pilot.node("tax").store
    assert store.identity.public.hex() == new.identity
    assert node_public(pilot.nodes["tax"].key.read_bytes()) == new.flower


def test_keys_may_change_twice_and_a_member_that_was_away_follows(pilot):
    first = pilot.node("tax").store.identity.public
    change_keys(pilot, "tax")
    pilot.accept("tax")
    change_keys(pilot, "tax")
    pilot.accept("tax")
    pilot.accept("bank")
    pins = pilot.node("bank").store.pins
    assert pins.former["tax"][0] == first
    assert len(pins.former["tax"]) == 2
    assert pins.of("tax") == pilot.node("tax").store.identity.public


def test_the_trail_holds_over_a_change_of_keys(pilot):
    tax = pilot.node("tax")
    head = tax.trail.signed_head()
    change_keys(pilot, "tax")
    pilot.accept()
    tax = pilot.node("tax")
    tax.trail.append([{"action": "x", "event": "request", "counterparty": "hub"}])
    *former, present = tax.store.identities
    found = verify(tax.trail_path, present, [head, tax.trail.signed_head()], "tax", former=former)
    assert found.ok
    assert [e.digest for e in tax.trail.entries(kind="identity_rotated")] == [present.hex()]
    assert audit_books(tax).entries == tax.trail.head()[0]
    lost = verify(tax.trail_path, present, (), "tax")
    assert "does not begin a log of this institution and key" in lost.why
    old = verify(tax.trail_path, former[0], (), "tax")
    assert "new key of the institution that nobody pinned" in old.why


def test_the_old_key_signs_nothing_after_it_was_given_up(pilot):
    """Whoever has a stolen old key cannot go on with the trail, nor with signed heads."""
    from fedrisk.audit.log import AuditLog

    tax = pilot.node("tax")
    old = tax.store.identity
    change_keys(pilot, "tax")
    pilot.accept()
    tax = pilot.node("tax")
    thief = AuditLog(tax.trail_path, old, "tax", former=())
    thief.append([{"action": "x", "event": "request", "counterparty": "hub"}])
    *former, present = tax.store.identities
    assert not verify(tax.trail_path, present, (), "tax", former=former).ok
    forged = thief.signed_head()
    content = tax.trail_path.read_bytes().splitlines(keepends=True)[:-1]
    tax.trail_path.write_bytes(b"".join(content))
    (tax.trail_path.parent / "audit.jsonl.head").unlink()
    assert (
        "not signed by this institution"
        in verify(tax.trail_path, present, [forged], "tax", former=former).why
    )


def test_a_change_that_was_broken_off_is_completed(pilot, monkeypatch):
    from fedrisk.clients.store import store as module

    change_keys(pilot, "tax")
    pilot.tell()
    write = module.write_atomic

    def dies(file, content, **how):
        if file.name == "identity.key":
            raise KeyboardInterrupt
        write(file, content, **how)

    monkeypatch.setattr(module, "write_atomic", dies)
    with pytest.raises(KeyboardInterrupt):
        accept(pilot.node("tax"), pilot.rosters("tax"))
    monkeypatch.undo()
    tax = pilot.node("tax")
    assert tax.store.identity.public.hex() == pilot.roster.member("tax").identity
    pilot.accept()
    tax = pilot.node("tax")
    *former, present = tax.store.identities
    tax.trail.append([{"action": "x", "event": "request", "counterparty": "hub"}])
    assert verify(tax.trail_path, present, (), "tax", former=former).ok
    assert len(list(tax.trail.entries(kind="identity_rotated"))) == 1


def test_a_next_key_that_is_the_present_one_already_is_put_away(pilot):
    """Broken off after the last step but one: nothing is left that would stop another change."""
    store = pilot.node("tax").store
    store.identity.save(store.path / "identity.next.key")
    assert pilot.node("tax").store.next_identity is None
    change_keys(pilot, "tax")
    pilot.accept()


def test_an_open_attempt_keeps_the_old_key(pilot):
    state = pilot.node("tax").store.begin("attempt01", Begun(study=STUDY, research_seed=None))
    old = pilot.node("tax").store.identity
    change_keys(pilot, "tax")
    pilot.tell()
    with pytest.raises(PolicyError, match="accept once it is over"):
        accept(pilot.node("tax"), pilot.rosters("tax"))
    assert pilot.node("tax").store.identity == old
    state.forget_secrets()
    pilot.accept()
    assert pilot.node("tax").store.identity != old


def test_a_rotation_that_is_replayed_foreign_or_changed_is_refused(pilot, tmp_path):
    first = change_keys(pilot, "tax")
    with pytest.raises(ConfigError, match="admitted already"):
        check_rotation(pilot.home, first)
    pilot.accept()
    second = change_keys(pilot, "tax")
    with pytest.raises(ConfigError, match="admitted already"):
        check_rotation(pilot.home, first)
    old = second.model_copy(update={"number": 3})
    with pytest.raises(EnvelopeError, match="not signed by its old and its new keys"):
        check_rotation(pilot.home, old)
    other = joined(tmp_path / "other", {"bank": "bank", "tax": "holder"}, name="another")
    foreign = rotate(other.nodes["tax"], other.node("tax"), other.roster.member("tax"))
    with pytest.raises(EnvelopeError, match="another hub or consortium"):
        check_rotation(pilot.home, foreign)
    pilot.accept()
    third = rotate(pilot.nodes["tax"], pilot.node("tax"), pilot.roster.member("tax"))
    late = rotate(pilot.nodes["tax"], pilot.node("tax"), pilot.roster.member("tax"), flower=False)
    admit_rotation(pilot.home, third, pilot.register)
    with pytest.raises(EnvelopeError, match="does not begin with the keys that it has now"):
        check_rotation(pilot.home, late)


def test_a_key_of_another_institution_is_not_taken(pilot):
    bank = pilot.roster.member("bank")
    member = pilot.rosters("tax").accepted.member("tax")
    rotation = rotate(pilot.nodes["tax"], pilot.node("tax"), member)
    stolen = rotation.model_copy(update={"identity": bank.identity}).signed(
        pilot.node("tax").store.identity,
        pilot.node("bank").store.identity,
        next_node_key(pilot.nodes["tax"]).read_bytes(),
    )
    with pytest.raises(ConfigError, match="a key of tax is that of bank"):
        check_rotation(pilot.home, stolen)


def test_rotation_needs_something_to_change(pilot):
    with pytest.raises(ConfigError, match="say which key"):
        rotate(
            pilot.nodes["tax"], pilot.node("tax"), pilot.roster.member("tax"), identity=False, flower=False
        )
