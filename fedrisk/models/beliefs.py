"""What is believed of a study's columns before it: curves and how columns go together, as distributions to draw from.

Of a column that earlier studies counted, the curve is that of their counts, with its posterior covariance; of one that
a prior knows, a share of the known curve about SHARE and a rough rest. Of others only what is declared: direction and
strength. How strong columns of credit data are, and how they go together, was read off the sets at hand
(benchmarks/planner): the spread of a column's log-odds is log-normal, alike in all of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from fedrisk.data.features import Feature
from fedrisk.models.binning import Bins
from fedrisk.models.curves import Curves, fit_curves, shape_bases
from fedrisk.models.gram_memory import remember_gram
from fedrisk.models.knowledge import Knowledge, PastStudy
from fedrisk.models.label_counts import LabelCounts, with_known
from fedrisk.models.memory import remember_counts
from fedrisk.models.smoothing import prior_precision, residuals
from fedrisk.models.worlds import (
    Column,
    World,
    added_world,
    class_shares,
    class_world,
    copula_correlation,
    logistic_world,
)

Floats = NDArray[np.float64]

SPREAD = {"strong": (0.5, 0.3), "medium": (0.3, 0.3), "weak": (0.1, 0.6)}
"""Median and log-deviation of a column's spread of log-odds by declared strength."""

UNSTATED = {True: (0.3, 0.5), False: (0.085, 0.9)}
"""The same where none is declared, with and without a declared direction: experts know the direction of what tells.

Somewhat stronger than what was read off (.25): chosen such that expectations from declarations alone are as often too
high as too low on the provinces and sets at hand; drawn columns are harder to learn than real ones of the same spread.
"""

SET = 0.3
"""Log-deviation by which all columns of a consortium are stronger or weaker than elsewhere."""

MOST_SPREAD = 0.8
"""Greatest spread of a column that is drawn."""

BENT = 0.25
"""Share of a curve without knowledge that is no straight line in the column's ranks."""

SHARE = 0.9
"""Expected share of a known curve."""

USUAL = 0.87
"""Mean square of columns' spreads in units of that of a log-normal one without an upper bound."""

STEEPER = 1.6
"""Most by which known curves are made steeper."""

USUAL_CORRELATION = (0.14, 0.2)
"""Mean and deviation of columns' correlations, to which noisy ones are drawn."""

ROUGH = 0.06
"""Deviation of the rough rest of a curve that a prior knows."""

FACTORS = ((0.36, 0.2), (0.28, 0.2))
"""Mean and deviation of a column's loadings: on what all columns have in common, and those of one institution."""

PAIRS = 3
"""Further factors of loading PAIR, by which pairs differ."""

PAIR = 0.28

RATE = 0.05
"""Default rate where none is declared and no earlier study released one."""


@dataclass(frozen=True, kw_only=True)
class Beliefs:
    """bins: of all features of a card. columns: of its columns, with the mean curve, or none known (zeros).

    covariance: by column, of its curve, (known bins,) squared; None where nothing but declarations is known, which are
    drawn in another way. correlation: of the copula, of all and within classes, None where no Gram matrix is known.
    parts: whether the curves are parts of a card, which add up, and not those of columns by themselves.
    """

    bins: tuple[Bins, ...]
    columns: tuple[Column, ...]
    covariance: tuple[Floats | None, ...]
    known: Mapping[str, float]
    rate: float
    correlation: tuple[Floats, Floats] | None = None
    parts: bool = False

    @property
    def told(self) -> int:
        """Columns of which a curve is known."""
        return sum(c is not None for c in self.covariance)

    def strength(self) -> Floats:
        """Spread of each column's log-odds as believed, (columns,): of its known curve, or as declared."""
        out = []
        for c, v in zip(self.columns, self.covariance, strict=True):
            f = c.bins.feature
            out.append(_usual(f)[0] if v is None else math.sqrt(float(c.weight @ c.curve**2)))
        return np.array(out)

    def draw(self, seed: int, world: int, factor: float = 1.0) -> World:
        """A world by its number: even ones by classes, odd ones of a logistic model.

        The same number is the same world, whatever columns and bins a study has of it: each column has draws of its
        own, by its name. factor: by which all curves are steeper than believed.
        """
        rng = np.random.default_rng([seed, world])
        common = math.exp(SET * rng.standard_normal())
        own = [
            np.random.default_rng([seed, world, crc32(c.bins.feature.name.encode())]) for c in self.columns
        ]
        drawn = np.array([[one.standard_normal() for _ in range(2 + PAIRS)] for one in own])
        columns = [
            _declared(c, common, one) if v is None else replace(c, curve=_varied(c, v, one))
            for c, v, one in zip(self.columns, self.covariance, own, strict=True)
        ]
        columns = [replace(c, curve=factor * c.curve) for c in columns]
        both = self.correlation or (_correlation(self.columns, drawn),) * 2
        make = added_world if self.parts else logistic_world if world % 2 else class_world
        return make(self.bins, columns, self.known, both[1 - world % 2], self.rate, rng)


