"""Pairs: interactions between two features of one institution, from one number a pair.

A scorecard adds up one curve a feature. Where default depends on a product, such as high debt at a small firm, curves
do not say it. For every pair of an institution's ordered features, release ``pairs`` has the sum over training rows of
(y - q) p: p is the product of the standardised ranks of both bins (`rank_columns`; ranks, not curves, as a feature may
matter in a pair and not by itself), less what each feature alone has of it, and q what an additive model of the
institution's features expects of the row. All of it follows from label counts and Gram matrix (`pair_design`), and an
institution knows q and p of its rows. This is the score of Rao's test (1948) for the pairs' coefficients; as p has no
part of either feature alone, errors of q do little (Neyman 1959). The information comes from rows that are drawn from a
Gaussian copula (Sklar 1959) with the released shares of bins and correlations.

All coefficients of an institution are normal with one spread, averaged over its candidates by their evidence (MacKay
1992). One candidate is that there is no interaction at all; unless the others are likelier, no pair is kept. As several
pairs often say the same, what all say together is projected on the few that say most of it (Goutis & Robert 1998;
Piironen & Vehtari 2017), which loses little and can be read.

`pair_rows` and `pair_part` are what an institution computes on rows; all else works on released numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, ndtri

from fedrisk.errors import ConfigError, DataError
from fedrisk.models.binning import Bins
from fedrisk.models.curves import Curves
from fedrisk.models.estimator import posterior_weights
from fedrisk.models.label_counts import LabelCounts
from fedrisk.models.shape_rows import radius_units, shrinking

Floats = NDArray[np.float64]
Codes = Sequence[NDArray[np.integer]] | NDArray[np.integer]

CLIP = 1.2
"""Clipping radius of a row's products: times the root of their number, which is their usual norm."""

DRAWN = 20_000
"""Rows that are drawn for one institution."""

SPREADS = (0.0, 0.02, 0.05, 0.1, 0.2)
"""Candidate standard deviations of the coefficients, in log-odds for a product of two standardised ranks."""

MOST = 6
"""Greatest number of pairs of one institution."""

MOST_COLUMNS = 30
"""Greatest number of columns of one institution whose pairs are looked at: pairs, and so the noise of each, bytes and
time, grow with their square. 435 pairs are 100 MB of masked products at 30,000 rows."""

ENOUGH = 0.9
"""Share of what all pairs say that the kept ones have to say."""

MISFIT = 0.03
"""By how much the additive model is wrong about a product's mean among defaults, in standardised units: .004 to .02 as
measured (benchmarks/interactions)."""

LEAST_SHARE = 0.5
"""Share of a product's variance that no curve has; with less, as of two columns that say the same, it is left out."""

SLOPES = (0.2, 3.0)
"""Bounds of the slope of the additive model."""

LIKELY = 0.9
"""Probability above which there is an interaction at all."""


@dataclass(frozen=True)
class PairDesign:
    """What one institution's release is about; all of it follows from numbers released before.

    own: positions of its features with ranks. places: (K, 2), pairs as positions among ``own``. tables: per pair the
    product of ranks by cell, less what each feature alone has of it, (bins, bins). level, shifts: log-odds of the
    additive model q: at average bins, and per feature of ``own`` and bin. radius: to which rows of products are
    clipped. information: of the pairs' coefficients, without what curves can do, (K, K). share: of each product's own
    information that is left in it, (K,). defaults: their expected number. mean, moments: of the products over all
    enterprises, (K,), and of two of them, (K, K); those that the institution does not know have zeros.
    """

    own: tuple[int, ...]
    places: tuple[tuple[int, int], ...]
    tables: tuple[Floats, ...]
    level: float
    shifts: tuple[Floats, ...]
    radius: float
    information: Floats
    share: Floats
    defaults: float
    mean: Floats = field(default_factory=lambda: np.zeros(0))
    moments: Floats = field(default_factory=lambda: np.zeros((0, 0)))


@dataclass(frozen=True)
class Pair:
    """A pair that is kept.

    left, right: positions of its features. weight: coefficient of the product of ranks, in log-odds, and error: its
    standard error. table: contribution in log-odds, (bins of left, bins of right), with no effect of either feature
    alone. place: of the pair in its design.
    """

    left: int
    right: int
    weight: float
    table: Floats
    error: float = 0.0
    place: int = 0


