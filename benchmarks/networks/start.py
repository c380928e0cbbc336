"""A network that begins at a released scorecard: against the network and the regression as they are, and the card.

Studies are emulated in plain arrays: the recipe's own plans, noise and arithmetic, rows split by a seed. The card comes
from the lab of the calibration benchmark (benchmarks/calibration), the training from gradients in closed form, clipped
row by row, with normal noise of the plan's size. Each job (set, hold-out, noise seed, epsilon) is independent. Adds to
start.json next to this file; summaries are printed. Needs FEDRISK_DATA; PyTorch is not needed.

    FEDRISK_DATA=... OMP_NUM_THREADS=1 python benchmarks/networks/start.py [--jobs N] [--sets a,b] [--seeds N]
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.ensemble import HistGradientBoostingClassifier

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "calibration"))

from emulation import Emulated, Portfolio, emulate, figures, noisy, split
from portfolios import ROOT, at_epsilon, from_config, horizontal, taiwan

from fedrisk.data.features import Feature
from fedrisk.models.binning import Bins, grid_histogram
from fedrisk.models.network_defaults import AVERAGED, BIAS, MOMENTUM, default_hidden, default_rate
from fedrisk.models.network_inputs import encode, input_columns
from fedrisk.models.network_products import Products
from fedrisk.models.network_start import start_weights
from fedrisk.models.scorecard import FACTOR, Scorecard
from fedrisk.privacy.accounting import mu_for
from fedrisk.recipes.bins import find_bins
from fedrisk.recipes.network.plan import make_plan, mu_of_counts
from fedrisk.releases.budget import EDGES_SHARE, total_mu
from fedrisk.releases.gradient_sums import TrainingPlan, training_plan
from fedrisk.study import study_from
from fedrisk.study_members import BANK

Floats = NDArray[np.float64]
SETS = ("default_credit", "sba", "taiwan", "province", "interactions", "correlated")
EPSILONS = (0.5, 1.0, 3.0)
HOLDOUTS = (101, 102, 103)
"""No choice was made on these hold-outs, provinces and tables."""

HALF = 0.5
"""Share of mu^2 that goes to the card where one study's budget pays for both."""

RESULTS = Path(__file__).parent / "start.json"


def interactions(seed: int, n: int = 100_000) -> Portfolio:
    """A made-up set whose default rate hangs on pairs of columns: products, signs and areas, a tenth defaults."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((n, 16)) + 0.6 * rng.standard_normal((n, 1))
    z /= z.std(0)
    odds = z[:, :10] @ np.array([0.8, -0.7, 0.6, -0.5, 0.5, 0.4, -0.4, 0.3, 0.3, 0.2])
    odds += 0.4 * np.maximum(z[:, 0], 0) ** 2 - 0.3 * z[:, 5] ** 2
    odds += 1.6 * np.tanh(z[:, 0] * z[:, 1]) + 1.4 * np.sign(z[:, 2]) * z[:, 10]
    odds += 1.8 * z[:, 3] * (z[:, 11] > 0) + 1.2 * z[:, 4] * z[:, 12]
    odds -= 2.0 * np.maximum(z[:, 6], 0) * np.maximum(z[:, 13], 0)
    return made_up("interactions", z, odds, rng, skewed=3)


def correlated(seed: int, n: int = 100_000) -> Portfolio:
    """A made-up set of thirty columns that four factors drive, whose effects have opposite signs, a tenth defaults."""
    rng = np.random.default_rng(seed)
    loading = rng.standard_normal((4, 30))
    factors = rng.standard_normal((n, 4)) @ (loading / np.linalg.norm(loading, axis=0))
    z = 0.93 * factors + 0.37 * rng.standard_normal((n, 30))
    odds = z @ rng.standard_normal(30) * 1.2
    odds += 0.5 * np.maximum(z[:, 0], 0) ** 2 - 0.5 * np.abs(z[:, 3]) + 0.8 * z[:, 1] * z[:, 2]
    return made_up("correlated", z, 2.2 * odds / odds.std(), rng, skewed=2)


def made_up(name: str, z: Floats, odds: Floats, rng: np.random.Generator, *, skewed: int) -> Portfolio:
    """Three banks' customers with these columns, every so many of them skewed, and defaults by these log-odds."""
    level, (n, k) = -4.0, z.shape
    for _ in range(40):
        level += (0.1 - expit(odds + level).mean()) * 8
    label = (rng.random(n) < expit(odds + level)).astype(float)
    amount = [j % skewed == 0 for j in range(k)]
    table = pd.DataFrame(
        {f"x{j}": np.clip(np.exp(z[:, j] / 2) if amount[j] else z[:, j], -8, 60) for j in range(k)}
    )
    features = tuple(
        Feature(
            institution=BANK, column=f"x{j}", low=0.0 if amount[j] else -8.0, high=60.0 if amount[j] else 8.0
        )
        for j in range(k)
    )
    banks = [f"bank_{j}" for j in range(3)]
    content = {
        "name": name,
        "purpose": "credit_scoring",
        "institutions": [{"name": bank, "role": "bank"} for bank in banks],
        "alignment": {"inclusion_probability": 1.0},
        "privacy": {"epsilon": 1.0},
        "expected": {"default_rate": 0.1, "enterprises": n},
    }
    bank = np.array(banks)[rng.integers(0, 3, n)]
    return Portfolio(
        study=study_from(content), features=features, frames={BANK: table}, known={}, label=label, bank=bank
    )


