"""An earlier study as a later one remembers it: from its release record, and whether it may be."""

from collections.abc import Collection
from typing import Any

from fedrisk.analysis.card_sums import CardSums
from fedrisk.errors import ConfigError
from fedrisk.models.knowledge import PastStudy
from fedrisk.releases.record import ReleaseRecord
from fedrisk.study import HOLDING, Study, study_from

KEPT = "kept_by_members"
"""Mark in the context of a record whose members kept their own account of what was released (clients/store)."""

CONTRIBUTING = ("bank", *HOLDING)
"""Roles of institutions that contribute to a scorecard's sums."""


def past_study(record: ReleaseRecord, ended: str) -> PastStudy:
    """What a study released, without what it remembered itself; ConfigError where it made no scorecard.

    ended: when its run ended, UTC in ISO 8601.
    """
    sums = CardSums.released(record)
    return PastStudy(
        study=str(record.study["name"]),
        digest=record.digest(),
        ended=ended,
        attempt=record.attempt,
        research=record.research,
        bins=sums.bins,
        counts=sums.counts,
        bases=sums.bases,
        second=sums.second,
        members=contributors(record.study["institutions"]),
    )


def contributors(institutions: Collection[Any]) -> tuple[str, ...]:
    """Names of the institutions of a study, as JSON has them, that contribute to a scorecard's sums."""
    return tuple(str(m["name"]) for m in institutions if m["role"] in CONTRIBUTING)


def not_to_be_remembered(record: ReleaseRecord, study: Study, *, research: bool) -> str | None:
    """Why a study may not remember a record, as a code; None where it may.

    ``research``, ``private``: only one of the two runs has privacy; numbers without privacy never enter a study with
    privacy, and hold-outs are drawn otherwise. ``purpose``: released for another purpose. ``holdout``: it trained on
    enterprises that this study holds out. ``same``: it is an attempt at this very study. ``recipe``: it is no
    scorecard. ``apart``: no institution is in both. ``early``: its members kept nothing by which they could check it.
    """
    before = _study_of(record)
    reasons = {
        "recipe": before.recipe != study.recipe or record.find("counts") is None,
        "research": record.research and not research,
        "private": research and not record.research,
        "same": before.as_asked.digest() == study.as_asked.digest(),
        "purpose": before.purpose != study.purpose,
        "apart": not {*before.banks, *before.holders} & {*study.banks, *study.holders},
        "holdout": not holds_out_the_same(before, study, research=research),
        "early": not record.context.get(KEPT),
    }
    return next((why for why, holds in reasons.items() if holds), None)


def holds_out_the_same(before: Study, study: Study, *, research: bool) -> bool:
    """Whether nobody that a study holds out was trained on in an earlier one of the same hub.

    The hub draws by one keyed hash: whoever is held out at a percentage is so at every larger one. By date, whoever has
    a date from a later boundary on has one from an earlier boundary on. In a research run key and pseudonyms follow
    from the seed of the hold-out, the authority and the epoch; elsewhere sides stay when an epoch ends
    (clients/row_order).
    """
    one, other = before.holdout, study.holdout
    if one.kind != other.kind:
        return False
    if one.from_date is not None and other.from_date is not None:
        return one.from_date <= other.from_date
    drawn = (one.seed, before.authority, before.alignment.epoch)
    if research and drawn != (other.seed, study.authority, study.alignment.epoch):
        return False
    return one.percent >= other.percent


def _study_of(record: ReleaseRecord) -> Study:
    try:
        return study_from(dict(record.study), where="the study of a release record")
    except (TypeError, ValueError):
        raise ConfigError("the release record holds no study; take another copy") from None
