"""A comparison of two releases: what is compared, how likely chance alone makes as much of it, and how large it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fedrisk.analysis import intervals, marking
from fedrisk.analysis.homogeneity import Histogram, homogeneity, prepared
from fedrisk.analysis.ratio_change import Cells, RatioChange, ratio_change
from fedrisk.analysis.stability import Stability, stability_of

NOISE = "noise"
"""Code: noise leaves nothing to say."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One comparison.

    name: of the axis, measure or column. kind: ``shares`` of enterprises over bins or cells, ``ratio`` (means or shares
    of cells), or ``rate`` (defaults by bin). p: chance of as much if nothing changed. statistic, degrees: of the test.
    index: stability index of shares; None where noise leaves none. old, new: enterprises of shares, else the ratio of
    all cells together, NaN where that says less than its noise (analysis/marking).
    cells: those that changed most, with chances adjusted within this comparison (Holm).
    """

    name: str
    kind: str
    p: float
    statistic: float
    degrees: int
    old: float
    new: float
    index: Stability | None = None
    cells: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Compared:
    """changes: comparisons. silent: names of others, with a code for the reason. notes: codes of what is not said."""

    changes: tuple[Change, ...]
    silent: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def of_shares(
    name: str, old: Histogram, new: Histogram, *, most: int | None = None, unit: float = 1.0
) -> Change | None:
    """How enterprises are spread over bins; None where noise leaves nothing to say.

    most: bins, of ordered ones. unit: of the numbers, where they are no enterprises.
    """
    a, b = prepared(old, new, most)
    found = homogeneity(a, b)
    if found is None:
        return None
    return Change(
        name=name,
        kind="shares",
        p=found.p,
        statistic=found.statistic,
        degrees=found.degrees,
        old=old.total * unit,
        new=new.total * unit,
        index=stability_of(a, b, found),
    )


MOST_CELLS = 5
"""Cells that a comparison names."""


def of_ratios(
    name: str,
    old: Cells,
    new: Cells,
    labels: list[str],
    *,
    low: float = 0.0,
    kind: str = "ratio",
    scale: tuple[float, float] = (0.0, 1.0),
    included: float = 1.0,
) -> Change | None:
    """Ratios of cells: each cell against itself, and all cells together; the smaller p-value counts, twice.

    scale: (middle, half) with which ratios become the measure's units. included: probability with which an enterprise
    is among the rows.
    """
    each, whole = ratio_change(old, new, low), ratio_change(old.together_all(), new.together_all(), low)
    chances = [c.p for c in (each, whole) if c.degrees]
    if not chances:
        return None
    middle, half = scale
    return Change(
        name=name,
        kind=kind,
        p=min(1.0, len(chances) * min(chances)),
        statistic=each.statistic,
        degrees=each.degrees,
        old=middle + half * whole.old if _says(old, low, scale, included) else np.nan,
        new=middle + half * whole.new if _says(new, low, scale, included) else np.nan,
        cells=_clearest(each, labels),
    )


def _says(cells: Cells, low: float, scale: tuple[float, float], included: float) -> bool:
    """Whether the ratio of all cells together would be a figure: what is withheld elsewhere is withheld here."""
    one, q = cells.together_all(), intervals.reach(0.95)
    middle, half = scale
    if low < 0:
        found = intervals.mean(one.count, one.total, (one.of_count, one.of_total), q, included)
    else:
        found = intervals.share(one.total, one.count - one.total, one.of_total, q, included)
    told = marking.told_from_zero(one.count, one.of_count)
    within = marking.within_range(found.moved(middle, half), middle + low * half, middle + half)
    return bool((told & within)[0])


def _clearest(found: RatioChange, labels: list[str]) -> tuple[tuple[str, float], ...]:
    tested = np.flatnonzero(~np.isnan(found.by_cell))
    order: NDArray[np.intp] = tested[np.argsort(found.by_cell[tested])]
    out, most = [], 0.0
    for k, place in enumerate(order[:MOST_CELLS]):
        most = max(most, min(1.0, (len(order) - k) * float(found.by_cell[place])))
        out.append((labels[place], most))
    return tuple(out)
