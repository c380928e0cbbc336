"""Do the intervals of a bank's report hold what they say? Hold-outs drawn again and again from populations that are known.

Two scores of one enterprise, of which the second ranks better or as well; the outcome follows from both. What the second
changes in the whole population is worked out on two million enterprises; of each hold-out it is counted whether the 95%
interval of analysis/swap_sets holds that.

    PYTHONPATH=. python benchmarks/reports/swap_coverage.py [HOLD-OUTS]

What swap_coverage.json has already is not done again: delete it to begin anew.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from fedrisk.analysis import swap_sets
from fedrisk.analysis.swap_sets import swaps

POPULATION = 2_000_000
SHARES = (0.5, 0.8, 0.95)
SETTINGS = [
    # Rows, default rate, weight of the signal in the new score (that in the old one is .8).
    (1000, 0.03, 1.1),
    (3000, 0.05, 1.1),
    (3000, 0.05, 0.8),
    (10_000, 0.05, 1.1),
]
COARSE = 20
"""Points that double the odds: scores are whole numbers, as those of a card."""


def draw(rng, n, rate, better):
    """Label and two risks of n enterprises."""
    signal, a, b = rng.standard_normal((3, n))
    old, new = 0.8 * signal + a, better * signal + 0.7 * b + 0.7 * a
    log_odds = np.log(rate / (1 - rate)) - 0.6 + 1.1 * signal
    label = (rng.random(n) < 1 / (1 + np.exp(-log_odds))).astype(float)
    return label, np.rint(COARSE * old), np.rint(COARSE * new)


def covered(seed, n, rate, better, times):
    """Share of intervals that hold the truth, below and above it, by figure and share approved."""
    label, old, new = draw(np.random.default_rng(seed), POPULATION, rate, better)
    places = [swap_sets._place(r) for r in (old, new)]
    truth = swap_sets._compare(label, np.ones(len(label)), places, np.array(SHARES))
    found = {"fewer": [], "fewer_share": [], "more": []}
    defaults = []
    for k in range(times):
        y, o, w = draw(np.random.default_rng([seed, k]), n, rate, better)
        if y.sum() < 2:
            continue
        defaults.append(y.sum())
        for name, rows in found.items():
            rows.append(
                [(getattr(s, name).low, getattr(s, name).high) for s in swaps(y, o, w, SHARES, seed=k)]
            )
    true = {"fewer": (truth[0] - truth[1]) * n / POPULATION, "fewer_share": truth[2], "more": truth[3]}
    out = {
        "rows": n,
        "default_rate": rate,
        "better": better,
        "mean_defaults": float(np.mean(defaults)),
        "hold_outs": times,
    }
    for name, rows in found.items():
        ends = np.array(rows)
        out[name] = {
            "truth": [round(float(v), 4) for v in true[name]],
            "held": [
                round(float(v), 3)
                for v in ((ends[:, :, 0] <= true[name]) & (true[name] <= ends[:, :, 1])).mean(0)
            ],
            "above": [round(float(v), 3) for v in (ends[:, :, 1] < true[name]).mean(0)],
            "below": [round(float(v), 3) for v in (ends[:, :, 0] > true[name]).mean(0)],
        }
    return out


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "times", nargs="?", type=int, default=400, help="draws of each setting, for example 200"
    )
    times = parser.parse_args().times
    file = Path(__file__).with_name("swap_coverage.json")
    results = json.loads(file.read_text())["settings"] if file.exists() else []
    done = [(r["rows"], r["default_rate"], r["better"]) for r in results]
    for seed, setting in enumerate(SETTINGS):
        if setting in done:
            continue
        results.append(covered(seed, *setting, times))
        print(json.dumps(results[-1]), flush=True)
        file.write_text(json.dumps({"level": swap_sets.LEVEL, "settings": results}, indent=1) + "\n")
