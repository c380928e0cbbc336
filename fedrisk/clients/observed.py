"""After a study, at a regulator: the signed tables of what left its members, checked and kept.

A table (audit/table) says in codes what kind of thing went to whom, how it was protected and what it was charged; no
record, no score and no released number is in it. Each is taken only under the pinned key of the member that it names,
so the hub can leave one out and cannot make one. What was kept stays kept: a hub that tells fewer tables later, or
others, takes none away. ``fedrisk audit compare`` shows whether those kept agree.
"""

from collections.abc import Sequence

from fedrisk.audit.table import TABLES_FILE, SignedTable, tables_from_json, tables_to_json
from fedrisk.clients.node import Node
from fedrisk.errors import EnvelopeError, PolicyError
from fedrisk.files import PUT_BACK, damaged, read_kept
from fedrisk.protocol.actions import OBSERVE, TABLES, Action
from fedrisk.protocol.form import SEALED, Form, OfAttempt
from fedrisk.protocol.payload import Payload
from fedrisk.secure.identity import HUB

DIFFER_FILE = "disclosures_differ.json"
"""Name of a file with two tables that one institution signed of one attempt, and that differ."""


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
    kept = _with_kept(node, attempt.state.id, tables)
    node.store.put_result(attempt.state.id, TABLES_FILE, tables_to_json(kept))
    return Payload({"kept": len(kept)})


def _with_kept(node: Node, attempt: str, tables: Sequence[SignedTable]) -> list[SignedTable]:
    """These tables and those that came before; EnvelopeError where one institution signed two that differ.

    Whoever signed both is convicted by them: they are kept apart, and the first stays. A table that is given again,
    under a newer key or with lines that were added at its end, says the same.
    """
    file = node.store.results(attempt) / TABLES_FILE
    found: dict[str, SignedTable] = {}
    if file.exists():
        try:
            found = {one.institution: one for one in tables_from_json(read_kept(file, PUT_BACK))}
        except (ValueError, TypeError, KeyError, EnvelopeError):
            raise damaged(file, PUT_BACK) from None
    for table in tables:
        before = found.get(table.institution)
        if before is not None and table.lines[: len(before.lines)] != before.lines:
            node.store.put_result(attempt, DIFFER_FILE, tables_to_json([before, table]))
            raise EnvelopeError(
                f"{table.institution} signed another table of what left it than the one that came before, which is "
                f"kept in {file}; both are in {DIFFER_FILE} beside it. Ask {table.institution} for its whole trail"
            )
        found.setdefault(table.institution, table)
    return [found[name] for name in sorted(found)]


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
