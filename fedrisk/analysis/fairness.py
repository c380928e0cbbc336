"""How a model serves groups of enterprises: approval, calibration and discrimination by sector, county or size.

From the counts by group that a study released of its hold-out (releases/groups) and nothing else. All intervals are of
LEVEL and contain the sampling of enterprises and the noise. Noisy counts are never clipped before they are added up.

- *Approval rate* at a cut-off: share of a group with a probability of default below it. Its *ratio* is over that of the
  group with the highest one. The four-fifths rule (EEOC 1978, 29 CFR 1607.4 D) calls a ratio below .8 a sign that a
  practice falls on one group more than on others. It is information here: of enterprises, not of persons, and of groups
  whose risk may differ. The highest of noisy rates is chosen among all of a column, so the intervals of ratios hold for
  all pairs of groups together (Bonferroni).
- *Calibration*: observed over predicted default rate. 1 is right in the mean; above 1 the group defaults more often
  than the model says, and is treated too kindly. Interval by Fieller (1954). What is predicted within a band is the
  mean of all enterprises in it; WITHIN is how far that of one group may be off (benchmarks/fairness).
- *AUC* within the group, by bands. Coarse bands make it smaller than that of the fine histogram, about alike in all
  groups; so it is compared with all enterprises by the same bands.

Each group is compared with all others of its column, whose noise is independent of its own. One of twenty such
differences would seem to be there by chance alone, so p-values are adjusted over all comparisons of a study (Holm
1979).

A group whose figures say less than their noise has none (``too few to say``), wherever figures are shown: no size where
it cannot be told from 0 among all of its column; nothing of its defaults where they are known to less than about a
third. Whether they are follows from the defaults that were predicted, not from those that the noisy counts show: groups
would else be shown just where noise makes them look bad.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from fedrisk.analysis.curves import LEVEL, Estimate, area, share_of
from fedrisk.analysis.intervals import reach
from fedrisk.analysis.marking import told_from_zero
from fedrisk.analysis.score_counts import ScoreCounts
from fedrisk.releases.groups import GROUPS
from fedrisk.releases.record import ReleasedSums, ReleaseRecord

Floats = NDArray[np.float64]

Measure = Literal["approval", "calibration", "auc"]

FOUR_FIFTHS = 0.8
"""Ratio of approval rates below which the rule asks for reasons."""

WITHIN = 0.02
"""How far a group's mean probability within bands may be from that of all, in proportion (one standard deviation)."""

WIDEST_SHARE = 0.3
"""Width of the interval of an approval rate from which on it says nothing."""

FEW, FEW_FOR_AUC = 1 / 3, 1 / 5
"""Relative standard error of defaults, were there as many as predicted, beyond which rates and AUC are not shown."""

SURE = 0.05
"""Adjusted p-value below which a difference is called one."""


@dataclass(frozen=True, kw_only=True)
class Approval:
    """Approval of a group at one cut-off. ratio: over the highest approval rate of its column."""

    cut_off: float
    rate: Estimate | None
    ratio: Estimate | None = None

    @property
    def four_fifths(self) -> Literal["below", "open", "above"] | None:
        """Whether the whole interval of the ratio is below four fifths, or above, or neither."""
        if self.ratio is None:
            return None
        if self.ratio.high < FOUR_FIFTHS:
            return "below"
        return "above" if self.ratio.low >= FOUR_FIFTHS else "open"


