"""The section ``[scorecard]`` of a study file."""

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    field_validator,
    model_serializer,
    model_validator,
)

from fedrisk.data.features import Feature
from fedrisk.errors import ConfigError
from fedrisk.models.knowledge_file import MOST_STUDIES
from fedrisk.study import Study
from fedrisk.study_members import BANK
from fedrisk.study_sections import Name, Settings, Training

Part = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,47}(\.\S.*)?$", max_length=1049)]
"""A holder, or one of its columns: ``tax_office``, ``tax_office.vat_paid``."""

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Attempt = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{1,64}$")]
Moment = Annotated[str, StringConstraints(pattern=r"^[0-9T:.Z-]{20,27}$")]
Text = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,400}$")]

NONE: Literal["none"] = "none"

MOST_THEMES = 10
"""Most sums of points that a bank is given, beside that of the rest."""


class Predecessor(Settings):
    """An earlier study that a study remembers.

    study, attempt: its name and its run. ended: when, UTC in ISO 8601. record: digest of its release record.
    members: who contributed to it.
    """

    study: Name
    attempt: Attempt
    ended: Moment
    record: Digest
    members: tuple[Name, ...]


class KnownPrior(Settings):
    """Curves from elsewhere. source: where they come from, as people read it. digest: of the curves."""

    source: Text
    digest: Digest | None = None


class Known(Settings):
    """What a study knows beforehand, as the hub looked it up when the study was run or proposed.

    digest: of the knowledge (models/knowledge_file); None where nothing was found. memory: the studies in it, oldest
    first. prior: where its curves from elsewhere come from.
    """

    digest: Digest | None = None
    memory: Annotated[tuple[Predecessor, ...], Field(max_length=MOST_STUDIES)] = ()
    prior: KnownPrior | None = None

    @model_validator(mode="after")
    def _whole(self) -> "Known":
        if (self.digest is None) != (not self.memory and self.prior is None):
            raise ValueError("known: a digest goes with studies or a prior, and with neither there is none")
        return self


SecondRelease = Literal["auto", "gram", "recount"]
ColumnName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,47}\..{1,128}$")]
Reason = Annotated[str, Field(pattern=r"^[ -~]{1,200}$")]

ROUNDING = 1e-6
"""By how much the shares of a budget may miss 1."""


class Shares(Settings):
    """Shares of a study's budget (of mu squared) by release; they sum to 1.

    gram: of the second release, be it the Gram matrix or a second count.
    """

    edges: Annotated[float, Field(ge=0.005, le=0.3)]
    counts: Annotated[float, Field(ge=0.2, le=0.97)]
    gram: Annotated[float, Field(ge=0.01, le=0.7)]
    calibration: Annotated[float, Field(ge=0.01, le=0.3)]

    @model_validator(mode="after")
    def _whole(self) -> "Shares":
        total = self.edges + self.counts + self.gram + self.calibration
        if abs(total - 1) > ROUNDING:
            raise ValueError(
                f"scorecard.shares sum to {total:.6g} and must sum to 1; let fedrisk plan write them, or leave them out"
            )
        return self


