"""Standard errors of a scorecard's points: how far they would move with other noise and other enterprises.

Everything comes from released numbers. A feature's contribution is its curve times a weight, plus smooth modes with
weights of their own (models/estimator). Both vary: the curve with the noise and the sampling of the label counts, the
weights with those of both releases. The two parts are added; that they share the counts is left out, and coverage is
measured instead (benchmarks/calibration/point_errors.py). Where the second release is a second count, contributions are
the curves themselves.

An error does not hold what a prior does to all studies alike: a bin that few enterprises fall into is drawn towards its
neighbours or to the average, in this study as in the next, and its error is small.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedrisk.models.curves import Curves, centred
from fedrisk.models.estimator import Weights
from fedrisk.models.weight_priors import SLOPE

Floats = NDArray[np.float64]

ROUNDING = 1 / 12
"""Variance that rounding to whole points adds."""


def contribution_errors(
    curves: Curves, bases: Sequence[Floats] = (), weights: Weights | None = None
) -> tuple[Floats, ...]:
    """Standard errors of the log-odds contributions, one array (bins,) per feature.

    Args:
        curves: from `fit_curves`.
        bases: shape columns of every feature; without weights they are not needed.
        weights: of the shape columns, or None where contributions are the curves themselves.
    """
    if weights is None:
        return tuple(_root(c) for c in curves.covariance)
    out, at = [], 0
    for base, curve, share in zip(bases, curves.covariance, curves.weight, strict=True):
        part = slice(at, at + base.shape[1])
        at += base.shape[1]
        weighed = base @ weights.covariance[part, part] @ base.T
        out.append(_root(centred(weighed, share) + (SLOPE * weights.mean[part.start]) ** 2 * curve))
    return tuple(out)


def point_errors(errors: Sequence[Floats], scale: float) -> tuple[tuple[float, ...], ...]:
    """Standard errors of whole points from those of the contributions. scale: points per unit of a contribution.

    >>> point_errors([np.array([0.0, 0.5])], -20.0)
    ((0.288..., 10.004...),)
    """
    return tuple(tuple(float(v) for v in np.sqrt((scale * e) ** 2 + ROUNDING)) for e in errors)


def _root(covariance: Floats) -> Floats:
    return np.sqrt(np.maximum(np.diag(covariance), 0.0))