def rank_columns(bins: Sequence[Bins], curves: Curves) -> tuple[Floats, ...]:
    """Standardised rank of every feature's bins, (bins,) each: mean 0 and variance 1 over enterprises with a value.

    Zero in bins of special codes, of missing values and of enterprises that are not known, and for features without
    order, so that they have no pair.
    """
    return tuple(_ranks(b.ordered, w) for b, w in zip(bins, curves.weight, strict=True))


def _ranks(ordered: int, weight: Floats) -> Floats:
    out = np.zeros(len(weight))
    inside = np.maximum(weight[:ordered], 0.0)
    if ordered < 2 or inside.sum() <= 0:
        return out
    share = inside / inside.sum()
    middle = np.cumsum(share) - share / 2 - 0.5
    spread = math.sqrt(float(share @ middle**2))
    if spread > 0:
        out[:ordered] = middle / spread
    return out


def pair_radius(pairs: int) -> float:
    """Clipping radius of a row's products.

    >>> pair_radius(4)
    2.4
    """
    return CLIP * math.sqrt(max(pairs, 1))


def pair_rows(codes: Codes, design: PairDesign, fraction_bits: int) -> NDArray[np.int64]:
    """One institution's products in fixed point, each row of integer norm at most radius 2^bits.

    Args:
        codes: bin codes of the design's features, one array (n,) each.
        design: of the institution.
        fraction_bits: fractional bits of the fixed point.

    Returns:
        int64 (n, pairs), truncated toward zero.

    Raises:
        DataError: a code has no cell, or the design is not of finite numbers.
    """
    limit = radius_units(design.radius, fraction_bits)
    _check(codes, design)
    rows = clipped(_cells(codes, design), design.radius)
    out = np.trunc(rows * 2.0**fraction_bits).astype(np.int64)
    over = np.flatnonzero(np.square(out).sum(1) > limit**2)
    # Rounding of the floats may leave a row too long; shrink it toward zero until the integers fit.
    while len(over):
        out[over] -= np.sign(out[over])
        over = over[np.square(out[over]).sum(1) > limit**2]
    return out


def pair_part(codes: Codes, design: PairDesign) -> Floats:
    """What the additive model expects of each row: its probability of default, (n,), within 0 and 1."""
    _check(codes, design)
    total = design.level + sum(s[c] for s, c in zip(design.shifts, codes, strict=True))
    out: Floats = expit(total)
    return out


def _check(codes: Codes, design: PairDesign) -> None:
    # A number that is none would pass the clipping, and no radius would bound its row.
    numbers = (*design.tables, *design.shifts, np.array([design.level, design.radius]))
    if not all(np.isfinite(part).all() for part in numbers):
        raise DataError("pairs: the products of a design are not finite; nothing follows from such numbers")
    for code, shift in zip(codes, design.shifts, strict=True):
        if len(code) and not 0 <= int(code.min()) <= int(code.max()) < len(shift):
            raise DataError("pairs: a bin code lies outside its feature; bin the table with the same bins")


def _cells(codes: Codes, design: PairDesign) -> Floats:
    return np.stack(
        [t[codes[i], codes[j]] for t, (i, j) in zip(design.tables, design.places, strict=True)], axis=1
    )


def pairs_sensitivity(radii_units: Sequence[int]) -> float:
    """L2 sensitivity of release ``pairs`` in integer units: the root of the sum of squared radii.

    Proof. A row adds (y - q) p to an institution's sums: p its clipped products, |p| <= R, and |y - q| <= 1. A holder's
    record, made zero, takes that away, and nothing from other institutions' sums: at most R. A bank's record, made
    zero, takes away its own (y - q) p and, at each holder, y p, where q p is the holder's own and stays: at most the
    root of the sum of all R^2.

    >>> pairs_sensitivity([3, 4]) >= 5
    True
    """
    if not len(radii_units) or any(int(r) != r or r < 1 for r in radii_units):
        raise ConfigError("pairs_sensitivity: radii must be positive integers, one per institution")
    return math.nextafter(math.sqrt(sum(int(r) ** 2 for r in radii_units)), math.inf)


def clipped(rows: Floats, radius: float) -> Floats:
    """Rows of norm at most ``radius``."""
    norm = np.sqrt(np.square(rows).sum(1, keepdims=True))
    out: Floats = rows * shrinking(norm, radius)
    return out