@dataclass(frozen=True, kw_only=True)
class Group:
    """One group's figures; None where they say less than their noise.

    size: enterprises of the hold-out. share: of all of its column. observed, predicted: default rates. calibration:
    observed over predicted.
    """

    level: str
    size: Estimate | None
    share: Estimate | None = None
    observed: Estimate | None = None
    predicted: Estimate | None = None
    calibration: Estimate | None = None
    auc: Estimate | None = None
    approvals: tuple[Approval, ...] = ()

    @property
    def says(self) -> bool:
        """Whether there is any figure."""
        return self.size is not None


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A group less all others of its column. p: two-sided; adjusted: over all comparisons of the study."""

    column: str
    level: str
    measure: Measure
    cut_off: float | None
    value: float
    low: float
    high: float
    p: float
    adjusted: float

    @property
    def sure(self) -> bool:
        """Whether it is there for all that chance and noise can do."""
        return self.adjusted < SURE


@dataclass(frozen=True, kw_only=True)
class GroupColumn:
    """All groups of one column, in the order of its public levels. deviation: of the noise in each released count."""

    name: str
    groups: tuple[Group, ...]
    deviation: float


@dataclass(frozen=True, kw_only=True)
class Fairness:
    """Figures of all columns. together: of all enterprises, by the bands of the shortest."""

    columns: tuple[GroupColumn, ...]
    together: Group
    differences: tuple[Difference, ...]
    cut_offs: tuple[float, ...]
    mu: float
    research: bool = False

    @property
    def withheld(self) -> int:
        """Groups without any figure."""
        return sum(not g.says for c in self.columns for g in c.groups)


def fairness(record: ReleaseRecord) -> Fairness | None:
    """Figures by group from a study's record; None where it released none."""
    released = record.find(GROUPS)
    if released is None or not released.blocks:
        return None
    about = _About.of(released)
    tables = [_Table(about, b.total, float(b.variance or 0.0)) for b in released.blocks]
    columns, differences = [], []
    for plain, table in zip(released.about["columns"], tables, strict=True):
        groups = table.groups([str(level) for level in plain["categories"]])
        name = str(plain["name"])
        columns.append(GroupColumn(name=name, groups=groups, deviation=math.sqrt(table.variance)))
        differences += table.differences(name, groups)
    return Fairness(
        columns=tuple(columns),
        together=min(tables, key=lambda table: len(table.counts)).everybody(),
        differences=_adjusted(differences),
        cut_offs=about.cuts,
        mu=released.mu,
        research=record.research,
    )


@dataclass(frozen=True)
class _About:
    """Edges of bands, cut-offs and mean probability of bands."""

    edges: Floats
    cuts: tuple[float, ...]
    predicted: Floats

    @classmethod
    def of(cls, released: ReleasedSums) -> "_About":
        about: Mapping[str, Any] = released.about
        return cls(
            np.asarray(about["band_edges"], float),
            tuple(float(c) for c in about["cut_offs"]),
            np.asarray(about["predicted"], float),
        )

    def below(self, cut: float) -> int:
        """How many bands lie below a cut-off."""
        return int(np.argmin(np.abs(self.edges - cut))) + 1


