"""The ledger's file: who may open it, locks, disks that refuse, damage."""

import contextlib
import os
import sqlite3
import stat
import subprocess
import sys
from dataclasses import replace

import pytest

from fedrisk.errors import StoreError
from fedrisk.privacy.ledger import file as ledger_file
from fedrisk.privacy.ledger.ledger import Ledger

pytestmark = pytest.mark.slow


def test_a_registered_node_makes_no_new_ledger(path):
    with pytest.raises(StoreError, match="does not exist, though"):
        Ledger(path, 5.0, create=False)
    assert not path.exists()
    path.touch()
    with pytest.raises(StoreError, match="empty"):
        Ledger(path, 5.0, create=False)


def test_only_the_owner_reads_it(path):
    Ledger(path, caps=5.0)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_locked_ledger_is_a_store_error(path, base):
    ledger = Ledger(path, caps=5.0, wait_seconds=0.05)
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match="another process"):
            ledger.debit("a", base, "d")
        other.execute("ROLLBACK")
    other.close()
    ledger.debit("a", base, "d")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to what is read-only")
def test_a_read_only_ledger(path):
    Ledger(path, caps=5.0)
    path.chmod(0o400)
    with pytest.raises(StoreError, match="writ"):
        Ledger(path, caps=5.0)


def test_damage_is_noticed(path, base):
    ledger = Ledger(path, caps=50.0)
    for i in range(40):
        ledger.debit(f"r{i}", replace(base, mu=0.1, what="x" * 300), "d")
    raw = bytearray(path.read_bytes())
    for start in range(2 * 4096, len(raw), 4096):
        raw[start : start + 64] = b"\xff" * 64
    path.write_bytes(raw)
    with pytest.raises(StoreError, match="restore the latest copy"):
        Ledger(path, caps=50.0)


def test_a_folder_that_cannot_be_written(path, used, base):
    """Root may write anywhere, so a folder in the journal's place takes the place of the refusal."""
    ledger = used
    journal = path.with_name(path.name + "-journal")
    journal.unlink(missing_ok=True)
    journal.mkdir()
    with pytest.raises(StoreError, match="Nothing may be sent"):
        ledger.debit("b", replace(base, attempt="2"), "d")
    journal.rmdir()
    assert [entry.release_id for entry in ledger.entries()] == ["a"]


def test_a_charge_between_two_looks_of_an_opening_is_not_taken_for_damage(path, monkeypatch, base):
    """Another process charges after the opening has read how many acts there are, before it reads totals."""
    other = Ledger(path, caps=5.0, wait_seconds=0.05)
    other.debit("a", base, "d")
    connect, looks = sqlite3.connect, []

    def meanwhile(statement):
        if statement.startswith("SELECT a.head") and not looks:
            looks.append(statement)
            with contextlib.suppress(StoreError):  # it may have to wait
                other.debit("b", replace(base, attempt="2", mu=1.0), "d")

    def traced(*args, **kwargs):
        db = connect(*args, **kwargs)
        db.set_trace_callback(meanwhile)
        return db

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", traced)
        Ledger(path, caps=5.0)
    assert looks
    Ledger(path, caps=5.0).audit()


def test_a_first_guard_written_during_an_opening_is_not_taken_for_a_lost_one(path, monkeypatch, base):
    """Another process makes the ledger's first charge after the opening has looked for the guard."""
    other, read, looks = Ledger(path, caps=5.0), ledger_file.read_guard, []

    def looked(guard):
        mark = read(guard)
        if not looks:
            looks.append(mark)
            other.debit("a", base, "d")
        return mark

    monkeypatch.setattr(ledger_file, "read_guard", looked)
    assert Ledger(path, caps=5.0).spent() == 3.0
    assert looks == [None]


def test_a_process_killed_in_the_middle_leaves_a_whole_ledger(path, base):
    Ledger(path, caps=5.0).debit("a", base, "d")
    script = (
        "import os, sqlite3, sys\n"
        "db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "db.execute('PRAGMA cache_size = 1'); db.execute('BEGIN IMMEDIATE')\n"
        "db.execute('DELETE FROM release')\n"
        "db.executemany('INSERT INTO answer VALUES (?, ?)', [(f'x{i}', b'y' * 5000) for i in range(200)])\n"
        "os._exit(9)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, str(path)]).returncode == 9
    # The crash left its half-done work behind.
    assert path.with_name(path.name + "-journal").stat().st_size
    assert [entry.release_id for entry in Ledger(path, caps=5.0).entries()] == ["a"]


def test_a_thread_that_opens_the_ledger_does_not_drop_the_lock_of_another(path, base):
    """POSIX locks are lost when any descriptor of the file is closed by the process."""
    Ledger(path, 5.0)
    holder = ledger_file.LedgerFile(path, 1.0)
    script = (
        "import sys\n"
        "from fedrisk.errors import StoreError\n"
        "from fedrisk.privacy.ledger.ledger import Ledger\n"
        "from fedrisk.privacy.spend import Spend\n"
        f"base = Spend(**{base.to_dict()!r})\n"
        "try:\n"
        "    Ledger(sys.argv[1], 5.0, wait_seconds=0.1).debit('x', base, 'd')\n"
        "except StoreError as error:\n"
        "    print(error)\n"
    )
    with holder.transaction():
        Ledger(path, 5.0)
        done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True)
    assert "another process holds it" in done.stdout
