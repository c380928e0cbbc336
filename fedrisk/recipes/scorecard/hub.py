"""The scorecard recipe at the hub: two releases of noisy sums, then arithmetic.

Exchanges: describe, (blind, evaluate, pseudonyms), edges, mask and release of the label counts, mask and release of the
Gram matrix (or of a second count where positives are few), mask and release of pairs where the study asks for them,
score, calibrate, deliver. Everything between is computed from released numbers alone, and told to all members, who
compute it as well and refuse what does not follow.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from fedrisk.analysis.card_sums import CardSums, combine_recount, knowledge_context, label_counts, sizes_of
from fedrisk.analysis.past_studies import KEPT
from fedrisk.findings import Finding
from fedrisk.models.knowledge import Knowledge
from fedrisk.models.knowledge_file import to_bytes
from fedrisk.models.label_counts import LabelCounts
from fedrisk.models.scorecard import Scorecard
from fedrisk.protocol.actions import WARN
from fedrisk.protocol.payload import Payload
from fedrisk.protocol.statements import evaluated
from fedrisk.recipes.bins import drowned_edges, find_bins
from fedrisk.recipes.scorecard.brought import brought
from fedrisk.recipes.scorecard.evaluation_bins import evaluation_edges
from fedrisk.recipes.scorecard.expectation import GainSizes, expected_gain
from fedrisk.recipes.scorecard.fitting import (
    Facts,
    Second,
    calibrate,
    card_bins,
    card_of,
    second_release,
    sums_from,
)
from fedrisk.recipes.scorecard.forms import CALIBRATION_BINS, check_16_bits
from fedrisk.recipes.scorecard.pairing import (
    GRAM,
    PAIRS,
    RECORD_VERSION,
    Designs,
    pair_designs,
    paired,
    pairs_release,
    said_of_pairs,
)
from fedrisk.recipes.scorecard.plan import gain_sizes
from fedrisk.recipes.scorecard.remembering import PART
from fedrisk.recipes.scorecard.themes import said_of, score_sums
from fedrisk.recipes.scorecard.verdict import verdict
from fedrisk.recipes.scorecard.warning_hub import PATIENCE, tell_totals
from fedrisk.releases.plan import Plan
from fedrisk.releases.record import ReleasedSums
from fedrisk.releases.release import Release
from fedrisk.server.envelope_file import RelayedBlobs
from fedrisk.server.evaluation import take_evaluation
from fedrisk.server.late_warnings import unconfirmed
from fedrisk.server.noisy_sums import NoisySums, blobs_of, release_edges
from fedrisk.server.outcome import HubSession, Outcome
from fedrisk.server.roster import Roster
from fedrisk.server.summary import pooled
from fedrisk.study import NO_PRIVACY
from fedrisk.study_members import BANK


def fit(session: HubSession, plan: Plan) -> Outcome:
    """Run the recipe on an aligned study; PeerError where an institution refuses or is lost."""
    roster, tell = session.roster, session.exchange.tell
    sums, facts = NoisySums(session.exchange, roster), facts_of(roster, plan, session.known)
    sums.record = replace(sums.record, context={KEPT: True, **knowledge_context(facts.known)})
    if facts.known:
        tell(PART, {}, {"file": np.frombuffer(to_bytes(facts.known), np.uint8)})
    edges = release_edges(sums, plan)
    columns = find_bins(roster.study, plan, edges, facts.labelled, plan.mu("counts"))
    tell("bins", {"bins": [b.to_dict() for b in columns]}, blobs_of(edges))
    bins = card_bins(columns)
    first = facts.counts(bins)
    released = sums.ask(first, "label counts", about={"bins": [b.to_dict() for b in bins]})
    counts = label_counts(released, sizes_of(bins, roster.study.roles))
    _check_rings(first, counts, sizes_of(bins, roster.study.roles), facts.training)
    second = second_release(facts, bins, counts, facts.curves(bins, counts))
    tell("counts", _told_second(second), blobs_of(released))
    again = _ask_second(sums, second, bins_sizes=sizes_of(bins, roster.study.roles), rows=facts.training)
    sums_all = sums_from(facts, bins, counts, second, again)
    designs, pairs = _ask_pairs(sums, facts, second, sums_all, again)
    card = paired(card_of(roster.study.name, sums_all), designs, pairs)
    if roster.research_seed is not None:
        card = replace(card, notice=NO_PRIVACY)
    told = pairs if facts.asks_pairs(gram=second.chosen is None) else again
    tell("card", {"scorecard": card.to_json()}, blobs_of(told))
    partial = _scored(sums)
    card = _calibrated(sums, plan, card, partial)
    outcome = Outcome(
        record=sums.record,
        card=card,
        second_release=second.release.name,
        findings=(
            *plan.findings,
            *drowned_edges(plan, edges),
            *_themes(roster, plan),
            *said_of_pairs(roster.study, card, pairs, gram=second.chosen is None, binary=facts.binary),
        ),
    )
    nothing: tuple[Finding, ...] = ()
    # Earlier studies are remembered with both of their counts, so this one is held against them with both of its own.
    own = counts if second.chosen is None else combine_recount(counts, again, bins, second.chosen)
    found = session.optional("memory", lambda: brought(facts, bins, own), nothing, outcome)
    outcome.findings = (*outcome.findings, *found)
    session.so_far(outcome)
    _deliver(sums, plan, outcome, card, partial)
    outcome.record = sums.record
    asks = roster.study.warning is not None and roster.research_seed is None
    if asks and evaluated(roster.study, roster.statements):
        without = unconfirmed(roster.study.banks)
        outcome.findings += session.optional(WARN, lambda: _warned(sums), without, outcome)
    _judge(session, plan, outcome, card, facts, recount=second.chosen is not None)
    return outcome


def _warned(sums: NoisySums) -> tuple[Finding, ...]:
    """The threshold to the banks, which confirm to each other from what; whoever has none is a finding."""
    banks = sums.roster.study.banks

    def ask(told: Payload) -> Mapping[str, Payload]:
        return sums.exchange.afterwards(WARN, timeout=PATIENCE, told=told, only=banks)

    return unconfirmed(tell_totals(ask, sums.record, banks))


def _judge(
    session: HubSession, plan: Plan, outcome: Outcome, card: Scorecard, facts: Facts, *, recount: bool
) -> None:
    """What was to be expected and whether the card is worth using; results are whole without it."""
    roster = session.roster
    rows = sum(roster.labelled_holdout.values())

    def sizes() -> GainSizes:
        return gain_sizes(roster.study, plan, card.rate * facts.labelled, card.rate * rows)

    outcome.expectation = session.optional("expectation", lambda: expected_gain(sizes())[0], None, outcome)
    outcome.verdict = session.optional(
        "verdict",
        lambda: verdict(
            card,
            sizes(),
            rows=rows,
            recount=recount,
            histogram=pooled(outcome.evaluation),
            variance=outcome.pooled_variance,
        ),
        (),
        outcome,
    )


def _themes(roster: Roster, plan: Plan) -> tuple[Finding, ...]:
    """Which sums of points banks were given, where the study asks for more than one."""
    return said_of(roster.study, score_sums(roster.study, plan.features, roster.statements))


def facts_of(roster: Roster, plan: Plan, known: Knowledge) -> Facts:
    """Public facts of the aligned study."""
    training, sampled, labelled = (
        sum(counts.values()) for counts in (roster.training, roster.sampled, roster.labelled)
    )
    return Facts.of(roster.study, plan, roster.statements, training, sampled, labelled, known)


def _told_second(second: Second) -> dict[str, object]:
    """What members are told of the second release, besides the totals that it follows from."""
    if second.chosen is not None:
        return {"chosen": second.chosen}
    return {"bases": [b.tolist() for b in second.bases], "radii": second.radii}


def _ask_second(
    sums: NoisySums, second: Second, bins_sizes: Mapping[str, Sequence[int]], rows: int
) -> ReleasedSums:
    """Release the Gram matrix, or the second count."""
    if second.chosen is None:
        return sums.ask(second.release, "Gram matrix", sample=True, about=second.about)
    released = sums.ask(second.release, "counts again", about=second.about)
    picked = {role: [bins_sizes[role][j] for j in own] for role, own in second.chosen.items()}
    _check_rings(second.release, label_counts(released, picked), picked, rows)
    return released


def _ask_pairs(
    sums: NoisySums, facts: Facts, second: Second, fitted: CardSums, again: ReleasedSums
) -> tuple[Designs, ReleasedSums | None]:
    """Tell the Gram matrix and release what pairs of columns say, where the study asks for it and there are any."""
    if not facts.asks_pairs(gram=second.chosen is None):
        return {}, None
    sums.exchange.tell(GRAM, {}, blobs_of(again))
    designs = pair_designs(fitted)
    if not designs:
        return {}, None
    release = pairs_release(facts.study, designs, facts.plan.mu(PAIRS))
    about = {"pairs": {role: len(design.places) for role, design in designs.items()}}
    released = sums.ask(release, "pairs of columns", about=about)
    # Older programs would fit a card without pairs to it.
    sums.record = replace(sums.record, version=RECORD_VERSION)
    return designs, released


def _check_rings(
    release: Release, counts: LabelCounts, sizes: Mapping[str, Sequence[int]], rows: int
) -> None:
    """Whether there are few enough defaults for the rings of holders' counts, by the banks' counts."""
    banks = [(float(n1.sum()), len(n1)) for n1 in counts.n1[: len(sizes.get(BANK, ()))]]
    if not banks:
        return
    bins = [size for _, size in banks]
    variance = release.variance(BANK) * sum(bins) / len(bins) ** 2
    check_16_bits(release, rows, sum(total for total, _ in banks) / len(bins), variance)


def _scored(sums: NoisySums) -> dict[str, Payload]:
    """The card to the holders, their sealed sums of points back."""
    holders = sums.roster.study.holders
    if not holders:
        return {}
    return sums.exchange("score", "partial scores under masks", dict.fromkeys(holders, Payload()))


def _calibrated(sums: NoisySums, plan: Plan, card: Scorecard, partial: Mapping[str, Payload]) -> Scorecard:
    """Sealed sums to the banks, the calibration histogram back; the card that follows is told."""
    study, requests = sums.roster.study, {}
    for bank in study.banks:
        envelopes = RelayedBlobs()
        for holder in study.holders:
            envelopes.add(holder, partial[holder], bank)
        requests[bank] = Payload({}, envelopes)
    answers = sums.exchange("calibrate", "scores, noisy calibration histogram", requests)
    edges = card.calibration_bins(CALIBRATION_BINS)
    released = sums.total(
        plan.release("calibration"), {**partial, **answers}, {"score_edges": edges.tolist()}
    )
    card = calibrate(card, released)
    sums.exchange.tell("calibration", {"scorecard": card.to_json()}, blobs_of(released))
    return card


def _deliver(
    sums: NoisySums, plan: Plan, outcome: Outcome, card: Scorecard, partial: Mapping[str, Payload]
) -> None:
    """The calibrated card to the banks, the evaluation histogram back."""
    exchange, roster = sums.exchange, sums.roster
    study = roster.study
    answers = exchange("deliver", "card, evaluation histogram", dict.fromkeys(study.banks, Payload()))
    if not evaluated(study, roster.statements):
        return
    edges = evaluation_edges(study, card)
    take_evaluation(
        sums,
        plan,
        answers,
        outcome,
        charged=partial,
        probability=card.bin_probabilities(edges),
        inner=card.probability(edges)[::-1],
        about={"score_edges": edges.tolist()},
        # A high score is a low risk.
        exact=lambda n1, n0, scores: (
            n1[::-1].astype(float),
            n0[::-1].astype(float),
            card.probability(scores[::-1]),
        ),
    )
