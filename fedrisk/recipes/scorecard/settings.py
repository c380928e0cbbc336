"""The section ``[scorecard]`` of a study file."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from fedrisk.data.features import Feature
from fedrisk.errors import ConfigError
from fedrisk.study import BANK, Settings, Study, Training


class ScorecardSettings(Settings):
    """gram_rows: on how many training rows at most the Gram matrix is computed, a random sample of that size beyond it.

    The matrix only says how features go together, which so many rows tell well enough; its masked matrices would
    otherwise be most of a large study's traffic. The sample is drawn by the hub's keyed hash, from each bank in
    proportion; every enterprise is charged in full, as if it were in it (no amplification is claimed).
    """

    gram_rows: Annotated[int, Field(ge=1000)] = 200_000


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
