"""Whether the institutions that a policy names as agents of enterprises are agents in their consortium's list.

An agent is asked for the sum of all holders' points. Whoever gives a part of that sum, or has the enterprises as
customers, learns more from it than an agent does: a holder takes its own points away and has the others'. So a name in
``policy.serving.agents`` is not enough: the list of members that this institution accepted has to say ``agent`` too.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fedrisk.clients.joining import deployment_of
from fedrisk.clients.node import Node
from fedrisk.clients.roster import Rosters

AGENT = "agent"
"""The role of an institution that acts for enterprises."""


@dataclass(frozen=True)
class Listed:
    """Roles in the accepted list of members; ``known``: whether this institution is in a consortium that has one."""

    roles: Mapping[str, str]
    known: bool

    @classmethod
    def of(cls, node: Node) -> "Listed":
        """What a node's folder holds; StoreError where it is damaged."""
        accepted = None if deployment_of(node.store) is None else Rosters.of(node).accepted
        if accepted is None:
            return cls({}, False)
        return cls({member.name: member.role for member in accepted.members}, True)

    def against(self, name: str) -> str:
        """Why an institution is not to be taken for an agent, in words; empty where it is one, or nobody knows.

        >>> Listed({"tax": "holder"}, True).against("tax")
        'tax has the role holder in the list of members'
        >>> Listed({}, True).against("service"), Listed({}, False).against("service")
        ('service is not in the list of members', '')
        """
        role = self.roles.get(name)
        if role == AGENT or (role is None and not self.known):
            return ""
        if role is None:
            return f"{name} is not in the list of members"
        return f"{name} has the role {role} in the list of members"


def not_agents(names: Iterable[str], listed: Listed) -> str:
    """What is wrong with the names of ``policy.serving.agents``, with the remedy, in words; empty where nothing is.

    >>> not_agents(["tax", "service"], Listed({"tax": "holder", "service": "agent"}, True))[:70]
    'policy.serving.agents names who is no agent: tax has the role holder i'
    """
    wrong = [why for name in names if (why := listed.against(name))]
    if not wrong:
        return ""
    return (
        f"policy.serving.agents names who is no agent: {'; '.join(wrong)}. No index is answered to such a name; take "
        "it out, or have the operator invite the institution with --role agent"
    )
