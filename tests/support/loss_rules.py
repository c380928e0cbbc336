"""Rules of loss sharing at random, with losses to share."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.analysis.loss_rules import LossRules


def random_case(rng: np.random.Generator) -> tuple[LossRules, list[int], NDArray[Any], NDArray[Any]]:
    """(rules, rules of each segment, losses (2, segments), exposures (segments,)), in fen, up to a trillion yuan."""
    count = int(rng.integers(1, 8))
    names = [f"p{k}" for k in range(count)]
    parties: list[dict[str, Any]] = [{"name": n} for n in names]
    for party in parties[1:]:
        if rng.random() < 0.3:
            party["cap"] = float(rng.integers(0, 10**12)) / 100
        elif rng.random() < 0.2:
            party["cap_rate"] = float(rng.integers(0, 1000)) / 10_000
    segments = [_segment(rng, names, k) for k in range(int(rng.integers(1, 4)))]
    for number, segment in enumerate(segments[:-1]):
        segment["where"] = {"sector": [f"s{number}"]}
    plain: dict[str, Any] = {"name": "random", "rest": "p0", "parties": parties, "segments": segments}
    plain["order"] = rng.permutation(["stop", "caps", "pool"]).tolist()
    if rng.random() < 0.5:
        plain["stop"] = {
            "rate": float(rng.integers(1, 2000)) / 10_000,
            "ends": str(rng.choice(["compensation", "business"])),
            "per": str(rng.choice(["all", "segment"])),
        }
    if rng.random() < 0.5 and count > 1:
        pays = rng.choice(names[1:], size=int(rng.integers(1, count)), replace=False).tolist()
        plain["pool"] = {"size": float(rng.integers(0, 10**12)) / 100, "pays": pays}
        if rng.random() < 0.6:
            plain["pool"]["beyond"] = "p0"
    which = rng.integers(0, len(segments), size=int(rng.integers(1, 6))).tolist()
    exposures = np.array([int(10 ** rng.uniform(0, 14)) for _ in which], object)
    losses = np.array([[int(e * rng.random() ** 4) for e in exposures] for _ in range(2)], object)
    return LossRules.model_validate(plain), which, losses, exposures


def _segment(rng: np.random.Generator, names: list[str], number: int) -> dict[str, Any]:
    ends = sorted(set((rng.integers(1, 9000, size=int(rng.integers(0, 4))) / 10_000).tolist()))
    layers: list[dict[str, Any]] = [{"up_to": end, "shares": _shares(rng, names)} for end in ends]
    return {"name": f"segment{number}", "layers": [*layers, {"shares": _shares(rng, names)}]}


def _shares(rng: np.random.Generator, names: list[str]) -> dict[str, float]:
    cuts = np.sort(rng.integers(0, 10_001, size=len(names) - 1))
    widths = np.diff(np.concatenate(([0], cuts, [10_000])))
    return {name: int(width) / 10_000 for name, width in zip(names, widths, strict=True)}
