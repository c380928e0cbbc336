"""Encoder columns against hand-made columns, on simulated institutions with 18 monthly histories.

For each simulated province (profile demo, 140,000 enterprises) a sequence encoder is trained at each of three
holders by 25 noisy full-batch steps, at epsilon 3 and, for comparison, without noise. Then the scorecard's
estimator is fitted on pooled arrays, with the protocol's noise at epsilon 3 and without noise, on 70 % of the
borrowers; AUC is measured on the others. Four sets of columns are compared: those of the institutions'
dictionaries, and these together with hand-made columns (trend, volatility, seasonality, gaps, last three
months against earlier ones), with encoder columns, or with both.

Prints a table and writes results.json next to this file. Exits with status 1 if the claim does not hold: at
epsilon 3, encoder columns in place of hand-made ones gain more than two standard errors.

    OMP_NUM_THREADS=1 python benchmarks/encoders/run.py [province ...]
"""

import argparse
import json
import sys
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd
import torch

from fedrisk.alignment.ids import normalise
from fedrisk.data.features import Feature
from fedrisk.institution import load_institution
from fedrisk.metrics import auc
from fedrisk.models import encoder as en
from fedrisk.models.binning import Bins
from fedrisk.models.curves import fit_curves, radii, shape_bases
from fedrisk.models.estimator import posterior_weights
from fedrisk.models.histories import OUTPUT_EDGES, EncoderRule, scaled
from fedrisk.models.label_counts import LabelCounts
from fedrisk.models.series import Series
from fedrisk.privacy.accounting import mu_for
from fedrisk.recipes import load_study
from fedrisk.recipes.scorecard.plan import SHARES
from sim_institutions.files import write

PROVINCES = (101, 102, 103, 104, 105, 106)
ENTERPRISES = 140_000
# Enterprises that an encoder is trained on; offices have five to six times as many.
OFFICE_ROWS = 20_000
NOISE = (1, 2)
EPSILON, DELTA = 3.0, 1e-6
SERIES = {
    "tax_office": {"invoices": 3e3, "invoice_amount": 1e8},
    "power_utility": {"load": 1e6},
    "social_insurance": {"headcount": 1e3},
}
BINS = 16


def rule_of(holder: str) -> EncoderRule:
    """The encoder of a holder, as its institution file would state it."""
    return EncoderRule(
        name="history",
        histories={"source": "histories.parquet"},
        series=tuple(Series(name=s, low=0, high=high) for s, high in SERIES[holder].items()),
    )


def train(holder: str, histories: np.ndarray, mu: float, seed: int) -> np.ndarray:
    """Weights after STEPS full-batch steps of Adam over noisy sums, which together are mu-Gaussian-DP."""
    design = en.EncoderDesign.of(rule_of(holder))
    rng = np.random.default_rng(seed)
    trainee = en.EncoderTrainee(design, histories[rng.permutation(len(histories))[:OFFICE_ROWS]])
    sigma = 0.0 if np.isinf(mu) else en.CLIP * np.sqrt(en.STEPS) / mu
    w = en.initial_weights(design, 0).astype(float)
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t in range(1, en.STEPS + 1):
        total = trainee.clipped_sum(w, en.CLIP, 24) / 2**24 + sigma * rng.normal(size=w.shape)
        g = total / trainee.rows
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g * g
        w -= en.LEARNING_RATE * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.99**t)) + 1e-3)
    return w


def hand_made(holder: str, histories: np.ndarray) -> list[tuple[str, str, np.ndarray]]:
    """For each series trend, volatility, seasonality, last three months against earlier ones; and gaps."""
    known = ~np.isnan(histories)
    out = [(holder, "gaps", (~known[:, :, 0]).sum(1).astype(float))]
    months = np.arange(histories.shape[1], dtype=float)
    for s, name in enumerate(SERIES[holder]):
        x, ok = histories[:, :, s], known[:, :, s]
        t = np.where(ok, months, np.nan)
        t = t - np.nanmean(t, 1, keepdims=True)
        out += [
            (
                holder,
                f"{name}_trend",
                np.nansum(t * (x - np.nanmean(x, 1, keepdims=True)), 1) / np.nansum(t**2, 1),
            ),
            (holder, f"{name}_volatility", np.nanstd(np.diff(x, axis=1), axis=1)),
            (holder, f"{name}_seasonality", np.nanmax(x[:, -12:], 1) - np.nanmin(x[:, -12:], 1)),
            (holder, f"{name}_last3", np.nanmean(x[:, -3:], 1) - np.nanmean(x[:, :-3], 1)),
        ]
    absent = ~known.any(axis=(1, 2))
    return [(h, n, np.where(absent | ~np.isfinite(x), np.nan, x)) for h, n, x in out]


