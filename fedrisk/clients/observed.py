"""After a study, at a regulator: the signed tables of what left its members, checked and kept.

A table (audit/table) says in codes what kind of thing went to whom, how it was protected and what it was charged; no
record, no score and no released number is in it. Each is taken only under the pinned key of the member that it names,
so the hub can leave one out and cannot make one. ``fedrisk audit compare`` shows whether those kept agree.
"""

from fedrisk.audit.table import TABLES_FILE, SignedTable, tables_from_json, tables_to_json
from fedrisk.clients.node import Node
from fedrisk.errors import EnvelopeError, PolicyError
from fedrisk.protocol.actions import OBSERVE, TABLES, Action
from fedrisk.protocol.form import SEALED, Form, OfAttempt
from fedrisk.protocol.payload import Payload
from fedrisk.secure.identity import HUB


def observe(node: Node, request: Payload) -> Payload:
    """The members' tables -> how many are kept.

    PolicyError where this institution is no regulator of the study; EnvelopeError, and none is kept, where one is not
    signed by the pinned key of a member, or is of another attempt.
    """
    attempt = node.attempt(request)
    if attempt.study.role_of(node.name) != "regulator":
        raise PolicyError(
            f"{node.name} is no regulator of study {attempt.study.name}, and takes no tables of others"
        )
    request.only([TABLES])
    try:
        tables = tables_from_json(request.raw(TABLES))
    except (ValueError, TypeError, KeyError):
        raise EnvelopeError(
            "the tables of a study's members are malformed; ask the hub's operator for them"
        ) from None
    names = [table.institution for table in tables]
    if len(set(names)) < len(names):
        raise EnvelopeError("two tables came of one institution; ask the hub's operator which is right")
    for table in tables:
        _check(node, attempt.study.members, attempt.state.id, table)
    node.store.put_result(attempt.state.id, TABLES_FILE, tables_to_json(tables))
    return Payload({"kept": len(tables)})


def _check(node: Node, members: tuple[str, ...], attempt: str, table: SignedTable) -> None:
    known = table.institution in members and table.attempt == attempt
    own = node.store.identity.public
    pinned = (
        (own if table.institution == node.name else node.store.pins.of(table.institution)) if known else b""
    )
    if (
        not known
        or not table.holds(pinned)
        or not {line.counterparty for line in table.lines} <= {HUB, *members}
    ):
        raise EnvelopeError(
            "a table came that is of another study or institution, or that its pinned key did not sign; none is kept. "
            "Ask the consortium's operator"
        )


OBSERVED = Action(
    name=OBSERVE, serve=observe, form=Form(body=OfAttempt, blobs={TABLES: SEALED}), in_attempt=False
)
