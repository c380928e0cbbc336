"""How large a change of a column has to be to be named, as the page says it, and how often it is named.

    python benchmarks/watch/named.py

Loans with six columns, of which one moves by so many standard deviations from one month to the next; half of the
changes go up, half down. The table is in docs/watch.md.
"""

import argparse
import sys

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import norm

from fedrisk.analysis.homogeneity import Histogram
from fedrisk.analysis.watch.drift_alarms import Counted, Drifted, drifted

COLUMNS, EDGES = 6, np.array([-1.2, -0.4, 0.3, 1.0])
BINS = len(EDGES) + 1
STAY, NEW = 0.97, 0.03
"""Correlation of a loan's columns from month to month, and part of the loans that are new."""


def index(size: float) -> float:
    """The true index where all values of a normal column move by so many standard deviations."""
    p, q = (np.diff([0.0, *norm.cdf(EDGES - moved), 1.0]) for moved in (0.0, size))
    return float(((q - p) * np.log(q / p)).sum())


def month(seed: int, loans: int, size: float, *, nameable: bool = False) -> Drifted:
    """The first of six columns, which moves by ``size``."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(loans, COLUMNS))
    before = np.searchsorted(EDGES, x)
    development = np.searchsorted(EDGES, rng.normal(size=(loans, COLUMNS)))
    x = STAY * x + np.sqrt(1 - STAY**2) * rng.normal(size=x.shape)
    new = rng.random(loans) < NEW
    x[new] = rng.normal(size=(int(new.sum()), COLUMNS))
    x[:, 0] += size
    now = np.searchsorted(EDGES, x)
    made = []
    for j in range(COLUMNS):
        both = np.bincount(before[~new, j] * BINS + now[~new, j], minlength=BINS**2).reshape(BINS, BINS)
        made.append(
            Counted(
                name=str(j),
                now=_counts(now[:, j]),
                before=_counts(before[:, j]),
                development=Histogram.of(_counts(development[:, j]), 0.0),
                moves=both.astype(float),
            )
        )
    return drifted(made, nameable=nameable)[0]


def _counts(codes: NDArray[np.intp]) -> NDArray[np.float64]:
    return np.bincount(codes, minlength=BINS).astype(np.float64)


def main() -> int:
    """Print a line for each number of loans and question; the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--loans", type=int, nargs="+", default=[100, 300, 1000, 5000, 20000])
    parser.add_argument("--changes", type=int, default=400, help="planted changes of each size")
    given = parser.parse_args()
    for loans in given.loans:
        calm = [month(seed, loans, 0.0, nameable=True).nameable for seed in range(20)]
        for which in ("development", "month"):
            least = float(np.median([one[which] for one in calm]))
            size = float(brentq(lambda s, least=least: index(s) - least, 0, 5))
            signs = [1 if seed % 2 else -1 for seed in range(given.changes)]
            named = [which in month(1000 + k, loans, size * sign).alarms for k, sign in enumerate(signs)]
            print(
                f"{loans:,} loans, {which}: index {least:.2f}, {size:.2f} deviations, named {np.mean(named):.0%}"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