def believe(bins: Sequence[Bins], knowledge: Knowledge, rate: float | None, known: float) -> Beliefs:
    """Beliefs about a study's columns. bins: of all features, as the study would have them.

    rate: declared default rate. known: share of enterprises that a holder knows, where no earlier study tells.
    """
    holders = {b.feature.institution: known for b in bins if not b.feature.is_column}
    columns = [b for b in bins if b.feature.is_column]
    curves = [None if knowledge.prior is None else c for c in _prior_curves(columns, knowledge)]
    made = [_unknown(b) if c is None else _from_prior(b, c) for b, c in zip(columns, curves, strict=True)]
    covariance = [None if c is None else _rough(b) for b, c in zip(columns, curves, strict=True)]
    parts = _of_card(knowledge, columns)
    beliefs = Beliefs(
        bins=tuple(bins),
        columns=tuple(made) if parts else _restored(made, covariance),
        covariance=tuple(covariance),
        known=holders,
        rate=rate or RATE,
        parts=parts,
    )
    return _remembering(beliefs, knowledge.memory) if knowledge.memory else beliefs


def _prior_curves(columns: Sequence[Bins], knowledge: Knowledge) -> Sequence[Floats | None]:
    return [None] * len(columns) if knowledge.prior is None else knowledge.prior.on(columns)


def _of_card(knowledge: Knowledge, columns: Sequence[Bins]) -> bool:
    """Whether a prior has nothing but a card for most columns; an earlier study has counts."""
    if knowledge.prior is None or knowledge.memory:
        return False
    only = {c.bins.feature.name for c in knowledge.prior.curves if c.shift == c.joint}
    found = [name for name in knowledge.prior.matched(columns) if name is not None]
    return 2 * sum(name in only for name in found) > len(columns)


def _remembering(beliefs: Beliefs, memory: Sequence[PastStudy]) -> Beliefs:
    """The same where the last study of a memory has a column's bins."""
    last = memory[-1]
    counts = remember_counts(memory[:-1], _columns(last.bins), last.counts).counts
    every = with_known(counts, last.bins)
    curves = fit_curves(every, last.bins)
    place = {b.feature.name: j for j, b in enumerate(last.bins)}
    columns, covariance = list(beliefs.columns), list(beliefs.covariance)
    for k, c in enumerate(beliefs.columns):
        j = place.get(c.bins.feature.name)
        if j is None or last.bins[j].edges != c.bins.edges or last.bins[j].size != c.bins.size:
            continue
        inside = slice(0, c.bins.known)
        share = curves.weight[j][inside]
        columns[k] = replace(c, curve=curves.curve[j][inside], weight=share / share.sum())
        covariance[k] = _posterior(every, curves, j, last.bins[j])
    known = {
        b.feature.institution: float(curves.weight[j][0])
        for j, b in enumerate(last.bins)
        if not b.feature.is_column
    }
    found = replace(
        beliefs,
        columns=_restored(columns, covariance),
        covariance=tuple(covariance),
        known={**beliefs.known, **{k: v for k, v in known.items() if k in beliefs.known}},
        rate=curves.rate,
    )
    return replace(found, correlation=_remembered_correlation(found, memory, curves))


