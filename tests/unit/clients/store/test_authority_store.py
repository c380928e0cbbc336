"""What a key authority keeps: a key for each epoch, made once."""

import pytest

from fedrisk.clients.store import authority_store as module
from fedrisk.clients.store.store import NodeStore
from fedrisk.files import write_atomic


@pytest.fixture
def store(tmp_path):
    return NodeStore(tmp_path / "node")


def test_the_key_of_an_epoch_is_made_once(store):
    key = store.authority.key("2026")
    assert len(key) == 32
    assert store.authority.key("2026") == key
    assert store.authority.key("2027") != key
    assert (store.path / "epochs" / "2026.voprf").stat().st_mode & 0o777 == 0o600


def test_the_epochs_key_of_an_older_version_is_of_another_function(store):
    (store.path / "epochs").mkdir()
    (store.path / "epochs" / "2026.key").write_bytes(b"o" * 32)
    assert store.authority.key("2026") != b"o" * 32


def test_two_processes_that_make_an_epochs_key_agree_on_one(store, monkeypatch):
    """The other process writes its key after this one saw that there is none."""
    file = store.path / "epochs" / "2026.voprf"

    def late():
        write_atomic(file, b"o" * 32)
        return b"m" * 32

    monkeypatch.setattr(module, "new_key", late)
    assert store.authority.key("2026") == b"o" * 32
    assert sorted(f.name for f in file.parent.iterdir()) == ["2026.made", "2026.voprf"]  # no draft is left
