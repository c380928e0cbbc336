"""The institution's ledger: charges, refusals, repetition, two processes at once, broken disks."""

import contextlib
import math
import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.errors import BudgetError, ConfigError, ProtocolError, StoreError
from fedrisk.privacy.accounting import mu_for
from fedrisk.privacy.ledger.file import store_error
from fedrisk.privacy.ledger.ledger import Ledger
from fedrisk.privacy.spend import Spend

BASE = Spend(
    study="autumn",
    attempt="1",
    release="counts",
    population="training",
    mu=3.0,
    delta=1e-6,
    what="label counts per bin",
    institution="tax",
    counterparty="bank",
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.sqlite"


# charges


def test_squares_add_up_to_the_cap_and_no_further(path):
    ledger = Ledger(path, caps=5.0)
    assert (ledger.spent(), ledger.left()) == (0.0, 5.0)
    ledger.debit("a", BASE, "d")
    assert (ledger.spent(), ledger.left()) == (3.0, 4.0)
    ledger.debit("b", replace(BASE, study="winter", mu=4.0), "d")
    assert (ledger.spent(), ledger.left()) == (5.0, 0.0)
    with pytest.raises(BudgetError):
        ledger.debit("c", replace(BASE, study="spring", mu=0.01), "d")
    assert ledger.spent() == 5.0
    assert [entry.release_id for entry in ledger.entries()] == ["a", "b"]


def test_an_attempt_is_charged_its_larger_population(path):
    ledger = Ledger(path, caps=5.0)
    ledger.debit("a", BASE, "d")
    ledger.debit("b", replace(BASE, population="holdout", mu=2.0), "d")
    assert ledger.spent() == 3.0
    ledger.debit("c", replace(BASE, population="holdout", mu=math.sqrt(12.0)), "d")
    assert ledger.spent() == pytest.approx(4.0, rel=1e-15)
    ledger.debit("d", replace(BASE, attempt="2"), "d")
    assert ledger.spent() == pytest.approx(5.0, rel=1e-15)
    with pytest.raises(BudgetError):
        ledger.debit("e", replace(BASE, attempt="3", population="holdout", mu=0.1), "d")
    ledger.debit("f", replace(BASE, mu=0.5), "d")  # free: the training side of attempt 1 is the smaller one
    assert ledger.spent() == pytest.approx(5.0, rel=1e-15)


def test_a_budget_split_into_parts_can_be_spent_to_its_end(path):
    cap = mu_for(1.0, 1e-6)
    ledger = Ledger(path, caps=cap)
    for name, part in {"edges": 0.06, "counts": 0.5, "gram": 0.26, "moment": 0.18}.items():
        ledger.debit(name, replace(BASE, release=name, mu=cap * math.sqrt(part)), "d")
    assert ledger.spent() == pytest.approx(cap, rel=1e-12)


def test_refusal_names_spent_asked_cap_and_remedy(path):
    ledger = Ledger(path, caps=mu_for(1.0, 1e-6))
    ledger.debit("a", replace(BASE, mu=mu_for(0.5, 1e-6)), "d")
    with pytest.raises(BudgetError) as refusal:
        ledger.debit("b", replace(BASE, study="winter", mu=mu_for(3.0, 1e-6)), "d")
    text = str(refusal.value)
    for part in (
        "spent epsilon 0.5,",
        "asked 3,",
        "cap 1,",
        "delta 1e-06",
        "Lower the study's epsilon",
        "raise",
    ):
        assert part in text
    assert refusal.value.code == "budget"


def test_a_lowered_cap_leaves_nothing(path):
    Ledger(path, caps=5.0).debit("a", BASE, "d")
    ledger = Ledger(path, caps=2.0)
    assert (ledger.spent(), ledger.left()) == (3.0, 0.0)
    with pytest.raises(BudgetError):
        ledger.reserve_check([replace(BASE, mu=0.01)])


def test_research_is_recorded_at_no_charge(path):
    ledger = Ledger(path, caps=1.0)
    ledger.debit("a", replace(BASE, research=True, mu=math.inf), "d")
    ledger.debit("b", replace(BASE, research=True, mu=50.0), "d")
    assert ledger.spent() == 0.0
    assert [entry.spend.price for entry in ledger.entries()] == [math.inf, math.inf]
    with pytest.raises(ProtocolError):  # the mark cannot be taken off afterwards
        ledger.debit("b", replace(BASE, mu=50.0), "d")


def test_reserve_check_sees_the_whole_study_and_records_nothing(path):
    ledger = Ledger(path, caps=5.0)
    both = [BASE, replace(BASE, release="gram", mu=4.0), replace(BASE, population="holdout", mu=5.0)]
    ledger.reserve_check(both)
    assert ledger.entries() == ()
    with pytest.raises(BudgetError):
        ledger.reserve_check([*both, replace(BASE, release="more", mu=0.1)])
    ledger.debit("a", replace(BASE, study="summer", mu=0.1), "d")
    with pytest.raises(BudgetError):
        ledger.reserve_check(both)
    ledger.reserve_check([])


def test_a_cap_of_nothing_allows_nothing(path):
    ledger = Ledger(path, caps=0.0)
    ledger.debit("free", replace(BASE, mu=0.0), "d")
    with pytest.raises(BudgetError):  # its square underflows to zero
        ledger.debit("a", replace(BASE, mu=1e-300), "d")


def test_an_infinite_cap_is_an_explicit_choice(path):
    ledger = Ledger(path, caps=math.inf)
    ledger.debit("a", replace(BASE, mu=1e200), "d")
    assert ledger.left() == math.inf
    for cap in (-1.0, math.nan):
        with pytest.raises(ConfigError, match="caps"):
            Ledger(path, caps=cap)


# squares of smaller ones would underflow in the plain recomputation
prices = st.floats(0.0, 5.0).filter(lambda mu: mu == 0.0 or mu > 1e-100)
spends = st.builds(
    lambda study, attempt, population, mu, research: replace(
        BASE, study=study, attempt=attempt, population=population, mu=mu, research=research
    ),
    st.sampled_from(["autumn", "winter"]),
    st.sampled_from(["1", "2"]),
    st.sampled_from(["training", "holdout"]),
    prices,
    st.sampled_from([False, False, False, True]),
)


def plain_charge(rows):
    """The rule spelled out: sum over attempts of the larger population's sum of squares."""
    attempts = {(s.study, s.attempt) for s in rows}
    return math.sqrt(
        sum(
            max(
                sum(
                    s.mu**2
                    for s in rows
                    if (s.study, s.attempt, s.population) == (*key, side) and not s.research
                )
                for side in ("training", "holdout")
            )
            for key in attempts
        )
    )


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 7), spends), max_size=14), prices)
def test_random_debits_never_pass_the_cap_and_equal_plain_recomputation(steps, cap):
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "ledger.sqlite", caps=cap)
        accepted = {}
        for number, spend in steps:
            name = f"r{number}"
            try:
                ledger.debit(name, spend, "d")
            except BudgetError:
                assert name not in accepted
                assert plain_charge([*accepted.values(), spend]) > cap * (1 - 1e-12)
            except ProtocolError:
                assert accepted[name] != spend
            else:
                assert accepted.setdefault(name, spend) == spend
            assert ledger.spent() <= cap * (1 + 1e-9)
        assert ledger.spent() == pytest.approx(plain_charge(list(accepted.values())), rel=1e-12, abs=1e-150)
        assert {entry.release_id: entry.spend for entry in ledger.entries()} == accepted


