"""What a validation stands on, gathered by whoever has it: a bank from its rows, anybody from a study's record."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.analysis.homogeneity import Histogram
from fedrisk.analysis.score_counts import ScoreCounts
from fedrisk.analysis.validation.master_scale import MasterScale
from fedrisk.analysis.validation.overrides import Overrides
from fedrisk.models.binning import Bins
from fedrisk.models.calibration import ScoreCounts as CalibrationCounts
from fedrisk.models.calibration_errors import CalibrationErrors, calibration_errors
from fedrisk.models.label_counts import LabelCounts
from fedrisk.models.scale import STANDARD
from fedrisk.models.scorecard import Scorecard

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of the bank over its bins.

    before, now: development and validation sample. whole: all banks' training rows, released with noise; None where
    that is not there. ordered: whether neighbouring bins are alike.
    """

    name: str
    before: Histogram | None
    now: Histogram | None
    whole: Histogram | None = None
    ordered: bool = True


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What there is to validate on.

    model: name of the model whose probabilities are validated. sample: ``holdout``, or ``out_of_time`` where it is by
    date. now, before: counts of validation and development sample by score; both exact or both with noise. columns:
    of the bank, where there are rows. periods: validation sample by period of the bank's dates, oldest first. card:
    of the study, where the model has one. calibration: its errors, where the calibration histogram is there.
    bin_shares: shares of customers by grade and bin for each feature of the card whose bins are known, (g, bins); a
    single row stands for all grades. own: whether it stands on a bank's own rows. facts: what is stated beside, for the
    page and the file.
    """

    model: str
    sample: str
    now: ScoreCounts
    before: ScoreCounts | None = None
    columns: tuple[Column, ...] = ()
    periods: tuple[tuple[str, ScoreCounts], ...] = ()
    card: Scorecard | None = None
    calibration: CalibrationErrors | None = None
    bin_shares: Mapping[int, Floats] = field(default_factory=dict)
    overrides: Overrides | None = None
    own: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def exact(self) -> bool:
        """Whether it stands on exact rows."""
        return self.now.exact


def card_errors(card: Scorecard, edges: Floats, total: Floats, variance: float) -> CalibrationErrors | None:
    """Errors of a card's calibration, from the histogram it was fitted to; None for a card without one.

    edges: of its score bins, inner ones, rising, (k - 1,). total: noisy defaults and others by bin, (k, 2).
    """
    if card.calibration is None:
        return None
    rows = CalibrationCounts(
        positives=total[:, 0],
        negatives=total[:, 1],
        variance=variance,
        middles=card.stated_log_odds(card.bin_middles(edges)),
        rate=card.rate,
        rate_error=card.rate_error,
        flattery=card.flattery / card.calibration.line[1],
    )
    return calibration_errors(rows, card.calibration)


def development_counts(card: Scorecard, edges: Floats, total: Floats, variance: float) -> ScoreCounts | None:
    """The calibration histogram as counts of the development sample, on the scale of the calibrated card.

    Arguments as of `card_errors`. None for a card without calibration.
    """
    if card.calibration is None:
        return None
    level, slope = card.calibration.line
    # The histogram is of scores before the calibration, which are on the standard scale.
    stated = level + slope * (STANDARD.log_odds(edges) - card.calibration.centre)
    now = -stated * card.scale.factor
    shift = float(card.stated_log_odds(0.0)) * card.scale.factor
    scores = now + shift
    return ScoreCounts(
        positives=total[::-1, 0].copy(),
        negatives=total[::-1, 1].copy(),
        variance=variance,
        low=np.r_[-np.inf, scores][::-1].copy(),
        high=np.r_[scores, np.inf][::-1].copy(),
        axis="score",
        probability=card.bin_probabilities(scores),
    )


def shares_of(card: Scorecard, bins: Sequence[Bins], counts: LabelCounts) -> dict[int, Floats]:
    """Shares of training rows by bin, (1, bins), of each feature of the card with released counts; never below 0."""
    by_name = {(b.feature.institution, b.feature.column): k for k, b in enumerate(bins)}
    out: dict[int, Floats] = {}
    for j, b in enumerate(card.bins):
        k = by_name.get((b.feature.institution, b.feature.column))
        if k is None or k >= len(counts.n1) or len(counts.n1[k]) != b.size:
            continue
        counted = np.maximum(counts.n1[k] + counts.n0[k], 0.0)
        if counted.sum() > 0:
            out[j] = (counted / counted.sum())[None, :]
    return out


def point_variance(evidence: Evidence, scale: MasterScale) -> Floats:
    """Variance of the mean log-odds of each grade by the errors of the points, (g,); 0 without a card that states them.

    Errors of a feature's bins are taken as independent of each other. Features whose bins by grade are not known count
    with the plain mean of their squared errors over bins, as if all customers of a grade were in one bin.
    """
    card, out = evidence.card, np.zeros(scale.size)
    if card is None or card.errors is None:
        return out
    for j, errors in enumerate(card.errors):
        square = np.square(np.asarray(errors)) / card.scale.factor**2
        if j in evidence.bin_shares:
            out += np.broadcast_to(np.square(evidence.bin_shares[j]) @ square, (scale.size,))
        else:
            out += square.mean()
    return out
