"""Exchanges 2 to 4, alignment: from ids to pseudonyms that only the hub may compare.

Every institution blinds its ids, the key authority evaluates the blinded points and proves that it used the key
that it stated, the institution verifies and unblinds (RFC 9497, verifiable mode). Blinded and evaluated points
travel sealed between institution and authority, so that the relaying hub cannot slip in ids of its own; pseudonyms
travel sealed to a key that the hub draws for the attempt and signs, so that the authority, which could invert them,
cannot read them in a database, and nobody can once the attempt is over.
"""

import hashlib
import json
import math
from typing import Annotated

import numpy as np
from pydantic import Field

from fedrisk.alignment import oprf
from fedrisk.clients import out_of_time, quota_words
from fedrisk.clients.attempt import Attempt, Peers
from fedrisk.clients.common_view import check_protocol
from fedrisk.clients.evaluation_key import check_stated, secret_key, stated_key
from fedrisk.clients.node import Node
from fedrisk.clients.row_order import labelled_rows
from fedrisk.clients.witness import check_heads
from fedrisk.errors import EnvelopeError, ProtocolError, QuotaError
from fedrisk.protocol.actions import Action, Disclosure, authority
from fedrisk.protocol.form import MOST_ROWS, SEALED, Body, Form, Hex, Seed
from fedrisk.protocol.groups import check_groups
from fedrisk.protocol.payload import Payload
from fedrisk.protocol.statements import Statement, features_of_roles, same_labels
from fedrisk.secure.envelope import Context, open_sealed, seal
from fedrisk.secure.identity import HUB, SignedKey, verify
from fedrisk.study import Study

GROWTH = 1.25
"""By how much an institution may grow within an epoch before the authority's operator has to agree again."""


def blind(node: Node, request: Payload) -> Payload:
    """Everybody's and the hub's ephemeral keys -> blinded ids sealed for the authority, with the number of new ones."""
    attempt = node.attempt(request)
    study = attempt.study
    keys = take_members(attempt, request)
    check_stated(attempt)
    check_heads(attempt, attempt.told("members"))
    if not node.institution.has_table or node.name == study.authority:
        return Payload({"new": 0})
    ids = attempt.read().ids
    known = node.store.pseudonyms.known(attempt.key_tag, ids)
    # By id: the row order is another one in every attempt, and a request without an answer is asked again as it was.
    new_ids = [i.encode() for i in sorted(ids[~known])]
    if not new_ids:
        return Payload({"new": 0})
    kept = node.store.pseudonyms.pending(attempt.key_tag, new_ids)
    if kept is None:
        kept = oprf.blind(new_ids, pool=oprf.shared_pool())
        node.store.pseudonyms.keep_pending(attempt.key_tag, new_ids, *kept)
    points = kept[1]
    head = json.dumps({"declared": len(ids)}).encode()
    sealed = seal(
        attempt.key,
        keys[study.authority],
        _context(attempt, "blinded", node.name, study.authority),
        [head, points],
    )
    return Payload({"new": len(new_ids)}, {"blinded": sealed})


def take_members(attempt: Attempt, request: Payload) -> dict[str, SignedKey]:
    """Check what the hub tells of the members with this request, and keep their keys.

    Own statement, study and kind of run have to be those of this institution, and the protocol that of the message;
    that the others were told the same, they confirm (clients/common_view).
    """
    told = attempt.told("members")
    check_protocol(request, told.get("protocol"))
    study, pins = attempt.study, attempt.node.store.pins
    if (told.get("study"), told.get("research_seed")) != (study.digest(), attempt.research_seed):
        raise ProtocolError(
            "the hub tells members of another study, or another kind of run, than this institution agreed to; "
            "nothing is answered. Ask the consortium's operator"
        )
    keys = {name: SignedKey.from_dict(key) for name, key in told.get("keys").items()}
    if set(keys) != set(study.members) or set(attempt.statements) != set(study.members):
        raise ProtocolError(
            "the hub did not relay one key and one statement for each institution of the study; run the study again"
        )
    if told.get("statements")[attempt.name] != attempt.agreement.statement:
        raise ProtocolError(
            f"the hub tells other facts of {attempt.name} than it stated; nothing is answered. Ask the "
            "consortium's operator"
        )
    for name, key in keys.items():
        verify(key, pins.of(name), name, study.digest(), attempt.state.id)
        if attempt.statements[name].role != study.role_of(name):
            raise ProtocolError(f"{name} states another role than the study says; agree on one")
        if attempt.statements[name].roster != attempt.statements[attempt.name].roster:
            raise EnvelopeError(
                f"{name} accepted another roster than {attempt.name}: one of the two has not accepted the newest epoch "
                "yet, or the hub told them different ones. Compare the words of the epoch (fedrisk node roster)"
            )
    features_of_roles(study, attempt.statements)
    check_groups(study, attempt.statements)
    same_labels(study, attempt.statements)
    hub = SignedKey.from_dict(told.get("hub_key"))
    verify(hub, pins.of_hub(), HUB, study.digest(), attempt.state.id)
    own = {name: key.to_dict() for name, key in keys.items()}
    attempt.state.save(Peers(keys=own, hub=hub.to_dict(), protocol=told.get("protocol")))
    return keys


