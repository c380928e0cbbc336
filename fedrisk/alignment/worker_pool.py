"""A pool of worker processes that import nothing of the program that uses them.

Pools of Python's own import the main script again in every worker. A script that runs a study and keeps nothing under
``if __name__ == "__main__"`` would run it again there, wait for the lock that the first run holds, and never end;
a notebook, a console and a script from standard input have no file to import. A worker here is ``alignment.worker``
alone, fed through pipes.

Where no worker can be started (no interpreter to start, no room for a process), tasks are done in this process, in the
same order and with the same results.
"""

from __future__ import annotations

import atexit
import multiprocessing.spawn
import os
import pickle
import queue
import select
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import suppress
from typing import Any, BinaryIO, ParamSpec, TypeVar, cast

from fedrisk.alignment.worker import READY, read_frame, write_frame

START_SECONDS = 60.0
"""A worker that has not come up by then is given up, and its tasks are done in this process."""

# sys is part of the interpreter, so nothing in the present folder can take its place.
_BOOT = "import sys; parent, *sys.path[:] = sys.argv[1:]; from fedrisk.alignment.worker import main; main(int(parent))"

P = ParamSpec("P")
T = TypeVar("T")
_Task = tuple["Future[Any]", Callable[..., Any], tuple[Any, ...]]


class WorkerPool(Executor):
    """At most ``count`` worker processes, each started when there is a task and all others are busy.

    Functions have to be importable by name, from any module but the main script. Ends its workers at ``shutdown`` and
    when this process ends; a worker whose parent is killed ends by itself.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._owner = os.getpid()
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._workers: list[subprocess.Popen[bytes]] = []
        self._idle = 0
        self._over = False
        self._lost = False
        atexit.register(self._end)

    @property
    def usable(self) -> bool:
        """Whether tasks are still taken: by the process that made the pool, before its end, with no worker lost."""
        return not (self._over or self._lost) and self._owner == os.getpid()

    @property
    def processes(self) -> tuple[int, ...]:
        """Process ids of the workers that are there."""
        return tuple(worker.pid for worker in list(self._workers) if worker.poll() is None)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """A task for the next free worker, without keyword arguments; BrokenExecutor once a worker was lost."""
        if kwargs:
            raise TypeError("tasks take no keyword arguments")
        with self._lock:
            if self._lost:
                raise BrokenExecutor("a worker process was lost")
            if not self.usable:
                raise RuntimeError("the pool is shut down, or belongs to another process")
            future: Future[T] = Future()
            self._tasks.put((future, fn, args))
            if self._tasks.qsize() > self._idle and len(self._threads) < self._count:
                thread = threading.Thread(target=self._serve, name="fedrisk worker", daemon=True)
                self._threads.append(thread)
                thread.start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers: after what was asked of them, or at once with ``cancel_futures``."""
        with self._lock:
            self._over = True
            threads = list(self._threads)
        if cancel_futures:
            self._end()
        for _ in threads:
            self._tasks.put(None)
        if wait and self._owner == os.getpid():
            for thread in threads:
                thread.join()
            self._end()

    def _end(self) -> None:
        """Cancel what waits, and end all workers at once; nothing in a fork of the process that made the pool."""
        self._over = True
        if self._owner != os.getpid():
            return
        atexit.unregister(self._end)
        self._cancel_waiting(None)
        with self._lock:
            workers, self._workers = self._workers, []
        for worker in workers:
            worker.kill()
            worker.wait()

    def _cancel_waiting(self, error: BaseException | None) -> None:
        with suppress(queue.Empty):
            while True:
                task = self._tasks.get_nowait()
                if task is not None and error is None:
                    task[0].cancel()
                elif task is not None and task[0].set_running_or_notify_cancel():
                    task[0].set_exception(error)

    def _serve(self) -> None:
        """Hand tasks to one worker, or do them here where it cannot be started."""
        worker = self._start()
        while not self._lost and (task := self._next()) is not None:
            future, function, arguments = task
            if not future.set_running_or_notify_cancel():
                continue
            try:
                value = function(*arguments) if worker is None else _ask(worker, function, arguments)
            except BrokenExecutor as error:
                self._lost = True
                future.set_exception(error)
                self._cancel_waiting(error)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(value)
        if worker is not None:
            with suppress(OSError):
                cast(BinaryIO, worker.stdin).close()
            worker.wait()

    def _next(self) -> _Task | None:
        with self._lock:
            self._idle += 1
        task = self._tasks.get()
        with self._lock:
            self._idle -= 1
        return task

    def _start(self) -> subprocess.Popen[bytes] | None:
        """A worker that is ready, or None where there can be none."""
        program = multiprocessing.spawn.get_executable()
        if not program or getattr(sys, "frozen", False):
            return None
        command = [program, "-c", _BOOT, str(os.getpid()), *(p for p in sys.path if isinstance(p, str))]
        pipe = subprocess.PIPE
        try:
            # In a group of its own, so that Ctrl-C in a terminal goes to the parent alone.
            worker = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, process_group=0
            )
        except (OSError, ValueError):
            return None
        with self._lock:
            self._workers.append(worker)
        if self._over or not _ready(worker):
            worker.kill()
            worker.wait()
            return None
        return worker


def _ready(worker: subprocess.Popen[bytes]) -> bool:
    answers = cast(BinaryIO, worker.stdout)
    come, _, _ = select.select([answers], [], [], START_SECONDS)
    return bool(come) and read_frame(answers) == READY


def _ask(worker: subprocess.Popen[bytes], function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """A worker's value, or its exception raised here; BrokenExecutor where it is gone."""
    task = pickle.dumps((function, arguments))
    try:
        write_frame(cast(BinaryIO, worker.stdin), task)
        answer = read_frame(cast(BinaryIO, worker.stdout))
    except (OSError, ValueError):
        answer = None
    if answer is None:
        raise BrokenExecutor("a worker process was lost")
    done, value = pickle.loads(answer)
    if not done:
        raise value
    return value
