"""What an institution's people and monitoring see of it: what waits for a decision, what is left of the budget."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fedrisk.clients.node import Node
from fedrisk.errors import FedriskError, NothingYet
from fedrisk.privacy.ledger.plain import epsilon_down


@dataclass
class OwnFigures:
    """For the institution alone.

    proposals_waiting: None where that cannot be read. epsilon_left: None where that cannot be read, or no study has
    used the budget, so that all of it is left. why: the error of what cannot be read.
    """

    name: str
    proposals_waiting: int | None = None
    epsilon_left: float | None = None
    why: str | None = None


def own_figures(institution: Path) -> OwnFigures:
    """The figures of an institution by its file; makes nothing. Errors as of ``Node.load``."""
    node = Node.load(institution)
    found = OwnFigures(node.name)
    try:
        waiting = node.store.proposals.waiting(datetime.now(UTC), node.institution.policy.approval_days)
        found.proposals_waiting = len(waiting)
        found.epsilon_left = epsilon_down(node.ledger.report().left.mu)
    except NothingYet:
        pass
    except FedriskError as error:
        found.why = str(error)
    return found
