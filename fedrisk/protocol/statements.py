"""What every member states of itself to all others when it agrees to a study: public facts from which plans follow.

The hub relays the statements in the first part of the common view. Each member finds its own there as it made it, and
all confirm the same view to each other: so nobody's statement can be changed on the way.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SerializerFunctionWrapHandler, ValidationError, model_serializer

from fedrisk.data.features import Feature, features_from
from fedrisk.data.history_kinds import HistoryRule
from fedrisk.data.special import MOST_SPECIAL, MOST_TEXT
from fedrisk.errors import ConfigError, ProtocolError
from fedrisk.protocol.form import Body, Count, Digest, Name
from fedrisk.study import DEFAULT_LABEL, Study
from fedrisk.study_members import BANK, Role


class LabelFacts(Body):
    """Facts of a bank's label, of the one that the study is about."""

    name: Name = DEFAULT_LABEL
    horizon: Annotated[str, Field(max_length=1000)]
    meaning: Annotated[str, Field(max_length=1000)] = ""
    meaning_zh: Annotated[str, Field(max_length=1000)] = ""
    selection: Annotated[str, Field(max_length=1000)] | None = None
    weighted: bool
    binary: bool

    @model_serializer(mode="wrap")
    def _without_usual(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What is as by default left out: members of before labels had names read the rest."""
        content: dict[str, Any] = handler(self)
        usual = {"name": DEFAULT_LABEL, "meaning": "", "meaning_zh": ""}
        return {k: v for k, v in content.items() if k not in usual or v != usual[k]}


Text = Annotated[str, Field(min_length=1, max_length=MOST_TEXT)]
SpecialOf = Annotated[list[Text], Field(min_length=2, max_length=2)]
"""A special code with its meaning."""


class FeatureOf(Body):
    """One public column (data/features.Feature)."""

    institution: Name
    column: Annotated[str, Field(min_length=1, max_length=1000)]
    kind: Literal["number", "category", "flag"]
    low: float | None
    high: float | None
    grid: Literal["linear", "log"]
    bins: Annotated[list[float | str], Field(max_length=65_536)] | None
    missing: bool
    monotone: Literal["increasing", "decreasing"] | None
    bin_count: Annotated[int, Field(ge=2, le=65_536)] | None
    special: Annotated[list[SpecialOf], Field(max_length=MOST_SPECIAL)]
    strength: Literal["strong", "medium", "weak"] | None = None
    direction: Literal["increasing", "decreasing"] | None
    unit: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    moving: bool = False


def _checked(content: dict[str, Any]) -> dict[str, Any]:
    FeatureOf.model_validate(content)
    return content


Stated = Annotated[dict[str, Any], AfterValidator(_checked)]
"""A feature as its institution stated it, to the last digit."""


class Statement(Body):
    """One member's statement.

    rows: usable rows of its table. labelled: at a bank, how many have a label. least_rows: fewest that its policy
    wants. features: its public columns. computed: of those that it computes from histories, the rules, by column.
    groups: at a bank, the columns by which the hold-out is counted, in the study's order (protocol/groups). label: at a
    bank. scores: bands or points. score_values: most different values of holders' points that it takes part in.
    score_themes: whether its points may be given by theme; band_columns: how many columns hide a holder. evaluation:
    whether its policy lets the evaluation of a hold-out with its records out. encoder: design and digest of the encoder
    that is to be trained. roster: digest of that accepted epoch of the consortium's roster in which keys of a member
    last changed; None on one machine.
    """

    role: Role
    rows: Count = 0
    labelled: Count | None = None
    least_rows: Annotated[int, Field(ge=1)] = 1
    features: Annotated[list[Stated], Field(max_length=10_000)] = Field(default_factory=list)
    computed: Annotated[dict[str, HistoryRule], Field(max_length=10_000)] = Field(default_factory=dict)
    groups: Annotated[list[Stated], Field(max_length=8)] = Field(default_factory=list)
    label: LabelFacts | None = None
    scores: Literal["bands", "points"] = "bands"
    score_values: Annotated[int, Field(ge=16, le=1 << 16)] = 512
    score_themes: bool = False
    band_columns: Annotated[int, Field(ge=1)] = 3
    evaluation: bool = True
    encoder: dict[str, Any] | None = None
    evaluation_key: Digest | None = None
    roster: Digest | None = None

    @model_serializer(mode="wrap")
    def _without_usual(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What is as by default left out: members of before there was such a thing read the rest."""
        content: dict[str, Any] = handler(self)
        usual = {"score_themes": False, "band_columns": 3, "groups": [], "computed": {}}
        return {k: v for k, v in content.items() if k not in usual or v != usual[k]}


Statements = Mapping[str, Statement]


def statements_from(content: Mapping[str, Any]) -> dict[str, Statement]:
    """Statements by member, from JSON; ProtocolError where one is malformed."""
    try:
        return {str(name): Statement.model_validate(said) for name, said in content.items()}
    except ValidationError:
        raise ProtocolError(
            "a member's statement is malformed; all must run the same version of fedrisk"
        ) from None


def trainer_rows(study: Study, statements: Statements) -> int:
    """Rows of all trainers' tables that something can be learnt from, as they state them: at a bank those with a label.

    An enterprise of two banks is counted twice.
    """
    said = [statements[name] for name in study.trainers]
    return sum(s.rows if s.labelled is None else min(s.rows, s.labelled) for s in said)


def unlabelled(study: Study, statements: Statements) -> bool:
    """Whether a bank has rows without a label."""
    said = [statements[bank] for bank in study.banks]
    return any(s.labelled is not None and s.labelled < s.rows for s in said)


def features_of_roles(study: Study, statements: Statements) -> tuple[Feature, ...]:
    """Features of all roles, the banks' first; ConfigError where the banks' columns differ, or are no columns."""
    banks = {bank: _features(study, bank, statements) for bank in study.banks}
    first = next(iter(banks), "")
    for bank, features in banks.items():
        if features != banks[first]:
            mine, theirs = {f.column: f for f in features}, {f.column: f for f in banks[first]}
            differ = sorted(c for c in mine.keys() | theirs.keys() if mine.get(c) != theirs.get(c))
            raise ConfigError(
                f"the dictionaries of {first} and {bank} disagree on {', '.join(differ) or 'the order of columns'}; "
                "banks of one study need the same columns with the same kinds, bounds, bins, codes and missing rules"
            )
    features = list(banks.get(first, ()))
    for holder in study.holders:
        features += _features(study, holder, statements)
    return tuple(features)


def _features(study: Study, name: str, statements: Statements) -> list[Feature]:
    features = list(features_from(statements[name].features))
    role = BANK if name in study.banks else name
    if any(f.institution != role for f in features):
        raise ConfigError(f"{name} states columns of another institution; check its dictionary")
    return features


def same_encoders(study: Study, statements: Statements) -> None:
    """ConfigError where trainers state different encoders, or one of them none; nothing where none states any."""
    stated = {name: statements[name].encoder for name in study.trainers}
    first = study.trainers[0]
    differ = sorted(name for name, rule in stated.items() if rule != stated[first])
    if differ:
        raise ConfigError(
            f"{', '.join(differ)} and {first} state different encoders; holders that train one need the same series, "
            "bounds, months and outputs"
        )


def same_rules(study: Study, statements: Statements) -> None:
    """ConfigError where banks compute a column of one name from their histories in different ways."""
    stated = {bank: statements[bank].computed for bank in study.banks}
    first = next(iter(stated), "")
    for bank, rules in stated.items():
        mine = stated[first]
        differ = sorted(c for c in rules.keys() | mine.keys() if _said(rules.get(c)) != _said(mine.get(c)))
        if differ:
            raise ConfigError(
                f"{first} and {bank} compute {', '.join(differ)} from their histories in different ways; banks of "
                "one study need the same kind, months, before and since, and the same bounds, months and season of the "
                "series"
            )


def _said(rule: HistoryRule | None) -> str:
    return "" if rule is None else rule.digest


def seasons_of(statement: Statement) -> tuple[dict[str, Any], ...]:
    """Seasonal indices by which a member divides months, as it states them: ``season`` by group, ``series`` with it.

    The names of series with the same indices stand together, each once. The column of groups is not stated.
    """
    found: dict[str, dict[str, Any]] = {}
    for rule in statement.computed.values():
        if rule.season is not None:
            season = {group: list(indices) for group, indices in rule.season.items()}
            said = found.setdefault(json.dumps(season), {"series": [], "season": season})
            said["series"] += [] if rule.series in said["series"] else [rule.series]
    return tuple(found.values())


def same_labels(study: Study, statements: Statements) -> None:
    """ConfigError where banks state another label than the study names, or mean different things by it.

    Where the study names none, horizons are the banks' own words, as they always were.
    """
    said = {bank: label for bank in study.banks if (label := statements[bank].label) is not None}
    for bank, label in said.items():
        if label.name != study.label_name:
            raise ConfigError(
                f'{bank} states label "{label.name}", and study {study.name} is about "{study.label_name}"; name the '
                "same label in the study and in the dictionaries"
            )
    if study.label is None or len(said) < 2:
        return
    first, facts = next(iter(said.items()))
    for bank, label in said.items():
        keys = ("horizon", "meaning", "meaning_zh")
        differ = [key for key in keys if getattr(label, key) != getattr(facts, key)]
        if differ:
            raise ConfigError(
                f'{first} and {bank} state another {" and ".join(differ)} of label "{label.name}"; banks of one study '
                "mean the same by it, so agree on the words and write them alike"
            )


def asked_label(study: Study) -> tuple[str, ...]:
    """What a person who decides about the study reads of its label; nothing where it names none."""
    if study.label is None:
        return ()
    said = study.outcome
    meaning = f", {said.meaning}" if said.meaning else ""
    horizon = (
        f": {said.horizon}" if said.horizon else ": the study does not state its horizon (outcome.horizon)"
    )
    return (f'learns on label "{study.label}" of the banks{meaning}{horizon}',)


def weighted(study: Study, statements: Statements) -> bool:
    """Whether a bank weighs its labels."""
    return any(label.weighted for bank in study.banks if (label := statements[bank].label) is not None)


def binary_labels(study: Study, statements: Statements) -> bool:
    """Whether every bank's labels are 0 or 1, none is weighted, and every row has one."""
    labels = [statements[bank].label for bank in study.banks]
    return all(label is not None and label.binary for label in labels) and not unlabelled(study, statements)


def evaluated(study: Study, statements: Statements) -> bool:
    """Whether the hold-out is evaluated: the study asks for it, and all whose records stand behind scores allow it."""
    return study.evaluation.release and all(
        statements[name].evaluation for name in (*study.banks, *study.holders)
    )
