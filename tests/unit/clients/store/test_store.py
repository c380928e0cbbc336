"""The node's disk: keys, pins, attempts by their ids, and the log of errors."""

import json
import os
import stat
import time

import pytest

from fedrisk.clients.attempt import Requests
from fedrisk.clients.store import store as module
from fedrisk.clients.store.attempt_store import Begun
from fedrisk.clients.store.store import NodeStore, Pins
from fedrisk.errors import EnvelopeError, NothingYet, ProtocolError, StoreError
from fedrisk.files import write_atomic

ATTEMPT = "0123456789abcdef"
BEGUN = Begun(study={"name": "s"}, research_seed=None)
EMPTY = Begun(study={}, research_seed=None)
HUB, A, B = bytes([7]) * 32, bytes([1]) * 32, bytes([2]) * 32


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def store(tmp_path):
    return NodeStore(tmp_path / "node")


@pytest.fixture
def state(store):
    return store.begin(ATTEMPT, BEGUN)


# --- keys and pins ------------------------------------------------------------------------------------------


def test_the_folder_is_its_owners_alone(store):
    assert mode(store.path) == 0o700


def test_a_store_that_cannot_be_made_is_a_store_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"store .* cannot be made: .*; check path and permissions"):
        NodeStore(tmp_path / "file" / "node")


def test_the_identity_is_made_once_and_private(store):
    key = store.identity
    assert store.identity.public == key.public
    assert NodeStore(store.path).identity.public == key.public
    assert mode(store.path / "identity.key") == 0o600
    assert NodeStore(store.path.with_name("other")).identity.public != key.public


def test_no_pins_before_registration(store):
    with pytest.raises(EnvelopeError, match="does not exist; register the institutions"):
        _ = store.pins


def test_pins_are_kept_and_grow(store):
    store.pin(HUB, {"a": A})
    store.pin(HUB, {"b": B})
    store.pin(HUB, {"a": A})
    assert store.pins == Pins(HUB, {"a": A, "b": B})
    assert store.pins.of("b") == B
    assert mode(store.path / "pins.json") == 0o600
    with pytest.raises(EnvelopeError, match="no key is pinned for c; register"):
        store.pins.of("c")


@pytest.mark.parametrize(
    ("hub", "keys", "named"),
    [(HUB, {"a": B}, "a"), (A, {"a": A}, "the hub"), (A, {"a": B, "b": B}, "a, the hub")],
)
def test_a_changed_key_is_refused_and_nothing_is_written(store, hub, keys, named):
    store.pin(HUB, {"a": A})
    with pytest.raises(EnvelopeError, match=f"the key of {named} is not the one pinned"):
        store.pin(hub, keys)
    assert store.pins == Pins(HUB, {"a": A})


def test_pins_of_an_older_version_get_the_hubs_identity_at_the_next_registration(store):
    write_atomic(
        store.path / "pins.json", json.dumps({"hub": "11" * 32, "institutions": {"a": A.hex()}}).encode()
    )
    assert store.pins.hub is None
    store.pin(HUB, {"b": B})
    assert store.pins == Pins(HUB, {"a": A, "b": B})


# --- attempts -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["", "short", "../../../../etc", "a" * 65, "abcdefg.", "abcdefg/", "abc defgh", "äbcdefgh", "١٢٣٤٥٦٧٨٩"],
)
def test_ids_of_attempts_are_checked_before_they_become_paths(store, name):
    for ask in (store.attempt, lambda n: store.begin(n, EMPTY), store.results):
        with pytest.raises(ProtocolError, match="8 to 64 letters or digits"):
            ask(name)
    assert not (store.path / "attempts").exists()
    assert not (store.path / "results").exists()


@pytest.mark.parametrize("name", ["a" * 8, "A1" * 32])
def test_ids_at_the_bounds(store, name):
    assert store.begin(name, EMPTY).id == name


def test_an_attempt_that_was_never_described(store):
    with pytest.raises(ProtocolError, match="never described to this institution; run the study again"):
        store.attempt(ATTEMPT)


