"""The challenger beside the champion on the same loans: how far they agree, and later which is better."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fedrisk.analysis.swap_sets import Swap, swaps
from fedrisk.analysis.validation.master_scale import DEFAULT_SCALE, MasterScale
from fedrisk.models.comparison import (
    Difference,
    auc_difference,
    challenger_verdict,
    log_loss_difference,
)

LEAST_CLASS = 10
"""Fewest defaults, and fewest others, on which two models are compared."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Both models in one month. loans: that both scored. grades: by grade of the champion (rows) and of the challenger.

    alike: part in the same grade; within_one: in the same or the next. safer, riskier: part that the challenger puts in
    a safer or a riskier grade. champion, challenger: mean probability. ranks: correlation of both orders.
    """

    month: str
    loans: int
    names: tuple[str, ...]
    grades: NDArray[np.int64]
    alike: float
    within_one: float
    safer: float
    riskier: float
    champion: float
    challenger: float
    ranks: float

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {**vars(self), "names": list(self.names), "grades": self.grades.tolist()}


@dataclass(frozen=True, kw_only=True)
class Contest:
    """Both models on the same outcomes. auc: challenger less champion; log_loss likewise, below 0 where it is better.

    swaps: what the challenger in place of the champion would have changed, by share approved.
    """

    month: str
    loans: int
    defaults: int
    auc: Difference
    log_loss: Difference
    swaps: tuple[Swap, ...]

    @property
    def verdict(self) -> str:
        """``better``, ``worse`` or ``alike``: `challenger_verdict`."""
        return challenger_verdict(self.auc, self.log_loss)

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "month": self.month,
            "loans": self.loans,
            "defaults": self.defaults,
            "auc": self.auc.to_dict(),
            "log_loss": self.log_loss.to_dict(),
            "swaps": [s.to_dict() for s in self.swaps],
            "verdict": self.verdict,
        }


def agreement(
    month: str, champion: ArrayLike, challenger: ArrayLike, scale: MasterScale = DEFAULT_SCALE
) -> Agreement | None:
    """Of loans with both probabilities, (n,) each; None where there are none.

    >>> found = agreement("2026-05", [0.003, 0.03, 0.3], [0.003, 0.05, 0.1])
    >>> found.loans, round(found.alike, 2), round(found.safer, 2), round(found.riskier, 2)
    (3, 0.33, 0.33, 0.33)
    """
    p, q = np.asarray(champion, np.float64), np.asarray(challenger, np.float64)
    if not len(p):
        return None
    a, b = scale.codes(p), scale.codes(q)
    grades = np.zeros((scale.size, scale.size), np.int64)
    np.add.at(grades, (a, b), 1)
    spread = len(np.unique(p)) > 1 and len(np.unique(q)) > 1
    return Agreement(
        month=month,
        loans=len(p),
        names=scale.names,
        grades=grades,
        alike=float((a == b).mean()),
        within_one=float((abs(a - b) <= 1).mean()),
        safer=float((b < a).mean()),
        riskier=float((b > a).mean()),
        champion=float(p.mean()),
        challenger=float(q.mean()),
        ranks=float(np.corrcoef(_ranks(p), _ranks(q))[0, 1]) if spread else 1.0,
    )


def contest(month: str, outcome: ArrayLike, champion: ArrayLike, challenger: ArrayLike) -> Contest | None:
    """Of loans with an outcome and both probabilities, (n,) each; None with fewer than LEAST_CLASS of a kind."""
    y, p, q = (np.asarray(v, np.float64) for v in (outcome, champion, challenger))
    if min((y == 1).sum(), (y == 0).sum()) < LEAST_CLASS:
        return None
    return Contest(
        month=month,
        loans=len(y),
        defaults=int(y.sum()),
        auc=auc_difference(y, q, p),
        log_loss=log_loss_difference(y, q, p),
        swaps=swaps(y, p, q),
    )


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(count) - (count - 1) / 2)[place], np.float64)
