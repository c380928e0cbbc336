"""What an institution itself saw released is kept, found by attempt, and said to be damaged where it is."""

import os

import pytest

from fedrisk.analysis.past_studies import past_study
from fedrisk.clients.store import past_store
from fedrisk.clients.store.past_store import PastStore
from fedrisk.errors import StoreError
from fedrisk.models.knowledge_file import same_sums
from support.past_runs import bare

STUDY = {"name": "january", "purpose": "credit_scoring"}


@pytest.fixture
def store(tmp_path):
    return PastStore(tmp_path / "past")


def test_it_is_found_by_its_attempt(store):
    past = past_study(bare(), "")
    assert store.find(past.attempt) is None
    store.keep(past, STUDY)
    store.keep(past, STUDY)
    assert same_sums(store.find(past.attempt), past)
    assert store.study(past.attempt) == STUDY
    files = sorted(file.suffix for file in store.path.glob("*"))
    assert files == [".json", ".npz"]
    assert not any(file.stat().st_mode & 0o077 for file in store.path.glob("*"))


def test_damage_is_said(store):
    past = past_study(bare(), "")
    store.keep(past, STUDY)
    (file,) = store.path.glob("*.npz")
    for content in (b"", b"x", file.read_bytes()[:-40]):
        file.write_bytes(content)
        with pytest.raises(StoreError, match="put it back"):
            store.find(past.attempt)
    (store.path / f"{past.attempt}.json").write_bytes(b"{")
    with pytest.raises(StoreError, match="put it back"):
        store.study(past.attempt)


def test_no_name_leads_out_of_the_folder(store):
    with pytest.raises(StoreError, match="letters"):
        store.find("../x")


def test_the_oldest_go_first(store, monkeypatch):
    from dataclasses import replace

    monkeypatch.setattr(past_store, "MOST_KEPT", 2)
    past = past_study(bare(), "")
    for k in range(3):
        store.keep(replace(past, attempt=f"a{k}"), STUDY)
        os.utime(store.path / f"a{k}.npz", (k, k))
    assert {f.stem for f in store.path.glob("*")} == {"a1", "a2"}
