"""A study: everything public about one run, frozen and checked when it is made.

A study names the institutions and their roles, the purpose, the recipe, the privacy budget, the bins, the
hold-out and the evaluation. It never holds a path, a column or anything else of an institution's inside:
those stand in the institution's own file, on its own machine, and are matched by name. Study files are
TOML; :func:`load_study` reads one and :func:`study_from` takes a mapping, both with the same checks.
"""

import hashlib
import json
import math
import tomllib
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from fedrisk.display_name import checked_display_name, same_to_the_eye
from fedrisk.errors import ConfigError, VersionError
from fedrisk.file_rules import Stated, broken_rules
from fedrisk.files import write_atomic
from fedrisk.renamed import STUDY_KEYS, STUDY_VALUES, renamed
from fedrisk.toml_file import load_toml, toml_text

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,47}$")]
Role = Literal["bank", "holder", "guarantor", "bureau", "authority", "regulator", "agent"]
DisplayName = Annotated[str, AfterValidator(checked_display_name)]
Model = TypeVar("Model", bound=BaseModel)

FORMAT = 3
"""Latest format of studies that this version reads: one more with whatever an earlier one must not pass over.

A recipe says which studies need a later one than the first (`fedrisk.recipe.Recipe.format`). 2: joined statistics of
measures of several offices, whose cells' owner an earlier version gives too little noise. 3: studies that name a label
or a threshold of warnings: an earlier version would train on the bank's first label.
"""

NAMING = 3
"""Format of studies that name a label, or a threshold of warnings."""

DEFAULT_LABEL = "default"
"""Label that a study without ``label`` is about; a bank's dictionary calls ``[dictionary.label]`` so."""

NO_PRIVACY = "research run: no privacy"
"""What every output of a research run says."""

HOLDING: tuple[Role, ...] = ("holder", "guarantor", "bureau")
"""Roles with features and no labels."""

WITHOUT_TABLE: tuple[Role, ...] = ("authority", "regulator", "agent")
"""Roles that bring no records, and of which none is asked for."""

BANK = "bank"
"""The role name under which all banks' common columns stand; no institution of a study with another role
may be called so."""


class Settings(BaseModel, metaclass=Stated):
    """Frozen, and strict about keys: a misspelt key is an error, never a silent default.

    Base of every section of a study file; each recipe has one for a section of its own name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def of(cls, study: "Study") -> Self:
        """A recipe's settings as a study has them."""
        return cls.model_validate(study.settings)


