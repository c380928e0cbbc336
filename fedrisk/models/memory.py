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
from scipy.special import expit, logit

from fedrisk.errors import ConfigError
from fedrisk.models.binning import Bins
from fedrisk.models.estimator import RATES, LabelCounts
from fedrisk.models.knowledge import PastStudy, places
from fedrisk.models.local_level import JUMPS, LEAST_NOISE, Candidates, Levels, Observed, levels

Floats = NDArray[np.float64]
Kind = Literal["others", "defaults", "rate"]

WALKS = (0.0, 0.02, 0.04, 0.08, 0.16, 0.32)
"""Candidate steps of a bin's share, relative to itself, from one study to the next."""

TURNOVERS = (0.0, 0.1, 0.5)
"""Candidate shares of enterprises that come and go from one study to the next, twice over."""

REDRAWN = (0.0, 0.3, 1.0)
"""Candidate shares of the sampling variance that no two studies have in common."""

RATE_WALKS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4)
"""Candidate steps of the default rate's log-odds."""

ALARM = 0.01
"""Chance that some break is reported from one study to the next where there is none."""

TOGETHER = 0.3
"""Chance that the risk of bins jumps where the others' spread over them did: columns that mean something else now."""

LEAST_SHARE = 0.05
"""Least share of a bin, in shares of an even one, by which its change is measured."""

CHANGED = 4.0
"""How much more or less of a bin's defaults are expected at most, for more or fewer enterprises in it."""


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


_Study = tuple[Sequence[Bins], LabelCounts]


def _known(studies: Sequence[_Study], place: int) -> Remembered:
    """Counts of the study at `place` with those of all others."""
    table = _Table.of(studies, place)
    rate = _rates(table)
    rates = expit(rate.mean[:, 0, 0])
    totals = np.stack([rates, 1 - rates], 1) * table.rows[:, None]
    scale = totals[place] / np.maximum(totals, 1e-9)
    others = _others(table, scale[:, 1], totals[place, 1])
    defaults = _defaults(table, scale[:, 0], totals[place, 0], others)
    left = _mean(table.valid, defaults.variance[place])
    return Remembered(
        counts=_counts(table, totals[place], defaults, others),
        weights=tuple(_mean(table.valid, defaults.weights[:-1]).T),
        worth=np.maximum(table.noise[place] / np.maximum(left, LEAST_NOISE), 1.0),
        rate_weights=rate.weights[:-1, 0, 0],
        breaks=_breaks(table, rate, others, defaults),
    )


@dataclass(frozen=True, kw_only=True)
class _Table:
    """Counts of all studies on the columns of the one at `place`, filled up to the longest: S studies, J columns.

    n1, n0: (S, J, B). noise: their variance, (S, J). seen: (S, J). valid: (J, B). rows: (S,) enterprises. logit,
    logit_noise: the default rate's log-odds and their variance, (S,).
    """

    place: int
    n1: Floats
    n0: Floats
    noise: Floats
    seen: NDArray[np.bool_]
    valid: NDArray[np.bool_]
    rows: Floats
    logit: Floats
    logit_noise: Floats

    @classmethod
    def of(cls, studies: Sequence[_Study], place: int) -> _Table:
        columns = [b for b in studies[place][0] if b.feature.is_column]
        if [b.size for b in columns] != [len(a) for a in studies[place][1].n1]:
            raise ConfigError("memory: label counts do not have one number per bin of every column")
        shape = (len(studies), len(columns), max(b.size for b in columns))
        n1, n0 = np.zeros((2, *shape))
        noise, seen = np.ones(shape[:2]), np.zeros(shape[:2], bool)
        for s, (bins, counts) in enumerate(studies):
            for j, at in enumerate(places([b for b in bins if b.feature.is_column], columns)):
                if at is not None:
                    size = columns[j].size
                    n1[s, j, :size], n0[s, j, :size] = counts.n1[at], counts.n0[at]
                    noise[s, j], seen[s, j] = counts.variance[at], True
        rows = np.array([c.positives + c.negatives for _, c in studies])
        rate = np.clip([c.positives / n for (_, c), n in zip(studies, rows, strict=True)], *RATES)
        error = np.array([c.rate_error for _, c in studies])
        return cls(
            place=place,
            n1=n1,
            n0=n0,
            noise=noise,
            seen=seen,
            valid=np.arange(shape[2]) < np.array([[b.size] for b in columns]),
            rows=rows,
            logit=logit(rate),
            logit_noise=(error / (rate * (1 - rate))) ** 2,
        )


