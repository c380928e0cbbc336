"""Smooth log-odds curves of features from their label counts, and the shape columns that follow from a curve.

Each feature has a curve by itself (models/smoothing). A holder's columns have curves about the enterprises that it
knows, and zero for the others. Shape columns are a curve and up to three smooth modes orthogonal to it: what the
estimator weighs (models/estimator).

All inputs are released numbers; `shape_rows` has what an institution computes on rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fedrisk.errors import ConfigError
from fedrisk.models.binning import Bins
from fedrisk.models.label_counts import RATES, LabelCounts
from fedrisk.models.smoothing import Smooth, prior_precision, shared_beliefs, shift_modes, smooth_log_odds
from fedrisk.models.weight_priors import SLOPE

Floats = NDArray[np.float64]

BEND = 0.5
"""Scale of the modes, in steps of the random walk."""

EMPTY = 2.0
"""Noise, in standard deviations, that the enterprises in a bin have to exceed for the bin to say something."""

APART = 1e-3
"""By how much the prior spreads of a feature's bins differ, so that no two modes are equally strong."""


@dataclass(frozen=True)
class Curves:
    """What release A says about each feature by itself.

    Attributes:
        rate: default rate.
        total: number of enterprises, estimated from the counts.
        curve: per feature, log-odds shift per bin, with mean zero under ``weight``.
        tau: the random walk's step, (features,).
        weight: per feature, share of enterprises per bin.
        spread: variance of the curve over enterprises, (features,).
        ordered: number of ordered bins of each feature.
        apart: number of a feature's bins with levels of their own, behind those of values: special codes and missing.
        unknown: whether a feature's last bin is of enterprises that its holder does not know, where it is zero.
        covariance: per feature, how the curve would vary with other noise and other enterprises, (bins, bins).
        freedom: effective number of parameters of each curve, (features,).
        joint: per feature, its part of a card that is known from elsewhere, (bins,), or None; empty where no card is.
    """

    rate: float
    total: float
    curve: tuple[Floats, ...]
    tau: Floats
    weight: tuple[Floats, ...]
    spread: Floats
    ordered: tuple[int, ...]
    apart: tuple[int, ...]
    unknown: tuple[bool, ...] = ()
    covariance: tuple[Floats, ...] = ()
    freedom: Floats = field(default_factory=lambda: np.zeros(0))
    joint: tuple[Floats | None, ...] = ()


def fit_curves(
    counts: LabelCounts,
    bins: Sequence[Bins],
    beforehand: Sequence[Floats | None] | None = None,
    joint: Sequence[Floats | None] | None = None,
) -> Curves:
    """Smooth log-odds curve of every feature; zero in bins that hold no more enterprises than their noise.

    beforehand: curves known from elsewhere (models/prior), (bins,) each or None where none is. joint: parts of a card
    that is known from elsewhere, likewise, which `posterior_weights` takes into account.

    Raises:
        ConfigError: the counts do not have the shape of the bins.
    """
    if len(bins) != len(counts.n1) or any(b.size != len(a) for b, a in zip(bins, counts.n1, strict=True)):
        raise ConfigError("label counts do not have one number per bin of every feature")
    total = counts.positives + counts.negatives
    rate = float(np.clip(counts.positives / total, *RATES))
    everybody = (1.0, rate)
    known = {b.feature.institution: _known(counts, j) for j, b in enumerate(bins) if not b.feature.is_column}
    share, rates = zip(
        *(known.get(b.feature.institution, everybody) if b.feature.is_column else everybody for b in bins),
        strict=True,
    )
    fits = _smoothed(counts, bins, rates, [None] * len(bins) if beforehand is None else beforehand)
    parts = [_curve(counts, j, b, share[j], fits[j]) for j, b in enumerate(bins)]
    curve, weight = tuple(f.curve for f in parts), tuple(f.weight for f in parts)
    spread = np.array([float(w @ c**2) for w, c in zip(weight, curve, strict=True)])
    return Curves(
        rate=rate,
        total=total,
        curve=curve,
        tau=np.array([f.tau for f in parts]),
        weight=weight,
        spread=spread,
        ordered=tuple(b.ordered for b in bins),
        apart=tuple(b.apart for b in bins),
        unknown=tuple(b.unknown and b.feature.is_column for b in bins),
        covariance=tuple(f.covariance for f in parts),
        freedom=np.array([f.freedom for f in parts]),
        joint=() if joint is None else tuple(joint),
    )


def _smoothed(
    counts: LabelCounts, bins: Sequence[Bins], rates: Sequence[float], beforehand: Sequence[Floats | None]
) -> list[Smooth]:
    """Smooth shifts of every feature. rates: default rate among the enterprises that each is about."""
    fits: dict[int, Smooth] = {}
    modes = {}
    for j, (b, known) in enumerate(zip(bins, beforehand, strict=True)):
        inside = _inside(b)
        noisy = counts.n1[j][inside], counts.n0[j][inside], counts.variance_of(j)[inside], rates[j]
        f = b.feature
        if known is None:
            fits[j] = smooth_log_odds(
                *noisy, ordered=b.ordered, apart=b.apart, direction=f.leaning, strength=f.strength
            )
        else:
            modes[j] = shift_modes(*noisy, ordered=b.ordered, apart=b.apart, known=known[inside])
    for (j, mode), belief in zip(modes.items(), shared_beliefs([*modes.values()]), strict=True):
        fits[j] = mode.averaged(belief)
    return [fits[j] for j in range(len(bins))]


def _inside(b: Bins) -> slice:
    """Bins of the enterprises that a feature's curve is about."""
    return slice(0, b.known if b.unknown and b.feature.is_column else b.size)


