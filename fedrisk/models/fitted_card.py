"""The first card of a study: points from the weights of its sums, on the scale of a first calibration.

Only released numbers go into it: contributions in log-odds (models/estimator, or models/pairs for products),
curves with the shares of their bins, and the moments of the score that follow from both (models/score_moments).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedrisk.models.binning import Bins
from fedrisk.models.curves import Curves
from fedrisk.models.directions import make_monotone
from fedrisk.models.label_counts import LabelCounts
from fedrisk.models.point_errors import point_errors
from fedrisk.models.scale import STANDARD
from fedrisk.models.score_moments import first_calibration, score_moments, unknown_log_odds
from fedrisk.models.scorecard import FACTOR, MOST_POINTS, Scorecard, whole_points

Floats = NDArray[np.float64]

SLOPES = (0.05, 2.0)
"""Bounds of the slope of the first calibration."""


def card_from_weights(
    study: str,
    bins: Sequence[Bins],
    contributions: Sequence[Floats],
    counts: LabelCounts,
    curves: Curves,
    *,
    errors: Sequence[Floats] | None = None,
    freedom: float = 0.0,
    bases: Sequence[Floats] | None = None,
    gram: Floats | None = None,
    rounded: Sequence[Sequence[int]] | None = None,
) -> Scorecard:
    """Scorecard from log-odds contributions per bin; features with a direction are made monotone first.

    The contributions are multiplied by the slope of the first calibration, within SLOPES, and an enterprise that a
    holder does not know gets the mean odds of those that it knows, times what being unknown says by itself. No
    feature gives or takes more than MOST_POINTS.

    errors: standard errors of the contributions, in their shape; the card states those of its points.
    freedom: effective number of parameters of the contributions.
    rounded: points as another machine rounded them, taken where they are within rounding of those here, so that
    all machines have the same card. ConfigError where they are not.
    """
    shaped = [make_monotone(b, f, w) for b, f, w in zip(bins, contributions, curves.weight, strict=True)]
    moments = score_moments(shaped, counts, curves, bins, bases, gram)
    spread = math.sqrt(moments.variance)
    intercept, slope = first_calibration(shaped, curves, spread)
    slope = float(np.clip(slope, *SLOPES))
    scaled = [slope * f for f in shaped]
    for j, b in enumerate(bins):
        if not b.feature.is_column:
            variance = slope**2 * moments.columns[b.feature.institution]
            extra = unknown_log_odds(scaled, curves, bins, b.feature.institution, variance)
            scaled[j] = scaled[j] + np.array([0.0, extra])
    points = whole_points([np.clip(-FACTOR * f, -MOST_POINTS, MOST_POINTS) for f in scaled], rounded)
    averages = [float(w @ p) for w, p in zip(curves.weight, points, strict=True)]
    base = STANDARD.score_of(intercept) - sum(averages)
    return Scorecard(
        study=study,
        bins=tuple(bins),
        points=tuple(tuple(int(v) for v in p) for p in points),
        base_points=round(base),
        averages=tuple(averages),
        intercept=intercept,
        rate=curves.rate,
        rate_error=counts.rate_error,
        flattery=slope * freedom,
        sd=FACTOR * slope * spread,
        gap=FACTOR * slope * moments.gap,
        partial_sd={k: FACTOR * slope * math.sqrt(v) for k, v in moments.partial.items()},
        errors=None if errors is None else point_errors(errors, FACTOR * slope),
    )
