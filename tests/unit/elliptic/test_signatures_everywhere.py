"""Wherever fedrisk takes a signature, it takes none under a key that signs for anybody, whatever OpenSSL says of it."""

import pytest

from fedrisk.audit.log import AuditLog
from fedrisk.audit.verify import verify as verify_log
from fedrisk.deploy import pki
from fedrisk.deploy.documents import now
from fedrisk.deploy.keys import new_node_key, node_public
from fedrisk.deploy.kit import Kit, Request
from fedrisk.deploy.roster import Roster, RosterMember
from fedrisk.deploy.rotation import Rotation
from fedrisk.deploy.words import hub_words
from fedrisk.elliptic import ed25519, weak_points
from fedrisk.errors import EnvelopeError, FedriskError
from fedrisk.releases.record import ReleaseRecord
from fedrisk.secure import identity, step_keys, survivors
from fedrisk.secure.identity import EphemeralKey, IdentityKey
from fedrisk.secure.pins import Pins
from fedrisk.secure.step_keys import Terms
from fedrisk.server.hub import Hub
from support import edwards

WEAK = edwards.written(edwards.NEUTRAL)
TERMS = Terms.of("d" * 64, "1", ["b0", "b1", "b2"], 2)
OWN, FLOWER = IdentityKey(b"\1" * 32), new_node_key()
_, AUTHORITY = pki.new_authority("pilot")


class Anybody:
    """Signs under the neutral point without any secret: the equation holds for every text."""

    public = WEAK

    def sign(self, message):
        return WEAK + bytes(32)


def attempt_key(of):
    own, _ = EphemeralKey.generate(OWN, "b0", "d" * 64, "1")
    identity.verify(own.signed(of), of.public, "b0", "d" * 64, "1")


def keys_of_steps(of):
    step_keys.verify_keys(step_keys.prepare(of, "b0", TERMS).keys, of.public, "b0", TERMS)


def confirmed_survivors(of):
    lists, sent = survivors.Survivors.of(0, TERMS.trainers, []), survivors.Record(sent=frozenset({0}))
    signatures = {name: survivors.confirm(of, name, TERMS, lists, sent)[0] for name in TERMS.trainers}
    survivors.check_confirmed(TERMS, lists, signatures, dict.fromkeys(TERMS.trainers, of.public))


def release_record(of):
    blank = ReleaseRecord(
        study={}, study_digest="ab" * 32, attempt="1", research=False, releases=(), context={}
    )
    blank.signed(of).verify(of.public)


def kit_of(hub):
    return Kit(
        consortium="pilot",
        address="hub.example:9490",
        name="bank",
        role="bank",
        display_name=None,
        hub=hub.public.hex(),
        hub_words=hub_words("pilot", hub.public.hex()),
        fingerprint=pki.fingerprint(AUTHORITY),
        authorities=(AUTHORITY.decode(),),
        invitation="0123456789ab",
        token="00" * 16,
        made=now(),
        expires="2999-01-01T00:00:00Z",
    ).signed(hub)


def request_to_join(of):
    Request.of(kit_of(OWN), of, FLOWER, protocols=(1,), version="0.1.0").verify()


def rotation(old, new):
    Rotation(
        consortium="pilot",
        hub=OWN.public.hex(),
        name="bank",
        number=1,
        made=now(),
        old_identity=old.public.hex(),
        identity=new.public.hex(),
        old_flower=node_public(FLOWER),
        flower=node_public(FLOWER),
    ).signed(old, new, FLOWER).verify()


def roster_of(hub, member):
    bank = RosterMember(
        name="bank",
        role="bank",
        display_name=None,
        identity=member.public.hex(),
        flower=node_public(FLOWER),
        protocols=(1,),
        fedrisk="0.1.0",
        since=1,
        changed=1,
    )
    first = Roster(
        consortium="pilot",
        epoch=1,
        made=now(),
        hub=hub.public.hex(),
        authorities=(AUTHORITY.decode(),),
        members=(bank,),
        previous="",
    )
    return first.signed(hub)


def trail(of, folder):
    log = AuditLog(folder / "audit.jsonl", of, "bank")
    log.note("begun", counterparty="hub", digest="")
    result = verify_log(folder / "audit.jsonl", of.public, [log.signed_head()], "bank")
    if not result.ok:
        raise EnvelopeError(result.why)


STRANGER = IdentityKey(b"\2" * 32)
PLACES = {
    "attempt key": lambda of, _: attempt_key(of),
    "step keys": lambda of, _: keys_of_steps(of),
    "survivors": lambda of, _: confirmed_survivors(of),
    "release record": lambda of, _: release_record(of),
    "kit": lambda of, _: kit_of(of).verify(),
    "request": lambda of, _: request_to_join(of),
    "rotation from": lambda of, _: rotation(of, OWN),
    "rotation to": lambda of, _: rotation(OWN, of),
    "roster of a hub": lambda of, _: roster_of(of, OWN).verify(of.public),
    "roster with a member": lambda of, _: roster_of(OWN, of).verify(OWN.public),
    "audit trail": trail,
    "pins of a node": lambda of, _: Pins(None, {}).with_new(OWN.public, {"bank": of.public}, "pins.json"),
    "pins of a hub": lambda of, folder: Hub(folder / "hub").pin({"bank": of.public}),
}
NAMED = {
    *("kit", "request", "rotation from", "rotation to", "roster with a member"),
    "pins of a node",
    "pins of a hub",
}
"""Where a key is about to be trusted, so that the error says what is wrong with it."""


@pytest.fixture(params=[True, False], ids=["libsodium", "openssl"])
def library(request, monkeypatch):
    verify = ed25519._of_many() if request.param else ed25519.by_openssl
    monkeypatch.setattr(ed25519, "_verifier", lambda: verify)


@pytest.mark.parametrize("place", PLACES)
def test_a_key_of_small_order_is_refused(place, library, tmp_path):
    trusted = "key of (bank|the hub) is none that a member or a hub has, since .* telephone"
    with pytest.raises(FedriskError, match=trusted if place in NAMED else None):
        PLACES[place](Anybody(), tmp_path)


@pytest.mark.parametrize("place", PLACES)
def test_a_members_key_is_taken(place, library, tmp_path):
    PLACES[place](STRANGER, tmp_path)


@pytest.mark.parametrize("place", PLACES)
def test_openssl_alone_would_take_it(place, monkeypatch, tmp_path):
    """So the refusal is that of the one verification, and each place asks it."""
    monkeypatch.setattr(ed25519, "_verifier", lambda: ed25519.by_openssl)
    for module in (ed25519, weak_points):
        monkeypatch.setattr(module, "weak", lambda point: False)
    PLACES[place](Anybody(), tmp_path)


def test_a_hub_reads_its_roster_with_such_a_member_so_that_it_can_expel_it():
    roster = roster_of(OWN, Anybody())
    roster.check_signed(OWN.public)
    without = roster.model_copy(update={"members": ()}).signed(OWN)
    without.verify(OWN.public)


def test_hexadecimal_is_the_same_and_anything_else_is_no_signature():
    signature = OWN.sign(b"text").hex()
    assert ed25519.signed_in_hex(OWN.public, signature, b"text")
    assert ed25519.signed_in_hex(OWN.public.hex(), signature, b"text")
    for key, wrong in ((OWN.public, "no hex"), (OWN.public, ""), ("no hex", signature), ("", signature)):
        assert not ed25519.signed_in_hex(key, wrong, b"text")
    assert not ed25519.signed_in_hex(OWN.public, signature, b"another")
