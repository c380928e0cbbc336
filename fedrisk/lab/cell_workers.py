"""Worker processes of a sweep: each does one cell after the other, and one that hangs or dies is replaced.

A worker is a process of `fedrisk.alignment.worker_pool`: it imports nothing of the program that uses it, ignores
Ctrl-C, which is the parent's, and ends by itself when its parent is killed.
"""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from dataclasses import dataclass, field

from fedrisk.alignment.worker_pool import WorkerPool
from fedrisk.lab.cell_task import Done, Task, run_cell

TICK = 1.0
"""Seconds between two looks at the clock."""

LOST, TOO_LONG = "lost", "time_limit"
"""Codes of a cell whose worker was ended from outside, most often for want of memory, and of one that took too long."""


@dataclass
class _Slot:
    """One worker with what it does."""

    pool: WorkerPool = field(default_factory=lambda: WorkerPool(1))
    task: Task | None = None
    future: "Future[Done] | None" = None
    began: float = 0.0

    def begin(self, task: Task) -> None:
        self.task, self.began = task, time.monotonic()
        self.future = self.pool.submit(run_cell, task)

    def end(self) -> None:
        self.pool.shutdown(wait=False, cancel_futures=True)

    def renew(self) -> None:
        """Another process in place of this one."""
        self.end()
        self.pool = WorkerPool(1)


@dataclass(frozen=True, kw_only=True)
class Event:
    """What happened. done: how a task ended; None where only time went by. running: tasks at work, with their seconds.

    lost: code of a task whose worker did not live to say how it ended.
    """

    task: Task | None = None
    done: Done | None = None
    lost: str | None = None
    running: tuple[tuple[Task, float], ...] = ()


def work(tasks: Sequence[Task], processes: int, time_limit: float) -> Iterator[Event]:
    """Do all tasks by so many workers, and tell what happens; what a task raises is raised here.

    All workers are ended when the iterator is closed or raises.
    """
    waiting = list(reversed(tasks))
    slots = [_Slot() for _ in range(min(processes, len(tasks)))]
    try:
        while waiting or any(slot.task for slot in slots):
            for slot in slots:
                if waiting and slot.task is None:
                    slot.begin(waiting.pop())
            busy = [slot.future for slot in slots if slot.future is not None]
            wait(busy, timeout=TICK, return_when=FIRST_COMPLETED)
            for slot in slots:
                yield from _ended(slot, time_limit)
            yield Event(running=_running(slots))
    finally:
        for slot in slots:
            slot.end()


def _running(slots: Sequence[_Slot]) -> tuple[tuple[Task, float], ...]:
    now = time.monotonic()
    return tuple((slot.task, now - slot.began) for slot in slots if slot.task is not None)


def _ended(slot: _Slot, time_limit: float) -> Iterator[Event]:
    """Tell of a task that is over, by itself or by the clock, and free its worker."""
    task, future = slot.task, slot.future
    if task is None or future is None:
        return
    if not future.done():
        if time.monotonic() - slot.began > time_limit:
            slot.task = slot.future = None
            slot.renew()
            yield Event(task=task, lost=TOO_LONG)
        return
    slot.task = slot.future = None
    try:
        done = future.result()
    except BrokenExecutor:
        slot.renew()
        yield Event(task=task, lost=LOST)
    else:
        yield Event(task=task, done=done)
