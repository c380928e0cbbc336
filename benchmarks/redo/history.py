"""The history: one line for each folder and round, with machine, version, seconds and figures."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.redo.figures import Unread
from benchmarks.redo.manifest import BENCHMARKS, Manifest

FILE = BENCHMARKS / "history.jsonl"
SHOWN = 6
"""Of how many entries the table of a figure shows, the last ones."""


def machine() -> dict[str, Any]:
    """What timings depend on."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
        memory = int(Path("/proc/meminfo").read_text(encoding="utf-8").split()[1]) / 2**20
    except (OSError, StopIteration):
        memory = 0.0
    return {
        "cores": os.cpu_count(),
        "processor": model,
        "memory_gb": round(memory, 1),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def commit(root: Path) -> str:
    """The commit of a checkout, with "+" where files differ from it; empty outside of one."""
    try:
        said = [
            _git(root, "rev-parse", "--short=10", "HEAD").strip(),
            _git(root, "status", "--porcelain", "-uno"),
        ]
    except (OSError, subprocess.CalledProcessError):
        return ""
    return said[0] + ("+" if said[1].strip() else "")


def entry(
    made: Manifest, figures: Mapping[str, float | None], *, seconds: float, load: float, source: str
) -> dict[str, Any]:
    """A line of the history."""
    return {
        "folder": made.folder,
        "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "version": importlib.metadata.version("fedrisk"),
        "commit": source,
        "machine": machine(),
        "load": round(load, 2),
        "seconds": round(seconds, 1),
        "figures": {name: value for name, value in figures.items() if value is not None},
        "holds": judged(made, figures),
    }


def judged(made: Manifest, figures: Mapping[str, float | None]) -> bool | None:
    """Whether all figures that have a bound keep to it; None where none was measured."""
    said = [f.holds(v) for n, f in made.figures.items() if (v := figures.get(n)) is not None]
    said = [s for s in said if s is not None]
    return all(said) if said else None


def read(file: Path = FILE) -> list[dict[str, Any]]:
    """All lines, the oldest first."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return sorted((json.loads(line) for line in lines if line.strip()), key=lambda e: str(e["at"]))


def add(lines: Sequence[Mapping[str, Any]], file: Path = FILE) -> None:
    """Append lines."""
    with file.open("a", encoding="utf-8") as handle:
        handle.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def from_git(made: Manifest, root: Path) -> list[dict[str, Any]]:
    """A line for each commit that changed the results of a folder, as far as today's manifest can read them."""
    names = sorted({f"benchmarks/{made.folder}/{f.file}" for f in made.figures.values()})
    if not names:
        return []
    log = _git(root, "log", "--first-parent", "--reverse", "--format=%h %cI", "--abbrev=10", "--", *names)
    out: list[dict[str, Any]] = []
    for line in log.splitlines():
        short, at = line.split(" ", 1)
        figures = _figures_at(made, root, short)
        if figures and (not out or out[-1]["figures"] != figures):
            at = datetime.datetime.fromisoformat(at).astimezone(datetime.UTC).isoformat(timespec="seconds")
            common = {"folder": made.folder, "at": at, "version": None, "commit": short}
            unknown = {"machine": None, "load": None, "seconds": None}
            out.append({**common, **unknown, "figures": figures, "holds": judged(made, figures)})
    return out


def _figures_at(made: Manifest, root: Path, short: str) -> dict[str, float]:
    files: dict[str, Any] = {}
    out: dict[str, float] = {}
    for name, figure in made.figures.items():
        try:
            if figure.file not in files:
                files[figure.file] = json.loads(
                    _git(root, "show", f"{short}:benchmarks/{made.folder}/{figure.file}")
                )
            out[name] = figure.read(files[figure.file])
        except (subprocess.CalledProcessError, ValueError, Unread):
            continue
    return out


def as_table(made: Manifest, lines: Sequence[Mapping[str, Any]]) -> str:
    """The figures of a folder over its last entries, as Markdown: a column an entry."""
    mine = [line for line in lines if line["folder"] == made.folder][-SHOWN:]
    heads = [f"{str(line['at'])[:10]} {line['commit']}" for line in mine]
    rows = [
        f"### {made.folder}",
        "",
        f"| figure | asked | {' | '.join(heads)} |",
        "| --- " * (2 + len(mine)) + "|",
    ]
    for name, f in made.figures.items():
        asked = f"{f.side} {f.asked}" if f.asked else ""
        shown = []
        for line in mine:
            value = line["figures"].get(name)
            text = "" if value is None else f.text(value)
            shown.append(f"**{text}**" if value is not None and f.holds(value) is False else text)
        rows.append(f"| {name} | {asked} | {' | '.join(shown)} |")
    rows.append(f"| seconds of the round | | {' | '.join(_seconds(line) for line in mine)} |")
    return "\n".join(rows)


def _seconds(line: Mapping[str, Any]) -> str:
    if line["seconds"] is None:
        return ""
    return f"{line['seconds']:.0f} (load {line['load']}, {line['machine']['cores']} cores)"


def _git(root: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", str(root), *words], check=True, capture_output=True, text=True).stdout
