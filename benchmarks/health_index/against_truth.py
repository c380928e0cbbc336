"""An index by enterprise and month against the latent health: rank correlations with intervals, and bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from province import MONTHS
from scipy.stats import spearmanr

DRAWS, MOST_ROWS = 60, 100_000
"""Bootstrap draws of an interval, and most months of enterprises in each; with fewer it is made narrower to match."""

QUARTER = 3
"""Months of which the latent health of a month is the mean; two such means make six months."""

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
    out["newest_interval"], out["interval"] = interval(values[:, :1], latent[:, :1]), interval(values, latent)
    if months > QUARTER:
        six = (latent[:, :-QUARTER] + latent[:, QUARTER:]) / 2
        out["six_months"] = rank(values[:, 0], six[:, 0])
        out["six_months_pooled"] = rank(values[:, :-QUARTER].ravel(), six.ravel())
    operations = truth[0][list(OPERATIONS)].mean(axis=1).to_numpy()[there]
    out["operations"] = rank(values[:, 0], operations)
    if known is not None:
        own = known[there]
        out["known"] = round(float(own.mean()), 3)
        out["known_by_all"] = rank(values[own, 0], latent[own, 0])
        out["known_interval"] = interval(values[own, :1], latent[own, :1])
    for span in (3, 12):
        if months > span:
            pairs = [(k, k + span) for k in range(months - span)]
            moved = [(values[:, a] - values[:, b], latent[:, a] - latent[:, b]) for a, b in pairs]
            index, health_moved = (np.stack([m[i] for m in moved], 1) for i in (0, 1))
            out[f"change_{span}"] = rank(index.ravel(), health_moved.ravel())
            out[f"change_{span}_interval"] = interval(index, health_moved)
    out["entropy"], out["further"] = bits(values)
    return out


def rank(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's rank correlation."""
    return round(float(spearmanr(one, other)[0]), 4)


def interval(values: np.ndarray, latent: np.ndarray) -> tuple[float, float]:
    """95 % of the pooled rank correlation, by bootstrap over enterprises (m out of n where there are many)."""
    rng, drawn = np.random.default_rng(1), []
    n, months = values.shape
    some = min(n, MOST_ROWS // months)
    for _ in range(DRAWS):
        k = rng.integers(0, n, some)
        drawn.append(spearmanr(values[k].ravel(), latent[k].ravel())[0])
    whole = spearmanr(values.ravel(), latent.ravel())[0]
    low, high = whole + (np.quantile(drawn, [0.025, 0.975]) - np.mean(drawn)) * np.sqrt(some / n)
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
