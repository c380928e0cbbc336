"""Stacking: one bank's models averaged by their log-odds, with weights that the bank finds on its own rows.

Weights are not negative and add up to 1 (Breiman 1996, Stacked regressions; Wolpert 1992): such a mean is nearly
never worse than its best member, and mostly better where members err differently, as trees and curves do. They minimise
the log loss of predictions out of fold. With a few hundred rows that loss cannot tell models apart, so that the best
weights would follow chance; a ridge therefore draws them to *votes* that the caller states beforehand.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from fedrisk.errors import DataError
from fedrisk.models.row_sums import added_up

Floats = NDArray[np.float64]

RIDGE = 100.0
"""Pull to the votes, in enterprises, like the ridges of `models/personal`. The loss bends by a
tenth of an enterprise or less in a weight, so that a thousand rows weigh no more than the votes."""


def stacking_weights(
    held_out: Mapping[str, Floats], label: Floats, votes: Mapping[str, float]
) -> dict[str, float]:
    """Weight of each model, not negative, with sum 1.

    Args:
        held_out: log-odds by model, (n,) each, of rows that the model was not fitted on.
        label: (n,), 0 or 1.
        votes: by model, in proportion to the weights to which few rows are drawn; positive.

    >>> good, bad = np.array([-1.0, -1.0, 1.0, 1.0]), np.array([1.0, 1.0, -1.0, -1.0])
    >>> weights = stacking_weights({"good": good, "bad": bad}, np.array([0.0, 0, 1, 1]), {"good": 1, "bad": 1})
    >>> weights["good"] > weights["bad"], round(sum(weights.values()), 9)
    (True, 1.0)

    Raises:
        DataError: names or shapes differ, or log-odds are not finite.
    """
    names, y = list(held_out), np.asarray(label, dtype=np.float64)
    if set(names) != set(votes) or not names or any(np.shape(v) != y.shape for v in held_out.values()):
        raise DataError("stacking: held_out and votes must name the same models, with one log-odds per label")
    z = np.stack([np.asarray(held_out[n], dtype=np.float64) for n in names], 1)
    if not np.isfinite(z).all():
        raise DataError("stacking: log-odds must be finite")
    centre = np.array([votes[n] for n in names], dtype=np.float64)
    centre /= centre.sum()

    def loss(w: Floats) -> tuple[float, Floats]:
        logits, away = z @ w, w - centre
        value = np.logaddexp(0.0, logits).sum() - y @ logits + RIDGE / 2 * away @ away
        return float(value) / len(y), (z.T @ (expit(logits) - y) + RIDGE * away) / len(y)

    found = minimize(
        loss,
        centre,
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * len(names),
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1.0, "jac": np.ones_like},
    )
    weights = np.clip(found.x, 0.0, 1.0) if np.isfinite(found.x).all() else centre
    return dict(zip(names, (weights / weights.sum()).tolist(), strict=True))


def averaged(log_odds: Mapping[str, Floats], weights: Mapping[str, float]) -> Floats:
    """Mean of the models' log-odds, (n,), by the weights; that of a row is the same whatever other rows there are."""
    return added_up(w * np.asarray(log_odds[n], np.float64) for n, w in weights.items())
