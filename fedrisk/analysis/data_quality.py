"""Quality of an institution's data as a study's released counts show it: coverage and completeness, with their noise.

*Coverage*: share of the enterprises on the banks' lists that a holder knows, from the counts of the bin for unknown
ones, which every column of the holder repeats. *Completeness*: share of the known enterprises of which a column says a
value, from the counts of its bin for missing ones; a column whose dictionary allows no missing value has all of them.
How late data are no count shows; the institutions declare it (`reward`).
"""

import math
from dataclasses import dataclass

import numpy as np

from fedrisk.analysis.card_sums import CardSums
from fedrisk.analysis.intervals import reach
from fedrisk.models.label_counts import with_known
from fedrisk.study_members import BANK

LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class Share:
    """A share with its standard error, by noise and by the number of enterprises; within 0 and 1.

    noise: the part of the error that privacy noise makes.
    """

    value: float
    error: float
    noise: float

    @property
    def reach(self) -> float:
        """How far the interval at 95 % reaches to each side."""
        return reach(LEVEL) * self.error

    @property
    def low(self) -> float:
        """Lower end of the interval at 95 %."""
        return max(self.value - self.reach, 0.0)

    @property
    def high(self) -> float:
        """Upper end of the interval at 95 %."""
        return min(self.value + self.reach, 1.0)

    @property
    def says(self) -> bool:
        """Whether what lacks is more than its noise: below that, only that at most so much lacks can be said."""
        return 1 - self.value > self.noise

    @property
    def lacks(self) -> float:
        """What lacks, 0 where it is less than its noise: nobody pays for noise, and no factor gives it away."""
        return 1 - self.value if self.says else 0.0


@dataclass(frozen=True, kw_only=True)
class Quality:
    """coverage: None for the banks, whose customers the enterprises are. completeness: by column, and their mean."""

    coverage: Share | None
    completeness: Share
    columns: dict[str, Share]


def data_quality(sums: CardSums) -> dict[str, Quality]:
    """Quality by institution (role), in the order of the bins."""
    counts = with_known(sums.counts, sums.bins)
    total = counts.positives + counts.negatives
    out = {}
    for role in dict.fromkeys(b.feature.institution for b in sums.bins):
        coverage, columns = None, {}
        for j, b in enumerate(sums.bins):
            if b.feature.institution != role:
                continue
            count, variance = counts.n1[j] + counts.n0[j], 2 * float(counts.variance[j])
            if not b.feature.is_column:
                coverage = _share(float(count[0]), total, variance)
                continue
            known = max(float(count[: b.known].sum()), 1.0)
            missing = float(count[b.missing_place]) if b.feature.missing else 0.0
            columns[b.feature.column] = _share(known - missing, known, variance if b.feature.missing else 0.0)
        out[role] = Quality(
            coverage=None if role == BANK else coverage,
            completeness=_mean(list(columns.values())),
            columns=columns,
        )
    return out


def _share(part: float, whole: float, variance: float) -> Share:
    value = float(np.clip(part / max(whole, 1.0), 0.0, 1.0))
    noise = math.sqrt(variance) / max(whole, 1.0)
    return Share(
        value=value, error=math.hypot(noise, math.sqrt(value * (1 - value) / max(whole, 1.0))), noise=noise
    )


def _mean(shares: list[Share]) -> Share:
    """Mean over columns. Their noise is independent; their enterprises are the same, so that sampling errors add."""
    n = max(len(shares), 1)
    noise = math.sqrt(sum(s.noise**2 for s in shares)) / n
    sampling = sum(math.sqrt(max(s.error**2 - s.noise**2, 0.0)) for s in shares) / n
    value = sum(s.value for s in shares) / n if shares else 1.0
    return Share(value=value, error=math.hypot(noise, sampling), noise=noise)
