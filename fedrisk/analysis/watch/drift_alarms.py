"""Whether a score or a column left what it was: the index by month, and alarms at a stated rate of false ones.

Two things are asked of each score and column in each month. Did it change from the month before? And is it away from
development? Customary bounds of the index (.1 and .25) are shown, and raise no alarm: with few rows chance alone passes
them, with many every trifle is significant. An alarm is raised where the index lies *clearly* above a bound that
matters: where the chance of so large an index, if the true one were at the bound, is small (analysis/stability).

The chance is held for a whole year. Of a year of 12 months at a rate of 5 %, each month has 5 % / 12, shared among all
scores and columns and both questions (Holm 1979). So the chance of any false alarm in a quiet year is at most 5 %,
whatever months and columns have to do with each other. The same loans are scored again every month, so counts of two
months hang together: their shares differ by less than those of two samples. Where the loans' moves between bins are
known, that is in the variance (Stuart 1955; Maxwell 1970, for tables of the same people twice); where only counts are
kept, months are taken as samples of their own, and alarms are rarer than stated. Against development, which is another
set of loans and partly the same, the same holds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.analysis.drift import holm
from fedrisk.analysis.homogeneity import Histogram
from fedrisk.analysis.stability import Distance, Overlap, Stability, distance

Floats = NDArray[np.float64]

POWER = 0.8
"""Chance with which a change is seen that is said to be large enough."""

MOST_BINS = 20
"""Groups to which more bins of an ordered column are joined."""


@dataclass(frozen=True, kw_only=True)
class DriftRules:
    """When drift is an alarm.

    rate: chance of any false alarm in a quiet year of so many ``months``. month: index from one month to the next that
    matters; development: index against development that matters.
    """

    rate: float = 0.05
    months: int = 12
    month: float = 0.02
    development: float = 0.1

    @property
    def level(self) -> float:
        """Chance of any false alarm in one month."""
        return self.rate / self.months


@dataclass(frozen=True, kw_only=True)
class Counted:
    """A score or column in one month, over bins.

    now: rows by bin, (bins,). before: of the month before. development: of the rows that the model was made from, or
    their shares (stability.exact). groups: the group of each bin, where development is known by groups alone. moves:
    rows of both months by bin before and now, where they are known. ordered: whether neighbouring bins are alike.
    """

    name: str
    now: Floats
    before: Floats | None = None
    development: Histogram | None = None
    moves: Floats | None = None
    groups: NDArray[np.intp] | None = None
    ordered: bool = True


@dataclass(frozen=True, kw_only=True)
class Drifted:
    """What became of it. by_month, by_development: index against each; None where there is nothing to compare.

    chances: of so large an index or a larger one if the true one only reached the bound that matters, adjusted for all
    that was asked in the month (Holm); alarms: ``month`` or ``development``, where that is small enough. nameable: the
    least true index that raises one with a chance of POWER or more at these numbers of rows; empty unless asked for.
    """

    name: str
    rows: int
    by_month: Stability | None
    by_development: Stability | None
    chances: dict[str, float] = field(default_factory=dict)
    alarms: tuple[str, ...] = ()
    nameable: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "name": self.name,
            "rows": self.rows,
            "by_month": _plain(self.by_month),
            "by_development": _plain(self.by_development),
            "chances": self.chances,
            "alarms": list(self.alarms),
            "nameable": self.nameable,
        }


def _plain(found: Stability | None) -> dict[str, Any] | None:
    return None if found is None else {**vars(found), "verdict": found.verdict}


def drifted(
    counted: Sequence[Counted], rules: DriftRules | None = None, *, nameable: bool = False
) -> tuple[Drifted, ...]:
    """All scores and columns of one month, in their order, with alarms at the stated rate over all of them.

    nameable: whether to say also what would have raised an alarm.

    >>> calm, moved = drifted([
    ...     Counted(name="calm", now=np.array([500.0, 500.0]), before=np.array([510.0, 490.0])),
    ...     Counted(name="moved", now=np.array([500.0, 500.0]), before=np.array([800.0, 200.0])),
    ... ])
    >>> calm.alarms, moved.alarms
    ((), ('month',))
    """
    rules = rules or DriftRules()
    bounds = {"month": rules.month, "development": rules.development}
    apart = [_distances(one) for one in counted]
    chances = {
        (k, which): d.chance(bounds[which]) for k, each in enumerate(apart) for which, d in each.items()
    }
    adjusted = dict(zip(chances, holm(list(chances.values())), strict=True))
    # No chance is multiplied by more than this (Holm), so that what is said to be seen is seen whatever others do.
    level = rules.level / max(len(chances), 1)
    out = []
    for k, (one, each) in enumerate(zip(counted, apart, strict=True)):
        found = {which: adjusted[k, which] for which in each}
        index = {which: d.stability() for which, d in each.items()}
        out.append(
            Drifted(
                name=one.name,
                rows=int(one.now.sum()),
                by_month=index.get("month"),
                by_development=index.get("development"),
                chances=found,
                alarms=tuple(which for which, chance in found.items() if chance <= rules.level),
                nameable=_nameable(one, bounds, level) if nameable else {},
            )
        )
    return tuple(out)


def _nameable(one: Counted, bounds: Mapping[str, float], level: float) -> dict[str, float]:
    """The least index that raises an alarm with a chance of POWER, against the month before and development.

    The more loans a change moves to other bins, the less do the months hang together. So what they have in common is
    not taken off here, and since the month before the chance is rather larger than stated.
    """
    apart = _distances(replace(one, moves=None))
    return {which: d.nameable(bounds[which], level, POWER) for which, d in apart.items()}


def _distances(one: Counted) -> dict[str, Distance]:
    """The index against the month before and against development, as far as there is one."""
    most, now = MOST_BINS if one.ordered else None, Histogram.of(one.now, 0.0)
    overlap = None if one.moves is None else Overlap(counts=one.moves)
    out: dict[str, Distance | None] = {}
    if one.before is not None:
        out["month"] = distance(Histogram.of(one.before, 0.0), now, most=most, overlap=overlap)
    if one.development is not None:
        size = len(one.development.counts)
        alike = now if one.groups is None else now.joined(one.groups, size)
        out["development"] = distance(one.development, alike, most=most)
    return {which: d for which, d in out.items() if d is not None}
