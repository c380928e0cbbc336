"""How many bits the answers of a served model tell of one enterprise at most: of points, and of how old records are.

An answer is a sum of points, or one for each theme, and, where members say so, how many of them have a fresh, an aging,
an old or no record. Each is one of a known number of values, so that no answer tells more bits than the logarithm of
what it may be, whatever card, points and records are (data processing).
"""

import math
from dataclasses import dataclass
from typing import Final

from fedrisk.models.model_part import ModelPart

AGE_CLASSES: Final = 4
"""Classes of the age of a record that an answer counts members by (serving/ages)."""

SEVERAL: Final = 3
"""Fewest holders among which one hides in a count of ages."""


@dataclass(frozen=True)
class ToldBits:
    """Most bits of one answer. points: of all its sums of points together. ages: of the counts of ages."""

    points: float
    ages: float

    @property
    def answer(self) -> float:
        """Of all of it."""
        return self.points + self.ages


def tells_ages(part: ModelPart, rule: str) -> bool:
    """Whether a holder with this rule (``policy.serving.ages``) gives ages with the points of a model.

    An index does not show how old records are: each number more would tell more of an enterprise.
    """
    if part.index is not None:
        return False
    return rule == "always" or (rule == "several" and len(part.holders) >= SEVERAL)


def told_bits(part: ModelPart, ages: str) -> ToldBits | None:
    """Most bits that one answer, or one month of an index, tells a bank of an enterprise; None of what has no points.

    ages: a holder's rule of ages. Counts of ages open where every holder gives them, so that one that gives none has
    them told to nobody.
    """
    if part.values is None:
        return None
    points = max(1, len(part.sums)) * math.log2(part.values)
    counts = age_counts(len(part.holders)) if tells_ages(part, ages) else 1
    return ToldBits(points, math.log2(counts))


def ages_rule(part: ModelPart, name: str, own: str) -> str:
    """The rule of ages by which an institution reckons: a holder its own; a bank, which knows none, the widest."""
    return own if name in part.holders else "always"


def age_counts(holders: int) -> int:
    """In how many ways so many holders are counted by four classes of age.

    >>> age_counts(3), age_counts(5)
    (20, 56)
    """
    return math.comb(holders + AGE_CLASSES - 1, AGE_CLASSES - 1)
