"""Playing attacks: each in an empty folder of its own, the home of all stores while it lasts, and gone after it."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fedrisk.attacks.attack import Attack, Effort, Measured
from fedrisk.home import VARIABLE

Outcome = Literal["held", "broken", "control failed", "failed"]

MEMORY = Path("/dev/shm")
"""Where this machine has a disk in memory: studies wait for a disk again and again."""

ROOM = 1 << 30
"""Bytes that have to be free there."""


@dataclass(frozen=True, kw_only=True)
class Played:
    """One attack as it was played.

    failed: what stopped it before its end, in one line; empty where nothing did. What it measured until then is there.
    """

    attack: Attack
    figures: tuple[Measured, ...]
    seconds: float
    failed: str = ""

    @property
    def outcome(self) -> Outcome:
        """Held, where it came to its end, nothing of the product was broken, and every control succeeded."""
        verdicts = {figure.verdict for figure in self.figures}
        if "broken" in verdicts:
            return "broken"
        if self.failed or not self.figures:
            return "failed"
        return "control failed" if "control failed" in verdicts else "held"


def play(
    attacks: Sequence[Attack],
    effort: Effort,
    *,
    begins: Callable[[Attack], None] | None = None,
    measured: Callable[[Measured], None] | None = None,
) -> Iterator[Played]:
    """Play attacks one after the other. begins, measured: told as it goes on.

    An attack that ends in an error is among what is yielded; the others are played all the same.
    """
    for attack in attacks:
        if begins is not None:
            begins(attack)
        start, figures, failed = time.monotonic(), list[Measured](), ""
        with own_home() as folder:
            try:
                for figure in attack.run(folder, effort):
                    figures.append(figure)
                    if measured is not None:
                        measured(figure)
            except Exception as error:
                # Its tables are made up: the text may be shown.
                failed = f"{type(error).__name__}: {error}".splitlines()[0]
        yield Played(attack=attack, figures=tuple(figures), seconds=time.monotonic() - start, failed=failed)


@contextmanager
def own_home() -> Iterator[Path]:
    """An empty folder, in which all stores of this process lie as long as it lasts; no other store is reached."""
    before = os.environ.get(VARIABLE)
    folder = Path(tempfile.mkdtemp(prefix="fedrisk-attack-", dir=_base()))
    os.environ[VARIABLE] = str(folder / "home")
    try:
        yield folder
    finally:
        if before is None:
            os.environ.pop(VARIABLE, None)
        else:
            os.environ[VARIABLE] = before
        shutil.rmtree(folder, ignore_errors=True)


def _base() -> Path | None:
    """The disk in memory, where there is one with room; else where temporary files lie."""
    usable = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= ROOM
    return MEMORY if usable else None
