"""Writes a simulated consortium: tables, institution files and a study, ready to run.

The same size and seed give the same bytes, for one version of pyarrow.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from sim_institutions.enterprises import CUSTOMER_SHARE, DEFAULT_RATE, draw
from sim_institutions.views import VIEWS, View, table


def write(enterprises: int, seed: int, out: Path) -> dict[str, int]:
    """Everything into ``out``; returns the number of rows of each institution."""
    everyone = draw(enterprises, seed)
    rows = {}
    for view in VIEWS:
        data = table(view, everyone, seed)
        path = out / "data" / f"{view.name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(data, path, compression="zstd")
        file = out / "institutions" / f"{view.name}.toml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(institution(view), encoding="utf-8")
        rows[view.name] = data.num_rows
    (out / "study.toml").write_text(study(enterprises), encoding="utf-8")
    return rows


def institution(view: View) -> str:
    """The institution file: table, policy and dictionary. Simulated data, so research runs are allowed."""
    # A bank takes points; a holder that stands alone behind a sum lets out bands only. With two holders
    # or more the bank sees the masked sum of their points.
    scores = "points" if view.kind == "bank" else "bands"
    parts = [
        f"# Simulated: {view.title}.",
        _pairs({"name": view.name, "kind": view.kind}),
        "[table]\n" + _pairs({"source": f"../data/{view.name}.parquet"}),
        "[policy]\n" + _pairs({"research": True, "purposes": ["credit_scoring"], "scores": scores}),
        "[dictionary]\n" + _pairs({"id": "uscc", "id_scheme": "uscc"}),
        *("[[dictionary.columns]]\n" + _pairs(column) for column in view.columns),
    ]
    if view.label:
        parts.append("[dictionary.label]\n" + _pairs(view.label))
    return "\n".join(parts)


def study(enterprises: int) -> str:
    """The study of all three institutions, a scorecard at epsilon 1."""
    members = [{"name": v.name, "role": v.kind} for v in VIEWS]
    expected = {"default_rate": DEFAULT_RATE, "enterprises": round(enterprises * CUSTOMER_SHARE)}
    parts = [
        "# A simulated study: labels of the bank, features of all three. [expected] are planning figures.",
        _pairs({"name": "demo", "purpose": "credit_scoring", "recipe": "scorecard"}),
        *("[[institutions]]\n" + _pairs(member) for member in members),
        "[alignment]\n" + _pairs({"authority": "tax_office", "epoch": "2026"}),
        "[privacy]\n" + _pairs({"epsilon": 1.0, "delta": 1e-6 if enterprises <= 100_000 else 1e-7}),
        "[holdout]\n" + _pairs({"percent": 30}),
        "[expected]\n" + _pairs(expected),
    ]
    return "\n".join(parts)


def _pairs(values: Mapping[str, Any]) -> str:
    # JSON spells text, numbers, truth values and lists as TOML does.
    return "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in values.items())
