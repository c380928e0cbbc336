"""What a member of a consortium of several machines looks at besides: keys of the others, and its people's approval."""

from fedrisk.clients.approvals import approval_for, in_words, now_utc, unknown_members
from fedrisk.clients.node import Node
from fedrisk.clients.store.proposal_store import Asked
from fedrisk.engine.member_check import Looked
from fedrisk.errors import EnvelopeError, PolicyError
from fedrisk.findings import Finding
from fedrisk.recipes import find_recipe
from fedrisk.study import Study

_ATTEMPT = "none that began"
"""Stands for an attempt that is still to come."""


def look_at_consortium(study: Study, looked: Looked, research_seed: int | None) -> None:
    """Add what would be refused, and what people should look at; writes nothing."""
    node = looked.node
    looked.attempt(lambda: _check_keys(study, node))
    looked.attempt(lambda: _look_at_approval(study, looked, research_seed))


def _check_keys(study: Study, node: Node) -> None:
    """EnvelopeError where the hub's key or a member's is not pinned here: nothing could be sealed for it."""
    strangers = unknown_members(node, study)
    if strangers:
        raise EnvelopeError(
            f"{node.name}: no key of {', '.join(strangers)} is pinned here, so nothing can be sealed for them; accept "
            "the newest roster (fedrisk node roster)"
        )
    if node.store.registered:
        node.store.pins.of_hub()


def _look_at_approval(study: Study, looked: Looked, research_seed: int | None) -> None:
    """PolicyError where people refused exactly this study; a finding where they have still to approve it."""
    node, digest = looked.node, study.digest()
    try:
        approval_for(node, study, research_seed, _ATTEMPT, find=find_recipe)
    except PolicyError:
        kept = [
            a for a in node.store.proposals.all() if (a.digest, a.research_seed) == (digest, research_seed)
        ]
        if not kept:
            looked.asked.append(Finding("not_proposed"))
            return
        _tell(node, looked, kept[-1])


def _tell(node: Node, looked: Looked, asked: Asked) -> None:
    words = in_words(asked, node, now_utc())
    if asked.stage(now_utc(), node.institution.policy.approval_days) == "refused":
        raise PolicyError(f"{node.name}: proposal {asked.id} was {words}") from None
    looked.asked.append(Finding("not_approved", {"proposal": asked.id, "state": words}))