def province(seed: int) -> Portfolio:
    """A simulated province of 30,000 enterprises whose banks have all columns."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "province"
        command = [sys.executable, "-m", "sim_institutions", "--enterprises", "30000", "--seed", str(seed)]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run([*command, "--out", str(out)], check=True, cwd=ROOT, **quiet)
        return horizontal(from_config(out / "study.toml"))


@lru_cache(maxsize=1)
def portfolio(name: str, holdout: int) -> Portfolio:
    """A set of banks with the same columns, 30 % held out. Simulated ones are other ones for each hold-out."""
    if name == "taiwan":
        table = taiwan()
        cut = np.random.default_rng(0).integers(0, 3, len(table))
        data = horizontal(table, np.array(["bank_0", "bank_1", "bank_2"])[cut])
    elif name == "province":
        data = province(holdout)
    elif name in ("interactions", "correlated"):
        data = {"interactions": interactions, "correlated": correlated}[name](holdout)
    else:
        data = from_config(ROOT / "configs" / f"{name}_network.toml")
    held = data.study.holdout.model_copy(update={"percent": 30})
    plain = {"recipe": "scorecard", "settings": {}, "holdout": held}
    return replace(data, study=data.study.model_copy(update=plain))


def with_mu(data: Portfolio, factor: float) -> Portfolio:
    """The same with mu times a factor."""
    rule = data.study.privacy
    wanted, low, high = mu_for(rule.epsilon, rule.delta) * factor, 1e-4, 100.0
    for _ in range(60):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if mu_for(middle, rule.delta) < wanted else (low, middle)
    return at_epsilon(data, round(low, 8))


def study_bins(data: Portfolio, train: NDArray[np.int64], rng: np.random.Generator) -> list[Bins]:
    """Bins of a network study by itself, from noisy histograms where they are not public."""
    study = data.study.model_copy(update={"recipe": "network", "settings": {}})
    plan, frame, released = make_plan(study, data.features), data.frames[BANK].iloc[train], None
    if plan.prepared("edges"):
        release = plan.release("edges")
        mine = [f for f in plan.features if f.private_edges]
        cells = release.blocks[0].shape[1]
        released = noisy(
            release, {BANK: np.stack([grid_histogram(frame[f.column], f, cells) for f in mine])}, rng
        )
    return find_bins(study, plan, released, len(train), mu_of_counts(study, plan))


class Trainee:
    """A regression with products or neurons beside it; sums of clipped gradients in closed form.

    fixed: inputs that only have weights (regression, constant, products), (n, m). deep: inputs of the neurons, (n, k).
    """

    def __init__(self, fixed: Any, deep: Any, label: Floats, neurons: int, seed: int) -> None:
        self.fixed, self.deep, self.label, self.neurons = fixed, deep, label.astype(np.float32), neurons
        self.squares = (fixed**2).sum(1)
        rng = np.random.default_rng([1, seed])
        width = 0 if not neurons else deep.shape[1]
        first = rng.standard_normal((neurons, width))
        if neurons:
            first[:, -1] = 0.0  # the neurons' constants
            self.deep_squares = (deep**2).sum(1)
        self.start = np.concatenate([np.zeros(fixed.shape[1] + neurons), first.ravel()])

    def parts(self, weights: Floats) -> tuple[Any, Any, Any]:
        """Weights of the fixed inputs, of the neurons' outputs and of their inputs."""
        m, h = self.fixed.shape[1], self.neurons
        w = weights.astype(np.float32)
        return w[:m], w[m : m + h], w[m + h :].reshape(h, -1 if h else 0)

    def clipped_sum(self, weights: Floats) -> Floats:
        """Sum of gradients of length at most 1."""
        wide, last, first = self.parts(weights)
        odds, squares = self.fixed @ wide, self.squares
        if self.neurons:
            gain = math.sqrt(2 / self.neurons)
            before = self.deep @ first.T
            hidden = np.maximum(before, 0) * gain
            odds = odds + hidden @ last
            back = (before > 0) * (last * gain)
            squares = squares + (hidden**2).sum(1) + (back**2).sum(1) * self.deep_squares
        error = expit(odds) - self.label
        error = error * np.minimum(1, 1 / np.maximum(np.abs(error) * np.sqrt(squares), 1e-12))
        out = [self.fixed.T @ error]
        if self.neurons:
            out += [hidden.T @ error, ((back * error[:, None]).T @ self.deep).ravel()]
        return np.concatenate(out).astype(float)


