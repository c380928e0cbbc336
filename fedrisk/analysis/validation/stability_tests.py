"""Whether a score and its columns are spread over the validation sample as over development: PSI and CSI.

The population stability index (Lewis 1994; Siddiqi 2017) is larger than 0 by sampling and noise alone; what these add
is taken off, and it has an interval and a test (analysis/stability). The same index of a column is called CSI.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from fedrisk.analysis.drift import holm
from fedrisk.analysis.homogeneity import Histogram, homogeneity, prepared
from fedrisk.analysis.stability import stability_of
from fedrisk.metrics import psi

MOST_BINS = 20
"""Groups to which more bins of a column are joined."""


@dataclass(frozen=True, kw_only=True)
class Shift:
    """One score, grade or column. bins: compared. index: corrected; plain: as counted. low, high: interval of index.

    statistic, degrees, p: of the test that nothing moved; holm: p adjusted for all that are compared together. index
    and its interval are None where noise leaves none, and p is None where it leaves no test.
    """

    name: str
    before: float
    now: float
    bins: int
    plain: float
    index: float | None
    low: float | None
    high: float | None
    statistic: float | None
    degrees: int
    p: float | None
    holm: float | None = None


def shift(name: str, before: Histogram, now: Histogram, *, ordered: bool = True) -> Shift:
    """How far a histogram moved. ordered: whether neighbouring bins may be joined."""
    a, b = prepared(before, now, MOST_BINS if ordered else None)
    found = homogeneity(a, b)
    index = None if found is None else stability_of(a, b, found)
    return Shift(
        name=name,
        before=before.total,
        now=now.total,
        bins=len(before.counts),
        plain=psi(before.counts, now.counts),
        index=None if index is None else index.index,
        low=None if index is None else index.low,
        high=None if index is None else index.high,
        statistic=None if found is None else found.statistic,
        degrees=0 if found is None else found.degrees,
        p=None if found is None else found.p,
    )


def together(shifts: Sequence[Shift]) -> tuple[Shift, ...]:
    """The same with p-values adjusted for all of them (Holm 1979)."""
    there = [k for k, s in enumerate(shifts) if s.p is not None]
    adjusted = dict(zip(there, holm([p for s in shifts if (p := s.p) is not None]), strict=True))
    return tuple(Shift(**{**vars(s), "holm": adjusted.get(k)}) for k, s in enumerate(shifts))
