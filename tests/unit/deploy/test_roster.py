"""Rosters: what a signed chain of epochs lets through, and what it does not, whoever signs."""

import itertools
import json
import random

import pytest

from fedrisk.deploy.documents import now
from fedrisk.deploy.keys import new_node_key, node_public
from fedrisk.deploy.roster import Roster, RosterMember, after_epoch, changes, epochs, read_epoch, write_epoch
from fedrisk.deploy.rotation import Rotation
from fedrisk.errors import EnvelopeError, FedriskError, StoreError
from fedrisk.secure.identity import IdentityKey
from fedrisk.server.membership import expel
from support.consortium import joined


@pytest.fixture(scope="module")
def pilot(tmp_path_factory):
    """A hub with a bank and a tax office; do not change it."""
    return joined(tmp_path_factory.mktemp("pilot"), {"bank": "bank", "tax": "holder"}, accepted=False)


def following(pilot, **changes):
    """The next epoch as a lying hub would sign it."""
    before = pilot.roster
    content = {"epoch": before.epoch + 1, "made": now(), "previous": before.digest(), **changes}
    return before.model_copy(update=content).signed(pilot.hub.identity)


def member(pilot, name, **changes):
    """A member as it is, but for what changes."""
    return pilot.roster.member(name).model_copy(update=changes)


def with_member(pilot, name, **changes):
    """The next epoch with one member changed."""
    members = tuple(
        member(pilot, one.name, **changes) if one.name == name else one for one in pilot.roster.members
    )
    return following(pilot, members=members)


def rotation_of(pilot, name, new, flower, **changes):
    """A rotation of a member's keys that is signed rightly, but for what changes before the signing."""
    old = pilot.roster.member(name)
    node = pilot.node(name)
    content = {
        "consortium": pilot.roster.consortium,
        "hub": pilot.roster.hub,
        "name": name,
        "number": len(old.rotations) + 1,
        "made": now(),
        "old_identity": old.identity,
        "identity": new.public.hex(),
        "old_flower": old.flower,
        "flower": node_public(flower),
        **changes,
    }
    return Rotation(**content).signed(node.store.identity, new, flower)


def refused(pilot, roster, why):
    def check():
        roster.verify(pilot.hub.identity.public)
        roster.check_follows(pilot.roster)

    with pytest.raises(EnvelopeError, match=why):
        check()


def test_epochs_follow_each_other_and_are_read_back(pilot):
    assert epochs(pilot.home) == [1, 2, 3]
    chain = after_epoch(pilot.home, 0)
    for before, after in itertools.pairwise(chain):
        after.verify(pilot.hub.identity.public)
        after.check_follows(before)
    assert chain[-1] == pilot.roster == Roster.latest(pilot.home)
    assert Roster.from_dict(json.loads(json.dumps(pilot.roster.to_dict(), sort_keys=True))) == pilot.roster
    assert [one.epoch for one in after_epoch(pilot.home, 2)] == [3]


