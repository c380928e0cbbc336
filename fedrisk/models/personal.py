"""A bank's own model near the shared one, fitted without noise, by the bank, for itself.

Banks differ. Where pooling helps a bank its own model should stay near the shared one, where it hurts it should
leave it: mean-regularised multi-task learning (Evgeniou & Pontil 2004; Liu, Hu, Wu & Smith 2022, On privacy and
personalization in cross-silo federated learning) adds to the bank's own loss a multiple of the squared distance
from the shared model, and the bank chooses it on its own rows by cross-validation. The shared model was released
with privacy; what the bank adds stays inside it and is no release. Its figures stay inside too: they come of a
model without noise, and must reach nobody else outside research runs.

The shared model enters by its *curves*, the log-odds that each column contributes (and a network's deep part):
near = b + sum of a_j curve_j + d'x. One ridge holds the a_j to 1, or to 0 where the lenders have little in common,
a second one holds d to 0: at great strength the model is the shared one recalibrated (Platt 1999), at small strength
the bank's own. The shapes of curves carry over from bank to bank more often than their weights. The personal model
is the mean of this one and of the bank's own, which halves what a wrong choice can cost (Wolpert 1992 on stacking).

The shared model has seen the bank's own rows, in a consortium without noise far enough to flatter it on them. Each
fold's rows are therefore taken out of the shared curves to first order before the fold is predicted (infinitesimal
jackknife, Jaeckel 1972; Koh & Liang 2017), with the other banks' curvature taken as like the own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit

from fedrisk.errors import ConfigError, DataError
from fedrisk.metrics import auc

Floats = NDArray[np.float64]
Choice = Literal["local", "shared", "personal"]

STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0)
"""Ridges tried on the own weights, in enterprises: one of 30 weighs like the curvature of about 30 of them."""

NEAR_STRENGTHS = (0.3, 1.0, 3.0, 10.0, 100.0, 1000.0)
CURVE_STRENGTHS = (0.3, 3.0, 30.0)
CENTRES = (0.0, 1.0)
FOLDS = 5
CHOICE_TOLERANCE = 1e-6  # how far fits are driven that only serve to choose strengths
LEAST_CLASS = 10  # fewest defaults, and fewest others, on which a bank fits models of its own
EARLY_STOP = (
    1500.0  # learning rate times steps / (1 - momentum): what early stopping leaves of a ridge is n / this
)


@dataclass(frozen=True)
class Figures:
    """Of one model on the bank's own training rows, out of fold where it was fitted on them.

    auc and log_loss; gap_error: standard error, over enterprises, of its log loss less the local model's.
    """

    auc: float
    log_loss: float
    gap_error: float


@dataclass(frozen=True)
class LinearModel:
    """Log-odds = intercept + curves'slopes + x'weights; slopes (m,) of zero are a model of the bank alone."""

    intercept: float
    slopes: Floats
    weights: Floats

    def logits(self, x: NDArray[Any], curves: Floats) -> Floats:
        """Log-odds (n,) of rows x (n, k) with the shared model's curves (n, m)."""
        out: Floats = self.intercept + curves @ self.slopes + np.asarray(x, dtype=np.float64) @ self.weights
        return out


@dataclass(frozen=True)
class PersonalModels:
    """A bank's models side by side; they and their figures stay at the bank.

    Attributes:
        logits: log-odds of default by model, each (n,), for all rows. models: those that the bank fitted.
        validation: figures by model; empty where the bank has too few labels, and then the best is the shared one.
        best: the model of least validated log loss; the bank's export.
    """

    logits: dict[Choice, Floats]
    models: dict[Choice, LinearModel]
    validation: dict[Choice, Figures]
    best: Choice


def fit_linear(
    x: Floats,
    label: Floats,
    ridge: Floats,
    centre: Floats | None = None,
    *,
    start: Floats | None = None,
    rounds: int = 50,
) -> tuple[Floats, float]:
    """Weights (k,) and intercept of a logistic regression with ridge / 2 times (w - centre)^2, summed.

    Newton steps, halved where the loss does not fall. The intercept is free.

    Args:
        x: (n, k). label: (n,) in [0, 1]. ridge: (k,), positive. centre: (k,), default zeros.
        start: (k + 1,) intercept and weights to begin with; the centre by default. The minimum is the same.

    >>> x = np.array([[0.0], [0.0], [1.0], [1.0]])
    >>> weights, intercept = fit_linear(x, np.array([0.0, 1.0, 1.0, 1.0]), np.array([1e9]), np.array([2.0]))
    >>> round(float(weights[0]), 3), round(float(expit(intercept + 2 * x[:, 0]).mean()), 3)
    (2.0, 0.75)

    Raises:
        ConfigError: a ridge is not positive. DataError: shapes differ.
    """
    if x.ndim != 2 or label.shape != (len(x),) or ridge.shape != (x.shape[1],):
        raise DataError("fit_linear: x must be (n, k), label (n,) and ridge (k,)")
    if not (ridge > 0).all():
        raise ConfigError("fit_linear: every ridge must be positive")
    middle = np.zeros(x.shape[1]) if centre is None else np.asarray(centre, dtype=np.float64)
    design = np.column_stack([np.ones(len(x)), x])
    target, pull = np.r_[0.0, middle], np.r_[0.0, ridge]
    begin = target if start is None else np.asarray(start, dtype=np.float64)
    w = _minimum(design, label, pull, target, begin, rounds=rounds)
    return w[1:], float(w[0])


