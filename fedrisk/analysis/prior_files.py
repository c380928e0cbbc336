"""Curves known from elsewhere, from the file of a study that somebody else made: a scorecard, or a release record.

From a record come the curves by which its counts are explained, from a card what its points say; a card's are those of
all features together, so they are flatter, which a prior's share makes good (models/prior).
"""

import hashlib
import json
from pathlib import Path

from fedrisk.analysis.card_sums import CardSums, curves_of
from fedrisk.errors import ConfigError
from fedrisk.models.prior import Prior, PriorCurve
from fedrisk.models.scorecard import FACTOR, Scorecard
from fedrisk.releases.record import ReleaseRecord


def prior_of(name: str, content: bytes, *, research: bool) -> Prior:
    """The curves of a file, by its content. research: whether they are for a research run.

    ConfigError where it is neither a scorecard nor a release record, or of a research run and not for one;
    EnvelopeError where a record is not as its hub signed it.
    """
    digest, file = hashlib.sha256(content).hexdigest(), Path(name).name
    if content[:2] == b"PK":
        record = ReleaseRecord.from_bytes(content)
        record.verify()
        _check_private(record.research, research)
        source = f"study {record.study['name']} of hub {record.hub[:16]} ({file})"
        return Prior(source=_short(source), digest=digest, curves=_of_record(record))
    try:
        card = Scorecard.from_json(content.decode("utf-8"))
    except (ConfigError, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError, ValueError):
        raise ConfigError("is neither a scorecard nor a release record; name one of these files") from None
    _check_private(card.notice is not None, research)
    return Prior(
        source=_short(f"scorecard of study {card.study} ({file})"), digest=digest, curves=_of_card(card)
    )


def _of_record(record: ReleaseRecord) -> tuple[PriorCurve, ...]:
    sums = CardSums.of(record)
    curves = curves_of(sums.counts, sums.bins, sums.prior).curve
    return tuple(
        PriorCurve(bins=b, shift=tuple(map(float, curve))) for b, curve in zip(sums.bins, curves, strict=True)
    )


def _of_card(card: Scorecard) -> tuple[PriorCurve, ...]:
    """More points are less risk."""
    return tuple(
        PriorCurve(bins=b, shift=tuple((average - p) / FACTOR for p in points))
        for b, points, average in zip(card.bins, card.points, card.averages, strict=True)
    )


def _check_private(without: bool, research: bool) -> None:
    if without and not research:
        raise ConfigError(
            "is of a research run: its numbers have no privacy, and enter no study that has any; take another one"
        )


def _short(source: str) -> str:
    return "".join(c for c in source if c.isprintable())[:200]
