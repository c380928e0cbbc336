"""The guard: older copies, lost files, guards that are torn, damaged or behind."""

import hashlib
import json
import os
import shutil
import stat
from dataclasses import replace

import pytest

from fedrisk.errors import StoreError
from fedrisk.privacy.ledger import file as ledger_file
from fedrisk.privacy.ledger.ledger import Ledger
from fedrisk.privacy.ledger.rollback_guard import Mark, guard_path, read_guard, write_guard


def test_a_guard_of_an_earlier_version_is_found_and_holds(tmp_path):
    """It was called a seal, and its file's name and checksum still say so."""
    path = guard_path(tmp_path / "ledger.sqlite")
    assert path.name == "ledger.seal"
    check = hashlib.sha256(b"fedrisk ledger seal|6|six").hexdigest()[:32]
    line = json.dumps({"count": 6, "head": "six", "check": check}).ljust(511).encode() + b"\n"
    path.write_bytes(line)
    assert read_guard(path) == Mark(6, "six")
    write_guard(path, Mark(6, "six"))
    assert path.read_bytes() == line


def test_a_guard_torn_by_a_power_cut_leaves_the_one_before(tmp_path):
    guard = tmp_path / "x.seal"
    write_guard(guard, Mark(6, "six"))
    write_guard(guard, Mark(7, "seven"))
    assert read_guard(guard) == Mark(7, "seven")
    raw = bytearray(guard.read_bytes())
    raw[512:700] = b"\0" * 188
    guard.write_bytes(raw)
    assert read_guard(guard) == Mark(6, "six")
    assert stat.S_IMODE(guard.stat().st_mode) == 0o600


def test_a_lost_ledger_does_not_start_at_zero(path, used):
    path.unlink()
    for create in (True, False):
        with pytest.raises(StoreError, match="run .*restore"):
            Ledger(path, 5.0, create=create)
    assert not path.exists()


def test_an_emptied_ledger_is_noticed(path, used):
    os.truncate(path, 0)
    with pytest.raises(StoreError, match="empty"):
        Ledger(path, 5.0)


def test_an_older_copy_that_was_spent_on_is_noticed(path, tmp_path, used, base):
    ledger, copy = used, tmp_path / "elsewhere" / "ledger.sqlite"
    copy.parent.mkdir()
    shutil.copy(path, copy)
    shutil.copy(path.with_suffix(".seal"), copy.with_suffix(".seal"))
    ledger.debit("b", replace(base, attempt="2", mu=1.0), "d")
    ledger.commit("b", b"y")
    other = Ledger(copy, 5.0)
    for name in ("c", "d", "e"):
        other.debit(name, replace(base, attempt=name, mu=0.1), "d")
    shutil.copy(copy, path)
    with pytest.raises(StoreError, match="act 4 is not the one that its guard remembers"):
        Ledger(path, 5.0)


def test_a_lost_or_damaged_guard_is_noticed(path, used):
    guard = path.with_suffix(".seal")
    content = guard.read_bytes()
    guard.unlink()
    with pytest.raises(StoreError, match="guard .*gone"):
        Ledger(path, 5.0)
    guard.write_bytes(b"\0" * len(content))
    with pytest.raises(StoreError, match="damaged"):
        Ledger(path, 5.0)
    Ledger.acknowledge_restore(path, 5.0, reason="guard lost", who="w").audit()


def test_a_guard_that_was_not_written_is_brought_forward(path, monkeypatch, used, base):
    ledger = used
    ledger.debit("b", replace(base, attempt="2", mu=1.0), "d")

    def full(*_, **__):
        raise StoreError("guard: no space")

    with monkeypatch.context() as patch:
        patch.setattr(ledger_file, "write_guard", full)
        with pytest.raises(StoreError):
            ledger.commit("b", b"y")  # so the node sends nothing
    again = Ledger(path, 5.0)
    again.commit("b", b"y")
    assert read_guard(path.with_suffix(".seal")).count == 4
    again.audit()
