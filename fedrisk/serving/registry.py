"""The life of a model at an institution: candidate, approved, deployed (at a bank), retired or refused.

Each institution decides for itself, by hand or by the rule ``policy.serving.approve = "own_parts"``, and only what it
approved is answered. Whatever is approved has passed the checks of :func:`broken`, which trust nobody: the part has to
be the one that follows from what the institution itself kept of the study, within what its policy allows today. Every
decision is an entry of the audit trail, a code and a salted hash, before it holds; names and reasons stay in the store.
A model that was retired or refused, or that the policy no longer allows, answers nothing from the next question on.
"""

import hashlib
import json
import math
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

from fedrisk.audit.entry import check_text
from fedrisk.clients.agents import Listed, not_agents
from fedrisk.clients.node import Node
from fedrisk.clients.store.model_store import As, Change, State
from fedrisk.errors import ConfigError, FedriskError, PolicyError
from fedrisk.models.binning import Bins
from fedrisk.models.card_difference import moved_points
from fedrisk.models.card_pairs import most_points
from fedrisk.models.model_part import REST, ModelPart
from fedrisk.models.readable import READABLE, readable
from fedrisk.serving.measure_rules import broken_rules
from fedrisk.study_members import BANK

Follows = Callable[[ModelPart], ModelPart]
"""A part -> the same part as it follows from what the institution itself kept; FedriskError where none does."""

RULE = "own_parts"
"""The rule of the policy by which own parts are approved."""

KINDS = {
    ("approved", "person"): "model_approved",
    ("approved", "rule"): "model_approved_by_rule",
    ("refused", "person"): "model_refused",
    ("deployed", "person"): "model_deployed",
    ("retired", "person"): "model_retired",
}
"""Kinds of the trail's entries, by state and by what decided."""

MOST_SAID = 500
"""Longest reason that a person gives, in characters."""


class Unserved(PolicyError):
    """A model is not answered; ``answer`` is the code of `codes.WHOLE` that who asks gets."""

    def __init__(self, text: str, answer: str) -> None:
        super().__init__(text)
        self.answer = answer


def now_utc() -> datetime:
    """The time; a function of its own, so that tests go through weeks."""
    return datetime.now(UTC)


def served(node: Node, model: str, asker: str) -> ModelPart:
    """This institution's part of a model that it answers to ``asker``; to be asked anew for every question.

    model: the whole id. Raises Unserved with the code ``unknown``, ``asker``, ``approval`` or ``purpose``.
    """
    store = node.store.models
    if not store.has(model):
        raise Unserved(f"there is no model {model} at {node.name}", "unknown")
    part = store.part(model)
    if node.name not in part.holders:
        raise Unserved(f"{node.name} is no holder of model {model}", "unknown")
    if why := _no_asker(node, part, asker):
        raise Unserved(why, "asker")
    state = store.state(model)
    if not state.serves:
        raise Unserved(f"model {model} is {state.name} at {node.name}, not approved", "approval")
    bank = asker in part.banks
    number = [] if bank else _number_of_agents(node, part)
    for against, code in (
        (_dates(node, now_utc().date()) + _limits(node, part) + number, "approval"),
        (_strangers(node, part), "asker"),
        (_purpose(node, part) if bank else [], "purpose"),
    ):
        if against:
            raise Unserved(f"model {model} is not answered: {'; '.join(against)}", code)
    return part


def is_agent(node: Node, part: ModelPart, asker: str) -> bool:
    """Whether ``asker`` asks for enterprises themselves: for an index, where the policy names it, and no bank of it."""
    policy = node.institution.policy.serving
    return part.index is not None and asker not in part.banks and asker in policy.agents


def _no_asker(node: Node, part: ModelPart, asker: str) -> str:
    """Why a model is not for who asks: no bank of it and no agent.

    Nor is one that the policy names and that answers the model itself, or has another role in the list of members.
    """
    if asker in part.banks:
        return ""
    if not is_agent(node, part, asker):
        return f"model {part.model} is not for {asker}"
    if asker in part.holders:
        return (
            f"{asker} is named in policy.serving.agents and gives points of model {part.model} itself: from a sum it "
            "would have the others'"
        )
    return not_agents([asker], Listed.of(node))


