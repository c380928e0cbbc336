"""Pairs: interactions between two features of one institution, from one number a pair for each class.

A scorecard adds up one curve a feature. Where default depends on a product, such as high debt at a small firm, the
curves do not say it. Release ``pairs`` does, with few numbers: for every pair i < j of an institution's ordered
features the sums over training rows of y u_i u_j and (1 - y) u_i u_j, where u is the standardised rank of a feature's
bin (`rank_columns`). Ranks, not curves, as a feature may matter in a pair and not by itself.

What additive curves alone would make of these sums is known from released numbers: rows are drawn from a Gaussian
copula (Sklar 1959; Nelsen 2006) that has the released shares of bins and the released sums of all rows, and an
additive logistic model on them is brought to the released counts of defaults by raking (Deming & Stephan 1940). The
difference is the score of Rao's test (1948) for the pairs' coefficients, with the information that the drawn rows give.
Pairs are taken one by one, by greatest evidence of a spike and slab (Mitchell & Beauchamp 1988), only while a pair is
likelier than not; noise is in the evidence, so a low budget keeps none.

`pair_rows` is what an institution computes on rows; all else works on released numbers and costs no privacy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtri

from fedrisk.errors import ConfigError, DataError
from fedrisk.models.binning import Bins
from fedrisk.models.estimator import Curves
from fedrisk.models.shape_rows import radius_units

Floats = NDArray[np.float64]
Codes = Sequence[NDArray[np.integer]] | NDArray[np.integer]

CLIP = 1.5
"""Clipping radius of a row's products: times the root of their number, which is their usual norm."""

DRAWN = 20_000
"""Rows that are drawn for one institution."""

SLABS = (0.05, 0.1, 0.2, 0.4)
"""Candidate prior standard deviations of a pair's coefficient, in log-odds for a product of two standardised ranks."""

MOST = 8
"""Greatest number of pairs of one institution."""

MISFIT = 0.02
"""By how much the copula is wrong about a pair's mean among defaults, in standardised units: .01 to .03 as measured
(benchmarks/interactions)."""

LEAST_SHARE = 1 / 3
"""Share of a product's variance that no curve has; with less, as of two columns that say the same, a pair is left out."""

LIKELIER = 1.0
"""By how much, in logarithms, a pair has to be likelier than none, beyond the number of pairs to choose from."""


@dataclass(frozen=True)
class PairSums:
    """Release ``pairs`` of one institution.

    places: (K, 2), positions of the features of each pair. positives, negatives: sums of clipped products over
    defaults and others, (K,). variance: of the noise in each. radius: to which rows were clipped.
    """

    places: tuple[tuple[int, int], ...]
    positives: Floats
    negatives: Floats
    variance: float
    radius: float


@dataclass(frozen=True)
class Pair:
    """A pair that is kept.

    left, right: positions of its features. weight: coefficient of the product of ranks, in log-odds; error: its
    standard deviation. evidence: by how much the logarithm of the odds for the pair rose. table: contribution in
    log-odds, (bins of left, bins of right), with no effect of either feature alone.
    """

    left: int
    right: int
    weight: float
    error: float
    evidence: float
    table: Floats


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


def pairs_of(bins: Sequence[Bins], columns: Sequence[Floats], institution: str) -> tuple[tuple[int, int], ...]:
    """All pairs of an institution's features with ranks: what a study asks for, from public facts and counts alone."""
    own = [
        j
        for j, (b, u) in enumerate(zip(bins, columns, strict=True))
        if b.feature.institution == institution and b.feature.is_column and np.any(u)
    ]
    return tuple(combinations(own, 2))


def pair_radius(pairs: int) -> float:
    """Clipping radius of a row's products.

    >>> pair_radius(4)
    3.0
    """
    return CLIP * math.sqrt(max(pairs, 1))


def pair_rows(
    codes: Codes,
    columns: Sequence[Floats],
    places: Sequence[tuple[int, int]],
    radius: float,
    fraction_bits: int,
) -> NDArray[np.int64]:
    """One institution's products in fixed point, each row of integer norm at most radius 2^bits.

    Args:
        codes: bin codes of its features, one array (n,) each.
        columns: their ranks, (bins,) each.
        places: pairs, as positions among these features.
        radius: clipping radius.
        fraction_bits: fractional bits of the fixed point.

    Returns:
        int64 (n, pairs), truncated toward zero.

    Raises:
        DataError: a code has no rank.
    """
    limit = radius_units(radius, fraction_bits)
    for code, column in zip(codes, columns, strict=True):
        if len(code) and not 0 <= int(code.min()) <= int(code.max()) < len(column):
            raise DataError("pair_rows: a bin code lies outside its column; bin the table with the same bins")
    ranks = np.stack([u[c] for u, c in zip(columns, codes, strict=True)], axis=1)
    rows = clipped(_products(ranks, places), radius)
    out = np.trunc(rows * 2.0**fraction_bits).astype(np.int64)
    over = np.flatnonzero(np.square(out).sum(1) > limit**2)
    # Rounding of the floats may leave a row too long; shrink it toward zero until the integers fit.
    while len(over):
        out[over] -= np.sign(out[over])
        over = over[np.square(out[over]).sum(1) > limit**2]
    return out


