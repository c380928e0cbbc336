"""Approvals: people of an institution, or its standing rules, decide in which studies of a hub it takes part.

An approval is for the whole study by its digest, for the seed of a research run, and for one attempt; it lapses after
``policy.approval_days``. What exactly it lets through:

- the study as it was proposed, and the same study without some of its optional members, provided that this costs no
  more here: whoever approves is shown which members are optional;
- one attempt. Before that has the order of rows, so that nothing was computed on records and nothing was charged,
  another attempt may take its place, a few times, and the first is over here: a member that was not there in the first
  second, or a hub that was started again, needs no new decision of all the others. After that only a new proposal
  helps.

Every decision is an entry of the audit trail: a code and a salted hash; reasons and names stay in the store.
"""

import hashlib
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from fedrisk.clients.assessment import Assessment, assess, price_of
from fedrisk.clients.node import Node
from fedrisk.clients.outlet import Charges
from fedrisk.clients.roster import Rosters
from fedrisk.clients.row_order import RowOrder
from fedrisk.clients.store.proposal_store import Asked, Decision, stamp
from fedrisk.errors import BudgetError, ConfigError, FedriskError, PolicyError
from fedrisk.privacy.standing import StandingRule
from fedrisk.recipe import Recipe
from fedrisk.secure.identity import HUB
from fedrisk.study import Study

Find = Callable[[Mapping[str, Any]], tuple[Study, Recipe]]
"""Content of a study -> the study, checked by its recipe, and the recipe."""

PROPOSED = "proposal"
APPROVED = "study_approved"
APPROVED_BY_RULE = "study_approved_by_rule"
REFUSED = "study_refused"
"""Kinds of the trail's entries."""

WITHDRAWN = "withdrawn"
"""Code of a proposal that the hub took back."""

MOST_MOVES = 10
"""How often another attempt may take an approval over, at most."""


def now_utc() -> datetime:
    """The time; a function of its own, so that tests go through weeks."""
    return datetime.now(UTC)


def approve(node: Node, id: str, *, who: str, find: Find) -> tuple[Asked, Assessment]:
    """A person's approval; the proposal as it is then, and what was looked at.

    To be called while no message is served. ConfigError where the proposal does not wait, or a member that is needed is
    not in the accepted roster; PolicyError or BudgetError where a rule of the policy forbids it.
    """
    now, asked = now_utc(), node.store.proposals.find(id)
    stage = asked.stage(now, node.institution.policy.approval_days)
    if stage != "waiting":
        raise ConfigError(f"proposal {asked.id} does not wait for an approval: {in_words(asked, node, now)}")
    study, recipe = find(asked.study)
    found = assess(node, study, recipe, research=asked.research_seed is not None)
    if found.broken:
        kind = BudgetError if found.code == BudgetError.code else PolicyError
        raise kind(
            f"{node.name} cannot take part in study {study.name}: {'; '.join(found.broken)}. Change the policy or the "
            f"budget first, or refuse it"
        )
    # Those that are not needed are left out of the run where nobody knows them.
    strangers = [name for name in unknown_members(node, study) if name not in study.optional]
    if strangers:
        raise ConfigError(
            f"{node.name} knows no {', '.join(strangers)}: not in the roster that was accepted here. Look at fedrisk "
            "node roster, compare words and accept first"
        )
    decision = Decision(
        state="agreed", by="person", who=_said(who, "who"), at=stamp(now), salt=secrets.token_hex(16)
    )
    return _decide(node, study, replace(asked, attempt=None), decision, found.mu), found


def refuse(node: Node, id: str, *, reason: str, who: str) -> Asked:
    """A person's refusal, also of what was approved and did not begin; the hub learns its code and nothing else.

    ConfigError without a reason, or where the proposal is refused, over, or runs.
    """
    now, asked = now_utc(), node.store.proposals.find(id)
    stage = asked.stage(now, node.institution.policy.approval_days)
    if stage not in ("waiting", "agreed"):
        raise ConfigError(f"proposal {asked.id} cannot be refused: {in_words(asked, node, now)}")
    decision = Decision(
        state="refused",
        by="person",
        who=_said(who, "who"),
        at=stamp(now),
        reason=_said(reason, "reason"),
        code=PolicyError.code,
        salt=secrets.token_hex(16),
    )
    return _decide(node, None, asked, decision, asked.mu)


