"""What epsilon buys, on public data and in hard cases: both sweeps, results.json, and the page made from it.

``benchmarks/sweep.toml`` and ``benchmarks/hard_cases.toml`` are run (or go on) below ``--work``, summarised as means over
hold-outs with intervals, and set beside what the product says of the hard cases before (``fedrisk check``) and after (the
verdict of each bank's own hold-out). Exits with status 1 if a claim does not hold. Needs FEDRISK_DATA; about an hour on 2
idle cores.

    FEDRISK_DATA=... python benchmarks/privacy_accuracy/run.py [--work build/privacy_accuracy]
    python benchmarks/privacy_accuracy/run.py --summary sweep_folder hard_folder    # of sweeps that are there
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import summary

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PEERS = ("DP-EBM", "DP logistic regression", "randomised labels, boosting")
PEER = PEERS[0]
"""The private baseline that the claim is about; the page shows the others too."""
LEAST = -0.01
"""How far below it the card may rank at the same epsilon."""


def swept(name: str, folder: Path, kept: Path, *more: str) -> None:
    """Run a sweep to its end, or go on with it; what its stores say is taken over before a new call removes them."""
    summary.gather(folder / "work" / "stores", kept)
    command = [
        sys.executable,
        "-m",
        "fedrisk.cli",
        "bench",
        f"benchmarks/{name}.toml",
        "--out",
        str(folder),
        *more,
    ]
    code = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    ).returncode
    summary.gather(folder / "work" / "stores", kept)
    if not (folder / "results.parquet").exists():
        sys.exit(f"the sweep {name} left no results (status {code}); see above")


def contents(sweep: Path, hard: Path, kept: Path, before: dict[str, Any]) -> dict[str, Any]:
    """All of results.json."""
    (rows, about), (difficult, about_hard) = summary.read(sweep), summary.read(hard)
    verdicts = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    sets, cases = summary.data_sets(rows), summary.data_sets(difficult)
    after = summary.after(difficult, verdicts)
    less = {peer: summary.less(sets, peer) for peer in PEERS}
    foreseen = summary.foreseen(before, after)
    return {
        "least_to": {peer: min(line["less"] for line in lines) for peer, lines in less.items()},
        "foreseen": foreseen,
        "failed_cells": int(
            (rows["error"].fillna("") != "").sum() + (difficult["error"].fillna("") != "").sum()
        ),
        "epsilon": summary.meanings(rows),
        "sets": sets,
        "to_peer": less[PEER],
        "hard": {
            name: {**case, "before": before.get(name, {}), "after": after.get(name, {})}
            for name, case in cases.items()
        },
        "made": {"sweep": about, "hard_cases": about_hard},
    }


def main() -> int:
    """Everything; the exit code."""
    parser = argparse.ArgumentParser(description="Accuracy by epsilon, on public data and in hard cases.")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "privacy_accuracy")
    parser.add_argument(
        "--summary", nargs=2, type=Path, metavar=("SWEEP", "HARD"), help="folders of finished sweeps"
    )
    asked = parser.parse_args()
    if "FEDRISK_DATA" not in os.environ:
        print("FEDRISK_DATA is not set; name the folder of the public data sets")
        return 2
    asked.work.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("FEDRISK_HOME", str(asked.work / "home"))
    sweep, hard = asked.summary or (asked.work / "sweep", asked.work / "hard_cases")
    kept = asked.work / "verdicts.json"
    if asked.summary is None:
        swept("sweep", sweep, asked.work / "none.json")
        swept("hard_cases", hard, kept, "--keep")
    else:
        summary.gather(hard / "work" / "stores", kept)
    content = contents(sweep, hard, kept, _before(asked.work, hard))
    # An interval is one line.
    text = re.sub(
        r"\[\s+([^\[\]{}]*?)\s+\]", lambda m: f"[{' '.join(m[1].split())}]", json.dumps(content, indent=1)
    )
    (HERE / "results.json").write_text(text + "\n", encoding="utf-8")
    subprocess.run([sys.executable, "-m", "benchmarks.privacy_accuracy.page"], cwd=ROOT, check=True)
    least = content["least_to"][PEER]
    print(f"card less {PEER}: {least:+.4f} at least; foreseen {content['foreseen']}")
    return int(least < LEAST)


def _before(work: Path, hard: Path) -> dict[str, Any]:
    """What is said beforehand of each hard case; kept beside the sweep, since it takes a minute each."""
    import before

    kept = work / "before.json"
    found: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    rows, _ = summary.read(hard)
    for name, part in rows.groupby("data_set", sort=False):
        for epsilon in sorted(part["epsilon"].unique()):
            if summary.key_of(epsilon) not in found.setdefault(str(name), {}):
                found[str(name)] |= before.said(str(name), [float(epsilon)], work / "before")
                kept.write_text(json.dumps(found), encoding="utf-8")
    return found


if __name__ == "__main__":
    sys.exit(main())
