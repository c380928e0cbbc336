"""A network that begins at a scorecard's curves instead of at even odds.

The regression's step inputs span every function of a column's bins, so the card's log-odds are weights of it: the
network begins as the card, and the noise of training is spent on what the curves do not say (benchmarks/networks). The
card was released by an earlier study, whose price was paid then; weights from released numbers cost nothing
(post-processing; Dwork & Roth 2014, section 2.1). The bound on an enterprise's gradient holds whatever the weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedrisk.errors import ConfigError
from fedrisk.models.network_defaults import BIAS
from fedrisk.models.network_inputs import InputColumn, apart_size

Floats = NDArray[np.float64]


def start_weights(
    columns: Sequence[InputColumn], curves: Sequence[Floats | None], intercept: float
) -> Floats:
    """Weights of the regression, (width + 1,), by which its log-odds are intercept + sum of the curves.

    Args:
        columns: of the network, numbers coded by steps.
        curves: of every column the known log-odds shift by bin, special codes and missing values last; None for a
            column that is not known: it begins at zero.
        intercept: log-odds of default where all shifts are 0.

    Raises:
        ConfigError: curves do not fit the columns.
    """
    if len(curves) != len(columns):
        raise ConfigError("start: one curve, or none, is needed for each column of the network")
    parts, level = [], intercept
    for column, curve in zip(columns, curves, strict=True):
        part, mean = _column(column, curve)
        parts.append(part)
        level += mean
    return np.concatenate([*parts, [level / BIAS]])


def _column(column: InputColumn, curve: Floats | None) -> tuple[Floats, float]:
    """Weights of a column's inputs that make its curve about its mean over bins, and that mean."""
    if curve is None:
        return np.zeros(column.width), 0.0
    inputs = len(column.centre)
    bins = inputs if column.kind == "category" else inputs + 1
    if column.coding != "steps" or len(curve) != bins + column.apart:
        raise ConfigError(
            "start: a curve needs one number for each bin, special code and missing value of a column in steps"
        )
    mean = float(curve[:bins].mean())
    ordinary = curve[:bins] - mean if column.kind == "category" else np.diff(curve[:bins])
    apart = (curve[bins:] - mean) / apart_size(column)
    return np.concatenate([ordinary, apart]) / column.scale, mean