def evaluate(node: Node, request: Payload) -> Payload:
    """Authority only: sealed blinded ids of each institution -> sealed evaluated points with their proofs."""
    attempt = node.attempt(request)
    study = attempt.study
    if node.name != study.authority:
        raise ProtocolError(
            f"{node.name} is not the key authority of study {study.name}; check alignment.authority"
        )
    if set(request.blobs) - set(study.members):
        raise ProtocolError("blinded ids came under a name that is no member's; run the study again")
    # All envelopes are opened before anything is debited.
    asked = {name: _blinded(attempt, name, request.raw(name)) for name in request.blobs}
    answers = {}
    for name, (declared, points) in asked.items():
        if not attempt.research:
            _debit(attempt, name, declared, points)
        evaluated, proofs = oprf.evaluate(points, secret_key(attempt), pool=oprf.shared_pool())
        parts = [hashlib.sha256(points).digest(), evaluated, proofs]
        context = _context(attempt, "evaluated", node.name, name)
        answers[name] = seal(attempt.key, attempt.peers[name], context, parts)
    return Payload({}, answers)


def _debit(attempt: Attempt, name: str, declared: int, points: bytes) -> None:
    """Count an institution's points against what was agreed with it; QuotaError, with the remedy, where they exceed it.

    Not in a research run: its key follows from the study, so that anybody can compute its pseudonyms without the
    authority, and they say nothing about those of an epoch (evaluation_key.secret_key). There is nothing to limit, and
    an account that is used up would lock out later runs.
    """
    node, digest = attempt.node, hashlib.sha256(points)
    fingerprint, quota = node.store.fingerprint(name), node.store.authority.quota
    agreed = quota.size(fingerprint, attempt.key_tag)
    try:
        quota.debit(
            fingerprint,
            attempt.key_tag,
            len(points) // 32,
            math.ceil(GROWTH * declared) if agreed is None else agreed,
            request=digest.hexdigest(),  # the same points again, after a study that stopped, cost nothing
            digest=digest.digest(),
        )
    except QuotaError as error:
        raise quota_words.refused(
            error,
            name=name,
            authority=node.name,
            epoch=attempt.study.alignment.epoch,
            file=node.institution.file,
        ) from None


def _blinded(attempt: Attempt, name: str, sealed: bytes) -> tuple[int, bytes]:
    """How many ids an institution declares, and its blinded points; ProtocolError where the envelope does not open."""
    context = _context(attempt, "blinded", name, attempt.name)
    try:
        head, points = open_sealed(attempt.key, attempt.peers[name], context, sealed)
        declared = json.loads(head)["declared"]
    except (ValueError, KeyError, TypeError):
        declared = None
    if type(declared) is not int or not 0 <= declared <= MOST_ROWS or len(points) % 32:
        raise ProtocolError(f"what {name} asks the key authority for is malformed; run the study again")
    return declared, points


