"""The node's disk: pins, attempts, secrets, pseudonyms, hold-outs and the log of errors."""

import json
import os
import stat
from datetime import date

import numpy as np
import pandas as pd
import pytest

from fedrisk.clients.store import store as module
from fedrisk.clients.store.attempt_store import AttemptState
from fedrisk.clients.store.store import NodeStore, Pins
from fedrisk.errors import EnvelopeError, PolicyError, ProtocolError, StoreError
from fedrisk.files import write_atomic

ATTEMPT = "0123456789abcdef"
HUB, A, B = bytes(32), bytes([1]) * 32, bytes([2]) * 32


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def store(tmp_path):
    return NodeStore(tmp_path / "node")


@pytest.fixture
def state(store):
    return store.begin(ATTEMPT, {"study": {"name": "s"}, "research_seed": None})


def forget_memory():
    """What a new process would know of kept arrays: nothing."""
    AttemptState._arrays.clear()


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


def test_the_key_of_an_epoch_is_made_once(store):
    key = store.authority_key("2026")
    assert len(key) == 32
    assert store.authority_key("2026") == key
    assert store.authority_key("2027") != key
    assert mode(store.path / "epochs" / "2026.key") == 0o600


def test_two_processes_that_make_an_epochs_key_agree_on_one(store, monkeypatch):
    """The other process writes its key after this one saw that there is none."""
    file = store.path / "epochs" / "2026.key"

    def late():
        write_atomic(file, b"o" * 32)
        return b"m" * 32

    monkeypatch.setattr(module, "new_key", late)
    assert store.authority_key("2026") == b"o" * 32
    assert [f.name for f in file.parent.iterdir()] == ["2026.key"]  # no draft is left


# --- atomic writes ------------------------------------------------------------------------------------------


