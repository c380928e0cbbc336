"""Label counts of a series of studies as levels that wander: of the default rate, of others and of defaults by bin.

Counts of every study are brought to one study's numbers of defaults and others, and its defaults to that study's others
by bin: at the same odds a bin that holds more enterprises has more defaults. What then still changes is the relation of
risk and column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from fedrisk.errors import ConfigError
from fedrisk.models.binning import Bins
from fedrisk.models.curves import centred
from fedrisk.models.knowledge import places
from fedrisk.models.label_counts import RATES, LabelCounts
from fedrisk.models.local_level import JUMPS, LEAST_NOISE, Candidates, Levels, Observed, levels
from fedrisk.models.smoothing import prior_precision

Floats = NDArray[np.float64]

WALKS = (0.0, 0.02, 0.04, 0.08, 0.16, 0.32)
"""Candidate steps of a bin's share, relative to itself, from one study to the next."""

TURNOVERS = (0.0, 0.2)
"""Candidate shares of enterprises that come and go from one study to the next, twice over."""

REDRAWN = (0.0, 0.4, 1.0)
"""Candidate shares of the sampling variance that no two studies have in common."""

RATE_WALKS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4)
"""Candidate steps of the default rate's log-odds."""

STEP = 0.5
"""Step of a random walk over bins by which the shape of changes goes: small against a level's freedom, so smooth."""

TOGETHER = 0.9
"""Chance that the risk of bins jumps where the others' spread over them did: columns that mean something else now."""

LEAST_SHARE = 0.05
"""Least share of a bin, in shares of an even one, by which its change is measured."""

CHANGED = 4.0
"""How much more or less of a bin's defaults are expected at most, for more or fewer enterprises in it."""

Study = tuple[Sequence[Bins], LabelCounts]
"""Bins of all features of a study, and the label counts of its columns."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Counts of all studies on the columns of the one at `place`, filled up to the longest: S studies, J columns.

    n1, n0: (S, J, B). noise: their variance, (S, J). seen: (S, J). valid: (J, B). rows: (S,) enterprises. logit,
    logit_noise: the default rate's log-odds and their variance, (S,).
    """

    place: int
    columns: tuple[Bins, ...]
    n1: Floats
    n0: Floats
    noise: Floats
    seen: NDArray[np.bool_]
    valid: NDArray[np.bool_]
    rows: Floats
    logit: Floats
    logit_noise: Floats

    @classmethod
    def of(cls, studies: Sequence[Study], place: int) -> Table:
        """From studies in order; ConfigError where the counts and bins of the one at `place` do not fit."""
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
            columns=tuple(columns),
            n1=n1,
            n0=n0,
            noise=noise,
            seen=seen,
            valid=np.arange(shape[2]) < np.array([[b.size] for b in columns]),
            rows=rows,
            logit=logit(rate),
            logit_noise=(error / (rate * (1 - rate))) ** 2,
        )


def rates(table: Table) -> Levels:
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


def others(table: Table, scale: Floats, total: float) -> Levels:
    """Others by bin, all studies brought to this one's number of spread."""
    noise = table.noise * scale[:, None] ** 2
    value = table.n0 * scale[:, None, None]
    size = _averaged(table, value, noise)
    return _levels(table, value, noise[..., None], _sized(table, size, total))


