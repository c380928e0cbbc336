"""What a hub proposed, as an institution keeps it: stages through time, room, and files that are damaged."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrisk.clients.store.proposal_store import (
    MOST_DAYS,
    MOST_KEPT,
    MOST_WAITING,
    Asked,
    Decision,
    ProposalStore,
    stamp,
)
from fedrisk.errors import ConfigError, StoreError

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def asked(id="0123456789ab", *, at=NOW, days=14, decision=None, attempt=None):
    return Asked(
        id=id,
        study={"name": "s"},
        digest="0" * 64,
        research_seed=None,
        mu=0.5,
        asked=stamp(at),
        deadline=stamp(at + timedelta(days=days)),
        decision=decision,
        attempt=attempt,
    )


def decided(state, at=NOW, code=None):
    return Decision(state=state, by="person", who="A", at=stamp(at), code=code)


@pytest.mark.parametrize(
    ("decision", "attempt", "days", "stage"),
    [
        (None, None, 0, "waiting"),
        (None, None, 13.9, "waiting"),
        (None, None, 14, "lapsed"),
        (decided("agreed"), None, 0, "agreed"),
        (decided("agreed"), None, 2.9, "agreed"),
        (decided("agreed"), None, 3, "waiting"),
        (decided("agreed"), None, 14, "lapsed"),
        (decided("agreed"), "a" * 32, 2, "used"),
        (decided("agreed"), "a" * 32, 200, "used"),
        (decided("refused"), None, 0, "refused"),
        (decided("refused"), None, 200, "refused"),
        (decided("agreed", NOW + timedelta(days=5)), None, 0, "waiting"),
    ],
)
def test_stages(decision, attempt, days, stage):
    found = asked(decision=decision, attempt=attempt)
    assert found.stage(NOW + timedelta(days=days), approval_days=3) == stage


def test_no_hub_makes_a_proposal_wait_for_ever():
    assert asked(days=10_000).ends == NOW + timedelta(days=MOST_DAYS)


def test_a_proposal_is_read_as_it_was_kept(tmp_path):
    store = ProposalStore(tmp_path)
    assert store.all() == []
    assert not store.path.exists()
    kept = asked(decision=decided("refused", code="refused"))
    store.put(kept)
    store.put(asked("aaaaaaaaaaaa", at=NOW - timedelta(days=1)))
    assert store.get(kept.id) == kept
    assert store.get("bbbbbbbbbbbb") is None
    assert [a.id for a in store.all()] == ["aaaaaaaaaaaa", kept.id]
    assert store.find("01") == kept
    for said, why in (("0f", "no proposal"), ("", "no proposal")):
        with pytest.raises(ConfigError, match=why):
            store.find(said)
    assert (store.path / f"{kept.id}.json").stat().st_mode & 0o077 == 0


def test_research_and_infinity_are_kept(tmp_path):
    store = ProposalStore(tmp_path)
    kept = replace(asked(), mu=float("inf"), research_seed=7, study={"privacy": {"epsilon": float("inf")}})
    store.put(kept)
    assert store.get(kept.id) == kept


@pytest.mark.parametrize(
    "damage", [b"", b"{}", b"rubbish", json.dumps({"id": 1}).encode(), b'{"asked": "yesterday"}']
)
def test_a_damaged_file_is_named_with_what_helps(tmp_path, damage):
    store = ProposalStore(tmp_path)
    store.put(asked())
    (store.path / "0123456789ab.json").write_bytes(damage)
    with pytest.raises(StoreError, match=r"0123456789ab\.json.*delete it"):
        store.all()


def test_a_time_that_is_none_is_damage(tmp_path):
    store = ProposalStore(tmp_path)
    store.put(replace(asked(), deadline="soon"))
    with pytest.raises(StoreError, match="damaged"):
        store.all()


def test_so_many_wait_and_no_more(tmp_path):
    store = ProposalStore(tmp_path)
    for number in range(MOST_WAITING):
        assert store.has_room(NOW, 14)
        store.put(asked(f"{number:012x}"))
    assert not store.has_room(NOW, 14)
    store.put(asked("000000000000", decision=decided("agreed")))
    assert store.has_room(NOW, 14)


def test_what_was_never_approved_makes_room_and_what_was_stays(tmp_path):
    store = ProposalStore(tmp_path)
    store.put(
        asked(
            "ffffffffffff",
            at=NOW - timedelta(days=900),
            decision=decided("agreed", NOW - timedelta(days=900)),
        )
    )
    for number in range(MOST_KEPT):
        at = NOW - timedelta(days=2 if number < 5 else 0.5)
        store.put(asked(f"{number:012x}", at=at, decision=decided("refused", at)))
    assert store.has_room(NOW, 14)
    assert len(store.all()) == MOST_KEPT
    assert store.get("ffffffffffff") is not None
    assert store.get("000000000000") is None
    for number in range(5):
        store.put(asked(f"{number:012x}", decision=decided("refused")))
    assert not store.has_room(NOW, 14)


@given(st.floats(-5, 100), st.integers(1, 365), st.floats(0.01, 1000))
def test_an_approval_never_holds_longer_than_its_days(since, approval_days, deadline):
    found = asked(days=deadline, decision=decided("agreed"))
    stage = found.stage(NOW + timedelta(days=since), approval_days)
    assert (stage == "agreed") == (-1 <= since < approval_days)