class Member(Settings):
    """One institution of the study.

    ``bank`` has labels and features, ``holder`` features only, ``authority`` nothing but the key of the
    pseudonyms; a bank or holder may be the authority as well. ``guarantor`` and ``bureau`` are holders: a guarantee
    company, a credit bureau. ``regulator`` brings nothing: it keeps the key of the pseudonyms where no other member is
    named for that, and else it observes, which is to see who takes part, what all state of themselves, and the signed
    heads of all trails, and to confirm to the others that it was told the same. No features, rows, totals or scores
    ever go to it. ``agent`` acts for enterprises that ask for their own index, and takes part in no study.
    ``optional``: the study goes on without this one where it refuses or is not there.
    ``display_name``: what people read in place of the name, in any script; public as everything in a study.
    """

    name: Name
    role: Role
    optional: bool = False
    display_name: DisplayName | None = None

    @model_validator(mode="after")
    def _no_agent(self) -> "Member":
        if self.role == "agent":
            raise ValueError(
                f"{self.name} is an agent: it asks for enterprises' indices and takes part in no study; leave it out"
            )
        return self

    @model_serializer(mode="wrap")
    def _without_nothing(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Left out where there is none, so that studies from before there were any keep their digest."""
        content: dict[str, Any] = handler(self)
        return {k: v for k, v in content.items() if k != "display_name" or v is not None}


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


Seconds = Annotated[float, Field(ge=1, le=30 * 86400)]

DEADLINE = 600.0
"""Seconds within which an institution answers, unless the study says otherwise."""

OTHER_ACTIONS = "other"
"""Stands in a study's deadlines for all actions that are not named."""

_DEADLINES = {"blind": 3600.0, "evaluate": 3600.0, "pseudonyms": 3600.0}
"""Of the first alignment, which takes half a minute for each 100,000 new enterprises and processor."""


class Study(Settings):
    """Everything public about one run. Two studies with equal :meth:`digest` are the same study.

    ``settings`` are the recipe's: in the file a section named as the recipe, such as ``[network]``. The recipe checks
    them and fills in defaults (:meth:`fedrisk.recipe.Recipe.checked`).

    ``format`` says for which version of fedrisk the study is written; a later one than `FORMAT` is refused.

    ``consent`` is the reference of the register in which the enterprises' consents stand; institutions may ask for
    one before they give scores.

    ``deadlines``: by action, the seconds within which an institution has to answer; ``other`` for those not named.

    ``label``: which of the labels in the banks' dictionaries the study is about; the one called ``default`` where it is
    left out. ``outcome`` says what it means. ``warning`` asks for a threshold of warnings.
    """

    name: Name
    purpose: Name
    consent: Annotated[str, Field(pattern=r"^[ -~]{1,200}$")] | None = None
    recipe: Name = "scorecard"
    label: Name | None = None
    outcome: StatedOutcome = StatedOutcome()
    institutions: Annotated[tuple[Member, ...], Field(min_length=1)]
    privacy: Privacy
    windows: Windows = Windows()
    alignment: AlignmentRule = AlignmentRule()
    bins: BinRule = BinRule()
    holdout: Holdout = Holdout()
    evaluation: Evaluation = Evaluation()
    expected: Expected = Expected()
    training: Training = Training()
    serving: Serving = Serving()
    warning: WarningRule | None = None
    deadlines: Mapping[Name, Seconds] = Field(default_factory=dict)
    settings: Mapping[str, Any] = Field(default_factory=dict)
    format: Annotated[int, Field(ge=1, le=FORMAT)] = 1

    # Infinity is the epsilon of a study without privacy.
    model_config = ConfigDict(ser_json_inf_nan="constants")

    @model_serializer(mode="wrap")
    def _without_first_format(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """The first format is left out, so that studies from before there was any keep their digest."""
        content: dict[str, Any] = handler(self)
        return {k: v for k, v in content.items() if k != "format" or v != 1}

    def model_dump(self, **how: Any) -> dict[str, Any]:
        """The study as a dictionary, as pydantic makes it.

        Without what there is none of, such as deadlines, rules of serving or a label, so that studies from before there
        was any keep their digest.
        """
        content = super().model_dump(**how)
        for section in ("serving", "outcome"):
            if not any((content.get(section) or {}).values()):
                content.pop(section, None)
        absent = {key for key in ("deadlines", "label", "warning") if not content.get(key)}
        return {k: v for k, v in content.items() if k not in absent}

    @model_validator(mode="before")
    @classmethod
    def _recipe_section(cls, content: Any) -> Any:
        """The section named as the recipe becomes ``settings``."""
        if not isinstance(content, Mapping):
            return content
        section = content.get("recipe", "scorecard")
        if not isinstance(section, str) or section not in content or section in cls.model_fields:
            return content
        if "settings" in content:
            raise ValueError(f"[{section}] and settings are the same; give one of them")
        return {key: value for key, value in content.items() if key != section} | {
            "settings": content[section]
        }

    @model_validator(mode="before")
    @classmethod
    def _bins_for_threshold(cls, content: Any) -> Any:
        """With a threshold the evaluation has more bins, unless it states how many (models/warning_bins)."""
        if not isinstance(content, Mapping) or not content.get("warning"):
            return content
        stated = content.get("evaluation") or {}
        if not isinstance(stated, Mapping) or "bins" in stated:
            return content
        return {**content, "evaluation": {**stated, "bins": WARNING_BINS}}

    @model_validator(mode="after")
    def _consistent(self) -> "Study":
        names = [m.name for m in self.institutions]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ValueError(f"institutions: {', '.join(twice)} is listed more than once; names are unique")
        alike = same_to_the_eye({m.name: m.display_name for m in self.institutions})
        if alike:
            raise ValueError(
                f"institutions: display_name of {alike[0]} reads like that or the name of {alike[1]}; change it"
            )
        if "hub" in names:
            raise ValueError('institutions: the name "hub" is the coordinator\'s; rename the institution')
        if any(m.name == BANK and m.role != "bank" for m in self.institutions):
            raise ValueError(f'institutions: the name "{BANK}" is reserved for an institution of that role')
        if len(self.banks) > 1 and BANK in self.banks:
            raise ValueError(f'institutions: with several banks none may be called "{BANK}"; rename it')
        if self.alignment.authority is not None and self.alignment.authority not in names:
            raise ValueError(
                f"alignment.authority = {self.alignment.authority} is not among the institutions; "
                "add it with its role"
            )
        if sum(m.role == "authority" for m in self.institutions) > 1:
            raise ValueError("institutions: more than one authority; the key of an epoch has one keeper")
        if self.label is None and any(self.outcome.model_dump().values()):
            raise ValueError(
                "outcome says what a label means, and the study names none; add label, such as "
                'label = "distress"'
            )
        if self.warning is not None and not self.evaluation.release:
            raise ValueError(
                "warning.false_alarms needs the evaluation, and evaluation.release = false; remove one"
            )
        return self

    @property
    def label_name(self) -> str:
        """Name of the label that the study is about."""
        return self.label or DEFAULT_LABEL

    @property
    def least_format(self) -> int:
        """Format in which the study is stated at least, whatever its recipe."""
        return NAMING if self.label is not None or self.warning is not None else 1

    @property
    def trainers(self) -> tuple[str, ...]:
        """Institutions whose rows the study is computed on: the banks, or the holders of a study without banks.

        Of these holders the one that the recipe's settings name as ``listed``, where they name one.
        """
        listed = self.settings.get("listed")
        return self.banks or ((listed,) if listed in self.holders else self.holders)

    @property
    def threshold(self) -> int:
        """Trainers that must be left for a step of training to count."""
        most = len(self.trainers)
        return self.training.threshold or max(min(2, most), math.ceil(2 * most / 3))

    @property
    def banks(self) -> tuple[str, ...]:
        """Names of the banks, in the study's order."""
        return tuple(m.name for m in self.institutions if m.role == "bank")

    @property
    def holders(self) -> tuple[str, ...]:
        """Names of the data holders, guarantors and bureaus among them, in the study's order."""
        return tuple(m.name for m in self.institutions if m.role in HOLDING)

    @property
    def observers(self) -> tuple[str, ...]:
        """Names of the regulators that do not keep the key of the pseudonyms."""
        return tuple(m.name for m in self.institutions if m.role == "regulator" and m.name != self.authority)

    @property
    def members(self) -> tuple[str, ...]:
        """Names of all institutions, in the study's order."""
        return tuple(m.name for m in self.institutions)

    @property
    def roles(self) -> tuple[str, ...]:
        """Owners of columns: ``"bank"`` for all banks together, then each holder."""
        return (BANK, *self.holders)

    @property
    def authority(self) -> str:
        """Who holds the key of the pseudonyms.

        As stated, else the one of that role, else the first regulator, else the first holder, else the first bank.
        """
        if self.alignment.authority is not None:
            return self.alignment.authority
        kept = [m.name for role in WITHOUT_TABLE for m in self.institutions if m.role == role]
        return (kept or self.holders or self.banks)[0]

    @property
    def inclusion_probability(self) -> float:
        """Probability with which an enterprise takes part, see :class:`AlignmentRule`."""
        return self.alignment.inclusion_probability or (1.0 if len(self.trainers) == 1 else 0.8)

    @property
    def display_names(self) -> dict[str, str]:
        """What people read in place of a name, for the institutions that have such a name."""
        return {m.name: m.display_name for m in self.institutions if m.display_name is not None}

    @property
    def optional(self) -> tuple[str, ...]:
        """Names of the institutions without which the study may go on."""
        return tuple(m.name for m in self.institutions if m.optional)

    def deadline(self, action: str) -> float:
        """Seconds within which an institution has to answer an action."""
        return self.deadlines.get(action, self.deadlines.get(OTHER_ACTIONS, _DEADLINES.get(action, DEADLINE)))

    def without(self, names: Collection[str]) -> "Study":
        """The same study without some institutions; whether its recipe can do without them, the recipe checks."""
        content = self.model_dump(mode="json")
        content["institutions"] = [m for m in content["institutions"] if m["name"] not in names]
        if content["alignment"]["authority"] in names:
            content["alignment"]["authority"] = None
        return study_from(content, where=f"study {self.name} without {', '.join(sorted(names))}")

    def role_of(self, name: str) -> Role:
        """Role of one institution; ConfigError where it is no member."""
        for member in self.institutions:
            if member.name == name:
                return member.role
        raise ConfigError(f"institution {name} is not part of study {self.name}; add it to [[institutions]]")

    def has_table(self, name: str) -> bool:
        """Whether a member brings records; ConfigError where it is no member."""
        return self.role_of(name) not in WITHOUT_TABLE

    def canonical(self) -> str:
        """The study as canonical JSON, the same text for the same study on every machine."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))

    @property
    def as_asked(self) -> "Study":
        """The study as its file asks for it: without what the hub looked up when it was run or proposed.

        Which earlier studies it remembers changes with every one that ends (settings ``known``); it is the same study.
        """
        if "known" not in self.settings:
            return self
        settings = {key: value for key, value in self.settings.items() if key != "known"}
        return self.model_copy(update={"settings": settings})

    def digest(self) -> str:
        """SHA-256 of :meth:`canonical`, hexadecimal."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()

    def to_toml(self) -> str:
        """The study as a file has it, without what is as by default; read again, it is the same study."""
        content = self.model_dump(exclude_defaults=True)
        settings = content.pop("settings", {})
        return toml_text({**content, "recipe": self.recipe, self.recipe: settings})

    def save(self, file: str | Path) -> Path:
        """Write :meth:`to_toml` to a file, and its path; StoreError where it cannot be written."""
        write_atomic(Path(file), self.to_toml().encode(), private=False)
        return Path(file)


def study_from(content: Mapping[str, Any], *, where: str = "study") -> Study:
    """Check a mapping and make the study; ConfigError lists every rule that it breaks.

    VersionError, before any other rule is looked at, where its format is of a later version of fedrisk.

    >>> study_from({"name": "s", "purpose": "credit_scoring", "privacy": {"epsilon": 1},
    ...             "institutions": [{"name": "b1", "role": "bank"}]}).authority
    'b1'
    """
    _check_format(content, where)
    content = renamed(content, STUDY_KEYS, STUDY_VALUES, where=where)
    recipe = content.get("recipe", "scorecard")
    return checked(Study, content, where=where, sections=(recipe,) if isinstance(recipe, str) else ())


def _check_format(content: Mapping[str, Any], where: str) -> None:
    """VersionError where a study is written for a later version: what it means by its keys is not known here."""
    written = content.get("format", 1) if isinstance(content, Mapping) else 1
    if type(written) is int and written > FORMAT:
        raise VersionError(
            f"{where} has format {written}, and this version of fedrisk reads studies up to format {FORMAT}; upgrade "
            "fedrisk here, or state the study in the earlier format"
        )


def checked(
    model: type[Model], content: Mapping[str, Any], *, where: str, sections: Sequence[str] = ()
) -> Model:
    """Validate ``content`` as ``model``; ``sections`` are further keys at the top, see `file_rules.broken_rules`.

    ConfigError with one readable line for each broken rule; values of nested inputs are not repeated in it.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        lines = broken_rules(error, model, content, sections=sections)
        listed = "\n".join(f"  {line}" for line in lines)
        raise ConfigError(f"{where} breaks {len(lines)} rule(s):\n{listed}") from None


def load_study(path: str | Path, overrides: Sequence[str] = ()) -> Study:
    """Read a study file; ``overrides`` are ``key.sub=value`` with values as in TOML.

    Errors: ConfigError for a missing file, bad syntax, a broken rule or an override that is not of that form.
    """
    content = load_toml(Path(path), what="study")
    if "institutions" not in content and {"kind", "table", "dictionary"} & content.keys():
        raise ConfigError(
            f"{path} is an institution's file, and a study's is wanted; name the study's file here"
        )
    for override in overrides:
        _override(content, override)
    return study_from(content, where=f"study {path}")


def members_named(path: Path) -> tuple[str, ...]:
    """Names of institutions in a study file that breaks rules, as far as they can be read; none where they cannot."""
    try:
        members = load_toml(path, what="study").get("institutions")
    except ConfigError:
        return ()
    named = [m.get("name") for m in members if isinstance(m, Mapping)] if isinstance(members, list) else []
    return tuple(name for name in named if isinstance(name, str))


def _override(content: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise ConfigError(
            f'--set "{override}" is not of the form key.sub=value; for example privacy.epsilon=3'
        )
    try:
        value = tomllib.loads(f"value = {text.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()  # a bare word is a string: --set purpose=credit_scoring
    table = content
    for part in parts[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise ConfigError(f'--set "{override}": {part} is not a table, its parts cannot be set singly')
    table[parts[-1]] = value
