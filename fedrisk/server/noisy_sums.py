"""Asking for releases, from the hub's side: deals masks, relays envelopes, adds up what comes, keeps the record."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.protocol.groups import evaluation_releases
from fedrisk.protocol.order import SALT_BYTES, uses_digest
from fedrisk.protocol.payload import Payload, spends_in
from fedrisk.protocol.row_check import RowCheck, row_checks
from fedrisk.releases.plan import Plan
from fedrisk.releases.record import ReleasedSums, ReleaseRecord
from fedrisk.releases.release import Release, product_label, products
from fedrisk.releases.totals import combined, released_sums
from fedrisk.secure.product import Shape, deal
from fedrisk.secure.ring import to_range, to_signed
from fedrisk.server.envelope_file import RelayedBlobs
from fedrisk.server.exchange import Exchange
from fedrisk.server.roster import Roster
from fedrisk.study import NO_PRIVACY

Floats = NDArray[np.float64]


class NoisySums:
    """Releases of one attempt. record: all of them so far."""

    _shares: Mapping[str, Payload] | None = None
    """Answers with the banks' shares of the checks of rows."""

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
        self,
        release: Release,
        what: str,
        *,
        sample: bool = False,
        about: Mapping[str, Any] | None = None,
    ) -> ReleasedSums:
        """Totals of a release's blocks, in plain units, recorded.

        The members know its form by themselves, from what they were told. what: a few words for the progress line.
        sample: whether it is computed on the sample of rows. about: what gives the numbers meaning, for the record.
        """
        study = self.roster.study
        members = [*study.banks, *study.holders]
        bodies = {name: {"release": release.name} for name in members}
        secure = products(study, release)
        envelopes = {name: RelayedBlobs() for name in members}
        # Rows are checked beside the first release; the banks' shares of that go out with the second.
        checks = row_checks(study) if self._shares is None else ()
        if secure:
            rows = self.roster.sampled if sample else self.roster.training
            dealt = self._deal(release, bodies, rows, checks)
            if self._shares is not None:
                dealt = self._with_shares(dealt, self._shares)
            masked = self.exchange("mask", f"masked matrices for {what}", dealt)
            for product in secure:
                envelopes[product.left].add(product.id, masked[product.right], product.id)
                envelopes[product.right].add(product.id, masked[product.left], product.id)
            for check in checks:
                envelopes[check.holder].add(check.id, masked[check.bank], check.id)
                envelopes[check.bank].add(check.id, masked[check.holder], check.id)
        requests = {name: Payload(bodies[name], envelopes[name]) for name in members}
        answers = self.exchange("release", f"noisy {what}", requests)
        self._shares = self._shares or answers
        return self.total(release, answers, about)

    def _with_shares(self, dealt: dict[str, Payload], answers: Mapping[str, Payload]) -> dict[str, Payload]:
        """Requests to holders with the banks' shares of the checks of rows."""
        shares: dict[str, dict[str, Any]] = {name: {} for name in dealt}
        for check in row_checks(self.roster.study):
            shares[check.holder][check.checked] = answers[check.bank].raw(check.checked)
        return {name: Payload(p.body, {**p.blobs, **shares[name]}) for name, p in dealt.items()}

    def total(
        self, release: Release, answers: Mapping[str, Payload], about: Mapping[str, Any] | None = None
    ) -> ReleasedSums:
        """Sum of the contributors' parts of each block, read back as signed numbers in plain units, and recorded."""
        sums = {}
        for block in release.blocks:
            total = np.zeros(block.shape, release.ring_of(block))
            for name in block.contributors:
                total += answers[name].array(block.name)
            signed = to_signed(total) if block.least is None else to_range(total, block.least)
            sums[block.name] = signed.astype(float) / 2.0**release.scale_bits
        spends = spends_of(release.name, answers)
        return self.keep(released_sums(release, combined(release, sums), spends, about))

    def keep(self, released: ReleasedSums) -> ReleasedSums:
        """Add a release to the record, with what was charged for it before anything of it was there."""
        before = self.record.find(released.name)
        if before is not None and not before.blocks:
            released = replace(released, spends=(*before.spends, *released.spends))
        self.record = self.record.with_release(released)
        return released

    def keep_charged(self, release: Release, answers: Mapping[str, Payload]) -> None:
        """Enter prices of a release that some were charged for before it is made, such as holders for an evaluation."""
        spends = spends_of(release.name, answers)
        if spends:
            self.keep(released_sums(release, {}, spends))

    def _deal(
        self,
        release: Release,
        bodies: Mapping[str, dict[str, Any]],
        rows: Mapping[str, int],
        checks: Sequence[RowCheck],
    ) -> dict[str, Payload]:
        """Correlated randomness for every product: fresh secrets to both, the correction to the left party."""
        study = self.roster.study
        dealt: dict[str, dict[str, str]] = {name: {} for name in bodies}
        corrections: dict[str, dict[str, Any]] = {name: {} for name in bodies}
        for product in products(study, release):
            left, right = self._drawn(release, product.id)
            columns, ring = release.columns_of(product), release.ring_of(release.block(product.block))
            shape = Shape(rows[product.bank_list], columns[0], columns[1], ring)
            label = product_label(study.digest(), self.exchange.attempt, release, product)
            dealt[product.left][product.id] = left.hex()
            dealt[product.right][product.id] = right.hex()
            corrections[product.left][product.id] = deal(left, right, label, shape)
        for check in checks:
            left, right = self._drawn(release, check.id)
            shape = check.shape(len(self.roster.lists[check.bank].rows))
            dealt[check.holder][check.id], dealt[check.bank][check.id] = left.hex(), right.hex()
            label = check.label(study, self.exchange.attempt)
            corrections[check.holder][check.id] = deal(left, right, label, shape)
        return {name: Payload({**bodies[name], "secrets": dealt[name]}, corrections[name]) for name in bodies}

    def _drawn(self, release: Release, what: str) -> tuple[bytes, bytes]:
        """Fresh secrets of both sides of a product."""
        draw = self.exchange.draw
        return draw(f"{release.name}|{what}|left"), draw(f"{release.name}|{what}|right")


