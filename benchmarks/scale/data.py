"""A consortium of any size on disk, for timing only: random columns that share one hidden risk.

Nothing here resembles a real province (see sim_institutions for that); sizes, kinds of columns and overlaps do.
The stores' caches of pseudonyms are filled with SHA-256 of the ids, which is what "pseudonyms cached" means in the
figures: no protection at all, and no call of the oblivious function is paid for.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fedrisk.clients.store.store import NodeStore
from fedrisk.recipes import load_study
from fedrisk.study import Study

HOLDERS = ("tax_office", "power_utility", "social_insurance", "court", "registry", "bureau", "environment")
BANK_SHARE = 0.3  # of the features
COVERED = 0.95  # share of the customers that a holder knows
SECOND, THIRD = 0.2, 0.05  # customers with a second, and with a third bank
DEFAULTS = 0.03
KINDS = ("number", "number", "public", "flag", "number", "category")


@dataclass(frozen=True)
class Size:
    """enterprises: distinct customers of all banks together. features: over all roles."""

    enterprises: int
    features: int = 32
    banks: int = 17
    holders: int = 5
    epsilon: float = 1.0


def build(folder: Path, size: Size, seed: int = 1) -> tuple[Study, dict[str, Path]]:
    """Write tables, institution files and the study; fill the caches of pseudonyms."""
    rng = np.random.default_rng(seed)
    n = size.enterprises
    folder.mkdir(parents=True, exist_ok=True)
    banks = [f"bank_{i:02d}" for i in range(1, size.banks + 1)]
    holders = [HOLDERS[i] if i < len(HOLDERS) else f"holder_{i}" for i in range(size.holders)]
    study_file = _study(folder, size, banks, holders)
    study = load_study(study_file)
    risk = rng.normal(size=n).astype(np.float32)
    ids = np.char.add("E", np.char.zfill(rng.permutation(n).astype(str), 9))
    hashed = b"".join(hashlib.sha256(i.encode()).digest() for i in ids.tolist())
    pseudonyms = np.frombuffer(hashed, np.uint8).reshape(n, 32)
    bad = rng.random(n) < 1 / (1 + np.exp(-(np.log(DEFAULTS) - 0.6 + 1.2 * risk)))
    paths: dict[str, Path] = {}

    def institution(name: str, rows: Any, columns: int, offset: int, bank: bool) -> None:
        frame = {"id": ids[rows]}
        described = []
        for j in range(columns):
            kind = KINDS[(offset + j) % len(KINDS)]
            column, words = _column(rng, risk[rows], kind, 0.15 + 0.35 * ((7 * j + offset) % 10) / 10)
            frame[f"x{j:03d}"] = column
            described.append({"name": f"x{j:03d}", "meaning": "random", **words})
        dictionary: dict[str, Any] = {"id": "id", "id_scheme": "opaque", "columns": described}
        if bank:
            frame["bad"] = bad[rows].astype(np.int8)
            dictionary["label"] = {"column": "bad", "positive": [1], "negative": [0], "horizon": "12 months"}
        pd.DataFrame(frame).to_parquet(folder / f"{name}.parquet", index=False)
        store = folder / "stores" / name
        content = {
            "name": name,
            "kind": "bank" if bank else "holder",
            "store": str(store),
            "table": {"source": f"{name}.parquet"},
            "policy": {"cap_epsilon": 20.0},
            "dictionary": dictionary,
        }
        paths[name] = folder / f"{name}.toml"
        paths[name].write_text("".join(f"{key} = {toml(value)}\n" for key, value in content.items()))
        tag = f"{study.authority}@{study.alignment.epoch}"
        NodeStore(store).keep_pseudonyms(tag, ids[rows].astype(object), pseudonyms[rows])

    own = max(1, round(BANK_SHARE * size.features)) if holders else size.features
    pull = 1 / np.arange(1, size.banks + 1) ** 0.7  # a few large banks, many small ones
    at = np.zeros((n, size.banks), bool)
    for share in (1.0, SECOND, THIRD):
        drawn = np.flatnonzero(rng.random(n) < share)
        at[drawn, rng.choice(size.banks, len(drawn), p=pull / pull.sum())] = True
    for k, name in enumerate(banks):
        institution(name, rng.permutation(np.flatnonzero(at[:, k])), own, 0, True)
    for k, name in enumerate(holders):
        columns = len(range(k, size.features - own, len(holders)))
        institution(name, rng.permutation(np.flatnonzero(rng.random(n) < COVERED)), columns, k, False)
    return study, paths


def _column(rng: Any, risk: Any, kind: str, weight: float) -> tuple[Any, dict[str, Any]]:
    n = len(risk)
    z = weight * risk + np.sqrt(1 - weight**2) * rng.standard_normal(n, np.float32)
    if kind == "flag":
        return (z > 1.2).astype(np.int8), {"kind": "flag"}
    if kind == "category":
        names = np.array(["A", "B", "C", "D", "E"])
        return names[np.digitize(z, [-1, -0.3, 0.4, 1.1])], {"kind": "category", "categories": names.tolist()}
    if kind == "public":
        return np.floor(np.exp(0.8 * z)), {
            "kind": "number",
            "low": 0,
            "high": 60,
            "bins": [0.5, 1.5, 2.5, 4.5],
        }
    value = np.exp(10 + 1.2 * z).astype(np.float64)
    value[rng.random(n) < 0.05] = np.nan
    return value, {"kind": "number", "low": 0, "high": 1e8, "grid": "log"}


def _study(folder: Path, size: Size, banks: Sequence[str], holders: Sequence[str]) -> Path:
    lines = ['name = "scale"', 'purpose = "credit_scoring"']
    lines += [f"privacy = {{ epsilon = {size.epsilon}, delta = 1e-8 }}"]
    lines += [f"expected = {{ default_rate = {DEFAULTS}, enterprises = {size.enterprises} }}"]
    for role, names in (("bank", banks), ("holder", holders)):
        lines += [f'[[institutions]]\nname = "{name}"\nrole = "{role}"' for name in names]
    file = folder / "study.toml"
    file.write_text("\n".join(lines) + "\n")
    return file


def toml(value: Any) -> str:
    """A value as TOML, tables inline."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(v)}" for key, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)
