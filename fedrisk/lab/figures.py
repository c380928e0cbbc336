"""Figures of a model on a hold-out whose labels are known, as a row of results has them.

AUC with its 95 % interval by placements (DeLong, DeLong & Clarke-Pearson 1988), KS, Brier score, log loss, and the line
of logistic recalibration (Cox 1958): slope below 1 where probabilities are spread too far apart.
"""

from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike

from fedrisk.errors import DataError
from fedrisk.metrics import area, brier, calibration_fit, ks
from fedrisk.models.comparison import LEAST_PROBABILITY, log_loss

LEVEL = 0.95
"""Of the interval of the AUC."""


class Figures(TypedDict):
    """The figures of `fedrisk.lab.cell.Row` by their names; None where the hold-out does not tell one."""

    auc: float | None
    auc_low: float | None
    auc_high: float | None
    ks: float | None
    brier: float | None
    log_loss: float | None
    calibration_slope: float | None
    calibration_intercept: float | None


def figures(label: ArrayLike, probability: ArrayLike) -> Figures:
    """All figures of a model on a hold-out.

    label: 0 or 1, (rows,). probability: of default, (rows,). Where all labels are equal the figures of ranking and of
    calibration are None.

    Errors: DataError where labels are not 0 or 1, or probabilities not between 0 and 1.

    >>> found = figures([0, 0, 1, 1], [0.1, 0.4, 0.4, 0.8])
    >>> found["auc"], round(found["brier"], 4), round(found["log_loss"], 4)
    (0.875, 0.1425, 0.4389)
    """
    y, p = np.asarray(label, np.float64), np.asarray(probability, np.float64)
    if not len(y):
        raise DataError("the hold-out has no rows; figures need at least one")
    score = brier(y, p)
    clipped = np.clip(p, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    found = Figures(
        auc=None,
        auc_low=None,
        auc_high=None,
        ks=None,
        brier=score,
        log_loss=float(np.mean(log_loss(y, p))),
        calibration_slope=None,
        calibration_intercept=None,
    )
    if y.min() == y.max():
        return found
    values, place = np.unique(clipped, return_inverse=True)
    n1, n0 = np.bincount(place, y, len(values)), np.bincount(place, 1 - y, len(values))
    measured = area(n1, n0, 0.0)
    low, high = measured.interval(LEVEL)
    found |= {"auc": measured.value, "auc_low": low, "auc_high": high, "ks": ks(y, p)}
    line = calibration_fit(n1, n0, values, 0.0)
    if line is not None:
        found |= {"calibration_slope": line.slope, "calibration_intercept": line.intercept}
    return found
