"""Warnings of a month against what became of its loans: how many were false alarms, how much was warned of.

A study states both for its threshold, with the interval that sampling and noise leave: of all its banks' hold-outs, in
the month of its tables. At one bank, a year later, both may be others: loans are not those of all banks, seasons
differ, and the population moves. Loans of one month are counted, as in a back-test (analysis/watch/back_testing).
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from fedrisk.analysis.validation.noisy_binomial import jeffreys_interval
from fedrisk.models.warning_point import Interval, WarningPoint

LEVEL = 0.95
"""Of intervals, as the study's."""

Against = Literal["as_stated", "more", "fewer"]


@dataclass(frozen=True, kw_only=True)
class Warned:
    """One month's warnings with their outcomes.

    Attributes:
        month: of the scores. matured: as of the month's back-test; before that outcomes that are known early are too
            many, and recall alone can be read.
        score: warned of at this score and below.
        without, false: loans without the outcome, and those of them that were warned of.
        cases, right: loans with the outcome, and those of them that were warned of.
        point: what the study stated of this threshold; None where the bank has set another one.
    """

    month: str
    matured: bool
    score: int
    without: int
    false: int
    cases: int
    right: int
    point: WarningPoint | None = None

    @property
    def false_alarms(self) -> Interval | None:
        """Share of the loans without the outcome that was warned of, with Jeffreys's interval."""
        return _share(self.false, self.without)

    @property
    def recall(self) -> Interval | None:
        """Share of the loans with the outcome that was warned of, with Jeffreys's interval."""
        return _share(self.right, self.cases)

    @property
    def against(self) -> Against | None:
        """False alarms against those stated: other ones where the two intervals do not meet.

        Two intervals of 95 % that do not meet come about by chance in about .6 % of the months where both are equally
        wide, and in at most 5 % however they differ. None before the month is matured, or where nothing was stated.
        """
        found = self.false_alarms
        if found is None or self.point is None or not self.matured:
            return None
        stated = self.point.false_alarms
        return "more" if found.low > stated.high else "fewer" if found.high < stated.low else "as_stated"

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        shares = {"false_alarms": self.false_alarms, "recall": self.recall}
        return {
            **{k: v for k, v in asdict(self).items() if k != "point"},
            **{k: None if v is None else v.model_dump() for k, v in shares.items()},
            "stated": None if self.point is None else self.point.to_dict(),
            "against": self.against,
        }


def warned(
    month: str,
    score: ArrayLike,
    outcome: ArrayLike,
    threshold: int,
    *,
    matured: bool,
    point: WarningPoint | None = None,
) -> Warned:
    """Count a month. score: (n,). outcome: (n,), NaN where none is known. threshold: warned of at it and below."""
    s, y = np.asarray(score, np.float64), np.asarray(outcome, np.float64)
    low = s <= threshold
    return Warned(
        month=month,
        matured=matured,
        score=threshold,
        without=int((y == 0).sum()),
        false=int((low & (y == 0)).sum()),
        cases=int((y == 1).sum()),
        right=int((low & (y == 1)).sum()),
        point=point,
    )


def _share(part: int, whole: int) -> Interval | None:
    if not whole:
        return None
    low, high = jeffreys_interval(part, whole, LEVEL)
    return Interval(value=part / whole, low=low, high=high)
