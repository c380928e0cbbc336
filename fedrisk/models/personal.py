"""A bank's personal model near the shared one, which the bank fits without noise for its own use.

Banks differ. Where pooling helps a bank, its model should stay near the shared one; where pooling hurts, it
should not. Mean-regularised multi-task learning (Evgeniou & Pontil 2004; Liu, Hu, Wu & Smith 2022, On privacy
and personalization in cross-silo federated learning) adds to the bank's loss a multiple of the squared
distance from the shared model, and the bank chooses the multiple on its rows by cross-validation. The shared
model was released with privacy; what the bank adds stays inside the bank and is no release. The figures stay
inside too: they come from a model without noise, and must reach nobody else outside research runs.

The shared model enters by its *curves*, the log-odds that each column (and a network's deep part)
contributes: near = b + sum of a_j curve_j + d'x. One ridge draws the a_j to 1, or to 0 where the lenders have
little in common; a second one draws d to 0. At great strength the model is the shared one recalibrated (Platt
1999), at small strength it is the model that the bank would fit alone. The shapes of curves carry over from
bank to bank more often than their weights. The personal model is the mean of this model and the bank's local
one, which halves what a wrong choice can cost (Wolpert 1992 on stacking).

The shared model was trained on the bank's rows too, so it may look better on them than it is, especially in a
consortium without noise. Each fold's rows are therefore taken out of the shared curves, to first order,
before the fold is predicted (infinitesimal jackknife, Jaeckel 1972; Koh & Liang 2017); the other banks'
curvature is assumed to be like this bank's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array, hstack, issparse
from scipy.special import expit

from fedrisk.errors import ConfigError, DataError
from fedrisk.metrics import auc
from fedrisk.models.row_sums import by_row

Floats = NDArray[np.float64]
Choice = Literal["local", "shared", "personal"]

STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0)
"""Candidate ridges of the local model, in enterprises: 30 weighs like the curvature of about 30 of them."""

NEAR_STRENGTHS = (0.3, 1.0, 3.0, 10.0, 100.0, 1000.0)
"""Candidate ridges on the weights d of the model near the shared one."""

CURVE_STRENGTHS = (0.3, 3.0, 30.0)
"""Candidate ridges on the slopes of the shared curves."""

CENTRES = (0.0, 1.0)
"""Candidate values to which the slopes are drawn."""

FOLDS = 5
"""Folds of a bank's training rows. Three lose .002 AUC on the same rows (benchmarks/own_models), however fast."""

MANY_ROWS = 25_000
"""From so many training rows on, boosting takes larger steps (benchmarks/own_models says what that costs)."""

CHOICE_ROWS = 10_000
"""Training rows by which strengths are chosen at most. A ridge counts enterprises, so it stays as it is with more."""

CHOICE_TOLERANCE = 1e-6
"""Relative gain at which fits stop that only serve to choose strengths."""

LEAST_CLASS = 10
"""Fewest defaults, and fewest others, on which a bank fits models."""

EARLY_STOP = 1500.0
"""Learning rate times steps / (1 - momentum); early stopping acts like a ridge of n / EARLY_STOP."""


@dataclass(frozen=True)
class Figures:
    """Figures of one model on the bank's training rows, out of fold where it was fitted on them.

    Attributes:
        auc: area under the ROC curve.
        log_loss: mean log loss.
        gap_error: standard error, over enterprises, of its log loss less the local model's.
    """

    auc: float
    log_loss: float
    gap_error: float


@dataclass(frozen=True)
class LinearModel:
    """A model with log-odds intercept + curves'slopes + x'weights.

    Slopes (m,) of zero make a model that does not use the shared one.
    """

    intercept: float
    slopes: Floats
    weights: Floats

    def logits(self, x: NDArray[Any], curves: Floats) -> Floats:
        """Log-odds (n,) of rows x (n, k) with the shared model's curves (n, m).

        Those of a row are the same, bit for bit, whatever other rows there are.
        """
        return self.intercept + by_row(curves, self.slopes) + by_row(x, self.weights)


