"""Evidence in a monthly series that it fell a while ago and stays down: a matched filter with public constants.

Growth, variation and falls against an earlier window look much alike in trouble, in a passing dip, in a slow decline and
in noise. What differs is the shape in time. Here each shape is a hypothesis about the logarithm of the series:

- nothing: a level, and noise;
- a step that stays: down by about 45 % within two months, in one of the last so many months;
- a dip: as deep, over after two to four months;
- a line down, or up, over the whole window.

Noise is white, at one of five sizes, and a part that fades from month to month. Depths have a normal prior. So the
probability of the months under each shape is a normal density in closed form (conjugate normal prior; the step as a
change point with a prior over its month follows Barry and Hartigan 1993), and the logarithm of the ratio, steps against
all others, is the weight of evidence (Good 1950; Kass and Raftery 1995). Nothing is fitted: all constants are stated
below, before any table is seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

DEPTH, DEPTH_SPREAD = 0.6, 0.3
"""Fall of the logarithm in a step or a dip, mean and standard deviation."""

SLOPE, SLOPE_SPREAD = 1.0, 0.4
"""Change of the logarithm over the window along a line, mean and standard deviation."""

FIRST = 0.6
"""Share of a step that is there in its first month."""

LENGTHS = (2, 3, 4)
"""Months that a dip lasts."""

WHITE = (0.05, 0.1, 0.2, 0.35, 0.6)
"""Standard deviations of the white noise, all as likely."""

FADING, MEMORY = 0.12, 0.8
"""Standard deviation of the noise that fades, and its correlation from one month to the next."""

RHYTHM, ALWAYS = 0.35, 0.2
"""Rise of the logarithm in the last month of a quarter where amounts bunch (half as much less in the other two), and
share of the enterprises that have this rhythm all the time."""

LINE_SHARE = 0.5
"""Weight of a line down, and of a line up, where nothing, steps and dips have a weight of 1 each."""

OFFSET = 0.03
"""Added to each month, as a share of the enterprise's own mean, before a logarithm is taken."""

MADE_UP = 1.5
"""A month makes up for one gap before it from so many times the usual month on, and half more for each further gap."""

LONGEST_GAP = 3
"""Longest gap over which a month that makes up for it is spread."""


def weight_of_evidence(x: Floats, onsets: int, ends: NDArray[np.int64] | None = None) -> Floats:
    """Natural logarithm of the ratio of probabilities of a series, a step that stays against all else, (n,).

    Args:
        x: (months, n), oldest first, not negative, NaN for a month without a report.
        onsets: a step may begin in one of the last so many months.
        ends: of the last month, 12 * year + month - 1, (n,), where a step comes with amounts that bunch at the ends of
            quarters from then on; without it, or where it is negative, there is no such rhythm.

    Returns:
        NaN where fewer than half of the months are known, or all are zero. Every step goes value by value along the
        enterprises, so a value does not depend on which others are computed with it.
    """
    there = ~np.isnan(x)
    count = there.sum(axis=0)
    filled, usual = without_gaps(x)
    known = (2 * count >= len(x)) & (usual > 0)
    y = np.log(np.where(known, filled / np.where(known, usual, 1.0), 1.0) + OFFSET)
    y = y - _sum(y) / len(y)
    out = np.full(x.shape[1], np.nan)
    if ends is None:
        phases = np.full(x.shape[1], -1)
    else:
        # The place of the last month within its quarter: 2 is the quarter's end.
        phases = np.where(ends < 0, -1, ends % 3)
    for phase in range(-1, 3):
        rows = known & (phases == phase)
        if rows.any():
            out[rows] = _weight(y[:, rows], onsets, phase)
    return out


def without_gaps(x: Floats) -> tuple[Floats, Floats]:
    """The series with gaps filled, (months, n), and its usual month, the mean of those known, (n,).

    A month that makes up for the gap before it (an estimate corrected, a return filed late) is spread over both; other
    gaps take the month before, and those at the beginning the first month that is known.
    """
    there = ~np.isnan(x)
    with np.errstate(invalid="ignore", divide="ignore"):
        usual = _sum(np.where(there, x, 0.0)) / there.sum(axis=0)
    out, run = x.copy(), np.zeros(x.shape[1])
    for at, known in enumerate(there):
        most = MADE_UP + (MADE_UP - 1.0) * (run - 1.0)
        made = known & (run > 0) & (run <= LONGEST_GAP) & (x[at] >= most * usual)
        share = x[at] / (run + 1.0)
        for back in range(min(at, LONGEST_GAP) + 1):
            out[at - back] = np.where(made & (run >= back), share, out[at - back])
        run = np.where(known, 0.0, run + 1.0)
    for at in range(1, len(out)):
        out[at] = np.where(np.isnan(out[at]), out[at - 1], out[at])
    for at in range(len(out) - 2, -1, -1):
        out[at] = np.where(np.isnan(out[at]), out[at + 1], out[at])
    return out, usual


@dataclass(frozen=True)
class _Shape:
    """A hypothesis: weight, shape of a change and prior of its size, and what is added without doubt."""

    step: bool
    prior: float
    change: Floats
    mean: float
    spread: float
    added: Floats


