"""How far a study's threshold of warnings has come at a bank: what its attempt keeps of the totals says it."""

from fedrisk.clients.node import Node
from fedrisk.clients.store.attempt_store import AttemptStore, Begun
from fedrisk.protocol.actions import WARN
from fedrisk.study_members import BANK

ALIKE = "warn_alike"
"""Name of what is kept of the other banks' signatures, once they were all there."""


def why_no_threshold(node: Node, attempt: str) -> tuple[str, float] | None:
    """Why a bank's model of an attempt has no threshold, and the rate that its study asks for.

    ``untold``: the hub has not told the totals. ``unconfirmed``: not every bank has signed the same. ``noise``: none
    follows from them. None where the study asks for none, was a research run, or its state is gone.
    """
    state = AttemptStore(node.store.path / "attempts" / attempt)
    begun = state.find(Begun)
    rule = None if begun is None else begun.study.get("warning")
    if begun is None or not rule or begun.research_seed is not None:
        return None
    rate = float(rule["false_alarms"])
    if state.message(WARN) is None:
        return "untold", rate
    others = [i for i in begun.study["institutions"] if i["role"] == BANK and i["name"] != node.name]
    return ("noise" if not others or state.message(ALIKE) is not None else "unconfirmed"), rate
