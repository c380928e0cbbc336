"""What columns computed from monthly histories add to a card for default, on simulated provinces.

For each province (profile demo, 140,000 enterprises) the scorecard's estimator is fitted on pooled arrays with the noise of
the protocol at epsilon 3, and without noise, on 70 % of the borrowers; AUC is measured on the others. Compared are the
columns of the institutions' dictionaries, and these with the history columns of COLUMNS at the three holders, by their
default bins and by equally filled bins. COLUMNS and the default bins were chosen on province 11, which is none of these.

Prints a table and writes accuracy.json next to this file. Exits with status 1 if the claim does not hold: at epsilon 3
history columns add more than two standard errors over the provinces.

    OMP_NUM_THREADS=1 PYTHONPATH=. python benchmarks/histories/accuracy.py [province ...]
"""

import argparse
import json
import sys
import warnings
from pathlib import Path

import numpy as np

from benchmarks.encoders.run import EPSILON, NOISE, scorecard
from fedrisk.data.history_kinds import HistoryRule
from fedrisk.models.history_columns import compute
from sim_institutions.sample import Sample, sample

PROVINCES = (301, 302, 303, 304, 305, 306)
ENTERPRISES = 140_000
SERIES = {
    "tax_office": ("invoices", "invoice_amount"),
    "power_utility": ("load",),
    "social_insurance": ("headcount",),
}
COLUMNS = {
    "invoices": ("fall", "trend", "worst", "bunching", "unmade_gaps"),
    "invoice_amount": ("fall",),
    "load": ("fall", "lasting_fall", "volatility"),
    "headcount": ("fall", "lasting_fall", "unmade_gaps"),
}
ENDS = 12 * 2025 + 5
"""The last month is a June: histories begin in a January."""

Columns = list[tuple[str, str, np.ndarray]]


def history_columns(province: Sample, rows: np.ndarray) -> tuple[Columns, dict[str, tuple[float, ...]]]:
    """The columns of COLUMNS for some enterprises, and their public edges."""
    out, edges = [], {}
    for holder, names in SERIES.items():
        for series in names:
            paths = province.histories[holder, series][rows].astype(np.float64)
            for kind in COLUMNS[series]:
                rule = HistoryRule(series=series, kind=kind, over=18, low=0, high=1e9)
                name = f"{series}_{kind}"
                out.append((holder, name, compute(rule, paths, ends=ENDS)))
                edges[name] = rule.of.bins
    return out, edges


def figures(seed: int) -> list[dict]:
    """AUC of all sets in one province, at epsilon 3 and without noise."""
    province = sample("demo", ENTERPRISES, seed)
    rows = np.flatnonzero(province.bank >= 0)
    x, names = province.features(["bank", *SERIES])
    base = [(n.split(".")[0], n, x[rows, k].astype(np.float64)) for k, n in enumerate(names)]
    more, edges = history_columns(province, rows)
    y, training = province.label[rows].astype(int), np.random.default_rng(seed).random(len(rows)) < 0.7
    sets = {"dictionary": (base, {}), "histories": (base + more, edges), "equal_bins": (base + more, {})}
    out = []
    for epsilon, seeds in ((EPSILON, NOISE), (np.inf, (0,))):
        row = {"province": seed, "epsilon": epsilon if np.isfinite(epsilon) else "none"}
        for name, (columns, public) in sets.items():
            found = [scorecard(columns, y, training, epsilon, s, public) for s in seeds]
            row[name] = float(np.mean(found))
        print({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}, flush=True)
        out.append(row)
    return out


def summary(rows: list[dict]) -> dict:
    """Means over provinces, and paired differences with their standard errors."""
    out = {}
    for epsilon in dict.fromkeys(str(r["epsilon"]) for r in rows):
        part = [r for r in rows if str(r["epsilon"]) == epsilon]
        found = {
            name: float(np.mean([r[name] for r in part]))
            for name in ("dictionary", "histories", "equal_bins")
        }
        for name, one, other in (
            ("added", "histories", "dictionary"),
            ("default_bins_over_equal", "histories", "equal_bins"),
        ):
            gain = np.array([r[one] - r[other] for r in part])
            found[name] = {"mean": float(gain.mean()), "error": float(gain.std(ddof=1) / np.sqrt(len(gain)))}
        out[epsilon] = found
    return out


def main(provinces: list[int]) -> int:
    """All provinces; returns 0 if the claim holds."""
    warnings.simplefilter("ignore", RuntimeWarning)
    rows = [row for seed in provinces for row in figures(seed)]
    found = summary(rows)
    gain = found[str(EPSILON)]["added"]
    holds = gain["mean"] > 2 * gain["error"]
    (Path(__file__).parent / "accuracy.json").write_text(
        json.dumps({"summary": found, "claim_holds": bool(holds), "runs": rows}, indent=1) + "\n"
    )
    print(json.dumps(found, indent=1))
    return 0 if holds else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("provinces", nargs="*", type=int, help="their seeds, for example 201; default: all")
    sys.exit(main(parser.parse_args().provinces or list(PROVINCES)))
