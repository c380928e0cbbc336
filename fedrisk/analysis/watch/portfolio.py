"""What a risk officer asks first of a month: how many loans, in which grades, how they moved and how risky they are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fedrisk.analysis.validation.master_scale import DEFAULT_SCALE, MasterScale

Ids = NDArray[np.object_]


@dataclass(frozen=True, kw_only=True)
class MonthRisk:
    """Loans of one month. scored: with a score. probability, score: means over those. grades: loans in each grade.

    defaults: expected within the horizon. loss: expected, and exposure, in the currency of the bank's table; None where
    the bank's file names no column of exposure. no_exposure, no_share: of the table's rows of these loans (rows), those
    without an amount, or without a share that is lost, which count as 0; None where that is not known.
    """

    month: str
    loans: int
    scored: int
    probability: float
    score: float
    grades: tuple[int, ...]
    defaults: float
    exposure: float | None = None
    loss: float | None = None
    rows: int | None = None
    no_exposure: int | None = None
    no_share: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {**vars(self), "grades": list(self.grades)}


@dataclass(frozen=True, kw_only=True)
class Migrations:
    """Loans by grade a month before (rows) and now (columns), (g, g). new: those without a score then, by grade now.

    gone: those without a score now, by grade then. better, worse: loans in a safer, in a riskier grade.
    """

    since: str
    names: tuple[str, ...]
    moved: NDArray[np.int64]
    new: tuple[int, ...]
    gone: tuple[int, ...]

    @property
    def better(self) -> int:
        """Loans in a safer grade than the month before."""
        return int(np.tril(self.moved, -1).sum())

    @property
    def worse(self) -> int:
        """Loans in a riskier grade."""
        return int(np.triu(self.moved, 1).sum())

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "since": self.since,
            "grades": list(self.names),
            "moved": self.moved.tolist(),
            "new": list(self.new),
            "gone": list(self.gone),
            "better": self.better,
            "worse": self.worse,
        }


@dataclass(frozen=True, kw_only=True)
class Unscored:
    """Loans without a score, by code. words: a sentence for each code."""

    counts: Mapping[str, int] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)


def month_risk(
    month: str,
    loans: int,
    probability: ArrayLike,
    score: ArrayLike,
    *,
    scale: MasterScale = DEFAULT_SCALE,
) -> MonthRisk:
    """Of the loans with a score, (n,) each.

    >>> found = month_risk("2026-05", 3, [0.01, 0.03], [600, 560])
    >>> found.probability, found.defaults, found.grades[:5]
    (0.02, 0.04, (0, 0, 0, 1, 1))
    """
    p, s = np.asarray(probability, np.float64), np.asarray(score, np.float64)
    return MonthRisk(
        month=month,
        loans=loans,
        scored=len(p),
        probability=float(p.mean()) if len(p) else float("nan"),
        score=float(s.mean()) if len(s) else float("nan"),
        grades=tuple(np.bincount(scale.codes(p), minlength=scale.size).tolist()),
        defaults=float(p.sum()),
    )


def migrations(
    since: str,
    before: tuple[Ids, ArrayLike],
    now: tuple[Ids, ArrayLike],
    scale: MasterScale = DEFAULT_SCALE,
) -> Migrations:
    """before, now: ids of loans with a score, each once, and their probabilities.

    >>> old = (np.array(["a", "b"], object), [0.001, 0.03])
    >>> found = migrations("2026-04", old, (np.array(["b", "c"], object), [0.3, 0.001]))
    >>> found.worse, found.better, sum(found.new), sum(found.gone)
    (1, 0, 1, 1)
    """
    a, b = (scale.codes(np.asarray(p, np.float64)) for _, p in (before, now))
    _, left, right = np.intersect1d(before[0], now[0], assume_unique=True, return_indices=True)
    moved = np.zeros((scale.size, scale.size), np.int64)
    np.add.at(moved, (a[left], b[right]), 1)
    size = scale.size
    return Migrations(
        since=since,
        names=scale.names,
        moved=moved,
        new=tuple((np.bincount(b, minlength=size) - moved.sum(0)).tolist()),
        gone=tuple((np.bincount(a, minlength=size) - moved.sum(1)).tolist()),
    )