def defaults(table: Table, scale: Floats, total: float, spread: Levels) -> Levels:
    """Defaults by bin, all studies brought to this one's number of defaults and to its others by bin."""
    unsure = np.sqrt(mean_of(table.valid, spread.variance))[..., None]
    filled = np.maximum(spread.mean, 0.0) + np.maximum(unsure, 1e-9)
    change = np.clip(filled[table.place] / filled, 1 / CHANGED, CHANGED) * scale[:, None, None]
    value, noise = table.n1 * change, table.noise[..., None] * change**2
    expected = np.where(table.valid, np.maximum(spread.mean[table.place], 0.0), 0.0)
    expected *= total / np.maximum(expected.sum(1, keepdims=True), 1e-9)
    mean_noise = np.where(table.valid, noise, 0.0).sum(2) / table.valid.sum(1)
    # Counts tell the size of a bin where it exceeds what they leave unsure; else others do.
    left = 1 / (table.seen / np.maximum(mean_noise, LEAST_NOISE)).sum(0)
    trust = expected**2 / (expected**2 + left[:, None])
    size = np.maximum(trust * _averaged(table, value, mean_noise) + (1 - trust) * expected, expected / 4)
    jumps = np.maximum(JUMPS, TOGETHER * spread.jumped)
    # Enterprises that came, went or were drawn are the same for defaults; how far their levels walk is not.
    roster = spread.posterior.mean(1).reshape(len(WALKS), -1).mean(0)
    prior = np.tile(roster / roster.sum() / len(WALKS), len(WALKS))
    return _levels(table, value, noise, _sized(table, size, total), jumps, prior)


def _sized(table: Table, size: Floats, total: float) -> Floats:
    """What is expected in each bin with the total, no bin empty."""
    size = np.where(table.valid, np.maximum(size, LEAST_SHARE * total / table.valid.sum(1)[:, None]), 0.0)
    out: Floats = size * total / size.sum(1, keepdims=True)
    return out


def _averaged(table: Table, value: Floats, noise: Floats) -> Floats:
    """Mean over studies by precision, (J, B)."""
    weight = table.seen / np.maximum(noise, LEAST_NOISE)
    out: Floats = (weight[..., None] * value).sum(0) / weight.sum(0)[:, None]
    return out


def _levels(
    table: Table,
    value: Floats,
    noise: Floats,
    size: Floats,
    jumps: Floats | None = None,
    prior: Floats | None = None,
) -> Levels:
    """Levels of counts by bin. size: what is expected in each, (J, B), which sums to the total.

    Log-odds change smoothly over ordered bins, so that steps go together. They do not in the coordinates of their
    covariance, in which the noise of counts is what it was (an orthogonal turn): there every coordinate is a series.
    """
    turn, step = _coordinates(table, size)
    total = size.sum(1)[:, None]
    sampling = (turn**2 * size[..., None]).sum(1) - (turn * size[..., None]).sum(1) ** 2 / total
    found = levels(
        Observed(
            value=np.einsum("jbk,sjb->sjk", turn, value),
            noise=np.einsum("jbk,sjb->sjk", turn**2, np.broadcast_to(noise, value.shape)),
            seen=table.seen,
            valid=table.valid,
            size=step,
            sampling=np.maximum(sampling, 0.0),
            jumps=jumps,
        ),
        Candidates.of(WALKS, TURNOVERS, REDRAWN),
        prior,
    )
    back = {name: np.einsum("jbk,sjk->sjb", turn**2, getattr(found, name)) for name in ("variance", "noise")}
    return replace(found, mean=np.einsum("jbk,sjk->sjb", turn, found.mean), **back)


def _coordinates(table: Table, size: Floats) -> tuple[Floats, Floats]:
    """Per column the coordinates in which steps of counts are independent, (J, B, B), and their scale, (J, B)."""
    turn, step = np.zeros((*size.shape, size.shape[1])), np.zeros(size.shape)
    for j, b in enumerate(table.columns):
        inside = slice(0, b.size)
        share = size[j, inside] / size[j, inside].sum()
        apart = b.size - b.ordered if b.ordered else 0
        # A feature's curve has mean zero, and the usual square of its change over enterprises is 1.
        kernel = centred(np.asarray(np.linalg.inv(prior_precision(b.size, b.ordered, STEP, apart))), share)
        kernel /= max(float(share @ np.diag(kernel)), 1e-12)
        value, vector = np.linalg.eigh(size[j, inside, None] * kernel * size[j, inside])
        turn[j, inside, inside], step[j, inside] = vector, np.sqrt(np.maximum(value, 0.0))
    return turn, step


def mean_of(valid: NDArray[np.bool_], value: Floats) -> Floats:
    """Mean over a feature's bins."""
    out: Floats = np.where(valid, value, 0.0).sum(-1) / valid.sum(-1)
    return out
