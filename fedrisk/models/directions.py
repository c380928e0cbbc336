"""Directions of risk: what a stated expectation does to fitted contributions, and which curves turn.

A column may state how risk moves as its value rises: ``monotone`` is a constraint, ``direction`` an expectation. Both
already shape the curve that release A gives (models/smoothing); but the weights of release B bend curves again. What
turns against an expectation there is kept in so far as it is larger than its error: stretches that isotonic regression
would pool are shrunk towards their pooled value by the positive-part rule of James & Stein (1961).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression
from scipy.special import ndtri

from fedrisk.findings import Finding
from fedrisk.models.binning import Bins

Floats = NDArray[np.float64]

TURN, MOVE = 0.45, 0.05
"""Over the square of the number of bins: the normal tail beyond which a turn, or a move at all, counts.

With k bins of independent errors a flat curve is then said to turn at one in twenty (simulated for 4 to 24 bins; the
limit is at least two standard errors), and to move at one in twenty at most (Bonferroni 1936, over all pairs).
"""

KEEP = 1.0
"""Size of a turn, in units of what its errors alone make of it, below which nothing of it is kept."""

Way = Literal["increasing", "decreasing"]


def follow_directions(
    bins: Sequence[Bins], contributions: Sequence[Floats], errors: Sequence[Floats]
) -> tuple[Floats, ...]:
    """The contributions, with turns against an expected direction shrunk; others unchanged."""
    return tuple(follow_direction(b, f, e) for b, f, e in zip(bins, contributions, errors, strict=True))


def follow_direction(bins: Bins, contribution: Floats, error: Floats) -> Floats:
    """One feature's contributions (log-odds of default per bin) after its expected direction.

    Each stretch that isotonic regression pools (weights 1 / error^2) keeps the share max(0, 1 - KEEP (m - 1) / chi2) of
    its deviations, where m is its number of bins and chi2 the sum of squared deviations in units of their errors.
    Unordered and missing bins are not changed.
    """
    if bins.feature.direction is None:
        return contribution
    out = np.array(contribution, dtype=np.float64)
    k = bins.ordered
    precision = 1 / np.maximum(error[:k], 1e-6) ** 2
    fit = isotonic_regression(out[:k], weights=precision, increasing=bins.feature.leaning > 0)
    for a, b in pairwise(fit.blocks):
        apart = out[a:b] - fit.x[a:b]
        size = float(precision[a:b] @ apart**2)
        out[a:b] = fit.x[a:b] + apart * max(0.0, 1 - KEEP * (b - a - 1) / max(size, 1e-300))
    return out


def make_monotone(bins: Bins, contribution: Floats, weight: Floats) -> Floats:
    """Weighted isotonic regression over the ordered bins, in the feature's direction (Barlow et al. 1972).

    Unordered bins, special codes and the missing bin are not changed, nor is a feature without a direction.
    """
    if bins.feature.monotone is None:
        return contribution
    out = np.array(contribution, dtype=np.float64)
    k = bins.ordered
    rising = bins.feature.monotone == "increasing"
    out[:k] = isotonic_regression(out[:k], weights=np.maximum(weight[:k], 1e-12), increasing=rising).x
    return out


@dataclass(frozen=True)
class Course:
    """How a feature's points run over its ordered bins.

    Attributes:
        rise: largest rise of the *risk* from a bin to a later one, in standard errors of the difference; 0 if none.
        fall: largest fall of the risk, likewise.
        bins: number of ordered bins, among which the largest were sought.
    """

    rise: float
    fall: float
    bins: int

    @property
    def turns(self) -> bool:
        """Whether risk both rises and falls."""
        return min(self.rise, self.fall) > 0

    @property
    def clearly(self) -> bool:
        """Whether it turns beyond its errors; a turn below may be noise."""
        return min(self.rise, self.fall) > max(2.0, -float(ndtri(TURN / self.bins**2)))

    @property
    def way(self) -> Way | None:
        """Where risk clearly moves one way and does not clearly turn: that way."""
        if self.clearly or max(self.rise, self.fall) <= -float(ndtri(MOVE / self.bins**2)):
            return None
        return "increasing" if self.rise > self.fall else "decreasing"


def course_of(bins: Bins, points: Sequence[int], errors: Sequence[float] | None) -> Course | None:
    """How the points run; None with fewer than two ordered bins, or where the card states no errors.

    Errors of two bins count as independent. Neighbours' errors rather go together, so a difference is more certain than
    is said here.
    """
    k = bins.ordered
    if k < 2 or errors is None:
        return None
    p, e = np.asarray(points[:k], dtype=np.float64), np.asarray(errors[:k], dtype=np.float64)
    i, j = np.triu_indices(k, 1)
    # Fewer points are more risk.
    moves = (p[i] - p[j]) / np.maximum(np.hypot(e[i], e[j]), 1e-9)
    return Course(max(float(moves.max()), 0.0), max(float(-moves.min()), 0.0), k)


def course_finding(bins: Bins, points: Sequence[int], errors: Sequence[float] | None) -> Finding | None:
    """What a report says of a feature's points; None where bins have no order, or the card states no errors."""
    course = course_of(bins, points, errors)
    if course is None:
        return None
    f = bins.feature
    if f.monotone is not None:
        return Finding("curve_monotone", {"way": f.monotone})
    if course.clearly:
        code = "curve_turns" if f.direction is None else "curve_turns_against"
        return Finding(code, {"way": f.direction})
    if course.way is None:
        return Finding("curve_unclear")
    against = f.direction not in (None, course.way)
    code = "curve_other_way" if against else "curve_noise" if course.turns else "curve_one_way"
    return Finding(code, {"way": course.way, "stated": f.direction})


def proposed_direction(bins: Bins, points: Sequence[int], errors: Sequence[float] | None) -> Way | None:
    """The direction that a further study could state, from a released card: at no cost, as post-processing.

    None where one is stated already, or where the points do not run one way clearly and throughout within their errors.
    """
    if bins.feature.kind != "number" or bins.feature.leaning:
        return None
    course = course_of(bins, points, errors)
    return None if course is None else course.way
