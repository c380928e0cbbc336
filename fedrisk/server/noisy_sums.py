"""Asking for releases, from the hub's side: deals masks, relays envelopes, adds up what comes, keeps the record."""

import secrets
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.models.binning import Bins, default_bin_count, edges_from_histogram
from fedrisk.protocol.payload import Payload
from fedrisk.releases.plan import Plan
from fedrisk.releases.record import ReleasedBlock, ReleasedSums, ReleaseRecord
from fedrisk.releases.release import Release, product_label, products
from fedrisk.secure.product import Shape, deal
from fedrisk.secure.ring import to_range, to_signed
from fedrisk.server.envelope_file import RelayedBlobs
from fedrisk.server.exchange import Exchange
from fedrisk.server.roster import Roster
from fedrisk.study import BANK, NO_PRIVACY

Floats = NDArray[np.float64]


class NoisySums:
    """Releases of one attempt. record: all of them so far."""

    def __init__(self, exchange: Exchange, roster: Roster) -> None:
        self.exchange, self.roster = exchange, roster
        study, research = roster.study, roster.research_seed is not None
        self.record = ReleaseRecord(
            study=study.model_dump(mode="json"),
            study_digest=study.digest(),
            attempt=exchange.attempt,
            research=research,
            notice=NO_PRIVACY if research else None,
        )

    def ask(
        self, release: Release, begin: Mapping[str, Any], what: str, *, sample: bool = False, **context: Any
    ) -> dict[str, Floats]:
        """Totals of a release's blocks, in plain units.

        begin: by role, what goes with the first message. what: a few words for the progress line. sample: whether it is
        computed on the sample of rows. context: public things that the numbers refer to, for the record.
        """
        study = self.roster.study
        members = [*study.banks, *study.holders]
        role = {name: BANK if name in study.banks else name for name in members}
        bodies = {name: {"release": release.name, "begin": begin[role[name]]} for name in members}
        secure = products(study, release)
        envelopes = {name: RelayedBlobs() for name in members}
        if secure:
            rows = self.roster.sampled if sample else self.roster.training
            dealt = self._deal(release, bodies, rows)
            masked = self.exchange("mask", f"masked matrices for {what}", dealt)
            bodies = {name: {"release": release.name} for name in members}
            for product in secure:
                envelopes[product.left].add(product.id, masked[product.right], product.id)
                envelopes[product.right].add(product.id, masked[product.left], product.id)
        requests = {name: Payload(bodies[name], envelopes[name]) for name in members}
        return self.total(release, self.exchange("release", f"noisy {what}", requests), **context)

    def total(self, release: Release, answers: Mapping[str, Payload], **context: Any) -> dict[str, Floats]:
        """Sum of the contributors' parts of each block, read back as signed numbers in plain units, and recorded."""
        out = {}
        for block in release.blocks:
            total = np.zeros(block.shape, release.ring_of(block))
            for name in block.contributors:
                total += answers[name].array(block.name)
            signed = to_signed(total) if block.least is None else to_range(total, block.least)
            out[block.name] = signed.astype(float) / 2.0**release.scale_bits
        for block in release.blocks:
            if block.with_noise_of is not None:
                # All rows less those with a default leave those without.
                positives = out[block.with_noise_of]
                out[block.with_noise_of] = np.concatenate([positives, out.pop(block.name) - positives], 1)
        blocks = tuple(
            ReleasedBlock(
                name=b.name, left=b.left, right=b.right, total=out[b.name], variance=release.variance(b.name)
            )
            for b in release.blocks
            if b.name in out
        )
        self.keep(release, blocks, answers, **context)
        return out

    def keep(
        self,
        release: Release,
        blocks: tuple[ReleasedBlock, ...],
        answers: Mapping[str, Payload],
        about: Mapping[str, Any] | None = None,
        **context: Any,
    ) -> None:
        """Add a release to the record, with the prices that came with its answers."""
        released = ReleasedSums(
            name=release.name,
            population=release.population,
            mu=release.mu,
            blocks=blocks,
            spends=tuple(dict(a.get("spend")) for a in answers.values() if "spend" in a.body),
            about=about or {},
        )
        self.record = self.record.with_release(released, **context)

    def _deal(
        self, release: Release, bodies: Mapping[str, dict[str, Any]], rows: Mapping[str, int]
    ) -> dict[str, Payload]:
        """Correlated randomness for every product: fresh secrets to both, the correction to the left party."""
        study = self.roster.study
        dealt: dict[str, dict[str, str]] = {name: {} for name in bodies}
        corrections: dict[str, dict[str, Any]] = {name: {} for name in bodies}
        for product in products(study, release):
            left, right = secrets.token_bytes(32), secrets.token_bytes(32)
            columns, ring = release.columns_of(product), release.ring_of(release.block(product.block))
            shape = Shape(rows[product.bank_list], columns[0], columns[1], ring)
            label = product_label(study.digest(), self.exchange.attempt, release, product)
            dealt[product.left][product.id] = left.hex()
            dealt[product.right][product.id] = right.hex()
            corrections[product.left][product.id] = deal(left, right, label, shape)
        return {name: Payload({**bodies[name], "secrets": dealt[name]}, corrections[name]) for name in bodies}


def send_order(sums: NoisySums, plan: Plan, what: str = "order of rows") -> dict[str, Payload]:
    """The order of rows and the features of all roles go out; answers with edge histograms, where the plan has any."""
    roster, study = sums.roster, sums.roster.study
    body = {
        "features": [vars(f) for f in plan.features],
        "training": sum(roster.training.values()),
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
    return sums.exchange("edges", what, order)


def find_bins(sums: NoisySums, plan: Plan, mu_counts: float) -> list[Bins]:
    """The order goes out, noisy histograms come back; bins of all features.

    mu_counts: price of the label counts, by which the number of bins is chosen.
    """
    roster, study = sums.roster, sums.roster.study
    answers = send_order(sums, plan, "order of rows, noisy edge histograms")
    release = plan.release("edges") if plan.prepared("edges") else None
    histograms: dict[str, Floats] = {} if release is None else sums.total(release, answers)
    training = sum(roster.training.values())
    count = study.bins.count or default_bin_count(training, mu_counts, len(plan.features))
    bins, place = [], dict.fromkeys(histograms, 0)
    for f in plan.features:
        if release is None or not f.private_edges:
            bins.append(Bins.public(f))
            continue
        cells = histograms[f.institution][place[f.institution]]
        place[f.institution] += 1
        wanted = f.bin_count or count
        bins.append(Bins(f, edges=edges_from_histogram(cells, f, release.variance(f.institution), wanted)))
    return bins
