"""The section ``[scorecard]`` of a study file."""

from collections.abc import Sequence
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
from fedrisk.study import BANK, Name, Settings, Study, Training

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Attempt = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{1,64}$")]
Moment = Annotated[str, StringConstraints(pattern=r"^[0-9T:.Z-]{20,27}$")]
Text = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,200}$")]

NONE: Literal["none"] = "none"


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
    """Curves from elsewhere. source: where they come from, as people read it. digest: of the file they are from."""

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


class ScorecardSettings(Settings):
    """gram_rows: on how many training rows at most the Gram matrix is computed, a random sample of that size beyond it.

    The matrix only says how features go together, which so many rows tell well enough; its masked matrices would
    otherwise be most of a large study's traffic. The sample is drawn by the hub's keyed hash, from each bank in
    proportion; every enterprise is charged in full, as if it were in it (no amplification is claimed).

    memory: which earlier studies of the hub are remembered; "auto" for all that fit. prior: a scorecard or release
    record with curves known from elsewhere, or "generic". known: what the hub found by these two, which it writes when
    the study is run or proposed; nobody states it by hand.
    """

    gram_rows: Annotated[int, Field(ge=1000)] = 200_000
    memory: Literal["none", "auto"] | Annotated[tuple[Text, ...], Field(min_length=1)] = NONE
    prior: Text | None = None
    known: Known | None = None

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

    @property
    def asks_before(self) -> bool:
        """Whether anything is to be known beforehand."""
        return self.memory != NONE or self.prior is not None

    @model_serializer(mode="wrap")
    def _without_nothing(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without memory and prior where there are none: studies from before there were any keep their digest."""
        content: dict[str, Any] = handler(self)
        return {k: v for k, v in content.items() if v is not None and (k, v) != ("memory", NONE)}


def check_members(study: Study, features: Sequence[Feature] | None = None) -> None:
    """ConfigError where a scorecard has no bank, states a training, or a member brings no feature.

    features: of all roles, once they are known.
    """
    if not study.banks:
        raise ConfigError("institutions: no bank; a study needs at least one institution with labels")
    if study.training != Training():
        raise ConfigError("[training] is for recipes that train a model and this one is scorecard; remove it")
    if features is None:
        return
    if not features:
        raise ConfigError("no institution brings a feature; mark columns with feature = true")
    without = [r for r in study.roles if r != BANK and not any(f.institution == r for f in features)]
    if without:
        raise ConfigError(f"{', '.join(without)} brings no feature; add columns or leave it out of the study")


def asks(study: Study) -> tuple[str, ...]:
    """What is remembered and known beforehand, for a person who decides about the study."""
    known = ScorecardSettings.of(study).known
    if known is None or known.digest is None:
        return ()
    said = [
        f"remembers study {past.study} (run {past.attempt[:8]}, ended {past.ended[:10]}, of {', '.join(past.members)}; "
        f"record {past.record[:16]})"
        for past in known.memory
    ]
    if known.prior is not None:
        said.append(f"begins from curves known beforehand: {known.prior.source}")
    return (*said, f"what it knows beforehand has digest {known.digest}")