def pair_design(
    bins: Sequence[Bins],
    counts: LabelCounts,
    curves: Curves,
    bases: Sequence[Floats],
    gram: Floats,
    gram_variance: Floats,
    institution: str,
) -> PairDesign | None:
    """What the release of one institution is about, or None where it has no two ordered features.

    Of more than MOST_COLUMNS those are taken whose curves differ most, by the label counts.

    Args:
        bins: of all features.
        counts: of all features.
        curves: from the same counts.
        bases: shape columns of all features, M in all.
        gram: noisy Gram matrix of the shape columns, (M, M), and gram_variance: noise variance of its entries.
        institution: role name.
    """
    ranks = rank_columns(bins, curves)
    mine = [j for j, b in enumerate(bins) if b.feature.institution == institution and b.feature.is_column]
    ordered = sorted((j for j in mine if np.any(ranks[j])), key=lambda j: -float(curves.spread[j]))
    own = tuple(sorted(ordered[:MOST_COLUMNS]))
    if len(own) < 2:
        return None
    at = np.concatenate([[0], np.cumsum([b.shape[1] for b in bases])])
    columns = np.concatenate([np.arange(at[j], at[j + 1]) for j in own])
    some = _some(curves, own)
    part = LabelCounts(
        tuple(counts.n1[j] for j in own),
        tuple(counts.n0[j] for j in own),
        counts.variance[list(own)],
        by_bin=tuple(counts.by_bin[j] for j in own) if counts.by_bin else (),
    )
    among = np.ix_(columns, columns)
    weights = posterior_weights([bases[j] for j in own], part, some, gram[among], gram_variance[among])
    correlation = _correlation([bases[j] for j in own], [ranks[j] for j in own], some, gram[among])
    codes = _drawn(some, correlation)
    level, shifts = _expected(codes, weights.contributions, part, some)
    return _designed(own, codes, [ranks[j] for j in own], level, shifts, some)


