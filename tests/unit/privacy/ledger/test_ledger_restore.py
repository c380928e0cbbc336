"""Lost, older and damaged ledgers, migration of files, disks that refuse."""

import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from dataclasses import replace

import pytest

from fedrisk.errors import ConfigError, StoreError
from fedrisk.privacy.ledger import file as ledger_file
from fedrisk.privacy.ledger.ledger import Ledger
from fedrisk.privacy.ledger.rollback_guard import Mark, read_seal, write_seal
from fedrisk.privacy.spend import Spend

BASE = Spend(
    study="autumn",
    attempt="1",
    release="counts",
    population="training",
    mu=3.0,
    delta=1e-6,
    what="label counts",
    institution="tax",
    counterparty="hub",
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.sqlite"


def used(path):
    ledger = Ledger(path, 5.0)
    ledger.debit("a", BASE, "d")
    ledger.commit("a", b"x")
    return ledger


# the seal


def test_a_lost_ledger_does_not_start_at_zero(path):
    used(path)
    path.unlink()
    for create in (True, False):
        with pytest.raises(StoreError, match="run .*restore"):
            Ledger(path, 5.0, create=create)
    assert not path.exists()


def test_a_registered_node_makes_no_new_ledger(path):
    with pytest.raises(StoreError, match="does not exist, though"):
        Ledger(path, 5.0, create=False)
    assert not path.exists()
    path.touch()
    with pytest.raises(StoreError, match="empty"):
        Ledger(path, 5.0, create=False)


def test_an_emptied_ledger_is_noticed(path):
    used(path)
    os.truncate(path, 0)
    with pytest.raises(StoreError, match="empty"):
        Ledger(path, 5.0)


def test_an_older_copy_is_noticed_and_can_be_acknowledged(path):
    ledger, copy = used(path), path.with_name("copy")
    shutil.copy(path, copy)
    ledger.debit("b", replace(BASE, attempt="2", mu=1.0), "d")
    ledger.commit("b", b"y")
    shutil.copy(copy, path)
    for call in (lambda: Ledger(path, 5.0), lambda: ledger.debit("c", BASE, "d"), ledger.audit):
        with pytest.raises(StoreError, match="older copy.*run .*restore"):
            call()
    with pytest.raises(ConfigError, match="reason"):
        Ledger.acknowledge_restore(path, 5.0, reason="", who="w")
    again = Ledger.acknowledge_restore(path, 5.0, reason="disk died", who="A. Officer")
    assert again.spent() == 3.0  # what came after the copy is not known
    again.debit("c", replace(BASE, attempt="3", mu=1.0), "d")
    again.commit("c", b"z")
    again.audit()
    with sqlite3.connect(path) as db:
        acts = db.execute("SELECT position, kind, detail FROM act ORDER BY position").fetchall()
    db.close()
    assert [act[:2] for act in acts] == [
        (1, "debit"),
        (2, "commit"),
        (5, "restore"),
        (6, "debit"),
        (7, "commit"),
    ]
    assert json.loads(acts[2][2]) == {"from": 2, "sealed": 4, "reason": "disk died", "who": "A. Officer"}
    shutil.copy(copy, path)
    with pytest.raises(StoreError, match="older copy"):
        Ledger(path, 5.0)


def test_an_older_copy_that_was_spent_on_is_noticed(path, tmp_path):
    ledger, copy = used(path), tmp_path / "elsewhere" / "ledger.sqlite"
    copy.parent.mkdir()
    shutil.copy(path, copy)
    shutil.copy(path.with_suffix(".seal"), copy.with_suffix(".seal"))
    ledger.debit("b", replace(BASE, attempt="2", mu=1.0), "d")
    ledger.commit("b", b"y")
    other = Ledger(copy, 5.0)
    for name in ("c", "d", "e"):
        other.debit(name, replace(BASE, attempt=name, mu=0.1), "d")
    shutil.copy(copy, path)
    with pytest.raises(StoreError, match="act 4 is not the one that was sealed"):
        Ledger(path, 5.0)


def test_a_lost_ledger_can_be_acknowledged(path):
    used(path)
    path.unlink()
    again = Ledger.acknowledge_restore(path, 5.0, reason="fire", who="w")
    assert again.spent() == 0.0
    assert again.audit() == 1
    assert read_seal(path.with_suffix(".seal")).count == 3


def test_a_lost_or_damaged_seal_is_noticed(path):
    used(path)
    seal = path.with_suffix(".seal")
    content = seal.read_bytes()
    seal.unlink()
    with pytest.raises(StoreError, match="seal.*gone"):
        Ledger(path, 5.0)
    seal.write_bytes(b"\0" * len(content))
    with pytest.raises(StoreError, match="damaged"):
        Ledger(path, 5.0)
    Ledger.acknowledge_restore(path, 5.0, reason="seal lost", who="w").audit()


def test_a_seal_torn_by_a_power_cut_leaves_the_one_before(tmp_path):
    seal = tmp_path / "x.seal"
    write_seal(seal, Mark(6, "six"))
    write_seal(seal, Mark(7, "seven"))
    assert read_seal(seal) == Mark(7, "seven")
    raw = bytearray(seal.read_bytes())
    raw[512:700] = b"\0" * 188
    seal.write_bytes(raw)
    assert read_seal(seal) == Mark(6, "six")
    assert stat.S_IMODE(seal.stat().st_mode) == 0o600


def test_a_seal_that_was_not_written_is_brought_forward(path, monkeypatch):
    ledger = used(path)
    ledger.debit("b", replace(BASE, attempt="2", mu=1.0), "d")

    def full(*_, **__):
        raise StoreError("seal: no space")

    with monkeypatch.context() as patch:
        patch.setattr(ledger_file, "write_seal", full)
        with pytest.raises(StoreError):
            ledger.commit("b", b"y")  # so the node sends nothing
    again = Ledger(path, 5.0)
    again.commit("b", b"y")
    assert read_seal(path.with_suffix(".seal")).count == 4
    again.audit()


# migration

VERSION_1 = (
    "CREATE TABLE schema (version INTEGER NOT NULL)",
    "INSERT INTO schema VALUES (1)",
    """CREATE TABLE release (
        position INTEGER PRIMARY KEY AUTOINCREMENT, release_id TEXT NOT NULL UNIQUE, spend TEXT NOT NULL,
        digest TEXT NOT NULL, debited TEXT NOT NULL, committed TEXT, answer BLOB)""",
)


def version_1(path, text=None):
    rows = [
        ("a", BASE, "2025-12-30T10:00:00+00:00", "2025-12-30T10:00:01+00:00", b"bytes"),
        ("b", replace(BASE, population="holdout", mu=4.0), "2026-02-01T10:00:00+00:00", None, None),
        ("c", replace(BASE, research=True), "2026-02-01T10:00:00+00:00", "2026-02-01T10:00:01+00:00", b""),
    ]
    with sqlite3.connect(path) as db:
        for statement in VERSION_1:
            db.execute(statement)
        for name, spend, debited, committed, answer in rows:
            spend = text or json.dumps(spend.to_dict())
            db.execute(
                "INSERT INTO release (release_id, spend, digest, debited, committed, answer) "
                "VALUES (?, ?, 'd', ?, ?, ?)",
                (name, spend, debited, committed, answer),
            )
    db.close()
    return path.read_bytes()


def test_a_file_of_version_1_is_migrated_and_its_copy_kept(path):
    before = version_1(path)
    ledger = Ledger(path, 5.0)
    assert ledger.spent() == 4.0
    assert [ledger.answer(name) for name in "abc"] == [b"bytes", None, b""]
    assert [(e.debited[:4], e.purpose, e.committed is None) for e in ledger.entries()] == [
        ("2025", "", False),
        ("2026", "", True),
        ("2026", "", False),
    ]
    assert ledger.audit() == 5
    ledger.debit("a", BASE, "d", purpose="scoring")  # known before purposes were kept
    ledger.commit("b", b"later")
    copy = path.with_name("ledger.sqlite.version1")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with sqlite3.connect(copy) as db:
        assert db.execute("SELECT COUNT(*) FROM release").fetchone() == (3,)
    db.close()
    assert Ledger(path, 5.0).audit() == 6
    path.write_bytes(before)  # the old copy put back later
    with pytest.raises(StoreError, match="older version than its seal"):
        Ledger(path, 5.0)
    restored = Ledger.acknowledge_restore(path, 5.0, reason="r", who="w")
    assert restored.spent() == 4.0
    restored.audit()


def test_a_migration_that_fails_changes_nothing(path):
    before = version_1(path, text="{}")
    for _ in range(2):
        with pytest.raises(StoreError, match="cannot be read"):
            Ledger(path, 5.0)
    assert path.read_bytes() == before
    assert not path.with_suffix(".seal").exists()


def test_a_migration_killed_before_its_seal_goes_on(path):
    version_1(path)
    script = (
        "import os, sys\n"
        "from fedrisk.privacy.ledger import file as ledger_file\n"
        "from fedrisk.privacy.ledger.ledger import Ledger\n"
        "ledger_file.write_seal = lambda *_, **__: os._exit(9)\n"
        "Ledger(sys.argv[1], 5.0)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, str(path)]).returncode == 9
    ledger = Ledger(path, 5.0)
    assert ledger.audit() == 5
    ledger.commit("b", b"later")
    assert read_seal(path.with_suffix(".seal")).count == 6


# disks


def test_a_full_disk_at_any_size_loses_nothing(path):
    """A limit on the size of files stands for the full disk; it stops the ledger or its journal."""
    script = (
        "import resource, sys\n"
        "from dataclasses import replace\n"
        "from fedrisk.errors import StoreError\n"
        "from fedrisk.privacy.ledger.ledger import Ledger\n"
        "from fedrisk.privacy.spend import Spend\n"
        f"base = Spend(**{BASE.to_dict()!r})\n"
        "ledger = Ledger(sys.argv[1], 5.0)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)\n"
        "try:\n"
        "    for i in range(1000):\n"
        "        ledger.debit(f'r{i}', replace(base, attempt=str(i), mu=0.01), 'd')\n"
        "        ledger.commit(f'r{i}', bytes(3000))\n"
        "        print(i, flush=True)\n"
        "except StoreError as error:\n"
        "    print(error)\n"
    )
    for kilobytes in (20, 100, 150):
        done = subprocess.run(
            [sys.executable, "-c", script, str(path), str(kilobytes * 1024)], capture_output=True, text=True
        )
        *sent, error = done.stdout.splitlines()
        assert "Nothing may be sent" in error and "repeat the request" in error
        ledger = Ledger(path, 5.0)
        ledger.audit()
        assert all(ledger.answer(f"r{i}") == bytes(3000) for i in sent)
    assert len(sent) > 3
    ledger.debit("after", replace(BASE, mu=0.01, attempt="after"), "d")


def test_a_folder_that_cannot_be_written(path):
    """Root may write anywhere, so a folder in the journal's place stands for the refusal."""
    ledger = used(path)
    journal = path.with_name(path.name + "-journal")
    journal.unlink(missing_ok=True)
    journal.mkdir()
    with pytest.raises(StoreError, match="Nothing may be sent"):
        ledger.debit("b", replace(BASE, attempt="2"), "d")
    journal.rmdir()
    assert [entry.release_id for entry in ledger.entries()] == ["a"]


def test_a_thread_that_opens_the_ledger_does_not_drop_the_lock_of_another(path):
    """POSIX locks are lost when any descriptor of the file is closed by the process."""
    Ledger(path, 5.0)
    holder = ledger_file.LedgerFile(path, 1.0)
    script = (
        "import sys\n"
        "from fedrisk.errors import StoreError\n"
        "from fedrisk.privacy.ledger.ledger import Ledger\n"
        "from fedrisk.privacy.spend import Spend\n"
        f"base = Spend(**{BASE.to_dict()!r})\n"
        "try:\n"
        "    Ledger(sys.argv[1], 5.0, wait_seconds=0.1).debit('x', base, 'd')\n"
        "except StoreError as error:\n"
        "    print(error)\n"
    )
    with holder.transaction():
        Ledger(path, 5.0)
        done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True)
    assert "another process holds it" in done.stdout
