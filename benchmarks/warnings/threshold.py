"""What a threshold of warnings promises, over many drawn hold-outs: its interval, its rate, and what bins cost.

Scores of a population with the outcome and without are generated, skewed towards risk as real ones are, so that the
normal classes from which bins are drawn are wrong. Each draw takes a hold-out and noise at the study's price, finds the
threshold as the product does (`fedrisk.analysis.warning_threshold`, `fedrisk.models.warning_bins`), and holds it
against the whole population and against fresh rows.

    python benchmarks/warnings/threshold.py --draws 1000 --out benchmarks/warnings/threshold.json
"""

import argparse
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.analysis.warning_threshold import warning_point
from fedrisk.models import warning_bins as bins_of
from fedrisk.models.scorecard import Scorecard
from fedrisk.privacy.accounting import mu_for

Floats = NDArray[np.float64]

SIZES, EPSILONS = (600, 3000, 30_000), (1.0, 3.0)
"""Enterprises of the hold-out; the study's epsilon at delta 1e-6."""

STATED, RATE, FRESH = 0.052, 0.08, 20_000
GAPS = {"weak": 1.0, "strong": 2.2}
"""Standard deviations between the means of both classes."""

BINS = {"quantiles, 24": (24, None), "24": (24, 0.75), "40": (40, 0.75), "40, half fine": (40, 0.5)} | {
    "60": (60, 0.75),
    "100": (100, 0.75),
}
"""Bins that are compared: how many, and the share that is fine; None for those of other studies."""

USUAL = "40"


@dataclass(frozen=True)
class Population:
    """Scores of all enterprises, whole points. classes: mean score with the outcome and without, and the spread."""

    bad: Floats
    good: Floats

    def classes(self) -> tuple[float, float, float]:
        """As a card states them, from released numbers."""
        spread = RATE * self.bad.var() + (1 - RATE) * self.good.var()
        return float(self.bad.mean()), float(self.good.mean()), math.sqrt(spread)

    def edges(self, many: int, fine: float | None) -> Floats:
        """Inner edges of the bins, rising in the score."""
        if fine is None:
            return Scorecard.score_bins(self, many)  # type: ignore[arg-type]
        before, bins_of.FINE = bins_of.FINE, fine
        try:
            return bins_of.warning_bins(self, many, STATED)  # type: ignore[arg-type]
        finally:
            bins_of.FINE = before


def population(gap: float, rng: np.random.Generator, n: int = 400_000) -> Population:
    """Standard deviation 40; half of the variance is normal, the rest a gamma distribution towards risk."""

    def scores(n: int, shift: float) -> Floats:
        risk = (rng.gamma(3.0, 1.0, n) - 3) / math.sqrt(3)
        return np.rint(600 + 40 * (0.75 * rng.normal(size=n) - 0.66 * risk - shift))

    return Population(np.sort(scores(n // 4, gap)), np.sort(scores(n, 0.0)))


def noise_of(epsilon: float) -> float:
    """Standard deviation of each count: sensitivity sqrt(2), since holders stand behind the scores."""
    return math.sqrt(2) / mu_for(epsilon, 1e-6)


def run(world: Population, size: int, epsilon: float, bins: str, draws: int, seed: int) -> dict[str, Any]:
    """Figures over the draws of one setting."""
    rng, edges = np.random.default_rng(seed), world.edges(*BINS[bins])
    sigma, k = noise_of(epsilon), len(edges) + 1
    positives = round(RATE * size)
    shares = [np.diff(np.r_[0, np.searchsorted(s, edges) / len(s), 1]) for s in (world.bad, world.good)]
    highest = np.r_[np.inf, np.ceil(edges[::-1]) - 1]
    found = []
    for _ in range(draws):
        n1, n0 = (
            rng.multinomial(n, p)[::-1] + sigma * rng.normal(size=k)
            for n, p in zip((positives, size - positives), shares, strict=True)
        )
        point = warning_point(n1, n0, sigma**2, highest, STATED)
        if point is not None:
            found.append(_held(world, point, rng))
    told = np.array(found, float).reshape(-1, 7)
    oracle = np.searchsorted(world.bad, np.quantile(world.good, STATED)) / len(world.bad)
    return {
        "enterprises": size,
        "epsilon": epsilon,
        "bins": bins,
        "draws": draws,
        "without": 1 - len(told) / draws,
        "false_alarms": float(told[:, 0].mean()),
        "false_alarms_error": float(np.sqrt(((told[:, 0] - STATED) ** 2).mean())),
        "false_alarms_covered": float(told[:, 1].mean()),
        "fresh_covered": float(told[:, 2].mean()),
        "above_stated": float((told[:, 0] > STATED).mean()),
        "interval": float(told[:, 3].mean()),
        "recall": float(told[:, 4].mean()),
        "recall_covered": float(told[:, 5].mean()),
        "recall_interval": float(told[:, 6].mean()),
        "recall_at_best": float(oracle),
    }


def _held(world: Population, point: Any, rng: np.random.Generator) -> tuple[float, ...]:
    """True rates at a threshold, whether intervals hold them, and with their own draw the rate of fresh rows."""
    alarms, recall = (np.searchsorted(s, point.score, side="right") / len(s) for s in (world.good, world.bad))
    fresh = rng.binomial(FRESH, alarms) / FRESH
    f, r = point.false_alarms, point.recall
    # Fresh rows are drawn as well: by as much a rate of theirs may lie beyond an interval of the true one.
    drawn = 1.96 * math.sqrt(max(f.value * (1 - f.value), 1e-9) / FRESH)
    return (
        float(alarms),
        f.low <= alarms <= f.high,
        f.value - math.hypot(f.value - f.low, drawn)
        <= fresh
        <= f.value + math.hypot(f.high - f.value, drawn),
        f.high - f.low,
        float(recall),
        r.low <= recall <= r.high,
        r.high - r.low,
    )


def main() -> None:
    """All settings, and bins against each other in the strong world."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    out: dict[str, Any] = {"stated": STATED, "draws": given.draws, "settings": {}, "bins": {}}
    for world, gap in GAPS.items():
        people = population(gap, np.random.default_rng(1))
        for size in SIZES:
            for epsilon in EPSILONS:
                name = f"{world}, {size} enterprises, epsilon {epsilon:g}"
                out["settings"][name] = run(people, size, epsilon, USUAL, given.draws, 7)
                if world == "strong":
                    for bins in BINS:
                        found = run(people, size, epsilon, bins, given.draws, 11)
                        out["bins"][f"{bins}: {size} enterprises, epsilon {epsilon:g}"] = found
    given.out.write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