def _minimum(
    design: Floats,
    label: Floats,
    pull: Floats,
    target: Floats,
    begin: Floats,
    *,
    curvature: Floats | None = None,
    rounds: int = 50,
    tolerance: float = 1e-8,
) -> Floats:
    """The least of log loss plus pull / 2 times (w - target)^2, by Newton steps whose curvature is made anew only
    where they get short of progress: it costs a hundred times as much as a gradient.

    curvature: (k, k) of the log loss somewhere near, if it is known. tolerance: relative gain at which to stop.
    """

    def loss(v: Floats) -> float:
        return float(log_loss_terms(design @ v, label).sum() + 0.5 * (pull * (v - target) ** 2).sum())

    w, value = np.array(begin), loss(begin)
    fresh, factor = False, None
    for _ in range(rounds):
        if factor is None:
            fresh = curvature is None
            made = _curvature(design, w) if curvature is None else curvature
            factor, curvature = cho_factor(made + np.diag(pull + 1e-9)), None
        slope = design.T @ (expit(design @ w) - label) + pull * (w - target)
        step = cho_solve(factor, slope)
        size = 1.0
        while (tried := loss(w - size * step)) > value and size > 1e-6:
            size /= 2
        gain = value - tried
        if gain > 0:
            w, value = w - size * step, tried
        done = not gain > tolerance * max(1.0, abs(value))
        if done and (fresh or tolerance > 1e-8):
            break
        # what a true Newton step promises to gain is half of slope times step; far less calls for a new curvature
        if done or size < 1 or gain < 0.25 * float(slope @ step):
            factor = None
        else:
            fresh = False
    return w


def _curvature(design: Floats, w: Floats) -> Floats:
    p = expit(design @ w)
    out: Floats = (design.T * np.maximum(p * (1 - p), 1e-9)) @ design
    return out


def personal_models(
    x: NDArray[Any],
    label: NDArray[Any],
    train: NDArray[np.bool_],
    shared: NDArray[Any],
    curves: NDArray[Any],
    spans: Sequence[tuple[int, int]],
    *,
    total_rows: int,
    seed: int = 0,
) -> PersonalModels:
    """Local, shared and personal model of one bank, their figures on its own training rows, and the best.

    Args:
        x: rows of inputs, (n, k), of a mean squared length of about 1, as `inputs.encode` gives them; for a
            scorecard the log-odds contributions of the bank's own columns.
        label: (n,), 0 or 1 where ``train``. train: (n,), rows to fit and validate on.
        shared: log-odds by the shared model, (n,). curves: its parts, (n, m), as `network.shared_curves` gives
            them; for a scorecard x itself.
        spans: of each of the first curves, its columns of x; curves beyond them (a deep part) have none.
        total_rows: training rows of all banks together.
        seed: of the draw of the folds.

    Figures are out of fold; strengths are chosen on the same folds, which flatters them by little.

    Raises:
        DataError: shapes differ.
    """
    y, s = np.asarray(label, dtype=np.float64), np.asarray(shared, dtype=np.float64)
    rows, parts = np.asarray(x, dtype=np.float64), np.asarray(curves, dtype=np.float64)
    if not len(rows) == len(y) == len(train) == len(s) == len(parts) or len(spans) > parts.shape[1]:
        raise DataError(
            "personal models: x, label, train, shared and curves must have one entry an enterprise"
        )
    fit = np.flatnonzero(train)
    if int(min((y[fit] == 0).sum(), (y[fit] == 1).sum())) < LEAST_CLASS:
        return PersonalModels({"shared": s}, {}, {}, "shared")
    z, c, truth = rows[fit], parts[fit], y[fit]
    folds = stratified_folds(truth, FOLDS, seed)
    clean, clean_shared = without_fold(z, truth, s[fit], c, spans, folds, total_rows)
    none = np.zeros(parts.shape[1])
    local, held_local = _chosen(z, truth, None, None, folds, [(g, 0.0, 0.0) for g in STRENGTHS])
    alone = LinearModel(local.intercept, none, local.weights)
    grid = [(g, k, a) for g in NEAR_STRENGTHS for k in CURVE_STRENGTHS for a in CENTRES]
    near, held_near = _chosen(z, truth, clean, c, folds, grid)
    personal = LinearModel(
        (alone.intercept + near.intercept) / 2, near.slopes / 2, (alone.weights + near.weights) / 2
    )
    held: dict[Choice, Floats] = {
        "local": held_local,
        "shared": clean_shared,
        "personal": (held_local + held_near) / 2,
    }
    validation = {name: _figures(h, held_local, truth) for name, h in held.items()}
    return PersonalModels(
        {"local": alone.logits(rows, parts), "shared": s, "personal": personal.logits(rows, parts)},
        {"local": alone, "personal": personal},
        validation,
        min(validation, key=lambda name: validation[name].log_loss),
    )