@dataclass(frozen=True)
class PersonalModels:
    """A bank's models side by side; they and their figures stay at the bank.

    Attributes:
        logits: log-odds of default by model, each (n,), for all rows.
        held_out: log-odds of the training rows by model, each out of fold; empty where validation is.
        models: the models that the bank fitted.
        validation: figures by model; empty where the bank has too few labels, and then the best is the shared
            one.
        best: the model with the smallest validated log loss, which the bank exports.
    """

    logits: dict[Choice, Floats]
    held_out: dict[Choice, Floats]
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
    """Weights (k,) and intercept of a logistic regression with penalty sum of ridge / 2 times (w - centre)^2.

    The fit takes Newton steps, halved where the loss does not fall. The intercept has no penalty.

    Args:
        x: (n, k).
        label: (n,) in [0, 1].
        ridge: (k,), positive.
        centre: (k,); None for zeros.
        start: (k + 1,) intercept and weights to begin with; by default zero and the centre. The minimum is
            the same.
        rounds: largest number of steps.

    >>> x = np.array([[0.0], [0.0], [1.0], [1.0]])
    >>> weights, intercept = fit_linear(x, np.array([0.0, 1.0, 1.0, 1.0]), np.array([1e9]), np.array([2.0]))
    >>> round(float(weights[0]), 3), round(float(expit(intercept + 2 * x[:, 0]).mean()), 3)
    (2.0, 0.75)

    Raises:
        ConfigError: a ridge is not positive.
        DataError: shapes differ.
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
    """Weights that minimise log loss plus the sum of pull / 2 times (w - target)^2.

    A curvature costs a hundred gradients, so a new one is computed only where Newton steps gain too little.

    Args:
        design: (n, k), with the constant.
        label: (n,) in [0, 1].
        pull: (k,), the ridge of each weight.
        target: (k,), the values to which the ridge draws the weights.
        begin: (k,), the weights to begin with.
        curvature: (k, k) of the log loss at some point nearby, if it is known.
        rounds: largest number of steps.
        tolerance: relative gain at which to stop.
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
        size, tried = _halved(loss, w, step, value)
        gain = value - tried
        if gain > 0:
            w, value = w - size * step, tried
        done = not gain > tolerance * max(1.0, abs(value))
        if done and (fresh or tolerance > 1e-8):
            break
        # A true Newton step is expected to gain half of slope times step; far less calls for a new curvature.
        if done or size < 1 or gain < 0.25 * float(slope @ step):
            factor = None
        fresh = fresh and factor is None
    return w


def _halved(loss: Callable[[Floats], float], w: Floats, step: Floats, value: float) -> tuple[float, float]:
    """The largest of 1, 1/2, ... 2^-20 at which the step does not raise the loss, and the loss there."""
    size = 1.0
    while (tried := loss(w - size * step)) > value and size > 1e-6:
        size /= 2
    return size, tried


def _curvature(design: Floats, w: Floats) -> Floats:
    """Second derivative of the log loss, (k, k)."""
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
    """Local, shared and personal model of one bank, their figures on its training rows, and the best model.

    Figures are out of fold; strengths are chosen on the same folds, which makes the figures slightly too
    good.

    Args:
        x: inputs, (n, k), of a mean squared length of about 1, from `network_inputs.encode`; for a scorecard
            the log-odds contributions of the bank's columns.
        label: (n,), 0 or 1 where ``train``.
        train: (n,), the rows to fit and validate on.
        shared: the shared model's log-odds, (n,).
        curves: the shared model's parts, (n, m), from `network.shared_curves`; for a scorecard x itself.
        spans: for each of the first curves, its columns of x; the remaining curves (a deep part) have none.
        total_rows: training rows of all banks together.
        seed: of the draw of the folds.

    Raises:
        DataError: shapes differ.
    """
    y, s = np.asarray(label, dtype=np.float64), np.asarray(shared, dtype=np.float64)
    rows, parts = np.asarray(x, dtype=np.float64), np.asarray(curves, dtype=np.float64)
    if not len(rows) == len(y) == len(train) == len(s) == len(parts) or len(spans) > parts.shape[1]:
        raise DataError(
            "personal models: x, label, train, shared and curves must have one entry per enterprise"
        )
    fit = np.flatnonzero(train)
    if int(min((y[fit] == 0).sum(), (y[fit] == 1).sum())) < LEAST_CLASS:
        return PersonalModels({"shared": s}, {}, {}, {}, "shared")
    z, c, truth = rows[fit], parts[fit], y[fit]
    folds = folds_of(truth, seed)
    clean = without_fold(z, truth, s[fit], c, spans, folds, total_rows)
    models, held = _fitted(z, truth, c, clean, folds)
    validation = {name: _figures(logit, held["local"], truth) for name, logit in held.items()}
    logits = {name: s if name == "shared" else models[name].logits(rows, parts) for name in held}
    best = min(validation, key=lambda name: validation[name].log_loss)
    return PersonalModels(logits, held, models, validation, best)