def bins_of(owner: str, name: str, x: np.ndarray, public: Mapping[str, tuple[float, ...]]) -> Bins:
    """Equally filled bins, or the public bins of an encoder column or of one that has ``public`` edges."""
    if name.startswith("history_"):
        edges = OUTPUT_EDGES
    elif name in public:
        edges = public[name]
    else:
        edges = np.unique(np.nanquantile(x, np.arange(1, BINS) / BINS))
        edges = tuple(float(e) for e in edges[edges > np.nanmin(x)]) or (float(np.nanmin(x)) + 0.5,)
    return Bins(Feature(institution=owner, column=name, low=-1e12, high=1e12, bins=edges), edges=edges)


def scorecard(
    columns: list,
    y: np.ndarray,
    train: np.ndarray,
    epsilon: float,
    seed: int,
    public: Mapping[str, tuple[float, ...]] = MappingProxyType({}),
) -> float:
    """AUC of the estimator on the hold-out, with the noise of a bank and of a holder on every sum.

    public: edges of columns that state them, by the columns' names; the others have equally filled bins.
    """
    rng = np.random.default_rng(seed)
    mu = np.inf if np.isinf(epsilon) else mu_for(epsilon, DELTA)
    bins = [bins_of(o, n, x[train], public) for o, n, x in columns]
    codes = [b.codes(x) for b, (_, _, x) in zip(bins, columns, strict=True)]
    sd = np.sqrt(2 * len(columns)) / (mu * np.sqrt(SHARES["counts"]))

    def counts(label: np.ndarray) -> tuple:
        return tuple(
            np.bincount(c[train], label[train], b.size) + sd * rng.normal(size=b.size)
            for b, c in zip(bins, codes, strict=True)
        )

    released = LabelCounts(counts(y), counts(1 - y), np.full(len(columns), sd**2))
    curves = fit_curves(released, bins)
    bases = shape_bases(curves)
    owners = [o for o, _, _ in columns]
    limits = radii(bases, curves, owners)
    psi = np.concatenate([b[c[train]] for b, c in zip(bases, codes, strict=True)], axis=1)
    of_column = np.repeat(owners, [b.shape[1] for b in bases])
    for owner, radius in limits.items():
        part = of_column == owner
        norm = np.linalg.norm(psi[:, part], axis=1, keepdims=True)
        psi[:, part] *= np.minimum(1, radius / np.maximum(norm, 1e-12))
    gram = psi.T @ psi
    noise_sd = np.sqrt(2) * sum(r * r for r in limits.values()) / np.sqrt(2) / (mu * np.sqrt(SHARES["gram"]))
    noise = np.triu(rng.normal(size=gram.shape), 1) * noise_sd
    sums = bases, released, curves, gram + noise + noise.T, np.full(gram.shape, noise_sd**2)
    fit = posterior_weights(*sums).contributions
    return auc(y[~train], sum(f[c[~train]] for f, c in zip(fit, codes, strict=True)))


@dataclass(frozen=True)
class Offices:
    """One simulated province, as its institutions hold it.

    index: ids of the banks' borrowers. y: their labels. training: which of them to train on. base: their
    dictionary columns as (institution, name, values). histories: by holder, ids and months of all enterprises
    that it knows.
    """

    index: pd.Index
    y: np.ndarray
    training: np.ndarray
    base: list[tuple[str, str, np.ndarray]]
    histories: dict[str, tuple[pd.Index, np.ndarray]]


def simulated(seed: int) -> Offices:
    """Simulate a province and read its files."""
    with tempfile.TemporaryDirectory() as folder:
        write(ENTERPRISES, seed, Path(folder), profile="demo")
        study = load_study(Path(folder) / "study.toml")
        tables = {
            n: load_institution(Path(folder) / "institutions" / f"{n}.toml").read() for n in study.members
        }
        files = {}
        for h in SERIES:
            raw = pd.read_parquet(Path(folder) / "histories" / f"{h}.parquet")
            ids, refused = normalise(raw["uscc"].to_numpy(object), "uscc")
            kept = ~np.asarray(refused, bool)
            files[h] = (pd.Index(ids[kept]), scaled(rule_of(h), raw[kept]))
    frames = {n: t.frame.apply(as_number).set_axis(t.ids) for n, t in tables.items()}
    banks = pd.concat([frames[b] for b in study.banks])
    y = np.concatenate([tables[b].label for b in study.banks])
    once = ~banks.index.duplicated()
    banks, y = banks[once], y[once].astype(int)
    training = np.random.default_rng(seed).random(len(y)) < 0.7
    base = [("bank", c, banks[c].to_numpy(float)) for c in banks]
    for h in SERIES:
        joined = frames[h].reindex(banks.index)
        base += [(h, c, joined[c].to_numpy(float)) for c in joined]
    return Offices(banks.index, y, training, base, files)


