"""What a lying hub does to its messages, and what its members were charged for."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from fedrisk.attacks.recorded import Step, retold
from fedrisk.protocol.payload import Payload

if TYPE_CHECKING:
    from fedrisk.attacks.consortium import Consortium

Array = NDArray[Any]


def part(payload: Payload, name: str) -> tuple[int, Mapping[str, Any]] | None:
    """Number and content of a part of the common view in a message, or None."""
    found = [p for p in payload.body.get("common", []) if p["name"] == name]
    return None if not found else (found[0]["number"], found[0]["content"])


def retell(
    step: Step,
    name: str,
    content: Callable[[dict[str, Any]], object] | None = None,
    blobs: Callable[[str, Array], Array] | None = None,
    members: Sequence[str] | None = None,
) -> list[str]:
    """Tell a part of the common view otherwise: ``content(body)`` and ``blobs(array name, array)`` change it.

    members: who is told otherwise; None for all who get the part in this step. Returns who was lied to.
    """

    def change(told: Payload) -> Payload:
        body = copy.deepcopy(dict(told.body))
        if content is not None:
            content(body)
        if blobs is None:
            return Payload(body, told.blobs)
        return Payload(body, {key: blobs(key, told.array(key).copy()) for key in told.blobs})

    return retold(step, name, change, only=members)


def spends(consortium: "Consortium") -> dict[str, set[str]]:
    """Releases that each institution was charged for, by name."""
    return {name: {e.spend.release for e in node.ledger.entries()} for name, node in consortium.nodes.items()}
