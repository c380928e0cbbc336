"""Coverage of all intervals of fedrisk.analysis.curves and feature_figures; writes results.json beside itself."""

import argparse
import json
from pathlib import Path

import numpy as np
from features import information, psi
from scores import coverage

SCORES = [
    (27_000, 0.058, 10.4),
    (27_000, 0.058, 30.0),
    (5_000, 0.1, 10.4),
    (2_000, 0.1, 3.0),
    (2_000, 0.1, 0.0),
]
FEATURES = [(54_000, 0.058, 50.0), (5_000, 0.1, 10.0), (5_000, 0.1, 40.0), (20_000, 0.058, 0.0)]


def main(trials):
    found = {
        "scores": [
            coverage(n, p, auc, noise, trials, 7) for n, p, noise in SCORES for auc in (0.6, 0.75, 0.85)
        ],
        "information": [
            {"rows": n, "rate": p, "noise": noise, **row}
            for n, p, noise in FEATURES
            for row in information(n, p, noise, max(trials // 10, 20), 7)
        ],
        "psi": [
            psi(n, noise, shift, trials, 7)
            for n, noise in ((5_000, 10.0), (20_000, 50.0))
            for shift in (0.0, 0.02, 0.1, 0.3)
        ],
    }
    Path(__file__).with_name("results.json").write_text(json.dumps(found, indent=1) + "\n")
    for row in found["scores"]:
        print(row)
    for n, _p, noise in FEATURES:
        rows = [r for r in found["information"] if (r["rows"], r["noise"]) == (n, noise)]
        print(n, noise, "coverage", np.mean([r["coverage"] for r in rows]), min(r["coverage"] for r in rows))
    for row in found["psi"]:
        print(row)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "trials", nargs="?", type=int, default=1000, help="draws of each setting, for example 300"
    )
    main(parser.parse_args().trials)