def _some(curves: Curves, own: Sequence[int]) -> Curves:
    def of(values: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(values[j] for j in own)

    places = list(own)
    return Curves(
        rate=curves.rate,
        total=curves.total,
        curve=of(curves.curve),
        tau=curves.tau[places],
        weight=of(curves.weight),
        spread=curves.spread[places],
        ordered=of(curves.ordered),
        apart=of(curves.apart),
        unknown=of(curves.unknown) if curves.unknown else (),
    )


def _designed(
    own: tuple[int, ...],
    codes: NDArray[np.int64],
    ranks: Sequence[Floats],
    level: float,
    shifts: tuple[Floats, ...],
    curves: Curves,
) -> PairDesign:
    probability = expit(level + sum(s[codes[:, f]] for f, s in enumerate(shifts)))
    weight = probability * (1 - probability)
    places = tuple(combinations(range(len(own)), 2))
    tables = tuple(_table(codes, weight, ranks, i, j) for i, j in places)
    radius = pair_radius(len(places))
    scale = curves.total * _known(curves) / DRAWN
    design = PairDesign(
        own,
        places,
        tables,
        level,
        shifts,
        radius,
        np.zeros((0, 0)),
        np.zeros(0),
        scale * float(probability.sum()),
    )
    products, additive = clipped(_cells(codes.T, design), radius), _additive(codes, ranks)
    whole = (products * weight[:, None]).T @ products
    mixed = (products * weight[:, None]).T @ additive
    alone = (additive * weight[:, None]).T @ additive + 1e-6 * np.eye(additive.shape[1])
    information = scale * (whole - mixed @ np.linalg.solve(alone, mixed.T))
    plain = np.stack([ranks[i][codes[:, i]] * ranks[j][codes[:, j]] for i, j in places], axis=1)
    share = np.diag(information) / np.maximum(scale * (weight @ plain**2), 1e-12)
    exact = _cells(codes.T, design) * math.sqrt(_known(curves) / DRAWN)
    mean: Floats = exact.mean(0) * math.sqrt(DRAWN * _known(curves))
    return replace(design, information=information, share=share, mean=mean, moments=exact.T @ exact)


def _expected(
    codes: NDArray[np.int64], shifts: Sequence[Floats], counts: LabelCounts, curves: Curves
) -> tuple[float, tuple[Floats, ...]]:
    """Level and shifts of the additive model, at the slope at which drawn rows have the released mean of defaults."""
    total = sum(s[codes[:, f]] for f, s in enumerate(shifts))
    rate = curves.rate
    # Among defaults, the mean of what the features add up to: known from the counts.
    wanted = sum(float(n1 @ s) / max(float(n1.sum()), 1.0) for n1, s in zip(counts.n1, shifts, strict=True))

    def level_of(slope: float) -> float:
        return float(brentq(lambda v: float(expit(v + slope * total).mean()) - rate, -60.0, 60.0))

    def missed(slope: float) -> float:
        return float((expit(level_of(slope) + slope * total) * total).mean()) / rate - wanted

    low, high = SLOPES
    slope = (
        low if missed(low) > 0 else high if missed(high) < 0 else float(brentq(missed, low, high, xtol=1e-6))
    )
    return level_of(slope), tuple(slope * s for s in shifts)


def _known(curves: Curves) -> float:
    """Share of the enterprises that the institution knows."""
    return 1.0 - (float(curves.weight[0][-1]) if curves.unknown and curves.unknown[0] else 0.0)


def _correlation(bases: Sequence[Floats], ranks: Sequence[Floats], curves: Curves, gram: Floats) -> Floats:
    """Correlations of the ranks, as far as shape columns span them, from the Gram matrix."""
    at, parts = 0, []
    total = np.zeros((gram.shape[0], len(ranks)))
    for f, (base, rank) in enumerate(zip(bases, ranks, strict=True)):
        weight = curves.weight[f][:, None]
        part = np.linalg.lstsq((base * weight).T @ base, (base * weight).T @ rank, rcond=1e-9)[0]
        total[at : at + base.shape[1], f] = part
        at += base.shape[1]
        parts.append(part)
    out = total.T @ gram @ total / (curves.total * _known(curves))
    np.fill_diagonal(out, 1.0)
    found: Floats = np.clip((out + out.T) / 2, -0.95, 0.95) * (1 - np.eye(len(out))) + np.eye(len(out))
    return found


def _drawn(curves: Curves, correlation: Floats) -> NDArray[np.int64]:
    """Codes of drawn rows, (DRAWN, features), from a Gaussian copula with the released shares of bins."""
    rng = np.random.default_rng(0)
    half = rng.standard_normal((DRAWN // 2, len(correlation)))
    normal = np.concatenate([half, -half]) @ _root(2 * np.sin(np.pi * correlation / 6)).T
    gaps = rng.random(normal.shape)
    return np.stack([_coded(normal[:, f], gaps[:, f], curves, f) for f in range(len(correlation))], axis=1)


def fit_pairs(design: PairDesign, sums: Floats, variance: float, most: int = MOST) -> tuple[Pair, ...]:
    """The pairs of one institution that the evidence keeps, what says most first; none where noise covers all.

    Args:
        design: of the release.
        sums: what was released, (K,).
        variance: of the noise in each.
        most: greatest number of pairs.
    """
    usable = np.flatnonzero(design.share > LEAST_SHARE)
    if not len(usable):
        return ()
    information, score = design.information[np.ix_(usable, usable)], np.asarray(sums, float)[usable]
    noise = information + (variance + (MISFIT * design.defaults) ** 2) * np.eye(len(score))
    mean, covariance, likely = _posterior(score, information, noise)
    if likely <= LIKELY:
        return ()
    kept = _chosen(mean, information, most)
    onto = np.linalg.solve(information[np.ix_(kept, kept)], information[kept])
    weights, errors = onto @ mean, np.sqrt(np.maximum(np.diag(onto @ covariance @ onto.T), 0.0))
    out = []
    for at, weight, error in zip(kept, weights.tolist(), errors.tolist(), strict=True):
        k = int(usable[at])
        i, j = design.places[k]
        out.append(Pair(design.own[i], design.own[j], weight, weight * design.tables[k], error, k))
    return tuple(out)


def _root(correlation: Floats) -> Floats:
    """The symmetric square root, which is unique, of the matrix without its negative eigenvalues; rows of norm 1."""
    value, vector = np.linalg.eigh(correlation)
    root = (vector * np.sqrt(np.maximum(value, 1e-6))) @ vector.T
    out: Floats = root / np.sqrt(np.square(root).sum(1, keepdims=True))
    return out


def _coded(z: Floats, gap: Floats, curves: Curves, j: int) -> NDArray[np.int64]:
    """Bins of one feature: of values by rank, of special codes and missing values at random."""
    outside = int(bool(curves.unknown) and curves.unknown[j])
    share = np.maximum(curves.weight[j][: len(curves.weight[j]) - outside], 0.0)
    share, ordered = share / share.sum(), curves.ordered[j]
    valued = max(float(share[:ordered].sum()), 1e-9)
    bounds = ndtri(np.clip(np.cumsum(share[:ordered])[:-1] / valued, 0.0, 1.0))
    out = np.searchsorted(bounds, z, side="right")
    if ordered < len(share):
        others = valued + np.cumsum(share[ordered:])
        at = np.minimum(ordered + np.searchsorted(others, gap, side="right"), len(share) - 1)
        out = np.where(gap < valued, out, at)
    return out.astype(np.int64)


def _additive(codes: NDArray[np.int64], columns: Sequence[Floats]) -> Floats:
    """What curves can do, in few columns: one, each feature's rank and its powers, and whether it has a value."""
    parts = [np.ones(len(codes))]
    for f, column in enumerate(columns):
        u = column[codes[:, f]]
        parts += [u, u**2, u**3]
        valued = (u != 0).astype(float)
        if valued.min() < 1:
            parts.append(valued)
    return np.stack(parts, axis=1)


def _posterior(score: Floats, information: Floats, noise: Floats) -> tuple[Floats, Floats, float]:
    """Mean and covariance of all coefficients, averaged over their spreads by evidence; chance that there is any."""
    evidences, means, squares = [], [], []
    for spread in SPREADS:
        covariance = noise + spread**2 * information @ information
        solved = np.linalg.solve(covariance, score)
        evidences.append(-0.5 * float(score @ solved) - 0.5 * float(np.linalg.slogdet(covariance)[1]))
        means.append(spread**2 * information @ solved)
        known = information @ np.linalg.solve(covariance, information)
        squares.append(spread**2 * np.eye(len(score)) - spread**4 * known + np.outer(means[-1], means[-1]))
    likely = np.exp(np.array(evidences) - max(evidences))
    likely /= likely.sum()
    mean: Floats = likely @ np.array(means)
    square: Floats = np.tensordot(likely, np.array(squares), 1)
    return mean, square - np.outer(mean, mean), 1.0 - float(likely[0])


def _chosen(mean: Floats, information: Floats, most: int) -> list[int]:
    """Few pairs that say what all coefficients say: those added first that explain most."""
    wanted = information @ mean
    whole, kept = float(mean @ wanted), list[int]()
    while len(kept) < min(most, len(mean)):
        explained = [
            -np.inf if k in kept else _explained(wanted, information, [*kept, k]) for k in range(len(mean))
        ]
        best = int(np.argmax(explained))
        kept.append(best)
        if explained[best] > ENOUGH * whole:
            break
    return kept


def _explained(wanted: Floats, information: Floats, kept: Sequence[int]) -> float:
    among = information[np.ix_(kept, kept)] + 1e-9 * np.eye(len(kept))
    return float(wanted[kept] @ np.linalg.solve(among, wanted[kept]))


def _table(
    codes: NDArray[np.int64], weight: Floats, ranks: Sequence[Floats], left: int, right: int
) -> Floats:
    """Product of two ranks by cell, less what each feature alone has of it, under the drawn rows' weights."""
    a, b = ranks[left], ranks[right]
    cells = codes[:, left] * len(b) + codes[:, right]
    table = np.outer(a, b)
    valued = np.outer(a != 0, b != 0)
    inside = np.bincount(cells, weight, len(a) * len(b)).reshape(len(a), len(b))
    mass: Floats = np.where(valued, inside, 0.0)
    for _ in range(20):
        table -= np.where(valued, _mean(table, mass, 1)[:, None], 0.0)
        table -= np.where(valued, _mean(table, mass, 0)[None, :], 0.0)
    return table


def _mean(table: Floats, mass: Floats, axis: int) -> Floats:
    below = mass.sum(axis)
    out: Floats = np.where(below > 0, (table * mass).sum(axis) / np.where(below > 0, below, 1.0), 0.0)
    return out