def _fitted(
    x: Floats, label: Floats, curves: Floats, clean: tuple[Floats, Floats], folds: NDArray[np.int64]
) -> tuple[dict[Choice, LinearModel], dict[Choice, Floats]]:
    """Local and personal model, and the out-of-fold log-odds of these and of the shared one.

    ``clean``: the shared curves and log-odds of every row as if its fold had not been trained on.
    """
    local, held_local = _chosen(x, label, None, None, folds, [(g, 0.0, 0.0) for g in STRENGTHS])
    alone = LinearModel(local.intercept, np.zeros(curves.shape[1]), local.weights)
    grid = [(g, k, a) for g in NEAR_STRENGTHS for k in CURVE_STRENGTHS for a in CENTRES]
    near, held_near = _chosen(x, label, clean[0], curves, folds, grid)
    personal = LinearModel(
        (alone.intercept + near.intercept) / 2, near.slopes / 2, (alone.weights + near.weights) / 2
    )
    held: dict[Choice, Floats] = {
        "local": held_local,
        "shared": clean[1],
        "personal": (held_local + held_near) / 2,
    }
    return {"local": alone, "personal": personal}, held


def without_fold(
    x: Floats | csr_array,
    label: Floats,
    shared: Floats,
    curves: Floats,
    spans: Sequence[tuple[int, int]],
    folds: NDArray[np.int64],
    total_rows: int,
    *,
    ridge: float | None = None,
) -> tuple[Floats, Floats]:
    """Curves (n, m) and shared log-odds (n,) of every row as if its fold had not been trained on.

    It is exact to first order: taking out rows with gradients g moves the weights by H^-1 sum g, where H is
    the bank's curvature times total_rows / n, plus a ridge: by default the one that early stopping amounts to.
    x: also sparse, where columns are the bins of a card.
    """
    p, rows = expit(shared), len(label)
    if issparse(x):
        both = hstack([np.ones((rows, 1)), x], format="csr")
        curvature = (both.T @ both.multiply((p * (1 - p))[:, None])).toarray() * (total_rows / rows)
    else:
        both = np.column_stack([np.ones(rows), x])
        curvature = (both.T * (p * (1 - p))) @ both * (total_rows / rows)
    pull = total_rows / EARLY_STOP if ridge is None else ridge
    inverse = np.linalg.inv(curvature + np.eye(both.shape[1]) * pull)
    out, total = curves.copy(), shared.copy()
    for k in range(int(folds.max()) + 1):
        fold = folds == k
        there = both[fold]
        move = inverse @ (there.T @ (p[fold] - label[fold]))
        total[fold] += there @ move
        # What each column adds by itself: a column of moves for each span.
        each = np.zeros((len(move), len(spans)))
        for j, (start, stop) in enumerate(spans):
            each[1 + start : 1 + stop, j] = move[1 + start : 1 + stop]
        out[fold, : len(spans)] += there @ each
    return out, total


