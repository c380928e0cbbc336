"""The section ``[network]`` of a study file."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    model_serializer,
    model_validator,
)

from fedrisk.data.features import Feature
from fedrisk.errors import ConfigError
from fedrisk.releases.gradient_sums import check_threshold
from fedrisk.study import Study
from fedrisk.study_sections import Name, Settings

MOST_ODDS = 20.0
"""Largest log-odds of a start's default rate, either way."""

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Text = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,200}$")]


class KnownStart(Settings):
    """The scorecard at which the network begins, as the hub read it when the study was run or proposed.

    digest: of its curves (models/knowledge_file). source: where they come from, as people read it. intercept: log-odds
    of default where every column is average.
    """

    digest: Digest
    source: Text
    intercept: Annotated[float, Field(ge=-MOST_ODDS, le=MOST_ODDS, allow_inf_nan=False)]


class NetworkSettings(Settings):
    """The risk network: ``logistic`` is a regression on the encoded columns, and other kinds add to it.

    ``mlp`` adds residual layers, ``products`` the products of two columns each. Without a word it is mlp, and products
    where the network begins at a scorecard.

    external: name of an earlier scorecard study whose external score, which the banks have in their stores, is an
    input; its holders are members of this study as well and are charged for it.

    start: the scorecard.json of an earlier study on the hub's machine, at whose curves the network begins. known: what
    the hub read there, which it writes when the study is run or proposed; nobody states it by hand.
    """

    kind: Literal["mlp", "logistic", "products"] = "mlp"
    hidden: Annotated[int, Field(ge=1, le=1024)] | None = None
    blocks: Annotated[int, Field(ge=0, le=8)] | None = None
    external: Name | None = None
    start: Text | None = None
    known: KnownStart | None = None

    @model_validator(mode="before")
    @classmethod
    def _kind_of_a_start(cls, content: Any) -> Any:
        """What curves do not say is in products; neurons come to nothing in so few steps (benchmarks/networks)."""
        if isinstance(content, dict) and content.get("start") is not None and "kind" not in content:
            return {**content, "kind": "products"}
        return content

    @model_validator(mode="after")
    def _asked_for(self) -> "NetworkSettings":
        if self.known is not None and self.start is None:
            raise ValueError("known is what the hub read in start, and none is named; remove it")
        return self

    @model_serializer(mode="wrap")
    def _without_nothing(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without a start where there is none: studies from before there were any keep their digest."""
        content: dict[str, Any] = handler(self)
        return {k: v for k, v in content.items() if v is not None or k not in ("start", "known")}


def check_members(study: Study, features: Sequence[Feature] | None = None) -> None:
    """ConfigError where there is no bank, holders without an external score, or no column to train on."""
    if not study.banks:
        raise ConfigError("institutions: no bank; a study needs at least one institution with labels")
    if bool(study.holders) != (NetworkSettings.of(study).external is not None):
        raise ConfigError(
            "institutions: a network takes holders only for the external score of an earlier study "
            "(network.external): name that study with its holders, or leave both out"
        )
    check_threshold(study)
    if features is not None and not features:
        raise ConfigError("no institution brings a feature; mark columns with feature = true")


def asks(study: Study) -> tuple[str, ...]:
    """At which scorecard the network begins, for a person who decides about the study."""
    known = NetworkSettings.of(study).known
    if known is None:
        return ()
    return (
        f"begins at curves known beforehand: {known.source}",
        f"what it begins at has digest {known.digest}",
    )
