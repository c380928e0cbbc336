"""What a member of a consortium of several machines looks at besides: keys of the others, and its people's approval."""

from fedrisk.clients.approvals import approval_for, in_words, now_utc
from fedrisk.clients.node import Node
from fedrisk.clients.roster import unsettled
from fedrisk.clients.store.proposal_store import Asked
from fedrisk.engine.member_check import Looked
from fedrisk.errors import EnvelopeError, PolicyError
from fedrisk.findings import Finding
from fedrisk.recipes import find_recipe
from fedrisk.study import Study

_ATTEMPT = "0" * 32
"""Stands for an attempt that is still to come."""


def look_at_consortium(study: Study, looked: Looked, research_seed: int | None) -> None:
    """Add what would be refused, and what people should look at; writes nothing."""
    node = looked.node
    looked.attempt(lambda: _check_keys(study, node))
    looked.attempt(lambda: _look_at_approval(study, looked, research_seed))


def _check_keys(study: Study, node: Node) -> None:
    """EnvelopeError where an epoch of the roster that nobody accepted yet has other keys of members than are pinned."""
    # Who is not pinned at all is a stranger, which the rules of the study say.
    changed = [name for name in unsettled(node, study) if name in node.store.pins.institutions]
    if changed:
        raise EnvelopeError(
            f"{node.name}: the keys of {', '.join(changed)} are others in an epoch of the roster that is not accepted "
            "here, so they would not be believed; look at fedrisk node roster, compare words and accept"
        )


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
