"""A small consortium whose study makes an operating health index: histories at two holders, labels alone at a bank."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

HISTORY, MONTHS = 12, 6
"""Months of the histories, and of the longest look back."""

SERIES = {"tax": "invoices", "power": "load"}
SERVING = {
    "approve": "own_parts",
    "consent": "none",
    "per_day": 100_000,
    "per_enterprise": 1000,
    "ages": "always",
    "index_months": 7,
}

COLUMNS: dict[str, list[dict[str, Any]]] = {
    "bank": [{"name": "debt", "kind": "number", "low": 0, "high": 9, "bins": [1, 2]}],
    "tax": [
        {"name": "fall", "history": "invoices", "kind": "fall", "months": 3, "before": 3},
        {"name": "gaps", "history": "invoices", "kind": "gaps", "months": 6},
        {"name": "audited", "kind": "flag"},
    ],
    "power": [
        {"name": "fall", "history": "load", "kind": "fall", "months": 2, "before": 3},
        {"name": "unsteady", "history": "load", "kind": "volatility", "months": 6},
    ],
}


def tables(enterprises: int, seed: int = 1) -> tuple[dict[str, pd.DataFrame], dict[str, pd.DataFrame]]:
    """Tables by institution, and histories by holder: whose sales fall is strained."""
    rng = np.random.default_rng(seed)
    ids = np.array([f"ENT{i:06d}" for i in range(enterprises)], object)
    shock = rng.normal(size=(enterprises, HISTORY)).cumsum(1)
    health = shock - shock.mean(1, keepdims=True)
    found, months = {}, {}
    strained = (health[:, -3:].mean(1) + 0.7 * rng.normal(size=enterprises) < -0.3).astype(int)
    found["alfa"] = pd.DataFrame({"id": ids, "debt": rng.random(enterprises), "bad": strained})
    for name, series in SERIES.items():
        known = rng.permutation(np.flatnonzero(rng.random(enterprises) < 0.9))
        path = np.exp(4 + 0.25 * health + 0.1 * rng.normal(size=health.shape))
        path[rng.random(path.shape) < 0.02] = np.nan
        frame = pd.DataFrame(path, columns=[f"{series}_m{m:02d}" for m in range(1, HISTORY + 1)])
        months[name] = frame.assign(id=ids)[["id", *frame.columns]].iloc[known]
        found[name] = pd.DataFrame({"id": ids[known]})
    found["tax"]["audited"] = (rng.random(len(found["tax"])) < 0.2).astype(float)
    return found, months


def consortium(kit: Any, folder: Path, *, index: str = "all", enterprises: int = 1000, **more: Any) -> Any:
    """The consortium on disk; more: policy.serving of all, and ``themes`` of the study."""
    themes = more.pop("themes", None)
    found, months = tables(enterprises)
    policy: dict[str, Any] = {"serving": {**SERVING, **more}, "score_themes": themes is not None}
    settings = {"index": index} | ({"themes": themes} if themes else {})
    made = kit.build(
        folder,
        ("alfa",),
        ("tax", "power"),
        tables=found,
        columns=COLUMNS,
        policy=policy,
        study={"scorecard": settings},
    )
    for name, frame in months.items():
        frame.to_parquet(folder / f"{name}_months.parquet", index=False)
        one = {"name": SERIES[name], "unit": "u", "low": 0, "high": 10_000, "better": "high"}
        made.content[name]["histories"] = {
            "source": f"{name}_months.parquet",
            "months": HISTORY,
            "series": [one],
        }
        made.write(name)
    return made
