"""A sample of the province with the truth beside what institutions see of it, joined by place, in memory.

For calibration and tests only: no file that is written for institutions holds what is true here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sim_institutions.institutions import offices
from sim_institutions.profiles import PROFILES, Profile
from sim_institutions.seen import Category, Seen
from sim_institutions.streams import BLOCK, MONTHS, Bools, Floats, Ints, logistic, stream
from sim_institutions.views.banks import LABEL
from sim_institutions.world import World, pilot, world


@dataclass(frozen=True)
class Sample:
    """n enterprises. truth: by name, (n,). columns: by (institution, column), (n,), NaN where not known; the
    banks' as "bank" at the enterprise's first bank. histories: by (institution, series), (n, 18). bank:
    number of the first bank, or -1. label: late there, NaN without a loan."""

    profile: Profile
    truth: dict[str, Floats]
    columns: dict[tuple[str, str], Floats]
    histories: dict[tuple[str, str], Floats]
    bank: Ints
    label: Floats

    def known(self, institution: str) -> Bools:
        """Whom the institution has in its table."""
        return ~np.isnan(self.columns[institution, ""])

    def features(self, institutions: Sequence[str]) -> tuple[Floats, list[str]]:
        """Their dictionaries' columns as a matrix (n, columns), and their names."""
        described = {o.name if o.kind == "holder" else "bank": o for o in offices(self.profile)}
        keys = [(i, c["name"]) for i in institutions for c in described[i].columns]
        return np.stack([self.columns[k] for k in keys], axis=1), [".".join(k) for k in keys]


def sample(profile: str, enterprises: int, seed: int, *, histories: bool = True) -> Sample:
    """So many enterprises; without ``histories`` in less memory."""
    constants = pilot(PROFILES[profile], seed)
    parts = []
    for block in range(-(-enterprises // BLOCK)):
        n = min(BLOCK, enterprises - block * BLOCK)
        w = world(PROFILES[profile], seed, block, n, constants)
        part = _joined(w, constants.intercept)
        parts.append({k: v for k, v in part.items() if histories or k[0] != "history"})
    whole = {key: np.concatenate([p[key] for p in parts]) for key in parts[0]}

    def of(kind: str) -> dict[tuple[str, str], Floats]:
        return {key[1:]: values for key, values in whole.items() if key[0] == kind}

    truth = {name: values for (_, name), values in of("truth").items()}
    bank, label = whole["bank", "", ""], whole["label", "", ""]
    return Sample(PROFILES[profile], truth, of("column"), of("history"), bank.astype(np.int64), label)


def _joined(w: World, intercept: float) -> dict[tuple[str, str, str], Floats]:
    n = len(w.e)
    first = np.where(w.lending.borrower, np.argmax(w.lending.loan, axis=1), -1)
    truth = {
        "individual": w.e.individual,
        "sector": w.e.sector,
        "county": w.e.county,
        "prefecture": w.e.prefecture,
        "vendor": w.e.vendor,
        "cluster": w.e.cluster,
        "visible": w.lending.visible,
        "applied": w.lending.applied,
        "borrower": w.lending.borrower,
        "loans": w.lending.loan.sum(axis=1),
        "course": w.health.course,
        "since": w.health.since,
        "score": -w.health.risk,
        "probability": logistic(w.health.risk + np.float32(intercept)),
        "default": w.default,
    }
    out = {("truth", "", name): np.asarray(values, dtype=np.float32) for name, values in truth.items()}
    label = np.full(n, np.nan, dtype=np.float32)
    for i, office in enumerate(offices(w.profile)):
        seen = office.view(w, stream(w.seed, office.name, w.block))
        name = "bank" if office.kind == "bank" else office.name
        mine = first[seen.rows] == i if office.kind == "bank" else np.ones(len(seen.rows), dtype=bool)
        _place(out, name, seen, mine, n)
        if office.kind == "bank":
            label[seen.rows[mine]] = seen.columns[LABEL][mine]
    return {**out, ("bank", "", ""): first.astype(np.float32), ("label", "", ""): label}


def _place(out: dict[tuple[str, str, str], Floats], name: str, seen: Seen, mine: Bools, n: int) -> None:
    rows = seen.rows[mine]
    for column, values in {**seen.columns, "": np.ones(len(seen.rows), dtype=np.float32)}.items():
        if isinstance(values, Category):
            values = np.where(values.code < 0, np.nan, values.code).astype(np.float32)
        whole = out.setdefault(("column", name, column), np.full(n, np.nan, dtype=np.float32))
        whole[rows] = values[mine]
    for series, path in seen.histories.items():
        whole = out.setdefault(("history", name, series), np.full((n, MONTHS), np.nan, dtype=np.float32))
        whole[rows] = path[mine]
