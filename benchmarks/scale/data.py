"""A consortium of any size on disk, for timing only: random columns that share one hidden risk.

Sizes, kinds of columns and overlaps are realistic, the values are not (for those see sim_institutions). The
stores' caches of pseudonyms are filled with SHA-256 of the ids. That is what "pseudonyms cached" means in the
figures: the pseudonyms protect nothing, and the time of the oblivious function is not included.
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

HOLDERS = ("tax_office", "power_utility", "social_insurance", "court", "registry", "bureau", "environment")
# Share of the features that are the banks'.
BANK_SHARE = 0.3
# Share of the customers that a holder knows.
COVERED = 0.95
# Share of the customers with a second, and with a third bank.
SECOND, THIRD = 0.2, 0.05
DEFAULTS = 0.03
KINDS = ("number", "number", "public", "flag", "number", "category")
PUBLIC_EDGES = {"public": (0.5, 1.5, 2.5, 4.5), "public16": tuple(0.25 + 0.3 * k for k in range(15))}
"""Edges of the kinds whose bins the dictionary states."""


@dataclass(frozen=True)
class Size:
    """Size of a consortium.

    enterprises: distinct customers of all banks together. features: those of a bank and of all holders. bank_share: of
    the features, at a bank. kinds: of the columns, in turns.
    """

    enterprises: int
    features: int = 32
    banks: int = 17
    holders: int = 5
    epsilon: float = 1.0
    bank_share: float = BANK_SHARE
    kinds: tuple[str, ...] = KINDS


def build(folder: Path, size: Size, seed: int = 1, *, cached: bool = True) -> tuple[Study, dict[str, Path]]:
    """Write tables, institution files and the study; fill the caches of pseudonyms, unless they are to be made."""
    rng = np.random.default_rng(seed)
    n = size.enterprises
    folder.mkdir(parents=True, exist_ok=True)
    banks = [f"bank_{i:02d}" for i in range(1, size.banks + 1)]
    holders = [HOLDERS[i] if i < len(HOLDERS) else f"holder_{i}" for i in range(size.holders)]
    study = load_study(_study(folder, size, banks, holders))
    people = _Customers(rng, n)
    # As after an alignment: the authority has the epoch's key, and everybody keeps its public one.
    home = NodeStore(folder / "stores" / study.authority)
    key = oprf.public_key(home.authority.key(study.alignment.epoch)) if cached else None
    writer = _Writer(folder, f"{study.authority}@{study.alignment.epoch}@voprf", key, rng, people, size.kinds)
    of_bank = max(1, round(size.bank_share * size.features)) if holders else size.features
    # A few large banks, many small ones.
    pull = 1 / np.arange(1, size.banks + 1) ** 0.7
    at = np.zeros((n, size.banks), bool)
    for share in (1.0, SECOND, THIRD):
        drawn = np.flatnonzero(rng.random(n) < share)
        at[drawn, rng.choice(size.banks, len(drawn), p=pull / pull.sum())] = True
    paths: dict[str, Path] = {}
    for k, name in enumerate(banks):
        rows = rng.permutation(np.flatnonzero(at[:, k]))
        paths[name] = writer.institution(name, rows, of_bank, 0, bank=True)
    for k, name in enumerate(holders):
        columns = len(range(k, size.features - of_bank, len(holders)))
        rows = rng.permutation(np.flatnonzero(rng.random(n) < COVERED))
        paths[name] = writer.institution(name, rows, columns, k, bank=False)
    return study, paths


class _Customers:
    """Ids, pseudonyms, hidden risk and defaults of all customers."""

    def __init__(self, rng: Any, n: int) -> None:
        self.risk = rng.normal(size=n).astype(np.float32)
        self.ids = np.char.add("E", np.char.zfill(rng.permutation(n).astype(str), 9))
        hashed = b"".join(hashlib.sha256(i.encode()).digest() for i in self.ids.tolist())
        self.pseudonyms = np.frombuffer(hashed, np.uint8).reshape(n, 32)
        self.bad = rng.random(n) < 1 / (1 + np.exp(-(np.log(DEFAULTS) - 0.6 + 1.2 * self.risk)))


@dataclass(frozen=True)
class _Writer:
    """Writes what institutions have; key: of the study's pseudonyms; None fills in none."""

    folder: Path
    tag: str
    key: bytes | None
    rng: Any
    people: _Customers
    kinds: tuple[str, ...]

    def institution(self, name: str, rows: Any, columns: int, offset: int, *, bank: bool) -> Path:
        """Write table, institution file and store; ``offset`` shifts the kinds of the columns."""
        people = self.people
        frame = {"id": people.ids[rows]}
        described = []
        for j in range(columns):
            kind = self.kinds[(offset + j) % len(self.kinds)]
            weight = 0.15 + 0.35 * ((7 * j + offset) % 10) / 10
            column, words = _column(self.rng, people.risk[rows], kind, weight)
            frame[f"x{j:03d}"] = column
            described.append({"name": f"x{j:03d}", "meaning": "random", **words})
        dictionary: dict[str, Any] = {"id": "id", "id_scheme": "opaque", "columns": described}
        if bank:
            frame["bad"] = people.bad[rows].astype(np.int8)
            dictionary["label"] = {"column": "bad", "positive": [1], "negative": [0], "horizon": "12 months"}
        pd.DataFrame(frame).to_parquet(self.folder / f"{name}.parquet", index=False)
        store = self.folder / "stores" / name
        content = {
            "name": name,
            "kind": "bank" if bank else "holder",
            "store": str(store),
            "table": {"source": f"{name}.parquet"},
            "policy": {"cap_epsilon": 20.0},
            "dictionary": dictionary,
        }
        path = self.folder / f"{name}.toml"
        path.write_text("".join(f"{key} = {toml(value)}\n" for key, value in content.items()))
        if self.key is not None:
            kept = NodeStore(store).pseudonyms
            kept.keep_key(self.tag, self.key)
            kept.keep(self.tag, people.ids[rows].astype(object), people.pseudonyms[rows])
        return path


def _column(rng: Any, risk: Any, kind: str, weight: float) -> tuple[Any, dict[str, Any]]:
    n = len(risk)
    z = weight * risk + np.sqrt(1 - weight**2) * rng.standard_normal(n, np.float32)
    if kind == "flag":
        return (z > 1.2).astype(np.int8), {"kind": "flag"}
    if kind == "category":
        names = np.array(["A", "B", "C", "D", "E"])
        return names[np.digitize(z, [-1, -0.3, 0.4, 1.1])], {"kind": "category", "categories": names.tolist()}
    if kind in PUBLIC_EDGES:
        made = np.exp(0.8 * z)
        words = {"kind": "number", "low": 0, "high": 60, "bins": list(PUBLIC_EDGES[kind])}
        return (np.floor(made) if kind == "public" else made), words
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
