"""Worker processes that import nothing of the program that uses them."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import BrokenExecutor, CancelledError, wait
from pathlib import Path

import pytest

from fedrisk.alignment import ristretto, worker_pool
from fedrisk.alignment.worker_pool import WorkerPool
from fedrisk.errors import ProtocolError

pytestmark = pytest.mark.slow

ROOT = str(Path(worker_pool.__file__).parents[2])

# More ids than are done in one process, blinded twice, and who did it.
WORK = """
import os
from fedrisk.alignment import oprf
ids = [b"%d" % i for i in range(oprf.POOL_FROM + 5)]
key = oprf.new_key()
blinds, points = oprf.blind(ids, pool=oprf.shared_pool())
found = oprf.pseudonyms(ids, key, pool=oprf.shared_pool())
print("workers", len(oprf.shared_pool().processes), len(found), flush=True)
"""
THREAD = """
import threading
def work():
    exec(WORK, {})
threading.Thread(target=work).start()
"""


@pytest.fixture
def pool():
    with WorkerPool(2) as made:
        yield made


def script(way, tmp_path):
    """Command, standard input and the file that a way of running Python needs."""
    if way == "file":
        (tmp_path / "script.py").write_text(WORK)
        return [sys.executable, str(tmp_path / "script.py")], None
    if way == "module":
        (tmp_path / "script.py").write_text(WORK)
        return [sys.executable, "-m", "script"], None
    if way == "thread":
        (tmp_path / "script.py").write_text(f"WORK = {WORK!r}\n{THREAD}")
        return [sys.executable, str(tmp_path / "script.py")], None
    if way == "folder":
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "__main__.py").write_text(WORK)
        return [sys.executable, str(tmp_path / "folder")], None
    if way == "-c":
        return [sys.executable, "-c", WORK], None
    flags = ["-i", "-q"] if way == "console" else ["-"]
    return [sys.executable, *flags], WORK


@pytest.mark.sampled(3)
@pytest.mark.parametrize("way", ["file", "module", "folder", "thread", "-c", "stdin", "console"])
def test_scripts_without_a_guard_end(way, tmp_path):
    """Each runs its work once, with workers, and leaves no process behind."""
    command, text = script(way, tmp_path)
    done = subprocess.run(
        command,
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": ROOT},
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("workers")]
    assert (done.returncode, len(lines)) == (0, 1), done.stderr
    assert int(lines[0].split()[1]) >= 1
    assert "Traceback" not in done.stderr


def test_a_file_of_the_present_folder_takes_no_module_s_place(tmp_path):
    """Workers look for modules where their parent does, and nowhere first."""
    for name in ("pickle", "struct", "fedrisk"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(3)")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "script.py").write_text(WORK)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "sub" / "script.py")],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": ROOT},
    )
    assert done.stdout.startswith("workers ")
    assert done.stdout.split()[1] != "0"


LONG = """
import os
from fedrisk.alignment import oprf
pool = oprf.shared_pool()
print(pool.submit(os.getpid).result(), flush=True)
oprf.pseudonyms([b"%d" % i for i in range(120000)], oprf.new_key(), pool=pool)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_workers_end_with_their_parent(sent, tmp_path):
    (tmp_path / "script.py").write_text(LONG)
    with subprocess.Popen(
        [sys.executable, str(tmp_path / "script.py")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": ROOT},
    ) as parent:
        assert parent.stdout is not None
        worker = Path("/proc") / parent.stdout.readline().decode().strip()
        assert worker.exists()
        time.sleep(0.3)
        parent.send_signal(sent)
        parent.wait(20)
    deadline = time.monotonic() + 20
    while worker.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not worker.exists()


def test_results_and_exceptions_come_back(pool):
    futures = [pool.submit(divmod, i, 3) for i in range(20)]
    assert [f.result(20) for f in futures] == [divmod(i, 3) for i in range(20)]
    assert 1 <= len(pool.processes) <= 2
    with pytest.raises(ZeroDivisionError):
        pool.submit(divmod, 1, 0).result(20)
    with pytest.raises(ProtocolError, match="canonical"):
        pool.submit(ristretto.evaluate_chunk, bytes(32), b"\x01" + bytes(31)).result(20)
    assert pool.submit(os.getpid).result(20) != os.getpid()


def test_a_lost_worker_breaks_the_pool_and_what_waits_in_it(pool):
    pid = pool.submit(os.getpid).result(20)
    futures = [pool.submit(time.sleep, 5) for _ in range(2)] + [pool.submit(max, 1, 2) for _ in range(20)]
    time.sleep(0.2)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(BrokenExecutor):
        futures[-1].result(20)
    assert not pool.usable
    with pytest.raises(BrokenExecutor):
        pool.submit(max, 1, 2)


def test_shutdown_ends_every_worker():
    pool = WorkerPool(2)
    futures = [pool.submit(time.sleep, 0.1) for _ in range(5)]
    pool.shutdown()
    assert all(f.done() and not f.cancelled() for f in futures)
    assert pool.processes == ()
    with pytest.raises(RuntimeError):
        pool.submit(max, 1, 2)


def test_shutdown_may_cancel_what_waits():
    pool = WorkerPool(1)
    futures = [pool.submit(time.sleep, 1) for _ in range(5)]
    time.sleep(0.3)
    start = time.monotonic()
    pool.shutdown(cancel_futures=True)
    assert time.monotonic() - start < 3
    wait(futures, 5)
    with pytest.raises(CancelledError):
        futures[-1].result(0)


@pytest.mark.parametrize("program", ["", "/no/such/python", "/bin/false", "/bin/true"])
def test_without_workers_tasks_are_done_here(program, monkeypatch):
    monkeypatch.setattr("multiprocessing.spawn.get_executable", lambda: program)
    with WorkerPool(2) as pool:
        assert [pool.submit(os.getpid).result(20) for _ in range(3)] == [os.getpid()] * 3
        with pytest.raises(ZeroDivisionError):
            pool.submit(divmod, 1, 0).result(20)
        assert pool.processes == ()


def test_an_interpreter_that_never_answers_is_given_up(monkeypatch, tmp_path):
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o700)
    monkeypatch.setattr("multiprocessing.spawn.get_executable", lambda: str(program))
    monkeypatch.setattr(worker_pool, "START_SECONDS", 0.3)
    with WorkerPool(1) as pool:
        assert pool.submit(os.getpid).result(20) == os.getpid()


def test_a_fork_makes_a_pool_of_its_own():
    from fedrisk.alignment import oprf

    mine = oprf.shared_pool()
    assert oprf.shared_pool() is mine
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, json.dumps([mine.usable, oprf.shared_pool() is mine]).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert json.loads(os.read(read, 100)) == [False, False]
    assert mine.submit(max, 1, 2).result(20) == 2
