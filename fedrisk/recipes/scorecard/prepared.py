"""What an institution works out from the totals that it was told: bins, forms of releases, the card.

By the same code as the hub (recipes/scorecard/fitting). What the hub says besides totals is taken, so that all members
have the same numbers to the last digit, but only where it is what follows here, within rounding.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, TypeVar

import numpy as np
from pydantic import Field

from fedrisk.analysis.card_sums import (
    CardSums,
    columns_of,
    combine_recount,
    gram_matrix,
    label_counts,
    sizes_of,
)
from fedrisk.analysis.past_studies import contributors
from fedrisk.clients.attempt import Attempt
from fedrisk.clients.outlet import sent_alone
from fedrisk.clients.row_order import RowOrder, own_features
from fedrisk.errors import FedriskError, ProtocolError
from fedrisk.models.binning import Bins
from fedrisk.models.curves import Curves
from fedrisk.models.knowledge import PastStudy
from fedrisk.models.label_counts import LabelCounts
from fedrisk.models.scorecard import Scorecard
from fedrisk.protocol.form import Body, Form
from fedrisk.protocol.payload import Payload
from fedrisk.recipes.bins import TOTALS, check_bins, find_bins, told_edges
from fedrisk.recipes.scorecard import matrices
from fedrisk.recipes.scorecard.edited import CardSource
from fedrisk.recipes.scorecard.fitting import (
    Facts,
    Second,
    calibrate,
    card_bins,
    card_of,
    owners_of,
    second_release,
    sums_from,
)
from fedrisk.recipes.scorecard.pairing import (
    GRAM,
    PAIRS,
    Designs,
    largest_sum,
    pair_designs,
    paired,
    pairs_release,
)
from fedrisk.recipes.scorecard.state import ScorecardState, SecondState
from fedrisk.recipes.scorecard.told_knowledge import known_of
from fedrisk.releases.record import ReleasedSums
from fedrisk.releases.release import Release
from fedrisk.releases.totals import checked_totals
from fedrisk.secure.ring import check_bound
from fedrisk.study import NO_PRIVACY
from fedrisk.study_members import BANK

Made = TypeVar("Made")


class CountsPart(Body):
    """What follows from the label counts: features to count again, or bases and radii of the Gram matrix."""

    chosen: dict[str, list[Annotated[int, Field(ge=0, le=10_000)]]] | None = None
    bases: (
        Annotated[list[list[Annotated[list[float], Field(max_length=16)]]], Field(max_length=10_000)] | None
    ) = None
    radii: dict[str, Annotated[float, Field(gt=0, le=1e6)]] | None = None


class CardPart(Body):
    """The scorecard, as JSON."""

    scorecard: Annotated[str, Field(max_length=1 << 26)]


COUNTS = Form(body=CountsPart, blobs={"*": TOTALS})
"""Form of the part ``counts``: totals of the label counts, and what follows from them."""

CARD = Form(body=CardPart, blobs={"*": TOTALS})
"""Form of the part ``card``: totals of the release before it, the second one or pairs, and the scorecard that follows,
by which rows are scored."""

GRAM_TOLD = Form(body=Body, blobs={"*": TOTALS})
"""Form of the part ``gram``: totals of the Gram matrix, where pairs are released after it."""

CALIBRATED = Form(body=CardPart, blobs={"*": TOTALS})
"""Form of the part ``calibration``: totals of the calibration histogram, and the calibrated scorecard that follows."""

_made: dict[str, object] = {}
"""What was worked out lately in this process, by view: several institutions of one process compute it once."""


def prepared(attempt: Attempt, request: Payload) -> Release:
    """The release that a request is about, in the form that follows from what was told before.

    ProtocolError where it is not the one that comes next by the totals, or where these do not fit.
    """
    name = str(request.get("release"))
    if not attempt.plan.prepared(name):
        if name == "counts":
            _prepare_counts(attempt)
        elif name == PAIRS:
            _prepare_pairs(attempt)
        else:
            _prepare_second(attempt, name)
    return attempt.plan.release(name)


def facts_of(attempt: Attempt) -> Facts:
    """Public facts of the study, as this institution knows them."""
    order = attempt.state.load(RowOrder)
    counts = order.training, order.sampled, order.labelled
    return Facts.of(attempt.study, attempt.plan, attempt.statements, *counts, known_of(attempt))


def told_counts(attempt: Attempt) -> tuple[list[Bins], LabelCounts, Curves]:
    """Bins of all features, the study's own label counts, and curves, from the totals that were told."""
    return _once(f"counts|{attempt.view_with('counts')}", lambda: _counts(attempt))


