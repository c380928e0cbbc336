"""Published seasonal indices that the members of a study stated to all of them, as this institution was told."""

from typing import Any

from fedrisk.clients.node import Node
from fedrisk.clients.store.attempt_store import AttemptStore
from fedrisk.errors import FedriskError
from fedrisk.protocol.payload import unpack
from fedrisk.protocol.statements import seasons_of, statements_from


def stated_seasons(node: Node, attempt: str) -> dict[str, tuple[dict[str, Any], ...]] | None:
    """By member that states any; see `fedrisk.protocol.statements.seasons_of`.

    None where nothing is kept of what all were told: the study never began here, or its attempt is deleted.
    """
    if not attempt:
        return None
    try:
        content = AttemptStore(node.store.path / "attempts" / attempt).message("told_members")
        if content is None:
            return None
        told = statements_from(unpack(content).get("statements"))
    except FedriskError:
        return None
    return {name: found for name, statement in told.items() if (found := seasons_of(statement))}