def usable(node: Node, said: str) -> ModelPart:
    """A bank's part of a model that it approved, by its id or the beginning of one.

    ConfigError where there is none; PolicyError, with the remedy, where it is not approved.
    """
    part = node.store.models.part(said)
    state = node.store.models.state(part.model)
    if not state.serves:
        raise PolicyError(
            f"model {part.model} is {state.name} at {node.name}; {_how_to_approve(node, part)} and all its "
            "holders approve it too, then it serves"
        )
    return part


def in_use(node: Node, product: str = "", name: str | None = None) -> dict[str, tuple[ModelPart, ...]]:
    """Models that a bank deployed for a product: ``champion`` (at most one of a study's name) and ``challenger``.

    Those for the product itself go before those for all products. name: of a study, where the bank has several.
    """
    store = node.store.models
    found: dict[str, list[tuple[ModelPart, bool]]] = {"champion": [], "challenger": []}
    for part in store.parts():
        roles = store.state(part.model).roles
        role = roles.get(product, roles.get(""))
        if role is not None and name in (None, part.name):
            found[role].append((part, product in roles))
    own = {part.name for part, exact in found["champion"] if exact}
    champions = tuple(p for p, exact in found["champion"] if exact or p.name not in own)
    return {"champion": champions, "challenger": tuple(p for p, _ in found["challenger"])}


def candidate(node: Node, part: ModelPart, files: Mapping[str, bytes] | None = None) -> ModelPart:
    """Keep a part that this institution has just made itself; approved at once where its policy says so.

    The same model once more changes nothing. What stands against an approval by rule is for a person to look at,
    also what the card gives away by its form (:func:`told_by_form`).
    """
    store = node.store.models
    with store.changing():
        kept = store.put(part, files)
        try:
            if _by_rule(node, kept):
                _decide(node, kept, Change(time="", state="approved", by="rule", who=RULE))
        except FedriskError as error:
            # It stays a candidate: a damaged model of earlier must not fail the study that made this one.
            node.store.errors.add(kept.attempt, "model", error)
    return kept


def approve(
    node: Node, said: str, *, who: str, why: str = "", follows: Follows | None, again: bool = False
) -> tuple[ModelPart, State]:
    """A person's approval. follows: how the part is made anew; None for what no study made, such as a measure.

    again: also of a model that was refused or retired. PolicyError names every rule that it breaks.
    """
    store = node.store.models
    with store.changing():
        part = store.part(said)
        if follows is None and part.kind == "scorecard":
            raise ConfigError(f"model {part.model} is of a study; say how its part is made anew")
        state = store.state(part.model)
        if state.serves:
            raise ConfigError(f"model {part.model} is {state.name} at {node.name} already")
        if state.name != "candidate" and not again:
            last = state.changes[-1]
            raise ConfigError(
                f"model {part.model} was {state.name} by {last.who} on {last.time[:10]}; approve it with --again"
            )
        against = broken(node, part, follows=follows)
        if against:
            raise PolicyError(
                f"{node.name} does not approve model {part.model}: {'; '.join(against)}. Change the policy in the "
                "institution's own file, retire other models, or run the study again"
            )
        return part, _decide(node, part, Change(time="", state="approved", who=_said(who), why=_said(why)))


def refuse(node: Node, said: str, *, who: str, why: str = "") -> tuple[ModelPart, State]:
    """A person refuses a model: it is never answered, and no rule approves a later one of its name by itself."""
    return _taken_back(node, said, "refused", ("candidate",), who, why)


def retire(node: Node, said: str, *, who: str, why: str = "") -> tuple[ModelPart, State]:
    """A person takes an approved or deployed model back; nothing of it is answered from now on."""
    return _taken_back(node, said, "retired", ("approved", "deployed"), who, why)


