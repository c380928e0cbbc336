"""Processes that a process which serves keeps running beside itself: started again when they die, ended with it."""

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

log = logging.getLogger("fedrisk")

STOP_SECONDS = 60.0
"""How long a child may take to stop: a study in hand says goodbye to its members."""

FIRST_PAUSE, LONGEST_PAUSE, LIVED = 1.0, 60.0, 60.0
"""Seconds before a child that died is started again, at first and at most, and how long one lives that is well."""


async def supervise(
    command: Sequence[str],
    stop: asyncio.Event,
    *,
    what: str,
    longest: float = LONGEST_PAUSE,
    stopping: Callable[[], object] = lambda: None,
    **how: Any,
) -> None:
    """Keep a child running until ``stop``; after a death it starts again, later and later if it dies at once.

    what: a word for the log. longest: pause in seconds. stopping: called before it is ended. how: of its start.
    """
    pause = FIRST_PAUSE
    while not stop.is_set():
        begun = time.monotonic()
        child = await asyncio.create_subprocess_exec(*command, **how)
        ended, stopped = asyncio.create_task(child.wait()), asyncio.create_task(stop.wait())
        await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if stop.is_set():
            stopping()
            await _end(child, ended)
            return
        log.error(
            "a process ended and is started again", extra={"event": what, "code": str(child.returncode)}
        )
        pause = FIRST_PAUSE if time.monotonic() - begun > LIVED else min(pause * 2, longest)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), pause)


async def _end(child: asyncio.subprocess.Process, ended: "asyncio.Task[int]") -> None:
    with contextlib.suppress(ProcessLookupError):
        child.terminate()
    try:
        await asyncio.wait_for(asyncio.shield(ended), STOP_SECONDS)
    except TimeoutError:
        child.kill()
        await ended


@contextlib.contextmanager
def beside(command: Sequence[str] | None, *, what: str, longest: float = LONGEST_PAUSE) -> Iterator[None]:
    """Keep a child running while the block runs, for processes without an event loop; nothing where it is None."""
    if command is None:
        yield
        return
    started = threading.Event()
    holds: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def main() -> None:
        stop = asyncio.Event()
        holds.append((asyncio.get_running_loop(), stop))
        started.set()
        # In a group of its own: Ctrl-C on a terminal goes to this process alone, which then ends it in order.
        await supervise(command, stop, what=what, longest=longest, start_new_session=True)

    thread = threading.Thread(target=asyncio.run, args=(main(),), name=f"fedrisk-{what}", daemon=True)
    thread.start()
    started.wait()
    loop, stop = holds[0]
    try:
        yield
    finally:
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(stop.set)
        thread.join()


def until_orphaned(stop: Callable[[], None]) -> None:
    """Call ``stop`` when the process that started this one is gone: nobody would end it any more."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        stop()

    threading.Thread(target=watch, daemon=True).start()
