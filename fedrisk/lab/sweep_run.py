"""A sweep, run: its cells by worker processes, each kept as soon as it is finished, and the table of all at the end.

The same sweep in the same folder goes on where it was: cells that are there are not run again, cells that failed are
tried once more. Nothing that a cell computes depends on another cell, on their order or on how many run at once.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from fedrisk.alignment.oprf import processors as all_processors
from fedrisk.errors import ConfigError, FedriskError, Stopped
from fedrisk.lab.baselines import baselines
from fedrisk.lab.baselines.measured import missing_packages
from fedrisk.lab.cell import Cell
from fedrisk.lab.cell_data import prepared, study_of
from fedrisk.lab.cell_task import Task
from fedrisk.lab.cell_workers import LOST, Event, work
from fedrisk.lab.data_set import load_data_set
from fedrisk.lab.sweep import Sweep, chosen
from fedrisk.lab.sweep_folder import RESULTS, SweepFolder
from fedrisk.lab.sweep_table import asked_of, frame, key_of_baseline, rows_of, write_results
from fedrisk.lab.time_left import Pace
from fedrisk.lab.versions import in_words, machine, versions


@dataclass(frozen=True, kw_only=True)
class State:
    """How far a sweep is. there: cells that an earlier call had finished. left: seconds, None while nothing is known.

    ended: the cell that ended just now, and ``error`` its code where it failed.
    """

    cells: int
    there: int
    done: int
    failed: int
    left: float | None
    ended: Cell | None = None
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a sweep left.

    there: cells that an earlier call had finished. rows: of results.parquet. failed: code by digest of a cell. without:
    baselines left out, and packages that they lack. failed_baselines: rows of those that failed, not of those left out.
    """

    sweep: Sweep
    folder: Path
    cells: tuple[Cell, ...]
    there: int
    rows: pd.DataFrame
    failed: Mapping[str, str] = field(default_factory=dict)
    without: Mapping[str, Sequence[str]] = field(default_factory=dict)
    failed_baselines: int = 0
    seconds: float


Report = Callable[[State], None]


def run_sweep(
    sweep: Sweep,
    file: Path,
    out: Path,
    *,
    processes: int | None = None,
    keep: bool = False,
    again: bool = False,
    report: Report | None = None,
) -> Outcome:
    """Run the cells of a sweep that are missing in ``out``, and write ``out/results.parquet``.

    file: of the sweep; paths of data sets are from its folder on. processes: at work at a time, by default one for each
    core. keep: leave each cell's tables and stores there. again: make all anew, and put the sweep in the place of
    another one. report: is told how far it is, about once a second.

    Errors: ConfigError where the sweep cannot be run at all, or the folder holds another one's results; StoreError
    where it cannot be written; Stopped (Ctrl-C) with how to go on. A cell that fails stops nothing.
    """
    began, folder = time.monotonic(), SweepFolder(out)
    entries = _data_sets(sweep, file)
    cells = sweep.cells({said: name for said, (name, _) in entries.items()})
    asked = chosen(sweep.baselines, list(baselines()))
    without = {n: gone for n in asked if (gone := missing_packages(baselines()[n]))}
    names = tuple(n for n in asked if n not in without)
    now, count = versions(), processes or all_processors()
    with folder.held():
        folder.begin(sweep, again=again)
        folder.check_versions(cells, now)
        folder.forget_baselines(now)
        left = [cell for cell in cells if not _whole(folder, cell, names)]
        paths = dict(entries.values())
        if left:
            _check(left, paths, folder)
        tasks = _tasks(left, paths, folder, names, now, keep=keep, processes=count)
        try:
            _run(tasks, folder, count, sweep.time_limit, _Told(report, cells=len(cells), tasks=len(tasks)))
        except KeyboardInterrupt:
            raise Stopped(_how_to_go_on(folder, cells, names, file)) from None
        rows = rows_of(folder, cells, asked, without)
        about = {"sweep": sweep.name, "sweep digest": sweep.digest, "versions": in_words(now), **machine()}
        write_results(rows, out / RESULTS, {**about, "processes": str(count)})
        if not keep:
            folder.tidy()
        failed = {c.digest: str(kept["error"]) for c in cells if (kept := folder.cell(c)) and "error" in kept}
    return Outcome(
        sweep=sweep,
        folder=out,
        cells=cells,
        there=len(cells) - len(tasks),
        rows=frame(rows),
        failed=failed,
        without=without,
        failed_baselines=sum(
            1 for row in rows if row.kind == "baseline" and row.error and row.model not in without
        ),
        seconds=time.monotonic() - began,
    )


def _data_sets(sweep: Sweep, file: Path) -> dict[str, tuple[str, str]]:
    """Name, and name or path to load by, of each entry of the grid; ConfigError lists all that cannot be loaded."""
    found, wrong = dict[str, tuple[str, str]](), list[str]()
    for said in sweep.grid.data_set:
        path = said.endswith(".toml") or "/" in said
        entry = str((file.parent / said).resolve()) if path else said
        try:
            found[said] = (load_data_set(entry).name, entry)
        except FedriskError as error:
            wrong.append(str(error))
    names = [name for name, _ in found.values()]
    wrong += [f"two of its data sets are called {n}; rename one" for n in set(names) if names.count(n) > 1]
    if wrong:
        lines = "\n".join(f"  [grid] data_set: {line}" for line in wrong)
        raise ConfigError(f"sweep {file} breaks {len(wrong)} rule(s):\n{lines}")
    return found