def without_fold(
    x: Floats,
    label: Floats,
    shared: Floats,
    curves: Floats,
    spans: Sequence[tuple[int, int]],
    folds: NDArray[np.int64],
    total_rows: int,
) -> tuple[Floats, Floats]:
    """Curves (n, m) and shared log-odds (n,) of every row as if its fold had not been trained on, to first order.

    Taking rows with gradients g out moves the weights by H^-1 sum g; H is the bank's own curvature times
    total_rows / n, plus the ridge that early stopping amounts to.
    """
    p = expit(shared)
    both = np.column_stack([np.ones(len(x)), x])
    curvature = (both.T * (p * (1 - p))) @ both * (total_rows / len(x))
    inverse = np.linalg.inv(curvature + np.eye(both.shape[1]) * (total_rows / EARLY_STOP))
    out, total = curves.copy(), shared.copy()
    for k in range(int(folds.max()) + 1):
        own = folds == k
        move = inverse @ (both[own].T @ (p[own] - label[own]))
        total[own] += both[own] @ move
        for j, (start, stop) in enumerate(spans):
            out[own, j] += x[own, start:stop] @ move[1 + start : 1 + stop]
    return out, total


def _chosen(
    x: Floats,
    y: Floats,
    clean: Floats | None,
    curves: Floats | None,
    folds: NDArray[np.int64],
    grid: Sequence[tuple[float, float, float]],
) -> tuple[LinearModel, Floats]:
    """The model of the grid's (strength, strength on curves, centre) of least log loss out of fold, fitted to all
    rows, and its log-odds out of fold."""
    m = 0 if curves is None else curves.shape[1]
    tried = x if clean is None else np.column_stack([clean, x])
    final = x if curves is None else np.column_stack([curves, x])
    best: tuple[float, Floats, Floats, Floats] | None = None
    both = np.column_stack([np.ones(len(y)), tried])
    parts = [(both[folds != k], y[folds != k], folds == k) for k in range(int(folds.max()) + 1)]
    starts: list[Floats | None] = [None] * len(parts)  # neighbours on the grid are near each other
    curvatures: list[Floats | None] = [None] * len(parts)
    for strength, on_curves, at in grid:
        ridge = np.r_[np.full(m, on_curves), np.full(x.shape[1], strength)]
        centre = np.r_[np.full(m, at), np.zeros(x.shape[1])]
        held = np.zeros(len(y))
        for k, (inside, truth, outside) in enumerate(parts):
            begin = starts[k]
            begin = np.r_[0.0, centre] if begin is None else begin
            w = _minimum(
                inside,
                truth,
                np.r_[0.0, ridge],
                np.r_[0.0, centre],
                begin,
                curvature=curvatures[k],
                tolerance=CHOICE_TOLERANCE,
            )
            starts[k] = w
            if curvatures[k] is None:
                curvatures[k] = _curvature(inside, w)
            held[outside] = both[outside] @ w
        value = float(log_loss_terms(held, y).mean())
        if best is None or value < best[0]:
            best = value, held, ridge, centre
    if best is None:
        raise ConfigError("personal models: the grid is empty")
    weights, intercept = fit_linear(final, y, best[2], best[3])
    return LinearModel(intercept, weights[:m], weights[m:]), best[1]


def stratified_folds(label: Floats, folds: int, seed: int) -> NDArray[np.int64]:
    """Fold of every row, (n,): each class is spread evenly, in an order drawn from the seed.

    >>> sorted(stratified_folds(np.array([0, 0, 1, 1]), 2, 0)[:2].tolist())
    [0, 1]
    """
    rng = np.random.default_rng(seed)
    out = np.zeros(len(label), dtype=np.int64)
    for side in (0.0, 1.0):
        place = np.flatnonzero(label == side)
        out[rng.permutation(place)] = np.arange(len(place)) % folds
    return out


def log_loss_terms(logit: Floats, label: Floats) -> Floats:
    """Log loss of every row, (n,), stable for large log-odds."""
    out: Floats = np.logaddexp(0.0, logit) - label * logit
    return out


def _figures(logit: Floats, local: Floats, label: Floats) -> Figures:
    terms = log_loss_terms(logit, label)
    gap = terms - log_loss_terms(local, label)
    return Figures(
        auc=auc(label, logit),
        log_loss=float(terms.mean()),
        gap_error=float(gap.std() / np.sqrt(len(gap))),
    )
