"""The section ``[network]`` of a study file."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from fedrisk.data.features import Feature
from fedrisk.errors import ConfigError
from fedrisk.releases.gradient_sums import check_threshold
from fedrisk.study import Name, Settings, Study


class NetworkSettings(Settings):
    """The risk network: ``logistic`` is a regression on the encoded columns, ``mlp`` adds residual layers to it.

    external: name of an earlier scorecard study whose external score, which the banks have in their stores, is an
    input; its holders are members of this study as well and are charged for it.
    """

    kind: Literal["mlp", "logistic"] = "mlp"
    hidden: Annotated[int, Field(ge=1, le=1024)] | None = None
    blocks: Annotated[int, Field(ge=0, le=8)] | None = None
    external: Name | None = None


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