class ScorecardSettings(Settings):
    """Settings of a scorecard study.

    gram_rows: on how many training rows at most the Gram matrix is computed, a random sample of that size beyond it.
    The matrix only says how features go together, which so many rows tell well enough; its masked matrices would
    otherwise be most of a large study's traffic. The sample is drawn by the hub's keyed hash, from each bank in
    proportion; every enterprise is charged in full, as if it were in it (no amplification is claimed).

    shares: of the budget, where they are not those that do well for most. second: what is released second: by the
    number of defaults (auto), the Gram matrix, or a second count. There always is one, since with it the order of rows
    is checked (clients/row_check). left_out: columns that are not counted, by name, with the reason. `fedrisk plan`
    chooses all three.

    memory: which earlier studies of the hub are remembered; "auto" for all that fit. prior: a scorecard or release
    record with curves known from elsewhere, or "generic". known: what the hub found by these two, which it writes when
    the study is run or proposed; nobody states it by hand.

    pairs: "auto" releases one number for every pair of an institution's ordered columns after the Gram matrix, and adds
    to the card what two columns say together beyond their curves, where the evidence keeps it (models/pairs). They have
    a tenth of the budget. Not by default: measured (benchmarks/interactions), they close half of the gap to boosting
    where interactions are strong, at epsilon 3, and cost .001 to .004 AUC where there are few.

    index: whether the card serves an operating health index (docs/health-index.md). Then banks bring labels alone, none
    of their columns. ``histories``: of columns that holders compute from monthly histories, all of which are known as
    of earlier months. ``all``: of all columns of holders; those without a history count in every month as they are now.

    themes: in which sums banks are given the holders' points. None: in one. ``holders``: in one for each holder. Else
    by name of the theme, its holders or their columns. Whose policy does not allow it stays in one sum with the others
    (recipes/scorecard/themes).
    """

    gram_rows: Annotated[int, Field(ge=1000)] = 200_000
    shares: Shares | None = None
    second: SecondRelease = "auto"
    left_out: Mapping[ColumnName, Reason] = Field(default_factory=dict)
    memory: Literal["none", "auto"] | Annotated[tuple[Text, ...], Field(min_length=1)] = NONE
    prior: Text | None = None
    known: Known | None = None
    pairs: Literal["none", "auto"] = NONE
    index: Literal["none", "histories", "all"] = NONE
    themes: (
        Literal["holders"]
        | Annotated[dict[Name, list[Part]], Field(min_length=1, max_length=MOST_THEMES)]
        | None
    ) = None

    @field_validator("memory", mode="before")
    @classmethod
    def _one_name(cls, value: Any) -> Any:
        """A single name is a list of one."""
        return (value,) if isinstance(value, str) and value not in (NONE, "auto") else value

    @field_validator("memory")
    @classmethod
    def _not_too_many(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if isinstance(value, tuple) and len(value) > MOST_STUDIES:
            raise ValueError(f"memory lists {len(value)} studies; at most {MOST_STUDIES} are remembered")
        return value

    @model_validator(mode="after")
    def _asked_for(self) -> "ScorecardSettings":
        if self.known is not None and not self.asks_before:
            raise ValueError(
                "known is what the hub found by memory or prior, and neither is asked for; remove it"
            )
        return self

    @model_validator(mode="after")
    def _pairs_need_gram(self) -> "ScorecardSettings":
        if self.pairs != NONE and self.second == "recount":
            raise ValueError(
                'pairs are found beside the Gram matrix, and second is "recount"; leave second or pairs out'
            )
        return self

    @property
    def asks_before(self) -> bool:
        """Whether anything is to be known beforehand."""
        return self.memory != NONE or self.prior is not None

    @model_serializer(mode="wrap")
    def _without_nothing(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what is not asked for or chosen: studies from before there was any of it keep their digest."""
        content: dict[str, Any] = handler(self)
        usual = {"memory": NONE, "second": "auto", "left_out": {}, "pairs": NONE, "index": NONE}
        return {k: v for k, v in content.items() if v is not None and (k not in usual or v != usual[k])}


def check_members(study: Study, features: Sequence[Feature] | None = None) -> None:
    """ConfigError where a scorecard has no bank, states a training, or a member brings no feature.

    features: of all roles, once they are known.
    """
    if not study.banks:
        raise ConfigError("institutions: no bank; a study needs at least one institution with labels")
    if study.training != Training():
        raise ConfigError("[training] is for recipes that train a model and this one is scorecard; remove it")
    _check_themes(study, features)
    if features is None:
        return
    if not features:
        raise ConfigError("no institution brings a feature; mark columns with feature = true")
    left_out = ScorecardSettings.of(study).left_out
    unknown = sorted(set(left_out) - {f.name for f in features})
    if unknown:
        raise ConfigError(
            f"scorecard.left_out names {unknown[0]}, and no institution brings it; write it as institution.column, or "
            "take it out"
        )
    features = indexed(study, [f for f in features if f.name not in left_out])
    if not features:
        raise ConfigError(
            "scorecard.index: no holder brings a column for it; declare columns with history = SERIES in a holder's "
            'dictionary, or state index = "all"'
        )
    without = [r for r in study.roles if r != BANK and not any(f.institution == r for f in features)]
    if without:
        raise ConfigError(f"{', '.join(without)} brings no feature; add columns or leave it out of the study")


def indexed(study: Study, features: Sequence[Feature]) -> list[Feature]:
    """Features that a study may count: of an index those of holders, or of these the ones that histories give."""
    index = ScorecardSettings.of(study).index
    if index == NONE:
        return list(features)
    return [f for f in features if f.institution != BANK and (f.moving or index == "all")]


def _check_themes(study: Study, features: Sequence[Feature] | None) -> None:
    """ConfigError where a theme names no holder of the study, or something twice, or no column once they are known."""
    themes = ScorecardSettings.of(study).themes
    if themes == "holders" and len(study.holders) > MOST_THEMES:
        raise ConfigError(
            f"scorecard.themes: {len(study.holders)} holders, and at most {MOST_THEMES} themes; name themes of "
            "several holders each"
        )
    if not isinstance(themes, dict):
        return
    if "rest" in themes:
        raise ConfigError(
            "scorecard.themes: rest is the sum of all that is in no theme; name the theme otherwise"
        )
    parts = [part for parts in themes.values() for part in parts]
    for part in parts:
        holder, _, column = part.partition(".")
        if holder not in study.holders:
            raise ConfigError(
                f"scorecard.themes: {holder} is no holder of this study; name holders, or their columns as "
                "HOLDER.COLUMN"
            )
        if parts.count(part) > 1:
            raise ConfigError(f"scorecard.themes: {part} is named twice; points are in one sum only")
        if column and features is not None and not any(f.name == part for f in features):
            raise ConfigError(
                f"scorecard.themes: {part} is no column of this study; see the holder's dictionary"
            )


def spared(settings: Mapping[str, Any], names: Collection[str]) -> Mapping[str, Any]:
    """Settings without some institutions: themes without those that are away."""
    themes = settings.get("themes")
    if not isinstance(themes, dict):
        return settings
    left = {t: [p for p in parts if p.partition(".")[0] not in names] for t, parts in themes.items()}
    return {**settings, "themes": {t: parts for t, parts in left.items() if parts} or None}


def asks(study: Study) -> tuple[str, ...]:
    """Themes, and what is remembered and known beforehand, for a person who decides about the study."""
    known = ScorecardSettings.of(study).known
    told = (*_asked_index(study), *_asked_themes(study), *_asked_pairs(study))
    if known is None or known.digest is None:
        return told
    said = [
        f"remembers study {past.study} (run {past.attempt[:8]}, ended {past.ended[:10]}, of {', '.join(past.members)}; "
        f"record {past.record[:16]})"
        for past in known.memory
    ]
    if known.prior is not None:
        said.append(f"begins from curves known beforehand: {known.prior.source}")
    return (*told, *said, f"what it knows beforehand has digest {known.digest}")


def _asked_index(study: Study) -> tuple[str, ...]:
    index = ScorecardSettings.of(study).index
    if index == NONE:
        return ()
    columns = "columns computed from monthly histories" if index == "histories" else "all columns"
    return (
        f"makes an operating health index of {columns} of its holders, which may be asked of up to 18 months where "
        "policies allow it (policy.serving.index_months); banks bring labels alone",
    )


def _asked_pairs(study: Study) -> tuple[str, ...]:
    if ScorecardSettings.of(study).pairs == NONE:
        return ()
    return (
        "releases one noisy number for every pair of an institution's ordered columns (scorecard.pairs), within the "
        "same budget",
    )


def _asked_themes(study: Study) -> tuple[str, ...]:
    themes = ScorecardSettings.of(study).themes
    if themes is None:
        return ()
    named = (
        "each holder" if themes == "holders" else "; ".join(f"{t}: {', '.join(p)}" for t, p in themes.items())
    )
    return (f"gives banks points in several sums where policies allow it (policy.score_themes): {named}",)
