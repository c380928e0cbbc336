"""The scorecard recipe, from the hub's side: two releases of noisy sums, then arithmetic.

Exchanges: describe, (blind, evaluate, pseudonyms), edges, mask and release of the label counts, mask and
release of the Gram matrix (or of a second count where positives are few), score, deliver. Everything between
is computed from released numbers alone and could be redone at no further cost in privacy.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.errors import DataError
from fedrisk.models.binning import Bins, default_bin_count, edges_from_histogram
from fedrisk.models.estimator import (
    LabelCounts,
    combine_counts,
    few_positives,
    fit_curves,
    fit_weights,
    radii,
    shape_bases,
    stronger_half,
)
from fedrisk.models.plan import (
    Release,
    budget,
    check_16_bits,
    counts_release,
    edges_release,
    evaluation_release,
    gram_release,
    own_pairs,
    product_label,
    products,
)
from fedrisk.models.scorecard import Scorecard
from fedrisk.protocol import Payload
from fedrisk.secure.product import Shape, deal
from fedrisk.secure.ring import to_range, to_signed
from fedrisk.server.envelope_file import Relayed
from fedrisk.server.exchange import Exchange
from fedrisk.server.roster import Roster
from fedrisk.study import BANK, NO_PRIVACY

Floats = NDArray[np.float64]
BANDS = 10


@dataclass
class Released:
    """What the scorecard recipe leaves at the hub.

    card: the scorecard. evaluation: noisy (score bins, 2) counts by bank or for all (``"bank"``), with the
    variance of each number; exact ones by score in a research run. figures: what banks tell of their own models,
    in research runs only. spends: prices by release.
    """

    card: Scorecard
    branch: str
    spends: list[dict[str, Any]]
    evaluation: dict[str, tuple[Floats, Floats, Floats]] = field(default_factory=dict)
    variance: float = 0.0
    figures: dict[str, dict[str, float | None]] = field(default_factory=dict)


def fit_scorecard(exchange: Exchange, roster: Roster) -> Released:
    """Run the recipe on an aligned study; raises PeerError where an institution refuses or is lost."""
    study, features = roster.study, roster.features
    ask = Sums(exchange, roster)
    edges = edges_release(study, features)
    mus = budget(study, edges=edges is not None)
    bins = find_bins(ask, edges, mus["counts"])

    sizes = {role: [b.size for b in bins if b.feature.institution == role] for role in study.roles}
    rows = sum(roster.training.values())
    release = counts_release(study, sizes, mus["counts"], whole=roster.whole, rows=rows)
    begin = {
        role: {
            "bins": [b.to_dict() for b in bins if b.feature.institution == role],
            "sizes": sizes,
            "whole": roster.whole,
        }
        for role in study.roles
    }
    counts = _label_counts(ask(release, begin, "label counts"), release, sizes)
    _check_rings(release, counts, sizes, rows)
    curves = fit_curves(counts, bins)

    owner = [b.feature.institution for b in bins]
    if few_positives(counts.positives, len(bins)):
        chosen = stronger_half(curves)
        counts = _count_again(ask, counts, sizes, owner, chosen, mus["gram"])
        curves = fit_curves(counts, bins)
        card = Scorecard.from_weights(study.name, bins, curves.curve, counts, curves)
        branch = "recount"
    else:
        bases = shape_bases(curves)
        gram, variance = _gram(ask, bases, radii(bases, curves, owner), owner, mus["gram"])
        # The matrix of a sample stands for that of all training rows. Counts carry the selection weights and the
        # matrix does not: bring it to their scale, which is exact for constant weights, else an approximation.
        share = (curves.total if roster.weighted else rows) / sum(roster.sampled.values())
        gram, variance = gram * share, variance * share**2
        weights = fit_weights(bases, counts, curves, gram, variance)
        card = Scorecard.from_weights(study.name, bins, weights, counts, curves, bases=bases, gram=gram)
        branch = "gram"
    if roster.research_seed is not None:
        card = replace(card, notice=NO_PRIVACY)
    released = Released(card=card, branch=branch, spends=ask.spends)
    _score(exchange, roster, released)
    return released


class Sums:
    """Asks for releases: deals masks, relays envelopes, adds up what comes."""

    def __init__(self, exchange: Exchange, roster: Roster) -> None:
        self.exchange, self.roster = exchange, roster
        self.spends: list[dict[str, Any]] = []

    def __call__(self, release: Release, begin: Mapping[str, Any], what: str) -> dict[str, Floats]:
        """Totals of a release's blocks, in plain units; ``begin`` by role goes with the first message."""
        study = self.roster.study
        parties = [*study.banks, *study.holders]
        role = {name: BANK if name in study.banks else name for name in parties}
        bodies = {name: {"release": release.name, "begin": begin[role[name]]} for name in parties}
        secure = products(study, release)
        envelopes = {name: Relayed() for name in parties}
        if secure:
            masked = self.exchange("mask", f"masked matrices for {what}", self._deal(release, bodies))
            bodies = {name: {"release": release.name} for name in parties}
            for product in secure:
                envelopes[product.left].add(product.id, masked[product.right], product.id)
                envelopes[product.right].add(product.id, masked[product.left], product.id)
        answers = self.exchange(
            "release", f"noisy {what}", {name: Payload(bodies[name], envelopes[name]) for name in parties}
        )
        return self.total(release, answers)

    def total(self, release: Release, answers: Mapping[str, Payload]) -> dict[str, Floats]:
        """Sum of the contributors' parts of each block, read back as signed numbers in plain units."""
        self.spends += [dict(a.get("spend")) for a in answers.values() if "spend" in a.body]
        out = {}
        for block in release.blocks:
            total = np.zeros(block.shape, release.ring_of(block))
            for name in block.contributors:
                total += answers[name].array(block.name)
            signed = to_signed(total) if block.least is None else to_range(total, block.least)
            out[block.name] = signed.astype(float) / 2.0**release.scale_bits
        for block in release.blocks:
            if block.with_noise_of is not None:  # all rows less those with a default leave those without
                positives = out[block.with_noise_of]
                out[block.with_noise_of] = np.concatenate([positives, out.pop(block.name) - positives], 1)
        return out

    def _deal(self, release: Release, bodies: Mapping[str, dict[str, Any]]) -> dict[str, Payload]:
        """Correlated randomness for every product: fresh secrets to both, the correction to the left party."""
        study = self.roster.study
        dealt: dict[str, dict[str, str]] = {name: {} for name in bodies}
        corrections: dict[str, dict[str, Any]] = {name: {} for name in bodies}
        rows = self.roster.sampled if release.name == "gram" else self.roster.training
        for product in products(study, release):
            left, right = secrets.token_bytes(32), secrets.token_bytes(32)
            columns, ring = release.columns_of(product), release.ring_of(release.block(product.block))
            shape = Shape(rows[product.bank_list], columns[0], columns[1], ring)
            label = product_label(study.digest(), self.exchange.attempt, release, product)
            dealt[product.left][product.id] = left.hex()
            dealt[product.right][product.id] = right.hex()
            corrections[product.left][product.id] = deal(left, right, label, shape)
        return {name: Payload({**bodies[name], "secrets": dealt[name]}, corrections[name]) for name in bodies}


