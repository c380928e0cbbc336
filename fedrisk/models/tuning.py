"""How released sums move the model: rate, optimiser and average, from public numbers alone.

The hub steps by it (server/optimiser); trainers compute the same and refuse another rate than follows from the study.
"""

from dataclasses import dataclass, replace
from typing import Literal

from fedrisk.study_sections import Training


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """How released sums move the model; public, and free of charge.

    rate: learning rate of a step. optimiser: of the hub. momentum: of ``momentum`` and ``adam``. averaged: share of
    the last models whose mean is the trained one, which takes out noise of single steps (Polyak & Juditsky 1992).
    adam_step: most that ``adam`` moves a weight in a step, about; to it a proposal is only a direction.
    """

    rate: float
    optimiser: Literal["sgd", "momentum", "adam"]
    momentum: float
    averaged: float
    adam_step: float = 0.1

    def chosen(self, rule: Training) -> "Tuning":
        """With what the study itself chose."""
        return replace(
            self,
            rate=rule.learning_rate or self.rate,
            optimiser=rule.optimiser or self.optimiser,
        )
