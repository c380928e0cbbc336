"""What ``fedrisk check`` says of hard cases before anything is run: the gain to be expected, and how often such studies lose."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from fedrisk.api import check
from fedrisk.lab.data_set import load_data_set

SEED = 1


def said(name: str, epsilons: list[float], work: Path) -> dict[str, Any]:
    """By epsilon: bounds of the gain that nine of ten studies keep, its middle, and the share of such studies that lose."""
    prepared = load_data_set(name).prepare(work / name, seed=SEED, cache=work / "provinces")
    found = {}
    for epsilon in epsilons:
        keys = [f"privacy.epsilon={'inf' if math.isinf(epsilon) else epsilon}", f"holdout.seed={SEED}"]
        told = check(
            prepared.study,
            keys,
            institutions=prepared.institutions,
            research_seed=SEED,
        )
        by_code = {f.code: dict(f.values) for f in told.expectations}
        gain = by_code.get("gain_between", {})
        found[f"{epsilon:g}"] = {
            "refused": told.broken,
            "codes": [f.code for f in told.expectations],
            **{k: round(float(gain[k]), 4) for k in ("low", "middle", "high", "lose") if k in gain},
        }
    return found