def find_bins(ask: Sums, release: Release | None, mu_counts: float) -> list[Bins]:
    """The order goes out, noisy histograms come back; bins of all features."""
    roster, study = ask.roster, ask.roster.study
    training = sum(roster.training.values())
    body = {
        "features": [vars(f) for f in roster.features],
        "training": training,
        "sampled": sum(roster.sampled.values()),
    }
    order: dict[str, Payload] = {}
    flags: dict[str, Any] = {f"use:{bank}": rows.use for bank, rows in roster.lists.items()}
    flags |= {f"sample:{b}": rows.sample for b, rows in roster.lists.items() if rows.sample is not None}
    for bank, rows in roster.lists.items():
        own = {name: array for name, array in flags.items() if name.partition(":")[2] == bank}
        order[bank] = Payload(body, {f"rows:{bank}": rows.rows, **own})
    for holder in (h for h in study.holders if h not in order):
        places = {f"rows:{bank}": rows.holders[holder] for bank, rows in roster.lists.items()}
        order[holder] = Payload(body, {**places, **flags})
    answers = ask.exchange("edges", "order of rows, noisy edge histograms", order)
    histograms: dict[str, Floats] = {} if release is None else ask.total(release, answers)
    count = study.bins.count or default_bin_count(training, mu_counts, len(roster.features))
    bins, place = [], dict.fromkeys(histograms, 0)
    for f in roster.features:
        if release is None or not f.private_edges:
            bins.append(Bins.public(f))
            continue
        cells = histograms[f.institution][place[f.institution]]
        place[f.institution] += 1
        wanted = f.bin_count or count
        bins.append(Bins(f, edges=edges_from_histogram(cells, f, release.variance(f.institution), wanted)))
    return bins


def _label_counts(
    totals: Mapping[str, Floats], release: Release, sizes: Mapping[str, Sequence[int]]
) -> LabelCounts:
    n1: list[Floats] = []
    n0: list[Floats] = []
    variance: list[float] = []
    for role, widths in sizes.items():
        if not widths:
            continue
        for part in np.split(totals[role], np.cumsum(widths)[:-1]):
            n1.append(part[:, 0])
            n0.append(part[:, 1])
            variance.append(release.variance(role))
    return LabelCounts(tuple(n1), tuple(n0), np.array(variance))


def _check_rings(
    release: Release, counts: LabelCounts, sizes: Mapping[str, Sequence[int]], rows: int
) -> None:
    """Whether there are few enough defaults for the rings of holders' counts, by the banks' own counts."""
    banks = [(float(n1.sum()), len(n1)) for n1 in counts.n1[: len(sizes.get(BANK, ()))]]
    if not banks:
        return
    bins = [size for _, size in banks]
    variance = release.variance(BANK) * sum(bins) / len(bins) ** 2
    check_16_bits(release, rows, sum(total for total, _ in banks) / len(bins), variance)


