"""Networks trained over noisy sums: accuracy by epsilon in both modes; personal models of six real lenders.

Runs without Flower: it calls the trainees' clipped sums, adds noise of the sizes that a study has, and takes
the hub's step. Prints tables and adds them to results.json next to this file. Needs FEDRISK_DATA.

    FEDRISK_DATA=... OMP_NUM_THREADS=1 python benchmarks/networks/run.py credit|sba|own [seeds]
"""

import argparse
import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fedrisk.data.features import Feature
from fedrisk.institution import load_institution
from fedrisk.metrics import auc
from fedrisk.models.binning import Bins, edges_from_histogram, grid_histogram
from fedrisk.models.champion import bank_alone
from fedrisk.models.network import NetworkDesign, NetworkTrainee, initial_weights, logits, shared_curves
from fedrisk.models.network_defaults import AVERAGED, MOMENTUM, default_rate
from fedrisk.models.network_inputs import encode
from fedrisk.models.personal import personal_models
from fedrisk.privacy.accounting import contributor_sigma, mu_for

ROOT = Path(__file__).resolve().parent.parent.parent
SBA = ("bank_of_america", "capital_one", "citizens", "jpmorgan_chase", "pnc", "wells_fargo")
BANKS = {
    "credit": [f"card_bank_{k}" for k in (1, 2, 3)],
    "sba": [f"sba_{n}" for n in SBA],
}
HELD = {"credit": 0.2, "sba": 0.3}
EPSILONS = (1.0, 3.0, math.inf)
STEPS, CELLS, BIN_COUNT, EDGES, BITS, TOLERATED = 25, 256, 16, 0.05, 24, 1
# Radius of clipping without noise, where a small one would save nothing.
ADAM_CLIP = 4.0
RESULTS = Path(__file__).parent / "results.json"


@dataclass(frozen=True)
class Bank:
    """One bank's table.

    train: rows that are trained on. inputs: (n, k), by the study's bins.
    """

    frame: pd.DataFrame
    label: np.ndarray
    train: np.ndarray
    inputs: np.ndarray | None = None


@dataclass(frozen=True)
class Rule:
    """Kind and size of the network; a size of None follows from public numbers."""

    kind: str
    hidden: int | None = None
    blocks: int | None = None


def banks_of(name: str, seed: int) -> tuple[list[Bank], list[Feature]]:
    """The banks, with hold-outs drawn by the seed, and their features."""
    rng, out, features = np.random.default_rng(seed), [], []
    for member in BANKS[name]:
        institution = load_institution(ROOT / "configs" / "institutions" / f"{member}.toml")
        table = institution.read()
        held = rng.permutation(len(table)) < HELD[name] * len(table)
        out.append(Bank(table.frame, table.label, ~held))
        features = [_feature(c) for c in institution.dictionary.features]
    return out, features


def _feature(c) -> Feature:
    return Feature(
        institution="bank",
        column=c.name,
        kind=c.kind,
        low=c.low,
        high=c.high,
        grid=c.grid,
        bins=c.categories if c.kind == "category" else c.bins,
        missing=c.missing == "bin",
        special=c.special,
        bin_count=c.bin_count,
    )


def bins_of(banks: list[Bank], features: list[Feature], mu: float, rng: np.random.Generator) -> list[Bins]:
    """Public bins, or edges from noisy histograms of the training rows."""
    private = sum(f.private_edges for f in features)
    sigma = 0.0 if math.isinf(mu) else total_sigma(math.sqrt(private), mu, len(banks))
    out = []
    for f in features:
        if not f.private_edges:
            out.append(Bins.public(f))
            continue
        counts = sum(grid_histogram(b.frame[f.column][b.train], f, CELLS) for b in banks)
        noisy = counts + rng.normal(0, 1, CELLS) * sigma
        out.append(Bins(f, edges=edges_from_histogram(noisy, f, sigma**2, f.bin_count or BIN_COUNT)))
    return out


def total_sigma(sensitivity: float, mu: float, banks: int) -> float:
    """Standard deviation of the total when every bank adds its part and colluders are tolerated."""
    fewest = max(min(2, banks), math.ceil(2 * banks / 3))
    return contributor_sigma(sensitivity / mu, fewest, TOLERATED) * math.sqrt(banks)