@dataclass(frozen=True, eq=False)
class _Noise:
    """One size of noise: precision of the months where their level is free, (months, months), and log density."""

    precision: Floats
    log_scale: float


def _shapes(months: int, onsets: int, phase: int) -> Iterator[_Shape]:
    """All hypotheses; phase: place of the last month within its quarter, -1 without a rhythm."""
    t = np.arange(months)
    none = np.zeros(months)
    rhythm = none if phase < 0 else np.where((t - (months - 1) + phase) % 3 == 2, RHYTHM, -RHYTHM / 2)
    dips = [(s, length) for s in range(1, months) for length in LENGTHS if s + length < months]
    for always, share in ((none, 1.0),) if phase < 0 else ((none, 1.0 - ALWAYS), (rhythm, ALWAYS)):
        yield _Shape(False, share, none, 0.0, 0.0, always)
        for k in range(1, onsets + 1):
            since = t >= months - k
            step = np.where(t == months - k, FIRST, 1.0) * since
            yield _Shape(True, share / onsets, -step, DEPTH, DEPTH_SPREAD, always + rhythm * since)
        for s, length in dips:
            dip = ((t >= s) & (t < s + length)).astype(float)
            yield _Shape(False, share / len(dips), -dip, DEPTH, DEPTH_SPREAD, always)
        for sign in (-1.0, 1.0):
            line = sign * t / (months - 1)
            yield _Shape(False, share * LINE_SHARE, line, SLOPE, SLOPE_SPREAD, always)


def _noises(months: int) -> Iterator[_Noise]:
    apart = np.abs(np.arange(months)[:, None] - np.arange(months))
    one = np.ones(months)
    for white in WHITE:
        covariance = white**2 * np.eye(months) + FADING**2 * MEMORY**apart
        inverse = np.linalg.inv(covariance)
        level = one @ inverse @ one
        precision = inverse - np.outer(inverse @ one, inverse @ one) / level
        scale = -0.5 * (np.linalg.slogdet(covariance)[1] + np.log(level))
        yield _Noise(precision, float(scale))


@dataclass(frozen=True, eq=False)
class _Term:
    """log density of the months under one shape and noise, up to the noise's own y'Ay/2:

    constant + a'z + (g'z - shift)^2 / (2 c), where z = A y.
    """

    step: bool
    constant: float
    a: Floats
    g: Floats
    shift: float
    half: float


@lru_cache(maxsize=32)
def _terms(months: int, onsets: int, phase: int) -> tuple[tuple[Floats, tuple[_Term, ...]], ...]:
    """By noise: its precision, and the terms of all shapes."""
    shapes = list(_shapes(months, onsets, phase))
    return tuple(
        (noise.precision, tuple(_term(shape, noise) for shape in shapes)) for noise in _noises(months)
    )


def _term(shape: _Shape, noise: _Noise) -> _Term:
    mean = shape.mean * shape.change + shape.added
    a = noise.precision @ mean
    constant = np.log(shape.prior) + noise.log_scale - 0.5 * mean @ a
    if shape.spread == 0:
        return _Term(shape.step, float(constant), mean, np.zeros_like(mean), 0.0, 0.0)
    g = noise.precision @ shape.change
    c = 1 / shape.spread**2 + shape.change @ g
    constant -= 0.5 * np.log(c * shape.spread**2)
    return _Term(shape.step, float(constant), mean, shape.change, float(mean @ g), float(0.5 / c))


def _weight(y: Floats, onsets: int, phase: int) -> Floats:
    """The weight of evidence of centred logarithms (months, n) whose gaps are filled."""
    n = y.shape[1]
    best = {True: np.full(n, -np.inf), False: np.full(n, -np.inf)}
    total = {True: np.zeros(n), False: np.zeros(n)}
    for precision, terms in _terms(len(y), onsets, phase):
        z = np.stack([_weighted(row, y) for row in precision])
        own = -0.5 * _sum(y * z)
        for term in terms:
            value = own + (term.constant + _weighted(term.a, z))
            if term.half:
                value = value + term.half * (_weighted(term.g, z) - term.shift) ** 2
            _add(best, total, term.step, value)
    return (best[True] + np.log(total[True])) - (best[False] + np.log(total[False]))


def _add(best: dict[bool, Floats], total: dict[bool, Floats], side: bool, value: Floats) -> None:
    """Add exp(value) to a sum that is kept as exp(best) * total."""
    new = np.maximum(best[side], value)
    total[side] = total[side] * np.exp(best[side] - new) + np.exp(value - new)
    best[side] = new


def _weighted(weights: Floats, x: Floats) -> Floats:
    """Sum of the months with public weights, month by month, (n,)."""
    out = np.zeros(x.shape[1])
    for weight, month in zip(weights.tolist(), x, strict=True):
        if weight:
            out += weight * month
    return out


def _sum(x: Floats) -> Floats:
    """Sum month by month, (n,)."""
    out = np.zeros(x.shape[1])
    for month in x:
        out += month
    return out