def _remembered_correlation(
    beliefs: Beliefs, memory: Sequence[PastStudy], curves: Curves
) -> tuple[Floats, Floats] | None:
    """Correlations of the copula by the Gram matrices of a memory; None where there is none, or columns are missing."""
    last = memory[-1]
    bases = shape_bases(curves)
    matrix = remember_gram(memory, last.bins, bases, curves, None)
    if matrix is None and last.second is not None:
        bases, matrix = last.bases or bases, last.second
    names = [b.feature.name for b in last.bins]
    if matrix is None or any(c.bins.feature.name not in names for c in beliefs.columns):
        return None
    first = np.concatenate([[0], np.cumsum([b.shape[1] for b in bases])[:-1]])
    at = [names.index(c.bins.feature.name) for c in beliefs.columns]
    place = first[at]
    scale = np.array([_slope(bases[j], c) for j, c in zip(at, beliefs.columns, strict=True)])
    share = np.array([beliefs.known.get(c.bins.feature.institution, 1.0) for c in beliefs.columns])
    both = curves.total * np.minimum.outer(share, share) * np.outer(scale, scale)
    covariance = matrix.gram[np.ix_(place, place)] / both
    noise = matrix.variance[np.ix_(place, place)] / both**2
    own = np.array([math.sqrt(max(float(c.weight @ c.curve**2), 1e-6)) for c in beliefs.columns])
    shrunk = _shrunk(covariance / np.outer(own, own), noise / np.outer(own, own) ** 2) * np.outer(own, own)
    gap = np.array([_gap(c, beliefs.rate) for c in beliefs.columns])
    within = shrunk - beliefs.rate * (1 - beliefs.rate) * np.outer(gap, gap)
    return copula_correlation(shrunk, beliefs.columns), copula_correlation(within, beliefs.columns)


def _slope(basis: Floats, column: Column) -> float:
    """By what the first shape column is the curve times."""
    inside, curve = basis[: len(column.curve), 0], column.curve
    return max(float(inside @ curve) / max(float(curve @ curve), 1e-12), 1e-6)


def _shrunk(correlation: Floats, variance: Floats) -> Floats:
    """Noisy correlations, drawn to the mean that is usual for columns of credit data."""
    mean, spread = USUAL_CORRELATION[0], USUAL_CORRELATION[1] ** 2
    out: Floats = (correlation * spread + mean * variance) / (spread + variance)
    return np.clip(out, -0.99, 0.99)


def _gap(column: Column, rate: float) -> float:
    ones, zeros = class_shares(column, rate)
    return float((ones - zeros) @ column.curve)


def _columns(bins: Sequence[Bins]) -> list[Bins]:
    return [b for b in bins if b.feature.is_column]


def _posterior(counts: LabelCounts, curves: Curves, j: int, b: Bins) -> Floats:
    """Posterior covariance of a curve, (known bins,) squared, under the chosen step of its random walk."""
    n1, n0 = counts.n1[j][: b.known], counts.n0[j][: b.known]
    _, spread, slope = residuals(
        n1, n0, counts.variance_of(j)[: b.known], curves.rate, curves.curve[j][: b.known]
    )
    precision = prior_precision(b.known, b.ordered, float(curves.tau[j]), b.apart)
    return np.asarray(np.linalg.inv(precision + np.diag(slope**2 / spread)), dtype=np.float64)


def _varied(column: Column, covariance: Floats, rng: np.random.Generator) -> Floats:
    """A curve about the known one, with mean zero under the column's weights."""
    value, vector = np.linalg.eigh((covariance + covariance.T) / 2)
    drawn = column.curve + vector @ (np.sqrt(np.maximum(value, 0.0)) * rng.standard_normal(len(value)))
    out: Floats = drawn - float(column.weight @ drawn)
    return out


def _restored(columns: Sequence[Column], covariance: Sequence[Floats | None]) -> tuple[Column, ...]:
    """Known curves of a prior made steeper by what smoothing took, which a prior does not say.

    All by one factor: how strong columns are on the whole is known far better than how strong each is.
    """
    square = _usual_square(columns, covariance)
    told = [k for k, v in enumerate(covariance) if v is not None]
    known = sum(float(columns[k].weight @ columns[k].curve ** 2) for k in told)
    rough = sum(float(columns[k].weight @ np.diag(v)) for k in told if (v := covariance[k]) is not None)
    factor = math.sqrt(max(square - rough, 0.0) / max(known, 1e-9))
    factor = float(np.clip(factor, 1.0, STEEPER))
    return tuple(
        c if v is None else replace(c, curve=factor * c.curve)
        for c, v in zip(columns, covariance, strict=True)
    )


