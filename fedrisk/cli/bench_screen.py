"""What ``fedrisk bench`` shows: how far a sweep is, and a table of its AUCs at the end."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.status import Status

from fedrisk.cli.output import err, note, plain_table, screen, tell, tell_table
from fedrisk.cli.progress import duration
from fedrisk.language import _, either

if TYPE_CHECKING:
    import pandas as pd

    from fedrisk.lab.sweep_run import Outcome, State

SECONDS = 10.0
"""Between two lines of progress in a log; on a terminal it is one line that changes."""


class SweepProgress:
    """How far a sweep is, on standard error: one line that changes on a terminal, else a line now and then."""

    def __init__(self, *, silent: bool) -> None:
        self._silent = silent
        self._start = self._said = time.monotonic()
        self._ended = -1
        self._status: Status | None = None

    def told(self, state: "State") -> None:
        """Show a state."""
        if self._silent or screen.quiet:
            return
        if state.error is not None and state.ended is not None:
            self._line(
                _(
                    "failed ({code}): {data_set}, {recipe}, epsilon {epsilon:g}, seed {seed}",
                    code=state.error,
                    data_set=state.ended.data_set,
                    recipe=state.ended.recipe,
                    epsilon=state.ended.epsilon,
                    seed=state.ended.seed,
                )
            )
        text = _words(state)
        if err.is_terminal and screen.log_file is None:
            self._status = self._status or err.status(text)
            self._status.update(text)
            self._status.start()
            return
        now, ended = time.monotonic(), state.done + state.failed
        over = ended + state.there == state.cells
        if ended != self._ended and (self._ended < 0 or over or now - self._said >= SECONDS):
            self._ended, self._said = ended, now
            self._line(text)

    def _line(self, text: str) -> None:
        note(f"{time.monotonic() - self._start:6.1f} s  {text}", style=None)

    @contextmanager
    def watching(self) -> Iterator["SweepProgress"]:
        """Ends the line that changes, whatever happens."""
        try:
            yield self
        finally:
            if self._status is not None:
                self._status.stop()
                self._status = None


def _words(state: "State") -> str:
    text = _("{done} of {cells} cells done", done=state.there + state.done, cells=state.cells)
    if state.failed:
        text += _(", {failed} failed", failed=state.failed)
    if state.left is not None and state.there + state.done + state.failed < state.cells:
        text += _(", about {time} left", time=duration(state.left))
    return text


def show(found: "Outcome") -> None:
    """The AUC of every model by data set and epsilon: mean and spread over the cells that differ in the rest."""
    from fedrisk.study import NO_PRIVACY

    tell(NO_PRIVACY, "bold red")
    measured = found.rows[found.rows["auc"].notna()]
    if len(measured):
        _table(measured)
    said = either(
        "{count} cell, {seconds:.0f} s",
        "{count} cells, {seconds:.0f} s",
        len(found.cells),
        seconds=found.seconds,
    )
    if found.there:
        said += _("; {there} were there already", there=found.there)
    tell(said)


def _table(measured: "pd.DataFrame") -> None:
    table = plain_table(
        "mean AUC on the hold-outs",
        "data set",
        "model",
        "kind",
        "epsilon",
        "AUC",
        "spread",
        "cells",
        right=("epsilon", "AUC", "spread", "cells"),
    )
    keys = ["data_set", "kind", "model", "epsilon"]
    for (data_set, kind, model, epsilon), rows in measured.groupby(keys, sort=False, dropna=False):
        spread = float(rows["auc"].std()) if len(rows) > 1 else math.nan
        table.add_row(
            str(data_set),
            str(model),
            str(kind),
            f"{epsilon:g}",
            f"{rows['auc'].mean():.4f}",
            "" if math.isnan(spread) else f"{spread:.4f}",
            str(len(rows)),
        )
    tell_table(table)
