"""Memory: what earlier studies released, combined with a study's own numbers.

Counts of an earlier study are brought to this study's numbers of defaults and others, and its defaults to this study's
bins: where a bin holds more enterprises now, the same odds make more defaults. What is left is a series for every
feature and bin that wanders from study to study (`fedrisk.models.local_level`), and one for the default rate. An
enterprise is in all of the studies: noise averages out over them, and the sampling of enterprises does not, unless
others were drawn. Only features with equal bins are remembered, from each study what fits.

Everything here is arithmetic on released numbers, so it costs no further privacy (post-processing; Dwork & Roth 2014,
section 2.1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from fedrisk.models.binning import Bins
from fedrisk.models.count_series import Study, Table, defaults, mean_of, others, rates
from fedrisk.models.knowledge import PastStudy
from fedrisk.models.label_counts import LabelCounts
from fedrisk.models.local_level import LEAST_NOISE, Levels

Floats = NDArray[np.float64]
Kind = Literal["others", "defaults", "rate"]

ALARM = 0.01
"""Chance that some break is reported from one study to the next where there is none."""


@dataclass(frozen=True, kw_only=True)
class Break:
    """A change that is more than noise and the usual drift.

    study: place of the study in which it is seen, in the order of the memory; len(memory) is this study itself.
    feature: place among the columns, None where it is the default rate. what: others, for how enterprises spread over
    bins; defaults, for how risk does; or rate. chance: p-value.
    """

    study: int
    feature: int | None
    what: Kind
    chance: float


@dataclass(frozen=True, kw_only=True)
class Remembered:
    """Counts as they are known after this study, at the scale of its own.

    counts: of the columns, with the variance that noise and change since leave. weights: by feature, the share of each
    earlier study in its defaults, (studies,) each, oldest first; what is left is the study's own share. worth: by
    feature, how many studies like this one would have as little noise, (features,). rate_weights: the share of each
    earlier study in the default rate, (studies,). breaks: what changed by more than noise and drift, oldest first.
    """

    counts: LabelCounts
    weights: tuple[Floats, ...] = ()
    worth: Floats
    rate_weights: Floats
    breaks: tuple[Break, ...] = ()

    @property
    def studies(self) -> float:
        """How many studies like this one memory is worth, features averaged by their geometric mean."""
        return float(np.exp(np.log(self.worth).mean()))

    @property
    def gain(self) -> float:
        """Factor on the counts' mu at which this study alone would have as little noise (noise is as 1 / mu)."""
        return math.sqrt(self.studies)


def remember_counts(memory: Sequence[PastStudy], bins: Sequence[Bins], counts: LabelCounts) -> Remembered:
    """A study's own label counts with those of earlier studies.

    memory: oldest first. bins: of this study's features. counts: of its columns, without features "known".

    Raises:
        ConfigError: counts and bins do not fit each other.
    """
    if not memory:
        own = tuple(np.zeros(0) for _ in counts.n1)
        return Remembered(counts=counts, weights=own, worth=np.ones(len(own)), rate_weights=np.zeros(0))
    return _known([*((p.bins, p.counts) for p in memory), (tuple(bins), counts)], len(memory))


def smoothed(memory: Sequence[PastStudy], place: int) -> Remembered:
    """An earlier study's counts with those of all others, before it and after it.

    memory: oldest first. place: of the study in it. Weights are of the last study, not of this one.
    """
    studies = [(p.bins, p.counts) for p in memory]
    if len(studies) < 2:
        return remember_counts((), memory[place].bins, memory[place].counts)
    return _known(studies, place)


def _known(studies: Sequence[Study], place: int) -> Remembered:
    """Counts of the study at `place` with those of all others."""
    table = Table.of(studies, place)
    rate = rates(table)
    share = expit(rate.mean[:, 0, 0])
    totals = np.stack([share, 1 - share], 1) * table.rows[:, None]
    scale = totals[place] / np.maximum(totals, 1e-9)
    spread = others(table, scale[:, 1], float(totals[place, 1]))
    risk = defaults(table, scale[:, 0], float(totals[place, 0]), spread)
    left = mean_of(table.valid, risk.variance[place])
    return Remembered(
        counts=_counts(table, totals[place], risk, spread, float(rate.variance[place, 0, 0])),
        weights=tuple(mean_of(table.valid, risk.weights[:-1]).T),
        worth=np.maximum(table.noise[place] / np.maximum(left, LEAST_NOISE), 1.0),
        rate_weights=rate.weights[:-1, 0, 0],
        breaks=_breaks(table, rate, spread, risk),
    )


def _counts(
    table: Table, totals: Floats, defaults: Levels, others: Levels, rate_variance: float
) -> LabelCounts:
    """Levels as counts with the study's totals; one variance per feature, of what the moment of labels takes.

    rate_variance: of the default rate's log-odds, which are a series of their own.
    """
    place, valid = table.place, table.valid
    rate = float(totals[0] / totals.sum())
    one, zero = (mean_of(valid, part.noise[place]) for part in (defaults, others))
    variance = ((1 - rate) ** 2 * one + rate**2 * zero) / ((1 - rate) ** 2 + rate**2)
    sizes = valid.sum(1)
    n1, n0 = (tuple(m[:k] for m, k in zip(p.mean[place], sizes, strict=True)) for p in (defaults, others))
    raw = LabelCounts(n1, n0, variance)
    up, down = (
        float(np.clip(t / r, 0.5, 2.0)) for t, r in zip(totals, (raw.positives, raw.negatives), strict=True)
    )
    error = rate * (1 - rate) * math.sqrt(max(rate_variance, 0.0))
    return LabelCounts(tuple(up * a for a in n1), tuple(down * a for a in n0), variance, error)


def _breaks(table: Table, rate: Levels, others: Levels, defaults: Levels) -> tuple[Break, ...]:
    """Innovations beyond what noise and drift make of them, at a stated rate for all series of a study together."""
    limit = ALARM / (2 * table.seen.shape[1] + 1)
    series: tuple[tuple[Kind, Levels], ...] = (("rate", rate), ("others", others), ("defaults", defaults))
    found = [
        Break(
            study=int(s),
            feature=None if what == "rate" else int(j),
            what=what,
            chance=float(part.surprise[s, j]),
        )
        for what, part in series
        for s, j in np.argwhere(part.surprise < limit)
    ]
    return tuple(sorted(found, key=lambda b: (b.study, -1 if b.feature is None else b.feature, b.what)))