def _whole(folder: SweepFolder, cell: Cell, names: Sequence[str]) -> bool:
    """Whether a cell is there with all its baselines, and did not fail."""
    kept = folder.cell(cell)
    if kept is None or "error" in kept:
        return False
    split, data = kept["split"], kept["data_digest"]
    return not split or all(
        folder.baseline(key_of_baseline(cell, n, split, data)) is not None for n in asked_of(cell, names)
    )


def _check(cells: Sequence[Cell], paths: Mapping[str, str], folder: SweepFolder) -> None:
    """Prepare each data set once and make its studies, before anything is run.

    ConfigError where a recipe with its settings fits none of the data sets; where it fits some, it fails at the others
    alone.
    """
    first: dict[tuple[str, str, str], Cell] = {}
    for cell in cells:
        first.setdefault((cell.recipe, str(sorted(cell.settings.items())), cell.data_set), cell)
    fits, wrong = set[tuple[str, str]](), dict[tuple[str, str], str]()
    for (recipe, settings, data_set), cell in first.items():
        try:
            study_of(cell, prepared(cell, paths[data_set], folder.work))
        except FedriskError as error:
            wrong.setdefault((recipe, settings), str(error))
        else:
            fits.add((recipe, settings))
    if lines := [text for key, text in wrong.items() if key not in fits]:
        raise ConfigError("\n".join(dict.fromkeys(lines)))


def _tasks(
    cells: Sequence[Cell],
    paths: Mapping[str, str],
    folder: SweepFolder,
    names: Sequence[str],
    now: Mapping[str, str],
    *,
    keep: bool,
    processes: int,
) -> list[Task]:
    """What is to be done, in an order in which cells of the same rows are seldom at work at once.

    What both need of these rows is then made by the first, and the second does not wait for it.
    """
    digests: dict[tuple[object, ...], str] = {}
    rank: dict[tuple[object, ...], int] = {}
    order: list[tuple[int, int, Cell]] = []
    for cell in cells:
        rows = _rows_key(cell)
        rank[rows] = rank.get(rows, 0) + 1
        order.append((rank[rows], len(order), cell))
        kept = folder.cell(cell)
        if kept is not None and "data_digest" in kept:
            digests[rows] = str(kept["data_digest"])
    helpers = max(1, all_processors() // processes)
    return [
        Task(
            cell=cell,
            data_set=paths[cell.data_set],
            folder=folder.path.resolve(),
            baselines=asked_of(cell, names),
            versions=now,
            data_digest=digests.get(_rows_key(cell)),
            keep=keep,
            parent=os.getpid(),
            processors=helpers,
        )
        for _, _, cell in sorted(order, key=lambda entry: entry[:2])
    ]


def _rows_key(cell: Cell) -> tuple[object, ...]:
    """Cells with the same have the same tables."""
    return cell.data_set, cell.seed, cell.institutions, cell.bins


class _Told:
    """Counts what happened, and tells it."""

    def __init__(self, report: Report | None, *, cells: int, tasks: int) -> None:
        self.report = report or (lambda _: None)
        self.cells, self.there = cells, cells - tasks
        self.done = self.failed = 0

    def tell(self, pace: Pace, event: Event, error: str | None) -> None:
        if event.task is not None:
            self.done, self.failed = self.done + (error is None), self.failed + (error is not None)
        self.report(
            State(
                cells=self.cells,
                there=self.there,
                done=self.done,
                failed=self.failed,
                left=pace.left(event.running),
                ended=None if event.task is None else event.task.cell,
                error=error,
            )
        )


def _run(tasks: Sequence[Task], folder: SweepFolder, processes: int, limit: float, told: _Told) -> None:
    """All tasks; a cell whose worker did not end it by itself is kept as failed here."""
    pace = Pace(tasks, processes)
    if not tasks:
        return
    told.tell(pace, Event(), None)
    for event in work(tasks, processes, limit):
        error = event.lost or (event.done.error if event.done else None)
        if event.task is not None:
            pace.ended(event.task, None if event.done is None else event.done.seconds)
            if event.lost:
                _keep_lost(event.task, folder, event.lost, limit)
        told.tell(pace, event, error)


def _keep_lost(task: Task, folder: SweepFolder, code: str, limit: float) -> None:
    if code == LOST:
        why = "its process was ended from outside, most often for want of memory"
    else:
        why = f"it took longer than time_limit = {limit:g} seconds"
    folder.note(f"cell {task.cell.digest}: {task.cell}\n{why}\n")
    folder.keep_cell(
        task.cell, {"versions": dict(task.versions), "error": code, "text": why, "seconds": limit}
    )


def _how_to_go_on(folder: SweepFolder, cells: Sequence[Cell], names: Sequence[str], file: Path) -> str:
    there = sum(_whole(folder, cell, names) for cell in cells)
    return (
        f"the sweep was stopped by hand; {there} of its {len(cells)} cells are finished and kept. Go on with "
        f"fedrisk bench {file} --out {folder.path}"
    )
