"""Sections of a study file, each a model with its rules; what is as usual is left out of a study's digest."""

import math
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from fedrisk.file_rules import Stated

if TYPE_CHECKING:
    from fedrisk.study import Study

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,47}$")]


class Settings(BaseModel, metaclass=Stated):
    """Frozen, and strict about keys: a misspelt key is an error, never a silent default.

    Base of every section of a study file; each recipe has one for a section of its own name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def of(cls, study: "Study") -> Self:
        """A recipe's settings as a study has them."""
        return cls.model_validate(study.settings)


class Windows(Settings):
    """Time windows, where the tables carry dates: features up to ``as_of``, outcome until ``outcome_end``."""

    as_of: date | None = None
    observation_start: date | None = None
    outcome_end: date | None = None

    @model_validator(mode="after")
    def _ordered(self) -> "Windows":
        days = [d for d in (self.observation_start, self.as_of, self.outcome_end) if d is not None]
        if days != sorted(days):
            raise ValueError(
                "windows: observation_start <= as_of <= outcome_end is required; put them in order"
            )
        return self


class AlignmentRule(Settings):
    """How enterprises are matched: who holds the key, its epoch, and the share of enterprises that take part.

    With several banks an enterprise contributes through one of them, and each contribution is included with
    probability ``inclusion_probability``, so that being left out is only weak evidence of banking elsewhere too. No
    amplification of privacy is claimed for it. The default is 1 with one bank and .8 with several.

    least_overlap: least share that a holder has in common with the banks' customers, of the smaller of the two sides,
    below which the study stops before anything is charged (ids spelt in two ways hardly meet); 0 lets any go on. It is
    read in steps (protocol/order.OVERLAP_STEPS), since where a study stops tells on which side the overlap lies.
    """

    authority: Name | None = None
    epoch: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,32}$")] = "1"
    inclusion_probability: Annotated[float, Field(gt=0, le=1)] | None = None
    least_overlap: Annotated[float, Field(ge=0, le=1)] = 0.05


class Privacy(Settings):
    """The budget per enterprise and institution, for the whole study.

    ``epsilon = inf`` is the explicit choice of no privacy; institutions refuse it outside research runs.
    ``colluders`` is the number of colluding banks against which the noise of the others still suffices.
    """

    epsilon: Annotated[float, Field(gt=0)]
    delta: Annotated[float, Field(gt=0, lt=1)] = 1e-6
    colluders: Annotated[int, Field(ge=0)] = 1

    @model_validator(mode="after")
    def _in_range(self) -> "Privacy":
        if math.isnan(self.epsilon) or (self.epsilon > 100 and not math.isinf(self.epsilon)):
            raise ValueError(
                f"privacy.epsilon = {self.epsilon} is out of range (0, 100]: choose 0.5 to 8, or inf in a "
                "research run to have no privacy at all"
            )
        return self


class BinRule(Settings):
    """Bins of columns whose dictionary leaves them open.

    count: how many (default: by the public size of the study). cells: of the noisy histogram from which edges come, at
    most; a plan takes fewer where noise would hide the rows.
    """

    count: Annotated[int, Field(ge=2, le=64)] | None = None
    cells: Annotated[int, Field(ge=16, le=1024)] = 256


class Holdout(Settings):
    """Which enterprises are kept for evaluation.

    ``pseudonym``: ``percent`` of them by keyed hash, the same in every study. ``out_of_time``: those whose
    date at the bank is ``from_date`` or later. ``seed`` draws another hold-out and is taken in research
    runs alone, because elsewhere an enterprise must never change sides between studies.
    """

    kind: Literal["pseudonym", "out_of_time"] = "pseudonym"
    percent: Annotated[int, Field(ge=5, le=60)] = 30
    from_date: date | None = None
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _dated(self) -> "Holdout":
        if (self.kind == "out_of_time") != (self.from_date is not None):
            raise ValueError('holdout.from_date goes with holdout.kind = "out_of_time": give both or neither')
        return self


Share = Annotated[float, Field(gt=0, lt=1)]

OF_GROUPS = ("cut_offs", "group_bands", "group_share")
"""Keys of an evaluation that say something only where it is by groups."""


