"""Counts of defaults and others by score, of a hold-out: from a study's record, with its noise, or from rows.

What curves.py computes stands on these alone. Everything follows from released numbers, at no further privacy, or from
rows of the bank that computes it.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from fedrisk.errors import ConfigError, DataError
from fedrisk.models.scorecard import Scorecard
from fedrisk.releases.evaluation import LOGIT_STEPS
from fedrisk.releases.record import ReleasedBlock, ReleasedSums, ReleaseRecord

Floats = NDArray[np.float64]

Axis = Literal["score", "log_odds", "probability", "risk"]
"""What the ends of bins are: points of a card (high is safe), log-odds or probability of default, or any other risk."""


@dataclass(frozen=True, kw_only=True)
class ScoreCounts:
    """Counts by score bin, bins in order of *rising risk*.

    Attributes:
        positives: defaults by bin, (k,), as released: with noise, and also below zero.
        negatives: others, likewise.
        variance: of the noise of each count; 0 is exact.
        low: lower end of each bin, (k,), in units of ``axis``; -inf where it is open.
        high: upper end, likewise. Exact counts by score have ``low == high``.
        axis: what the ends are. Of a score, bins in order of rising risk fall.
        probability: predicted probability of default of each bin, (k,); None where it is not known.
    """

    positives: Floats
    negatives: Floats
    variance: float
    low: Floats
    high: Floats
    axis: Axis
    probability: Floats | None = None

    @property
    def exact(self) -> bool:
        """Whether there is no noise in them."""
        return self.variance == 0

    @property
    def usable(self) -> bool:
        """Whether there are clearly defaults and others: more than twice the noise of their totals."""
        noise = 2 * np.sqrt(self.variance * len(self.positives))
        return bool(min(self.positives.sum(), self.negatives.sum()) > max(noise, 0.0))

    def grouped(self, most: int) -> "ScoreCounts":
        """At most so many bins: neighbours as one, about equally many enterprises in each. Exact counts only."""
        k = len(self.positives)
        if k <= most:
            return self
        if not self.exact:
            raise ConfigError(
                "counts with noise are grouped by the figure that needs it, which knows the noise"
            )
        n = self.positives + self.negatives
        place = np.minimum(((np.cumsum(n) - n / 2) / n.sum() * most).astype(int), most - 1)
        first = np.flatnonzero(np.diff(place, prepend=-1))
        n1, n0 = (np.add.reduceat(v, first) for v in (self.positives, self.negatives))
        mean = None
        if self.probability is not None:
            mean = np.add.reduceat(n * self.probability, first) / np.maximum(n1 + n0, 1e-300)
        return ScoreCounts(
            positives=n1,
            negatives=n0,
            variance=0.0,
            low=np.minimum.reduceat(self.low, first),
            high=np.maximum.reduceat(self.high, first),
            axis=self.axis,
            probability=mean,
        )


def counts_of(
    record: ReleaseRecord, card: Scorecard | None = None, bank: str | None = None
) -> ScoreCounts | None:
    """The evaluation histogram of a record; None where the study was not evaluated.

    card: for the predicted probabilities of a scorecard's bins; a network's follow from the bins. bank: one bank's
    alone, where the study releases it by bank; None takes all banks together. ConfigError for a bank without one.
    """
    released = record.find("evaluation")
    if released is None or not released.blocks:
        return None
    blocks = released.blocks if bank is None else (_block(released, bank),)
    if "first" in released.about:
        return _exact(record, released, blocks, card)
    total = np.sum([b.total for b in blocks], axis=0)
    variance = sum(float(b.variance or 0.0) for b in blocks)
    scores = released.about.get("score_edges")
    edges = np.asarray(released.about["logit_edges"] if scores is None else scores, float)
    low, high = np.r_[-np.inf, edges], np.r_[edges, np.inf]
    if scores is None:
        half = (edges[1] - edges[0]) / 2
        probability: Floats | None = expit(np.r_[edges[0] - half, edges + half])
    else:
        low, high = low[::-1].copy(), high[::-1].copy()
        probability = None if card is None else card.bin_probabilities(edges)
    return ScoreCounts(
        positives=total[:, 0].astype(float),
        negatives=total[:, 1].astype(float),
        variance=variance,
        low=low,
        high=high,
        axis="log_odds" if scores is None else "score",
        probability=probability,
    )


def banks_of(record: ReleaseRecord) -> tuple[str, ...]:
    """Banks whose evaluation was released apart from the others'; none where all were released as one."""
    released = record.find("evaluation")
    if released is None:
        return ()
    members = {m["name"] for m in record.study["institutions"]}
    return tuple(b.name for b in released.blocks if b.name in members)


