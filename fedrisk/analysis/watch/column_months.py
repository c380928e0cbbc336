"""An institution's own columns by month: who was asked about, or its own table, over the bins of a model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedrisk.analysis.homogeneity import Histogram
from fedrisk.analysis.stability import Stability, exact, stability
from fedrisk.analysis.watch.drift_alarms import Counted, Drifted, DriftRules, drifted
from fedrisk.models.binning import Bins

Counts = Mapping[str, Sequence[int]]
"""Rows by bin, by the key of a feature."""

LEAST_ROWS = 30
"""Fewest rows that are compared: an index of fewer says nothing."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One column of all months together against the study. index: None where there are too few rows.

    verdict: of the index, ``few`` where chance alone may be behind it.
    """

    column: str
    rows: int
    index: Stability | None

    @property
    def verdict(self) -> str:
        """``stable``, ``shifting``, ``moved``, or ``few`` where the interval holds several of them."""
        found = "unclear" if self.index is None else self.index.verdict
        return "few" if found == "unclear" else found


def together(
    bins: Mapping[str, Bins], shares: Mapping[str, Sequence[float]], months: Mapping[str, Counts]
) -> list[Asked]:
    """Each feature over all months that are kept. bins, shares: by key, the study's released share of each bin."""
    out = []
    for key, b in bins.items():
        rows = [counts[key] for counts in months.values() if key in counts]
        total: NDArray[np.float64] = np.sum(rows, axis=0, dtype=np.float64) if rows else np.zeros(b.size)
        index = None
        if total.sum() >= LEAST_ROWS:
            index = stability(exact(shares[key]), Histogram.of(total, 0.0))
        out.append(Asked(column=b.feature.column, rows=int(total.sum()), index=index))
    return out


def by_month(
    bins: Mapping[str, Bins],
    shares: Mapping[str, Sequence[float]],
    months: Mapping[str, Counts],
    rules: DriftRules | None = None,
    *,
    first: bool = False,
) -> dict[str, tuple[Drifted, ...]]:
    """Each month's index of each feature against the month before and against a reference, with alarms.

    shares: by key, the reference where it is of the same kind of enterprises. first: whether the first month is the
    reference where there are no shares. A month without LEAST_ROWS rows of a feature says nothing of it, and the next
    is compared with the last one that does.
    """
    out: dict[str, tuple[Drifted, ...]] = {}
    last: dict[str, NDArray[np.float64]] = {}
    reference = {key: exact(shares[key]) for key in bins if key in shares}
    for month, counts in sorted(months.items()):
        newest = month == max(months)
        there = {k: np.asarray(counts[k], np.float64) for k in bins if sum(counts.get(k, ())) >= LEAST_ROWS}
        asked = [
            Counted(
                name=bins[key].feature.column,
                now=now,
                before=last.get(key),
                development=reference.get(key),
                ordered=False,
            )
            for key, now in there.items()
        ]
        out[month] = drifted(asked, rules, nameable=newest)
        last |= there
        if first:
            reference = {key: Histogram.of(now, 0.0) for key, now in there.items()} | reference
    return out