def refuse_by_policy(node: Node, study: Study, asked: Asked, found: Assessment) -> Asked:
    """What the policy forbids is refused at once, whoever approved it before."""
    decision = Decision(
        state="refused",
        by="policy",
        who="policy",
        at=stamp(now_utc()),
        reason="; ".join(found.broken),
        code=found.code,
        salt=secrets.token_hex(16),
    )
    return _decide(node, study, asked, decision, asked.mu)


def taken_back(node: Node, study: Study, asked: Asked) -> Asked:
    """What the hub has taken back, or another member refused, waits for nobody any more, and is not approved."""
    decision = Decision(
        state="refused",
        by="hub",
        who="the hub, which took it back,",
        at=stamp(now_utc()),
        code=WITHDRAWN,
        salt=secrets.token_hex(16),
    )
    return _decide(node, study, asked, decision, asked.mu)


def approve_by_rule(node: Node, study: Study, asked: Asked, found: Assessment) -> Asked:
    """The proposal, approved where a standing rule of the policy covers it; else as it is.

    A rule approves a proposal once: where that lapses, a person decides.
    """
    if asked.decision is not None or found.broken or unknown_members(node, study):
        return asked
    now = now_utc()
    for rule in node.institution.policy.standing:
        if not uncovered(node, rule, study, asked, price=found.mu, now=now):
            decision = Decision(
                state="agreed", by="rule", who=rule.study, at=stamp(now), salt=secrets.token_hex(16)
            )
            return _decide(node, study, asked, decision, found.mu)
    return asked


def uncovered(
    node: Node, rule: StandingRule, study: Study, asked: Asked, *, price: float, now: datetime
) -> list[str]:
    """Why a standing rule does not cover a proposal, in words; nothing where it does. Never a research run."""
    if asked.research_seed is not None:
        return ["a research run has no privacy"]
    earlier = [
        other.approved
        for other in node.store.proposals.all()
        if other.id != asked.id and other.approved is not None and rule.names(str(other.study.get("name")))
    ]
    return rule.missing(study, node.name, price=price, now=now, approved=earlier)


def unknown_members(node: Node, study: Study) -> list[str]:
    """Members that are not in the accepted roster with a pinned key: nothing can be sealed for them yet."""
    pinned = set(node.store.pins.institutions) if node.store.registered else set()
    if node.store.deployed:
        accepted = Rosters.of(node).accepted
        pinned &= set() if accepted is None else {one.name for one in accepted.members}
    return [name for name in study.members if name != node.name and name not in pinned]


def approval_for(
    node: Node, study: Study, research_seed: int | None, attempt: str, *, find: Find
) -> Asked | None:
    """The approval by which an attempt at a study may begin here, for :func:`use`; None on one machine.

    study: checked by its recipe, as it was described. PolicyError, which says what is missing, where nobody approved
    it, or another attempt has used the approval.
    """
    if not node.store.deployed:
        return None
    now, days = now_utc(), node.institution.policy.approval_days
    kept = [a for a in node.store.proposals.all() if a.research_seed == research_seed]
    kept = [a for a in reversed(kept) if _covers(a, study, node.name, find)]
    for asked in kept:
        # What began goes on, also after the days in which it had to begin.
        goes_on = asked.approved is not None and node.store.knows(attempt)
        if asked.attempt == attempt and (goes_on or asked.holds(now, days)):
            return asked
    # Unused ones first: another attempt's is taken over only where there is none.
    for asked in sorted(kept, key=lambda a: a.attempt is not None):
        if asked.holds(now, days) and not used_up(node, asked):
            return asked
    why = in_words(kept[0], node, now) if kept else "it was never proposed here as it is now"
    raise PolicyError(
        f"the hub describes study {study.name}, which is not approved at {node.name}: {why}. Nothing was answered; "
        "fedrisk node proposals shows what was proposed"
    )