def columns_of(offices: Offices, seed: int) -> dict[str, list[tuple[str, str, np.ndarray]]]:
    """The sets of columns that are compared, by name."""
    base, hand, encoded = offices.base, [], {"private": [], "none": []}
    for h in SERIES:
        ids, every = offices.histories[h]
        at = ids.get_indexer(offices.index)
        of_borrowers = np.where((at >= 0)[:, None, None], every[at], np.float32(np.nan))
        hand += hand_made(h, of_borrowers)
        design = en.EncoderDesign.of(rule_of(h))
        for privacy, mu in (("private", mu_for(EPSILON, DELTA)), ("none", np.inf)):
            out = en.encode(design, train(h, every, mu, seed), of_borrowers)
            encoded[privacy] += [(h, f"history_{k}", out[:, k]) for k in range(design.outputs)]
    return {
        "dictionary": base,
        "hand": base + hand,
        "encoder": base + encoded["private"],
        "both": base + hand + encoded["private"],
        "encoder_no_privacy": base + encoded["none"],
        "both_no_privacy": base + hand + encoded["none"],
    }


def province(seed: int) -> list[dict]:
    """All figures of one simulated province."""
    offices = simulated(seed)
    sets = columns_of(offices, seed)
    rows = []
    for epsilon, seeds in ((EPSILON, NOISE), (np.inf, (0,))):
        row = {"province": seed, "epsilon": epsilon if np.isfinite(epsilon) else "none"}
        row |= {
            name: float(np.mean([scorecard(c, offices.y, offices.training, epsilon, s) for s in seeds]))
            for name, c in sets.items()
        }
        print({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}, flush=True)
        rows.append(row)
    return rows


def as_number(column: pd.Series) -> pd.Series:
    """The column as numbers; a category becomes the place of its value in alphabetical order."""
    if pd.api.types.is_numeric_dtype(column):
        return column
    codes, _ = pd.factorize(column, sort=True)
    return pd.Series(np.where(codes < 0, np.nan, codes), index=column.index)


def main(provinces: list[int]) -> int:
    """All provinces; returns 0 if encoder columns beat hand-made ones by more than two standard errors."""
    warnings.simplefilter("ignore", RuntimeWarning)
    torch.set_num_threads(1)
    rows = [row for seed in provinces for row in province(seed)]
    return summary(rows)


def summary(rows: list[dict]) -> int:
    """Write paired differences over provinces, with their standard errors, to results.json."""
    table, out, holds = pd.DataFrame(rows), {}, True
    pairs = {
        "encoder_minus_hand": ("encoder", "hand"),
        "encoder_minus_dictionary": ("encoder", "dictionary"),
        "both_minus_hand": ("both", "hand"),
        "encoder_no_privacy_minus_hand": ("encoder_no_privacy", "hand"),
        "encoder_no_privacy_minus_dictionary": ("encoder_no_privacy", "dictionary"),
        "both_no_privacy_minus_hand": ("both_no_privacy", "hand"),
    }
    for epsilon, part in table.groupby("epsilon"):
        out[str(epsilon)] = {c: float(part[c].mean()) for c in part if c not in ("province", "epsilon")}
        for name, (a, b) in pairs.items():
            difference = part[a] - part[b]
            error = float(difference.std() / np.sqrt(len(difference)))
            out[str(epsilon)][name] = {"mean": float(difference.mean()), "error": error}
        if epsilon == EPSILON:
            lift = out[str(epsilon)]["encoder_minus_hand"]
            holds = lift["mean"] > 2 * lift["error"]
    (Path(__file__).parent / "results.json").write_text(
        json.dumps({"summary": out, "claim_holds": bool(holds), "runs": rows}, indent=1) + "\n"
    )
    print(json.dumps(out, indent=1))
    return 0 if holds else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("provinces", nargs="*", type=int, help="their seeds, for example 201; default: all")
    sys.exit(main(parser.parse_args().provinces or list(PROVINCES)))
