"""Seconds, bytes and memory of a whole joined statistics study: see README.md.

    python benchmarks/statistics/joined.py                   # 10,000 to 1,000,000 customers, joined.json
    python benchmarks/statistics/joined.py 1000000           # the claim alone; exit code 1 where it does not hold

Every case runs in a separate process, so that peak memory is that of the case. Noise, ledgers and trails are real.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

CASES = (10_000, 100_000, 300_000, 1_000_000)
MOST_SECONDS, MOST_GIGABYTES = 180.0, 4.0


def one(enterprises: int) -> dict[str, Any]:
    """Build a consortium in a temporary folder, run its study, and return what it took."""
    import joined_data as data

    from fedrisk.engine.in_process import run_local
    from fedrisk.recipes.statistics.groupings import Grouping
    from fedrisk.server.hub import Hub

    shapes: dict[Any, Any] = {}
    made = Grouping.shape

    def noted(grouping: Any, layout: Any, rows: int) -> Any:
        shapes[grouping] = made(grouping, layout, rows)
        return shapes[grouping]

    Grouping.shape = noted  # type: ignore[method-assign]
    stages: list[tuple[str, float, float, float]] = []

    def mark(number: int, action: str, what: str) -> None:
        stages.append((action, time.monotonic(), _cpu(), _peak()))
        print(*(round(x, 1) if x is not action else x for x in stages[-1]), file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as home:
        study, paths = data.build(Path(home), data.Size(enterprises))
        load = os.getloadavg()[0]
        _peak()
        mark(0, "start", "")
        run_local(study, paths, hub=Hub(Path(home) / "hub"), report=mark)
        mark(0, "end", "")
        assert "evaluate" not in [s[0] for s in stages], "pseudonyms were not cached"
    rows = sum({g.listed: s.rows for g, s in shapes.items()}.values())
    cells = next(iter(shapes.values())).cells
    columns = sum(s.columns for s in shapes.values()) // len(study.banks)
    # One-hot products send the codes to each counterpart, and the numbers once (32 bits).
    owners = len(shapes) // len(study.banks)
    return {
        "enterprises": enterprises,
        "rows": rows,
        "cells": cells,
        "columns": columns,
        "seconds": round(stages[-1][1] - stages[0][1], 1),
        "cpu_seconds": round(stages[-1][2] - stages[0][2], 1),
        "peak_gb": round(max(s[3] for s in stages), 2),
        "grouping_bytes_a_row": round(sum(s.sent_bytes for s in shapes.values()) / rows),
        "one_hot_bytes_a_row": round(4 * (owners * cells + columns)),
        "load": [round(load, 1), round(os.getloadavg()[0], 1)],
        "stages": {a[0]: round(b[2] - a[2], 1) for a, b in pairwise(stages)},
    }


def _cpu() -> float:
    usage = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(u.ru_utime + u.ru_stime for u in usage)


def _peak() -> float:
    """Peak resident gigabytes since the last call (Linux); elsewhere since the process began."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1e6
        Path("/proc/self/clear_refs").write_text("5")
        return peak
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main(asked: list[str]) -> int:
    """Run the cases, print a line for each, and merge them into joined.json; 1 where the claim does not hold."""
    if asked[:1] == ["--case"]:
        print(json.dumps(one(int(asked[1]))))
        return 0
    file = Path(__file__).with_name("joined.json")
    found = json.loads(file.read_text()) if file.exists() else {}
    held = True
    for case in map(int, asked or CASES):
        command = [sys.executable, __file__, "--case", str(case)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(done.stderr, file=sys.stderr)
            return 1
        row = json.loads(done.stdout.splitlines()[-1])
        print({k: v for k, v in row.items() if k != "stages"}, flush=True)
        found[str(case)] = row
        file.write_text(json.dumps(found, indent=1) + "\n")
        if case == max(CASES):
            held = row["seconds"] <= MOST_SECONDS and row["peak_gb"] <= MOST_GIGABYTES
            print("claim holds:", held)
    return 0 if held else 1


if __name__ == "__main__":
    if sys.argv[1:2] != ["--case"]:
        parser = argparse.ArgumentParser(
            description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        parser.add_argument(
            "cases", nargs="*", type=int, help="enterprises, for example 100000; default: all"
        )
        parser.parse_args()
    sys.exit(main(sys.argv[1:]))
