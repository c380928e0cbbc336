"""A node's table in the secret order of each attempt: one copy in memory, arranged anew when another attempt asks."""

import os

import numpy as np
import pytest

from fedrisk.clients.attempt import Agreement, Attempt
from fedrisk.clients.store.attempt_store import AttemptStore, Begun
from fedrisk.errors import DataError
from fedrisk.protocol import payload as module
from fedrisk.protocol.payload import Payload

pytestmark = pytest.mark.study


@pytest.fixture
def attempts(kit, tmp_path):
    consortium = kit.build(tmp_path, ("alfa",), ("tax",), enterprises=400)
    node = consortium.nodes["alfa"]
    facts = Begun(study=consortium.study.model_dump(mode="json"), research_seed=None)
    return consortium, [Attempt(node, node.store.begin(letter * 16, facts)) for letter in "ab"]


def same(table, other):
    return (
        np.array_equal(table.ids, other.ids)
        and table.frame.equals(other.frame)
        and np.array_equal(table.label, other.label)
    )


def test_each_attempt_sees_its_own_order_again_and_again(attempts):
    consortium, (one, two) = attempts
    raw = consortium.tables["alfa"].set_index("id")
    first, second = one.read(), two.read()
    assert set(first.ids) == set(raw.index) and not np.array_equal(first.ids, second.ids)
    for table in (first, second):
        assert np.array_equal(table.label, raw["bad"].loc[table.ids])
        expected = raw["debt"].loc[table.ids].clip(0, 1_000_000).to_numpy()
        assert np.array_equal(table.frame["debt"].to_numpy(), expected, equal_nan=True)
    assert one.read() is not first and same(one.read(), first) and same(two.read(), second)
    assert two.read() is two.read()  # the same attempt again costs nothing
    AttemptStore._cached.clear()  # a new process
    assert same(one.read(), first)


def test_a_table_that_changes_is_noticed(attempts, tmp_path):
    consortium, (one, _) = attempts
    one.state.save(Agreement(table=one.read().digest, features=(), remembered={}, key={}, statement={}))
    one.read()
    changed = consortium.tables["alfa"].copy()
    changed.loc[0, "debt"] = 1.0
    changed.to_parquet(tmp_path / "alfa.parquet", index=False)
    os.utime(tmp_path / "alfa.parquet", (1, 1))
    with pytest.raises(DataError, match="changed between two exchanges"):
        one.read()


def test_digests_of_a_message_are_computed_once(monkeypatch):
    blob = np.arange(6, dtype=np.uint32).reshape(2, 3)
    payload = Payload({"a": 1}, {"x": b"raw", "y": blob})
    whole = payload.digest()
    assert payload.blob_digest("y") == module.hashlib.sha256(blob.tobytes()).digest()
    made = []
    real = module.hashlib.sha256
    monkeypatch.setattr(module.hashlib, "sha256", lambda *a: made.append(len(a[0]) if a else 0) or real(*a))
    assert payload.digest() == whole and len(made) == 1  # the body alone
    assert (
        Payload({"a": 1}, {"x": b"raw", "y": blob.T.copy().T}).digest() == whole
    )  # by content, not by layout
    assert Payload({"a": 1}, {"x": b"raw", "y": blob.reshape(3, 2)}).digest() != whole
