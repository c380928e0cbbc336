"""The folder of a sweep: one file for each cell that is finished, so that a sweep goes on after whatever ended it.

``sweep.json`` says whose folder it is. ``cells/DIGEST.json`` is the study of one cell, ``baselines/DIGEST.json`` one
baseline on one split; each is written whole or not at all, and says by which versions it was made. ``work`` has tables,
stores and splits of cells, with records, and is removed at the end. ``errors.log`` says why cells failed.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fedrisk.errors import ConfigError, StoreError
from fedrisk.files import make_folders, private_append, private_folder, write_atomic
from fedrisk.lab.cell import Cell
from fedrisk.lab.sweep import Sweep
from fedrisk.lab.versions import differing

RESULTS, PAGE = "results.parquet", "index.html"
_OWN = ("cells", "baselines", "work", "sweep.json", "errors.log", RESULTS, PAGE)


class SweepFolder:
    """Where a sweep writes; see the module for what lies in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.work = path / "work"

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep the folder to one process.

        ConfigError where another one works in it, StoreError where it cannot be written.
        """
        try:
            make_folders(self.path)
            with private_append(self.path / ".lock") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise ConfigError(
                        f"another fedrisk bench works in {self.path}; wait for its end, or name another --out folder"
                    ) from None
                yield
        except OSError as error:
            raise StoreError(
                f"{self.path} cannot be written: {error.strerror}; check path, space and permissions"
            ) from None

    def begin(self, sweep: Sweep, *, again: bool) -> None:
        """Make it the folder of this sweep; with ``again`` everything of an earlier one goes first.

        ConfigError where it holds another sweep's results, or what is no sweep's.
        """
        there = self._whose()
        if again and there is not None:
            self._clear()
        elif there not in (None, sweep.name):
            raise ConfigError(
                f"{self.path} holds the sweep {there}, and this is {sweep.name}; name another --out folder, or say "
                "--again to put this one in its place"
            )
        elif there is None and any(p.name not in (".lock", *_OWN) for p in self.path.iterdir()):
            raise ConfigError(
                f"{self.path} holds files that are no sweep's; name an empty or a new --out folder"
            )
        # What a killed run left of its cells.
        shutil.rmtree(self.work / "stores", ignore_errors=True)
        private_folder(self.work)
        about = {"name": sweep.name, "digest": sweep.digest, "sweep": sweep.model_dump(mode="python")}
        self._write(self.path / "sweep.json", about)

    def cell(self, cell: Cell) -> dict[str, Any] | None:
        """What is kept of a cell; None where there is nothing."""
        return _read(self.path / "cells" / f"{cell.digest}.json")

    def keep_cell(self, cell: Cell, content: Mapping[str, Any]) -> None:
        """Keep a cell's study, or its failure; StoreError where it cannot be written."""
        self._write(self.path / "cells" / f"{cell.digest}.json", {"cell": asdict(cell), **content})

    def baseline(self, key: str) -> dict[str, Any] | None:
        """What is kept of a baseline on one split."""
        return _read(self.path / "baselines" / f"{key}.json")

    def keep_baseline(self, key: str, content: Mapping[str, Any]) -> None:
        """Keep a baseline on one split."""
        self._write(self.path / "baselines" / f"{key}.json", content)

    def forget_baselines(self, now: Mapping[str, str]) -> None:
        """Remove those that failed, to be tried again, and those of other versions."""
        for file in (self.path / "baselines").glob("*.json"):
            kept = _read(file) or {}
            if kept.get("versions") != now or kept.get("row", {}).get("error"):
                file.unlink(missing_ok=True)

    def note(self, text: str) -> None:
        """Append to the log of errors; one that cannot be written stops nothing."""
        with contextlib.suppress(OSError), private_append(self.path / "errors.log") as handle:
            os.write(handle, text.encode("utf-8", "backslashreplace"))

    def check_versions(self, cells: tuple[Cell, ...], now: Mapping[str, str]) -> None:
        """ConfigError where cells of the sweep were made by other versions: these are never mixed."""
        foreign, what = 0, ""
        for cell in cells:
            kept = self.cell(cell)
            if kept is not None and "error" not in kept and kept.get("versions") != now:
                foreign, what = foreign + 1, differing(kept.get("versions", {}), now)
        if foreign:
            raise ConfigError(
                f"{foreign} of the sweep's {len(cells)} cells in {self.path} were made by other versions ({what}), and "
                "results of different versions are never mixed. Say --again to make all anew, or name another --out "
                "folder"
            )

    def tidy(self) -> None:
        """Remove tables, stores and splits: what has records."""
        shutil.rmtree(self.work, ignore_errors=True)

    def _whose(self) -> str | None:
        kept = _read(self.path / "sweep.json")
        return None if kept is None else str(kept.get("name"))

    def _clear(self) -> None:
        for name in _OWN:
            path = self.path / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def _write(self, file: Path, content: Mapping[str, Any]) -> None:
        text = json.dumps(content, indent=1, default=str) + "\n"
        write_atomic(file, text.encode())


def baseline_key(
    name: str, *, split: str, data: str, epsilon: float | None, seed: int, bins: int | None
) -> str:
    """Names a baseline on one split in files. epsilon: None where it does not depend on it."""
    text = json.dumps([name, split, data, None if epsilon is None else repr(epsilon), seed, bins])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _read(file: Path) -> dict[str, Any] | None:
    """A JSON object that this package wrote; None where there is none, or it is damaged and has to be made anew."""
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
