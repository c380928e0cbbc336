"""What the hub's work does with studies that were in hand, and what a study's process leaves when it ends."""

import contextlib
import os
import sqlite3
import sys
import threading
import time
from subprocess import Popen

import pytest

from fedrisk.engine import hub_study
from fedrisk.engine.deployment import propose
from fedrisk.engine.hub_figures import Progress
from fedrisk.engine.hub_work import GO_ON, Work, _Study, _wait_for_line, tidy
from fedrisk.errors import PeerError
from fedrisk.server.hub import Hub
from fedrisk.server.run import new_attempt
from fedrisk.server.runs import Runs, entry
from support.consortium import joined
from tests.unit.engine.test_deployment import ROLES, a_study


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.setenv("FEDRISK_HOME", str(tmp_path / "stores"))
    return Work(joined(tmp_path / "c", ROLES).home, threading.Event())


def running(work, **how):
    made = propose(a_study(), work.home)
    return work.proposals.update(made.id, state="running", attempt=how.pop("attempt", new_attempt()), **how)


def died(proposal):
    """A study whose process was killed."""
    process = Popen([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"])
    process.wait()
    return _Study(proposal, 1, process)


def test_a_study_that_was_in_hand_goes_on_when_the_hub_works_again(work):
    proposal = running(work)
    work._left_behind()
    found = work.proposals.find(proposal.id)
    assert (found.state, found.attempt) == ("ready", proposal.attempt)


def test_a_study_whose_process_is_killed_goes_on_a_few_times_and_is_failed_then(work):
    proposal = running(work)
    for _ in range(GO_ON):
        work._enter(died(proposal))
        assert work.proposals.find(proposal.id).state == "ready"
        work.proposals.update(proposal.id, state="running")
    work._enter(died(proposal))
    found = work.proposals.find(proposal.id)
    assert (found.state, found.code) == ("failed", "killed")


def test_what_a_process_said_itself_stays(work):
    proposal = running(work)
    work.proposals.update(proposal.id, state="failed", code="budget")
    work._enter(died(proposal))
    assert work.proposals.find(proposal.id).code == "budget"


def test_a_study_that_does_not_stop_is_killed(work, monkeypatch):
    monkeypatch.setattr("fedrisk.engine.hub_work.STOP_SECONDS", 0.2)
    ignoring = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    process = Popen([sys.executable, "-c", ignoring], stdout=-1)
    process.stdout.readline()
    _Study(running(work), 1, process).end()
    assert process.returncode == -9
    process.stdout.close()


def talking(code):
    return Popen([sys.executable, "-c", code], stdout=-1)


def test_a_study_s_process_is_waited_for_until_it_is_ready_whatever_else_is_printed():
    noise = (
        "import sys, time; print('a library', flush=True); sys.stdout.write('ready'); sys.stdout.flush(); "
        "time.sleep(.3); print(flush=True); time.sleep(60)"
    )
    process = talking(noise)
    begun_at = time.monotonic()
    _wait_for_line(process)
    assert time.monotonic() - begun_at >= 0.3
    assert process.poll() is None
    process.kill()
    process.wait()


def test_a_study_s_process_that_ends_or_never_gets_ready_is_an_error(monkeypatch):
    with pytest.raises(PeerError, match="does not start"):
        _wait_for_line(talking("print('not yet')"))
    monkeypatch.setattr("fedrisk.engine.hub_work.START_SECONDS", 0.2)
    slow = talking("import time; time.sleep(60)")
    with pytest.raises(PeerError, match="does not start"):
        _wait_for_line(slow)
    assert slow.returncode == -9


def begun(work, proposal, *, charged=()):
    """The entry of a run of the proposal's study that was stopped; the hub."""
    hub, study = Hub(work.home.path), proposal.whole
    made = entry(study, study, proposal.attempt, engine="deployment", research=False, out=None)
    with contextlib.suppress(KeyboardInterrupt), Runs(hub).begin(made) as log:
        log.went(5, tuple(charged))
        raise KeyboardInterrupt
    return hub


def test_a_run_of_which_nothing_is_left_begins_anew_only_where_nobody_was_charged(work):
    proposal = running(work)
    hub = begun(work, proposal)
    assert not hub_study._goes_on(hub, proposal)
    assert not hub_study._goes_on(hub, work.proposals.update(proposal.id, attempt=None))
    charged = work.proposals.update(proposal.id, attempt=new_attempt())
    begun(work, charged, charged=["bank"])
    with pytest.raises(PeerError, match=r"bank were charged for it; submit the study again"):
        hub_study._goes_on(hub, charged)


def test_a_study_that_ends_early_leaves_who_was_charged(work):
    proposal = running(work)
    hub = begun(work, proposal, charged=["bank", "tax"])
    progress = Progress(hub, proposal.id)
    progress.write(exchange=5, action="release", what="noisy sums")
    said = hub_study._left(work.home, work.proposals, proposal, progress, "power was lost")
    assert said == "power was lost. Charged so far, as far as the hub heard: bank, tax"
    assert progress.read() == {
        "exchange": 5,
        "action": "release",
        "what": "noisy sums",
        "said": "power was lost",
        "charged": ["bank", "tax"],
    }


def test_what_was_deleted_is_gone_from_the_file(tmp_path):
    file = tmp_path / "x.sqlite"
    opened = sqlite3.connect(file)
    opened.execute("PRAGMA journal_mode = WAL")
    opened.execute("CREATE TABLE t (content BLOB)")
    opened.execute("INSERT INTO t VALUES (?)", (b"canary" * 300_000,))
    opened.commit()
    opened.execute("DELETE FROM t")
    opened.commit()
    tidy(file)
    assert not any(b"canary" in part.read_bytes() for part in tmp_path.iterdir())
    assert sum(part.stat().st_size for part in tmp_path.iterdir()) < 100_000
    opened.close()


def test_old_journals_go_while_the_hub_works(work):
    journal = work.home.path / "runs" / ("a" * 32) / "journal"
    journal.mkdir(parents=True)
    (journal / "seed").write_bytes(b"s" * 32)
    long_ago = time.time() - 3 * 24 * 3600
    os.utime(journal / "seed", (long_ago, long_ago))
    work._tidy()
    assert not journal.exists()
