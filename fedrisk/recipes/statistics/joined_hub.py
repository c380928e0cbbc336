"""The hub's side of a joined statistics study: it deals random numbers, relays envelopes, and adds up what comes.

Exchanges after the alignment: edges (the order of rows), mask, carry, release.
"""

from collections.abc import Mapping
from typing import Any

from fedrisk.protocol.payload import Payload
from fedrisk.protocol.row_check import RowCheck, row_checks
from fedrisk.recipes.statistics.groupings import Grouping, groupings
from fedrisk.releases.plan import Plan
from fedrisk.releases.record import ReleasedSums
from fedrisk.releases.statistics import RELEASE, Layout
from fedrisk.secure import group_sums, product
from fedrisk.secure.group_slots import STAGES
from fedrisk.server.envelope_file import RelayedBlobs
from fedrisk.server.noisy_sums import NoisySums, send_order
from fedrisk.server.outcome import HubSession


def joined_sums(session: HubSession, sums: NoisySums, plan: Plan, layout: Layout) -> ReleasedSums:
    """Sums over the rows of all lists, by cells of one owner and measures of others."""
    study, exchange = session.roster.study, session.exchange
    members = [*study.banks, *study.holders]
    every, checks = groupings(study, layout), row_checks(study)
    send_order(sums)
    dealt = _Dealer(sums, layout)
    secrets: dict[str, dict[str, str]] = {name: {} for name in members}
    blobs: dict[str, dict[str, Any]] = {name: {} for name in members}
    for grouping in every:
        dealt.grouping(grouping, secrets, blobs)
    for check in checks:
        dealt.check(check, secrets, blobs)
    requests = {name: Payload({"secrets": secrets[name]}, blobs[name]) for name in members}
    masked = exchange("mask", "masked numbers and permutations", requests)
    forth = {name: RelayedBlobs() for name in members}
    for grouping in every:
        forth[grouping.right].add(grouping.id, masked[grouping.left], grouping.id)
    for check in checks:
        forth[check.holder].add(check.id, masked[check.bank], check.id)
        forth[check.bank].add(check.id, masked[check.holder], check.id)
    carried = exchange("carry", "masked sums of chunks", {n: Payload({}, forth[n]) for n in members})
    last = {name: RelayedBlobs() for name in members}
    for grouping in every:
        last[grouping.left].add(grouping.id, masked[grouping.right], grouping.id)
        last[grouping.left].add(f"carried:{grouping.id}", carried[grouping.right], grouping.id)
    for check in checks:
        last[check.holder].add(check.checked, carried[check.bank], check.checked)
    answers = exchange("release", "noisy sums of all cells", {n: Payload({}, last[n]) for n in members})
    return sums.total(plan.release(RELEASE), answers, {"layout": layout.to_dict()})


class _Dealer:
    """Correlated randomness of one attempt, made before any data."""

    def __init__(self, sums: NoisySums, layout: Layout) -> None:
        self._sums, self._layout = sums, layout
        roster = sums.roster
        self._rows = {name: roster.training[name] + roster.holdout[name] for name in roster.lists}

    def grouping(
        self, grouping: Grouping, secrets: Mapping[str, dict[str, str]], blobs: Mapping[str, dict[str, Any]]
    ) -> None:
        """Secrets for both parties of a grouping, and the right one's numbers."""
        left, right = self._drawn(grouping.id)
        secrets[grouping.left][grouping.id] = left.hex()
        secrets[grouping.right][grouping.id] = right.hex()
        shape = grouping.shape(self._layout, self._rows[grouping.listed])
        label = grouping.label(self._sums.roster.study, self._sums.exchange.attempt)
        matrices = group_sums.deal(left, right, label, shape)
        for stage in STAGES:
            blobs[grouping.right][f"{grouping.id}|{stage}"] = matrices[stage]

    def check(
        self, check: RowCheck, secrets: Mapping[str, dict[str, str]], blobs: Mapping[str, dict[str, Any]]
    ) -> None:
        """Secrets for both sides of a check of rows, and the holder's correction."""
        left, right = self._drawn(check.id)
        secrets[check.holder][check.id], secrets[check.bank][check.id] = left.hex(), right.hex()
        shape = check.shape(len(self._sums.roster.lists[check.bank].rows))
        label = check.label(self._sums.roster.study, self._sums.exchange.attempt)
        blobs[check.holder][check.id] = product.deal(left, right, label, shape)

    def _drawn(self, what: str) -> tuple[bytes, bytes]:
        draw = self._sums.exchange.draw
        return draw(f"{RELEASE}|{what}|left"), draw(f"{RELEASE}|{what}|right")
