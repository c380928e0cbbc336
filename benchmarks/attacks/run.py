"""Runs ``fedrisk attack`` and keeps what its attacks came to, each in its place of ``results.json`` beside this file.

Run from the root of the project: ``PYTHONPATH=. OMP_NUM_THREADS=1 python benchmarks/attacks/run.py [NAMES] [--quick]``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def main() -> None:
    """Attack, then summarise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="of attacks, for example audit; default: all")
    parser.add_argument("--quick", action="store_true", help="fewer tries, wider intervals")
    parser.add_argument(
        "--out", type=Path, help="folder of the page, for example build/attacks; default: a temporary one"
    )
    asked = parser.parse_args()
    out = asked.out or Path(tempfile.mkdtemp(prefix="attacks-"))
    command = [sys.executable, "-m", "fedrisk.cli", "attack", *asked.names, "--out", str(out)]
    code = subprocess.run([*command, *(["--quick"] if asked.quick else [])], check=False).returncode
    content = json.loads((out / "attacks.json").read_text(encoding="utf-8"))
    # Attacks that were not run now keep what they came to; each says whether it was a quick run.
    file = HERE / "results.json"
    found = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    for one in content["attacks"]:
        found[one["name"]] = {"quick": content["quick"], "versions": content["versions"], **summary(one)}
    file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for one in content["attacks"]:
        print(one["name"], json.dumps(found[one["name"]]))
    sys.exit(code)


def summary(attack: dict[str, Any]) -> dict[str, Any]:
    """Figures, controls and seconds of an attack; of those with a claim, shares of it."""
    plain = [f for f in attack["figures"] if not f["control"]]
    controls = [f for f in attack["figures"] if f["control"]]
    shares, least = defaultdict[str, float](float), dict[str, float]()
    for f in plain:
        if f["claimed"] and f["low"] == f["high"]:
            kind = "/".join(f["target"].split("/")[:2])
            shares[kind] = max(shares[kind], f["value"] / f["claimed"])
        elif f["claimed"]:
            kind = "/".join(f["target"].split("/")[:2])
            least[kind] = max(least.get(kind, 0.0), float(f["low"]) / f["claimed"])
    return {
        "outcome": attack["outcome"],
        "figures": len(plain),
        "broken": sum(f["verdict"] == "broken" for f in plain),
        "unjudged": sum(f["verdict"] == "not judged" for f in plain),
        "controls": len(controls),
        "succeeded": sum(f["verdict"] == "control succeeded" for f in controls),
        "seconds": round(attack["seconds"], 1),
        "shares": dict(shares),
        "lower_bounds": least,
        "most": max(shares.values(), default=None),
        "least": min(shares.values(), default=None),
    }


if __name__ == "__main__":
    main()
