"""Are stated variances those of the errors, and are breaks reported at their rate? Simulated counts, seconds a run.

28 columns of 13 bins, 1,000 defaults and 19,000 others, eight studies, three amounts of noise: levels that stand still,
curves that tilt by a walk of .05 a study, and enterprises that are drawn anew for each. Prints one line for each,
writes honesty.json; exits with status 1 if standardised errors are larger than 1.1 or breaks are reported in more than 2 % of the studies.

    OMP_NUM_THREADS=1 python benchmarks/memory/honesty.py [SERIES]
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from fedrisk.data.features import Feature
from fedrisk.models.binning import Bins
from fedrisk.models.knowledge import PastStudy
from fedrisk.models.label_counts import LabelCounts
from fedrisk.models.memory import remember_counts

COLUMNS, SIZE, STUDIES, ONES, ZEROS = 28, 13, 8, 1000, 19_000
EDGES = tuple(float(k) for k in range(1, SIZE - 1))
BINS = tuple(
    Bins(Feature(institution="bank", column=f"c{j}", low=0, high=99, bins=EDGES), edges=EDGES)
    for j in range(COLUMNS)
)
CASES = {"stand still": (0.0, False), "tilt by .05": (0.05, False), "drawn anew": (0.0, True)}
TILT = np.linspace(-1.7, 1.7, SIZE)


def one(seed: int, walk: float, drawn: bool) -> tuple[float, int]:
    """Mean square of the last study's standardised errors, and in how many of the studies something is reported."""
    rng = np.random.default_rng(seed)
    variance = float(rng.choice([100.0, 900.0, 5000.0]))
    slope, even, studies, truth = rng.normal(0, 0.4, COLUMNS), np.full(SIZE, 1 / SIZE), [], []
    for _ in range(STUDIES):
        slope = slope + walk * rng.normal(size=COLUMNS)
        risk = np.exp(slope[:, None] * TILT)
        truth = ONES * risk / risk.sum(1, keepdims=True)
        ones = np.stack([rng.multinomial(ONES, t / ONES) for t in truth]) if drawn else truth
        zeros = rng.multinomial(ZEROS, even, COLUMNS) if drawn else np.tile(ZEROS * even, (COLUMNS, 1))
        n1, n0 = (tuple(a + rng.normal(0, variance**0.5, a.shape)) for a in (ones, zeros))
        studies.append(LabelCounts(n1, n0, np.full(COLUMNS, variance)))
    past = [PastStudy(study="s", digest="", ended="", bins=BINS, counts=c) for c in studies[:-1]]
    found = remember_counts(past, BINS, studies[-1])
    spread = found.counts.variance[:, None] + drawn * truth
    z = (np.stack(found.counts.n1) - truth) / np.sqrt(spread)
    return float((z**2).mean()), len({b.study for b in found.breaks})


def main(series: int) -> int:
    """All cases; returns 0 if the claims hold."""
    holds, kept = True, {}
    for name, (walk, drawn) in CASES.items():
        found = np.array([one(seed, walk, drawn) for seed in range(series)])
        error, share = float(np.sqrt(found[:, 0].mean())), float(found[:, 1].sum() / (STUDIES - 1) / series)
        print(f"{name}: standardised errors {error:.3f}, breaks reported in {100 * share:.2f} % of studies")
        kept[name] = {"standardised_errors": error, "breaks_reported": share}
        holds &= error <= 1.1 and share <= 0.02
    Path(__file__).with_name("honesty.json").write_text(json.dumps(kept, indent=1) + "\n")
    return 0 if holds else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("series", nargs="?", type=int, default=40, help="series of studies, for example 4")
    sys.exit(main(parser.parse_args().series))
