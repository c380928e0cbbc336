"""The scorecard recipe at the hub: two releases of noisy sums, then arithmetic.

Exchanges: describe, (blind, evaluate, pseudonyms), edges, mask and release of the label counts, mask and release of the
Gram matrix (or of a second count where positives are few), score, deliver. Everything between is computed from released
numbers alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from fedrisk.models.binning import Bins
from fedrisk.models.estimator import LabelCounts, few_positives, fit_curves, radii, shape_bases, stronger_half
from fedrisk.models.scorecard import Scorecard
from fedrisk.protocol.payload import Payload
from fedrisk.recipes.scorecard.fitting import (
    GramMatrix,
    combine_recount,
    fit_card,
    gram_matrix,
    label_counts,
    sizes_of,
)
from fedrisk.recipes.scorecard.forms import check_16_bits, counts_release, gram_release
from fedrisk.recipes.scorecard.plan import expected_gain
from fedrisk.releases.plan import Plan
from fedrisk.releases.release import Release
from fedrisk.server.envelope_file import RelayedBlobs
from fedrisk.server.evaluation import take_evaluation
from fedrisk.server.noisy_sums import NoisySums, find_bins
from fedrisk.server.outcome import HubSession, Outcome
from fedrisk.study import BANK, NO_PRIVACY

BANDS = 10


def fit(session: HubSession, plan: Plan) -> Outcome:
    """Run the recipe on an aligned study; PeerError where an institution refuses or is lost."""
    roster = session.roster
    study, rows = roster.study, sum(roster.training.values())
    sums = NoisySums(session.exchange, roster)
    bins = find_bins(sums, plan, plan.mu("counts"))
    counts = _count(sums, plan, bins)
    curves = fit_curves(counts, bins)
    second: GramMatrix | None = None
    if few_positives(counts.positives, len(bins)):
        counts = _count_again(sums, plan, bins, counts, stronger_half(curves))
        curves = fit_curves(counts, bins)
    else:
        bases, owner = shape_bases(curves), [b.feature.institution for b in bins]
        # The matrix of a sample is for that of all training rows. Counts carry the selection weights and the matrix
        # does not: bring it to their scale, which is exact for constant weights, else an approximation.
        share = (curves.total if roster.weighted else rows) / sum(roster.sampled.values())
        _release_gram(sums, plan, bases, radii(bases, curves, owner), owner, share)
        second = gram_matrix(sums.record.release("gram"), bases, owner, share)
    card = fit_card(study.name, bins, counts, curves, second)
    if roster.research_seed is not None:
        card = replace(card, notice=NO_PRIVACY)
    outcome = Outcome(
        record=sums.record,
        card=card,
        second_release="recount" if second is None else "gram",
        expectation=expected_gain(card.rate * rows, plan.mu("counts"), len(plan.features)),
    )
    _deliver(sums, plan, outcome, card)
    outcome.record = sums.record
    return outcome


def _count(sums: NoisySums, plan: Plan, bins: Sequence[Bins]) -> LabelCounts:
    """Release the label counts per bin."""
    roster, study = sums.roster, sums.roster.study
    sizes, rows = sizes_of(bins, study.roles), sum(roster.training.values())
    release = counts_release(study, sizes, plan.mu("counts"), binary_labels=roster.binary_labels, rows=rows)
    begin = {
        role: {
            "bins": [b.to_dict() for b in bins if b.feature.institution == role],
            "sizes": sizes,
            "binary_labels": roster.binary_labels,
        }
        for role in study.roles
    }
    sums.ask(release, begin, "label counts", about={"bins": [b.to_dict() for b in bins]})
    counts = label_counts(sums.record.release("counts"), sizes)
    _check_rings(release, counts, sizes, rows)
    return counts


def _count_again(
    sums: NoisySums, plan: Plan, bins: Sequence[Bins], counts: LabelCounts, strong: Sequence[int]
) -> LabelCounts:
    """Few positives: the rest of the budget buys a second count of the stronger features."""
    roster, study = sums.roster, sums.roster.study
    owner, sizes = [b.feature.institution for b in bins], sizes_of(bins, study.roles)
    first = {role: owner.index(role) if role in owner else 0 for role in study.roles}
    chosen = {role: sorted(j - first[role] for j in strong if owner[j] == role) for role in study.roles}
    picked = {role: [sizes[role][j] for j in chosen[role]] for role in study.roles}
    rows = sum(roster.training.values())
    release = counts_release(
        study, picked, plan.mu("recount"), "recount", binary_labels=roster.binary_labels, rows=rows
    )
    begin = {role: {"chosen": chosen} for role in study.roles}
    sums.ask(release, begin, "counts again", about={"chosen": chosen})
    released = sums.record.release("recount")
    _check_rings(release, label_counts(released, picked), picked, rows)
    return combine_recount(counts, released, bins, chosen)


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


def _release_gram(
    sums: NoisySums,
    plan: Plan,
    bases: Sequence[np.ndarray],
    radius: Mapping[str, float],
    owner: Sequence[str],
    share: float,
) -> None:
    """Release the Gram matrix of all shape columns."""
    roster, study = sums.roster, sums.roster.study
    column_feature = [j for j, b in enumerate(bases) for _ in range(b.shape[1])]
    owners = {r: [j for j in column_feature if owner[j] == r] for r in study.roles if r in owner}
    bounded = {r: max(float(radius[r]), 1e-3) for r in owners}
    release = gram_release(study, owners, bounded, sum(roster.sampled.values()), plan.mu("gram"))
    begin = {
        r: {
            "bases": [b.tolist() for b, o in zip(bases, owner, strict=True) if o == r],
            "owners": owners,
            "radii": bounded,
        }
        for r in study.roles
    }
    sums.ask(release, begin, "Gram matrix", sample=True, about={"share": share, "radii": bounded})


def _deliver(sums: NoisySums, plan: Plan, outcome: Outcome, card: Scorecard) -> None:
    """Points to the holders, sealed sums to the banks, the evaluation histogram back."""
    exchange, roster = sums.exchange, sums.roster
    study = roster.study
    partial: dict[str, Payload] = {}
    if study.holders:
        requests = {}
        for holder in study.holders:
            own = card.features_of(holder)
            bands = {"edges": card.band_edges(holder, BANDS), "points": card.band_points(holder, BANDS)}
            requests[holder] = Payload({"points": [card.points[j] for j in own], "bands": bands})
        partial = exchange("score", "partial scores under masks", requests)
    evaluate = all(roster.agreed[bank].get("evaluation") for bank in study.banks)
    edges = card.score_bins(study.evaluation.bins)
    body = {"scorecard": card.to_json(), "score_edges": edges.tolist(), "evaluate": evaluate}
    requests = {}
    for bank in study.banks:
        envelopes = RelayedBlobs()
        for holder in study.holders:
            envelopes.add(holder, partial[holder], bank)
        requests[bank] = Payload(body, envelopes)
    answers = exchange("deliver", "scores, evaluation histogram", requests)
    if not evaluate:
        return
    take_evaluation(
        sums,
        plan.release("evaluation"),
        answers,
        outcome,
        probability=card.bin_probabilities(edges),
        about={"score_edges": edges.tolist()},
        # A high score is a low risk.
        exact=lambda n1, n0, scores: (
            n1[::-1].astype(float),
            n0[::-1].astype(float),
            card.probability(scores[::-1]),
        ),
    )
