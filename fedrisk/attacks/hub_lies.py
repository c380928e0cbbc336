"""Lies that a hub may tell its members in a study of a scorecard, each as a change of its messages.

Members have to refuse each of them before anything is charged for what the lie is about.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.attacks.lies import retell
from fedrisk.attacks.recorded import Change, Record, Step
from fedrisk.attacks.small_province import BANKS
from fedrisk.clients.store.attempt_store import Begun
from fedrisk.protocol.order import uses_digest
from fedrisk.protocol.payload import Payload
from fedrisk.study_members import BANK

if TYPE_CHECKING:
    from fedrisk.attacks.consortium import Consortium

Array = NDArray[Any]
LATER = frozenset({"gram", "recount", "evaluation"})
"""What is released after the label counts."""


@dataclass(frozen=True, kw_only=True)
class Lie:
    """One lie of the hub, by its code.

    tell: makes the change of messages for a consortium of ``banks`` and ``holders``. at: the exchange in which members
    refuse. spares: releases that nobody may have been charged for by then; None for all. codes: of the refusal.
    """

    code: str
    tell: Callable[["Consortium"], Change]
    at: str
    spares: frozenset[str] | None = LATER
    codes: tuple[str, ...] = ("protocol",)
    banks: tuple[str, ...] = ("alfa",)
    holders: tuple[str, ...] = ("tax",)


def totals_that_are_none(action: str, name: str, value: float) -> Change:
    """A total that is no number, or one that no rows can make."""

    def change(block: str, total: Array) -> Array:
        total.flat[0] = value
        return total

    def tell(run: Record, step: Step) -> None:
        if step.action == action:
            retell(step, name, blobs=change)

    return tell


def other_counts(change: Callable[[dict[str, Any]], object]) -> Change:
    """Something else that is said to follow from the label counts: bases, radii."""

    def tell(run: Record, step: Step) -> None:
        if step.action == "mask":
            retell(step, "counts", change)

    return tell


def small_radii(share: float = 0.02) -> Change:
    """Radii so small that members would add too little noise to the Gram matrix."""
    return other_counts(lambda c: c.update(radii={role: r * share for role, r in c["radii"].items()}))


def edge_around_one(column: str, low: float, high: float) -> Change:
    """Bins of a column of which one holds one enterprise alone, if its value is known to lie between these."""

    def change(content: dict[str, Any]) -> None:
        for b in content["bins"]:
            if b["column"] == column:
                keep = len(b["edges"])
                b["edges"] = sorted([*b["edges"][: keep - 2], low, high])

    def tell(run: Record, step: Step) -> None:
        if step.action == "mask":
            retell(step, "bins", change)

    return tell


def points_as_digits() -> Change:
    """Points 1, 6, 36, ... by bin of the holders' columns: their sum names the bin of every column."""

    def change(content: dict[str, Any]) -> None:
        card, unit = json.loads(content["scorecard"]), 1
        for j, b in enumerate(card["bins"]):
            if b["institution"] != BANK:
                size = len(card["points"][j])
                card["points"][j] = [unit * k for k in range(size)]
                unit *= size
        content["scorecard"] = json.dumps(card)

    return other_card(change)


def points_of_one(column: str, step: int = 20) -> Change:
    """Points that name the bin of one column, and nothing else."""

    def change(content: dict[str, Any]) -> None:
        card = json.loads(content["scorecard"])
        for j, b in enumerate(card["bins"]):
            if b["institution"] != BANK:
                one = step * (b["column"] == column)
                card["points"][j] = [one * k for k in range(len(card["points"][j]))]
        content["scorecard"] = json.dumps(card)

    return other_card(change)


def other_card(change: Callable[[dict[str, Any]], object]) -> Change:
    """A scorecard that does not follow from the totals."""

    def tell(run: Record, step: Step) -> None:
        if step.action in ("score", "calibrate", "deliver"):
            retell(step, "card", change)

    return tell


def research_for_all_but_one(run: Record, step: Step) -> None:
    """Noise of all members but the last would follow from a seed that the hub knows."""
    if step.action == "describe":
        for node, payload in list(step.sent.items())[:-1]:
            step.sent[node] = Payload({**payload.body, "research_seed": 7}, payload.blobs)


def two_kinds_of_run(consortium: "Consortium") -> Change:
    """The same, kept up in the common view: each is told what it was asked."""

    def tell(run: Record, step: Step) -> None:
        research_for_all_but_one(run, step)
        if step.action == "blind":
            for member in step.sent:
                if consortium.nodes[member].store.attempt(run.attempt).load(Begun).research_seed == 7:
                    retell(step, "members", lambda c: c.update(research_seed=7), members=[member])

    return tell


def other_statement(about: str, key: str, members: Sequence[str]) -> Change:
    """Other facts of a member, told to others: its columns, its rows, its labels."""

    def change(content: dict[str, Any]) -> None:
        said = content["statements"][about]
        if key == "features":
            said["features"] = said["features"][:1]
        elif key == "rows":
            said["rows"] += 1
        else:
            said["label"]["binary"] = not said["label"]["binary"]

    def tell(run: Record, step: Step) -> None:
        if step.action == "blind":
            retell(step, "members", change, members=members)

    return tell


