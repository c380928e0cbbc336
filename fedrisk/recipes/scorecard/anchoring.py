"""At the hub: what the evaluations of earlier studies said, from the records and files that are there."""

from collections.abc import Sequence
from pathlib import Path

from fedrisk.analysis.card_sums import CardSums, knowledge_of
from fedrisk.analysis.evaluations import evaluation_of
from fedrisk.analysis.past_studies import study_before
from fedrisk.errors import ConfigError, EnvelopeError
from fedrisk.models.anchors import Anchor, anchor_of_card
from fedrisk.models.scorecard import Scorecard
from fedrisk.recipes.scorecard.settings import ScorecardSettings
from fedrisk.releases.record import ReleaseRecord


def anchor_of(record: ReleaseRecord, *, elsewhere: bool = False) -> Anchor | None:
    """The evaluation of a record, with the study that it was of; None where there is none or it cannot be used.

    ConfigError where the record is damaged.
    """
    found = evaluation_of(record)
    if found is None or record.find("counts") is None:
        return None
    study, sums = study_before(record.study), CardSums.released(record)
    ScorecardSettings.of(study)
    anchor = Anchor(
        auc=found.auc,
        noise=found.noise,
        sampling=found.sampling,
        study=study,
        features=tuple(b.feature for b in sums.bins if b.feature.is_column),
        rows=max(sums.counts.positives + sums.counts.negatives, 0.0),
        knowledge=knowledge_of(record),
        elsewhere=elsewhere,
    )
    return anchor if anchor.usable else None


def anchors_of(records: Sequence[ReleaseRecord], prior: str | None) -> tuple[Anchor, ...]:
    """Anchors of earlier studies, in their order; of a prior's file where these give none.

    What cannot be read is left out: nothing but an expectation depends on it, and whatever a study takes from the same
    files is checked where it is taken.
    """
    found = []
    for record in records:
        try:
            found.append(anchor_of(record))
        except ConfigError:
            continue
    anchors = tuple(a for a in found if a is not None)
    if anchors or prior is None:
        return anchors
    try:
        own = _of_file(Path(prior))
    except (ConfigError, EnvelopeError, OSError, ValueError, KeyError, TypeError):
        return ()
    return () if own is None else (own,)


def _of_file(file: Path) -> Anchor | None:
    content = file.read_bytes()
    if content[:2] == b"PK":
        record = ReleaseRecord.from_bytes(content)
        record.verify()
        return anchor_of(record, elsewhere=True)
    return anchor_of_card(Scorecard.from_json(content.decode("utf-8")))