def test_every_bit_flip_of_a_roster_is_refused(pilot):
    content = pilot.roster.to_bytes()
    draws = random.Random(3)
    for place in {*draws.sample(range(8 * (len(content) - 1)), 300), *range(0, 8 * 16, 5)}:
        changed = bytearray(content)
        changed[place // 8] ^= 1 << (place % 8)
        with pytest.raises(FedriskError):
            Roster.from_bytes(bytes(changed), "roster").verify(pilot.hub.identity.public)


def test_a_roster_of_another_hub_is_refused(pilot):
    other = IdentityKey.generate()
    with pytest.raises(EnvelopeError, match="not signed by the hub's pinned identity"):
        pilot.roster.signed(other).verify(pilot.hub.identity.public)
    forged = pilot.roster.model_copy(update={"hub": other.public.hex()}).signed(other)
    with pytest.raises(EnvelopeError, match="not signed by the hub's pinned identity"):
        forged.verify(pilot.hub.identity.public)
    forged.verify(other.public)


def test_a_changed_key_without_the_old_ones_word_is_refused(pilot):
    """The hub stands in the middle: it signs its own key for the bank."""
    stranger, flower = IdentityKey.generate(), new_node_key()
    refused(pilot, with_member(pilot, "bank", identity=stranger.public.hex()), "key of bank changed")
    refused(pilot, with_member(pilot, "bank", flower=node_public(flower)), "key of bank changed")
    refused(pilot, with_member(pilot, "bank", since=4, changed=4), "key of bank changed")
    refused(pilot, with_member(pilot, "bank", changed=4), "key of bank changed")
    by_hub = rotation_of(pilot, "bank", stranger, flower)
    by_hub = by_hub.model_copy(update={"signature": pilot.hub.identity.sign(by_hub.statement()).hex()})
    keys = {"identity": stranger.public.hex(), "flower": node_public(flower), "changed": 4}
    refused(pilot, with_member(pilot, "bank", rotations=(by_hub,), **keys), "its keys did not sign")


def test_a_rotation_that_the_old_key_signed_is_taken_once_and_in_its_place(pilot):
    new, flower = IdentityKey.generate(), new_node_key()
    good = rotation_of(pilot, "bank", new, flower)
    keys = {"identity": new.public.hex(), "flower": node_public(flower), "changed": 4}
    after = with_member(pilot, "bank", rotations=(good,), **keys)
    after.verify(pilot.hub.identity.public)
    after.check_follows(pilot.roster)
    assert [one.kind for one in changes(pilot.roster, after)] == ["keys", "keys"]
    assert after.member("bank").former == (pilot.roster.member("bank").identity,)
    refused(
        pilot,
        with_member(pilot, "bank", rotations=(good, good), **keys),
        "another institution, consortium or time",
    )
    refused(
        pilot, with_member(pilot, "bank", rotations=(good,), **{**keys, "changed": 2}), "key of bank changed"
    )
    refused(pilot, with_member(pilot, "tax", rotations=(good,), changed=4), "one key under two names")
    for change in ({"consortium": "other"}, {"hub": new.public.hex()}, {"number": 2}):
        other = rotation_of(pilot, "bank", new, flower, **change)
        refused(
            pilot,
            with_member(pilot, "bank", rotations=(other,), **keys),
            "another institution, consortium or time",
        )
    taken_back = after.model_copy(
        update={"epoch": 5, "previous": after.digest(), "members": pilot.roster.members}
    ).signed(pilot.hub.identity)
    with pytest.raises(EnvelopeError, match="key of bank changed"):
        taken_back.check_follows(after)


def test_two_names_that_are_alike_and_a_key_under_two_names_are_refused(pilot):
    bank, tax = pilot.roster.members
    twin = bank.model_copy(update={"since": 4, "changed": 4})
    refused(pilot, following(pilot, members=(bank, tax, twin)), "twice")
    other = RosterMember(
        name="other",
        role="bank",
        display_name=None,
        identity=IdentityKey.generate().public.hex(),
        flower=node_public(new_node_key()),
        protocols=(1,),
        fedrisk="1",
        since=4,
        changed=4,
    )
    good = following(pilot, members=(bank, tax, other))
    good.verify(pilot.hub.identity.public)
    good.check_follows(pilot.roster)
    for change, why in (
        ({"identity": bank.identity}, "one key under two names"),
        ({"flower": tax.flower}, "one key under two names"),
        ({"identity": pilot.roster.hub}, "one key under two names"),
        ({"display_name": "Tax"}, "read alike"),
        ({"since": 9, "changed": 9}, "still to come"),
        ({"since": 3, "changed": 3}, "without an epoch of its own"),
    ):
        changed = other.model_copy(update=change)
        refused(pilot, following(pilot, members=(bank, tax, changed)), why)


def test_a_broken_chain_is_refused(pilot):
    refused(pilot, following(pilot, previous="00" * 32), "does not follow")
    refused(pilot, following(pilot, epoch=5), "does not follow")
    refused(pilot, following(pilot, previous=""), "which epoch it follows")
    refused(pilot, following(pilot, made="2020-01-01T00:00:00Z"), "dated before")
    refused(pilot, following(pilot, consortium="another"), "another consortium")
    # Made at another time: all of this may happen within one second.
    other = following(pilot, epoch=3, previous=pilot.roster.previous, made="2031-01-01T00:00:00Z")
    refused(pilot, other, "two different rosters of epoch 3")
    refused(pilot, read_epoch(pilot.home, 2), "is old")


def test_an_institution_does_not_vanish_without_a_word(pilot):
    bank, _ = pilot.roster.members
    refused(pilot, following(pilot, members=(bank,)), "nothing says that it was expelled")


def test_an_expulsion_is_kept_and_its_keys_belong_to_its_name(tmp_path):
    pilot = joined(tmp_path, {"bank": "bank", "tax": "holder"}, accepted=False)
    before, tax = pilot.roster, pilot.roster.member("tax")
    expel(pilot.home, "tax", pilot.unregister, reason="left")
    after = pilot.roster
    after.check_follows(before)
    assert ([one.name for one in after.members], after.expelled[0].epoch) == (["bank"], 4)
    assert [(one.kind, one.name) for one in changes(before, after)] == [("left", "tax")]
    bank = after.member("bank")
    again = tax.model_copy(update={"name": "new", "since": 5, "changed": 5})
    refused(pilot, following(pilot, members=(bank, again)), "one key under two names")
    refused(pilot, following(pilot, expelled=()), "forgets who was expelled")
    back = following(pilot, members=(bank, again.model_copy(update={"name": "tax"})))
    back.verify(pilot.hub.identity.public)
    back.check_follows(after)


def test_what_differs_is_said_in_plain_words(pilot):
    found = changes(None, pilot.roster)
    assert [one.text for one in found] == ["bank joined as bank", "tax joined as holder"]
    assert [one.words for one in found] == [one.words for one in pilot.roster.members]
    after = with_member(
        pilot, "tax", role="authority", display_name="税务局", fedrisk="0.9", protocols=(1, 2)
    )
    assert [one.text for one in changes(pilot.roster, after)] == [
        "tax was holder and is authority now",
        "tax is shown as 税务局 now",
        "tax runs fedrisk 0.9 now",
    ]


def test_a_damaged_epoch_in_the_hubs_folder_is_named_and_none_is_replaced(tmp_path):
    pilot = joined(tmp_path, {"bank": "bank"}, accepted=False)
    with pytest.raises(StoreError, match="another command"):
        write_epoch(pilot.home, pilot.roster.model_copy(update={"made": "2030-01-01T00:00:00Z"}))
    file = pilot.home.path / "roster" / "000002.json"
    content = file.read_bytes()
    for changed in (b"", content[:-9], content.replace(b'"bank"', b'"bonk"', 1)):
        file.write_bytes(changed)
        with pytest.raises(StoreError, match="000002.json cannot be used"):
            Roster.latest(pilot.home)
    file.write_bytes((pilot.home.path / "roster" / "000001.json").read_bytes())
    with pytest.raises(StoreError, match="holds epoch 1"):
        Roster.latest(pilot.home)
    file.unlink()
    assert Roster.latest(pilot.home).epoch == 1
