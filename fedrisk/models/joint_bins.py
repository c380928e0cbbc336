"""Rows of bins drawn from an approximate joint distribution, which follows from a scorecard study's released numbers.

The releases say how a feature's bins are filled among defaults and among others, and, by the Gram matrix of shape rows,
how features go together. Within a class the bins are taken to be a Gaussian copula (Nelsen 2006): every feature has a
normal number, cut into its bins in the order of their risk at the shares of the class. Two features' numbers have one
correlation in both classes: that at which drawn rows have the released entry of their curves. It is drawn towards zero
as far as noise leaves it open. An enterprise that a holder does not know is in the last bin of all of its columns.

Institutions clip shape rows. That cuts most from rows far out in many columns at once, which with a strong label are
most defaults. So drawn rows are clipped likewise when they are held against the matrix, and unclipped afterwards.

Where the copula misses the matrix beyond noise (features that go together otherwise than in the order of their risk),
the difference is kept, drawn towards zero by its noise: a shrunken estimate of what the copula lacks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from fedrisk.models.curves import Curves, radii
from fedrisk.models.score_moments import class_shares
from fedrisk.models.semidefinite import semidefinite, symmetric_root
from fedrisk.models.shape_rows import shrinking

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

DRAWN = 4096
"""Rows that are drawn of each class."""

ROUNDS = 6
"""How often correlations are brought nearer to the released matrix; what remains is about its noise."""

SPREAD = 0.2
"""Prior standard deviation of a correlation."""

MOST, LEAST_ROOT = 0.95, 0.02
"""Greatest correlation, and least eigenvalue of all of them."""

MISFIT = 0.01
"""Variance that entries are weighed for beside their noise, in the estimate of how far the copula misses."""

ALIKE = 9
"""Digits of a curve by which bins are put in order: others are of the machine, and members must have one order."""

LEAST_RADIUS = 1e-3


@dataclass(frozen=True)
class DrawnRows:
    """Rows in the space of shape columns: first those of defaults, then as many of others.

    shapes: (n, M). weight: share of all enterprises that each stands for, (n,). lacking: (M, M), what the second moment
    of the rows lacks, per enterprise. kept: (M, M), how far the noise of the released matrix is in ``lacking``, 0 to 1.
    means: of shape columns by class as released, (2, M).
    """

    shapes: Floats
    weight: Floats
    lacking: Floats
    kept: Floats
    means: Floats


def drawn_rows(
    curves: Curves, bases: Sequence[Floats], owner: Sequence[str], gram: Floats, variance: Floats
) -> DrawnRows:
    """Rows that go together as the released matrix says.

    Args:
        curves: of all features.
        bases: shape columns of each, M in all.
        owner: institution of each feature.
        gram: the released matrix, (M, M); entries within a feature are not used.
        variance: noise variance of its entries, (M, M).
    """
    copula = _Copula(curves, bases, owner)
    at = np.cumsum([0, *(b.shape[1] for b in bases)])[:-1]
    lead = np.ix_(at, at)
    codes = copula.fitted(gram[lead] / curves.total, variance[lead] / curves.total**2)
    shapes = np.concatenate([b[c] for b, c in zip(bases, codes, strict=True)], axis=1)
    clipped = shapes * np.repeat(copula.shrinking(codes), [b.shape[1] for b in bases], axis=1)
    moment = second_moment(shapes, copula.weight)
    missed = gram / curves.total - second_moment(clipped, copula.weight)
    kept = _kept(missed, variance / curves.total**2, moment, bases)
    lacking = kept * missed
    for base, share, start in zip(bases, curves.weight, at.tolist(), strict=True):
        own = slice(start, start + base.shape[1])
        lacking[own, own] = (base.T * share) @ base - moment[own, own]
    means = np.array(
        [np.concatenate([b.T @ s[c] for b, s in zip(bases, copula.shares, strict=True)]) for c in (0, 1)]
    )
    return DrawnRows(shapes, copula.weight, (lacking + lacking.T) / 2, kept, means)


class _Copula:
    """Bins of all features by class, as functions of normal numbers that are drawn once."""

    def __init__(self, curves: Curves, bases: Sequence[Floats], owner: Sequence[str]) -> None:
        self.curves, self.bases, self.owner = curves, bases, np.array(owner)
        count = len(bases)
        self.unknown = curves.unknown or (False,) * count
        self.sizes = [len(c) - int(u) for c, u in zip(curves.curve, self.unknown, strict=True)]
        self.shares = [[_share(p) for p in class_shares(curves, j)] for j in range(count)]
        self.order: list[Codes] = [
            np.argsort(np.round(c[:s], ALIKE), kind="stable").astype(np.int64)
            for c, s in zip(curves.curve, self.sizes, strict=True)
        ]
        self.cuts = [
            [_cuts(p[:s][o]) for p in pair]
            for pair, s, o in zip(self.shares, self.sizes, self.order, strict=True)
        ]
        self.knows = self._knows()
        half = np.random.default_rng(0).standard_normal((DRAWN // 2, count))
        normal = np.concatenate([half, -half])
        self.normal = normal / normal.std(0)
        self.weight = np.repeat([curves.rate / DRAWN, (1 - curves.rate) / DRAWN], DRAWN)
        self.norms = [np.square(b).sum(1) for b in bases]
        self.radii = {o: max(r, LEAST_RADIUS) for o, r in radii(bases, curves, list(owner)).items()}

    def _knows(self) -> dict[str, int]:
        """By holder, the place of its feature that says whether it knows the enterprise."""
        holders = {o for o, u in zip(self.owner.tolist(), self.unknown, strict=True) if u}
        return {
            o: j
            for j, o in enumerate(self.owner.tolist())
            if o in holders and not self.unknown[j] and self.sizes[j] == 2
        }

    def fitted(self, target: Floats, noise: Floats) -> list[Codes]:
        """Codes of all features, (2 DRAWN,) each, once correlations fit the curves' part of the matrix."""
        spread = np.sqrt(
            np.array([w @ b[:, 0] ** 2 for w, b in zip(self.curves.weight, self.bases, strict=True)])
        )
        free, slope = self._free(spread), np.outer(spread, spread)
        slope = np.where(free, slope, 1.0)
        kept = SPREAD**2 / (SPREAD**2 + noise / slope**2)
        correlation = np.eye(len(spread))
        for _ in range(ROUNDS):
            gap = (target - self._leading(self.codes(correlation))) / slope
            moved = np.clip(kept * (correlation + gap), -MOST, MOST)
            correlation = _whole(np.where(free, moved, np.eye(len(spread))))
        return self.codes(correlation)

    def _free(self, spread: Floats) -> NDArray[np.bool_]:
        """Pairs that have a correlation: a holder's columns have none with whether it knows the enterprise."""
        of_known = np.isin(np.arange(len(spread)), list(self.knows.values()))
        tied = (self.owner[:, None] == self.owner) & (of_known[:, None] | of_known)
        out: NDArray[np.bool_] = ~tied & ~np.eye(len(spread), dtype=bool) & (np.outer(spread, spread) > 1e-12)
        return out

    def codes(self, correlation: Floats) -> list[Codes]:
        """Codes of all features, (2 DRAWN,) each, defaults first."""
        number = self.normal @ symmetric_root(correlation)
        out: list[Codes] = []
        for j, (order, cuts) in enumerate(zip(self.order, self.cuts, strict=True)):
            out.append(np.concatenate([order[np.searchsorted(cut, number[:, j], "right")] for cut in cuts]))
        for j, outside in enumerate(self.unknown):
            known = self.knows.get(str(self.owner[j])) if outside else None
            if known is not None:
                out[j] = np.where(out[known] == 0, out[j], self.sizes[j])
        return out

    def shrinking(self, codes: Sequence[Codes]) -> Floats:
        """What clipping multiplies each row's part of each feature by, (2 DRAWN, features)."""
        out = np.ones((len(self.weight), len(codes)))
        for institution, radius in self.radii.items():
            places = np.flatnonzero(self.owner == institution).tolist()
            norm = np.sqrt(np.sum([self.norms[j][codes[j]] for j in places], axis=0))
            out[:, places] = shrinking(norm, radius)[:, None]
        return out

    def _leading(self, codes: Sequence[Codes]) -> Floats:
        """Second moment of the curves' columns of clipped rows, per enterprise."""
        rows = np.stack([b[:, 0][c] for b, c in zip(self.bases, codes, strict=True)], axis=1)
        rows = rows * self.shrinking(codes)
        return second_moment(rows, self.weight)


