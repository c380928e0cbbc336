"""An index by enterprise and month against the latent health: rank correlations with intervals, and bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from province import MONTHS
from scipy.stats import spearmanr

DRAWS = 100
"""Bootstrap draws of an interval."""

OPERATIONS = ("sales", "activity", "staffing")
"""Facets that the members of an index observe; liquidity shows at banks, conduct at courts and the registry."""


def against_truth(folder: Path, told: pd.DataFrame, known: np.ndarray | None = None) -> dict[str, Any]:
    """Rank correlation with the latent health, month by month and pooled, and of changes within an enterprise.

    known: which rows all holders know; ``known_by_all`` is of these alone.
    """
    months = told.shape[1]
    truth = {
        ago: pd.read_parquet(folder / "truth" / f"m{MONTHS - ago:02d}.parquet")
        .set_index("id")
        .reindex(told.index)
        for ago in range(months)
    }
    health = np.stack([truth[k]["health"].to_numpy(float) for k in range(months)], 1)
    there = np.isfinite(health).all(axis=1)
    values, latent = told.to_numpy(float)[there], health[there]
    out: dict[str, Any] = {"enterprises": int(there.sum()), "months": months}
    out["by_month"] = [rank(values[:, k], latent[:, k]) for k in range(months)]
    out["newest"], out["pooled"] = out["by_month"][0], rank(values.ravel(), latent.ravel())
    out["low"], out["high"] = interval(values, latent)
    operations = truth[0][list(OPERATIONS)].mean(axis=1).to_numpy()[there]
    out["operations"] = rank(values[:, 0], operations)
    if known is not None:
        out["known"] = round(float(known[there].mean()), 3)
        out["known_by_all"] = rank(values[known[there], 0], latent[known[there], 0])
        out["operations_known"] = rank(values[known[there], 0], operations[known[there]])
    for span in (3, 12):
        if months > span:
            changes = [
                (values[:, k] - values[:, k + span], latent[:, k] - latent[:, k + span])
                for k in range(months - span)
            ]
            out[f"change_{span}"] = round(float(np.mean([rank(*c) for c in changes])), 4)
    out["entropy"], out["further"] = bits(values)
    return out


def rank(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's rank correlation."""
    return round(float(spearmanr(one, other)[0]), 4)


def interval(values: np.ndarray, latent: np.ndarray) -> tuple[float, float]:
    """95 % of the pooled rank correlation, by bootstrap over enterprises."""
    rng, drawn = np.random.default_rng(1), []
    for _ in range(DRAWS):
        k = rng.integers(0, len(values), len(values))
        drawn.append(spearmanr(values[k].ravel(), latent[k].ravel())[0])
    low, high = np.quantile(drawn, [0.025, 0.975])
    return round(float(low), 4), round(float(high), 4)


def bits(values: np.ndarray) -> tuple[float, float]:
    """Entropy of one month's index in bits, and of one more month by the month after it (Miller-Madow corrected)."""
    now, then = values[:, 0].astype(int), values[:, 1].astype(int)
    alone, both = entropy(now), entropy(1000 * now + then)
    return round(alone, 2), round(both - alone, 2)


def entropy(codes: np.ndarray) -> float:
    """Of a sample of whole numbers, with the correction of Miller (1955)."""
    _, counts = np.unique(codes, return_counts=True)
    p = counts / counts.sum()
    return float(-(p * np.log2(p)).sum() + (len(counts) - 1) / (2 * counts.sum() * np.log(2)))
