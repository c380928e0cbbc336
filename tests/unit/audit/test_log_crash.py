"""Many processes that append at once, and kill -9 at random points; takes some seconds."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from fedrisk.audit.log import AuditLog
from fedrisk.audit.verify import read, verify
from fedrisk.secure.identity import IdentityKey

pytestmark = pytest.mark.slow

KEY = IdentityKey(b"\1" * 32)

APPEND = """
import sys
from fedrisk.audit.log import AuditLog
from fedrisk.secure.identity import IdentityKey
log = AuditLog(sys.argv[1], IdentityKey(bytes([1]) * 32), "tax")
base = {"study": "s", "attempt": "a", "purpose": "p", "event": "sent", "counterparty": "hub"}
for number in range(int(sys.argv[3])):
    log.append([{**base, "action": f"{sys.argv[2]}.{number}.{i}"} for i in range(3)])
    print(number, flush=True)
"""


def start(path, name, count):
    return subprocess.Popen(
        [sys.executable, "-c", APPEND, str(path), name, str(count)], stdout=subprocess.PIPE, text=True
    )


def test_processes_that_append_at_once_lose_nothing(tmp_path):
    path = tmp_path / "audit.jsonl"
    workers = [start(path, str(i), 25) for i in range(4)]
    for worker in workers:
        worker.communicate(timeout=60)
        assert worker.returncode == 0
    actions = [e.action for e in read(path)]
    assert sorted(actions) == sorted(f"{w}.{n}.{i}" for w in range(4) for n in range(25) for i in range(3))
    assert verify(path, KEY.public).ok


def test_kill_9_at_random_points_loses_nothing_that_was_acknowledged(tmp_path, draft):
    """Twenty processes are killed as they append; the trail verifies and has all that they acknowledged."""
    chance = random.Random(7)
    path = tmp_path / "audit.jsonl"
    acknowledged = set()
    for batch in range(10):
        pair = [start(path, f"{batch}-{i}", 10**6) for i in range(2)]
        first = [worker.stdout.readline().strip() for worker in pair]  # both have begun
        for worker in pair:
            time.sleep(chance.uniform(0, 0.03))
            worker.send_signal(signal.SIGKILL)
        for i, worker in enumerate(pair):
            rest = worker.stdout.read().split("\n")[:-1]
            worker.wait()
            acknowledged |= {f"{batch}-{i}.{n}.{k}" for n in [first[i], *rest] for k in range(3)}
    log = AuditLog(path, KEY, "tax")
    assert verify(path, KEY.public).ok
    actions = [e.action for e in log.entries() if e.event != "note"]
    assert len(actions) == len(set(actions))
    assert acknowledged <= set(actions)
    assert len(acknowledged) >= 60
    log.append([draft()])
    assert verify(path, KEY.public).ok


def die_within(step, limit):
    """This process is killed at the next such call; a write takes its first ``limit`` bytes before."""
    real = os.write

    def last(file, content=b"", *rest):
        if step == "write":
            real(file, content[:limit])
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(os, step, last)


def test_kill_9_within_the_write_itself(tmp_path, draft, make):
    """A child dies after a random number of bytes of its append, or between two steps of it."""
    chance = random.Random(8)
    log = make(tmp_path, (2,))
    for _ in range(20):
        limit = chance.randrange(2200)
        step = chance.choice(["write", "write", "fsync", "pwrite"])
        child = os.fork()
        if child == 0:
            die_within(step, limit)
            AuditLog(log.path, KEY, "tax").append([draft(i) for i in range(3)])
            os._exit(0)
        os.waitpid(child, 0)
        before = [e for e in log.entries() if e.event != "note"]
        assert verify(log.path, KEY.public).ok
        assert len(before) % 3 == 2  # appends are whole or absent
        log.append([draft(1), draft(2), draft(3)])
    assert verify(log.path, KEY.public).ok
