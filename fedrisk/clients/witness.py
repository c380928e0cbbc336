"""What the institutions of a study witness of each other, so that a store put back from a copy shows.

In every study each institution gives a signed head of its trail, with its ledger's figures, and the latest heads of
the others that it has witnessed. The others compare the head with those they kept; the institution itself compares what
they kept with its own trail and ledger. Whoever finds a contradiction leaves a mark in its own store and takes no
further study with the institution concerned, itself included, until a person answers for it (audit/witness).
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fedrisk.audit.entry import CONTRADICTION_ANSWERED
from fedrisk.audit.signed_head import SignedHead, Stated, coarse
from fedrisk.audit.witness import (
    Mark,
    answer_marks,
    answered_until,
    contradiction,
    latest_witnessed,
    leave_mark,
    load_witnessed,
    marks_of,
)
from fedrisk.clients.attempt import Attempt
from fedrisk.clients.node import Node
from fedrisk.clients.restore import restore_ledger
from fedrisk.errors import ConfigError, EnvelopeError, PolicyError, ProtocolError
from fedrisk.protocol.payload import Payload
from fedrisk.study import Study
from fedrisk.user import user_name

AHEAD = timedelta(days=1)
"""How far this machine's clock may be ahead of every other institution's."""

_ANSWER = "fedrisk audit answer FILE {name} --reason TEXT"


@dataclass(frozen=True, kw_only=True)
class Given:
    """Heads of the others that this institution gave out in the attempt, the same whenever it is asked."""

    heads: dict[str, dict[str, Any]]


def refuse_marked(node: Node, study: Study) -> None:
    """PolicyError where a contradiction about a member of the study, or about this node, is not answered for."""
    marked = [mark for name in study.members for mark in marks_of(node.trail_path, name)]
    if marked:
        raise PolicyError("; ".join(_words(node, mark) for mark in marked))


def own_head(node: Node, attempt: str = "") -> SignedHead:
    """A signed head of the node's trail that states its ledger's figures; those of an authority are zero."""
    entries, mu = node.ledger.figures() if node.institution.has_table else (0, 0.0)
    return node.trail.signed_head(Stated(entries=entries, lifetime_mu=coarse(mu), attempt=attempt))


def stated_heads(attempt: Attempt) -> dict[str, Any]:
    """What describe answers of them: ``signed_head``, this node's own, and ``witnessed``, the others' by name."""
    node, given = attempt.node, attempt.state.find(Given)
    if given is None:
        others = {
            name: latest_witnessed(node.trail_path, name)
            for name in attempt.study.members
            if name != node.name
        }
        given = Given(heads={name: _plain(head) for name, head in others.items() if head is not None})
        attempt.state.save(given)
    return {"signed_head": _plain(own_head(node, attempt.state.id)), "witnessed": given.heads}


def check_heads(attempt: Attempt, request: Payload) -> None:
    """Keep the others' heads, and compare all that was witnessed, of them and of this node.

    Request: ``signed_heads`` by name, ``witnessed`` by giver and name. Errors: PolicyError where this machine's clock
    is ahead; ProtocolError where heads contradict each other, after a mark is left; EnvelopeError, without a mark, for
    a head that is not what it is relayed as: anybody could bring in such a one.
    """
    heads, kept = _relayed(attempt, request), _kept_of_own(attempt, request.get("witnessed"))
    node, others = attempt.node, [head for name, head in heads.items() if name != attempt.name]
    _check_clock(node.name, [head.time for head in others])
    found = []
    for head in others:
        try:
            node.trail.witness(head, node.store.pins.of(head.institution))
        except EnvelopeError:
            raise
        except ProtocolError as error:
            # The others are compared too: each contradiction leaves its mark.
            found.append(str(error))
    found += _check_own(attempt, kept)
    if found:
        raise ProtocolError("; ".join(found))


def foreseen(node: Node, others: Mapping[str, Node]) -> list[str]:
    """What ``check_heads`` would find in a study with these nodes, in words; leaves no mark.

    For one machine, where all stores are at hand: this node's present head against the heads of it that the others
    keep, which both sides would refuse.
    """
    if not node.trail_path.exists():
        return []  # nothing to sign yet; that a trail is gone, its own check says
    now, found = own_head(node), []
    for giver, other in others.items():
        kept = load_witnessed(other.trail_path, node.name)
        known = answered_until(node.trail_path, node.name)
        latest = latest_witnessed(other.trail_path, node.name)
        what = ""
        if latest is not None and latest.time > known:
            what = _own_contradiction(latest, node.trail.hash_at(latest.count), now)
        what = what or next((w for head in kept if (w := contradiction(now, head))), "")
        if what:
            found.append(
                f"{giver} keeps a signed head of {node.name} that {node.name} no longer agrees with ({what}): its "
                "store was put back from an older copy, or its trail was rewritten. Put the latest store back; the "
                f"study is refused, and both have to answer for it ('{_ANSWER.format(name=node.name)}')"
            )
    return found


def answer(node: Node, name: str, *, reason: str, who: str | None = None) -> None:
    """Answer for the contradictions about an institution: a recorded act, after which studies with it are taken again.

    About this node itself the ledger records it too, as it does a restore: charges that were forgotten do not come
    back. ConfigError without a reason, or where nothing is marked.
    """
    if not reason.strip():
        raise ConfigError("audit answer needs a reason: what happened, and what was compared")
    marks = marks_of(node.trail_path, name)
    if not marks:
        raise ConfigError(f"{node.name} has no contradiction about {name} to answer for; check the name")
    who = who or user_name()
    if name == node.name and node.institution.has_table:
        restore_ledger(node, reason=reason, who=who)
    evidence = json.dumps([*(asdict(mark) for mark in marks), reason, who]).encode()
    digest = hashlib.sha256(evidence).hexdigest()
    entry = node.trail.note(CONTRADICTION_ANSWERED, counterparty=name, digest=digest)
    answer_marks(node.trail_path, name, reason=reason, who=who, time=entry.time)


def _relayed(attempt: Attempt, request: Payload) -> dict[str, SignedHead]:
    """The relayed heads, one of each member, signed for this attempt."""
    plain, given = request.get("signed_heads"), request.get("witnessed")
    if not isinstance(plain, Mapping) or set(plain) != set(attempt.study.members):
        raise ProtocolError(
            "the hub did not relay one signed head for each institution of the study; run the study again"
        )
    own = attempt.state.find(Given)
    mine = given.get(attempt.name) if isinstance(given, Mapping) else None
    if own is None or mine != own.heads:
        raise ProtocolError(
            f"the hub did not relay the signed heads that {attempt.name} gave; run the study again, and inform the "
            "other institutions if it happens again"
        )
    heads = {name: SignedHead.from_json(json.dumps(content)) for name, content in plain.items()}
    for name, head in heads.items():
        fits = head.institution == name and head.attempt == attempt.state.id
        if not fits or not head.holds(_key_of(attempt, name)):
            raise EnvelopeError(
                f"the signed head relayed for {name} is another institution's, of another attempt, or not signed by "
                "its pinned key; tell the consortium's operator"
            )
    return heads


def _key_of(attempt: Attempt, name: str) -> bytes:
    store = attempt.node.store
    return store.identity.public if name == attempt.name else store.pins.of(name)


def _kept_of_own(attempt: Attempt, witnessed: Mapping[str, Mapping[str, Any]]) -> dict[str, SignedHead]:
    """Heads of this node that others keep, by giver, verified; EnvelopeError where any head relayed is malformed."""
    node, members = attempt.node, attempt.study.members
    if any(name not in members for heads in (witnessed, *witnessed.values()) for name in heads):
        raise EnvelopeError(
            "signed heads of institutions that are no members are relayed; run the study again"
        )
    every = {
        giver: {name: SignedHead.from_json(json.dumps(head)) for name, head in heads.items()}
        for giver, heads in witnessed.items()
    }
    own = {
        giver: heads[node.name] for giver, heads in every.items() if giver != node.name and node.name in heads
    }
    for giver, head in own.items():
        if head.institution != node.name or not any(head.holds(key) for key in node.store.identities):
            raise EnvelopeError(
                f"{giver} keeps a head of {node.name} that {node.name} never signed; compare keys with {giver}"
            )
    return own


def _check_own(attempt: Attempt, kept: Mapping[str, SignedHead]) -> list[str]:
    """What others keep of this node against its own trail and ledger: contradictions in words, each with its mark."""
    node = attempt.node
    trail, known = node.trail, answered_until(node.trail_path, node.name)
    now = own_head(node)
    found = []
    for giver, head in kept.items():
        if head.time <= known:
            continue
        what = _own_contradiction(head, trail.hash_at(head.count), now)
        if what:
            mark = Mark(institution=node.name, kept=now, came=head, what=f"{giver} keeps {what}")
            leave_mark(node.trail_path, mark)
            found.append(_words(node, mark))
    return found


def _own_contradiction(head: SignedHead, at: str | None, now: SignedHead) -> str:
    """What a head that this node once signed says and its trail and ledger no longer do; empty where all is there."""
    if at is None:
        return f"a trail of {head.count} entries, and here are {now.count}"
    if at != head.hash:
        return f"another trail of {head.count} entries"
    if head.entries is not None and head.entries > (now.entries or 0):
        return f"{head.entries} entries of the ledger, and here are {now.entries}"
    if head.lifetime_mu is not None and head.lifetime_mu > (now.lifetime_mu or 0.0):
        return f"mu {head.lifetime_mu:g} ever charged, and here is {now.lifetime_mu:g}"
    return ""


def _check_clock(name: str, times: Iterable[str]) -> None:
    """PolicyError where all others' signed times are more than a day behind: a later date opens a new budget."""
    latest = max(times, default="")
    if not latest:
        return
    try:
        ahead = _now() - datetime.fromisoformat(latest)
    except (ValueError, TypeError):
        raise EnvelopeError("a signed head has no time that can be read; ask for it again") from None
    if ahead > AHEAD:
        raise PolicyError(
            f"the clock of {name} is {ahead.days} day(s) ahead of every other institution of this study; a clock that "
            "is ahead opens a new period of the privacy budget. Set the machine's date right, and run the study again"
        )


def _words(node: Node, mark: Mark) -> str:
    """The rule, and the remedy, for a person at the institution."""
    command = _ANSWER.format(name=mark.institution)
    if mark.institution == node.name:
        return (
            f"{node.name} has lost part of its own history ({mark.what}): its store was put back from an older copy, "
            "and charges are forgotten. Nothing is released. Put the latest store back; if there is none, charge by "
            f"hand what came after the copy (lower the caps), and answer for it with '{command}'"
        )
    return (
        f"two signed heads of {mark.institution} contradict each other ({mark.what}), and no study with it is taken "
        f"until a person answers for it. Ask {mark.institution} what happened and for its whole log, compare, and run "
        f"'{command}'"
    )


def _plain(head: SignedHead) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(head.to_json())
    return plain


def _now() -> datetime:
    return datetime.now(UTC)
