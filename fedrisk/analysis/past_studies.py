"""An earlier study as a later one remembers it: from its release record, and whether it may be."""

from collections.abc import Collection, Mapping
from typing import Any

from fedrisk.analysis.card_sums import CardSums
from fedrisk.errors import ConfigError
from fedrisk.models.knowledge import PastStudy
from fedrisk.releases.record import ReleaseRecord
from fedrisk.study import DEFAULT_LABEL, Study, study_from
from fedrisk.study_members import HOLDING

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
    privacy, and hold-outs are drawn otherwise. ``same``: it is an attempt at this very study. ``recipe``: it is no
    scorecard. ``early``: its members kept nothing by which they could check it. Else as :func:`unfit`.
    """
    before = study_before(record.study)
    reasons = {
        "recipe": before.recipe != study.recipe or record.find("counts") is None,
        "research": record.research and not research,
        "private": research and not record.research,
        "same": before.as_asked.digest() == study.as_asked.digest(),
    }
    why = next((why for why, holds in reasons.items() if holds), None) or unfit(
        before, study, research=research
    )
    return why or (None if record.context.get(KEPT) else "early")


def unfit(before: Study, study: Study, *, research: bool) -> str | None:
    """Why two studies do not go together, by what they state, as a code: at the hub, and at a member again; None else.

    ``purpose``: released for another purpose. ``label``: about another label, or one that meant something else.
    ``apart``, ``strangers``: see :func:`told_to_strangers`. ``holdout``: it trained on enterprises that this study
    holds out.
    """
    was = {*before.banks, *before.holders}
    reasons = {
        "purpose": before.purpose != study.purpose,
        "label": not about_the_same(before, study),
        "apart": not was & {*study.banks, *study.holders},
        "strangers": told_to_strangers(was, study),
        "holdout": not holds_out_the_same(before, study, research=research),
    }
    return next((why for why, holds in reasons.items() if holds), None)


def label_of(content: Mapping[str, Any]) -> str:
    """Name of the label that a study is about, by its content as JSON has it."""
    return str(content.get("label") or DEFAULT_LABEL)


def about_the_same(before: Study, study: Study) -> bool:
    """Whether two studies are about one label, by name, and by what it means where both say that."""
    one, other = before.outcome.model_dump(), study.outcome.model_dump()
    differ = any(said and other[key] and said != other[key] for key, said in one.items())
    return before.label_name == study.label_name and not differ


def told_to_strangers(was: Collection[str], study: Study) -> bool:
    """Whether a study would tell somebody new what an institution released that is not there to agree to it.

    was: who contributed then. Sums of a study were for its members. Who was there and is here approves whom they go to
    now; for one that is gone nobody does, so that then only those hear of them who have them already.
    """
    now = {*study.banks, *study.holders}
    return bool(set(was) - now and now - set(was))


def holds_out_the_same(before: Study, study: Study, *, research: bool) -> bool:
    """Whether nobody that a study holds out was trained on in an earlier one of the same hub.

    The hub draws by one keyed hash: whoever is held out at a percentage is so at every larger one. By date, whoever has
    a date from a later boundary on has one from an earlier boundary on. In a research run key and pseudonyms follow
    from the seed of the hold-out, the authority and the epoch; elsewhere sides stay when an epoch ends
    (clients/row_order), as far as the bank is still there by whose row an enterprise had one. Which of several banks'
    dates counts for an enterprise is drawn anew for every roster of banks and epoch.
    """
    one, other = before.holdout, study.holdout
    banks, now = set(before.banks), set(study.banks)
    key = (before.authority, before.alignment.epoch) == (study.authority, study.alignment.epoch)
    if one.kind != other.kind or (research and not (key and one.seed == other.seed)):
        return False
    if one.from_date is not None and other.from_date is not None:
        return one.from_date <= other.from_date and banks == now and (key or len(now) == 1)
    return one.percent >= other.percent and (key or banks <= now)


def study_before(content: Mapping[str, Any]) -> Study:
    """The study of a record, or of a member's own account; ConfigError where there is none."""
    try:
        return study_from(dict(content), where="the study of a release record")
    except (TypeError, ValueError):
        raise ConfigError("the release record holds no study; take another copy") from None
