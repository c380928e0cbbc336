"""Models in an institution's store: parts, states, what is damaged, and what reading makes."""

import stat
from datetime import date

import pytest

from fedrisk.clients.store.model_store import Change, ModelStore, State
from fedrisk.errors import ConfigError, NothingYet, StoreError
from fedrisk.models.model_part import ModelPart


def part(model="ab" * 8, **changes):
    content = {
        "model": model,
        "kind": "scorecard",
        "name": "refit",
        "version": 1,
        "made": date(2026, 3, 1),
        "purpose": "credit_scoring",
        "banks": ("alfa",),
        "holders": ("tax",),
        "institution": "tax",
        "role": "tax",
    }
    return ModelPart.model_validate(content | changes)


def change(state, **more):
    return Change(time="2026-03-01T10:00:00.000Z", state=state, **more)


@pytest.fixture
def store(tmp_path):
    return ModelStore(tmp_path / "tax")


def test_a_part_is_kept_once_with_the_next_version_of_its_name(store):
    first = store.put(part(), {"own.npz": b"numbers"})
    assert (first.version, store.file(first.model, "own.npz"), store.file(first.model, "none")) == (
        1,
        b"numbers",
        None,
    )
    second, other = store.put(part("cd" * 8)), store.put(part("ef" * 8, name="other"))
    assert (second.version, other.version) == (2, 1)
    again = store.put(part("cd" * 8, made=date(2026, 4, 1)))
    assert again == second == ModelStore(store.path.parent).part("cd" * 8)
    assert [p.model for p in store.parts()] == ["ef" * 8, "ab" * 8, "cd" * 8]


def test_files_are_for_their_owner_alone(store):
    store.put(part(), {"own.npz": b"numbers"})
    store.change("ab" * 8, change("approved"))
    for path in store.path.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_a_model_is_found_by_the_beginning_of_its_id(store):
    store.put(part("ab12" * 4))
    store.put(part("ab34" * 4))
    assert store.part("ab1").model == "ab12" * 4
    with pytest.raises(ConfigError, match="2 models begin with ab here; fedrisk model list"):
        store.part("ab")
    for said in ("ff", "", "../tax", "ab12" * 5):
        with pytest.raises(ConfigError, match="there is no model"):
            store.part(said)
        assert not store.has(said)


def test_a_model_is_found_by_its_study_where_one_model_alone_has_it(store):
    store.put(part("ab12" * 4, name="health"))
    assert store.part("health").model == "ab12" * 4
    store.put(part("cd34" * 4, name="health"))
    with pytest.raises(ConfigError, match="2 models here are of study health; name one by its id"):
        store.part("health")
    # A name that an id begins with means neither by itself.
    store.put(part("fade" * 4))
    store.put(part("ef56" * 4, name="fade"))
    with pytest.raises(ConfigError, match="fedrisk model list"):
        store.part("fade")


def test_states_are_those_of_all_changes(store):
    store.put(part())
    assert store.state("ab" * 8) == State()
    store.change("ab" * 8, change("approved", who="A"))
    store.change("ab" * 8, change("deployed", as_="challenger"))
    both = store.change("ab" * 8, change("deployed", as_="champion", product="green"))
    assert (both.name, both.as_, dict(both.roles)) == (
        "deployed",
        "champion",
        {"": "challenger", "green": "champion"},
    )
    assert ModelStore(store.path.parent).state("ab" * 8) == both and both.serves
    last = store.change("ab" * 8, change("retired"))
    assert (last.name, last.as_, last.serves, len(last.changes)) == ("retired", None, False, 4)


@pytest.mark.parametrize("content", [b"", b"{}", b"rubbish", b"\x00\xff"])
def test_a_damaged_part_is_named_with_its_remedy(store, content):
    store.put(part())
    (store.path / ("ab" * 8) / "part.json").write_bytes(content)
    with pytest.raises(StoreError, match=r"part\.json (is damaged|is empty); put it back from its copy"):
        store.parts()


def test_a_damaged_model_does_not_stand_in_the_way_of_a_new_one(store):
    store.put(part())
    (store.path / ("ab" * 8) / "part.json").write_bytes(b"rubbish")
    assert store.put(part("cd" * 8)).version == 1
    assert store.part("cd" * 8).model == "cd" * 8


def test_a_part_in_the_wrong_place_is_no_part(store):
    store.put(part())
    (store.path / ("ab" * 8)).rename(store.path / ("cd" * 8))
    with pytest.raises(StoreError, match="is damaged"):
        store.part("cd" * 8)


@pytest.mark.parametrize("content", [b"{}\n", b"rubbish\n", b'{"time": "", "state": "served"}\n'])
def test_damaged_states_approve_nothing(store, content):
    store.put(part())
    store.change("ab" * 8, change("approved"))
    (store.path / ("ab" * 8) / "states.jsonl").write_bytes(content)
    with pytest.raises(StoreError, match=r"states\.jsonl is damaged; .* has to be approved again"):
        store.state("ab" * 8)


def test_a_part_that_was_changed_is_read_again(store):
    store.put(part())
    changed = part(purpose="collections")
    (store.path / ("ab" * 8) / "part.json").write_bytes(changed.to_bytes())
    assert store.part("ab" * 8).purpose == "collections"


def test_reading_makes_nothing(tmp_path):
    store = ModelStore(tmp_path / "tax", make=False)
    assert (store.ids(), store.parts(), store.has("ab" * 8)) == ([], [], False)
    for act in (lambda: store.put(part()), lambda: store.change("ab" * 8, change("approved"))):
        with pytest.raises(NothingYet):
            act()
    with pytest.raises(NothingYet), store.changing():
        pass
    assert list(tmp_path.iterdir()) == []