def deploy(
    node: Node, said: str, *, as_: As, product: str = "", who: str, why: str = ""
) -> tuple[ModelPart, State, ModelPart | None]:
    """A bank puts an approved model to use: as the champion of its name and product, or as a challenger beside it.

    The champion before it becomes a challenger, and comes as the last of what is returned.
    """
    if node.institution.kind != BANK:
        raise ConfigError(
            f"{node.name} is no bank: a model is deployed where scores are used; a holder approves and retires"
        )
    store = node.store.models
    with store.changing():
        part = usable(node, said)
        change = Change(
            time="", state="deployed", as_=as_, product=_product(product), who=_said(who), why=_said(why)
        )
        former = None
        if as_ == "champion":
            for other in store.parts():
                roles = store.state(other.model).roles
                if other.model != part.model and other.name == part.name and roles.get(product) == "champion":
                    former = other
                    stepped = f"{part.model} is the champion now"
                    _decide(node, other, Change(**{**asdict(change), "as_": "challenger", "why": stepped}))
        return part, _decide(node, part, change), former


def broken(node: Node, part: ModelPart, *, follows: Follows | None) -> list[str]:
    """Everything that stands against approving a part today, in words.

    follows: None for a part that was made in this moment, or by no study.
    """
    out = [*_dates(node, now_utc().date()), *_strangers(node, part), *_purpose(node, part)]
    out += [*_limits(node, part), *_number(node, part), *_versions(node, part)]
    if part.institution != node.name:
        out.append(f"it is the part of {part.institution}")
    if part.kind == "measure":
        out += _measure_rules(node, part)
    if part.index is not None and node.name in part.banks and part.index.scale is None:
        out.append(
            "the released histogram of its scores has more noise than enterprises, so that no scale follows from it"
        )
    if follows is not None:
        out += _does_not_follow(part, follows)
    return out


def told_by_form(part: ModelPart) -> list[str]:
    """Columns of this holder that scores would give away by the form of the card: a person decides, and no rule.

    An ordinary card may be so where holders have few columns; a crafted one is (models/readable).
    """
    features = [str(b["column"]) for b in part.bins]
    shown = [f for f, value in zip(features, part.readable, strict=False) if value > READABLE]
    if not shown:
        return []
    return [
        f"the card gives away {', '.join(shown)}: its points lie so that most of its bins are told by a score"
    ]


def told_beside(node: Node, part: ModelPart) -> list[str]:
    """Models of other holders that serve the same bank: a person decides, and no rule.

    Scores of both are two equations. Where points are alike, as in a card that was made for it, their difference is the
    points of the holders by which they differ, and the holder that is in one model alone sees nothing of the other.
    """
    store, out = node.store.models, []
    for other in store.parts():
        shared = set(part.banks) & set(other.banks) - {node.name}
        apart = set(part.holders) ^ set(other.holders)
        alike = other.kind == part.kind == "scorecard" and other.model != part.model
        if alike and shared and apart and store.state(other.model).serves:
            out.append(
                f"model {other.model} serves {', '.join(sorted(shared))} too and differs by "
                f"{', '.join(sorted(apart))}: the difference of both scores may be the points of those alone"
            )
        same = part.study == other.study and part.edited != other.edited
        if same and (not other.edited or store.state(other.model).changes):
            out += _edited_beside(node, part, other)
    return out


def _edited_beside(node: Node, part: ModelPart, other: ModelPart) -> list[str]:
    """A card and another edit of it: whoever has both scores of an enterprise has their difference.

    The study itself gave scores by the card that it made, whether or not that ever served; scores of a model that was
    retired may have been kept. What is said of the columns holds for a bank to which the other holders' points are
    known, and so is the most that any bank may learn.
    """
    if node.name in part.banks:
        return []
    apart = {name: d for name, d in moved_points(part, other).items() if set(d) != {0}}
    if not apart:
        return []
    told = [f"{name} {share:.0%}" for name, share in zip(apart, readable(list(apart.values())), strict=True)]
    return [
        f"it is an edit of the card of model {other.model}, or the other way round, and a bank that has both scores of "
        f"an enterprise has their difference; of what it differs in here that tells at most: {', '.join(told)} "
        "(100%: its part of the difference is read exactly)"
    ]