class _Cells:
    """Counts of one group, or of several added up: (bands, 2), each with noise of ``variance``."""

    def __init__(self, about: _About, counts: Floats, variance: float) -> None:
        self.about, self.variance = about, variance
        self.n1, self.n0 = counts[:, 0], counts[:, 1]

    @property
    def bands(self) -> int:
        return len(self.n1)

    @property
    def size(self) -> float:
        return float(self.n1.sum() + self.n0.sum())

    def observed(self) -> Estimate | None:
        """Default rate."""
        if self.uncertain > FEW:
            return None
        return share_of(float(self.n1.sum()), float(self.n0.sum()), self.variance, self.bands, self.bands)

    @property
    def expected(self) -> float:
        """Defaults that were predicted."""
        return float((self.n1 + self.n0) @ self.about.predicted)

    @property
    def uncertain(self) -> float:
        """Relative standard error of observed over predicted defaults, were there as many as predicted."""
        e = self.expected
        return self._ratio_error(1.0, e) if e > 0 else math.inf

    def approval(self, cut: float) -> Estimate | None:
        """Share below a cut-off."""
        k, n = self.about.below(cut), self.n1 + self.n0
        found = share_of(float(n[:k].sum()), float(n[k:].sum()), self.variance, 2 * k, 2 * (self.bands - k))
        return found if found.high - found.low <= WIDEST_SHARE else None

    def predicted(self) -> Estimate | None:
        """Mean probability: sums of noisy counts times the mean of each band, over their sum."""
        n, p = self.n1 + self.n0, self.about.predicted
        size = self.size
        if size <= 0:
            return None
        mean = float(n @ p) / size
        spread = 2 * self.variance + np.maximum(n, 0.0)
        error = math.sqrt(float(spread @ (p - mean) ** 2)) / size
        return _around(mean, math.hypot(error, WITHIN * mean), least=0.0, most=1.0)

    def calibration(self) -> Estimate | None:
        """Observed over predicted: those ratios k for which defaults less k times predicted ones may be zero."""
        p, v, q = self.about.predicted, self.variance, reach(LEVEL)
        d, e = float(self.n1.sum()), self.expected
        if self.uncertain > FEW:
            return None
        # Variance at ratio k: v sum((1 - k p)^2 + (k p)^2) of the noise, k e of the draw, (k WITHIN e)^2.
        a = e**2 * (1 - (q * WITHIN) ** 2) - q**2 * 2 * v * float(p @ p)
        b = 2 * d * e - q**2 * 2 * v * float(p.sum()) + q**2 * e
        c = d**2 - q**2 * v * self.bands
        if a <= 0 or b**2 < 4 * a * c:
            return None
        low, high = ((b + s * math.sqrt(b**2 - 4 * a * c)) / (2 * a) for s in (-1, 1))
        value = max(d / e, 0.0)
        return Estimate(value=value, low=max(low, 0.0), high=high, error=self._ratio_error(value, e))

    def _ratio_error(self, k: float, e: float) -> float:
        p = self.about.predicted
        noise = self.variance * float(((1 - k * p) ** 2 + (k * p) ** 2).sum())
        return math.sqrt(noise + k * e + (k * WITHIN * e) ** 2) / e

    def auc(self) -> Estimate | None:
        """Discrimination by bands."""
        edges = self.about.edges
        counts = ScoreCounts(
            positives=self.n1,
            negatives=self.n0,
            variance=self.variance,
            low=np.r_[0.0, edges],
            high=np.r_[edges, 1.0],
            axis="probability",
            probability=self.about.predicted,
        )
        return area(counts) if self.uncertain <= FEW_FOR_AUC and counts.usable else None

    def figures(self, level: str, share: Estimate | None) -> Group:
        """All figures but ratios."""
        error = math.sqrt(2 * self.bands * self.variance)
        approvals = tuple(Approval(cut_off=cut, rate=self.approval(cut)) for cut in self.about.cuts)
        return Group(
            level=level,
            size=_around(self.size, error, least=0.0, most=math.inf),
            share=share,
            observed=self.observed(),
            predicted=self.predicted(),
            calibration=self.calibration(),
            auc=self.auc(),
            approvals=approvals,
        )