# repetition and answers


def test_the_same_debit_again_costs_nothing(path):
    ledger = Ledger(path, caps=3.0)
    ledger.debit("a", BASE, "d")
    ledger.debit("a", BASE, "d")
    Ledger(path, caps=3.0).debit("a", BASE, "d")
    assert ledger.spent() == 3.0
    assert len(ledger.entries()) == 1


@pytest.mark.parametrize(("spend", "digest"), [(BASE, "other"), (replace(BASE, mu=1.0), "d")])
def test_an_id_with_other_content_is_refused(path, spend, digest):
    ledger = Ledger(path, caps=9.0)
    ledger.debit("a", BASE, "d")
    with pytest.raises(ProtocolError, match="new attempt"):
        ledger.debit("a", spend, digest)
    assert ledger.spent() == 3.0


def test_answers_are_stored_once_and_returned_as_they_were(path):
    ledger = Ledger(path, caps=3.0)
    with pytest.raises(ProtocolError, match="never debited"):
        ledger.commit("a", b"bytes")
    ledger.debit("a", BASE, "d")
    assert ledger.answer("a") is None
    assert ledger.entries()[0].committed is None
    assert ledger.spent() == 3.0  # reserved is charged
    ledger.commit("a", b"\0bytes")
    ledger.commit("a", b"\0bytes")
    with pytest.raises(ProtocolError, match="other bytes"):
        ledger.commit("a", b"others")
    again = Ledger(path, caps=3.0)
    assert again.answer("a") == b"\0bytes"
    assert again.entries()[0].committed is not None
    assert again.answer("unknown") is None