def other_uses(members: Sequence[str], bank: str = "alfa") -> Change:
    """One training row and one of the hold-out swapped for some members: paid for once and used twice."""

    def tell(run: Record, step: Step) -> None:
        for member in members if step.action == "edges" else ():
            payload = step.sent[member]
            use = payload.array(f"use:{bank}").copy()
            first, second = np.flatnonzero(use == 0)[0], np.flatnonzero(use == 1)[0]
            use[first], use[second] = 1, 0
            step.sent[member] = Payload(payload.body, {**payload.blobs, f"use:{bank}": use})
            digest = uses_digest(payload.array(f"salt:{bank}"), use, None)
            retell(step, "order", lambda c, d=digest: c["uses"].update({bank: d}), members=[member])  # type: ignore[misc]

    return tell


def one_training_row(bank: str = "alfa") -> Change:
    """All rows but one held out: the sums of one enterprise."""

    def tell(run: Record, step: Step) -> None:
        if step.action != "edges":
            return
        use = np.ones(0, np.uint8)
        for member, payload in list(step.sent.items()):
            use = payload.array(f"use:{bank}").copy()
            use[:] = 1
            use[0] = 0
            step.sent[member] = Payload(payload.body, {**payload.blobs, f"use:{bank}": use})
        digest = uses_digest(next(iter(step.sent.values())).array(f"salt:{bank}"), use, None)
        counts = {"training": {bank: 1}, "sampled": {bank: 1}, "holdout": {bank: len(use) - 1}}
        retell(step, "order", lambda c: c.update(**counts, uses={bank: digest}))

    return tell


def rows_of_others(holder: str = "tax", bank: str = "alfa") -> Change:
    """At a place of a bank's list the holder's row of an enterprise that is no customer of the bank."""

    def tell(run: Record, step: Step) -> None:
        if step.action != "edges":
            return
        payload = step.sent[holder]
        rows = payload.array(f"rows:{bank}").copy()
        known = np.flatnonzero(rows >= 0)
        spare = np.setdiff1d(np.arange(rows.max() + 1), rows[known])
        rows[known[-1]] = spare[0]
        step.sent[holder] = Payload(payload.body, {**payload.blobs, f"rows:{bank}": rows})

    return tell


def order_that_does_not_fit(holder: str = "tax", bank: str = "alfa") -> Change:
    """The holder's rows on a bank's list, each a place further: every enterprise has another one's record."""

    def tell(run: Record, step: Step) -> None:
        if step.action == "edges":
            payload = step.sent[holder]
            rows = payload.array(f"rows:{bank}").copy()
            known = np.flatnonzero(rows >= 0)
            rows[known] = np.roll(rows[known], 1)
            step.sent[holder] = Payload(payload.body, {**payload.blobs, f"rows:{bank}": rows})

    return tell


def broken_envelope(holder: str = "tax") -> Change:
    """An envelope of a bank with one bit changed."""

    def tell(run: Record, step: Step) -> None:
        if step.action == "release" and step.sent[holder].body.get("release") == "counts":
            payload = step.sent[holder]
            blobs = dict(payload.blobs)
            name = next(n for n in blobs if n.startswith(f"{holder}@"))
            raw = payload.raw(name)
            blobs[name] = raw[:-1] + bytes([raw[-1] ^ 1])
            step.sent[holder] = Payload(payload.body, blobs)

    return tell


def _always(change: Change) -> Callable[["Consortium"], Change]:
    return lambda consortium: change


NAN, HUGE = float("nan"), 1e300
LIES: tuple[Lie, ...] = (
    Lie(
        code="not_a_number",
        tell=_always(totals_that_are_none("mask", "counts", NAN)),
        at="mask",
    ),
    Lie(
        code="impossible_totals",
        tell=_always(totals_that_are_none("mask", "counts", HUGE)),
        at="mask",
    ),
    Lie(
        code="not_a_number_later",
        tell=_always(totals_that_are_none("score", "card", NAN)),
        at="score",
        spares=frozenset({"evaluation"}),
    ),
    Lie(code="small_radius", tell=_always(small_radii()), at="mask"),
    Lie(
        code="bin_around_one",
        tell=_always(edge_around_one("sales", 4000.0, 4001.0)),
        at="mask",
        spares=LATER | {"counts"},
    ),
    Lie(
        code="points_as_digits",
        tell=_always(points_as_digits()),
        at="score",
        spares=frozenset({"evaluation"}),
        codes=("protocol", "config"),
    ),
    Lie(
        code="two_kinds_of_run",
        tell=two_kinds_of_run,
        at="evaluate",
        spares=None,
        banks=BANKS,
        holders=(),
    ),
    Lie(
        code="other_facts",
        tell=_always(other_statement("alfa", "rows", ["beta", "tax"])),
        at="",
        spares=None,
        codes=("protocol", "config"),
        banks=BANKS[:2],
    ),
    Lie(
        code="other_uses",
        tell=_always(other_uses(["tax"])),
        at="mask",
        spares=LATER | {"counts"},
    ),
    Lie(
        code="one_training_row",
        tell=_always(one_training_row()),
        at="edges",
        spares=None,
        codes=("policy", "refused", "protocol"),
    ),
    Lie(
        code="rows_of_others",
        tell=_always(rows_of_others()),
        at="mask",
    ),
    Lie(
        code="wrong_order",
        tell=_always(order_that_does_not_fit()),
        at="mask",
    ),
    Lie(
        code="changed_envelope",
        tell=_always(broken_envelope()),
        at="release",
        spares=LATER,
        codes=("envelope",),
    ),
)
"""One of each kind, in a study with one bank and one holder unless it says otherwise."""
