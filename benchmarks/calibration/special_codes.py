"""What special codes gain: the same rows with codes in bins of their own, merged as missing, and read as numbers.

Codes are planted as a bureau writes them ("no record", "no usable trade", "condition not met") in six columns of the
simulated province's demo, over 12 % of the rows of each: with relative risks of 2, 1 and 1/2 where they say something,
and of 1 each where they say nothing, which shows what bins that are not needed cost. Beside them 3 % of plain gaps.

Run: python benchmarks/calibration/special_codes.py demo/study.toml
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from emulation import Portfolio, emulate, figures
from numpy.typing import NDArray
from portfolios import at_epsilon, from_config
from scipy.stats import t as student

from fedrisk.data.features import Feature

CODES = (("-9", "no record"), ("-8", "no usable trade"), ("-7", "condition not met"))
SHARE, GAPS = 0.12, 0.03
HOLDOUTS, NOISES = range(1, 6), range(1, 4)


def planted(data: Portfolio, columns: Sequence[str], risks: Sequence[float], way: str) -> Portfolio:
    """The portfolio with codes in these columns; the way they are declared: apart, merged or numbers."""
    rng = np.random.default_rng(5)
    frames = {role: frame.copy() for role, frame in data.frames.items()}
    values = np.array([float(code) for code, _ in CODES])
    for f in data.features:
        if f.name not in columns:
            continue
        x = frames[f.institution][f.column].to_numpy(float, copy=True)
        x[rng.random(len(x)) < GAPS] = np.nan
        place = _places(data.label, np.asarray(risks), rng)
        coded = place < len(values)
        x[coded] = np.nan if way == "merged" else values[place[coded]]
        frames[f.institution][f.column] = x
    return replace(
        data,
        frames=frames,
        features=tuple(_declared(f, way) if f.name in columns else f for f in data.features),
    )


def _places(
    label: NDArray[np.float64], risks: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Which code each row has, by its label; as many as there are codes for none."""
    rate = label.mean()
    ones, zeros = SHARE / len(risks) * risks, SHARE / len(risks) * (1 - risks * rate) / (1 - rate)
    chance = np.where(label[:, None] == 1, ones, zeros).cumsum(axis=1)
    return np.asarray((rng.random(len(label))[:, None] > chance).sum(axis=1))


def _declared(f: Feature, way: str) -> Feature:
    if way == "apart":
        return replace(f, special=CODES, missing=True)
    low = min(float(f.low or 0.0), -9.0) if way == "numbers" else f.low
    return replace(f, low=low, missing=True)


def compare(data: Portfolio, columns: Sequence[str], risks: Sequence[float], epsilon: float) -> None:
    """Print AUC and log loss of each way, and the difference from merged with its 95 % interval over hold-outs."""
    found = {}
    for way in ("merged", "apart", "numbers"):
        portfolio = at_epsilon(planted(data, columns, risks, way), epsilon)
        runs = []
        for holdout in HOLDOUTS:
            noises = NOISES if np.isfinite(epsilon) else [1]
            studies = [emulate(portfolio, holdout=holdout, noise=100 * holdout + k) for k in noises]
            scores = [figures(data.label[m.held], m.probability[m.held]) for m in studies]
            runs.append([np.mean([s[key] for s in scores]) for key in ("auc", "log_loss")])
        found[way] = np.array(runs)
        gain = found[way] - found["merged"]
        half = student.ppf(0.975, len(gain) - 1) * gain.std(axis=0, ddof=1) / np.sqrt(len(gain))
        mean, level = gain.mean(axis=0), found[way].mean(axis=0)
        print(
            f"risks {list(risks)} epsilon {epsilon} {way:8}: auc {level[0]:.4f} ({mean[0]:+.4f} +- {half[0]:.4f}), "
            f"log loss {level[1]:.4f} ({mean[1]:+.4f} +- {half[1]:.4f})",
            flush=True,
        )


def main() -> None:
    """All comparisons on one study file."""
    warnings.filterwarnings("ignore")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", type=Path, help="its file, for example demo/study.toml")
    data = from_config(parser.parse_args().study)
    ranged = [f.name for f in data.features if f.kind == "number" and f.low is not None and f.low >= 0]
    own = [name for name in ranged if name.startswith("bank.")][:2]
    columns = own + [name for name in ranged if not name.startswith("bank.")][:4]
    for risks in ((2.0, 1.0, 0.5), (1.0, 1.0, 1.0)):
        for epsilon in (1.0, 3.0):
            compare(data, columns, risks, epsilon)


if __name__ == "__main__":
    main()