def shared_noise(banks: list[Bank], design: NetworkDesign, mu: float, seed: int) -> np.ndarray:
    """Mode (a), shared noise: 25 noisy sums with momentum; without noise, Adam."""
    rng = np.random.default_rng(1000 + seed)
    trainees = [NetworkTrainee(design, b.inputs[b.train], b.label[b.train]) for b in banks]
    rows, clip = sum(t.rows for t in trainees), 1.0 if math.isfinite(mu) else ADAM_CLIP
    sigma = 0.0 if math.isinf(mu) else total_sigma(1.0, mu / math.sqrt(STEPS), len(banks))
    rate, w = default_rate(sigma / rows), initial_weights(design, seed).astype(float)
    first, second, models = np.zeros_like(w), np.zeros_like(w), []
    for t in range(STEPS):
        total = sum(trainee.clipped_sum(w, clip, BITS) for trainee in trainees)
        g = (total / 2**BITS + rng.normal(0, 1, len(w)) * sigma) / rows
        if sigma:
            first = MOMENTUM * first - rate * g
            w = w + first
        else:
            first, second = MOMENTUM * first + (1 - MOMENTUM) * g, 0.98 * second + 0.02 * g * g
            w = w - 0.1 * (first / (1 - MOMENTUM ** (t + 1))) / (
                np.sqrt(second / (1 - 0.98 ** (t + 1))) + 1e-6
            )
        models.append(w)
    return np.mean(models[-round((AVERAGED if sigma else 0.1) * STEPS) :], axis=0)


def own_noise(
    banks: list[Bank], design: NetworkDesign, mu: float, seed: int, rounds: int, local: int, proximal: float
) -> np.ndarray:
    """Mode (b), own noise: each bank adds all its noise to its local steps, and the hub averages by rows.

    As in FedAvg, and with a proximal term as in FedProx.
    """
    rng = np.random.default_rng(2000 + seed)
    trainees = [NetworkTrainee(design, b.inputs[b.train], b.label[b.train]) for b in banks]
    rows = sum(t.rows for t in trainees)
    sigma = 0.0 if math.isinf(mu) else math.sqrt(rounds * local) / mu
    average = math.sqrt(sum(t.rows**2 * (sigma / t.rows) ** 2 for t in trainees)) / rows
    rate, shared, models = default_rate(average), initial_weights(design, seed).astype(float), []
    momentum = np.zeros_like(shared)
    for _ in range(rounds):
        change = np.zeros_like(shared)
        for t in trainees:
            w = shared.copy()
            for _ in range(local):
                g = (t.clipped_sum(w, 1.0, BITS) / 2**BITS + rng.normal(0, 1, len(w)) * sigma) / t.rows
                w -= rate * (g + proximal * (w - shared))
            change += (w - shared) * t.rows / rows
        momentum = MOMENTUM * momentum + change
        shared = shared + (momentum if local == 1 else change)
        models.append(shared)
    return np.mean(models[-max(1, round(AVERAGED * rounds)) :], axis=0)


def prepared(name: str, seed: int, epsilon: float) -> tuple[list[Bank], list[Bins], float]:
    """Banks with inputs, the bins, and the mu that is left for training."""
    banks, features = banks_of(name, seed)
    mu = mu_for(epsilon, 1e-6)
    bins = bins_of(banks, features, mu * math.sqrt(EDGES), np.random.default_rng(500 + seed))
    return (
        [Bank(b.frame, b.label, b.train, encode(b.frame, bins)) for b in banks],
        bins,
        mu * math.sqrt(1 - EDGES),
    )


def held_auc(banks: list[Bank], design: NetworkDesign, weights: np.ndarray) -> float:
    """AUC on all banks' hold-outs together."""
    out = [logits(design, weights, b.inputs[~b.train]) for b in banks]
    return auc(np.concatenate([b.label[~b.train] for b in banks]), np.concatenate(out))


def noise_of(banks: list[Bank], mu: float) -> float:
    """Noise of one number of a step's mean gradient."""
    rows = sum(int(b.train.sum()) for b in banks)
    return 0.0 if math.isinf(mu) else total_sigma(1.0, mu / math.sqrt(STEPS), len(banks)) / rows


def credit(seeds: int) -> list[dict]:
    """Mode (a) on three card banks: network and logistic regression side by side."""
    rows = []
    for epsilon in EPSILONS:
        for seed in range(seeds):
            banks, bins, mu = prepared("credit", seed, epsilon)
            row = {"epsilon": epsilon, "seed": seed}
            for kind in ("logistic", "mlp"):
                design = NetworkDesign.of(bins, Rule(kind), noise=noise_of(banks, mu))
                row[kind] = held_auc(banks, design, shared_noise(banks, design, mu, seed))
                row[f"{kind}_size"] = design.size
            rows.append(row)
            print(row, flush=True)
    return rows


def own(seeds: int) -> list[dict]:
    """Mode (b) on three card banks."""
    rows = []
    for epsilon in EPSILONS:
        for rounds, local, proximal in ((25, 1, 0.0), (10, 2, 0.0), (10, 5, 0.0), (10, 5, 0.01)):
            for seed in range(seeds):
                banks, bins, mu = prepared("credit", seed, epsilon)
                row = {
                    "epsilon": epsilon,
                    "seed": seed,
                    "rounds": rounds,
                    "local": local,
                    "proximal": proximal,
                }
                noise = noise_of(banks, mu)
                kinds = ("logistic",) if rounds * local > 25 else ("logistic", "mlp")
                for kind in kinds:
                    design = NetworkDesign.of(bins, Rule(kind), noise=noise)
                    row[kind] = held_auc(
                        banks, design, own_noise(banks, design, mu, seed, rounds, local, proximal)
                    )
                rows.append(row)
                print(row, flush=True)
    return rows


