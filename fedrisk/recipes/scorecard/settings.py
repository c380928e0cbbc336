"""The section ``[scorecard]`` of a study file."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from fedrisk.data.features import Feature
from fedrisk.errors import ConfigError
from fedrisk.study import BANK, Settings, Study, Training

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
    """

    gram_rows: Annotated[int, Field(ge=1000)] = 200_000
    shares: Shares | None = None
    second: SecondRelease = "auto"
    left_out: Mapping[ColumnName, Reason] = Field(default_factory=dict)

    @model_serializer(mode="wrap")
    def _without_choices(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Choices that are not made are left out, so that studies from before there were any keep their digest."""
        content: dict[str, Any] = handler(self)
        usual = {"shares": None, "second": "auto", "left_out": {}}
        return {k: v for k, v in content.items() if k not in usual or v != usual[k]}


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
    left_out = ScorecardSettings.of(study).left_out
    unknown = sorted(set(left_out) - {f.name for f in features})
    if unknown:
        raise ConfigError(
            f"scorecard.left_out names {unknown[0]}, and no institution brings it; write it as institution.column, or "
            "take it out"
        )
    features = [f for f in features if f.name not in left_out]
    without = [r for r in study.roles if r != BANK and not any(f.institution == r for f in features)]
    if without:
        raise ConfigError(f"{', '.join(without)} brings no feature; add columns or leave it out of the study")