def use(node: Node, asked: Asked | None, attempt: str) -> None:
    """Bind an approval to an attempt; the attempt that had it before is over here."""
    if asked is None or asked.attempt == attempt:
        return
    if asked.attempt is not None and node.store.knows(asked.attempt):
        node.store.attempt(asked.attempt).forget_secrets()
    moved = asked.moved + (asked.attempt is not None)
    node.store.proposals.put(replace(asked, attempt=attempt, moved=moved))


def used_up(node: Node, asked: Asked) -> bool:
    """Whether the attempt that has an approval got so far that no other one may have it."""
    if asked.attempt is None:
        return False
    if asked.moved >= MOST_MOVES:
        return True
    if not node.store.knows(asked.attempt):
        return False
    state = node.store.attempt(asked.attempt)
    return state.find(RowOrder) is not None or state.find(Charges) is not None


def _covers(asked: Asked, study: Study, name: str, find: Find) -> bool:
    """Whether a proposal is of this study, with all members or without optional ones, at no higher price."""
    try:
        whole, recipe = find(asked.study)
        if whole.digest() == study.digest():
            return True
        left_out = set(whole.members) - set(study.members)
        if not left_out or name in left_out or not left_out <= set(whole.optional):
            return False
        smaller = recipe.without(whole, left_out)
        if smaller.digest() != study.digest():
            return False
        research = asked.research_seed is not None
        # A research run is charged nothing, and its price is infinite with and without them.
        most = price_of(whole, recipe, name, research=research)
        return price_of(smaller, recipe, name, research=research) <= most * (1 + 1e-9)
    except FedriskError:
        # Of an earlier version: it would have to be proposed again.
        return False


def in_words(asked: Asked, node: Node, now: datetime) -> str:
    """How a proposal stands, for a person."""
    days = node.institution.policy.approval_days
    made, stage = asked.decision, asked.stage(now, days)
    by = "" if made is None else f"{made.who} on {made.at[:10]}"
    if stage == "waiting" and made is not None:
        return f"its approval by {by} has lapsed after {days} days, approve it again"
    if stage == "waiting":
        return f"it waits for fedrisk node approve {asked.id}"
    if stage == "agreed":
        return f"approved by {by}"
    if stage == "used":
        return f"approved by {by}, and attempt {asked.attempt} has used that; another run has to be proposed anew"
    if stage == "refused":
        return f"refused by {by}, and has to be proposed anew"
    return f"it lapsed on {asked.ends:%Y-%m-%d} and has to be proposed anew"


def _decide(node: Node, study: Study | None, asked: Asked, decision: Decision, mu: float | None) -> Asked:
    """Enter a decision in the trail, then keep it: nothing is approved without an entry."""
    evidence = {
        "id": asked.id,
        "digest": asked.digest,
        "research_seed": asked.research_seed,
        **asdict(decision),
    }
    agreed = decision.state == "agreed"
    enter(
        node,
        asked,
        action="approve" if agreed else "refuse",
        event="answer" if agreed else "refusal",
        kind=(APPROVED if decision.by == "person" else APPROVED_BY_RULE) if agreed else REFUSED,
        digest=hashlib.sha256(json.dumps(evidence, sort_keys=True).encode()).hexdigest(),
        code=decision.code,
    )
    decided = asked.with_decision(decision, mu)
    node.store.proposals.put(decided)
    return decided


def enter(node: Node, asked: Asked, **fields: Any) -> None:
    """An entry of the audit trail about a proposal; it belongs to no attempt."""
    about = {"study": str(asked.study.get("name")), "purpose": str(asked.study.get("purpose"))}
    node.trail.append([{**about, "counterparty": HUB, **fields}])


def _said(text: str, what: str) -> str:
    """A name or reason that a person gave; ConfigError where it is empty or long."""
    text = text.strip()
    if not text or len(text) > 500:
        raise ConfigError(
            f"--{what} has to say something, in at most 500 characters; it is recorded for good"
        )
    return text
