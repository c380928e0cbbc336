"""What a scorecard study knows before its own counts: earlier studies' released numbers, and curves from elsewhere.

All of it is public to the study's members, and none of it is a release: what is computed from released numbers costs
no further privacy (post-processing; Dwork & Roth 2014, section 2.1). `fedrisk.models.memory` combines earlier numbers
with new ones, `fedrisk.models.prior` has curves that are known from elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedrisk.models.binning import Bins
from fedrisk.models.label_counts import LabelCounts
from fedrisk.models.prior import Prior

Floats = NDArray[np.float64]

CLOSE = 1e-9
"""By how much edges of the same bins may differ, absolutely or relative to themselves."""


@dataclass(frozen=True)
class GramMatrix:
    """Noisy Gram matrix of all shape columns, (M, M), and the variance of its entries, at the scale of the counts."""

    gram: Floats
    variance: Floats


@dataclass(frozen=True, kw_only=True)
class PastStudy:
    """The sums that one earlier study released, as a later one takes them.

    study, digest: its name, and the digest of its release record (hexadecimal). ended: when it ended, ISO 8601 in UTC,
    by which studies are put in order. bins: of all features. counts: of the columns, both counts as one where they were
    counted a second time. bases: shape columns of every feature, and second: their Gram matrix; none where the study
    released none. members: who contributed. attempt: of its run. research: whether it was released without privacy.
    """

    study: str
    digest: str
    ended: str
    bins: tuple[Bins, ...]
    counts: LabelCounts
    bases: tuple[Floats, ...] = ()
    second: GramMatrix | None = None
    members: tuple[str, ...] = ()
    attempt: str = ""
    research: bool = False


@dataclass(frozen=True, kw_only=True)
class Knowledge:
    """memory: earlier studies, oldest first. prior: curves known from elsewhere."""

    memory: tuple[PastStudy, ...] = ()
    prior: Prior | None = None

    def __bool__(self) -> bool:
        return bool(self.memory) or self.prior is not None


def places(there: Sequence[Bins], here: Sequence[Bins]) -> list[int | None]:
    """Where each of `here` is among the bins `there` of another study; None where its bins are others or it is none."""
    by_name = {(b.feature.institution, b.feature.column): k for k, b in enumerate(there)}
    at = [by_name.get((b.feature.institution, b.feature.column)) for b in here]
    return [k if k is not None and same_bins(there[k], b) else None for k, b in zip(at, here, strict=True)]


def same_bins(one: Bins, other: Bins) -> bool:
    """Whether two studies' bins of a column mean the same, code by code."""
    f, g = one.feature, other.feature
    same = (f.institution, f.column, f.kind, f.missing, one.categories, one.unknown, one.same) == (
        *(g.institution, g.column, g.kind, g.missing, other.categories, other.unknown, other.same),
    )
    codes = [code for code, _ in f.special] == [code for code, _ in g.special]
    close = len(one.edges) == len(other.edges) and np.allclose(one.edges, other.edges, rtol=CLOSE, atol=CLOSE)
    return bool(same and codes and close)


NOTHING = Knowledge()
"""A study that stands by itself."""
