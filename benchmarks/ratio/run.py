"""A whole private study against the same estimator in the clear on pooled data, side by side in one run.

    PYTHONPATH=. OMP_NUM_THREADS=1 python benchmarks/ratio/run.py                   # 20,000, 200,000, 1,000,000
    PYTHONPATH=. OMP_NUM_THREADS=1 python benchmarks/ratio/run.py --sizes 20000 --repeats 3
    PYTHONPATH=. OMP_NUM_THREADS=1 python benchmarks/ratio/run.py --profile 20000   # functions of the second study

At each size: in the clear, the first study (pseudonyms are made), in the clear, the second study (pseudonyms are kept), and
again. Each in a process of its own, timed without the start of Python; both begin with the tables. Writes results.json
next to this file, and exits with status 1 where a claim does not hold.
"""

from __future__ import annotations

import argparse
import cProfile
import itertools
import json
import os
import pstats
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SIZES = (20_000, 200_000, 1_000_000)
FEATURES, BANKS, HOLDERS, EPSILON = 32, 3, 3, 1.0
# Claims: the study from tables to scores and report, pseudonyms kept, by the estimator in the clear. The models that
# banks fit for themselves once it is over are a line of their own.
MOST = {200_000: 5.0, 1_000_000: 3.0}
SIDES = ("clear", "first", "second")
ALIGNMENT = ("blind", "evaluate", "pseudonyms")
"""Exchanges that a study whose ids are matched beforehand does not have."""
REPORT = "report"
"""Where the page of results is written: part of the study, and nothing of the kind is done in the clear."""


def private(folder: Path, *, first: bool) -> dict[str, Any]:
    """One whole study, as ``fedrisk run`` makes it, from tables to scores and report."""
    from benchmarks.ratio.where import watched
    from fedrisk import api

    stages: list[tuple[str, float]] = []
    paths = {f.stem: f for f in folder.glob("*.toml") if f.stem != "study"}
    os.environ["FEDRISK_HOME"] = str(folder / "home")
    out = folder / ("first" if first else "second")
    shutil.rmtree(out, ignore_errors=True)
    with watched() as clock, own_models_apart() as own:
        began, cpu = time.perf_counter(), _cpu()
        results = api.run(
            folder / "study.toml",
            out=out,
            institutions=folder,
            again=not first,
            report=lambda _, action, what: stages.append((action, time.perf_counter())),
        )
        ended, cpu = time.perf_counter(), _cpu() - cpu
    assert len(paths) == BANKS + HOLDERS
    marks = [("start", began), *stages, ("end", ended)]
    exchanges: dict[str, float] = {}
    for (name, at), (_, then) in itertools.pairwise(marks):
        exchanges[name] = exchanges.get(name, 0.0) + then - at
    moved = sum(results.bytes_sent.values()) + sum(results.bytes_received.values())
    return {
        "seconds": ended - began,
        "processor_seconds": cpu,
        "own_seconds": own["seconds"],
        "own_processor_seconds": own["processor"],
        "exchanges": exchanges,
        "where": dict(clock.seconds),
        "where_processor": dict(clock.processor),
        "gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        "megabytes": moved / 1e6,
        "auc": results.auc,
    }


@contextmanager
def own_models_apart() -> Iterator[dict[str, float]]:
    """Seconds and processor seconds of what banks make for themselves once the study is over (clients/own_work)."""
    from fedrisk.engine import in_process

    complete, spent = in_process.complete_own, {"seconds": 0.0, "processor": 0.0}

    def timed(*args: Any) -> None:
        began, cpu = time.perf_counter(), _cpu()
        try:
            complete(*args)
        finally:
            spent["seconds"] += time.perf_counter() - began
            spent["processor"] += _cpu() - cpu

    in_process.complete_own = timed
    try:
        yield spent
    finally:
        in_process.complete_own = complete


def clear(folder: Path) -> dict[str, Any]:
    """The same estimator on pooled rows."""
    from benchmarks.ratio.clear import in_the_clear
    from fedrisk.recipes import load_study

    study = load_study(folder / "study.toml")
    began, cpu = time.perf_counter(), _cpu()
    found = in_the_clear(study, {name: folder / f"{name}.toml" for name in study.members}, folder)
    return {
        "seconds": time.perf_counter() - began,
        "processor_seconds": _cpu() - cpu,
        "where": found["seconds"],
        "where_processor": found["processor"],
        "gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        "auc": found["auc"],
    }


def _cpu() -> float:
    usage = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(u.ru_utime + u.ru_stime for u in usage)