def second_moment(rows: Floats, weight: Floats) -> Floats:
    """Sum over rows (n, M) of weight times row times row, (M, M); weights (n,) are not negative.

    As a product of one matrix with itself, which takes half the time of one of two.
    """
    root = rows * np.sqrt(weight)[:, None]
    out: Floats = root.T @ root
    return out


def _share(share: Floats) -> Floats:
    filled = np.maximum(share, 1e-9)
    out: Floats = filled / filled.sum()
    return out


def _cuts(share: Floats) -> Floats:
    out: Floats = ndtri(np.minimum(np.cumsum(share) / share.sum(), 1.0))[:-1]
    return out


def _whole(correlation: Floats) -> Floats:
    """The nearest matrix without small eigenvalues, scaled to a diagonal of one."""
    out = semidefinite(correlation, LEAST_ROOT)
    scale = np.sqrt(np.diag(out))
    scaled: Floats = out / np.outer(scale, scale)
    return scaled


def _kept(missed: Floats, noise: Floats, moment: Floats, bases: Sequence[Floats]) -> Floats:
    """Share of each missed entry that is no noise, by how far entries miss beyond it: those of curves, and others."""
    size = np.sqrt(np.maximum(np.diag(moment), 1e-12))
    scale = np.outer(size, size)
    widths = [b.shape[1] for b in bases]
    feature = np.repeat(np.arange(len(bases)), widths)
    lead = np.concatenate([np.arange(w) == 0 for w in widths])
    other, curves = feature[:, None] != feature, lead[:, None] & lead
    square, relative = (missed / scale) ** 2, noise / scale**2
    out = np.ones_like(missed)
    for among in (curves & other, ~curves & other):
        if not among.any():
            continue
        weight = 1 / (relative[among] + MISFIT) ** 2
        misfit = max(float(np.average(square[among] - relative[among], weights=weight)), 0.0)
        out[among] = misfit / (misfit + relative[among] + 1e-15)
    return out