def _count_again(
    ask: Sums,
    counts: LabelCounts,
    sizes: Mapping[str, list[int]],
    owner: Sequence[str],
    chosen: Sequence[int],
    mu: float,
) -> LabelCounts:
    """Few positives: the rest of the budget buys a second count of the stronger features."""
    study = ask.roster.study
    first = {role: owner.index(role) if role in owner else 0 for role in study.roles}
    by_role = {role: sorted(j - first[role] for j in chosen if owner[j] == role) for role in study.roles}
    picked = {role: [sizes[role][j] for j in by_role[role]] for role in study.roles}
    whole, rows = ask.roster.whole, sum(ask.roster.training.values())
    release = counts_release(study, picked, mu, "recount", whole=whole, rows=rows)
    again = _label_counts(
        ask(release, {r: {"chosen": by_role} for r in study.roles}, "counts again"), release, picked
    )
    _check_rings(release, again, picked, rows)
    order = [first[role] + j for role in study.roles for j in by_role[role]]
    return combine_counts(counts, again, order)


def _gram(
    ask: Sums, bases: Sequence[Floats], radius: Mapping[str, float], owner: Sequence[str], mu: float
) -> tuple[Floats, Floats]:
    """(M, M) noisy Gram matrix of all shape columns and the variance of its entries."""
    study = ask.roster.study
    column_feature = [j for j, b in enumerate(bases) for _ in range(b.shape[1])]
    column_owner = np.array([owner[j] for j in column_feature])
    owners = {r: [j for j in column_feature if owner[j] == r] for r in study.roles if r in owner}
    bounded = {r: max(float(radius[r]), 1e-3) for r in owners}
    release = gram_release(study, owners, bounded, sum(ask.roster.sampled.values()), mu)
    begin = {
        r: {
            "bases": [b.tolist() for b, o in zip(bases, owner, strict=True) if o == r],
            "owners": owners,
            "radii": bounded,
        }
        for r in study.roles
    }
    totals = ask(release, begin, "Gram matrix")
    gram = np.zeros((len(column_feature),) * 2)
    variance = np.zeros_like(gram)
    for block in release.blocks:
        rows, columns = (
            np.flatnonzero(column_owner == block.left),
            np.flatnonzero(column_owner == block.right),
        )
        value = totals[block.name]
        noise = np.full(value.shape, release.variance(block.name))
        upper: tuple[Any, ...]
        lower: tuple[Any, ...]
        if block.left == block.right:
            i, j = own_pairs(owners[block.left])
            upper, lower = (rows[list(i)], rows[list(j)]), (rows[list(j)], rows[list(i)])
        else:
            upper, lower = np.ix_(rows, columns), np.ix_(columns, rows)
        gram[upper], gram[lower] = value, value.T
        variance[upper], variance[lower] = noise, noise.T
    return gram, variance


def _score(exchange: Exchange, roster: Roster, released: Released) -> None:
    """Points to the holders, sealed sums to the banks, the evaluation histogram back."""
    study, card = roster.study, released.card
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
        envelopes = Relayed()
        for holder in study.holders:
            envelopes.add(holder, partial[holder], bank)
        requests[bank] = Payload(body, envelopes)
    answers = exchange("deliver", "scores, evaluation histogram", requests)
    if not evaluate:
        return
    if roster.research_seed is not None and evaluate:
        for bank, answer in answers.items():
            released.spends.append(dict(answer.get("spend")))
            n1, n0 = answer.array("positives"), answer.array("negatives")
            scores = int(answer.get("first")) + np.arange(len(n1))
            # In order of rising risk, as the noisy histogram is.
            released.evaluation[bank] = (
                n1[::-1].astype(float),
                n0[::-1].astype(float),
                card.probability(scores[::-1]),
            )
            released.figures[bank] = dict(answer.get("figures"))
    else:
        release = evaluation_release(study, len(edges) + 1)
        sums = Sums(exchange, roster)
        totals = sums.total(release, answers)
        released.spends.extend(sums.spends)
        probability = card.bin_probabilities(edges)
        released.evaluation = {name: (t[:, 0], t[:, 1], probability) for name, t in totals.items()}
        released.variance = release.variance(release.blocks[0].name)


def check_overlap(roster: Roster) -> None:
    """DataError where a holder shares no enterprise with any bank, or a bank has no training rows."""
    for bank, rows in roster.training.items():
        if not rows:
            raise DataError(f"{bank} has no training rows after alignment; nothing was released")
    for holder in roster.study.holders:
        if holder in roster.lists:  # it trains on rows of its own
            continue
        if not any((rows.holders[holder] >= 0).any() for rows in roster.lists.values()):
            raise DataError(
                f"{holder} has no enterprise in common with any bank; compare the id schemes of their "
                "dictionaries. Nothing was released"
            )
