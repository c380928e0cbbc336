"""What a node remembers of an attempt: typed facts, arrays, secrets, and what is left once it is over."""

import math
import stat
from dataclasses import dataclass

import numpy as np
import pytest

from fedrisk.clients.store.attempt_store import AttemptStore, Begun
from fedrisk.clients.store.store import NodeStore
from fedrisk.errors import ProtocolError, StoreError

ATTEMPT = "0123456789abcdef"
BEGUN = Begun(study={"name": "s"}, research_seed=None)
EMPTY = Begun(study={}, research_seed=None)


@dataclass(frozen=True, kw_only=True)
class Fact:
    """A state of the tests."""

    number: float
    names: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class OtherFact:
    """A state that nobody saved."""

    number: int


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def store(tmp_path):
    return NodeStore(tmp_path / "node")


@pytest.fixture
def state(store):
    return store.begin(ATTEMPT, BEGUN)


def forget_memory():
    """What a new process would know of kept arrays: nothing."""
    AttemptStore._arrays.clear()


def test_facts_are_on_the_disk_at_once(store, state):
    state.save(Fact(number=1, names=("x", "y")))
    state.save(Fact(number=2, names=("z",)))
    fresh = store.attempt(ATTEMPT)
    assert fresh.load(Fact) == Fact(number=2, names=("z",))
    assert fresh.find(OtherFact) is None
    assert mode(state.folder / "Fact.json") == 0o600
    with pytest.raises(ProtocolError, match="out of order"):
        fresh.load(OtherFact)


def test_no_privacy_is_an_infinity_that_comes_back(store, state):
    state.save(Fact(number=math.inf))
    assert store.attempt(ATTEMPT).load(Fact).number == math.inf


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"number": "many"}', b'{"names": []}'])
def test_a_damaged_fact_is_a_store_error(store, state, content):
    state.save(Fact(number=1))
    (state.folder / "Fact.json").write_bytes(content)
    with pytest.raises(StoreError, match=r"Fact\.json is damaged or of another version; run the study again"):
        store.attempt(ATTEMPT).find(Fact)


def test_a_message_is_kept_as_it_was(store, state):
    assert state.message("score") is None
    state.put_message("score", b"sealed")
    assert store.attempt(ATTEMPT).message("score") == b"sealed"
    state.forget_secrets()
    assert state.message("score") == b"sealed"  # told or answered, so it is no secret


def test_what_is_cached_is_made_once_a_version_and_forgotten_with_the_attempt(store, state):
    made = []

    def make():
        made.append(len(made))
        return made[-1]

    assert [state.cached("table", version, make) for version in (1, 1, 2, 2)] == [0, 0, 1, 1]
    other = store.begin("f" * 16, EMPTY)
    assert [s.cached("table", 2, make) for s in (other, state)] == [2, 3]  # only one is kept at a time
    state.forget_secrets()
    assert state.cached("table", 2, make) == 4


def test_nothing_is_kept_of_an_attempt_that_is_over(state):
    state.forget_secrets()
    for keep in (lambda: state.put("x", np.arange(2)), lambda: state.put_secret("k", b"1")):
        with pytest.raises(ProtocolError, match="an attempt that is over; run the study again"):
            keep()


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
    states = [NodeStore(tmp_path / name).begin(ATTEMPT, EMPTY) for name in ("one", "two")]
    for number, state in enumerate(states):
        state.put("x", np.full(3, number))
    assert [int(s.get("x")[0]) for s in states] == [0, 1]


def test_secrets_are_kept_privately(store, state):
    state.put_secret("ephemeral", b"key")
    assert store.attempt(ATTEMPT).secret("ephemeral") == b"key"
    assert mode(state.folder / "secrets" / "ephemeral") == 0o600
    assert mode(state.folder / "secrets") == 0o700
    assert "key" not in (state.folder / "Begun.json").read_text()


def test_forgetting_takes_secrets_and_arrays_and_leaves_facts(store, state):
    state.put_secret("ephemeral", b"key")
    state.put_secret("counts_tax@bank", b"seed")
    state.row_order(10)
    state.put("codes", np.arange(3))
    state.put("rows_bank", np.arange(3))
    state.forget_secrets()
    assert sorted(f.name for f in state.folder.iterdir()) == ["Begun.json", "Since.json", "over"]
    for ask in (lambda: state.secret("ephemeral"), lambda: state.secret("rows")):
        with pytest.raises(ProtocolError, match="deleted or were never made; run the study again"):
            ask()
    for ask in (state, store.attempt(ATTEMPT)):
        with pytest.raises(ProtocolError):
            ask.get("codes")
    assert state.load(Begun).study == {"name": "s"}
    state.forget_secrets()  # twice does no harm


def test_forgetting_one_attempt_leaves_the_others(store, state):
    other = store.begin("f" * 16, EMPTY)
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
        store.begin("f" * 16, EMPTY).row_order(500),
        NodeStore(tmp_path / "second").begin(ATTEMPT, EMPTY).row_order(500),
    ]
    assert all((state.row_order(500) != other).any() for other in others)


def test_the_order_of_rows_comes_from_the_secret_alone(state):
    state.put_secret("rows", bytes(range(32)))
    first = state.row_order(100).tolist()
    state.put_secret("rows", bytes(range(1, 33)))
    assert state.row_order(100).tolist() != first