def _known(counts: LabelCounts, place: int) -> tuple[float, float]:
    """Share of enterprises that a holder knows, and the default rate among them; place: of its feature "known"."""
    n1, n0 = counts.n1[place], counts.n0[place]
    total = n1[0] + n0[0]
    share = float(np.clip(total / max(total + n1[1] + n0[1], 1.0), 1e-3, 1.0))
    return share, float(np.clip(n1[0] / max(total, 1.0), *RATES))


class _Curve(NamedTuple):
    """One feature's curve, the shares of its bins, its random walk's step, its covariance and number of parameters."""

    curve: Floats
    weight: Floats
    tau: float
    covariance: Floats
    freedom: float


def _curve(counts: LabelCounts, j: int, b: Bins, known: float, fit: Smooth) -> _Curve:
    """A feature's curve from its smooth shifts. known: share of the enterprises that it is about."""
    of_known = b.unknown and b.feature.is_column
    inside = _inside(b)
    n1, n0, variance = counts.n1[j][inside], counts.n0[j][inside], counts.variance_of(j)[inside]
    filled = np.maximum(n1 + n0, 1.0)
    share = filled / filled.sum()
    # A bin by itself (a category, missing) with no more in it than noise says nothing.
    said = (np.arange(len(n1)) < b.ordered) | (n1 + n0 > np.maximum(EMPTY * np.sqrt(2 * variance), 0.5))
    middle = share * said / max(float((share * said).sum()), 1e-12)
    curve = np.where(said, fit.shift - float(middle @ fit.shift), 0.0)
    covariance = centred(fit.covariance, middle) * np.outer(said, said)
    if not of_known:
        return _Curve(curve, share, fit.tau, covariance, fit.freedom)
    weight, whole = np.append(share * known, 1 - known), np.pad(covariance, (0, 1))
    return _Curve(np.append(curve, 0.0), weight, fit.tau, whole, fit.freedom)


def centred(covariance: Floats, weight: Floats) -> Floats:
    """Covariance of a curve after its mean under ``weight`` is taken off.

    >>> centred(np.eye(2), np.full(2, 0.5)).tolist()
    [[0.5, -0.5], [-0.5, 0.5]]
    """
    centre = np.eye(len(weight)) - weight
    out: Floats = centre @ covariance @ centre.T
    return out


def stronger_half(
    curves: Curves, among: Sequence[int], share: float = 0.5, least: int = 4
) -> tuple[int, ...]:
    """The columns to count again: those ``among`` whose curves vary most over enterprises, strongest first.

    Their positions among the columns.
    """
    spread = curves.spread[list(among)]
    chosen = max(min(least, len(spread)), int(share * len(spread)))
    return tuple(int(j) for j in np.argsort(-spread, kind="stable")[:chosen])


def shape_bases(curves: Curves, modes: int = 3) -> tuple[Floats, ...]:
    """Columns of the shape rows: per feature its scaled curve, then smooth modes orthogonal to it.

    The modes are the leading eigenvectors of the curve's prior covariance, in the metric of the bin weights,
    orthogonal to the constant and to the curve; each is scaled by its prior standard deviation. Bins that are alike,
    such as empty categories, would have modes of one eigenvalue, of which each machine may find others; spreads that
    fall by APART from the first bin to the last tell them apart.

    Returns:
        One array (bins, k) per feature, 1 <= k <= 1 + modes.
    """
    out = []
    for j, whole in enumerate(curves.curve):
        outside = int(bool(curves.unknown) and curves.unknown[j])
        size = len(whole) - outside
        curve, weight = whole[:size], curves.weight[j][:size] / curves.weight[j][:size].sum()
        columns = [SLOPE * curve]
        if size > 2 and modes > 0:
            root = np.sqrt(weight)
            precision = prior_precision(size, curves.ordered[j], 1.0, curves.apart[j])
            kernel = np.linalg.inv(precision) * (BEND * max(float(curves.tau[j]), 0.2)) ** 2
            spread = np.linspace(1.0, 1.0 - APART, size)
            kernel = kernel * np.outer(spread, spread)
            q = np.linalg.qr(np.c_[root, root * curve])[0]
            rest = np.eye(size) - q @ q.T
            value, vector = np.linalg.eigh(rest @ (root[:, None] * kernel * root) @ rest)
            for k in range(size - 1, size - 1 - min(modes, size - 2), -1):
                if value[k] > 0.01 * value[-1]:
                    columns.append(vector[:, k] * np.sqrt(value[k]) / root)
        out.append(np.pad(np.stack(columns, 1), ((0, outside), (0, 0))))
    return tuple(out)


def radii(
    bases: Sequence[Floats], curves: Curves, owner: Sequence[str], clip: float = 1.2
) -> dict[str, float]:
    """Clipping radius of every institution's block of the shape rows: clip times its root mean square norm.

    It is a function of released numbers, hence public. Institutions are in the order of their first feature.

    >>> curve, half, one = (np.array([-1.0, 1.0]),), (np.full(2, 0.5),), np.ones(1)
    >>> curves = Curves(0.1, 100.0, curve, one, half, one, (2,), (0,))
    >>> radii((np.array([[-3.0], [3.0]]),), curves, ["tax"], clip=1.0)
    {'tax': 3.0}
    """
    if not len(bases) == len(owner) == len(curves.weight):
        raise ConfigError("radii: bases and owner must have one entry per feature")
    square: dict[str, float] = {}
    for base, weight, name in zip(bases, curves.weight, owner, strict=True):
        square[name] = square.get(name, 0.0) + float(weight @ (base**2).sum(1))
    return {name: clip * math.sqrt(max(value, 1e-12)) for name, value in square.items()}