def log_odds(trainee: Trainee, weights: Floats, fixed: Any, deep: Any) -> Floats:
    """Of any rows, (n,)."""
    wide, last, first = trainee.parts(weights)
    out = fixed @ wide
    if trainee.neurons:
        out = out + math.sqrt(2 / trainee.neurons) * (np.maximum(deep @ first.T, 0) @ last)
    return np.asarray(out, dtype=float)


def trained(trainee: Trainee, start: Floats, plan: TrainingPlan, rng: np.random.Generator) -> Floats:
    """The weights after all noisy steps, as the hub takes them."""
    rows, sigma = len(trainee.label), math.sqrt(plan.variance)
    rate, weights, change, models = default_rate(plan.gradient_noise(rows)), start, np.zeros_like(start), []
    for _ in range(plan.steps):
        total = trainee.clipped_sum(weights) + rng.standard_normal(len(start)) * sigma
        change = MOMENTUM * change - rate * total / rows
        weights = weights + change
        models.append(weights)
    return np.mean(models[-round(AVERAGED * plan.steps) :], axis=0)


@dataclass(frozen=True, kw_only=True)
class Job:
    """One set, hold-out, noise seed and epsilon."""

    name: str
    holdout: int
    noise: int
    epsilon: float


@dataclass(frozen=True, kw_only=True)
class Case:
    """What a network is trained on. share: of mu^2 that training has. card: at which it begins."""

    data: Portfolio
    train: NDArray[np.int64]
    bins: list[Bins]
    share: float
    card: Scorecard | None = None


def known_curves(card: Scorecard) -> list[Floats]:
    """Log-odds of default by bin about the average, of each feature."""
    return [
        (average - np.asarray(points, dtype=float)) / FACTOR
        for points, average in zip(card.points, card.averages, strict=True)
    ]


def network(case: Case, kind: str, seed: int, rng: np.random.Generator) -> Floats:
    """Log-odds of all rows of a trained network."""
    data, rows = case.data, len(case.train)
    study = data.study.model_copy(update={"recipe": "network", "settings": {}})
    plan = training_plan(study, total_mu(study) * math.sqrt(case.share))
    noise, columns = plan.gradient_noise(rows), input_columns(case.bins)
    x = encode(data.frames[BANK], case.bins)
    curves = [] if case.card is None else known_curves(case.card)
    fixed, deep = [x, np.full((len(x), 1), BIAS, np.float32)], None
    if kind == "products":
        made = Products.of(columns, noise, curves)
        scores = x @ made.matrix.astype(np.float32)
        left, right = made.pairs
        pairs = scores[:, left] * scores[:, right] / np.float32(math.sqrt(len(left)))
        fixed.append(made.gain * pairs / np.maximum(1, np.linalg.norm(pairs, axis=1, keepdims=True)))
    neurons = default_hidden(x.shape[1], noise) if kind == "mlp" else 0
    if neurons:
        deep = np.concatenate([x, np.ones((len(x), 1), np.float32)], 1)
    inputs = np.concatenate(fixed, 1).astype(np.float32)
    part = None if deep is None else deep[case.train]
    trainee = Trainee(inputs[case.train], part, data.label[case.train], neurons, seed)
    start = trainee.start.copy()
    if case.card is not None:
        begin = start_weights(columns, curves, case.card.intercept)
        start[: len(begin)] = begin
    return log_odds(trainee, trained(trainee, start, plan, rng), inputs, deep)


def boosting(data: Portfolio, train: NDArray[np.int64], held: NDArray[np.int64]) -> dict[str, float]:
    """Pooled boosting without privacy."""
    x = data.frames[BANK][[f.column for f in data.features]]
    x = x.apply(lambda c: c if pd.api.types.is_numeric_dtype(c) else c.astype("category"))
    model = HistGradientBoostingClassifier(random_state=0, categorical_features="from_dtype")
    model.fit(x.iloc[train], data.label[train])
    return figures(data.label[held], model.predict_proba(x.iloc[held])[:, 1])


