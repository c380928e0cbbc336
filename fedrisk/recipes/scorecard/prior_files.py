"""Curves known from elsewhere, from the file of a study that somebody else made: a scorecard, or a release record."""

import json
from pathlib import Path

from fedrisk.analysis.card_sums import CardSums
from fedrisk.analysis.past_studies import label_of
from fedrisk.errors import ConfigError, EnvelopeError
from fedrisk.models.prior import Prior
from fedrisk.models.scorecard import Scorecard
from fedrisk.recipes.scorecard.fitting import refit
from fedrisk.releases.record import ReleaseRecord
from fedrisk.study import DEFAULT_LABEL

GENERIC = "generic"
"""The prior that ships with fedrisk."""

MOST_SOURCE = 200
"""Letters of a prior's source at most."""


def find_prior(name: str, research: bool, label: str = DEFAULT_LABEL) -> Prior:
    """Curves known from elsewhere, of a scorecard or release record, or the ones that ship.

    research: whether they are for a research run; no other study takes those of one. label: that the study is about,
    and a record has to be of the same. ConfigError where the file cannot be read, or may not be used.
    """
    if name == GENERIC:
        return Prior.generic()
    try:
        content = Path(name).read_bytes()
    except OSError as error:
        raise ConfigError(
            f"scorecard.prior: {name} cannot be read: {error.strerror}; name a scorecard.json, a release_record.npz, "
            'or "generic"'
        ) from None
    try:
        return prior_of(Path(name).name, content, research=research, label=label)
    except (ConfigError, EnvelopeError) as error:
        raise ConfigError(f"scorecard.prior: {name}: {error}") from None


def prior_of(name: str, content: bytes, *, research: bool, label: str = DEFAULT_LABEL) -> Prior:
    """The curves of a file, by its content: from a record those of its counts and of its card, from a card its own.

    ConfigError where it is neither, of a research run and not for one, or of another label; EnvelopeError where
    a record is not as its hub signed it.
    """
    if content[:2] == b"PK":
        record = ReleaseRecord.from_bytes(content)
        record.verify()
        _check_private(record.research, research)
        if label_of(record.study) != label:
            raise ConfigError(
                f'it is of a study about label "{label_of(record.study)}", and this one is about "{label}"; take a '
                "study of the same label"
            )
        source = f"study {record.study['name']} of hub {record.hub[:16]} ({name})"
        sums = CardSums.of(record)
        return Prior.from_sums(sums.bins, sums.counts, _short(source), refit(record))
    try:
        card = Scorecard.from_json(content.decode("utf-8"))
    except (ConfigError, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError, ValueError):
        raise ConfigError("it is neither a scorecard nor a release record; name one of these files") from None
    _check_private(card.notice is not None, research)
    return Prior.from_card(card, _short(f"scorecard of study {card.study} ({name})"))


def _check_private(without: bool, research: bool) -> None:
    if without and not research:
        raise ConfigError(
            "it is of a research run: its numbers have no privacy, and enter no study that has any; take another one"
        )


def _short(source: str) -> str:
    return "".join(c for c in source if c.isprintable())[:MOST_SOURCE]