def pseudonyms(node: Node, request: Payload) -> Payload:
    """Sealed evaluated points -> all own pseudonyms, sealed for the hub, in the attempt's row order.

    ProtocolError where the authority's proofs do not hold; nothing of its answer is used then.

    Banks of an out-of-time study add which rows are hold-out. Everybody adds which rows were hold-out or
    training under another key, so that an enterprise keeps its side when the key is renewed.
    """
    attempt = node.attempt(request)
    table = attempt.read()
    values, known = node.store.pseudonyms.of(attempt.key_tag, table.ids)
    place = np.flatnonzero(~known)
    place = place[np.argsort(table.ids[place].astype(str), kind="stable")]
    new = [i.encode() for i in table.ids[place]]
    if new:
        values[place] = _pseudonyms_of(attempt, new, request)
        node.store.pseudonyms.keep(attempt.key_tag, table.ids, values)
        node.store.pseudonyms.drop_pending(attempt.key_tag)
    flags = np.zeros((3, len(table)), np.uint8)
    flags[0] = out_of_time.flags(attempt, table)
    if not attempt.research:
        flags[1], flags[2] = node.store.pseudonyms.earlier_split(attempt.key_tag, table.ids)
    context = _context(attempt, "pseudonyms", node.name, HUB)
    about = {"rows": len(table), "labelled": labelled_rows(attempt)}
    return Payload(about, {"pseudonyms": seal(attempt.key, attempt.hub, context, [values, flags])})


def _pseudonyms_of(attempt: Attempt, ids: list[bytes], request: Payload) -> oprf.Pseudonyms:
    """Pseudonyms of new ids under the stated key, which the institution keeps as its epoch's from then on: (n, 32)."""
    kept, pool, public = attempt.node.store.pseudonyms, oprf.shared_pool(), stated_key(attempt)
    if attempt.name == attempt.study.authority:
        found = oprf.pseudonyms(ids, secret_key(attempt), pool=pool)
    else:
        context = _context(attempt, "evaluated", attempt.study.authority, attempt.name)
        peer = attempt.peers[attempt.study.authority]
        digest, evaluated, proofs = open_sealed(attempt.key, peer, context, request.raw("evaluated"))
        asked = kept.pending(attempt.key_tag, ids)
        if asked is None or hashlib.sha256(asked[1]).digest() != digest:
            raise ProtocolError("the evaluated points are not those that were asked for; run the study again")
        found = oprf.finalise(ids, *asked, evaluated, proofs, public, pool=pool)
    kept.keep_key(attempt.key_tag, public)
    return found


def _context(attempt: Attempt, what: str, sender: str, receiver: str) -> Context:
    return Context(
        study=attempt.study.digest(),
        release="alignment",
        attempt=attempt.state.id,
        direction=what,
        sender=sender,
        receiver=receiver,
    )


_BLINDED = "blinded"
_SEALED_FOR_HUB = "keyed_sealed_for_hub"


class RelayedKey(Body):
    """A member's key of the attempt, signed by its identity (secure/identity.SignedKey)."""

    institution: str
    study_digest: str
    attempt: str
    public: Hex
    signature: Hex


Head = dict[str, str | int | float | None]
"""A signed head of a trail (audit/signed_head)."""


class Members(Body):
    """Who takes part: keys of all and of the hub, heads of trails, and what each states of itself; the protocol."""

    study: str
    protocol: Annotated[int, Field(ge=1)]
    research_seed: Seed | None
    keys: dict[str, RelayedKey]
    hub_key: RelayedKey
    signed_heads: dict[str, Head]
    witnessed: dict[str, dict[str, Head]]
    statements: dict[str, Statement]


MEMBERS = Form(body=Members)
"""Form of the part ``members`` of the common view, the first that is told."""


def _told(study: Study, institution: str) -> str:
    """What the hub learns with the pseudonyms: at a bank of an out-of-time study also a column, on which side it is."""
    return "pseudonyms_and_date_side" if out_of_time.asked(study, institution) else "pseudonyms"


ACTIONS: tuple[Action, ...] = (
    Action(
        name="blind",
        serve=blind,
        tells={"members": MEMBERS},
        sends=Disclosure("blinded_ids", _BLINDED, authority),
    ),
    Action(
        name="evaluate",
        serve=evaluate,
        form=Form(blobs={"*": SEALED}),
        receives=Disclosure("blinded_ids", _BLINDED),
        sends=Disclosure("evaluated_ids", _BLINDED),
        last_of_authority=True,
    ),
    Action(
        name="pseudonyms",
        serve=pseudonyms,
        form=Form(blobs={"evaluated": SEALED}),
        receives=Disclosure("evaluated_ids", _BLINDED, authority),
        answers=Disclosure(_told, _SEALED_FOR_HUB),
    ),
)