class _CrossValidation:
    """Out-of-fold log-odds for one ridge after the other.

    Neighbours on a grid of ridges have similar weights, so every fit begins at the fold's last one, and uses
    the curvature at its first one.
    """

    def __init__(self, x: Floats, y: Floats, folds: NDArray[np.int64]) -> None:
        self._design = np.column_stack([np.ones(len(y)), x])
        self._parts = [
            (self._design[folds != k], y[folds != k], folds == k) for k in range(int(folds.max()) + 1)
        ]
        self._starts: list[Floats | None] = [None] * len(self._parts)
        self._curvatures: list[Floats | None] = [None] * len(self._parts)

    def held_out(self, ridge: Floats, centre: Floats) -> Floats:
        """Log-odds of every row, (n,), by the model fitted to the other folds."""
        target = np.r_[0.0, centre]
        held = np.zeros(len(self._design))
        for k, (inside, label, outside) in enumerate(self._parts):
            start = self._starts[k]
            w = _minimum(
                inside,
                label,
                np.r_[0.0, ridge],
                target,
                target if start is None else start,
                curvature=self._curvatures[k],
                tolerance=CHOICE_TOLERANCE,
            )
            self._starts[k] = w
            if self._curvatures[k] is None:
                self._curvatures[k] = _curvature(inside, w)
            held[outside] = self._design[outside] @ w
        return held


def _chosen(
    x: Floats,
    y: Floats,
    clean: Floats | None,
    curves: Floats | None,
    folds: NDArray[np.int64],
    grid: Sequence[tuple[float, float, float]],
) -> tuple[LinearModel, Floats]:
    """The model of the grid with the smallest log loss out of fold, and its log-odds out of fold.

    A point of the grid is (strength, strength on the curves, centre of the slopes). The model is fitted to
    all rows. Out of fold the ``clean`` curves are used, for the final fit the shared ones.
    """
    m = 0 if curves is None else curves.shape[1]
    tried = x if clean is None else np.column_stack([clean, x])
    final = x if curves is None else np.column_stack([curves, x])
    some = _some_rows(y)
    truth, validation = y[some], _CrossValidation(tried[some], y[some], folds[some])
    best: tuple[float, Floats, Floats, Floats] | None = None
    for strength, on_curves, at in grid:
        ridge = np.r_[np.full(m, on_curves), np.full(x.shape[1], strength)]
        centre = np.r_[np.full(m, at), np.zeros(x.shape[1])]
        held = validation.held_out(ridge, centre)
        value = float(log_loss_terms(held, truth).mean())
        if best is None or value < best[0]:
            best = value, held, ridge, centre
    if best is None:
        raise ConfigError("personal models: the grid is empty")
    _, held, ridge, centre = best
    if len(truth) < len(y):
        held = _CrossValidation(tried, y, folds).held_out(ridge, centre)
    weights, intercept = fit_linear(final, y, ridge, centre)
    return LinearModel(intercept, weights[:m], weights[m:]), held


def _some_rows(label: Floats) -> NDArray[np.bool_]:
    """``CHOICE_ROWS`` rows at most, both classes in proportion, (n,)."""
    parts = -(-len(label) // CHOICE_ROWS)
    return np.asarray(stratified_folds(label, parts, 1) == 0)


def folds_of(label: Floats, seed: int = 0) -> NDArray[np.int64]:
    """Fold of every training row of a bank, (n,), for all its own models."""
    return stratified_folds(label, FOLDS, seed)


def stratified_folds(label: Floats, folds: int, seed: int) -> NDArray[np.int64]:
    """Fold of every row, (n,): each class is spread evenly over the folds, in an order drawn from the seed.

    >>> sorted(stratified_folds(np.array([0, 0, 1, 1]), 2, 0)[:2].tolist())
    [0, 1]
    """
    rng = np.random.default_rng(seed)
    out = np.zeros(len(label), dtype=np.int64)
    for value in (0.0, 1.0):
        place = np.flatnonzero(label == value)
        out[rng.permutation(place)] = np.arange(len(place)) % folds
    return out


def log_loss_terms(logit: Floats, label: Floats) -> Floats:
    """Log loss of every row, (n,), stable for large log-odds."""
    # As numpy's logaddexp, in less than half of its time.
    out: Floats = np.maximum(logit, 0.0) + np.log1p(np.exp(-np.abs(logit))) - label * logit
    return out


def _figures(logit: Floats, local: Floats, label: Floats) -> Figures:
    terms = log_loss_terms(logit, label)
    gap = terms - log_loss_terms(local, label)
    return Figures(
        auc=auc(label, logit),
        log_loss=float(terms.mean()),
        gap_error=float(gap.std() / np.sqrt(len(gap))),
    )
