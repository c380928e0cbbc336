"""Evidence in a monthly series that it fell a while ago and stays down: a matched filter with public constants.

Growth, variation and falls against an earlier window look much alike in trouble, in a passing dip, in a slow decline
and in noise. What differs is the shape in time. Here each shape is a hypothesis about the logarithm of the series:

- nothing: a level, and noise;
- a step that stays: down by about half within two months, begun in one of the last so many months;
- the same, begun too lately to count, where only a step that has lasted a while does;
- a dip: as deep, over after two to four months, or still going on;
- a step that has been made good, or begins to be: down for nine months, back within three;
- a line down, or up, over the whole window.

Noise is white, at one of five sizes, and a part that fades from month to month. Depths have a normal prior. So the
density of the months under each shape is normal and in closed form (the step as a change point with a prior over its
month follows Barry and Hartigan 1993), and the logarithm of the ratio, steps against all others, is the weight of
evidence (Good 1950; Kass and Raftery 1995) with the rates below as odds before any month is seen. Nothing is fitted to
a table: all constants are public and stated here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

DEPTH, DEPTH_SPREAD = 0.7, 0.2
"""Fall of the logarithm in a step or a dip, mean and standard deviation."""

SLOPE, SLOPE_SPREAD = 1.0, 0.4
"""Change of the logarithm over the window along a line, mean and standard deviation."""

FIRST = 0.6
"""Share of a step that is there in its first month."""

LENGTHS = (2, 3, 4)
"""Months that a dip lasts."""

WHITE = (0.05, 0.1, 0.2, 0.35, 0.6)
"""Standard deviations of the white noise, all as likely."""

FADING, MEMORY = 0.15, 0.8
"""Standard deviation of the noise that fades, and its correlation from one month to the next."""

RHYTHM, ALWAYS = 0.35, 0.2
"""Rise of the logarithm in the last month of a quarter where amounts bunch (half as much less in the other two), and
share of the enterprises that have this rhythm all the time."""

TROUBLE, DIPS, LINES = 0.01, 0.015, 0.12
"""Odds against nothing having happened: of trouble and of a dip beginning in one month, and of a line down or up."""

LASTED, RECOVERS = 9, 3
"""Months after which trouble is made good, and within which it is."""

OFFSET = 0.06
"""Added to each month, as a share of the enterprise's own mean, before a logarithm is taken."""

MADE_UP = 1.5
"""A month makes up for one gap before it from so many times the usual month on, and half more for each further gap."""

LONGEST_GAP = 3
"""Longest gap over which a month that makes up for it is spread."""

BLOCK = 256
"""Enterprises whose densities under all shapes are in memory at once: few enough for the processor's cache."""


