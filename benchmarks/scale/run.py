"""How seconds, bytes and memory of a whole scorecard study grow: see README.md.

    python benchmarks/scale/run.py                      # all cases of the table, results.json
    python benchmarks/scale/run.py consortium           # the 1,000,000 customers alone
    python benchmarks/scale/run.py --case 100000 32 17 5

Every case runs in a separate process, so that peak memory is that of the case. Runs are private ones (epsilon
1), with real noise, ledgers and trails.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

CASES = {
    "enterprises": [(10_000, 32, 17, 5), (100_000, 32, 17, 5), (300_000, 32, 17, 5)],
    "consortium": [(1_000_000, 32, 17, 5)],
    "features": [(100_000, f, 17, 5) for f in (20, 50, 100, 200, 400)],
    "institutions": [(100_000, 32, 2, 1), (100_000, 32, 7, 3), (100_000, 32, 23, 7)],
}
# Claim for the consortium.
MOST_SECONDS, MOST_GIGABYTES = 360.0, 8.0


class Stages:
    """What the run does between two exchanges: seconds, bytes and peak memory of each stage."""

    def __init__(self) -> None:
        self.exchanges: list[Any] = []
        self.stages: list[dict[str, Any]] = []

    def mark(self, action: str, what: str) -> None:
        """End the last stage and begin another."""
        moved = sum(sum(e.sent.values()) + sum(e.received.values()) for e in self.exchanges)
        now = {"wall": time.monotonic(), "cpu": _cpu(), "moved": moved}
        if self.stages:
            last = self.stages[-1]
            last |= {key: now[key] - value for key, value in last.pop("start").items()}
            last["peak_gb"] = _peak()
        self.stages.append({"action": action, "what": what, "start": now})

    def figures(self) -> list[dict[str, Any]]:
        """The stages, rounded."""
        return [
            {
                "action": s["action"],
                "what": s["what"],
                "seconds": round(s["wall"], 1),
                "cpu_seconds": round(s["cpu"], 1),
                "megabytes": round(s["moved"] / 1e6, 1),
                "peak_gb": round(s["peak_gb"], 2),
            }
            for s in self.stages
        ]


def one(enterprises: int, features: int, banks: int, holders: int) -> dict[str, Any]:
    """Build a consortium in a temporary folder, run its study, and return what each exchange took."""
    import data

    from fedrisk.engine.in_process import run_local
    from fedrisk.server import run as server_run
    from fedrisk.server.exchange import Exchange
    from fedrisk.server.hub import Hub

    watch = Stages()

    class Watched(Exchange):
        def __init__(self, *args: Any, **how: Any) -> None:
            super().__init__(*args, **how)
            watch.exchanges.append(self)

    server_run.Exchange = Watched  # type: ignore[misc,attr-defined]
    with tempfile.TemporaryDirectory() as home:
        study, paths = data.build(Path(home), data.Size(enterprises, features, banks, holders))
        load = os.getloadavg()
        _peak()
        watch.mark("start", "")
        results = run_local(
            study,
            paths,
            hub=Hub(Path(home) / "hub"),
            report=lambda _, action, what: watch.mark(action, what),
        )
        watch.mark("end", "")
    stages = watch.stages
    stages.pop()
    m = results.to_dict()
    assert not any(s["action"] == "evaluate" for s in stages), "pseudonyms were not cached"
    sent, received = m["bytes_sent"], m["bytes_received"]
    return {
        "enterprises": enterprises,
        "features": features,
        "banks": banks,
        "holders": holders,
        "seconds": round(sum(s["wall"] for s in stages), 1),
        "cpu_seconds": round(sum(s["cpu"] for s in stages), 1),
        "peak_gb": round(max(s["peak_gb"] for s in stages), 2),
        "megabytes": round((sum(sent.values()) + sum(received.values())) / 1e6, 1),
        "most_sent_by_one_mb": round(max(sent.values()) / 1e6, 1),
        "exchanges": m["exchanges"],
        "branch": m["second_release"],
        "load": [round(x, 1) for x in (*load[:1], *os.getloadavg()[:1])],
        "stages": watch.figures(),
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
    """Run what is asked for, print one line per case, and merge the results into results.json.

    Returns 1 if the consortium misses its claim.
    """
    if asked[:1] == ["--case"]:
        print(json.dumps(one(*map(int, asked[1:5]))))
        return 0
    file = Path(__file__).with_name("results.json")
    results = json.loads(file.read_text()) if file.exists() else {}
    held = True
    for group in asked or CASES:
        rows = []
        for case in CASES[group]:
            command = [sys.executable, __file__, "--case", *map(str, case)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                print(done.stderr, file=sys.stderr)
                return 1
            row = json.loads(done.stdout.splitlines()[-1])
            rows.append(row)
            print({k: v for k, v in row.items() if k != "stages"}, flush=True)
        results[group] = rows
        if group == "consortium":
            held = all(r["seconds"] <= MOST_SECONDS and r["peak_gb"] <= MOST_GIGABYTES for r in rows)
            print("claim holds:", held)
        file.write_text(json.dumps(results, indent=1) + "\n")
    return 0 if held else 1


if __name__ == "__main__":
    if sys.argv[1:2] != ["--case"]:
        parser = argparse.ArgumentParser(
            description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        parser.add_argument("groups", nargs="*", help=f"of cases: {', '.join(CASES)}; default: all")
        for unknown in set(parser.parse_args().groups) - set(CASES):
            parser.error(f"there is no group {unknown}; there are {', '.join(CASES)}")
    sys.exit(main(sys.argv[1:]))
