"""Exchange 0, propose: a hub asks whether this institution would take part in a study, days before it begins.

The study is read, checked and priced here; of what the hub says of it nothing is taken on trust. What the policy
forbids is refused at once, what a standing rule covers is agreed to at once, and everything else waits for a person.
The hub asks again until it has an answer, and learns three words: agreed, waiting, or refused with a code.

The same question again enters nothing in the trail, which would otherwise grow with every poll: entries are made when
a proposal comes, and when something is decided.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, StringConstraints

from fedrisk.clients import approvals
from fedrisk.clients.approvals import (
    PROPOSED,
    WITHDRAWN,
    Find,
    approve_by_rule,
    enter,
    refuse_by_policy,
    taken_back,
    used_up,
)
from fedrisk.clients.assessment import assess
from fedrisk.clients.describe import check_role
from fedrisk.clients.node import Node
from fedrisk.clients.roster import unsettled
from fedrisk.clients.store.proposal_store import Asked, stamp
from fedrisk.errors import PolicyError, ProtocolError
from fedrisk.protocol.form import Body, Digest, Form, Seed
from fedrisk.protocol.payload import Payload
from fedrisk.recipe import Recipe
from fedrisk.study import Study

MOST_BYTES = 1 << 16
"""Size of a proposal at most: a study of a hundred members has a tenth of it."""

LAPSED, USED, FULL = "lapsed", "used", "full"
"""Codes of what is refused because its time is over, its attempt was made, or too many proposals wait here."""


def _moment(text: str) -> str:
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError("no time zone")
    return text


class Terms(Body):
    """What a hub says of a proposal; no price, since every institution works out its own. over: it was taken back."""

    id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{12}$")]
    study: dict[str, Any]
    digest: Digest
    research_seed: Seed | None
    deadline: Annotated[str, StringConstraints(max_length=40), AfterValidator(_moment)]
    over: bool = False


class Proposed(Body):
    """The request."""

    proposal: Terms


FORM = Form(body=Proposed)


def propose(node: Node, request: Payload, *, find: Find) -> Payload:
    """A proposal -> agreed, waiting or refused, with the digest that was computed here and the code of a refusal.

    ProtocolError where the digest is not that of the study, or an id comes with another study than before; PolicyError
    where this institution is no member, ConfigError where the study breaks a rule of its own.
    """
    if request.size() > MOST_BYTES:
        raise ProtocolError(
            f"a proposal of more than {MOST_BYTES >> 10} kB came, and none has so much to say; it was not read"
        )
    terms = request.get("proposal")
    study, recipe = _read(node, terms, find)
    digest, over = study.digest(), bool(terms.get("over"))
    store, days = node.store.proposals, node.institution.policy.approval_days
    asked = store.get(str(terms["id"]))
    if asked is None:
        if over:
            return _answer("refused", digest, WITHDRAWN)
        if not store.has_room(approvals.now_utc(), days):
            return _answer("refused", digest, FULL)
        asked = _first(node, terms, study.model_dump(mode="json"), digest, request)
    elif (asked.digest, asked.research_seed) != (digest, terms["research_seed"]):
        raise ProtocolError("the id of a proposal was used before for another study; propose it anew")
    if asked.stage(approvals.now_utc(), days) in ("waiting", "agreed"):
        asked = taken_back(node, study, asked) if over else _decided(node, asked, study, recipe)
        if not over and asked.stage(approvals.now_utc(), days) != "refused" and unsettled(node, study):
            # Once the roster is accepted here, keys are those that the others sign with.
            return _answer("waiting", digest)
    return _word(node, asked)


def _read(node: Node, terms: Mapping[str, Any], find: Find) -> tuple[Study, Recipe]:
    """The study and its recipe; errors as of ``propose``."""
    study, recipe = find(terms["study"])
    if study.digest() != terms["digest"]:
        raise ProtocolError(
            f"the hub says another digest of study {study.name} than {node.name} computes; both must run the same "
            "version, and the hub must say of a study what it is"
        )
    if node.name not in study.members:
        raise PolicyError(f"study {study.name} was proposed to {node.name}, which is no member of it")
    check_role(study, node)
    return study, recipe


def _decided(node: Node, asked: Asked, study: Study, recipe: Recipe) -> Asked:
    """The proposal, refused where the policy forbids it now, approved where a standing rule covers it."""
    found = assess(node, study, recipe, research=asked.research_seed is not None)
    if found.broken:
        return refuse_by_policy(node, study, asked, found)
    return approve_by_rule(node, study, asked, found)


def _word(node: Node, asked: Asked) -> Payload:
    """What the hub is told of a proposal."""
    stage = asked.stage(approvals.now_utc(), node.institution.policy.approval_days)
    if stage == "refused":
        return _answer("refused", asked.digest, asked.decision_code or PolicyError.code)
    if stage == "lapsed":
        return _answer("refused", asked.digest, LAPSED)
    if stage == "used" and used_up(node, asked):
        return _answer("refused", asked.digest, USED)
    return _answer("waiting" if stage == "waiting" else "agreed", asked.digest)


def _first(node: Node, terms: Any, content: dict[str, Any], digest: str, request: Payload) -> Asked:
    """Enter and keep a proposal that comes for the first time."""
    asked = Asked(
        id=terms["id"],
        study=content,
        digest=digest,
        research_seed=terms["research_seed"],
        mu=None,
        asked=stamp(approvals.now_utc()),
        deadline=terms["deadline"],
    )
    enter(node, asked, action="propose", event="request", kind=PROPOSED, digest=digest, bytes=request.size())
    node.store.proposals.put(asked)
    return asked


def _answer(state: str, digest: str, code: str | None = None) -> Payload:
    return Payload({"state": state, "digest": digest, "code": code})
