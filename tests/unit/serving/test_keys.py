import os
import stat

import pytest

from fedrisk.errors import ProtocolError, StoreError
from fedrisk.secure.identity import EphemeralKey, IdentityKey, verify
from fedrisk.serving.keys import DAY, SERVING, WEEK, Peers, ServingKeys, accepted, epoch_of
from support.serving import NOW, Clock, Consortium

EPOCH = epoch_of(NOW)


@pytest.fixture
def world(tmp_path):
    return Consortium(tmp_path)


def keys_of(world, name, clock):
    return ServingKeys(world.nodes[name].store, name, clock=clock)


def test_a_key_is_made_once_kept_privately_and_signed_by_the_identity(world):
    clock = Clock()
    one, other = keys_of(world, "tax", clock), keys_of(world, "tax", clock)
    assert one.own(EPOCH) == other.own(EPOCH)
    file = world.store("tax") / "serving" / "keys" / f"{EPOCH}.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    signed = one.signed(EPOCH)
    assert signed.public == one.own(EPOCH).public
    assert verify(signed, world.nodes["tax"].store.identity.public, "tax", SERVING, EPOCH) == signed


def test_a_key_is_gone_one_day_after_its_week(world):
    clock = Clock()
    keys = keys_of(world, "tax", clock)
    first, end = keys.own(EPOCH), NOW - NOW % DAY
    while epoch_of(end) == EPOCH:
        end += DAY
    clock.now = end + DAY - 1
    assert keys.own(EPOCH) == first
    clock.now = end + DAY
    with pytest.raises(ProtocolError):
        keys.own(EPOCH)
    keys.own(epoch_of(clock.now))
    assert [f.stem for f in keys.folder.glob("*.key")] == [epoch_of(clock.now)]
    keys.drop()
    assert list(keys.folder.iterdir()) == []


def test_epochs_are_accepted_around_their_ends_alone():
    monday = 1_795_996_800.0
    assert epoch_of(monday) != epoch_of(monday - 1)
    for k in range(0, int(WEEK), 3600):
        found = accepted(monday + k)
        assert found[0] == epoch_of(monday + k)
        assert (epoch_of(monday - 1) in found) == (k < DAY)
    assert accepted(monday - 200) == (epoch_of(monday - 1), epoch_of(monday))


def test_a_damaged_or_foreign_key_is_said_so(world):
    clock = Clock()
    file = world.store("tax") / "serving" / "keys" / f"{EPOCH}.key"
    keys_of(world, "tax", clock).own(EPOCH)
    file.write_bytes(b"rubbish")
    with pytest.raises(StoreError, match="damaged"):
        keys_of(world, "tax", clock).own(EPOCH)
    foreign, _ = EphemeralKey.generate(IdentityKey.generate(), "power", SERVING, EPOCH)
    file.write_bytes(foreign.to_bytes())
    with pytest.raises(StoreError, match="another"):
        keys_of(world, "tax", clock).own(EPOCH)


def test_a_relay_brings_in_no_key_that_a_pinned_identity_did_not_sign(world):
    clock = Clock()
    real = {name: keys_of(world, name, clock).signed(EPOCH) for name in ("tax", "power")}
    _, forged = EphemeralKey.generate(IdentityKey.generate(), "tax", SERVING, EPOCH)
    wrong_week = keys_of(world, "tax", Clock(NOW + WEEK)).signed(epoch_of(NOW + WEEK))
    answers = {}
    peers = Peers(keys_of(world, "bank", clock), lambda names, epoch: answers)
    for relayed in (forged, real["power"], wrong_week):
        answers = {"tax": relayed}
        assert peers.of(["tax"], EPOCH) == {}
    answers = {"tax": real["tax"], "power": real["power"], "stranger": forged}
    assert peers.of(["tax", "stranger"], EPOCH) == {"tax": real["tax"]}


def test_a_verified_key_is_remembered_until_it_does_not_fit_or_its_owner_is_gone(world):
    clock, calls = Clock(), []
    own = keys_of(world, "tax", clock)

    def fetch(names, epoch):
        calls.append(tuple(names))
        return {"tax": own.signed(epoch)}

    peers = Peers(keys_of(world, "bank", clock), fetch)
    first = peers.of(["tax"], EPOCH)["tax"]
    assert peers.of(["tax"], EPOCH)["tax"] == first
    assert calls == [("tax",)]
    own.drop()
    # One that does not fit is asked for again, and not at once a second time.
    peers._fetched.clear()
    second = peers.of(["tax"], EPOCH, other_than={"tax": first.public})["tax"]
    assert second != first
    peers.of(["tax"], EPOCH, other_than={"tax": second.public})
    assert calls == [("tax",)] * 2
    store = world.nodes["bank"].store
    store.repin({}, gone=["tax"])
    os.utime(store.pins_path, (1, 1))
    assert peers.of(["tax"], EPOCH) == {}


def test_both_ends_derive_the_same_secret(world):
    clock = Clock()
    sides = {name: keys_of(world, name, clock) for name in ("tax", "power")}
    peers = {
        name: Peers(k, lambda names, epoch: {n: sides[n].signed(epoch) for n in names})
        for name, k in sides.items()
    }
    found = {}
    for name, other in (("tax", "power"), ("power", "tax")):
        them = peers[name].of([other], EPOCH)
        found[name] = peers[name].secrets(sides[name].own(EPOCH), them)[other]
    assert found["tax"] == found["power"]
    assert len(found["tax"]) == 32


def test_a_new_book_goes_with_new_keys(world):
    """Else an answer that the lost book had could go out once more, from other data, under the same masks."""
    clock = Clock()
    before = keys_of(world, "tax", clock).own(EPOCH)
    assert keys_of(world, "tax", clock).own(EPOCH) == before
    for file in (world.store("tax") / "serving").glob("book.*"):
        file.unlink()
    assert keys_of(world, "tax", clock).own(EPOCH) != before


def test_a_machine_that_was_started_again_gets_new_keys(world, tmp_path, monkeypatch):
    clock = Clock()
    before = keys_of(world, "tax", clock).own(EPOCH)
    boot = tmp_path / "boot_id"
    boot.write_text("another start\n")
    monkeypatch.setattr("fedrisk.serving.book._BOOT", boot)
    after = keys_of(world, "tax", clock).own(EPOCH)
    assert after != before
    assert keys_of(world, "tax", clock).own(EPOCH) == after