def test_an_empty_answer_is_an_answer(path):
    ledger = Ledger(path, caps=3.0)
    ledger.debit("a", BASE, "d")
    ledger.commit("a", b"")
    assert ledger.answer("a") == b""


@pytest.mark.parametrize(("name", "digest"), [("", "d"), ("a", "")])
def test_empty_names_are_refused(path, name, digest):
    with pytest.raises(ProtocolError, match="not empty"):
        Ledger(path, caps=3.0).debit(name, BASE, digest)


# several processes

SPENDER = """
import sys
from dataclasses import replace
from fedrisk.errors import BudgetError
from fedrisk.privacy.ledger.ledger import Ledger
from fedrisk.privacy.spend import Spend
name, path = sys.argv[1:]
base = Spend(study="s", attempt=name, release="r", population="training", mu=1.0, delta=1e-6, what="w",
             institution="i", counterparty="c")
ledger = Ledger(path, caps=5.0)
done = 0
for i in range(40):
    try:
        ledger.debit(f"{name}-{i}", base, "d")
        done += 1
    except BudgetError:
        pass
print(done)
"""


def test_two_processes_cannot_overspend_together(path):
    running = [
        subprocess.Popen([sys.executable, "-c", SPENDER, name, str(path)], stdout=subprocess.PIPE, text=True)
        for name in ("one", "two")
    ]
    counts = [int(process.communicate(timeout=60)[0]) for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert sum(counts) == 25  # 25 unit prices make exactly mu 5
    assert Ledger(path, caps=5.0).spent() == pytest.approx(5.0, rel=1e-12)


def test_a_charge_between_two_looks_of_an_opening_is_not_taken_for_damage(path, monkeypatch):
    """Another process charges after the opening has read the number of acts and before it reads the totals."""
    other = Ledger(path, caps=5.0, wait_seconds=0.05)
    other.debit("a", BASE, "d")
    connect, looks = sqlite3.connect, []

    def meanwhile(statement):
        if statement.startswith("SELECT a.head") and not looks:
            looks.append(statement)
            with contextlib.suppress(StoreError):  # it may have to wait
                other.debit("b", replace(BASE, attempt="2", mu=1.0), "d")

    def traced(*args, **kwargs):
        db = connect(*args, **kwargs)
        db.set_trace_callback(meanwhile)
        return db

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", traced)
        Ledger(path, caps=5.0)
    assert looks
    Ledger(path, caps=5.0).audit()


def test_a_process_killed_in_the_middle_leaves_a_whole_ledger(path):
    Ledger(path, caps=5.0).debit("a", BASE, "d")
    script = (
        "import os, sqlite3, sys\n"
        "db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "db.execute('PRAGMA cache_size = 1'); db.execute('BEGIN IMMEDIATE')\n"
        "db.execute('DELETE FROM release')\n"
        "db.executemany('INSERT INTO answer VALUES (?, ?)', [(f'x{i}', b'y' * 5000) for i in range(200)])\n"
        "os._exit(9)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, str(path)]).returncode == 9
    assert path.with_name(path.name + "-journal").stat().st_size  # the crash left its half-done work behind
    assert [entry.release_id for entry in Ledger(path, caps=5.0).entries()] == ["a"]


# broken stores


def test_a_locked_ledger_is_astore_error(path):
    ledger = Ledger(path, caps=5.0, wait_seconds=0.05)
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match="another process"):
            ledger.debit("a", BASE, "d")
        other.execute("ROLLBACK")
    other.close()
    ledger.debit("a", BASE, "d")


def test_a_full_disk_is_astore_error_and_charges_stay_whole(path):
    """A file size limit stands for the full disk: the commit that does not fit fails."""
    script = (
        "import resource, sys\n"
        "from fedrisk.privacy.ledger.ledger import Ledger\n"
        "from fedrisk.errors import StoreError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        "ledger = Ledger(sys.argv[1], caps=5.0)\n"
        "try:\n"
        "    ledger.commit('a', bytes(1_000_000))\n"
        "except StoreError as error:\n"
        "    print(error)\n"
    )
    ledger = Ledger(path, caps=5.0)
    ledger.debit("a", BASE, "d")
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True)
    assert "Nothing may be sent" in done.stdout
    assert "repeat the request" in done.stdout
    assert ledger.answer("a") is None
    assert ledger.spent() == 3.0


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        ("SQLITE_FULL", "free space"),
        ("SQLITE_IOERR_FSYNC", "quota"),
        ("SQLITE_READONLY_DIRECTORY", "write access"),
        ("SQLITE_BUSY_RECOVERY", "repeat"),
        ("SQLITE_CORRUPT_INDEX", "restore"),
        ("SQLITE_TOOBIG", "blocks"),
        ("SQLITE_MISUSE", "look up"),
    ],
)
def test_every_failure_names_its_remedy(code, remedy):
    error = sqlite3.OperationalError("x")
    error.sqlite_errorname = code
    assert remedy in str(store_error(Path("ledger"), error))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to what is read-only")
