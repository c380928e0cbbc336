"""The section ``[scorecard]`` of a study file."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, StringConstraints, model_serializer

from fedrisk.data.features import Feature
from fedrisk.errors import ConfigError
from fedrisk.study import BANK, Name, Settings, Study, Training

Part = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,47}(\.\S.*)?$", max_length=1049)]
"""A holder, or one of its columns: ``tax_office``, ``tax_office.vat_paid``."""


class ScorecardSettings(Settings):
    """gram_rows: on how many training rows at most the Gram matrix is computed, a random sample of that size beyond it.

    The matrix only says how features go together, which so many rows tell well enough; its masked matrices would
    otherwise be most of a large study's traffic. The sample is drawn by the hub's keyed hash, from each bank in
    proportion; every enterprise is charged in full, as if it were in it (no amplification is claimed).

    themes: in which sums banks are given the holders' points. None: in one. ``holders``: in one for each holder. Else
    by name of the theme, its holders or their columns. Whose policy does not allow it stays in one sum with the others
    (recipes/scorecard/themes).
    """

    gram_rows: Annotated[int, Field(ge=1000)] = 200_000
    themes: (
        Literal["holders"] | Annotated[dict[Name, list[Part]], Field(min_length=1, max_length=64)] | None
    ) = None

    @model_serializer(mode="wrap")
    def _without_nothing(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Left out where there are none, so that studies from before there were any keep their digest."""
        content: dict[str, Any] = handler(self)
        return {k: v for k, v in content.items() if k != "themes" or v is not None}


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
    without = [r for r in study.roles if r != BANK and not any(f.institution == r for f in features)]
    if without:
        raise ConfigError(f"{', '.join(without)} brings no feature; add columns or leave it out of the study")


def _check_themes(study: Study, features: Sequence[Feature] | None) -> None:
    """ConfigError where a theme names no holder of the study, or something twice, or no column once they are known."""
    themes = ScorecardSettings.of(study).themes
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
