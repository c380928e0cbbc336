"""Generated tables of a few banks and data holders, for studies that are attacked or tested."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

BANKS = ("alfa", "beta", "gama")
HOLDERS = ("tax", "power")
SHARE = {"alfa": 0.65, "beta": 0.4, "gama": 0.3, "tax": 0.85, "power": 0.7}

MANY_STUDIES: dict[str, Any] = {"cap_epsilon": 100.0, "scored_versions": 10_000}
"""Rules of an institution that is in as many studies as an attack needs, at the epsilon of `CHEAP`."""

CHEAP: dict[str, Any] = {"privacy": {"epsilon": 2.0}}
"""Of such studies."""

COLUMNS: dict[str, list[dict[str, Any]]] = {
    "bank": [
        {"name": "debt", "kind": "number", "low": 0, "high": 1_000_000, "grid": "log", "bins": 6},
        {"name": "late", "kind": "number", "low": 0, "high": 12, "bins": [0.5, 1.5, 3.5]},
        {"name": "grade", "kind": "category", "categories": ["A", "B", "C"]},
    ],
    "tax": [
        {"name": "sales", "kind": "number", "low": -5_000_000, "high": 5_000_000, "grid": "log", "bins": 7},
        {"name": "growth", "kind": "number", "low": -1, "high": 1, "monotone": "decreasing"},
        {"name": "audited", "kind": "flag"},
    ],
    "power": [
        {"name": "usage", "kind": "number", "low": 0, "high": 1000, "bins": 5},
        {"name": "cuts", "kind": "number", "low": 0, "high": 9, "bins": [0.5, 2.5]},
    ],
}


def province(
    enterprises: int, seed: int = 1, *, names: Sequence[str] | None = None
) -> dict[str, pd.DataFrame]:
    """Every institution's own table: banks overlap, holders know a part, values are missing or out of bounds.

    The same enterprise has other loans, and another label, at each of its banks.
    """
    rng = np.random.default_rng(seed)
    n = enterprises
    ids = np.array(names if names is not None else [f"ENT{i:06d}" for i in rng.permutation(n)], object)
    risk = rng.normal(size=n)

    def gone(values: Any, share: float) -> Any:
        return pd.Series(values).mask(rng.random(n) < share).to_numpy()

    def shadow(weight: float) -> Any:
        return weight * risk + math.sqrt(1 - weight**2) * rng.normal(size=n)

    tables = {}
    for bank in BANKS:
        z = shadow(0.5)
        tables[bank] = {
            "debt": gone(np.exp(9 + 1.2 * z), 0.1),
            "late": np.floor(np.clip(np.exp(0.9 * shadow(0.6) - 0.4), 0, 12)),
            "grade": gone(np.array(["A", "B", "C"])[np.digitize(shadow(0.5), [-0.6, 0.7])], 0.05),
            "bad": (risk + 0.7 * rng.normal(size=n) > 1.1).astype(int),
            "weight": rng.integers(1, 9, n) / 8,
            "day": pd.Timestamp("2023-01-01") + pd.to_timedelta(rng.integers(0, 730, n), "D"),
        }
    tables["tax"] = {
        "sales": gone(np.sign(rng.normal(size=n) + 1.5) * np.exp(12 - shadow(0.5)), 0.06),
        "growth": np.clip(0.1 - 0.3 * shadow(0.6), -0.99, 0.99),
        "audited": (shadow(0.4) > 0.8).astype(float),
        "day": np.full(n, np.datetime64("2022-12-01", "us")),
    }
    tables["power"] = {
        "usage": gone(np.clip(500 - 180 * shadow(0.6), 1, 1003), 0.04),  # a few lie above the bound
        "cuts": rng.poisson(np.exp(0.7 * shadow(0.6))).clip(0, 9).astype(float),
        "day": np.full(n, np.datetime64("2022-12-01", "us")),
    }
    out = {}
    for name, columns in tables.items():
        known = np.flatnonzero(rng.random(n) < SHARE[name])
        known = rng.permutation(known)
        out[name] = pd.DataFrame({"id": ids} | columns).iloc[known].reset_index(drop=True)
    return out