def _counts(attempt: Attempt) -> tuple[list[Bins], LabelCounts, Curves]:
    bins = [Bins.from_dict(b) for b in attempt.state.load(ScorecardState).bins]
    facts = facts_of(attempt)
    released = checked_totals(
        attempt.plan.release("counts"), attempt.told("counts").blobs, float(facts.training), signed=False
    )
    counts = label_counts(released, sizes_of(bins, attempt.study.roles))
    return bins, counts, facts.curves(bins, counts)


def keep_past(attempt: Attempt) -> None:
    """Keep what the study released, as this institution saw it, for when a later study remembers it."""
    facts, (bins, counts, _), second = facts_of(attempt), told_counts(attempt), _second(attempt)
    released, matrix = _told_second(attempt, second), None
    if second.chosen is not None:
        counts = combine_recount(counts, released, bins, second.chosen)
    else:
        owner = [b.feature.institution for b in bins]
        matrix = gram_matrix(released, second.bases, owner, second.share, second.bank_share)
    study = facts.study
    attempt.node.store.past.keep(
        PastStudy(
            study=study.name,
            digest="",
            ended="",
            attempt=attempt.state.id,
            research=attempt.research,
            bins=tuple(bins),
            counts=counts,
            bases=second.bases,
            second=matrix,
            members=contributors([{"name": m.name, "role": m.role} for m in study.institutions]),
        ),
        study.model_dump(mode="json"),
    )


def told_card(attempt: Attempt) -> Scorecard:
    """The scorecard, once it is the one that follows from all totals; ProtocolError where it is not."""
    told = attempt.told("card")
    return _once(f"card|{attempt.view_with('card')}", lambda: _card(attempt, told))


def _card(attempt: Attempt, told: Payload) -> Scorecard:
    card = _computed(lambda: Scorecard.from_json(told.get("scorecard")))
    designs, pairs = _told_pairs(attempt, told)
    own = _computed(
        lambda: paired(
            card_of(attempt.study.name, told_sums(attempt), card.points), designs, pairs, card.points
        )
    )
    if attempt.research:
        own = replace(own, notice=NO_PRIVACY)
    return _same(own, card)


def told_sums(attempt: Attempt) -> CardSums:
    """All that the card is fitted to but pairs, from the totals that were told; ProtocolError where nothing follows."""
    part = GRAM if attempt.was_told(GRAM) else "card"
    return _once(f"sums|{attempt.view_with(part)}", lambda: _sums(attempt))


def _sums(attempt: Attempt) -> CardSums:
    facts, (bins, counts, _), second = facts_of(attempt), told_counts(attempt), _second(attempt)
    return _computed(lambda: sums_from(facts, bins, counts, second, _told_second(attempt, second)))


def told_source(attempt: Attempt) -> CardSource:
    """What the card is fitted to, as this institution was told it: what edits of the card start from here.

    Holders are not told the calibration, as their points do not depend on it.
    """
    source = CardSource(
        study=attempt.study.name,
        attempt=attempt.state.id,
        sums=told_sums(attempt),
        pairs=_told_pairs(attempt, attempt.told("card"))[1],
        research=attempt.research,
        released_first=told_card(attempt),
    )
    if attempt.role != BANK:
        return source
    return replace(source, calibration=told_released_calibration(attempt), released=told_calibration(attempt))


def told_released_calibration(attempt: Attempt) -> ReleasedSums:
    """The calibration histogram as this bank was told it, (score bins, 2) by label; see :func:`told_calibration`."""
    rows, release = float(facts_of(attempt).training), attempt.plan.release("calibration")
    return checked_totals(release, attempt.told("calibration").blobs, rows, signed=False)


