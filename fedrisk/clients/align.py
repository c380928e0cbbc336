"""Exchanges 2 to 4, alignment: from ids to pseudonyms that only the hub may compare.

Every institution blinds its ids, the key authority evaluates the blinded points, the institution unblinds
(RFC 9497). Blinded and evaluated points travel sealed between institution and authority, so that the relaying
hub cannot slip in ids of its own; pseudonyms travel sealed to the hub, so that the authority, which could
invert them, cannot read them in a database.
"""

import hashlib
import json
import math

import numpy as np

from fedrisk.alignment import oprf
from fedrisk.clients import out_of_time
from fedrisk.clients.attempt import Attempt, Peers
from fedrisk.clients.node import Node
from fedrisk.clients.witness import check_heads
from fedrisk.errors import ProtocolError
from fedrisk.protocol.actions import Action, Disclosure, authority
from fedrisk.protocol.payload import Payload
from fedrisk.secure.envelope import Context, open_sealed, seal
from fedrisk.secure.identity import HubPublic, SignedKey, verify
from fedrisk.study import Study

GROWTH = 1.25
"""By how much an institution may grow within an epoch before the authority's operator has to agree again."""


def blind(node: Node, request: Payload) -> Payload:
    """Everybody's keys and signed heads -> blinded ids sealed for the authority, with the number of new ones."""
    attempt = node.attempt(request)
    study = attempt.study
    keys = {name: SignedKey.from_dict(key) for name, key in request.get("keys").items()}
    if set(keys) != set(study.members):
        raise ProtocolError(
            "the hub did not relay one key for each institution of the study; run the study again"
        )
    pins = node.store.pins
    for name, key in keys.items():
        verify(key, pins.of(name), name, study.digest(), attempt.state.id)
    attempt.begin_once("keys_digest", Payload({"keys": request.get("keys")}))
    attempt.state.save(Peers(keys={name: key.to_dict() for name, key in keys.items()}))
    check_heads(attempt, request)
    if node.institution.kind == "authority" or node.name == study.authority:
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


def evaluate(node: Node, request: Payload) -> Payload:
    """Authority only: sealed blinded ids of each institution -> sealed evaluated points."""
    attempt = node.attempt(request)
    study = attempt.study
    if node.name != study.authority:
        raise ProtocolError(
            f"{node.name} is not the key authority of study {study.name}; check alignment.authority"
        )
    answers = {}
    for name in request.blobs:
        blob = request.raw(name)
        peer = attempt.peers[name]
        head, points = open_sealed(attempt.key, peer, _context(attempt, "blinded", name, node.name), blob)
        count = len(points) // 32
        fingerprint, digest = node.store.fingerprint(name), hashlib.sha256(points)
        agreed = node.store.quota.size(fingerprint, attempt.key_tag)
        node.store.quota.debit(
            fingerprint,
            attempt.key_tag,
            count,
            math.ceil(GROWTH * int(json.loads(head)["declared"])) if agreed is None else agreed,
            request=digest.hexdigest(),  # the same points again, after a study that stopped, cost nothing
            digest=digest.digest(),
        )
        evaluated = oprf.evaluate(points, _key(attempt), pool=oprf.shared_pool())
        parts = [digest.digest(), evaluated]
        answers[name] = seal(attempt.key, peer, _context(attempt, "evaluated", node.name, name), parts)
    if node.institution.kind == "authority":
        attempt.state.forget_secrets()  # its part in the attempt is over
    return Payload({}, answers)


def pseudonyms(node: Node, request: Payload) -> Payload:
    """Sealed evaluated points -> all own pseudonyms, sealed for the hub, in the attempt's row order.

    Banks of an out-of-time study add which rows are hold-out. Everybody adds which rows were hold-out or
    training under another key, so that an enterprise keeps its side when the key is renewed.
    """
    attempt = node.attempt(request)
    study = attempt.study
    table = attempt.read()
    values, known = node.store.pseudonyms.of(attempt.key_tag, table.ids)
    place = np.flatnonzero(~known)
    place = place[np.argsort(table.ids[place].astype(str), kind="stable")]
    new = [i.encode() for i in table.ids[place]]
    if new:
        pool = oprf.shared_pool()
        if node.name == study.authority:
            values[place] = oprf.pseudonyms(new, _key(attempt), pool=pool)
        else:
            context = _context(attempt, "evaluated", study.authority, node.name)
            digest, points = open_sealed(
                attempt.key, attempt.peers[study.authority], context, request.raw("evaluated")
            )
            kept = node.store.pseudonyms.pending(attempt.key_tag, new)
            if kept is None or hashlib.sha256(kept[1]).digest() != digest:
                raise ProtocolError(
                    "the evaluated points are not those that were asked for; run the study again"
                )
            values[place] = oprf.finalise(new, kept[0], points, pool=pool)
        node.store.pseudonyms.keep(attempt.key_tag, table.ids, values)
        node.store.pseudonyms.drop_pending(attempt.key_tag)
    flags = np.zeros((3, len(table)), np.uint8)
    flags[0] = out_of_time.flags(attempt, table)
    if not attempt.research:
        flags[1], flags[2] = node.store.pseudonyms.earlier_split(attempt.key_tag, table.ids)
    hub = HubPublic(node.store.pins.hub)
    sealed = seal(
        attempt.key, hub, _context(attempt, "pseudonyms", node.name, hub.institution), [values, flags]
    )
    return Payload({"rows": len(table)}, {"pseudonyms": sealed})


def _context(attempt: Attempt, what: str, sender: str, receiver: str) -> Context:
    return Context(
        study=attempt.study.digest(),
        release="alignment",
        attempt=attempt.state.id,
        direction=what,
        sender=sender,
        receiver=receiver,
    )


def _key(attempt: Attempt) -> bytes:
    """The epoch's key; in a research run one that follows from the study, so that the run can be repeated."""
    if not attempt.research:
        return attempt.node.store.authority_key(attempt.study.alignment.epoch)
    return oprf.derive_key(
        hashlib.sha256(attempt.key_tag.encode()).digest(), b"fedrisk research run, no privacy"
    )


_BLINDED = "blinded"
_SEALED_FOR_HUB = "keyed_sealed_for_hub"


def _told(study: Study, institution: str) -> str:
    """What the hub learns with the pseudonyms: at a bank of an out-of-time study also a column, on which side it is."""
    return "pseudonyms_and_date_side" if out_of_time.asked(study, institution) else "pseudonyms"


ACTIONS: tuple[Action, ...] = (
    Action(name="blind", serve=blind, sends=Disclosure("blinded_ids", _BLINDED, authority)),
    Action(
        name="evaluate",
        serve=evaluate,
        receives=Disclosure("blinded_ids", _BLINDED),
        sends=Disclosure("evaluated_ids", _BLINDED),
    ),
    Action(
        name="pseudonyms",
        serve=pseudonyms,
        receives=Disclosure("evaluated_ids", _BLINDED, authority),
        answers=Disclosure(_told, _SEALED_FOR_HUB),
    ),
)