def pairs_sensitivity(radii_units: Sequence[int]) -> float:
    """L2 sensitivity of release ``pairs`` in integer units: the root of the sum of squared radii.

    Proof. A row adds y p and (1 - y) p to an institution's sums, p its clipped products, |p| <= R. As y^2 + (1 - y)^2
    <= 1 for y from 0 to 1, that is a vector of norm at most R. A holder's record, made zero, takes away its own part:
    at most its R. A bank's record, made zero, takes away its own products and, as y and 1 - y both vanish, the row's
    part of every holder's sums: at most the root of the sum of R^2. A bank's label that changes from y to y' changes
    each part by |y - y'| sqrt(2) R; to zero is what the accounting protects from, as in label counts.

    >>> pairs_sensitivity([3, 4]) >= 5
    True
    """
    if not len(radii_units) or any(int(r) != r or r < 1 for r in radii_units):
        raise ConfigError("pairs_sensitivity: radii must be positive integers, one per institution")
    return math.nextafter(math.sqrt(sum(int(r) ** 2 for r in radii_units)), math.inf)


def clipped(rows: Floats, radius: float) -> Floats:
    """Rows of norm at most ``radius``."""
    norm = np.sqrt(np.square(rows).sum(1, keepdims=True))
    out: Floats = rows * np.minimum(1.0, radius / np.maximum(norm, 1e-300))
    return out


def _products(ranks: Floats, places: Sequence[tuple[int, int]]) -> Floats:
    left, right = (np.array([p[side] for p in places], dtype=np.int64) for side in (0, 1))
    out: Floats = ranks[:, left] * ranks[:, right]
    return out


@dataclass(frozen=True)
class _Drawn:
    """Rows drawn for one institution: codes (N, F), clipped products (N, K), and each row's probability of default."""

    codes: NDArray[np.int64]
    products: Floats
    probability: Floats
    scale: float


def fit_pairs(curves: Curves, columns: Sequence[Floats], sums: PairSums, most: int = MOST) -> tuple[Pair, ...]:
    """The pairs of one institution that the evidence keeps, strongest first; none where noise covers all.

    Args:
        curves: of all features, from the label counts.
        columns: their ranks.
        sums: what was released.
        most: greatest number of pairs.
    """
    if not sums.places:
        return ()
    own = sorted({j for pair in sums.places for j in pair})
    drawn = _drawn(curves, columns, sums, own)
    weight = drawn.probability * (1 - drawn.probability)
    defaults = drawn.scale * float(drawn.probability.sum())
    # What the drawn rows miss of the products' means, defaults miss alike.
    missed = (sums.positives + sums.negatives) / (drawn.scale * DRAWN) - drawn.products.mean(0)
    score = sums.positives - drawn.scale * (drawn.probability @ drawn.products) - defaults * missed
    additive = _additive(drawn.codes, [columns[j] for j in own])
    design = (drawn.products * weight[:, None]).T @ drawn.products
    mixed = (drawn.products * weight[:, None]).T @ additive
    alone = (additive * weight[:, None]).T @ additive + 1e-6 * np.eye(additive.shape[1])
    information = drawn.scale * (design - mixed @ np.linalg.solve(alone, mixed.T))
    share = np.diag(information) / np.maximum(drawn.scale * np.diag(design), 1e-12)
    usable = np.flatnonzero(share > LEAST_SHARE)
    noise = information + (sums.variance + (MISFIT * defaults) ** 2) * np.eye(len(score))
    keep = np.ix_(usable, usable)
    out = []
    for at, mean, error, gained in _chosen(score[usable], information[keep], noise[keep], most):
        k = int(usable[at])
        left, right = (own.index(j) for j in sums.places[k])
        table = _table(drawn, weight, columns, own, left, right)
        out.append(Pair(*sums.places[k], mean, error, gained, mean * table))
    return tuple(out)


