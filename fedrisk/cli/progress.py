"""What a command that takes long shows on standard error: a line for each exchange, and how long a step still takes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.status import Status

from fedrisk.cli.output import err, note, screen
from fedrisk.language import _
from fedrisk.language_patterns import retold
from fedrisk.progress import listening

PATIENCE = 5.0
"""Seconds after which a step says how far it is, and seconds between two such lines."""


class Progress:
    """Lines with the seconds since it was made; on a terminal the state of a long step is one line that changes."""

    def __init__(self) -> None:
        self._start = self._began = self._said = time.monotonic()
        self._status: Status | None = None

    def exchange(self, number: int, action: str, what: str) -> None:
        """A line before each exchange."""
        self._end()
        note(
            _(
                "{seconds:6.1f} s  exchange {number:2d}  {action:<10} {what}",
                seconds=time.monotonic() - self._start,
                number=number,
                action=action,
                what=retold(what),
            ),
            style=None,
        )

    def step(self, what: str, done: int, of: int) -> None:
        """How far a computation is; shown once it has taken five seconds, with the time that is left."""
        now = time.monotonic()
        if done == 0:
            self._began = self._said = now
        if screen.quiet or done >= of or now - self._began < PATIENCE:
            if done >= of:
                self._end()
            return
        text = _("{what}: {done:,} of {of:,}", what=retold(what), done=done, of=of)
        if done:
            text += _(", about {time} left", time=duration((now - self._began) / done * (of - done)))
        if err.is_terminal and screen.log_file is None:
            self._status = self._status or err.status(text)
            self._status.update(text)
            self._status.start()
        elif now - self._said >= PATIENCE or self._said == self._began:
            self._said = now
            note(f"{now - self._start:6.1f} s  {text}", style=None)

    @contextmanager
    def watching(self) -> Iterator["Progress"]:
        """Listens to all long computations."""
        try:
            with listening(self.step):
                yield self
        finally:
            self._end()

    def _end(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None


def duration(seconds: float) -> str:
    """In words, roughly.

    >>> duration(7.2), duration(100), duration(8000)
    ('8 s', '2 min', '2 h 14 min')
    """
    if seconds < 60:
        return f"{int(seconds) + 1} s"
    minutes = int(seconds / 60) + 1
    return (
        _("{minutes} min", minutes=minutes)
        if minutes < 100
        else _("{minutes} h {minutes2} min", minutes=minutes // 60, minutes2=minutes % 60)
    )
