"""Policy: what one institution allows. Its own machine refuses the rest, whatever a study or the hub asks.

The policy stands in the institution's own file and is checked before anything is computed for a study. A
refusal's text names the rule and stays at home; the others learn the code ``refused``.
"""

import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from fedrisk.errors import PolicyError
from fedrisk.privacy.accounting import mu_for
from fedrisk.study import Study


class Policy(BaseModel):
    """Rules of one institution.

    purposes: purposes of studies that it takes part in.
    recipes: recipes that it computes.
    max_epsilon: most epsilon of one study, at the study's delta.
    cap_epsilon: most epsilon of all studies together, at delta 1e-6, kept by the ledger. The default of 4
        holds twelve studies of epsilon 1 (Gaussian DP adds up mu squared; twelve make epsilon 3.9).
    least_rows: fewest rows that its table must have before anything is computed on it.
    least_tolerated: fewest colluding banks that a study with several banks must tolerate.
    scores: what a bank gets of this holder where it stands alone behind a sum: coarse ``bands`` or ``points``.
    evaluation: whether the bank's private evaluation histogram may leave.
    research: whether research runs, which have no privacy, are allowed: for public or simulated data only.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    purposes: tuple[str, ...] = ("credit_scoring",)
    recipes: tuple[str, ...] = ("scorecard",)
    max_epsilon: Annotated[float, Field(gt=0, le=100)] = 3.0
    cap_epsilon: Annotated[float, Field(gt=0, le=100)] = 4.0
    least_rows: Annotated[int, Field(ge=1)] = 100
    least_tolerated: Annotated[int, Field(ge=0)] = 1
    scores: Literal["bands", "points"] = "bands"
    evaluation: bool = True
    research: bool = False

    @property
    def cap_mu(self) -> float:
        """The cap as Gaussian-DP mu."""
        return mu_for(self.cap_epsilon, 1e-6)

    def check(self, study: Study, *, institution: str, research: bool) -> None:
        """Raise PolicyError, naming every rule that the study breaks, or return."""
        broken = []
        if study.purpose not in self.purposes:
            broken.append(f"purpose {study.purpose} is not among policy.purposes")
        if study.recipe not in self.recipes:
            broken.append(f"recipe {study.recipe} is not among policy.recipes")
        if research and not self.research:
            broken.append("a research run has no privacy and policy.research is false")
        if not research:
            if math.isinf(study.privacy.epsilon):
                broken.append("privacy.epsilon = inf means no privacy and is for research runs only")
            elif study.privacy.epsilon > self.max_epsilon:
                broken.append(
                    f"privacy.epsilon = {study.privacy.epsilon} is above policy.max_epsilon = {self.max_epsilon}"
                )
            if study.holdout.seed:
                broken.append("holdout.seed draws a second hold-out and is for research runs only; remove it")
        if len(study.banks) > 1 and study.privacy.tolerated < self.least_tolerated:
            broken.append(
                f"privacy.tolerated = {study.privacy.tolerated} is below "
                f"policy.least_tolerated = {self.least_tolerated}"
            )
        if broken:
            raise PolicyError(
                f"{institution} takes no part in study {study.name}: {'; '.join(broken)}. "
                "Change the study, or the policy in the institution's own file"
            )