def counts_of_rows(
    label: ArrayLike, risk: ArrayLike, *, probability: ArrayLike | None = None, axis: Axis = "risk"
) -> ScoreCounts:
    """Exact counts by distinct value, from rows.

    Args:
        label: 1 for a default, 0 for others, shape (n,).
        risk: rises with the risk, unless ``axis`` is "score", which falls, shape (n,).
        probability: predicted probability of each row, for calibration; with axis "probability" it is ``risk``.
        axis: what ``risk`` is.

    Raises:
        DataError: shapes differ, labels are not 0 or 1, or a value is missing.
    """
    y, r = np.asarray(label, float), np.asarray(risk, float)
    if y.ndim != 1 or y.shape != r.shape or not len(y):
        raise DataError(f"labels have shape {y.shape}, scores {r.shape}; give two vectors of one length")
    if not np.isin(y, (0.0, 1.0)).all() or not np.isfinite(r).all():
        raise DataError("labels must be 0 or 1 and scores finite; leave out rows without either")
    value, place = np.unique(r, return_inverse=True)
    n1, n = (
        np.bincount(place, y, len(value)).astype(float),
        np.bincount(place, minlength=len(value)).astype(float),
    )
    mean: Floats | None = None
    if axis == "probability":
        mean = value
    elif axis == "log_odds":
        mean = expit(value)
    if probability is not None:
        mean = np.bincount(place, np.asarray(probability, float), len(value)) / n
    turned = slice(None, None, -1 if axis == "score" else 1)
    return ScoreCounts(
        positives=n1[turned].copy(),
        negatives=(n - n1)[turned].copy(),
        variance=0.0,
        low=value[turned].copy(),
        high=value[turned].copy(),
        axis=axis,
        probability=None if mean is None else mean[turned].copy(),
    )


def _block(released: ReleasedSums, bank: str) -> ReleasedBlock:
    for block in released.blocks:
        if block.name == bank:
            return block
    raise ConfigError(
        f"the study released no evaluation of {bank} alone; leave the bank out, for all together"
    )


def _exact(
    record: ReleaseRecord,
    released: ReleasedSums,
    blocks: tuple[ReleasedBlock, ...],
    card: Scorecard | None,
) -> ScoreCounts:
    """A research run's counts by whole number: points of a card, or steps of the log-odds."""
    first = {b.name: int(released.about["first"][b.name]) for b in blocks}
    least = min(first.values())
    size = max(first[b.name] + len(b.total) for b in blocks) - least
    total = np.zeros((size, 2))
    for b in blocks:
        start = first[b.name] - least
        total[start : start + len(b.total)] += b.total
    there = total.sum(1) > 0
    value, total = (least + np.flatnonzero(there)).astype(float), total[there]
    scored = str(record.study.get("recipe", "scorecard")) == "scorecard"
    if scored:
        value, total = value[::-1].copy(), total[::-1]
        probability = None if card is None else card.probability(value)
    else:
        value = value / LOGIT_STEPS
        probability = expit(value)
    return ScoreCounts(
        positives=total[:, 0].copy(),
        negatives=total[:, 1].copy(),
        variance=0.0,
        low=value,
        high=value,
        axis="score" if scored else "log_odds",
        probability=probability,
    )