def one(job: Job) -> list[dict[str, Any]]:
    """Figures of all models of one job."""
    data = at_epsilon(portfolio(job.name, job.holdout), job.epsilon)
    train, held = split(len(data), job.holdout, data.study.holdout.percent)
    out: list[dict[str, Any]] = []

    def add(model: str, probability: Floats, began: float) -> None:
        said = figures(data.label[held], probability[held])
        kept = {k: round(said[k], 5) for k in ("auc", "slope", "ratio", "log_loss")}
        out.append({**vars(job), "model": model, **kept, "seconds": round(time.perf_counter() - began, 2)})

    def card(model: str, factor: float) -> Emulated:
        began = time.perf_counter()
        found = emulate(with_mu(data, math.sqrt(factor)), holdout=job.holdout, noise=job.noise)
        add(model, found.probability, began)
        return found

    def net(model: str, kind: str, case: Case) -> None:
        began = time.perf_counter()
        rng = np.random.default_rng([job.holdout, job.noise, 7])
        add(model, expit(network(case, kind, job.noise, rng)), began)

    whole, half = card("card", 1.0), card("card, half the budget", HALF)
    card("card of twice the budget", 2.0)
    bins = study_bins(data, train, np.random.default_rng([job.holdout, job.noise, 3]))
    alone = Case(data=data, train=train, bins=bins, share=1 - EDGES_SHARE)
    twice = replace(alone, share=2 * (1 - EDGES_SHARE))
    cases = {
        "": alone,
        " from a card, half each": Case(data=data, train=train, bins=half.bins, share=HALF, card=half.card),
        " from an earlier card": Case(data=data, train=train, bins=whole.bins, share=1.0, card=whole.card),
    }
    for end, case in cases.items():
        for kind in ("logistic", "mlp", "products"):
            many = len(data.features) > 40 and kind == "products" and case.card is None
            if not many:
                net(kind + end, kind, case)
    net("logistic of twice the budget", "logistic", twice)
    if job.noise == 1 and job.epsilon == 1.0:
        began = time.perf_counter()
        said = boosting(data, train, held)
        out.append({**vars(job), "model": "pooled boosting", "auc": said["auc"]})
        out[-1]["seconds"] = time.perf_counter() - began
    return out


def summary(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Means by set, epsilon and model; difference of AUC from the better of card and regression, and its error."""
    table = pd.DataFrame(rows)
    key = ["name", "holdout", "noise", "epsilon"]
    wide = table.pivot_table(index=key, columns="model", values="auc")
    best = wide[["card", "logistic"]].groupby(["name", "epsilon"]).mean().idxmax(axis=1)
    out = table.groupby(["name", "epsilon", "model"], sort=False)[
        ["auc", "slope", "ratio", "log_loss", "seconds"]
    ].mean()
    for (name, epsilon), model in best.items():
        some = wide.xs((name, epsilon), level=("name", "epsilon"))
        gain = some.sub(some[model], axis=0)
        for other in gain.columns:
            if (name, epsilon, other) in out.index:
                out.loc[(name, epsilon, other), ["gain", "error"]] = gain[other].mean(), gain[other].sem()
    return out


def main() -> int:
    """All sets, or those named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1, help="processes, for example --jobs 16")
    parser.add_argument("--sets", default=",".join(SETS), help="for example --sets default_credit,sba")
    parser.add_argument(
        "--seeds", type=int, default=2, help="noise seeds for each hold-out, for example --seeds 2"
    )
    parser.add_argument("--holdouts", default=",".join(map(str, HOLDOUTS)), help="for example --holdouts 101")
    parser.add_argument("--epsilons", default=",".join(map(str, EPSILONS)), help="for example --epsilons 1")
    asked = parser.parse_args()
    holdouts = [int(h) for h in asked.holdouts.split(",")]
    jobs = [
        Job(name=name, holdout=holdout, noise=noise, epsilon=epsilon)
        for name in asked.sets.split(",")
        for holdout in holdouts
        for noise in range(1, asked.seeds + 1)
        for epsilon in map(float, asked.epsilons.split(","))
    ]
    rows: list[dict[str, Any]] = []
    with ProcessPoolExecutor(asked.jobs) as pool:
        for found in pool.map(one, jobs, chunksize=1 if asked.jobs > 1 else len(jobs)):
            rows += found
            print(f"{len(rows)} figures", file=sys.stderr, flush=True)
    print(summary(rows).round(4).to_string())
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    again = {(r["name"], r["holdout"], r["noise"], r["epsilon"]) for r in rows}
    kept = [r for r in kept if (r["name"], r["holdout"], r["noise"], r["epsilon"]) not in again]
    lines = ",\n".join(json.dumps(r) for r in [*kept, *rows])
    RESULTS.write_text(f"[\n{lines}\n]\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