def test_a_read_only_ledger(path):
    Ledger(path, caps=5.0)
    path.chmod(0o400)
    with pytest.raises(StoreError, match="writ"):
        Ledger(path, caps=5.0)


def test_damage_is_noticed(path):
    ledger = Ledger(path, caps=50.0)
    for i in range(40):
        ledger.debit(f"r{i}", replace(BASE, mu=0.1, what="x" * 300), "d")
    raw = bytearray(path.read_bytes())
    for start in range(2 * 4096, len(raw), 4096):
        raw[start : start + 64] = b"\xff" * 64
    path.write_bytes(raw)
    with pytest.raises(StoreError, match="restore the latest copy"):
        Ledger(path, caps=50.0)


def test_an_entry_that_cannot_be_read_is_named(path):
    ledger = Ledger(path, caps=5.0)
    ledger.debit("a", BASE, "d")
    with sqlite3.connect(path) as db:
        db.execute("UPDATE release SET spend = '{}'")
    db.close()
    for call in (ledger.audit, ledger.entries, lambda: ledger.debit("a", BASE, "d")):
        with pytest.raises(StoreError, match="cannot be read"):
            call()


def test_what_is_no_ledger(tmp_path, path):
    path.write_bytes(b"not a database at all" * 300)
    with pytest.raises(StoreError, match="no ledger file"):
        Ledger(path, caps=5.0)
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE loans (x)")
    db.close()
    with pytest.raises(StoreError, match="no ledger"):
        Ledger(other, caps=5.0)
    for bad in (tmp_path, tmp_path / "missing" / "ledger.sqlite"):
        with pytest.raises(StoreError, match="cannot be opened"):
            Ledger(bad, caps=5.0)


def test_a_newer_schema_is_refused(path):
    Ledger(path, caps=5.0)
    with sqlite3.connect(path) as db:
        db.execute("UPDATE schema SET version = 3")
    db.close()
    with pytest.raises(StoreError, match="upgrade the program"):
        Ledger(path, caps=5.0)


def test_a_ledger_that_vanishes_is_not_made_anew(path):
    ledger = Ledger(path, caps=5.0)
    ledger.debit("a", BASE, "d")
    path.unlink()
    with pytest.raises(StoreError, match="cannot be opened"):
        ledger.debit("b", BASE, "d")
    assert not path.exists()


def test_only_the_owner_reads_it(path):
    Ledger(path, caps=5.0)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