def refused_before(node: Node, part: ModelPart) -> bool:
    """Whether a person refused the last model of this name that anybody decided on: a person goes on, and no rule."""
    store, last = node.store.models, ("", "")
    for other in store.parts():
        changes = store.state(other.model).changes
        if other.name == part.name and other.model != part.model and changes:
            last = max(last, (changes[-1].time, changes[-1].state))
    return last[1] == "refused"


def _by_rule(node: Node, part: ModelPart) -> bool:
    """Whether the policy approves a part that was made in this moment: never one on which somebody decided.

    A measure follows from no study of this institution, and an edited card was edited by somebody else: a person
    decides on each.
    """
    if part.kind == "measure" or part.edited:
        return False
    if node.institution.policy.serving.approve != RULE or node.store.models.state(part.model).changes:
        return False
    against = [*told_by_form(part), *told_beside(node, part), *broken(node, part, follows=None)]
    return not refused_before(node, part) and not against


def _does_not_follow(part: ModelPart, follows: Follows) -> list[str]:
    """The part against the one that the institution makes anew from what it kept; the hub's word counts for nothing."""
    try:
        own = ModelPart.from_bytes(follows(part).to_bytes())
    except FedriskError as error:
        return [f"it does not follow from what was kept of its study: {error}"]
    wrong = [n for n in ModelPart.model_fields if n not in ("version", "made")]
    wrong = [n for n in wrong if getattr(own, n) != getattr(part, n)]
    return [f"its {', '.join(wrong)} differ from what was released and given in its study"] if wrong else []


def _dates(node: Node, today: date) -> list[str]:
    policy, out = node.institution.policy, []
    if policy.valid_from is not None and today < policy.valid_from:
        out.append(f"policy.valid_from is {policy.valid_from}")
    if policy.valid_until is not None and today > policy.valid_until:
        out.append(f"policy.valid_until was {policy.valid_until}")
    return out


def _strangers(node: Node, part: ModelPart) -> list[str]:
    allowed = node.institution.policy.counterparties
    members = dict.fromkeys((*part.banks, *part.holders))
    strangers = [m for m in members if m != node.name and allowed is not None and m not in allowed]
    return [f"{', '.join(strangers)} not among policy.counterparties"] if strangers else []


def _limits(node: Node, part: ModelPart) -> list[str]:
    """What a holder's answers may tell: points of a column, and values of the sum of all."""
    policy, out = node.institution.policy, []
    bins = [Bins.from_dict(b) for b in part.bins]
    if part.points and most_points(bins, part.points) > policy.score_points:
        out.append(
            f"a column, with its pairs, gives or takes more than {policy.score_points} points (policy.score_points)"
        )
    if part.given is None:
        return out
    themes = [one.name for one in part.sums if one.features and (one.alone or one.name != REST)]
    if themes and not policy.score_themes:
        out.append(f"its points are given by theme ({', '.join(themes)}), and policy.score_themes is false")
    own = math.prod(len(set(one.values)) for one in part.sums)
    values = max(part.values or 1, len(set(part.given[1])), own)
    if values > policy.score_values:
        out.append(
            f"scores take up to {values} values, more than policy.score_values = {policy.score_values}"
        )
    return out


def _number(node: Node, part: ModelPart) -> list[str]:
    """How many models a bank would be served with at once; measures have rules of their own."""
    if part.kind == "measure" or node.name in part.banks:
        return []
    store, most = node.store.models, node.institution.policy.serving.models
    others = [
        p
        for p in store.parts()
        if p.model != part.model and p.kind == part.kind and store.state(p.model).serves
    ]
    over = [bank for bank in part.banks if 1 + sum(bank in p.banks for p in others) > most]
    if not over:
        return _number_of_agents(node, part)
    return [
        f"{', '.join(over)} would be served with more than {most} models at once (policy.serving.models); retire one"
    ]