def _rates(table: _Table) -> Levels:
    """The default rate's log-odds, as one series of one element."""
    rate, rows = float(expit(table.logit[table.place])), float(table.rows[table.place])
    return levels(
        Observed(
            value=table.logit[:, None, None],
            noise=table.logit_noise[:, None, None],
            seen=np.ones((len(table.rows), 1), bool),
            valid=np.ones((1, 1), bool),
            size=np.ones((1, 1)),
            sampling=np.full((1, 1), 1 / (rows * rate * (1 - rate))),
        ),
        Candidates.of(RATE_WALKS, TURNOVERS),
    )


def _others(table: _Table, scale: Floats, total: float) -> Levels:
    """Others by bin, all studies brought to this one's number of others."""
    noise = table.noise * scale[:, None] ** 2
    value = table.n0 * scale[:, None, None]
    size = _averaged(table, value, noise)
    return levels(_observed(table, value, noise[..., None], size, total), Candidates.of(WALKS, TURNOVERS))


def _defaults(table: _Table, scale: Floats, total: float, others: Levels) -> Levels:
    """Defaults by bin, all studies brought to this one's number of defaults and to its others by bin."""
    unsure = np.sqrt(_mean(table.valid, others.variance))[..., None]
    filled = np.maximum(others.mean, 0.0) + np.maximum(unsure, 1e-9)
    change = np.clip(filled[table.place] / filled, 1 / CHANGED, CHANGED) * scale[:, None, None]
    value, noise = table.n1 * change, table.noise[..., None] * change**2
    expected = np.where(table.valid, np.maximum(others.mean[table.place], 0.0), 0.0)
    expected *= total / np.maximum(expected.sum(1, keepdims=True), 1e-9)
    mean_noise = np.where(table.valid, noise, 0.0).sum(2) / table.valid.sum(1)
    # Counts tell the size of a bin where it exceeds what they leave unsure; else others do.
    left = 1 / (table.seen / np.maximum(mean_noise, LEAST_NOISE)).sum(0)
    trust = expected**2 / (expected**2 + left[:, None])
    size = np.maximum(trust * _averaged(table, value, mean_noise) + (1 - trust) * expected, expected / 4)
    jumps = np.maximum(JUMPS, TOGETHER * others.jumped)
    observed = _observed(table, value, noise, size, total, jumps)
    return levels(observed, Candidates.of(WALKS, TURNOVERS, REDRAWN))


def _averaged(table: _Table, value: Floats, noise: Floats) -> Floats:
    """Mean over studies by precision, (J, B)."""
    weight = table.seen / np.maximum(noise, LEAST_NOISE)
    out: Floats = (weight[..., None] * value).sum(0) / weight.sum(0)[:, None]
    return out


def _observed(
    table: _Table, value: Floats, noise: Floats, size: Floats, total: float, jumps: Floats | None = None
) -> Observed:
    """Bins of one feature share its total, so a bin with nearly all of it can hardly change."""
    size = np.where(table.valid, np.maximum(size, LEAST_SHARE * total / table.valid.sum(1)[:, None]), 0.0)
    share = size / size.sum(1, keepdims=True)
    size = share * total
    apart = np.sqrt(np.maximum(1 - 2 * share + (share**2).sum(1, keepdims=True), 0.0))
    return Observed(
        value=np.where(table.valid, value, 0.0),
        noise=np.broadcast_to(noise, value.shape),
        seen=table.seen,
        valid=table.valid,
        size=size * apart,
        sampling=size * (1 - share),
        jumps=jumps,
    )


def _counts(table: _Table, totals: Floats, defaults: Levels, others: Levels) -> LabelCounts:
    """Levels as counts with the study's totals; one variance per feature, of what the moment of labels takes."""
    place, valid = table.place, table.valid
    rate = float(totals[0] / totals.sum())
    one, zero = (_mean(valid, part.noise[place]) for part in (defaults, others))
    variance = ((1 - rate) ** 2 * one + rate**2 * zero) / ((1 - rate) ** 2 + rate**2)
    sizes = valid.sum(1)
    n1, n0 = (tuple(m[:k] for m, k in zip(p.mean[place], sizes, strict=True)) for p in (defaults, others))
    raw = LabelCounts(n1, n0, variance)
    up, down = (
        float(np.clip(t / r, 0.5, 2.0)) for t, r in zip(totals, (raw.positives, raw.negatives), strict=True)
    )
    return LabelCounts(tuple(up * a for a in n1), tuple(down * a for a in n0), variance)


def _breaks(table: _Table, rate: Levels, others: Levels, defaults: Levels) -> tuple[Break, ...]:
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


def _mean(valid: NDArray[np.bool_], value: Floats) -> Floats:
    """Mean over a feature's bins."""
    out: Floats = np.where(valid, value, 0.0).sum(-1) / valid.sum(-1)
    return out
