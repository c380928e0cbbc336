"""A sample of the province in memory: the truth about each enterprise, and what institutions observe of it.

For calibration and tests only: no file that is written for institutions contains this truth.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sim_institutions.block import Block, generate_block, pilot_constants
from sim_institutions.institutions import offices
from sim_institutions.observations import Category, Observations
from sim_institutions.profiles import PROFILES, Profile
from sim_institutions.random_streams import BLOCK_SIZE, MONTHS, Bools, Floats, Ints, logistic, stream
from sim_institutions.views.banks import LABEL


@dataclass(frozen=True)
class Sample:
    """A sample of n enterprises.

    truth: by name, (n,). columns: by (institution, column), (n,), NaN where not known. Columns of banks are
    under the institution "bank", with the values at the enterprise's first bank. histories: by
    (institution, series), (n, 18). bank: number of the first bank, or -1. label: whether the enterprise is
    late there, NaN without a loan.
    """

    profile: Profile
    truth: dict[str, Floats]
    columns: dict[tuple[str, str], Floats]
    histories: dict[tuple[str, str], Floats]
    bank: Ints
    label: Floats

    def known(self, institution: str) -> Bools:
        """Which enterprises the institution has in its table, (n,)."""
        return ~np.isnan(self.columns[institution, ""])

    def features(self, institutions: Sequence[str]) -> tuple[Floats, list[str]]:
        """The columns of the institutions' dictionaries as a matrix (n, columns), and their names."""
        described = {"bank" if o.kind == "bank" else o.name: o for o in offices(self.profile)}
        keys = [(i, c["name"]) for i in institutions for c in described[i].features]
        return np.stack([self.columns[k] for k in keys], axis=1), [".".join(k) for k in keys]


def sample(profile: str, enterprises: int, seed: int, *, histories: bool = True) -> Sample:
    """A sample of ``enterprises`` enterprises; without ``histories`` it takes less memory."""
    constants = pilot_constants(PROFILES[profile], seed)
    parts = []
    for number in range(-(-enterprises // BLOCK_SIZE)):
        n = min(BLOCK_SIZE, enterprises - number * BLOCK_SIZE)
        block = generate_block(PROFILES[profile], seed, number, n, constants)
        part = _joined(block, constants.intercept)
        parts.append({k: v for k, v in part.items() if histories or k[0] != "history"})
    whole = {key: np.concatenate([p[key] for p in parts]) for key in parts[0]}

    def of(kind: str) -> dict[tuple[str, str], Floats]:
        return {key[1:]: values for key, values in whole.items() if key[0] == kind}

    truth = {name: values for (_, name), values in of("truth").items()}
    bank, label = whole["bank", "", ""], whole["label", "", ""]
    return Sample(PROFILES[profile], truth, of("column"), of("history"), bank.astype(np.int64), label)


def _joined(block: Block, intercept: float) -> dict[tuple[str, str, str], Floats]:
    """Truth, columns and histories of a block, by (kind, institution, name)."""
    n = len(block.enterprises)
    first = np.where(block.lending.borrower, np.argmax(block.lending.loan, axis=1), -1)
    truth = {
        "individual": block.enterprises.individual,
        "sector": block.enterprises.sector,
        "county": block.enterprises.county,
        "prefecture": block.enterprises.prefecture,
        "vendor": block.enterprises.vendor,
        "cluster": block.enterprises.cluster,
        "visible": block.lending.visible,
        "applied": block.lending.applied,
        "borrower": block.lending.borrower,
        "loans": block.lending.loan.sum(axis=1),
        "course": block.health.course,
        "since": block.health.since,
        "score": -block.health.risk,
        "probability": logistic(block.health.risk + np.float32(intercept)),
        "default": block.default,
    }
    out = {("truth", "", name): np.asarray(values, dtype=np.float32) for name, values in truth.items()}
    label = np.full(n, np.nan, dtype=np.float32)
    for i, office in enumerate(offices(block.profile)):
        observed = office.view(block, stream(block.seed, office.name, block.number))
        name = "bank" if office.kind == "bank" else office.name
        chosen = np.ones(len(observed.rows), dtype=bool)
        if office.kind == "bank":
            chosen = first[observed.rows] == i
            label[observed.rows[chosen]] = observed.columns[LABEL][chosen]
        _place(out, name, observed, chosen, n)
    return {**out, ("bank", "", ""): first.astype(np.float32), ("label", "", ""): label}


def _place(
    out: dict[tuple[str, str, str], Floats], name: str, observed: Observations, chosen: Bools, n: int
) -> None:
    """Write the ``chosen`` rows into the block's arrays; the column "" marks which enterprises are known."""
    rows = observed.rows[chosen]
    for column, values in {**observed.columns, "": np.ones(len(observed.rows), dtype=np.float32)}.items():
        if isinstance(values, Category):
            values = np.where(values.code < 0, np.nan, values.code).astype(np.float32)
        whole = out.setdefault(("column", name, column), np.full(n, np.nan, dtype=np.float32))
        whole[rows] = values[chosen]
    for series, path in observed.histories.items():
        whole = out.setdefault(("history", name, series), np.full((n, MONTHS), np.nan, dtype=np.float32))
        whole[rows] = path[chosen]
