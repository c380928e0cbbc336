"""Children of a process that serves: started again when they die, and ended with it."""

import asyncio
import os
import signal
import sys

from fedrisk.deploy import children
from support.hub_process import wait_for

CHILD = "import os, pathlib, sys, time; pathlib.Path(sys.argv[1]).open('a').write(f'{os.getpid()} '); time.sleep(3600)"


def test_a_child_that_dies_at_once_is_started_later_and_later(monkeypatch):
    begun, waited = [], []

    async def main():
        async def start(*command):
            begun.append(command)
            return await real(sys.executable, "-c", "")

        async def wait_for_stop(waiting, seconds):
            waited.append(seconds)
            waiting.close()
            if len(waited) == 3:
                stop.set()
            raise TimeoutError

        real, stop = asyncio.create_subprocess_exec, asyncio.Event()
        monkeypatch.setattr(asyncio, "create_subprocess_exec", start)
        monkeypatch.setattr(asyncio, "wait_for", wait_for_stop)
        await children.supervise(["work"], stop, what="work")

    asyncio.run(main())
    assert len(begun) == 3
    assert waited == sorted(waited)
    assert waited[0] < waited[-1] <= children.LONGEST_PAUSE


def pids(file):
    return [int(word) for word in file.read_text().split()] if file.exists() else []


def test_a_child_beside_a_process_without_a_loop_is_started_again_and_ends_with_it(tmp_path, monkeypatch):
    monkeypatch.setattr(children, "FIRST_PAUSE", 0.05)
    said = tmp_path / "pids"
    with children.beside([sys.executable, "-c", CHILD, str(said)], what="child", longest=0.1):
        wait_for(lambda: len(pids(said)) == 1, 20)
        os.kill(pids(said)[0], signal.SIGKILL)
        wait_for(lambda: len(pids(said)) == 2, 20)
        assert os.getpgid(pids(said)[1]) != os.getpgid(0), "Ctrl-C on a terminal does not reach it"
    assert not any(os.path.exists(f"/proc/{pid}") for pid in pids(said))


def test_no_command_is_no_child():
    with children.beside(None, what="child"):
        pass