def _number_of_agents(node: Node, part: ModelPart) -> list[str]:
    """How many indexes an agent would be answered at once: all that serve here, of whichever banks."""
    rules, store = node.institution.policy.serving, node.store.models
    if part.index is None or not rules.agents or node.name in part.banks:
        return []
    others = [p for p in store.parts() if p.model != part.model and p.index and store.state(p.model).serves]
    if 1 + len(others) <= rules.models:
        return []
    return [
        f"{', '.join(rules.agents)} (policy.serving.agents) would be answered by more than {rules.models} indexes at "
        "once (policy.serving.models); retire one"
    ]


def _versions(node: Node, part: ModelPart) -> list[str]:
    """Serving a version that its study gave is no new version, while that study is within ``scored_days``.

    An edited card is always one more: its scores are others than those that the study gave. So is each other one that
    served the bank within that time, also where it was retired: its scores may have been kept.
    """
    policy, store = node.institution.policy, node.store
    if part.kind == "measure" or node.name in part.banks:
        return []
    since = now_utc().date() - timedelta(days=policy.scored_days)
    further = part.made <= since or bool(part.edited)
    over = [
        bank
        for bank in part.banks
        if store.pseudonyms.versions_since(bank, since)
        + store.models.edits_served(bank, since, but=part.model)
        + further
        > policy.scored_versions
    ]
    if not over:
        return []
    return [
        f"{', '.join(over)} would get more than {policy.scored_versions} versions of scores within "
        f"{policy.scored_days} days (policy.scored_versions)"
    ]


def _measure_rules(node: Node, part: ModelPart) -> list[str]:
    """What a measure breaks, alone and beside those that are approved."""
    store, institution = node.store.models, node.institution
    others = [p for p in store.parts() if p.kind == "measure" and store.state(p.model).serves]
    return broken_rules(part, institution.policy.serving, institution.described(), others)


def _purpose(node: Node, part: ModelPart) -> list[str]:
    policy = node.institution.policy
    name, allowed = "purposes", policy.purposes
    if policy.serving.purposes is not None:
        name, allowed = "serving.purposes", policy.serving.purposes
    return [] if part.purpose in allowed else [f"purpose {part.purpose} is not among policy.{name}"]


def _taken_back(
    node: Node, said: str, to: Literal["refused", "retired"], before: Sequence[str], who: str, why: str
) -> tuple[ModelPart, State]:
    store = node.store.models
    with store.changing():
        part = store.part(said)
        state = store.state(part.model)
        if state.name not in before:
            other = "retire" if state.serves else "approve"
            raise ConfigError(
                f"model {part.model} is {state.name} at {node.name}, and only one that is {' or '.join(before)} can be "
                f"{to}; see fedrisk model {other}"
            )
        return part, _decide(node, part, Change(time="", state=to, who=_said(who), why=_said(why)))


def _decide(node: Node, part: ModelPart, change: Change) -> State:
    """Enter a change in the trail, then keep it: nothing holds without an entry."""
    at = now_utc().isoformat(timespec="milliseconds").replace("+00:00", "Z")
    content = asdict(change) | {"time": at, "salt": secrets.token_hex(16)}
    evidence = json.dumps({"model": part.model, **content}, sort_keys=True).encode()
    entry: dict[str, Any] = {
        "study": part.name,
        "purpose": part.purpose,
        "action": "model",
        "event": "refusal" if change.state == "refused" else "answer",
        "counterparty": node.name,
        "kind": KINDS[change.state, change.by],
        "digest": hashlib.sha256(evidence).hexdigest(),
    }
    node.trail.append([entry])
    return node.store.models.change(part.model, Change(**content))


def _said(text: str) -> str:
    """A name or reason that a person gave; ConfigError where it is too long."""
    text = text.strip()
    if len(text) > MOST_SAID:
        raise ConfigError(f"a name or reason has at most {MOST_SAID} characters; it is recorded for good")
    return text


def _product(text: str) -> str:
    """The name of a product; ConfigError where it is none."""
    if len(text) > 64:
        raise ConfigError("--product: a product's name has at most 64 characters")
    check_text("product", text)
    return text


def _how_to_approve(node: Node, part: ModelPart) -> str:
    return f"fedrisk model approve {node.institution.file} {part.model[:8]}, once you have looked at it,"
