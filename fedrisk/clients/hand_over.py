"""After a study: the institution's signed table of what left it, for the hub and whoever compares.

The table (audit/table) is made from the institution's own trail. It holds nothing that the hub did not relay or was not
told in the study. Handing it over ends the attempt here: its secrets go, so that nothing more of it leaves afterwards,
and the table says all there is. It can be asked for again at any later time, and is the same then: a later head would
tell a hub that asks every day how much else happens here, and two tables of one attempt would prove less than one.
"""

import contextlib
import json

from fedrisk.audit.table import ACTION, SignedTable, lines_of
from fedrisk.clients.node import Node
from fedrisk.clients.witness import own_head
from fedrisk.errors import EnvelopeError, ProtocolError
from fedrisk.protocol.actions import Action, Disclosure
from fedrisk.protocol.form import Form, OfAttempt
from fedrisk.protocol.payload import Payload


def hand_over(node: Node, request: Payload) -> Payload:
    """Attempt -> the signed table; ProtocolError where the institution had no part in it."""
    attempt = str(request.get("attempt"))
    entries = [entry for entry in node.trail.entries(attempt=attempt) if entry.action != ACTION]
    lines = lines_of(entries, attempt)
    if not lines:
        raise ProtocolError(
            f"{node.name} had no part in attempt {attempt}; a table is asked of members alone, after their study"
        )
    known = node.store.knows(attempt)
    if known:
        node.store.attempt(attempt).forget_secrets()
        before = _given(node, attempt)
        if before is not None and before.lines == lines:
            return Payload({"table": before.to_dict()})
    study = next(entry.study for entry in entries if entry.study)
    table = SignedTable.sign(study, attempt, own_head(node, attempt), lines, node.store.identity)
    if known:
        node.store.attempt(attempt).put_message(_GIVEN, json.dumps(table.to_dict()).encode())
    return Payload({"table": table.to_dict()})


def _given(node: Node, attempt: str) -> SignedTable | None:
    """The table that was given before; None where there is none, or the institution's key is another one now."""
    content = node.store.attempt(attempt).message(_GIVEN)
    if content is None:
        return None
    with contextlib.suppress(ValueError, EnvelopeError):
        table = SignedTable.from_dict(json.loads(content))
        return table if table.holds(node.store.identity.public) else None
    return None


_GIVEN = "disclosures"
"""Name of the message that is kept of it."""


HAND_OVER = Action(
    name=ACTION,
    serve=hand_over,
    form=Form(body=OfAttempt),
    in_attempt=False,
    answers=Disclosure("disclosure_table", "public_to_study"),
)