def weight_of_evidence(
    x: Floats, onsets: int, ends: NDArray[np.int64] | None = None, since: int = 0
) -> Floats:
    """Natural logarithm of the ratio of probabilities of a series, a step that stays against all else, (n,).

    Args:
        x: (months, n), oldest first, not negative, NaN for a month without a report.
        onsets: a step may begin in one of the last so many months.
        since: only a step that began at least so many months before the last one counts; a later one is held against.
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
            out[rows] = _weight(y[:, rows], (onsets, since), phase)
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


def _shapes(months: int, begun: tuple[int, int], phase: int) -> Iterator[_Shape]:
    """All hypotheses; begun: onsets and since; phase: of the last month within its quarter, -1 without a rhythm."""
    none = np.zeros(months)
    if phase < 0:
        yield from _with_rhythm(months, begun, none, none, 1.0)
        return
    back = np.arange(months) - (months - 1)
    rhythm = np.where((back + phase) % 3 == 2, RHYTHM, -RHYTHM / 2)
    yield from _with_rhythm(months, begun, rhythm, none, 1.0 - ALWAYS)
    yield from _with_rhythm(months, begun, rhythm, rhythm, ALWAYS)


def _with_rhythm(
    months: int, begun: tuple[int, int], rhythm: Floats, always: Floats, share: float
) -> Iterator[_Shape]:
    """The hypotheses of enterprises that ``always`` have a rhythm, to which trouble adds that of bunched amounts."""
    t, nothing, (onsets, least) = np.arange(months), np.zeros(months), begun
    yield _Shape(False, share, nothing, 0.0, 0.0, always)
    for first in range(months - onsets, months):
        since = (t >= first) * 1.0
        step = (FIRST * (t == first) + (t > first)) * 1.0
        counts = months - 1 - first >= least
        yield _Shape(counts, share * TROUBLE, -step, DEPTH, DEPTH_SPREAD, always + rhythm * since)
    for first in range(1, months):
        for length in LENGTHS:
            dip = np.asarray((t >= first) & (t < first + length), dtype=np.float64)
            yield _Shape(False, share * DIPS / len(LENGTHS), -dip, DEPTH, DEPTH_SPREAD, always)
    for end in range(1, months):
        began = (t >= end - LASTED) * 1.0
        fallen: Floats = began * (1.0 - np.clip((t - end + 1) / (RECOVERS + 1), 0.0, 1.0))
        bunched = always + rhythm * began * (t < end + RECOVERS)
        yield _Shape(False, share * TROUBLE, -fallen, DEPTH, DEPTH_SPREAD, bunched)
    for sign in (-1.0, 1.0):
        yield _Shape(False, share * LINES, sign * t / (months - 1), SLOPE, SLOPE_SPREAD, always)


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
class _Terms:
    """Log densities of the months y under all shapes and one noise, steps first.

    Each is -y'Ay / 2 + constant + mean'z + half (change'z - shift)^2 with z = A y, where A is the precision. mean and
    change: (months, shapes, 1); the other three: (shapes, 1). steps: number of shapes that are steps.
    """

    precision: Floats
    steps: int
    constant: Floats
    mean: Floats
    change: Floats
    shift: Floats
    half: Floats


@lru_cache(maxsize=32)
def _terms(months: int, begun: tuple[int, int], phase: int) -> tuple[_Terms, ...]:
    """By noise."""
    shapes = sorted(_shapes(months, begun, phase), key=lambda shape: not shape.step)
    return tuple(_of_noise(shapes, noise) for noise in _noises(months))


def _of_noise(shapes: Sequence[_Shape], noise: _Noise) -> _Terms:
    change = np.array([shape.change for shape in shapes])
    mean = np.array([shape.mean * shape.change + shape.added for shape in shapes])
    spread = np.array([shape.spread for shape in shapes])
    prior = np.array([shape.prior for shape in shapes])
    a, g = mean @ noise.precision, change @ noise.precision
    # One where nothing changes: its size is known, and 0.
    growth = 1.0 + spread**2 * (change * g).sum(axis=1)
    constant = np.log(prior) + noise.log_scale - 0.5 * (mean * a).sum(axis=1) - 0.5 * np.log(growth)
    return _Terms(
        precision=noise.precision[:, :, None],
        steps=sum(shape.step for shape in shapes),
        constant=constant[:, None],
        mean=mean.T[:, :, None],
        change=change.T[:, :, None],
        shift=(mean * g).sum(axis=1)[:, None],
        half=(0.5 * spread**2 / growth)[:, None],
    )


def _weight(y: Floats, begun: tuple[int, int], phase: int) -> Floats:
    """The weight of evidence of centred logarithms (months, n) whose gaps are filled."""
    out = np.empty(y.shape[1])
    for start in range(0, len(out), BLOCK):
        some = np.ascontiguousarray(y[:, start : start + BLOCK])
        sides: tuple[list[Floats], list[Floats]] = ([], [])
        for terms in _terms(len(y), begun, phase):
            z = _weighted(terms.precision, some)
            value = terms.constant + _weighted(terms.mean, z) - 0.5 * _sum(some * z)
            value += terms.half * (_weighted(terms.change, z) - terms.shift) ** 2
            sides[0].append(value[: terms.steps])
            sides[1].append(value[terms.steps :])
        out[start : start + BLOCK] = _log_total(np.concatenate(sides[0])) - _log_total(
            np.concatenate(sides[1])
        )
    return out


def _log_total(value: Floats) -> Floats:
    """Logarithm of the sum of exp(value) over the first axis, (n,), added up one after another."""
    most = value.max(axis=0)
    return np.asarray(most + np.log(np.add.accumulate(np.exp(value - most))[-1]))


def _weighted(weights: Floats, x: Floats) -> Floats:
    """Sums of the months with public weights (months, sums, 1), month by month, (sums, n)."""
    out = np.zeros((weights.shape[1], x.shape[1]))
    for weight, month in zip(weights, x, strict=True):
        out += weight * month
    return out


def _sum(x: Floats) -> Floats:
    """Sum month by month, (n,)."""
    out = np.zeros(x.shape[1])
    for month in x:
        out += month
    return out
