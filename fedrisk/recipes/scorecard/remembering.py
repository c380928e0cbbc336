"""What hub and members alike do with what is known beforehand: bins are taken over; how a study states it."""

from collections.abc import Sequence

from fedrisk.data.features import Feature
from fedrisk.models.knowledge import Knowledge, PastStudy
from fedrisk.models.knowledge_file import digest_of
from fedrisk.recipes.scorecard.settings import Known, KnownPrior, Predecessor

PART = "knowledge"
"""Part of the common view by which members are told what is known beforehand."""


def taken_over(features: Sequence[Feature], memory: Sequence[PastStudy]) -> tuple[Feature, ...]:
    """Columns whose edges would come from a noisy histogram, with those that the newest fitting study has.

    It fits where institution, name, kind, bounds, grid and special codes are the same, and missing values have a bin in
    both or in neither. Edges that were released once are public: nothing is released for them again, and counts fall in
    the same bins.
    """
    newest: dict[tuple[object, ...], tuple[float, ...]] = {}
    for past in memory:
        newest |= {_column(b.feature): b.edges for b in past.bins if b.feature.kind == "number"}
    return tuple(
        f.with_bins(newest[_column(f)]) if f.private_edges and _column(f) in newest else f for f in features
    )


def stated(known: Knowledge) -> Known:
    """Knowledge as a study states it."""
    return Known(
        digest=digest_of(known) if known else None,
        memory=tuple(
            Predecessor(
                study=past.study,
                attempt=past.attempt,
                ended=past.ended,
                record=past.digest,
                members=past.members,
            )
            for past in known.memory
        ),
        prior=None
        if known.prior is None
        else KnownPrior(source=known.prior.source, digest=known.prior.digest or None),
    )


def _column(feature: Feature) -> tuple[object, ...]:
    f = feature
    codes = tuple(code for code, _ in f.special)
    return f.institution, f.column, f.kind, f.low, f.high, f.grid, codes, f.missing
