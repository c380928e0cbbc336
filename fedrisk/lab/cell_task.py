"""What a worker process of a sweep does: one cell, kept in the sweep's folder as soon as each part of it is there.

Nothing heavy is imported at the top, so that a worker's libraries see that they have one thread before they are loaded.
"""

import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedrisk.errors import ConfigError, FedriskError, StoreError, code_of
from fedrisk.home import VARIABLE
from fedrisk.lab.cell import Cell

if TYPE_CHECKING:
    from fedrisk.lab.data_set import Prepared
    from fedrisk.lab.split import Split

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
"""Sums of several threads are added up in an order that changes; and each process of a sweep has one core anyway."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """One cell for a worker.

    data_set: name or path to load it by. baselines: names. versions: of the sweep. data_digest: of the data that other
    cells of the same rows had, where any are kept. keep: leave the store there. parent: process of the sweep.
    processors: for the worker's own helpers.
    """

    cell: Cell
    data_set: str
    folder: Path
    baselines: tuple[str, ...]
    versions: Mapping[str, str]
    data_digest: str | None = None
    keep: bool = False
    parent: int
    processors: int = 1


@dataclass(frozen=True, kw_only=True)
class Done:
    """How a cell ended. error: its code, None where it did not fail. failed: of its baselines."""

    digest: str
    seconds: float
    error: str | None = None
    failed: int = 0


def run_cell(task: Task) -> Done:
    """Run what is missing of a cell, and keep it; a cell that fails is kept as failed.

    Errors: StoreError where the sweep's folder cannot be written, ConfigError where the data are not those of the other
    cells.
    """
    if os.getpid() == task.parent:
        raise StoreError(
            "no worker process can be started here; check that processes are allowed and memory suffices"
        )
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    from fedrisk.alignment.oprf import limit_processors

    limit_processors(task.processors)
    return _Work(task).done()


class _Work:
    """One cell, while it is worked on."""

    def __init__(self, task: Task) -> None:
        from fedrisk.lab.sweep_folder import SweepFolder

        self.task, self.cell = task, task.cell
        self.folder = SweepFolder(task.folder)

    def done(self) -> Done:
        """See :func:`run_cell`."""
        from fedrisk.lab.cell_data import prepared

        begun = time.perf_counter()
        try:
            data = prepared(self.cell, self.task.data_set, self.folder.work)
            self._same_data(data)
            kept = self._study(data)
            failed = self._baselines(data, str(kept["split"])) if kept.get("split") else 0
        except _Elsewhere:
            raise
        except Exception as error:
            return self._failed(error, begun)
        return Done(digest=self.cell.digest, seconds=time.perf_counter() - begun, failed=failed)

    def _same_data(self, data: "Prepared") -> None:
        if self.task.data_digest not in (None, data.digest):
            raise _Elsewhere(
                f"data set {self.cell.data_set} has changed since cells of this sweep were run ({self.folder.path}), "
                "and results of different data are never mixed. Put it back, say --again to make all anew, or name "
                "another --out folder"
            )

    def _study(self, data: "Prepared") -> dict[str, Any]:
        """What is kept of the cell's study, run now where it has to be."""
        kept = self.folder.cell(self.cell)
        if kept is not None and "error" not in kept and (not kept.get("split") or self._ready(kept, data)):
            return kept
        from fedrisk.lab.cell_data import study_of
        from fedrisk.lab.cell_study import keep_split, run_study, split_digest, split_of

        study = study_of(self.cell, data)
        home = self.folder.work / "stores" / f"{self.cell.digest}-{os.getpid()}"
        os.environ[VARIABLE] = str(home)
        try:
            ran = run_study(self.cell, study, data.institutions)
        finally:
            if not self.task.keep:
                shutil.rmtree(home, ignore_errors=True)
        kept = {
            "versions": dict(self.task.versions),
            "data_digest": data.digest,
            "members": list(study.members),
            "delta": study.privacy.delta,
            "seconds": ran.seconds,
            "rows": ran.rows,
            "split": None,
        }
        if ran.scores:
            split = split_of(ran.scores)
            kept["split"] = split_digest(split)
            keep_split(split, self._split_file(str(kept["split"])))
        self.folder.keep_cell(self.cell, kept)
        return kept

    def _ready(self, kept: Mapping[str, Any], data: "Prepared") -> bool:
        """Whether the baselines of a kept study are there, or can be made from its split."""
        split = str(kept["split"])
        missing = [n for n in self.task.baselines if self.folder.baseline(self._key(n, split, data)) is None]
        return not missing or self._split_file(split).exists()

    def _baselines(self, data: "Prepared", split: str) -> int:
        """Fit those that are missing on this split, each by one process; how many failed of all."""
        from fedrisk.files import locked, make_folders

        make_folders(self.folder.work / "splits")
        failed = 0
        for name in self.task.baselines:
            key = self._key(name, split, data)
            with locked(self.folder.work / "splits" / f"{key}.lock"):
                kept = self.folder.baseline(key)
                if kept is None:
                    row = self._measured(name, split, data)
                    kept = {"versions": dict(self.task.versions), "data_digest": data.digest, "row": row}
                    self.folder.keep_baseline(key, kept)
            failed += bool(kept["row"].get("error"))
        return failed

    def _measured(self, name: str, split: str, data: "Prepared") -> dict[str, Any]:
        """A baseline's fields of a row; one that ends in an error nobody foresaw has that as its error."""
        from fedrisk.lab.baselines import baselines
        from fedrisk.lab.baselines.measured import measured, named
        from fedrisk.tracebacks import redacted

        one, delta = baselines()[name], float((self.folder.cell(self.cell) or {})["delta"])
        try:
            pooled = _split(self._split_file(split), data)
            return measured(one, pooled, epsilon=self.cell.epsilon, delta=delta, seed=self.cell.seed)
        except Exception as error:
            self.folder.note(f"baseline {name} of cell {self.cell.digest}: {self.cell}\n{redacted(error)}\n")
            return {**named(one), "error": f"baseline: {type(error).__name__}"}

    def _key(self, name: str, split: str, data: "Prepared") -> str:
        from fedrisk.lab.sweep_table import key_of_baseline

        return key_of_baseline(self.cell, name, split, data.digest)

    def _split_file(self, split: str) -> Path:
        return self.folder.work / "splits" / f"{split[:32]}.parquet"

    def _failed(self, error: Exception, begun: float) -> Done:
        """Keep a failure and log its whole text; what cannot be kept ends the sweep."""
        from fedrisk.tracebacks import redacted

        code, seconds = code_of(error), time.perf_counter() - begun
        text = str(error) if isinstance(error, FedriskError) else type(error).__name__
        self.folder.note(f"cell {self.cell.digest}: {self.cell}\n{redacted(error)}\n")
        failure = {"versions": dict(self.task.versions), "error": code, "text": text, "seconds": seconds}
        self.folder.keep_cell(self.cell, failure)
        return Done(digest=self.cell.digest, seconds=seconds, error=code)


class _Elsewhere(ConfigError):
    """What is wrong with the whole sweep, and ends it."""


_last: dict[Path, "Split"] = {}


def _split(file: Path, data: "Prepared") -> "Split":
    """The pooled rows of a split; those of the last one are kept, since cells that differ in epsilon share them."""
    from fedrisk.lab.cell_study import kept_split
    from fedrisk.lab.pooled import pooled

    if file not in _last:
        _last.clear()
        _last[file] = pooled(data, kept_split(file))
    return _last[file]
