"""Policy: what one institution allows. Its own machine refuses the rest, whatever a study or the hub asks.

The policy stands in the institution's own file, is read again for every message, and is checked before anything is
computed for a study and again before each release. The local policy beats the study. A refusal's text names the
rule and stays at home; the others learn the code ``refused``.
"""

import math
from datetime import UTC, date, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fedrisk.errors import PolicyError
from fedrisk.privacy.accounting import epsilon_for, mu_for
from fedrisk.privacy.ledger.caps import DELTA, Caps
from fedrisk.privacy.serving_policy import ServingPolicy
from fedrisk.privacy.standing import Epsilon, StandingRule, above
from fedrisk.study import Study
from fedrisk.study_members import HOLDING, Role
from fedrisk.study_sections import Name


class Policy(BaseModel):
    """Rules of one institution.

    purposes, recipes: of studies that it takes part in.
    roles: roles in which it takes part; None allows any that its file's kind allows.
    labels: names of labels that studies may be about, at a bank those of its own dictionary; None allows any. A label
        stands in a bank's dictionary for no other purpose, and spends from the same budget as every other; at a holder
        the list says for which questions its columns may be used at all.
    columns: columns of its dictionary that studies may use; None allows all that are features.
    statistics: columns of its dictionary that studies of recipe statistics may count, also such as no model uses
        (``feature = false``); none unless they are listed. ``columns`` does not matter there.
    counterparties: institutions with which it computes; None allows all whose keys are pinned.
    max_epsilon: most epsilon of one study, read at delta 1e-6 whatever the study's own delta is: the same epsilon is
        a far weaker promise at a larger delta.
    cap_epsilon: most epsilon of all studies together in one period of ``period_days``, at delta 1e-6, kept by the
        ledger. The default of 4 a year holds monthly refits at epsilon 1 (Gaussian DP adds up mu squared; twelve
        make epsilon 3.9). cap_per_study, cap_per_purpose: limits of single studies and purposes in a period.
    least_rows: fewest rows that its table must have before anything is computed on it.
    least_colluders: fewest colluding banks that a study with several must withstand (or holders that train an encoder
        together).
    scores: what a bank gets of this holder where there are not two holders of ``band_columns`` columns or more behind
        a sum, in which one hides the other: coarse ``bands`` or ``points``.
    score_points: most points that one of its columns may give or take, with all pairs that it is in. score_values: most
        different values that the sum of all holders' points may have, so that a version of a score tells a bank log2 of
        it in bits at most.
    score_themes: whether a study may have this holder's points given in sums of their own, by theme, in place of one
        sum with those of all other holders (recipes/scorecard/themes). Its numbers take at most ``score_values`` values
        together.
    scored_versions: how many different versions of a score a bank may get of one enterprise within
        ``scored_days``; differences between versions are equations about the columns. The default of 2 a year
        keeps a deployed model: four tell a bank that knows the population nearly all bins of a holder's row.
    consent: whether scores need a study that names a register of consents. evaluation: whether the bank's private
    evaluation histogram may leave. groups: at a bank, columns of its dictionary, also such as no model uses, by whose
    levels an evaluation may be counted
        as well (how a model serves enterprises of one sector, county or size); none unless they are listed.
    out_of_time: whether, at a bank, studies may hold out enterprises by date. The hub and every data holder then learn
        of each of the bank's enterprises whether its date is before the boundary: an exact bit, no noise. One
        boundary a period (clients/out_of_time).
    research: whether research runs, which have no privacy, are allowed: for public or simulated data only.
    pin: how keys of a consortium's new members are pinned: ``by_hand``, after a person accepted the roster and compared
        words with each new member, or ``first_use_by_roster``, as soon as the hub says them. The hub could then be in
        the middle of what a new member is sent.
    valid_from, valid_until: first and last day (UTC) on which the institution takes part at all; with a low cap this
        makes a trial.
    approval_days: days within which an approved study has to begin, where a hub on another machine asks.
    standing: studies that need no person's approval there (privacy/standing); all other studies wait for one.
    serving: rules for models that serve (privacy/serving_policy).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    purposes: tuple[str, ...] = ("credit_scoring",)
    recipes: tuple[str, ...] = ("scorecard",)
    roles: tuple[Role, ...] | None = None
    labels: tuple[Name, ...] | None = None
    columns: tuple[str, ...] | None = None
    statistics: tuple[str, ...] = ()
    counterparties: tuple[str, ...] | None = None
    max_epsilon: Epsilon = 3.0
    cap_epsilon: Epsilon = 4.0
    period_days: Annotated[int, Field(ge=1)] = 365
    cap_per_study: Epsilon | None = None
    cap_per_purpose: dict[str, Epsilon] = Field(default_factory=dict)
    least_rows: Annotated[int, Field(ge=1)] = 100
    least_colluders: Annotated[int, Field(ge=0)] = 1
    scores: Literal["bands", "points"] = "bands"
    band_columns: Annotated[int, Field(ge=1)] = 3
    score_points: Annotated[int, Field(ge=1)] = 200
    score_values: Annotated[int, Field(ge=16, le=1 << 16)] = 512
    score_themes: bool = False
    scored_versions: Annotated[int, Field(ge=0)] = 2
    scored_days: Annotated[int, Field(ge=1)] = 365
    consent: bool = False
    evaluation: bool = True
    groups: tuple[str, ...] = ()
    out_of_time: bool = False
    research: bool = False
    pin: Literal["by_hand", "first_use_by_roster"] = "by_hand"
    valid_from: date | None = None
    valid_until: date | None = None
    approval_days: Annotated[int, Field(ge=1, le=365)] = 14
    standing: tuple[StandingRule, ...] = ()
    serving: ServingPolicy = ServingPolicy()

    @model_validator(mode="after")
    def _dated(self) -> "Policy":
        if (
            self.valid_from is not None
            and self.valid_until is not None
            and self.valid_from > self.valid_until
        ):
            raise ValueError("policy.valid_from is after policy.valid_until; put them in order")
        return self

    @property
    def caps(self) -> Caps:
        """Caps of the ledger."""
        return Caps(
            epsilon=self.cap_epsilon,
            period_days=self.period_days,
            per_study=self.cap_per_study,
            per_purpose=self.cap_per_purpose,
        )

    def check(self, study: Study, *, institution: str, research: bool, today: date | None = None) -> None:
        """Raise PolicyError, naming every rule that the study breaks, or return."""
        broken = self.broken(study, institution=institution, research=research, today=today)
        if broken:
            raise PolicyError(
                f"{institution} takes no part in study {study.name}: {'; '.join(broken)}. "
                "Change the study, or the policy in the institution's own file"
            )

    def broken(
        self, study: Study, *, institution: str, research: bool, today: date | None = None
    ) -> list[str]:
        """Every rule that a study breaks, in words."""
        return [
            *self._dates(today or datetime.now(UTC).date()),
            *self._parties(study, institution),
            *self._privacy(study, research),
            *self._holdout(study, institution, research),
            *self._groups(study, institution),
        ]

    def _dates(self, today: date) -> list[str]:
        if self.valid_from is not None and today < self.valid_from:
            return [f"policy.valid_from is {self.valid_from}"]
        if self.valid_until is not None and today > self.valid_until:
            return [f"policy.valid_until was {self.valid_until}"]
        return []

    def _parties(self, study: Study, institution: str) -> list[str]:
        broken = []
        if study.purpose not in self.purposes:
            broken.append(f"purpose {study.purpose} is not among policy.purposes")
        if study.recipe not in self.recipes:
            broken.append(f"recipe {study.recipe} is not among policy.recipes")
        if self.labels is not None and study.banks and study.label_name not in self.labels:
            broken.append(f'label "{study.label_name}" is not among policy.labels')
        role = study.role_of(institution)
        if self.roles is not None and role not in self.roles:
            broken.append(f"role {role} is not among policy.roles")
        if self.consent and role in HOLDING and study.consent is None:
            broken.append("scores need a consent and the study names no register (consent)")
        if self.counterparties is not None:
            strangers = [m for m in study.members if m != institution and m not in self.counterparties]
            if strangers:
                broken.append(f"{', '.join(strangers)} not among policy.counterparties")
        return broken

    def _privacy(self, study: Study, research: bool) -> list[str]:
        broken = []
        if research and not self.research:
            broken.append("a research run has no privacy and policy.research is false")
        if not research:
            if math.isinf(study.privacy.epsilon):
                broken.append("privacy.epsilon = inf means no privacy and is for research runs only")
            else:
                broken += self._epsilon(study)
        if len(study.trainers) > 1 and study.privacy.colluders < self.least_colluders:
            broken.append(
                f"privacy.colluders = {study.privacy.colluders} is below "
                f"policy.least_colluders = {self.least_colluders}"
            )
        return broken

    def _epsilon(self, study: Study) -> list[str]:
        """The study's price against ``max_epsilon``, both as mu, so that no choice of delta makes it look smaller."""
        privacy = study.privacy
        if not above(privacy, self.max_epsilon):
            return []
        mu = mu_for(privacy.epsilon, privacy.delta)
        return [
            f"privacy.epsilon = {privacy.epsilon:g} at delta {privacy.delta:g} is epsilon {epsilon_for(mu, DELTA):.4g} "
            f"at delta {DELTA:g}, which is above policy.max_epsilon = {self.max_epsilon:g}"
        ]

    def _holdout(self, study: Study, institution: str, research: bool) -> list[str]:
        """Rules on who is held out; a research run has no privacy, and its hold-out is apart."""
        if research:
            return []
        broken = []
        if study.holdout.seed:
            broken.append("holdout.seed draws a second hold-out and is for research runs only; remove it")
        if study.holdout.kind == "out_of_time" and institution in study.banks and not self.out_of_time:
            broken.append(
                'holdout.kind = "out_of_time" tells the hub and every data holder which enterprises have a date '
                "at this bank on or after holdout.from_date, and policy.out_of_time is false"
            )
        return broken

    def _groups(self, study: Study, institution: str) -> list[str]:
        """Columns by which a bank's hold-out would be counted; of a holder nothing is."""
        if institution not in study.banks:
            return []
        closed = [column for column in study.evaluation.groups if column not in self.groups]
        if not closed:
            return []
        return [
            f"the evaluation is by {', '.join(closed)} (evaluation.groups), which policy.groups does not list"
        ]
