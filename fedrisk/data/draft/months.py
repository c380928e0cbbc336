"""Monthly series in a table: columns SERIES_m01 (oldest month) to SERIES_mNN, of which a draft makes history columns.

As columns of their own, months would say little each and be many; what is computed from them says more.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from fedrisk.data.draft.columns import Proposal
from fedrisk.data.history_kinds import MOST_MONTHS, HistoryRule

LEAST = 6
"""Fewest months that are taken for a history."""

PROPOSED = ("level", "fall", "trend", "volatility", "gaps")
"""Kinds that a draft proposes, where the history is long enough and never negative where that is needed."""

_MONTH = re.compile(r"(.+)_m(\d\d)")


@dataclass(frozen=True, kw_only=True)
class MonthlySeries:
    """A series of a table: its name, its months, and bounds around those that were proposed for single months."""

    name: str
    months: int
    low: float
    high: float

    @property
    def rules(self) -> tuple[HistoryRule, ...]:
        """What a draft proposes to compute from it."""
        found = []
        for kind in PROPOSED:
            try:
                terms = {"low": self.low, "high": self.high, "over": self.months}
                found.append(HistoryRule.model_validate({"series": self.name, "kind": kind, **terms}))
            except ValueError:
                # Too short for the kind, or the series may be negative.
                continue
        return tuple(found)


def monthly(proposals: Sequence[Proposal]) -> tuple[tuple[MonthlySeries, ...], tuple[Proposal, ...]]:
    """The monthly series among described columns, and the other columns."""
    months: dict[str, dict[int, Proposal]] = {}
    for p in proposals:
        found = _MONTH.fullmatch(p.source)
        if found and p.kind in ("number", "flag"):
            months.setdefault(found[1], {})[int(found[2])] = p
    series = tuple(s for name, by in months.items() if (s := _series(name, by)) is not None)
    taken = {f"{s.name}_m{m:02d}" for s in series for m in range(1, s.months + 1)}
    return series, tuple(p for p in proposals if p.source not in taken)


def _series(name: str, by: dict[int, Proposal]) -> MonthlySeries | None:
    count = len(by)
    if not LEAST <= count <= MOST_MONTHS or sorted(by) != list(range(1, count + 1)):
        return None
    ends = [e for p in by.values() for e in _ends(p)]
    if not ends or min(ends) >= max(ends):
        return None
    return MonthlySeries(name=name, months=count, low=min(0.0, *ends), high=max(ends))


def _ends(p: Proposal) -> tuple[float, ...]:
    edges = p.settings.get("bins")
    given = [p.settings.get("low"), p.settings.get("high")]
    given += list(edges) if isinstance(edges, list | tuple) else []
    return tuple(float(e) for e in given if e is not None)