class Evaluation(Settings):
    """What is published of the hold-out: one noisy histogram of score bin by label.

    by_bank: one for each bank, in place of one for all banks together. release: whether it is published at all; a study
    of a series may go without it, for which nobody is charged for the hold-out.
    groups: columns of the banks with public levels (sector, county, size) by which the hold-out is counted as well,
    from the same budget (releases/groups). cut_offs: probabilities of default from which on an application would be
    refused, rising; by default twice the expected default rate. group_bands: bands of the probability in each group.
    group_share: of the hold-out's mu squared, for all groups' columns together.
    """

    bins: Annotated[int, Field(ge=4, le=100)] = 24
    by_bank: bool = False
    release: bool = True
    groups: Annotated[tuple[Name, ...], Field(max_length=8)] = ()
    cut_offs: tuple[Share, ...] = ()
    group_bands: Annotated[int, Field(ge=2, le=12)] = 6
    group_share: Annotated[float, Field(ge=0.05, le=0.95)] = 0.4

    @model_validator(mode="after")
    def _of_groups(self) -> "Evaluation":
        if not self.groups:
            stray = [key for key in OF_GROUPS if key in self.model_fields_set]
            if stray:
                raise ValueError(
                    f"evaluation.{stray[0]} is about groups and none are named; add evaluation.groups"
                )
            return self
        if not self.release:
            raise ValueError(
                "evaluation.groups needs the evaluation, and evaluation.release = false; remove one"
            )
        twice = sorted({name for name in self.groups if self.groups.count(name) > 1})
        if twice:
            raise ValueError(f"evaluation.groups names {twice[0]} twice; name each column once")
        if list(self.cut_offs) != sorted(set(self.cut_offs)):
            raise ValueError("evaluation.cut_offs must rise; put them in order, each once")
        if len(self.cut_offs) >= self.group_bands:
            raise ValueError(
                "evaluation.group_bands must be more than there are cut_offs; raise it, or name fewer"
            )
        return self

    @model_serializer(mode="wrap")
    def _without_usual(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Left out where it is as usual: studies from before there was a choice keep their digest."""
        content: dict[str, Any] = handler(self)
        absent = ("groups", *OF_GROUPS) if not self.groups else ()
        return {k: v for k, v in content.items() if (k != "release" or v is not True) and k not in absent}


class StatedOutcome(Settings):
    """What the study's label means, in words that every member reads before it agrees.

    horizon: what counts, and over which time; meaning (meaning_zh in Chinese): what people call it. Each bank holds
    them against its own dictionary, and takes no part where that says otherwise.
    """

    horizon: Annotated[str, Field(max_length=1000)] = ""
    meaning: Annotated[str, Field(max_length=1000)] = ""
    meaning_zh: Annotated[str, Field(max_length=1000)] = ""


WARNING_BINS = 40
"""Score bins of the evaluation of a study with a threshold, unless it states another number (benchmarks/warnings)."""


class WarningRule(Settings):
    """A threshold of the score, below which a model warns (scorecards alone).

    false_alarms: share of the enterprises without the outcome that are warned of at most, by the private evaluation
    histogram of the hold-out (analysis/warning_threshold).
    """

    false_alarms: Annotated[float, Field(ge=0.001, le=0.5)]


class Serving(Settings):
    """How a study's model serves.

    fresh_days: after so many days a holder's row counts as missing; 366 by default.
    """

    fresh_days: Annotated[int, Field(ge=1, le=3660)] | None = None


MOST_RATE = 1000.0
"""Largest learning rate that a study may ask for: a step would move log-odds by hundreds."""


class Training(Settings):
    """How a network or an encoder is trained: full participation, one noisy sum of clipped gradients a step.

    ``distributed`` (distributed differential privacy): in each step every trainer adds up the clipped gradients of its
    enterprises and its part of the noise, under masks; the hub sees only the noisy sum of all trainers. ``silo``
    (record-level differential privacy at each silo; not local differential privacy, where every individual adds
    noise): each trainer makes ``local_steps`` steps with the whole noise and sends its masked difference to the
    shared model.

    steps: rounds, two exchanges each. clip: most that one enterprise adds to a sum (L2 norm of its gradient; default
    1, to which models are scaled, and 4 without noise).
    learning_rate: by default from the public size of the study, 6 to 24 for a network; at most MOST_RATE. optimiser: of
    the hub, over released sums.
    proximal: pull of local steps toward the shared model (FedProx, Li et al. 2020). threshold: trainers that must be
    left for a step to count, the t of t-of-n secret sharing; the noise of each trainer is set so that so few suffice
    (default two thirds, at least 2).
    """

    mode: Literal["distributed", "silo"] = "distributed"
    steps: Annotated[int, Field(ge=1, le=500)] | None = None
    local_steps: Annotated[int, Field(ge=1, le=100)] = 1
    clip: Annotated[float, Field(gt=0, le=1024)] | None = None
    learning_rate: float | None = None
    optimiser: Literal["sgd", "momentum", "adam"] | None = None
    proximal: Annotated[float, Field(ge=0)] = 0.0
    threshold: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _sensible(self) -> "Training":
        """Rates at which no training can end well, before anything is computed or charged."""
        rate = self.learning_rate
        if rate is not None and not 0 < rate <= MOST_RATE:
            raise ValueError(
                f"training.learning_rate = {rate:g} is out of range (0, {MOST_RATE:g}]: with a larger one the weights "
                "leave all sense within a few steps, without one nothing is learnt. Leave it out, and it follows from "
                "the size of the study, or take .1 to 24"
            )
        if not math.isfinite(self.proximal):
            raise ValueError("training.proximal must be finite: give .001 to 1, or leave it out")
        return self

    @model_validator(mode="after")
    def _one_mode(self) -> "Training":
        if self.mode == "distributed" and (self.local_steps != 1 or self.proximal):
            raise ValueError(
                'training.local_steps and training.proximal are for mode = "silo"; with distributed noise '
                "the hub makes every step"
            )
        return self


class Expected(Settings):
    """Declared sizes, for planning before any data is touched.

    ``check`` says from them between which bounds the gain will lie. known: share of the banks' enterprises that a data
    holder knows, on average; all of them where it is left out.
    """

    default_rate: Annotated[float, Field(gt=0, lt=1)] | None = None
    enterprises: Annotated[int, Field(gt=0)] | None = None
    known: Annotated[float, Field(gt=0, le=1)] | None = None