class _Table:
    """Counts of one column, (levels, bands, 2)."""

    def __init__(self, about: _About, counts: Floats, variance: float) -> None:
        self.about, self.counts, self.variance = about, counts, variance

    def everybody(self) -> Group:
        """All groups together."""
        return _Cells(self.about, self.counts.sum(0), len(self.counts) * self.variance).figures("", None)

    def others(self, place: int) -> _Cells:
        """All but one group."""
        rest = np.delete(self.counts, place, axis=0).sum(0)
        return _Cells(self.about, rest, (len(self.counts) - 1) * self.variance)

    def groups(self, levels: Sequence[str]) -> tuple[Group, ...]:
        """Figures of all groups, with their ratios."""
        sizes = self.counts.sum((1, 2))
        cells = 2 * self.counts.shape[1]
        told = told_from_zero(sizes, np.full(len(sizes), cells * self.variance))
        found = []
        for place, level in enumerate(levels):
            if not told[place]:
                found.append(Group(level=level, size=None))
                continue
            rest, levels_left = float(sizes.sum() - sizes[place]), len(levels) - 1
            share = share_of(float(sizes[place]), rest, self.variance, cells, cells * levels_left)
            found.append(_Cells(self.about, self.counts[place], self.variance).figures(level, share))
        return _with_ratios(found, self.about.cuts)

    def differences(self, column: str, groups: Sequence[Group]) -> list[Difference]:
        """Each group against all others of the column, not adjusted yet."""
        out = []
        for place, group in enumerate(groups):
            if not group.says or sum(g.says for g in groups) < 2:
                continue
            other = self.others(place).figures("", None)
            pairs: list[tuple[Measure, float | None, Estimate | None, Estimate | None]] = [
                ("calibration", None, group.calibration, other.calibration),
                ("auc", None, group.auc, other.auc),
                *(
                    ("approval", a.cut_off, a.rate, b.rate)
                    for a, b in zip(group.approvals, other.approvals, strict=True)
                ),
            ]
            for measure, cut, mine, theirs in pairs:
                if mine is not None and theirs is not None:
                    out.append(_difference(column, group.level, measure, cut, mine, theirs))
        return out


def _with_ratios(groups: Sequence[Group], cuts: Sequence[float]) -> tuple[Group, ...]:
    """Approval rates over the highest of each cut-off, with intervals that hold for all pairs of groups together."""
    ratios: list[list[Approval]] = [list(g.approvals) for g in groups]
    for k in range(len(cuts)):
        rates = {i: g.approvals[k].rate for i, g in enumerate(groups) if g.says}
        there = {i: rate for i, rate in rates.items() if rate is not None and rate.value > 0}
        if len(there) < 2:
            continue
        best = max(there, key=lambda i: there[i].value)
        q = reach(1 - (1 - LEVEL) / (len(there) * (len(there) - 1) / 2))
        for i, rate in there.items():
            before = ratios[i][k]
            ratios[i][k] = Approval(
                cut_off=before.cut_off, rate=before.rate, ratio=_ratio(rate, there[best], q, same=i == best)
            )
    return tuple(Group(**{**vars(g), "approvals": tuple(own)}) for g, own in zip(groups, ratios, strict=True))


def _ratio(rate: Estimate, highest: Estimate, q: float, *, same: bool) -> Estimate:
    value = rate.value / highest.value
    if same:
        return Estimate(value=1.0, low=1.0, high=1.0, error=0.0)
    log_error = math.hypot(rate.error / rate.value, highest.error / highest.value)
    return Estimate(
        value=value,
        low=value * math.exp(-q * log_error),
        high=value * math.exp(q * log_error),
        error=value * log_error,
    )


def _difference(
    column: str, level: str, measure: Measure, cut: float | None, mine: Estimate, theirs: Estimate
) -> Difference:
    value, error = mine.value - theirs.value, math.hypot(mine.error, theirs.error)
    half = reach(LEVEL) * error
    p = float(2 * ndtr(-abs(value) / error)) if error > 0 else float(value == 0)
    return Difference(
        column=column,
        level=level,
        measure=measure,
        cut_off=cut,
        value=value,
        low=value - half,
        high=value + half,
        p=p,
        adjusted=p,
    )


def _adjusted(found: Sequence[Difference]) -> tuple[Difference, ...]:
    """P-values adjusted by Holm (1979): valid however the comparisons depend on each other."""
    order = sorted(range(len(found)), key=lambda i: found[i].p)
    adjusted, so_far = [1.0] * len(found), 0.0
    for rank, i in enumerate(order):
        so_far = max(so_far, min(1.0, (len(found) - rank) * found[i].p))
        adjusted[i] = so_far
    return tuple(Difference(**{**vars(d), "adjusted": p}) for d, p in zip(found, adjusted, strict=True))


def _around(value: float, error: float, *, least: float, most: float) -> Estimate:
    half = reach(LEVEL) * error
    return Estimate(value=value, low=max(value - half, least), high=min(value + half, most), error=error)
