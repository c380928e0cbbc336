"""How long does simulating a province take, and how long the demo?

Writes results.json next to this file, and exits with status 1 if a claim does not hold.

    python benchmarks/province/run.py province [--enterprises 131072 1048576 5291000]
    python benchmarks/province/run.py demo          # simulate, check, run, as `make study` does

The claims are about the full size on 2 idle cores; smaller sizes are measured and not judged.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FULL = 5_291_000
SIZES = (131_072, 1_048_576, FULL)
# Claim about simulating the province at full size.
MOST_SECONDS, MOST_GB = 480, 8.0
# Claim about the demo: simulate, check and run.
DEMO_SECONDS, DEMO_POSITIVES = 120, 3000
PAGE = os.sysconf("SC_PAGE_SIZE")


def measured(command: list[str], environment: dict[str, str]) -> dict[str, float]:
    """Wall-clock seconds, processor seconds and peak memory of a command with all its processes."""
    before, started = os.times(), time.monotonic()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, cwd=ROOT)
    peak, stop = [0], threading.Event()

    def watch() -> None:
        while not stop.wait(0.2):
            peak[0] = max(peak[0], sum(_resident(p) for p in _tree(process.pid)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    stop.set()
    watcher.join()
    after = os.times()
    if code:
        raise SystemExit(f"{' '.join(command)} exited with status {code}")
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return {
        "seconds": round(time.monotonic() - started, 1),
        "processor_seconds": round(spent, 1),
        "gb": round(peak[0] / 2**30, 2),
    }


def province(sizes: list[int], profile: str = "province") -> dict[str, Any]:
    """Simulate at several sizes."""
    rows = []
    for n in sizes:
        with tempfile.TemporaryDirectory() as folder:
            command = [
                sys.executable,
                "-m",
                "sim_institutions",
                "--profile",
                profile,
                "--enterprises",
                str(n),
            ]
            row: dict[str, float] = {
                "enterprises": n,
                **measured([*command, "--out", folder], _environment()),
            }
            for part in ("data", "histories"):
                row[f"{part}_mb"] = round(sum(f.stat().st_size for f in Path(folder, part).iterdir()) / 1e6)
            row["microseconds_an_enterprise"] = round(1e6 * row["seconds"] / n, 1)
            rows.append(row)
            print(row, flush=True)
    return {"load_average_at_the_end": os.getloadavg()[0], "sizes": rows}


def demo() -> dict[str, Any]:
    """What `make study` does, with a new store."""
    folder = Path(tempfile.mkdtemp())
    environment = {**_environment(), "FEDRISK_HOME": str(folder / "home")}
    fedrisk = [sys.executable, "-m", "fedrisk.cli"]
    study = str(folder / "study.toml")
    steps = {
        "simulate": [sys.executable, "-m", "sim_institutions", "--out", str(folder)],
        "check": [*fedrisk, "check", study],
        "run": [*fedrisk, "run", study, "--out", str(folder / "results")],
    }
    try:
        out: dict[str, Any] = {name: measured(command, environment) for name, command in steps.items()}
        metrics = json.loads((folder / "results" / "metrics.json").read_text())
    finally:
        shutil.rmtree(folder)
    training = sum(metrics["rows"]["training"].values())
    out |= {
        "seconds": round(sum(out[name]["seconds"] for name in steps), 1),
        "auc": metrics["auc"],
        "auc_standard_error": metrics["auc_standard_error"],
        "training": training,
        "positives_in_training": round(training * metrics["default_rate"]),
        "load_average_at_the_end": os.getloadavg()[0],
    }
    print(json.dumps(out, indent=1))
    return out


def missed(results: dict[str, Any]) -> list[str]:
    """Claims that do not hold."""
    found = []
    sizes = {row["enterprises"]: row for row in results.get("province", {}).get("sizes", [])}
    if FULL in sizes:
        if sizes[FULL]["seconds"] > MOST_SECONDS:
            found.append(f"full size takes {sizes[FULL]['seconds']} s, claim {MOST_SECONDS}")
        if sizes[FULL]["gb"] > MOST_GB:
            found.append(f"full size takes {sizes[FULL]['gb']} GB, claim {MOST_GB}")
    return found + (_missed_by_demo(results["demo"]) if "demo" in results else [])


def _missed_by_demo(figures: dict[str, Any]) -> list[str]:
    found = []
    if figures["seconds"] > DEMO_SECONDS:
        found.append(f"the demo takes {figures['seconds']} s, claim {DEMO_SECONDS}")
    if figures["positives_in_training"] < DEMO_POSITIVES:
        found.append(f"{figures['positives_in_training']} positives in training, claim {DEMO_POSITIVES}")
    return found


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}


def _tree(pid: int) -> list[int]:
    """A process and all its descendants."""
    out, parents = [pid], {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
    for known in out:
        out += [child for child, parent in parents.items() if parent == known]
    return out


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except OSError:
        return 0


def main() -> int:
    """Measure one part, merge it into results.json, and check the claims."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["province", "demo"])
    parser.add_argument("--enterprises", type=int, nargs="+", default=list(SIZES))
    given = parser.parse_args()
    file = HERE / "results.json"
    results = json.loads(file.read_text()) if file.exists() else {}
    results[given.part] = province(given.enterprises) if given.part == "province" else demo()
    file.write_text(json.dumps(results, indent=1) + "\n")
    found = missed(results)
    print("claims hold" if not found else "; ".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