def test_begin_again_with_the_same_content_goes_on(store, state):
    state.save(Requests(digests={"order": "ab"}))
    again = store.begin(ATTEMPT, Begun(research_seed=None, study={"name": "s"}))
    assert again.load(Requests) == Requests(digests={"order": "ab"})
    assert store.attempt(ATTEMPT).load(Begun).study == {"name": "s"}


@pytest.mark.parametrize(
    "other",
    [
        Begun(study={"name": "t"}, research_seed=None),
        Begun(study={"name": "s"}, research_seed=0),
        Begun(study={}, research_seed=None),
    ],
)
def test_begin_again_with_other_content_is_refused(store, state, other):
    with pytest.raises(ProtocolError, match="used before for another study; start a new attempt"):
        store.begin(ATTEMPT, other)
    assert store.attempt(ATTEMPT).load(Begun) == BEGUN


def test_a_store_knows_what_was_described_to_it(store, state):
    assert store.knows(ATTEMPT)
    assert not store.knows("f" * 16)


def test_an_attempt_that_nobody_closed_is_forgotten_after_a_day(store, state):
    """A killed hub sends no last message; the next attempt clears what is left of its secrets."""
    state.put_secret("ephemeral", b"key")
    recent = store.begin("f" * 16, EMPTY)
    recent.put_secret("ephemeral", b"key")
    day_ago = time.time() - module.OLD_SECONDS - 60
    for file in state.folder.glob("*.json"):
        os.utime(file, (day_ago, day_ago))
    store.begin("e" * 16, EMPTY)
    assert state.over and not (state.folder / "secrets").exists()
    assert not recent.over and recent.secret("ephemeral") == b"key"


# --- errors -------------------------------------------------------------------------------------------------


def test_results_have_a_private_folder(store):
    folder = store.results(ATTEMPT)
    assert folder == store.path / "results" / ATTEMPT
    assert mode(folder) == 0o700
    assert store.results(ATTEMPT) == folder


# --- a store for reading ------------------------------------------------------------------------------------


def test_a_store_for_reading_makes_nothing(tmp_path):
    store = NodeStore(tmp_path / "node", make=False)
    assert store.unused
    assert not store.registered
    for look in (
        lambda: store.identity,
        lambda: store.pins,
        lambda: store.authority.quota,
        lambda: store.authority.key("1"),
        lambda: store.trail("bank").head(),
        lambda: store.ledger(1.0).grant(epsilon=1.0, reason="r", who="w"),
    ):
        with pytest.raises(NothingYet):
            look()
    ledger = store.ledger(1.5)
    assert (ledger.left(), ledger.spent(), ledger.entries(), ledger.audit()) == (1.5, 0.0, (), 0)
    assert ledger.report().cap.mu == 1.5
    assert list(store.trail("bank").entries(event="release")) == []
    with store.one_at_a_time():
        pass
    assert not store.path.exists()


def test_reading_never_takes_the_place_of_what_was_lost(store):
    """Where keys are pinned, a ledger or a trail that is gone is a loss, and no beginning."""
    _ = store.ledger(1.0)
    store.pin(HUB, {"bank": store.identity.public})
    (store.path / "ledger.sqlite").unlink()
    (store.path / "identity.key").unlink()
    reader = NodeStore(store.path, make=False)
    assert not reader.unused
    with pytest.raises(StoreError, match="a new ledger would forget"):
        reader.ledger(1.0)
    with pytest.raises(StoreError, match="put it back from its copy"):
        _ = reader.identity


def test_waiting_for_another_process_is_said(store, monkeypatch, caplog):
    import threading

    monkeypatch.setattr(module, "WAIT_SECONDS", 0.05)
    inside, done = threading.Event(), threading.Event()

    def other():
        with NodeStore(store.path).one_at_a_time():
            inside.set()
            done.wait(5)

    thread = threading.Thread(target=other)
    thread.start()
    inside.wait(5)
    threading.Timer(0.4, done.set).start()
    with store.one_at_a_time():
        assert done.is_set()
    thread.join()
    assert "is in use by another process" in caplog.text