def test_a_file_is_whole_private_and_replaced(tmp_path):
    file = tmp_path / "deep" / "file"
    write_atomic(file, b"one")
    write_atomic(file, b"two")
    assert file.read_bytes() == b"two"
    assert mode(file) == 0o600
    assert mode(file.parent) == 0o700
    write_atomic(file, b"three", replace=False)
    assert file.read_bytes() == b"two"
    assert [f.name for f in file.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("step", ["replace", "fsync"])
def test_a_write_that_fails_leaves_the_old_file_and_no_draft(tmp_path, monkeypatch, step):
    file = tmp_path / "file"
    write_atomic(file, b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(StoreError, match="cannot be written: No space left on device; check space"):
        write_atomic(file, b"new")
    monkeypatch.undo()
    assert file.read_bytes() == b"old"
    assert [f.name for f in tmp_path.iterdir()] == ["file"]


# --- attempts -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["", "short", "../../../../etc", "a" * 65, "abcdefg.", "abcdefg/", "abc defgh", "äbcdefgh", "١٢٣٤٥٦٧٨٩"],
)
def test_ids_of_attempts_are_checked_before_they_become_paths(store, name):
    for ask in (store.attempt, lambda n: store.begin(n, {}), store.results):
        with pytest.raises(ProtocolError, match="8 to 64 letters or digits"):
            ask(name)
    assert not (store.path / "attempts").exists()
    assert not (store.path / "results").exists()


@pytest.mark.parametrize("name", ["a" * 8, "A1" * 32])
def test_ids_at_the_bounds(store, name):
    assert store.begin(name, {}).id == name


def test_an_attempt_that_was_never_described(store):
    with pytest.raises(ProtocolError, match="never described to this institution; run the study anew"):
        store.attempt(ATTEMPT)


def test_begin_again_with_the_same_content_goes_on(store, state):
    state.update(step=3)
    again = store.begin(ATTEMPT, {"research_seed": None, "study": {"name": "s"}})
    assert again["step"] == 3
    assert store.attempt(ATTEMPT)["study"] == {"name": "s"}


@pytest.mark.parametrize(
    "other",
    [{"study": {"name": "t"}, "research_seed": None}, {"study": {"name": "s"}, "research_seed": 0}, {}],
)
def test_begin_again_with_other_content_is_refused(store, state, other):
    with pytest.raises(ProtocolError, match="used before for another study; start a new attempt"):
        store.begin(ATTEMPT, other)
    assert store.attempt(ATTEMPT)["study"] == {"name": "s"}


def test_facts_are_on_the_disk_at_once(store, state):
    state.update(a=1, b=[1, 2])
    state.update(a=2)
    fresh = store.attempt(ATTEMPT)
    assert (fresh["a"], fresh["b"]) == (2, [1, 2])
    assert "a" in fresh
    assert "c" not in fresh
    assert mode(state.folder / "state.json") == 0o600
    with pytest.raises(ProtocolError, match="out of order"):
        _ = fresh["c"]


def test_arrays_come_back_in_a_new_process(store, state):
    array = np.arange(6, dtype=np.uint16).reshape(2, 3)
    state.put("codes", array)
    assert state.has("codes")
    forget_memory()
    back = store.attempt(ATTEMPT).get("codes")
    assert back.dtype == array.dtype
    assert (back == array).all()
    assert not state.has("other")
    with pytest.raises(ProtocolError, match="other was never received in this attempt"):
        state.get("other")


def test_arrays_are_never_pickled(state):
    with pytest.raises(ValueError, match="pickle"):
        state.put("x", np.array([{}], object))


def test_arrays_of_two_nodes_in_one_process_stay_apart(tmp_path):
    states = [NodeStore(tmp_path / name).begin(ATTEMPT, {}) for name in ("one", "two")]
    for number, state in enumerate(states):
        state.put("x", np.full(3, number))
    assert [int(s.get("x")[0]) for s in states] == [0, 1]


def test_secrets_are_kept_privately(store, state):
    state.put_secret("ephemeral", b"key")
    assert store.attempt(ATTEMPT).secret("ephemeral") == b"key"
    assert mode(state.folder / "secrets" / "ephemeral") == 0o600
    assert mode(state.folder / "secrets") == 0o700
    assert "key" not in (state.folder / "state.json").read_text().replace("digest", "")


def test_forgetting_takes_secrets_and_arrays_and_leaves_facts(store, state):
    state.put_secret("ephemeral", b"key")
    state.put_secret("counts_tax@bank", b"seed")
    state.row_order(10)
    state.put("codes", np.arange(3))
    state.put("rows_bank", np.arange(3))
    state.forget_secrets()
    assert [f.name for f in state.folder.iterdir()] == ["state.json"]
    for ask in (lambda: state.secret("ephemeral"), lambda: state.secret("rows")):
        with pytest.raises(ProtocolError, match="deleted or were never made; run the study anew"):
            ask()
    for ask in (state, store.attempt(ATTEMPT)):
        with pytest.raises(ProtocolError):
            ask.get("codes")
    assert state["study"] == {"name": "s"}
    state.forget_secrets()  # twice does no harm


def test_forgetting_one_attempt_leaves_the_others(store, state):
    other = store.begin("f" * 16, {})
    for s in (state, other):
        s.put("x", np.arange(2))
        s.put_secret("k", b"1")
    state.forget_secrets()
    assert other.secret("k") == b"1"
    assert other.get("x").tolist() == [0, 1]


# --- the order of rows --------------------------------------------------------------------------------------


def test_the_order_of_rows_is_a_permutation_and_stays(store, state):
    order = state.row_order(500)
    assert sorted(order.tolist()) == list(range(500))
    assert (order == state.row_order(500)).all()
    assert (order == store.attempt(ATTEMPT).row_order(500)).all()
    assert mode(state.folder / "secrets" / "rows") == 0o600


def test_the_order_of_rows_is_new_in_each_attempt_and_store(store, state, tmp_path):
    """Two of three random orders of 500 rows are equal with probability 1 / 500!."""
    others = [
        store.begin("f" * 16, {}).row_order(500),
        NodeStore(tmp_path / "second").begin(ATTEMPT, {}).row_order(500),
    ]
    assert all((state.row_order(500) != other).any() for other in others)


def test_the_order_of_rows_comes_from_the_secret_alone(state):
    state.put_secret("rows", bytes(range(32)))
    first = state.row_order(100).tolist()
    state.put_secret("rows", bytes(range(1, 33)))
    assert state.row_order(100).tolist() != first


# --- pseudonyms and hold-outs -------------------------------------------------------------------------------


def values(*numbers):
    return np.array([[n] * 32 for n in numbers], np.uint8)


def test_kept_pseudonyms_are_found_by_id_in_any_order(store):
    found, known = store.pseudonyms("tax-1", ["a", "b"])
    assert not known.any()
    assert not found.any()
    store.keep_pseudonyms("tax-1", np.array(["a", "b", "c"], object), values(1, 2, 3))
    found, known = store.pseudonyms("tax-1", np.array(["c", "x", "a"], object))
    assert known.tolist() == [True, False, True]
    assert (found == values(3, 0, 1)).all()
    assert not store.pseudonyms("tax-2", ["a"])[1].any()  # another epoch, other pseudonyms


def test_kept_pseudonyms_are_added_to_and_the_latest_counts(store):
    store.keep_pseudonyms("tax-1", ["a", "b"], values(1, 2))
    store.keep_pseudonyms("tax-1", ["b", "c"], values(5, 6))
    found, known = store.pseudonyms("tax-1", ["a", "b", "c"])
    assert known.tolist() == [True, True, True]  # who left the table may return
    assert (found == values(1, 5, 6)).all()
    assert [f.name for f in (store.path / "pseudonyms").iterdir()] == ["tax-1.parquet"]
    assert mode(store.path / "pseudonyms") == 0o700


def test_pseudonyms_known_without_reading_them(store):
    assert store.known_pseudonyms("tax-1", ["a"]).tolist() == [False]
    store.keep_pseudonyms("tax-1", ["c", "a"], values(3, 1))
    assert store.known_pseudonyms("tax-1", np.array(["b", "c", "a"], object)).tolist() == [False, True, True]
    assert store.pseudonyms("tax-1", ["a", "c"])[0][:, 0].tolist() == [1, 3]  # the very list that is kept
    assert pd.read_parquet(store.path / "pseudonyms" / "tax-1.parquet")["id"].tolist() == ["a", "c"]


def test_pseudonyms_that_an_earlier_version_kept_are_read(store):
    (store.path / "pseudonyms").mkdir()
    frame = pd.DataFrame({"id": ["b", "a"], "pseudonym": [b"\x02" * 32, b"\x01" * 32]})
    frame.to_parquet(store.path / "pseudonyms" / "tax-1.parquet", index=False)
    assert store.pseudonyms("tax-1", ["a", "b", "z"])[0][:, 0].tolist() == [1, 2, 0]
    store.keep_pseudonyms("tax-1", ["z"], values(9))
    assert store.pseudonyms("tax-1", ["z", "b", "a"])[0][:, 0].tolist() == [9, 2, 1]


def test_versions_of_scores_are_counted(store):
    def counts(version, since=date(2026, 1, 1), ids=("a", "b", "c")):
        return store.scored_versions("bank", since, list(ids), version).tolist()

    assert counts("v1") == [1, 1, 1]
    store.keep_scored("bank", date(2026, 2, 1), "v1", ["a", "b"])
    store.keep_scored("bank", date(2026, 2, 1), "v1", ["b", "c"])  # the same day again adds to it
    store.keep_scored("bank", date(2026, 3, 1), "v1", ["a"])
    store.keep_scored("bank", date(2026, 4, 1), "v2", ["c"])
    store.keep_scored("other", date(2026, 4, 1), "v9", ["a"])
    assert counts("v1") == [1, 1, 2]
    assert counts("v2") == [2, 2, 2]
    assert counts("v3", ids="abcd") == [2, 2, 3, 1]
    assert counts("v3", since=date(2026, 2, 1)) == [2, 1, 2]  # of v1 only what a got on 1 March
    assert counts("v3", ids="") == []


def test_sides_under_earlier_keys_are_known(store):
    ids = ["a", "b", "c", "d"]
    assert [s.tolist() for s in store.earlier_sides("k@2", ids)] == [[False] * 4] * 2
    store.keep_sides("k@1", ["a"], np.array([1], np.uint8))
    store.keep_sides(
        "k@1", ["c", "a"], np.array([0, 1], np.uint8)
    )  # a second study of the epoch adds to the first
    store.keep_sides("k@2", ["d"], np.array([1], np.uint8))
    held, trained = store.earlier_sides("k@2", ids)
    assert held.tolist() == [True, False, False, False]
    assert trained.tolist() == [False, False, True, False]
    assert store.earlier_sides("k@1", ids)[0].tolist() == [False, False, False, True]
    assert store.earlier_sides("k@3", ids)[0].tolist() == [True, False, False, True]
    assert store.earlier_sides("k@3", [])[0].tolist() == []


def test_a_pending_request_is_for_one_list_only_and_goes_when_answered(store):
    ids, blinds, points = [b"x", b"yz"], bytes(64), bytes(range(64))
    assert store.pending("k@1", ids) is None
    store.keep_pending("k@1", ids, blinds, points)
    assert store.pending("k@1", ids) == (blinds, points)
    assert store.pending("k@1", [b"xy", b"z"]) is None
    assert store.pending("k@2", ids) is None
    store.drop_pending("k@1")
    assert store.pending("k@1", ids) is None


# --- errors -------------------------------------------------------------------------------------------------


def test_errors_are_kept_by_attempt_oldest_first(store):
    assert store.errors(ATTEMPT) == []
    store.log_error(ATTEMPT, "describe", PolicyError("policy.purposes does not hold it"))
    store.log_error("f" * 16, "blind", ProtocolError("another attempt"))
    try:
        raise KeyError("unforeseen\nin two lines")
    except KeyError as error:
        store.log_error(ATTEMPT, "mask", error)
    first, second = store.errors(ATTEMPT)
    assert (first["code"], first["action"], first["text"]) == (
        "refused",
        "describe",
        "policy.purposes does not hold it",
    )
    assert (second["code"], second["action"]) == ("internal", "mask")
    assert "Traceback" in second["text"]
    assert "Traceback" not in first["text"]
    lines = (store.path / "errors.log").read_text().splitlines()
    assert len([json.loads(line) for line in lines]) == 3


def test_results_have_a_private_folder(store):
    folder = store.results(ATTEMPT)
    assert folder == store.path / "results" / ATTEMPT
    assert mode(folder) == 0o700
    assert store.results(ATTEMPT) == folder
