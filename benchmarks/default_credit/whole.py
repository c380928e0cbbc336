"""What a whole ``fedrisk run`` of default_credit costs outside research: seconds, memory, exchanges.

Real noise, ledgers and trails, pseudonyms made anew in a new store. The median of three; writes whole.json next to this
file, and exits with status 1 if the claim does not hold. Needs FEDRISK_DATA, and the root of the project in PYTHONPATH.

    FEDRISK_DATA=... PYTHONPATH=. python benchmarks/default_credit/whole.py
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.province.run import measured

ROOT = Path(__file__).resolve().parents[2]
TIMES = 3
MOST = {"seconds": 20.0, "gb": 1.0, "exchanges": 12}


def once() -> dict[str, Any]:
    """One run with a new store."""
    with tempfile.TemporaryDirectory() as name:
        study, out = ROOT / "configs" / "default_credit.toml", Path(name) / "results"
        environment = {**os.environ, "FEDRISK_HOME": str(Path(name) / "home")}
        row = measured(
            [sys.executable, "-m", "fedrisk.cli", "run", str(study), "--out", str(out)], environment
        )
        metrics = json.loads((out / "metrics.json").read_text())
    return {**row, "study_seconds": metrics["seconds"], "exchanges": metrics["exchanges"]}


def main() -> int:
    """Measure, write, judge."""
    rows = [once() for _ in range(TIMES)]
    found: dict[str, Any] = {key: median(row[key] for row in rows) for key in rows[0]}
    Path(__file__).with_name("whole.json").write_text(json.dumps({**found, "runs": rows}, indent=1) + "\n")
    print(json.dumps(found))
    return int(any(found[key] > most for key, most in MOST.items()))


if __name__ == "__main__":
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    sys.exit(main())