def _drawn(curves: Curves, columns: Sequence[Floats], sums: PairSums, own: Sequence[int]) -> _Drawn:
    """Rows from a Gaussian copula with the released shares of bins and the released sums of products."""
    known = 1.0 - (float(curves.weight[own[0]][-1]) if curves.unknown and curves.unknown[own[0]] else 0.0)
    scale = curves.total * known / DRAWN
    rng = np.random.default_rng(0)
    # Antithetic rows: the means of odd functions are exactly zero.
    half = rng.standard_normal((DRAWN // 2, len(own)))
    normal = np.concatenate([half, -half])
    gaps = rng.random((DRAWN, len(own)))
    wanted = (sums.positives + sums.negatives) / (scale * DRAWN)
    places = [(own.index(i), own.index(j)) for i, j in sums.places]
    correlation = np.eye(len(own))
    for (i, j), value in zip(places, wanted, strict=True):
        correlation[i, j] = correlation[j, i] = float(np.clip(value, -0.95, 0.95))
    codes = np.empty((DRAWN, len(own)), dtype=np.int64)
    products = np.empty((DRAWN, len(places)))
    for _ in range(6):
        z = normal @ _root(correlation).T
        for f, j in enumerate(own):
            codes[:, f] = _coded(z[:, f], gaps[:, f], curves, j)
        ranks = np.stack([columns[j][codes[:, f]] for f, j in enumerate(own)], axis=1)
        products = clipped(_products(ranks, places), sums.radius)
        missed = wanted - products.mean(0)
        for (i, j), value in zip(places, missed, strict=True):
            moved = float(np.clip(correlation[i, j] + value, -0.98, 0.98))
            correlation[i, j] = correlation[j, i] = moved
    return _Drawn(codes, products, _raked(codes, curves, own), scale)


def _root(correlation: Floats) -> Floats:
    """A square root of the nearest correlation matrix, by its eigenvalues."""
    value, vector = np.linalg.eigh(correlation)
    root = vector * np.sqrt(np.maximum(value, 1e-6))
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


def _raked(codes: NDArray[np.int64], curves: Curves, own: Sequence[int], sweeps: int = 30) -> Floats:
    """Probability of default of drawn rows by the additive model that has each feature's smoothed counts of defaults."""
    rate = curves.rate
    shifts = [np.array(curves.curve[j]) * 0.5 for j in own]
    wanted = []
    for f, j in enumerate(own):
        filled = np.bincount(codes[:, f], minlength=len(curves.curve[j])).astype(float)
        risk = filled * np.clip(rate * np.exp(curves.curve[j]), 1e-6, 0.98)
        wanted.append(risk * rate * len(codes) / max(float(risk.sum()), 1e-9))
    total = logit(rate) + sum(s[codes[:, f]] for f, s in enumerate(shifts))
    for _ in range(sweeps):
        for f in range(len(own)):
            found = np.bincount(codes[:, f], expit(total), len(shifts[f]))
            move = 0.9 * (np.log(np.maximum(wanted[f], 1e-3)) - np.log(np.maximum(found, 1e-3)))
            move = np.where(found > 0, np.clip(move, -1, 1), 0.0)
            total = total + move[codes[:, f]]
    out: Floats = expit(total)
    return out


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


def _chosen(
    score: Floats, information: Floats, noise: Floats, most: int
) -> list[tuple[int, float, float, float]]:
    """Pair, coefficient, its error and the evidence, of the pairs that are kept, by one slab for all."""
    best: list[tuple[int, float, float, float]] = []
    most_gained = 0.0
    for slab in SLABS:
        kept = _forward(score, information, noise, slab, most)
        gained = sum(k[3] for k in kept)
        if gained > most_gained:
            best, most_gained = kept, gained
    return best


def _forward(
    score: Floats, information: Floats, noise: Floats, slab: float, most: int
) -> list[tuple[int, float, float, float]]:
    """Pairs one by one, each the one by which the evidence rises most."""
    covariance, asked = noise.copy(), math.log(len(score)) + LIKELIER
    kept: list[tuple[int, float]] = []
    while len(kept) < min(most, len(score)):
        solved = np.linalg.solve(covariance, np.column_stack([score, information]))
        fitted, through = information @ solved[:, 0], np.einsum("ij,ji->i", information, solved[:, 1:])
        spread = 1 + slab**2 * through
        gain = 0.5 * (slab * fitted) ** 2 / spread - 0.5 * np.log(spread)
        gain[[k for k, _ in kept]] = -np.inf
        k = int(np.argmax(gain))
        if gain[k] <= asked:
            break
        kept.append((k, float(gain[k] - asked)))
        covariance = covariance + slab**2 * np.outer(information[:, k], information[:, k])
    if not kept:
        return []
    among = information[:, [k for k, _ in kept]]
    precision = among.T @ np.linalg.solve(noise, among) + np.eye(len(kept)) / slab**2
    mean = np.linalg.solve(precision, among.T @ np.linalg.solve(noise, score))
    error = np.sqrt(np.diag(np.linalg.inv(precision)))
    return [(k, float(m), float(e), g) for (k, g), m, e in zip(kept, mean, error, strict=True)]


def _table(
    drawn: _Drawn, weight: Floats, columns: Sequence[Floats], own: Sequence[int], left: int, right: int
) -> Floats:
    """Product of two ranks by cell, less what each feature alone has of it, under the drawn rows' weights."""
    a, b = columns[own[left]], columns[own[right]]
    cells = drawn.codes[:, left] * len(b) + drawn.codes[:, right]
    mass = np.bincount(cells, weight, len(a) * len(b)).reshape(len(a), len(b))
    table = np.outer(a, b)
    valued = np.outer(a != 0, b != 0)
    mass = mass * valued
    for _ in range(20):
        table -= np.where(valued, _mean(table, mass, 1)[:, None], 0.0)
        table -= np.where(valued, _mean(table, mass, 0)[None, :], 0.0)
    return table


def _mean(table: Floats, mass: Floats, axis: int) -> Floats:
    below = mass.sum(axis)
    out: Floats = np.where(below > 0, (table * mass).sum(axis) / np.where(below > 0, below, 1.0), 0.0)
    return out
