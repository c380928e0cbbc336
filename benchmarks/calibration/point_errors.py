"""Do points keep within their stated errors, and what do stated directions do? Prints tables, then checks the claims.

Run from the root of the project, with the public data: ``FEDRISK_DATA=... python benchmarks/calibration/point_errors.py``.
For the demo as well, simulate it first (``make study``) and name its study file as an argument. Some minutes on one core.

Coverage: the rows are cut into two random halves with the same bins; each is fitted with noise of its own, and the
difference of their points is compared with twice the root of both squared errors. Directions: the same hold-outs and the
same seeds of the noise with the dictionary's directions and without, paired.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
from emulation import Portfolio, emulate, figures
from portfolios import ROOT, at_epsilon, from_config

EPSILONS = (1.0, 3.0)
HALVES, HOLDOUTS, NOISES = 4, (1, 2, 3), (1, 2)
LEAST, MOST = 0.92, 0.995
"""Bounds of the share of bins within two errors."""


def with_public_bins(data: Portfolio) -> Portfolio:
    """The same with the bins of a fit to all rows, so that two fits have the same: for research."""
    bins = [
        b for b in emulate(at_epsilon(data, float("inf")), holdout=0, noise=0).bins if b.feature.is_column
    ]
    pairs = zip(data.features, bins, strict=True)
    fixed = tuple(replace(f, bins=b.edges) if f.private_edges and b.edges else f for f, b in pairs)
    return replace(data, features=fixed)


def covered(data: Portfolio, seed: int) -> np.ndarray:
    """Whether each number of points of one half is within two errors of the other half's."""
    order = np.random.default_rng(seed).permutation(len(data))
    halves = [data.rows(np.sort(part)) for part in np.array_split(order, 2)]
    a, b = (emulate(h, holdout=seed, noise=2 * seed + k).card for k, h in enumerate(halves))
    apart = np.concatenate([np.subtract(p, q) for p, q in zip(a.points, b.points, strict=True)])
    error = np.concatenate([np.hypot(p, q) for p, q in zip(a.errors or (), b.errors or (), strict=True)])
    return np.abs(apart) <= 2 * error


def without_directions(data: Portfolio) -> Portfolio:
    """The same where no column states a direction."""
    return replace(data, features=tuple(replace(f, direction=None, monotone=None) for f in data.features))


def gains(data: Portfolio) -> np.ndarray:
    """AUC with the stated directions less AUC without, by hold-out and noise."""
    out = []
    for holdout, noise in product(HOLDOUTS, NOISES):
        both = [emulate(d, holdout=holdout, noise=noise) for d in (data, without_directions(data))]
        auc = [figures(data.label[m.held], m.probability[m.held])["auc"] for m in both]
        out.append(auc[0] - auc[1])
    return np.array(out)


def main() -> None:
    """Both tables, then the claims."""
    shares, differences = [], []
    for path in (ROOT / "configs" / "default_credit.toml", *_asked()):
        data = from_config(path)
        fixed = with_public_bins(data)
        for epsilon in EPSILONS:
            inside = np.concatenate([covered(at_epsilon(fixed, epsilon), s) for s in range(HALVES)])
            gain = gains(at_epsilon(data, epsilon))
            error = gain.std(ddof=1) / np.sqrt(len(gain))
            print(
                f"{data.study.name} at epsilon {epsilon:g}: {inside.mean():.3f} within two errors; directions "
                f"{gain.mean():+.4f} ± {error:.4f} AUC"
            )
            shares.append(inside.mean())
            differences.append(gain.mean() + 2 * error)
    if not LEAST <= min(shares) <= max(shares) <= MOST:
        raise SystemExit("stated errors of points are wrong")
    if min(differences) < 0:
        raise SystemExit("stated directions lose accuracy")


def _asked() -> list[Path]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "studies", nargs="*", type=Path, help="further study files, for example demo/study.toml"
    )
    return parser.parse_args().studies


if __name__ == "__main__":
    main()
