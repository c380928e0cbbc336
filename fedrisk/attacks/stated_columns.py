"""A bank and a tax office whose columns all have stated bins, with enterprises that stand out: ground for inference.

Stated bins leave out the histograms for edges, and five columns are counted at any budget, so that studies differ in
their noise alone. Attacks on the histograms are with the audit of mu.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fedrisk.attacks.consortium import Consortium, build
from fedrisk.attacks.small_province import province

BANK_NAME, HOLDER = "alfa", "tax"

COLUMNS: dict[str, list[dict[str, Any]]] = {
    "bank": [
        {
            "name": "debt",
            "kind": "number",
            "low": 0,
            "high": 1_000_000,
            "bins": [2000, 5000, 9000, 16_000, 40_000],
        },
        {"name": "late", "kind": "number", "low": 0, "high": 12, "bins": [0.5, 1.5, 3.5]},
    ],
    "tax": [
        {
            "name": "sales",
            "kind": "number",
            "low": -5_000_000,
            "high": 5_000_000,
            "bins": [-50_000, 0, 60_000, 160_000, 400_000, 1_000_000],
        },
        {"name": "growth", "kind": "number", "low": -1, "high": 1, "bins": [-0.4, -0.2, 0.0, 0.2, 0.4]},
        {"name": "audited", "kind": "flag"},
    ],
}

CRAFTED = "CRAFTED"
"""How ids of enterprises begin that were made to stand out."""


def with_outliers(tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Tables with four enterprises more at both institutions, whose values are rare and whose label is not expected."""
    ids = [f"{CRAFTED}{k}" for k in range(4)]
    bank = tables[BANK_NAME].iloc[:4].copy()
    bank["id"] = ids
    bank["debt"], bank["late"] = [1e5, 10.0, 1e5, np.nan], [0.0, 0.0, 12.0, 12.0]
    bank["bad"] = [1, 1, 0, 1]
    tax = tables[HOLDER].iloc[:4].copy()
    tax["id"] = ids
    tax["sales"], tax["growth"] = [2e6, 2e6, -2e6, np.nan], [0.9, -0.9, 0.9, 0.9]
    tax["audited"] = [1.0, 0.0, 1.0, 1.0]
    return {BANK_NAME: pd.concat([tables[BANK_NAME], bank]), HOLDER: pd.concat([tables[HOLDER], tax])}


def consortium(
    folder: Path,
    enterprises: int,
    seed: int,
    *,
    policy: Mapping[str, Any] | None = None,
    study: Mapping[str, Any] | None = None,
) -> Consortium:
    """The two with so many enterprises in their province."""
    tables = with_outliers(province(enterprises, seed))
    rules = {"research": True, **(policy or {})}
    return build(
        folder, (BANK_NAME,), (HOLDER,), tables=tables, columns=COLUMNS, policy=rules, study=dict(study or {})
    )