def send_order(sums: NoisySums, what: str = "order of rows") -> dict[str, Payload]:
    """The order of rows goes out; answers with edge histograms, where the plan has any.

    To all alike: counts of rows, how many have a label, and a digest of what each list's rows are used for, under a
    salt that only those who have the list know.
    """
    roster, study = sums.roster, sums.roster.study
    salts = {
        bank: np.frombuffer(sums.exchange.draw(f"salt|{bank}")[:SALT_BYTES], np.uint8)
        for bank in roster.lists
    }
    counts = {"training": roster.training, "holdout": roster.holdout, "sampled": roster.sampled}
    digests = {b: uses_digest(salts[b], rows.use, rows.sample) for b, rows in roster.lists.items()}
    sums.exchange.tell("order", {**counts, "labelled": dict(roster.given), "uses": digests})
    order: dict[str, Payload] = {}
    flags: dict[str, dict[str, Any]] = {}
    for bank, rows in roster.lists.items():
        flags[bank] = {f"use:{bank}": rows.use, f"salt:{bank}": salts[bank]}
        if rows.sample is not None:
            flags[bank][f"sample:{bank}"] = rows.sample
        order[bank] = Payload({}, {f"rows:{bank}": rows.rows, **flags[bank]})
    for holder in (h for h in study.holders if h not in order):
        blobs = {f"rows:{bank}": rows.holders[holder] for bank, rows in roster.lists.items()}
        for of_bank in flags.values():
            blobs |= of_bank
        order[holder] = Payload({}, blobs)
    return sums.exchange("edges", what, order)


def spends_of(release: str, answers: Mapping[str, Payload]) -> list[dict[str, Any]]:
    """Prices of a release in answers."""
    return [spend for a in answers.values() for spend in spends_in(a) if spend["release"] == release]


def release_edges(sums: NoisySums, plan: Plan) -> ReleasedSums | None:
    """The order goes out, noisy histograms come back: None where all bins are public."""
    answers = send_order(sums, "order of rows, noisy edge histograms")
    # Holders behind an external score are charged for it here, as they take part in nothing later.
    for release in evaluation_releases(sums.roster.study, plan, sums.roster.statements):
        sums.keep_charged(release, answers)
    return sums.total(plan.release("edges"), answers) if plan.prepared("edges") else None


def blobs_of(released: ReleasedSums | None) -> dict[str, Floats]:
    """Totals of a release as arrays for a part of the common view."""
    return {} if released is None else {b.name: b.total for b in released.blocks}
