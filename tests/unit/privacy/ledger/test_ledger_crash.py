"""kill -9 at every step of reserve, noise, commit and send: nothing is sent without its charge."""

import os
import random
import signal
import sqlite3
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

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def spend(i):
    return replace(BASE, attempt=str(i))


def die_at(step):
    """Have this process killed before its ``step``-th SQL statement, seal write or send."""
    left = [step]

    def pass_point(*_):
        left[0] -= 1
        if left[0] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    connect, write_seal = sqlite3.connect, ledger_file.write_seal

    def traced(*args, **kwargs):
        db = connect(*args, **kwargs)
        db.set_trace_callback(pass_point)
        return db

    def sealed(*args, **kwargs):
        pass_point()
        write_seal(*args, **kwargs)
        pass_point()

    sqlite3.connect, ledger_file.write_seal = traced, sealed
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
            assert sent.setdefault(i, answer) == answer  # the stored bytes, whenever it is asked again
        entries = {entry.release_id: entry for entry in ledger.entries()}
        for i, answer in sent.items() if last else lines:
            assert entries[f"r{i}"].committed is not None
            assert ledger.answer(f"r{i}") == answer
        # each release that is known was charged once, however often it was asked for
        assert ledger.spent() == pytest.approx(0.01 * len(entries) ** 0.5, rel=1e-9)
        if number % 10 == 0:
            ledger.audit()
        first = max(sent, default=0)  # the next child repeats what was sent last
        if last:
            break
    ledger.audit()
    return killed, len(sent)


def test_killed_before_every_statement_seal_and_send(tmp_path):
    """The step moves by one, so each point of reserve, noise, commit and send of a release is met."""
    killed, sent = run(tmp_path / "ledger.sqlite", [{"step": 1 + n % 110} for n in range(130)])
    assert killed >= 100  # a child with stored answers has fewer points and may end by itself
    assert sent > 10


def test_killed_at_random_times(tmp_path):
    """Also in the middle of SQLite's own writes."""
    draw = random.Random(20261122)
    plan = ({"seconds": draw.uniform(0.001, 0.06)} for _ in range(400))
    killed, sent = run(tmp_path / "ledger.sqlite", list(plan), enough=100)
    assert killed >= 100
    assert sent > 5
