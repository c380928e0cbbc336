"""What a study knows beforehand, at a member: told by the hub, held against the study and the member's own account.

The study that a member approved states each earlier study and a digest of all that is told. Of an earlier study in
which the member took part it kept what was released; the hub has to tell the same. An earlier study of none of the
present members has nobody who could vouch for it and is refused. Sensitivities and prices depend on none of this.
"""

from functools import lru_cache, partial

from fedrisk.analysis.past_studies import study_before, told_to_strangers, unfit
from fedrisk.clients.attempt import Attempt
from fedrisk.errors import ConfigError, ProtocolError
from fedrisk.models.knowledge import NOTHING, Knowledge, PastStudy
from fedrisk.models.knowledge_file import MOST_BYTES, from_bytes, same_sums
from fedrisk.protocol.form import BlobForm, Body, Form
from fedrisk.recipe import MakePlan
from fedrisk.recipes.scorecard.plan import make_plan
from fedrisk.recipes.scorecard.remembering import PART, stated
from fedrisk.recipes.scorecard.settings import Known, ScorecardSettings


class KnowledgePart(Body):
    """The file says everything."""


KNOWLEDGE = Form(body=KnowledgePart, blobs={"file": BlobForm(dtype="uint8", most=MOST_BYTES)})
"""Form of the part ``knowledge``: the file of what the study knows beforehand (models/knowledge_file)."""

_UNFIT = {
    "purpose": "was for another purpose",
    "label": "was about another label",
    "apart": "has no institution in common with this study",
    "strangers": "has numbers of an institution that is not here",
    "holdout": "trained on enterprises that this study holds out",
}

_REMEDY = "nothing is released. Ask the consortium's operator, and run the study again"


def known_of(attempt: Attempt) -> Knowledge:
    """What the study knows beforehand, as its digest says; ProtocolError where the hub told something else."""
    known = ScorecardSettings.of(attempt.study).known
    told = attempt.was_told(PART)
    if known is None or known.digest is None:
        if told:
            raise ProtocolError(f"the hub tells earlier studies of which the study states none; {_REMEDY}")
        return NOTHING
    if not told:
        raise ProtocolError(f"the study remembers earlier ones, and the hub tells none of them; {_REMEDY}")
    try:
        found, said = _read(attempt.told(PART).array("file").tobytes())
    except ConfigError as error:
        raise ProtocolError(f"what the hub tells of earlier studies is not of the form: {error}") from None
    if said != known:
        raise ProtocolError(
            f"what the hub tells of earlier studies is not what the study states of them; {_REMEDY}"
        )
    return found


def check_known(attempt: Attempt) -> MakePlan:
    """The plan that takes what is known into account, once that fits this member's own account; ProtocolError."""
    known, study = known_of(attempt), attempt.study
    for past in known.memory:
        if past.research and not attempt.research:
            raise ProtocolError(
                f"study {past.study} was a research run, without privacy; no study that has any takes its numbers"
            )
        if not set(past.members) & {*study.banks, *study.holders}:
            raise ProtocolError(
                f"nobody of this study took part in {past.study}, which it is to remember; {_REMEDY}"
            )
        if told_to_strangers(past.members, study):
            raise ProtocolError(
                f"{past.study}, which the study is to remember, has numbers of an institution that is not here, which "
                f"others who are here were never told; {_REMEDY} without it in scorecard.memory"
            )
        if attempt.name in past.members:
            _check_own(attempt, past)
    return partial(make_plan, known=known)


def _check_own(attempt: Attempt, past: PastStudy) -> None:
    own = attempt.node.store.past.find(past.attempt)
    if own is None:
        raise ProtocolError(
            f"{attempt.name} is said to have taken part in {past.study}, and keeps nothing of it; {_REMEDY} without "
            "that study in scorecard.memory"
        )
    if not same_sums(own, past):
        raise ProtocolError(
            f"what the hub tells of {past.study} is not what {attempt.name} saw released then; {_REMEDY}"
        )

    try:
        before = study_before(attempt.node.store.past.study(past.attempt))
    except ConfigError:
        raise ProtocolError(
            f"what {attempt.name} keeps of {past.study} is of another version; {_REMEDY} without that study in "
            "scorecard.memory"
        ) from None
    why = unfit(before, attempt.study, research=attempt.research)
    if why is not None:
        raise ProtocolError(
            f"{past.study} {_UNFIT[why]}, so this study may not remember it; {_REMEDY} without it in scorecard.memory"
        )


# Several institutions of one process are told the same.
@lru_cache(maxsize=2)
def _read(content: bytes) -> tuple[Knowledge, Known]:
    """Knowledge, and how a study states it."""
    found = from_bytes(content)
    return found, stated(found)