def _usual_square(columns: Sequence[Column], covariance: Sequence[Floats | None]) -> float:
    """What columns like the known ones are usually worth."""
    both = [_usual(c.bins.feature) for c, v in zip(columns, covariance, strict=True) if v is not None]
    return USUAL * sum(median**2 * math.exp(2 * deviation**2) for median, deviation in both)


def _usual(f: Feature) -> tuple[float, float]:
    """Median and log-deviation of the spread of a column's log-odds, as declared."""
    return SPREAD[f.strength] if f.strength else UNSTATED[bool(f.leaning)]


def _rough(b: Bins) -> Floats:
    return np.eye(b.known) * ROUGH**2


def _from_prior(b: Bins, known: Floats) -> Column:
    """A column with the expected share of a known curve; weights such that the known curve has mean zero.

    Of all such weights those nearest to even ones (maximum entropy; Jaynes 1957).
    """
    curve = known[: b.known]
    tilt = 0.0
    for _ in range(60):
        weight = np.exp(tilt * curve - np.max(tilt * curve))
        weight /= weight.sum()
        mean = float(weight @ curve)
        spread = float(weight @ curve**2) - mean**2
        if abs(mean) < 1e-9 or spread < 1e-12:
            break
        tilt = float(np.clip(tilt - np.clip(mean / spread, -1, 1), -20, 20))
    return Column(bins=b, curve=SHARE * (curve - float(weight @ curve)), weight=weight)


def _unknown(b: Bins) -> Column:
    return Column(bins=b, curve=np.zeros(b.known), weight=np.full(b.known, 1 / b.known))


def _declared(column: Column, common: float, rng: np.random.Generator) -> Column:
    """A column as its declarations let it be: shares of bins, and a curve of the declared direction and strength."""
    b, f = column.bins, column.bins.feature
    median, deviation = _usual(f)
    spread = min(common * median * math.exp(deviation * rng.standard_normal()), MOST_SPREAD)
    curved, sign = rng.standard_normal(), f.leaning or rng.choice([-1, 1])
    weight = np.full(b.known, 1 / b.known) if f.private_edges else rng.dirichlet(np.ones(b.known))
    weight = np.maximum(weight, 1e-4)
    if b.apart:
        weight[b.levels :] *= 0.2
    weight = weight / weight.sum()
    curve = rng.standard_normal(b.known)
    if b.ordered > 1:
        middle = np.cumsum(weight[: b.ordered]) - weight[: b.ordered] / 2
        line = ndtri(np.clip(middle / weight[: b.ordered].sum(), 1e-3, 1 - 1e-3))
        bend = (line**2 - 1) * curved / 1.4
        curve[: b.ordered] = sign * (math.sqrt(1 - BENT) * line + math.sqrt(BENT) * bend)
    curve -= float(weight @ curve)
    size = math.sqrt(max(float(weight @ curve**2), 1e-12))
    return replace(column, curve=curve * spread / size, weight=weight)


def _correlation(columns: Sequence[Column], drawn: Floats) -> Floats:
    """Correlations as columns of credit data have them, all in the direction of risk: more within an institution.

    drawn: normal numbers of each column, (columns, 2 + PAIRS).
    """
    names = [c.bins.feature.institution for c in columns]
    owner = np.array([sorted(set(names)).index(n) for n in names])
    loading = np.zeros((len(columns), 1 + PAIRS + max(owner) + 1))
    common, own = (m + s * d for (m, s), d in zip(FACTORS, drawn.T, strict=False))
    loading[:, 0], loading[:, 1 : 1 + PAIRS] = common, PAIR * drawn[:, 2:]
    loading[np.arange(len(columns)), 1 + PAIRS + owner] = own
    loading /= np.sqrt(np.maximum((loading**2).sum(1) / 0.95, 1.0))[:, None]
    out: Floats = loading @ loading.T
    np.fill_diagonal(out, 1.0)
    return out
