"""The portfolios of the benchmarks: real sets (FEDRISK_DATA) and simulated provinces, aligned for `emulation`."""

from __future__ import annotations

import gzip
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from emulation import Portfolio
from numpy.typing import NDArray

from fedrisk.data.features import Feature, features_of
from fedrisk.institution import find_institutions, load_institution
from fedrisk.recipes import load_study
from fedrisk.study import study_from
from fedrisk.study_members import BANK

ROOT = Path(__file__).resolve().parent.parent.parent


def from_config(path: Path, settings: Sequence[str] = ()) -> Portfolio:
    """The portfolio of a study file, with all of its institutions' tables read and aligned."""
    study = load_study(path, list(settings))
    institutions = find_institutions(path, study.members)
    banks = [load_institution(institutions[name]).about(study.label) for name in study.banks]
    tables = [b.read() for b in banks]
    rows = [np.isin(t.label, (0.0, 1.0)) for t in tables]
    ids = np.concatenate([np.asarray(t.ids)[r] for t, r in zip(tables, rows, strict=True)])
    frames = {BANK: pd.concat([t.frame[r] for t, r in zip(tables, rows, strict=True)], ignore_index=True)}
    features = list(features_of(banks[0].dictionary, BANK))
    known = {}
    for name in study.holders:
        holder = load_institution(institutions[name])
        table = holder.read()
        place = pd.Series(np.arange(len(table.ids)), index=np.asarray(table.ids)).reindex(ids)
        known[name] = place.notna().to_numpy()
        frames[name] = table.frame.iloc[place.fillna(0).astype(int)].reset_index(drop=True)
        features += features_of(holder.dictionary, name)
    return Portfolio(
        study=study,
        features=tuple(features),
        frames=frames,
        known=known,
        label=np.concatenate([t.label[r] for t, r in zip(tables, rows, strict=True)]).astype(float),
        bank=np.concatenate([np.full(r.sum(), n) for n, r in zip(study.banks, rows, strict=True)]),
    )


def taiwan() -> Portfolio:
    """Bankruptcies of companies: a bank with the first 30 ratios, two holders with the others; log grids for amounts."""
    path = Path(os.environ["FEDRISK_DATA"]) / "taiwan" / "taiwan_bankruptcy.csv.gz"
    with gzip.open(path) as file:
        table = pd.read_csv(file).select_dtypes("number")
    label = table.pop("Bankrupt?").to_numpy(float)
    table.columns = [c.strip() for c in table.columns]
    table = table.loc[:, table.nunique() > 1]
    roles = [BANK] * 30 + ["registry"] * 32 + ["tax_office"] * (table.shape[1] - 62)
    # Ratios are published scaled to 0 to 1, amounts up to 1e10: bounds follow from that, not from the rows.
    features = tuple(
        Feature(institution=r, column=c, low=0.0, high=1e10, grid="log")
        if table[c].max() > 1
        else Feature(institution=r, column=c, low=0.0, high=1.0)
        for r, c in zip(roles, table.columns, strict=True)
    )
    content = {
        "name": "taiwan",
        "purpose": "credit_scoring",
        "institutions": [
            {"name": "lender", "role": "bank"},
            {"name": "registry", "role": "holder"},
            {"name": "tax_office", "role": "holder"},
        ],
        "alignment": {"inclusion_probability": 1.0},
        "privacy": {"epsilon": 1.0},
        "expected": {"default_rate": 0.032, "enterprises": 6819},
    }
    frames = {
        r: table[[c for c, o in zip(table.columns, roles, strict=True) if o == r]]
        for r in dict.fromkeys(roles)
    }
    return Portfolio(
        study=study_from(content),
        features=features,
        frames=frames,
        known={r: np.ones(len(table), bool) for r in ("registry", "tax_office")},
        label=label,
        bank=np.full(len(table), "lender"),
    )


def thinned(data: Portfolio, defaults: int, seed: int = 0) -> Portfolio:
    """The portfolio with only so many defaults, drawn at random (and all others)."""
    rng = np.random.default_rng(seed)
    ones = np.flatnonzero(data.label == 1)
    keep = np.r_[np.flatnonzero(data.label == 0), rng.permutation(ones)[:defaults]]
    rows = data.rows(np.sort(keep))
    expected = data.study.expected.model_copy(
        update={"default_rate": float(rows.label.mean()), "enterprises": len(rows)}
    )
    return replace(rows, study=data.study.model_copy(update={"expected": expected}))


def half_known(data: Portfolio, share: float = 0.5, seed: int = 0, better: bool = False) -> Portfolio:
    """The same enterprises where each holder knows only some: a random share, or rather those that do not default."""
    rng = np.random.default_rng(seed)
    known = {}
    for name, held in data.known.items():
        draw = rng.random(len(data)) + (0.35 * data.label if better else 0.0)
        known[name] = held & (draw <= np.quantile(draw, share))
    return replace(data, known=known)


def at_epsilon(data: Portfolio, epsilon: float) -> Portfolio:
    """The same with another budget; inf for no noise."""
    privacy = data.study.privacy.model_copy(update={"epsilon": epsilon})
    return replace(data, study=data.study.model_copy(update={"privacy": privacy}))


def of_bank(data: Portfolio, bank: str) -> NDArray[np.int64]:
    """Rows of one bank."""
    return np.flatnonzero(data.bank == bank)


def horizontal(data: Portfolio, bank: NDArray[np.str_] | None = None) -> Portfolio:
    """The same enterprises in a study of banks only, where each bank has all columns of its own customers.

    A column of a holder that does not know an enterprise is missing there. bank: another cut into banks, (n,).
    """
    columns, features = [], []
    for f in data.features:
        known = data.known.get(f.institution, np.ones(len(data), bool))
        values = data.frames[f.institution][f.column]
        name = f.column if f.institution == BANK else f"{f.institution}_{f.column}"
        columns.append(values.where(known, other=None if f.kind == "category" else np.nan).rename(name))
        features.append(replace(f, institution=BANK, column=name))
    bank = data.bank if bank is None else bank
    content = {
        "name": f"{data.study.name}_cut",
        "purpose": data.study.purpose,
        "institutions": [{"name": str(b), "role": "bank"} for b in np.unique(bank)],
        "alignment": {"inclusion_probability": 1.0},
        "privacy": {"epsilon": 1.0},
        "expected": {"default_rate": float(data.study.expected.default_rate), "enterprises": len(data)},
    }
    return Portfolio(
        study=study_from(content),
        features=tuple(features),
        frames={BANK: pd.concat(columns, axis=1)},
        known={},
        label=data.label,
        bank=bank,
    )
