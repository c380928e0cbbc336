"""kill -9 at every step of reserve, noise, commit and send, full disks, processes at once; takes seconds.

Nothing is sent without its charge, and two processes never spend more than the cap together.
"""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from fedrisk.privacy.ledger import file as ledger_file
from fedrisk.privacy.ledger.caps import Caps
from fedrisk.privacy.ledger.ledger import Ledger
from fedrisk.privacy.spend import Spend

BASE = Spend(
    study="autumn",
    attempt="1",
    release="counts",
    population="training",
    mu=0.01,
    delta=1e-6,
    what="label counts",
    institution="tax",
    counterparty="hub",
)


CAPS = Caps()


PER_CHILD = 4


pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")]


def spend(i):
    return replace(BASE, attempt=str(i))


def die_at(step):
    """Have this process killed before its ``step``-th SQL statement, guard write or send."""
    left = [step]

    def pass_point(*_):
        left[0] -= 1
        if left[0] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    connect, write_guard = sqlite3.connect, ledger_file.write_guard

    def traced(*args, **kwargs):
        db = connect(*args, **kwargs)
        db.set_trace_callback(pass_point)
        return db

    def written(*args, **kwargs):
        pass_point()
        write_guard(*args, **kwargs)
        pass_point()

    sqlite3.connect, ledger_file.write_guard = traced, written
    return pass_point


def node(path, first, pipe, step):
    """What an institution does: reserve, noise, commit, send; or send what is stored."""
    point = die_at(step) if step else lambda: None
    for i in range(first, first + PER_CHILD):
        ledger = Ledger(path, CAPS, wait_seconds=5)
        ledger.debit(f"r{i}", spend(i), "digest", purpose="credit_scoring")
        answer = ledger.answer(f"r{i}")
        if answer is None:
            point()
            answer = os.urandom(8)  # the noise
            point()
            ledger.commit(f"r{i}", answer)
        point()
        os.write(pipe, f"{i} {answer.hex()}\n".encode())
        point()


def child(path, first, step=0, seconds=None):
    """Run ``node`` in a process, kill it, and return what it sent and whether it was killed."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reading)
            node(path, first, writing, step)
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writing)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)
    with os.fdopen(reading) as pipe:
        lines = pipe.read().splitlines()
    status = os.waitpid(pid, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return [(int(i), bytes.fromhex(answer)) for i, answer in map(str.split, lines)], os.WIFSIGNALED(status)


def run(path, plan, enough=None):
    """Kill one child after the other; returns the number of kills and of answers that were sent.

    ``enough``: stop after so many kills. On a fast machine more children end before they are killed.
    """
    Ledger(path, CAPS)
    sent, first, killed = {}, 0, 0
    for number, how in enumerate(plan):
        lines, was_killed = child(path, first, **how)
        killed += was_killed
        last = number + 1 == len(plan) or killed == enough
        ledger = Ledger(path, CAPS, create=False)  # it opens again
        for i, answer in lines:
            # The stored bytes, whenever it is asked again.
            assert sent.setdefault(i, answer) == answer
        entries = {entry.release_id: entry for entry in ledger.entries()}
        for i, answer in sent.items() if last else lines:
            assert entries[f"r{i}"].committed is not None
            assert ledger.answer(f"r{i}") == answer
        # Each release that is known was charged once, however often it was asked for
        assert ledger.spent() == pytest.approx(0.01 * len(entries) ** 0.5, rel=1e-9)
        if number % 10 == 0:
            ledger.audit()
        # The next child repeats what was sent last.
        first = max(sent, default=0)
        if last:
            break
    ledger.audit()
    return killed, len(sent)


def run_apart(path, plan, enough=None):
    """``run`` in a process of its own: a fork of the tests' whole process takes several times as long as what is tested."""
    words = [sys.executable, __file__, str(path), json.dumps(plan), json.dumps(enough)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_killed_before_every_statement_guard_and_send(tmp_path):
    """The step moves by one, so each point of reserve, noise, commit and send of a release is met."""
    killed, sent = run_apart(tmp_path / "ledger.sqlite", [{"step": 1 + n % 110} for n in range(130)])
    # A child with stored answers has fewer points and may end by itself.
    assert killed >= 100
    assert sent > 10


@pytest.mark.long
def test_killed_at_random_times(tmp_path):
    """Also in the middle of SQLite's own writes."""
    draw = random.Random(20261122)
    plan = ({"seconds": draw.uniform(0.001, 0.06)} for _ in range(400))
    killed, sent = run_apart(tmp_path / "ledger.sqlite", list(plan), enough=100)
    assert killed >= 100
    assert sent > 5


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


def test_a_full_disk_at_any_size_loses_nothing(path, base):
    """A limit on the size of files takes the place of a full disk; it stops the ledger or its journal."""
    script = (
        "import resource, sys\n"
        "from dataclasses import replace\n"
        "from fedrisk.errors import StoreError\n"
        "from fedrisk.privacy.ledger.ledger import Ledger\n"
        "from fedrisk.privacy.spend import Spend\n"
        f"base = Spend(**{base.to_dict()!r})\n"
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
    ledger.debit("after", replace(base, mu=0.01, attempt="after"), "d")


def test_a_full_disk_is_a_store_error_and_charges_stay_whole(path, base):
    """A file size limit takes the place of a full disk: the commit that does not fit fails."""
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
    ledger.debit("a", base, "d")
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True)
    assert "Nothing may be sent" in done.stdout
    assert "repeat the request" in done.stdout
    assert ledger.answer("a") is None
    assert ledger.spent() == 3.0


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3]))))
