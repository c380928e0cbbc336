"""The section ``[encoder]`` of a study file."""

from collections.abc import Sequence

from fedrisk.data.features import Feature
from fedrisk.errors import ConfigError
from fedrisk.releases.gradient_sums import check_threshold
from fedrisk.study import Study
from fedrisk.study_sections import Name, Settings


class EncoderSettings(Settings):
    """name: of the encoder in the institution files of the holders that train it."""

    name: Name


def check_members(study: Study, features: Sequence[Feature] | None = None) -> None:
    """ConfigError where others than data holders take part."""
    if study.banks or not study.holders:
        raise ConfigError(
            "institutions: an encoder is trained by data holders of one kind; list holders and no bank"
        )
    check_threshold(study)