def sba(seeds: int) -> list[dict]:
    """Personal models of six lenders, against the shared model, a local one, and boosting on one bank."""
    rows = []
    for kind in ("mlp", "logistic"):
        for epsilon in EPSILONS:
            for seed in range(seeds):
                banks, bins, mu = prepared("sba", seed, epsilon)
                design = NetworkDesign.of(bins, Rule(kind), noise=noise_of(banks, mu))
                weights = shared_noise(banks, design, mu, seed)
                total = sum(int(b.train.sum()) for b in banks)
                for name, b in zip(BANKS["sba"], banks, strict=True):
                    s = logits(design, weights, b.inputs)
                    curves, spans = shared_curves(design, weights, b.inputs)
                    found = personal_models(
                        b.inputs, b.label, b.train, s, curves, spans, total_rows=total, seed=seed
                    )
                    row = {"epsilon": epsilon, "seed": seed, "kind": kind, "bank": name, "best": found.best}
                    row |= {k: auc(b.label[~b.train], v[~b.train]) for k, v in found.logits.items()}
                    row |= {"sampling": paired_error(b.label[~b.train], found, ~b.train)}
                    if epsilon == 1.0 and kind == "logistic":
                        model = bank_alone(b.frame[b.train], b.label[b.train])
                        row["boosting"] = auc(b.label[~b.train], model.probability(b.frame[~b.train]))
                    rows.append(row)
                print(kind, epsilon, seed, flush=True)
            show("sba", rows)
    return rows


def paired_error(label: np.ndarray, found, held: np.ndarray) -> float:
    """Standard error over enterprises of AUC(personal) - AUC(local).

    After DeLong, DeLong & Clarke-Pearson (1988).
    """
    parts = []
    for name in ("personal", "local"):
        v = found.logits[name][held]
        one, zero = v[label == 1], v[label == 0]
        wins = (one[:, None] > zero[None]) + 0.5 * (one[:, None] == zero[None])
        parts.append((wins.mean(1), wins.mean(0)))
    (a1, a0), (b1, b0) = parts
    return math.sqrt(np.var(a1 - b1, ddof=1) / len(a1) + np.var(a0 - b0, ddof=1) / len(a0))


def show(what: str, rows: list[dict]) -> None:
    """The means as a table."""
    table = pd.DataFrame(rows)
    if what == "sba":
        table["gain"] = table["personal"] - table["local"]
        by = table.groupby(["kind", "epsilon", "bank"], sort=False)
        columns = [
            c for c in ("local", "shared", "personal", "boosting", "gain", "sampling") if c in table.columns
        ]
        out = by[columns].mean()
        out["gain_error_seeds"] = by["gain"].sem()
        out["worse"] = out["gain"] < -2 * np.maximum(out["gain_error_seeds"], out["sampling"])
    else:
        keys = [c for c in ("epsilon", "rounds", "local", "proximal") if c in table.columns]
        out = table.groupby(keys)[["logistic", "mlp"]].agg(["mean", "std"])
    print(out.round(4).to_string())


def lenders(rows: list[dict]) -> dict[str, Any]:
    """Of personal networks by epsilon: banks that are worse than alone beyond the error, better, better beyond it."""
    table = pd.DataFrame(rows)
    table = table[table["kind"] == "mlp"].assign(gain=table["personal"] - table["local"])
    out: dict[str, Any] = {}
    for epsilon, part in table.groupby("epsilon", sort=False):
        by = part.groupby("bank")
        gain, error = by["gain"].mean(), np.maximum(by["gain"].sem(), by["sampling"].mean())
        counts = {"worse": gain < -2 * error, "better": gain > 0, "better by two errors": gain > 2 * error}
        out[str(epsilon)] = {name: int(which.sum()) for name, which in counts.items()}
    return out


def main() -> int:
    """Run one experiment, by name."""
    experiments = {"credit": credit, "own": own, "sba": sba}
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=sorted(experiments), help="for example credit")
    parser.add_argument("seeds", nargs="?", type=int, default=5, help="how many, for example 1")
    asked = parser.parse_args()
    what = asked.what
    rows = experiments[what](asked.seeds)
    show(what, rows)
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for row in rows:
        row["epsilon"] = "none" if math.isinf(row["epsilon"]) else row["epsilon"]
    kept[what] = rows
    if what == "sba":
        kept["lenders"] = lenders(rows)
    RESULTS.write_text(json.dumps(kept, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
