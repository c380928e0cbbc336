"""Standing rules: which studies an institution agrees to without asking a person each time, and how often.

A rule stands in the policy of the institution's own file and names every limit: names, recipe and purpose of studies,
with whom, at most how much epsilon, how often, until when. It only ever answers what a person would be asked about; all
other rules of the policy, and the budget, hold as before. Whatever it does not cover waits for a person. ::

    [[policy.standing]]
    study = "refit_*"
    recipe = "scorecard"
    purpose = "credit_scoring"
    counterparties = ["bank_a", "tax"]
    max_epsilon = 1.0
    every = "28d"
    until = 2026-12-31
"""

import math
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from fedrisk.privacy.accounting import epsilon_for, mu_for
from fedrisk.privacy.ledger.caps import DELTA
from fedrisk.study import DEFAULT_LABEL, Study
from fedrisk.study_members import Role
from fedrisk.study_sections import Name, Privacy

Epsilon = Annotated[float, Field(gt=0, le=100)]

_EXACT = 1 + 1e-8
"""The conversion of epsilon to mu and back is exact to nine digits."""


def above(privacy: Privacy, most: float) -> bool:
    """Whether a study promises less than ``most`` epsilon at delta 1e-6, whatever delta it is stated at.

    Both are compared as mu, so that no choice of delta makes a study look better.
    """
    return not mu_of(privacy) <= mu_for(most, DELTA) * _EXACT


def mu_of(privacy: Privacy) -> float:
    """A study's budget as Gaussian-DP mu; infinite where epsilon is."""
    return math.inf if math.isinf(privacy.epsilon) else mu_for(privacy.epsilon, privacy.delta)


class StandingRule(BaseModel):
    """Studies that are agreed to without a person, each limit on its own; research runs, without privacy, never are.

    study: pattern of their names, with * and ?. counterparties: all other members have to be among them. max_epsilon:
    most epsilon of one study at delta 1e-6, and most that it may cost here. label: the one that they are about; without
    it ``default`` alone, so that no rule from before a label was there covers it. every: "28d" is one study of such a
    name in 28 days, whoever approved it. until: last day (UTC). roles: roles of this institution; without it any.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    study: Annotated[str, Field(pattern=r"^[a-z0-9_*?]{1,48}$")]
    recipe: Name
    purpose: Name
    counterparties: tuple[Name, ...]
    max_epsilon: Epsilon
    every: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,3}d$")]
    until: date
    label: Name = DEFAULT_LABEL
    roles: tuple[Role, ...] | None = None

    @property
    def pause(self) -> timedelta:
        """Least time from one approval to the next."""
        return timedelta(days=int(self.every[:-1]))

    def names(self, study: str) -> bool:
        """Whether a study of that name is one of those that the rule is about."""
        return fnmatchcase(study, self.study)

    def missing(
        self,
        study: Study,
        institution: str,
        *,
        price: float,
        now: datetime,
        approved: Iterable[datetime] = (),
    ) -> list[str]:
        """Why the rule does not cover a study, in words; nothing where it does.

        Args:
            study: checked by its recipe.
            institution: whose rule it is.
            price: what the study costs here, in mu, by the institution's own plan.
            now: in UTC.
            approved: when studies whose names fit the rule were approved here before, by a person or by a rule.
        """
        return [
            *self._parties(study, institution),
            *self._price(study, price),
            *self._time(now, approved),
        ]

    def _parties(self, study: Study, institution: str) -> list[str]:
        found = []
        if not self.names(study.name):
            found.append(f"its name is not {self.study}")
        if study.recipe != self.recipe:
            found.append(f"recipe is {study.recipe}, not {self.recipe}")
        if study.purpose != self.purpose:
            found.append(f"purpose is {study.purpose}, not {self.purpose}")
        if study.label_name != self.label:
            found.append(f"it is about label {study.label_name}, not {self.label}")
        strangers = [m for m in study.members if m != institution and m not in self.counterparties]
        if strangers:
            found.append(f"{', '.join(strangers)} not among its counterparties")
        if self.roles is not None and study.role_of(institution) not in self.roles:
            found.append(f"role {study.role_of(institution)} is not among its roles")
        return found

    def _price(self, study: Study, price: float) -> list[str]:
        found = []
        if above(study.privacy, self.max_epsilon):
            found.append(f"epsilon {study.privacy.epsilon:g} is above max_epsilon = {self.max_epsilon:g}")
        elif not price <= mu_for(self.max_epsilon, DELTA) * _EXACT:
            cost = "no price" if not math.isfinite(price) else f"epsilon {epsilon_for(price, DELTA):.4g}"
            found.append(f"it costs {cost} here, above max_epsilon = {self.max_epsilon:g}")
        return found

    def _time(self, now: datetime, approved: Iterable[datetime]) -> list[str]:
        found = []
        if now.date() > self.until:
            found.append(f"until was {self.until}")
        # One that is later than now, by a clock that was set back, counts as well.
        recent = [moment for moment in approved if moment > now - self.pause]
        if recent:
            found.append(f"one was approved on {max(recent):%Y-%m-%d}, and every = {self.every}")
        return found
