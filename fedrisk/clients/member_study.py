"""A study as one of its members has it, gathered from the member's own store (models/member_study)."""

from collections.abc import Iterable, Mapping
from typing import Any

from fedrisk.audit.entry import AuditEntry
from fedrisk.audit.usage import charged, price
from fedrisk.clients import own_results
from fedrisk.clients.attempt import epoch_tag
from fedrisk.clients.node import Node
from fedrisk.clients.own_results import Entry
from fedrisk.clients.store.attempt_store import AttemptStore
from fedrisk.clients.store.store import fingerprint_of
from fedrisk.errors import ConfigError, FedriskError
from fedrisk.models.knowledge import PastStudy
from fedrisk.models.member_study import Approval, Budget, MemberStudy, Moved, Served, Signatures
from fedrisk.models.scorecard import Scorecard
from fedrisk.models.told_bits import ages_rule, told_bits
from fedrisk.protocol.payload import unpack
from fedrisk.study_members import BANK

OUT, IN = ("sent", "answer", "release"), ("received",)
"""Events of the trail by which something left, or came in, where they name a kind."""


def last_attempt(node: Node, attempt: str | None) -> Entry:
    """The attempt of that id, or the one that begins so; without an id the last one. ConfigError."""
    if attempt is not None:
        return own_results.find(node, attempt)
    every = own_results.entries(node)
    if not every:
        raise ConfigError(
            f"{node.name} was in no study yet: its store {node.store.path} knows none; after a study, run this again"
        )
    return every[-1]


def member_study(node: Node, entry: Entry) -> MemberStudy:
    """All that the institution has of one attempt. StoreError where its trail or ledger is lost or damaged."""
    state = AttemptStore(node.store.path / "attempts" / entry.attempt)
    entries = list(node.trail.entries(attempt=entry.attempt))
    study = own_results.study_of(node, entry)
    members = {m["name"]: m["role"] for m in study.get("institutions", ())}
    return MemberStudy(
        institution=node.name,
        role=BANK if members.get(node.name) == BANK else node.name,
        study=study,
        attempt=entry.attempt,
        when=entry.when,
        research=entry.research,
        mu=charged(entries),
        left=_moved(entries, OUT),
        came=_moved(entries, IN),
        scored=_scored(entries),
        budget=_budget(node),
        card=_card(state),
        released=_released(node, entry),
        meanings=_meanings(node),
        models=tuple(_models(node, entry)),
        approval=_approval(node, entry),
        rules=_rules(node),
        quotas=_quotas(node, study),
        signatures=_signatures(node, members),
    )


def _moved(entries: Iterable[AuditEntry], events: tuple[str, ...]) -> tuple[Moved, ...]:
    """What was exchanged; requests and answers that only carry it name no kind."""
    return tuple(
        Moved(
            time=e.time,
            other=e.counterparty,
            kind=e.kind,
            protection=e.protection,
            bytes=e.bytes,
            rows=e.rows,
            mu=price(e),
        )
        for e in entries
        if e.event in events and e.kind
    )


def _scored(entries: Iterable[AuditEntry]) -> dict[str, int]:
    """How many enterprises each bank has scores of, with this member's part in them."""
    found: dict[str, int] = {}
    for e in entries:
        if e.event == "score":
            found[e.counterparty] = found.get(e.counterparty, 0) + e.rows
    return found


def _budget(node: Node) -> Budget:
    report = node.ledger.report()
    return Budget(
        cap=report.cap.mu,
        spent=report.spent.mu,
        left=report.left.mu,
        lifetime=report.lifetime.mu,
        most_epsilon=node.institution.policy.max_epsilon,
        first=report.period_start,
        end=report.period_end,
        research=report.research,
    )


def _card(state: AttemptStore) -> Scorecard | None:
    """The card as it was told, calibrated where it was; None where the attempt is forgotten or has none."""
    for name in ("told_calibration", "told_card"):
        try:
            content = state.message(name)
            if content is not None:
                return Scorecard.from_json(unpack(content).get("scorecard"))
        except FedriskError:
            continue
    return None


def _released(node: Node, entry: Entry) -> PastStudy | None:
    """What the study released, as the institution itself saw it."""
    try:
        return node.store.past.find(entry.attempt)
    except FedriskError:
        return None


def _meanings(node: Node) -> dict[str, str]:
    dictionary = node.institution.dictionary
    return {} if dictionary is None else {c.name: c.meaning for c in dictionary.columns}


def _models(node: Node, entry: Entry) -> Iterable[Served]:
    for part in node.store.models.parts():
        if part.attempt == entry.attempt:
            state = node.store.models.state(part.model)
            told = told_bits(part, ages_rule(part, node.name, node.institution.policy.serving.ages))
            yield Served(
                model=part.model,
                version=part.version,
                state=state.name,
                roles=dict(state.roles),
                banks=part.banks,
                bits=None if told is None else told.answer,
                changes=tuple((c.time, c.state, c.who) for c in state.changes),
            )


def _approval(node: Node, entry: Entry) -> Approval | None:
    """The decision by which this attempt began; None where the hub is on the same machine and asked nobody."""
    for asked in node.store.proposals.all():
        made = asked.decision
        if asked.attempt == entry.attempt and made is not None:
            return Approval(state=made.state, by=made.by, who=made.who, at=made.at)
    return None


def _rules(node: Node) -> dict[str, Any]:
    rules = node.institution.policy.serving
    return {
        "per_day": rules.per_day,
        "per_enterprise": rules.per_enterprise,
        "models": rules.models,
        "screening": rules.screening,
        "consent": rules.consent,
        "approve": rules.approve,
    }


def _quotas(node: Node, study: Mapping[str, Any]) -> dict[str, tuple[int | None, int]]:
    """How many ids each institution may have evaluated in the study's epoch, and did: the key authority alone knows."""
    alignment = study.get("alignment") or {}
    if alignment.get("authority") != node.name:
        return {}
    tag = epoch_tag(node.name, str(alignment["epoch"]))
    others = [m["name"] for m in study["institutions"] if m["name"] != node.name]
    return {name: node.store.authority.evaluations(node.store.fingerprint(name), tag) for name in others}


def _signatures(node: Node, members: Iterable[str]) -> Signatures:
    count, hash = node.trail.head()
    kept = {name: len(node.trail.witnessed(name)) for name in members if name != node.name}
    return Signatures(
        entries=count, head=hash, key=fingerprint_of(node.store.identity.public), witnessed=kept
    )
