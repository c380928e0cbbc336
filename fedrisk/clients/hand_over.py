"""After a study: the institution's signed table of what left it, for the hub and whoever compares.

The table (audit/table) is made from the institution's own trail. It holds nothing that the hub did not relay or was not
told in the study. Handing it over ends the attempt here: its secrets go, so that nothing more of it leaves afterwards,
and the table says all there is. It can be asked for again at any later time.
"""

from fedrisk.audit.table import ACTION, SignedTable, lines_of
from fedrisk.clients.node import Node
from fedrisk.clients.witness import own_head
from fedrisk.errors import ProtocolError
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
    if node.store.knows(attempt):
        node.store.attempt(attempt).forget_secrets()
    study = next(entry.study for entry in entries if entry.study)
    table = SignedTable.sign(study, attempt, own_head(node, attempt), lines, node.store.identity)
    return Payload({"table": table.to_dict()})


HAND_OVER = Action(
    name=ACTION,
    serve=hand_over,
    form=Form(body=OfAttempt),
    in_attempt=False,
    answers=Disclosure("disclosure_table", "public_to_study"),
)
