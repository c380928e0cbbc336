"""A study: everything public about one run, frozen and checked when it is made.

A study names the institutions and their roles, the purpose, the recipe, the privacy budget, the bins, the
hold-out and the evaluation. It never holds a path, a column or anything else of an institution's inside:
those stand in the institution's own file, on its own machine, and are matched by name. Study files are
TOML; `study_file.load_study` reads one and :func:`study_from` takes a mapping, both with the same checks. Its sections
are in `study_sections`, its members in `study_members`.
"""

import hashlib
import json
import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from fedrisk.display_name import same_to_the_eye
from fedrisk.errors import ConfigError, VersionError
from fedrisk.file_rules import checked
from fedrisk.files import write_atomic
from fedrisk.renamed import STUDY_KEYS, STUDY_VALUES, renamed
from fedrisk.study_members import BANK, HOLDING, WITHOUT_TABLE, Member, Role
from fedrisk.study_sections import (
    WARNING_BINS,
    AlignmentRule,
    BinRule,
    Evaluation,
    Expected,
    Holdout,
    Name,
    Privacy,
    Serving,
    Settings,
    StatedOutcome,
    Training,
    WarningRule,
    Windows,
)
from fedrisk.toml_file import toml_text

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