def told_designs(attempt: Attempt) -> Designs:
    """What release ``pairs`` is about, by role, as it follows from the totals that were told."""
    if not attempt.was_told(GRAM):
        raise ProtocolError(
            "pairs of columns were asked for before the Gram matrix was told; run the study again"
        )
    key = f"pairs|{attempt.view_with(GRAM)}"
    return _once(key, lambda: _computed(lambda: pair_designs(told_sums(attempt))))


def _told_pairs(attempt: Attempt, told: Payload) -> tuple[Designs, ReleasedSums | None]:
    """Totals of release ``pairs``, which are told with the card; none where there is none to be released."""
    _check_asked(attempt)
    designs = told_designs(attempt) if attempt.was_told(GRAM) else {}
    if not designs:
        if attempt.was_told(GRAM) and told.blobs:
            raise ProtocolError("the hub tells totals of pairs that there are not; run the study again")
        return {}, None
    largest = largest_sum(designs, facts_of(attempt).training)
    return designs, checked_totals(attempt.plan.release(PAIRS), told.blobs, largest, signed=True)


def _check_asked(attempt: Attempt) -> None:
    """ProtocolError unless pairs are released exactly where the study asks for them and its labels allow it."""
    asked = facts_of(attempt).asks_pairs(gram=not attempt.state.load(SecondState).chosen)
    if asked != attempt.was_told(GRAM):
        raise ProtocolError(
            "the hub leaves out pairs of columns that the study asks for, or asks for some that it does not; run the "
            "study again, and ask the consortium's operator"
        )


def _prepare_pairs(attempt: Attempt) -> None:
    """The form of release ``pairs``, from the Gram matrix and what was told before."""
    _check_asked(attempt)
    designs, facts = told_designs(attempt), facts_of(attempt)
    if not designs:
        raise ProtocolError("the hub asks for pairs of columns, and there are none; run the study again")
    release = pairs_release(attempt.study, designs, attempt.plan.mu(PAIRS))
    largest = max(d.radius for d in designs.values())
    _check_reach(release, facts.training, int(np.ldexp(largest, release.scale_bits)))
    attempt.state.save(attempt.plan.with_released(release))


def told_calibration(attempt: Attempt) -> Scorecard:
    """The calibrated scorecard, once it is the one that follows from all totals; ProtocolError where it is not."""
    told = attempt.told("calibration")
    return _once(f"calibration|{attempt.view}", lambda: _calibrated(attempt, told))


def _calibrated(attempt: Attempt, told: Payload) -> Scorecard:
    card = _computed(lambda: Scorecard.from_json(told.get("scorecard")))
    rows, release = float(facts_of(attempt).training), attempt.plan.release("calibration")
    released = checked_totals(release, told.blobs, rows, signed=False)
    # Nobody confirms the last part to anybody. A bank that is alone knows the totals: they are what it sent.
    if any((total != told.array(name)).any() for name, total in sent_alone(attempt, release).items()):
        raise ProtocolError(
            "the calibration histogram that the hub tells is not what this bank sent; no scores are kept. Run the "
            "study again, and ask the consortium's operator"
        )
    first = told_card(attempt)
    return _same(_computed(lambda: calibrate(first, released, card.points)), card)


def _same(own: Scorecard, card: Scorecard) -> Scorecard:
    """The card that was told, where it is the one that was worked out here."""
    if not _computed(lambda: own.same_as(card)):
        raise ProtocolError(
            "the scorecard is not the one that follows from the released numbers; nothing is scored by it. Run the "
            "study again, and ask the consortium's operator"
        )
    return card


def _told_second(attempt: Attempt, second: Second) -> ReleasedSums:
    told = attempt.told(GRAM if attempt.was_told(GRAM) else "card")
    facts, release = facts_of(attempt), attempt.plan.release(second.release.name)
    if second.chosen is not None:
        return checked_totals(release, told.blobs, float(facts.training), signed=False)
    largest = facts.sampled * sum(r * r for r in second.radii.values())
    return checked_totals(release, told.blobs, largest, signed=True)


