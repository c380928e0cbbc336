"""A consortium on disk for a joined statistics study, for timing only: random values, realistic sizes and overlaps.

The stores' caches of pseudonyms are filled with SHA-256 of the ids: a consortium that has aligned before. They protect
nothing, and the time of the oblivious function is not included.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fedrisk.alignment import oprf
from fedrisk.clients.store.store import NodeStore
from fedrisk.recipes import load_study
from fedrisk.study import Study

COUNTIES, SECTORS = 100, 12
COVERED = 0.95
SECOND, THIRD = 0.2, 0.05
MEASURES = {
    "bank": ("limit_use", "late_days", "turnover"),
    "tax_office": ("invoice_growth", "filing_gaps", "buyers"),
    "power_utility": ("load_growth", "night_share"),
    "social_insurance": ("staff_growth", "wage_growth"),
    "court": ("claims",),
    "registry": ("age",),
}
"""Twelve indicators, each a mean, by owner; the registry has the cells too."""


@dataclass(frozen=True)
class Size:
    """Size of a consortium: distinct customers of all banks together, and how many banks there are."""

    enterprises: int
    banks: int = 17


def build(folder: Path, size: Size, seed: int = 1) -> tuple[Study, dict[str, Path]]:
    """Write tables, institution files and the study; fill the caches of pseudonyms."""
    rng, n = np.random.default_rng(seed), size.enterprises
    folder.mkdir(parents=True, exist_ok=True)
    banks = [f"bank_{i:02d}" for i in range(1, size.banks + 1)]
    holders = [name for name in MEASURES if name != "bank"]
    study = load_study(_study(folder, banks, holders))
    ids = np.char.add("E", np.char.zfill(rng.permutation(n).astype(str), 9))
    digests = b"".join(hashlib.sha256(i.encode()).digest() for i in ids.tolist())
    pseudonyms = np.frombuffer(digests, np.uint8).reshape(n, 32)
    # A few large banks, many small ones; some enterprises have two or three.
    pull = 1 / np.arange(1, size.banks + 1) ** 0.7
    at = np.zeros((n, size.banks), bool)
    for share in (1.0, SECOND, THIRD):
        drawn = np.flatnonzero(rng.random(n) < share)
        at[drawn, rng.choice(size.banks, len(drawn), p=pull / pull.sum())] = True
    key = NodeStore(folder / "stores" / study.authority).authority.key(study.alignment.epoch)
    paths = {}
    for name in [*banks, *holders]:
        known = at[:, banks.index(name)] if name in banks else rng.random(n) < COVERED
        rows = rng.permutation(np.flatnonzero(known))
        frame, described = _columns(rng, name if name in holders else "bank", len(rows))
        frame = pd.DataFrame({"id": ids[rows], **frame})
        paths[name] = _institution(folder, name, "bank" if name in banks else "holder", frame, described)
        tag = f"{study.authority}@{study.alignment.epoch}@voprf"
        kept = NodeStore(folder / "stores" / name).pseudonyms
        kept.keep_key(tag, oprf.public_key(key))
        kept.keep(tag, ids[rows].astype(object), pseudonyms[rows])
    return study, paths


def _columns(rng: Any, owner: str, n: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    frame: dict[str, Any] = {name: rng.normal(0.5, 0.15, n) for name in MEASURES[owner]}
    described: list[dict[str, Any]] = [
        {"name": name, "meaning": "random", "kind": "number", "low": 0, "high": 1} for name in frame
    ]
    if owner == "registry":
        for name, count in (("county", COUNTIES), ("sector", SECTORS)):
            names = [f"{name}_{i:03d}" for i in range(count)]
            weight = 1 / np.arange(1, count + 1) ** 0.6
            frame[name] = np.array(names)[rng.choice(count, n, p=weight / weight.sum())]
            words = {"name": name, "meaning": "random", "kind": "category", "categories": names}
            described.append({**words, "feature": False})
    return frame, described


def _institution(
    folder: Path, name: str, kind: str, frame: pd.DataFrame, described: list[dict[str, Any]]
) -> Path:
    frame.to_parquet(folder / f"{name}.parquet", index=False)
    content = {
        "name": name,
        "kind": kind,
        "store": str(folder / "stores" / name),
        "table": {"source": f"{name}.parquet"},
        "policy": {
            "purposes": ["regional_statistics"],
            "recipes": ["statistics"],
            "statistics": [c["name"] for c in described],
        },
        "dictionary": {"id": "id", "id_scheme": "opaque", "columns": described},
    }
    path = folder / f"{name}.toml"
    path.write_text("".join(f"{key} = {_toml(value)}\n" for key, value in content.items()))
    return path


def _study(folder: Path, banks: Sequence[str], holders: Sequence[str]) -> Path:
    measures = [
        {"kind": "mean", "column": f"{owner}.{name}"} for owner, names in MEASURES.items() for name in names
    ]
    lines = [
        'name = "indicators"',
        'purpose = "regional_statistics"',
        'recipe = "statistics"',
        "privacy = { epsilon = 1.0, delta = 1e-8 }",
    ]
    for role, names in (("bank", banks), ("holder", holders)):
        lines += [f'[[institutions]]\nname = "{name}"\nrole = "{role}"' for name in names]
    lines += ["[statistics]", 'by = ["registry.county", "registry.sector"]', f"measures = {_toml(measures)}"]
    file = folder / "study.toml"
    file.write_text("\n".join(lines) + "\n")
    return file


def _toml(value: Any) -> str:
    """A value as TOML, tables inline."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(v)}" for key, v in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)
