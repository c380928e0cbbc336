"""How far a run is, for a person at a notebook or at a terminal: what `fedrisk.run(..., progress=True)` shows.

In a notebook one small table changes in place. Elsewhere there is a line on standard error for each exchange.
"""

import html
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from fedrisk.language import _
from fedrisk.progress import listening

Report = Callable[[int, str, str], None]
"""Number of an exchange, its action, and a few words."""

STEP_SECONDS = 0.5
"""Shortest time between two views of a long step."""


class ShownProgress:
    """Shows exchanges and long steps since it was made.

    >>> import contextlib, io
    >>> with contextlib.redirect_stderr(io.StringIO()) as said, ShownProgress().watching() as report:
    ...     report(1, "describe", "who takes part")
    >>> [line.split()[2:] for line in said.getvalue().splitlines()]
    [['exchange', '1', 'describe', 'who', 'takes', 'part'], ['finished', 'after', '1', 'exchanges']]
    """

    def __init__(self) -> None:
        self._start = self._said = time.monotonic()
        self._lines: list[tuple[float, int, str, str]] = []
        self._step = ""
        self._display = _display()

    @contextmanager
    def watching(self, also: Report | None = None) -> Iterator[Report]:
        """Shows what is reported to it, and all long computations. also: told of each exchange as well."""

        def report(number: int, action: str, what: str) -> None:
            self._lines.append((self._seconds, number, action, what))
            self._step = ""
            self._show(f"{_('exchange')} {number:2d}  {action:<10} {what}")
            if also is not None:
                also(number, action, what)

        finished = False
        try:
            with listening(self._on_step):
                yield report
            finished = True
        finally:
            count = len(self._lines)
            self._step = (
                _("finished after {count} exchanges", count=count)
                if finished
                else _("stopped after {count} exchanges", count=count)
            )
            self._show(self._step)

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._start

    def _on_step(self, what: str, done: int, of: int) -> None:
        now = time.monotonic()
        if self._display is None or now - self._said < STEP_SECONDS:
            return
        self._said = now
        self._step = _("{what}: {done} of {of}", what=what, done=f"{done:,}", of=f"{of:,}")
        self._show("")

    def _show(self, line: str) -> None:
        if self._display is None:
            print(f"{self._seconds:6.1f} s  {line}", file=sys.stderr, flush=True)
        else:
            self._display(self._table())

    def _table(self) -> str:
        """The exchanges so far, and what is being computed."""
        names = (_("seconds"), _("exchange"), _("action"), _("what"))
        head = "".join(f"<th scope='col'>{html.escape(name)}</th>" for name in names)
        rows = "".join(
            f"<tr><td>{at:.1f}</td><td>{number}</td><td>{html.escape(action)}</td><td>{html.escape(what)}</td></tr>"
            for at, number, action, what in self._lines
        )
        return (
            f"<details><summary>{self._seconds:.1f} s: {html.escape(self._step or self._last())}</summary>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></details>"
        )

    def _last(self) -> str:
        if not self._lines:
            return _("beginning")
        number, action, what = self._lines[-1][1:]
        return f"{_('exchange')} {number}, {action}: {what}"


def _display() -> Callable[[str], Any] | None:
    """Shows HTML in place of what was shown before, where a notebook runs; None elsewhere."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None or not hasattr(shell, "kernel"):
        return None
    from IPython.display import HTML, display

    show: Any = display
    page: Any = HTML
    handle = show(page(f"<p>{html.escape(_('beginning'))}</p>"), display_id=True)
    return lambda text: handle.update(page(text))