def _prepare_counts(attempt: Attempt) -> None:
    """Bins from the edge histograms; keep the codes of the table, and complete the plan."""
    told, facts = attempt.told("bins"), facts_of(attempt)
    edges = told_edges(attempt.plan, told, facts.training)
    own = find_bins(attempt.study, attempt.plan, edges, facts.labelled, attempt.plan.mu("counts"))
    bins = card_bins(check_bins(own, told.get("bins")))
    mine = [b for b in bins if b.feature.institution == attempt.role]
    if [b.feature for b in columns_of(mine)] != own_features(attempt.plan.features, attempt.role):
        raise ProtocolError("the bins are not those of this institution's columns; run the study again")
    attempt.state.put("codes", matrices.table_codes(attempt.read().frame, mine))
    sizes = sizes_of(bins, attempt.study.roles)
    attempt.state.save(
        ScorecardState(bins=[b.to_dict() for b in bins], sizes=sizes, binary_labels=facts.binary)
    )
    release = facts.counts(bins)
    _check_reach(release, facts.training, 2**release.scale_bits)
    attempt.state.save(attempt.plan.with_released(release))


def _prepare_second(attempt: Attempt, name: str) -> None:
    """The form of the second release from the label counts; what it needs is kept, and the plan completed."""
    facts, told = facts_of(attempt), attempt.told("counts")
    second = _once(f"second|{attempt.view}", lambda: _follows(attempt, told))
    if second.release.name != name:
        raise ProtocolError(
            f"the hub asks for release {name} where {second.release.name} follows from the label counts; run the "
            "study again"
        )
    if second.chosen is not None:
        attempt.state.save(SecondState(chosen=second.chosen))
        _check_reach(second.release, facts.training, 2**second.release.scale_bits)
    else:
        owner = [b["institution"] for b in attempt.state.load(ScorecardState).bins]
        every = [b.tolist() for b in second.bases]
        attempt.state.save(
            SecondState(
                bases=every,
                own=[b for b, o in zip(every, owner, strict=True) if o == attempt.role],
                owners=owners_of(attempt.study, second.bases, owner),
                radii=second.radii,
                share=second.share,
                bank_share=second.bank_share,
                logistic=second.logistic,
            )
        )
        squares = sum(r * r for r in second.radii.values())
        _check_reach(second.release, facts.sampled, int(np.ldexp(squares, second.release.scale_bits)))
    attempt.state.save(attempt.plan.with_released(second.release))


def _follows(attempt: Attempt, told: Payload) -> Second:
    bins, counts, curves = told_counts(attempt)
    said = {k: v for k, v in told.body.items() if v is not None}
    return _computed(lambda: second_release(facts_of(attempt), bins, counts, curves, said))


def _second(attempt: Attempt) -> Second:
    """The second release as it was prepared; the card is told one exchange after it was asked for."""
    state, plan = attempt.state.load(SecondState), attempt.plan
    if state.chosen:
        return Second(release=plan.release("recount"), chosen=state.chosen)
    bases = tuple(np.asarray(b, float) for b in state.bases)
    return Second(
        release=plan.release("gram"),
        bases=bases,
        radii=state.radii,
        share=state.share,
        bank_share=state.bank_share,
        logistic=state.logistic,
    )


def _once(key: str, make: Callable[[], Made]) -> Made:
    if key not in _made:
        while len(_made) >= 8:
            del _made[next(iter(_made))]
        _made[key] = make()
    made: Made = _made[key]  # type: ignore[assignment]
    return made


def _computed(make: Callable[[], Made]) -> Made:
    """What follows from told totals; ProtocolError where nothing follows, since numbers are beyond all sense."""
    try:
        with np.errstate(all="ignore"):
            return make()
    except FedriskError:
        raise
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        raise ProtocolError(
            "nothing follows from the totals that the hub tells; nothing more is answered. Run the study again, and "
            "ask the consortium's operator"
        ) from None


def _check_reach(release: Release, rows: int, largest: int) -> None:
    """DataError where sums with all noise could leave the ring."""
    noise = 12 * max(sum(b.sigma.values()) for b in release.blocks) * 2
    check_bound(rows, 1, largest + 1, int(noise) + 1, release.ring)
