"""A scorecard of one table in the clear, by the estimator of the studies, from sums without noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.models.binning import Bins
from fedrisk.models.calibration import ScoreCounts, fit_calibration
from fedrisk.models.curves import fit_curves, shape_bases
from fedrisk.models.directions import follow_directions
from fedrisk.models.estimator import posterior_weights
from fedrisk.models.fitted_card import card_from_weights
from fedrisk.models.label_counts import LabelCounts
from fedrisk.models.point_errors import contribution_errors
from fedrisk.models.scorecard import FACTOR, Scorecard
from fedrisk.study_members import BANK

Floats = NDArray[np.float64]

NOTICE = "fitted on one table in the clear: no privacy"
"""What every card says that is fitted here."""

SCORE_BINS = 12
"""Of the histogram by which the card is calibrated, as in a study."""


def fit_local_card(
    name: str, bins: Sequence[Bins], codes: Sequence[NDArray[Any]], label: Floats, weight: Floats
) -> Scorecard:
    """A calibrated scorecard of one table.

    The sums are exact, so this has no differential privacy: a card tells of rows what it was fitted to.

    Args:
        name: stands where a released card has its study.
        bins: of the columns. codes: of each column, (n,).
        label: 1 for default, else 0, (n,). weight: of each row, (n,).
    """
    n1 = tuple(_sums(c, weight * label, b.size) for b, c in zip(bins, codes, strict=True))
    n0 = tuple(_sums(c, weight * (1 - label), b.size) for b, c in zip(bins, codes, strict=True))
    counts = LabelCounts(n1, n0, np.zeros(len(bins)))
    curves = fit_curves(counts, bins)
    bases = shape_bases(curves)
    rows = np.concatenate([base[c] for base, c in zip(bases, codes, strict=True)], axis=1)
    gram = (rows.T * weight) @ rows
    weights = posterior_weights(bases, counts, curves, gram, np.zeros_like(gram))
    errors = contribution_errors(curves, bases, weights)
    card = card_from_weights(
        name,
        bins,
        follow_directions(bins, weights.contributions, errors),
        counts,
        curves,
        errors=errors,
        freedom=weights.freedom,
        bases=bases,
        gram=gram,
    )
    return replace(_calibrated(card, codes, label, weight), notice=NOTICE)


def _calibrated(card: Scorecard, codes: Sequence[NDArray[Any]], label: Floats, weight: Floats) -> Scorecard:
    edges = card.calibration_bins(SCORE_BINS)
    score = card.base_points + card.institution_points(BANK, list(codes))
    place = np.searchsorted(edges, score, side="right")
    rows = ScoreCounts(
        positives=_sums(place, weight * label, len(edges) + 1),
        negatives=_sums(place, weight * (1 - label), len(edges) + 1),
        variance=1e-6,
        middles=card.stated_log_odds(card.bin_middles(edges)),
        rate=card.rate,
        rate_error=card.rate_error,
        flattery=card.flattery,
    )
    return card.calibrated(fit_calibration(rows, card.intercept + card.sd / FACTOR))


def _sums(place: NDArray[Any], weight: Floats, size: int) -> Floats:
    """Sum of the weights of the rows of each place, (size,)."""
    return np.bincount(place, weight, size).astype(np.float64)