def side(folder: Path, name: str) -> dict[str, Any]:
    """One side in a process of its own."""
    load = os.getloadavg()[0]
    command = [sys.executable, __file__, "--side", name, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    row: dict[str, Any] = {**json.loads(done.stdout.splitlines()[-1]), "load": load}
    print(f"{name:>8} {row['seconds']:8.1f} s", flush=True)
    return row


def measure(rows: int, repeats: int, *, kept: bool) -> dict[str, Any]:
    """Both sides in turn at one size, and their ratios. kept: pseudonyms are filled in, and there is no first study."""
    from benchmarks.scale import data

    turns = ("clear", "second") if kept else ("clear", "first", "clear", "second")
    sides: dict[str, list[dict[str, Any]]] = {which: [] for which in dict.fromkeys(turns)}
    with tempfile.TemporaryDirectory() as name:
        size = data.Size(rows, FEATURES, BANKS, HOLDERS, EPSILON)
        for k in range(repeats):
            folder = Path(name) / str(k)
            data.build(folder, size, seed=1 + k, cached=kept)
            for which in turns:
                sides[which].append(side(folder, which))
            shutil.rmtree(folder)
    return {"rows": rows, "repeats": repeats, **sides, "ratios": ratios(sides)}


def ratios(sides: dict[str, list[dict[str, Any]]]) -> dict[str, float]:
    """What is divided by what: medians of seconds; processor seconds say it where the machine has other work too.

    "the study": tables to scores and report, pseudonyms kept, without the models that banks fit after it.
    """

    def middle(which: str, key: str, without: str = "") -> float:
        return statistics.median(row[key] - (row[without] if without else 0.0) for row in sides[which])

    out = {}
    for key, words, where in (
        ("seconds", "", "where"),
        ("processor_seconds", "processor seconds: ", "where_processor"),
    ):
        base, study = middle("clear", key), middle("second", key, f"own_{key}")
        report = statistics.median(row[where].get(REPORT, 0.0) for row in sides["second"])
        out[f"{words}the study"] = study / base
        out[f"{words}the study and own models"] = middle("second", key) / base
        out[f"{words}the study without its report"] = (study - report) / base
        if key == "seconds":
            aligned = [sum(row["exchanges"].get(a, 0.0) for a in ALIGNMENT) for row in sides["second"]]
            out["the study, ids matched beforehand"] = (study - statistics.median(aligned)) / base
        if "first" in sides:
            out[f"{words}the first study"] = middle("first", key, f"own_{key}") / base
    return out


def _middle(rows: Sequence[dict[str, Any]], key: str) -> str:
    return f"{statistics.median(r[key] for r in rows):.1f}" if rows else ""


def table(found: dict[str, Any]) -> str:
    """Ratios and where seconds go, as Markdown."""
    sizes = list(found)
    lines = [f"| | {' | '.join(f'{int(n):,} rows' for n in sizes)} |", "| --- |" + " ---: |" * len(sizes)]
    keys = ("seconds", "own_seconds", "processor_seconds", "own_processor_seconds")
    for which, key in ((w, k) for w in SIDES for k in keys):
        if which == "clear" and key.startswith("own_"):
            continue
        cells = [_middle(found[n].get(which, ()), key) for n in sizes]
        what = key.removeprefix("own_").replace("_", " ") + (
            " of own models" if key.startswith("own_") else ""
        )
        lines.append(f"| {which}, {what} | {' | '.join(cells)} |")
    for name in dict.fromkeys(name for n in sizes for name in found[n]["ratios"]):
        cells = [f"{found[n]['ratios'][name]:.1f}" if name in found[n]["ratios"] else "" for n in sizes]
        lines.append(f"| ratio: {name} | {' | '.join(cells)} |")
    for which in (w for w in SIDES if any(w in found[n] for n in sizes)):
        lines += ["", f"| {which}: processor seconds | {' | '.join(f'{int(n):,}' for n in sizes)} |"]
        lines.append("| --- |" + " ---: |" * len(sizes))
        rows = {n: found[n][which][-1]["where_processor"] if which in found[n] else {} for n in sizes}
        for place in sorted(
            {p for r in rows.values() for p in r}, key=lambda p: -rows[sizes[-1]].get(p, 0.0)
        ):
            lines.append(f"| {place} | {' | '.join(f'{rows[n].get(place, 0.0):.2f}' for n in sizes)} |")
    return "\n".join(lines)


def profile(rows: int) -> None:
    """Print the functions in which a study of so many enterprises, pseudonyms kept, spends its processor seconds."""
    from benchmarks.scale import data
    from fedrisk import api

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data.build(folder, data.Size(rows, FEATURES, BANKS, HOLDERS, EPSILON))
        os.environ["FEDRISK_HOME"] = str(folder / "home")
        # Of this process's processor, so that other work on the machine is not in it.
        watch = cProfile.Profile(time.process_time)
        watch.runcall(api.run, folder / "study.toml", out=folder / "second", institutions=folder)
        stats = pstats.Stats(watch)
        stats.sort_stats("tottime").print_stats(45)
        stats.sort_stats("cumtime").print_stats("fedrisk", 60)


def main() -> int:
    """Measure, write, judge."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--repeats", type=int, default=0, help="0: three, and one above 500,000 rows")
    parser.add_argument("--kept", action="store_true", help="no first study: pseudonyms are filled in")
    parser.add_argument("--profile", type=int, metavar="ROWS")
    parser.add_argument("--table", action="store_true", help="print the table of what results.json has")
    parser.add_argument("--side", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("results.json"))
    given = parser.parse_args()
    if given.side:
        which, folder = given.side[0], Path(given.side[1])
        print(json.dumps(clear(folder) if which == "clear" else private(folder, first=which == "first")))
        return 0
    if given.profile:
        profile(given.profile)
        return 0
    found = json.loads(given.out.read_text()) if given.out.exists() else {}
    if not given.table:
        for rows in given.sizes:
            found[str(rows)] = measure(rows, given.repeats or (3 if rows <= 500_000 else 1), kept=given.kept)
            found = dict(sorted(found.items(), key=lambda item: int(item[0])))
            given.out.write_text(json.dumps(found, indent=1) + "\n")
    print(table(found))
    held = [found[str(n)]["ratios"]["the study"] <= most for n, most in MOST.items() if str(n) in found]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
